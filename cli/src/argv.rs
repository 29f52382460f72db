//! From `argv` to a list of known options with their arguments. What the arguments mean is not decided here.
//!
//! `--foo` is `-foo`. An option that needs an argument takes the next word, whatever it looks like, as QEMU does.
//! No file is opened, except that [`CommandLine::expand`] asks its caller to read what `-readconfig` names.

use std::ffi::OsStr;
use std::sync::Arc;

use crate::error::{ErrorKind, OptError};
use crate::ini;
use crate::keyval::Props;
use crate::location::{Location, Origin, Source};
use crate::options::{self, Handler, OptionDef, Status};
use crate::personality::{Personality, Role};

/// One option as it was given.
#[derive(Debug, Clone)]
pub struct RawOption {
    /// Its row in the table.
    pub def: &'static OptionDef,
    /// Its argument and place.
    pub source: Arc<Source>,
    /// Its list, where that came from a file and is already split.
    pub(crate) ready: Option<Props>,
}

impl RawOption {
    /// The argument split as the table says; an empty list for an option without one.
    ///
    /// # Errors
    /// When the argument is not such a list.
    pub fn props(&self) -> Result<Props, OptError> {
        match (&self.ready, self.def.grammar) {
            (Some(props), _) => Ok(props.clone()),
            (None, Some(grammar)) => Props::parse(&self.source, grammar),
            (None, None) => Ok(Props::empty(&self.source.option)),
        }
    }

    /// The whole argument.
    pub fn at_argument(&self) -> Location {
        Location::argument(&self.source)
    }

    /// The option's name.
    pub fn at(&self) -> Location {
        Location::option(&self.source)
    }
}

/// The options of one command line, in order.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    options: Vec<RawOption>,
}

impl CommandLine {
    /// Reads `args`, which begins with the program's name.
    ///
    /// # Errors
    /// At the first word that is not an option of this program, or lacks its argument.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<Self, OptError> {
        Self::parse_from(args, 1)
    }

    /// The same from the word of that index on.
    ///
    /// # Errors
    /// As [`CommandLine::parse`].
    pub fn parse_from<S: AsRef<str>>(args: &[S], first: usize) -> Result<Self, OptError> {
        let mut options = Vec::new();
        let program = args.first().map_or("", AsRef::as_ref);
        let has_tools = Personality::from_argv0(OsStr::new(program)).role == Role::Southbridge;
        let mut words = args.iter().map(AsRef::as_ref).enumerate().skip(first);
        while let Some((index, word)) = words.next() {
            let def = lookup(index, word, has_tools)?;
            let text = match def.argument {
                None => "",
                Some(shape) => words.next().ok_or_else(|| missing_argument(index, word, def, shape))?.1,
            };
            let source = source(index, word, text);
            check_status(def, &source)?;
            options.push(RawOption {
                def,
                source,
                ready: None,
            });
        }
        Ok(Self { options })
    }

    /// The options in order.
    pub fn options(&self) -> &[RawOption] {
        &self.options
    }

    /// Puts the options of each `-readconfig` file in its place. `read` gets the file's name.
    ///
    /// # Errors
    /// When `read` fails or the file does not follow the format.
    pub fn expand(self, mut read: impl FnMut(&str) -> std::io::Result<String>) -> Result<Self, OptError> {
        let mut options = Vec::with_capacity(self.options.len());
        for option in self.options {
            if option.def.handler != Handler::ReadConfig {
                options.push(option);
                continue;
            }
            let path = &option.source.text;
            let text = read(path).map_err(|e| {
                let kind = ErrorKind::Io {
                    action: "read".into(),
                    path: path.clone(),
                    error: io_reason(&e),
                };
                OptError::new(kind, option.at_argument())
            })?;
            options.extend(ini::read(path, &text)?);
        }
        Ok(Self { options })
    }
}

/// The host's words for an I/O error, without Rust's `(os error N)`.
pub fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn source(index: usize, option: &str, text: &str) -> Arc<Source> {
    Arc::new(Source {
        origin: Origin::Argument(index),
        option: option.to_owned(),
        text: text.to_owned(),
    })
}

fn lookup(index: usize, word: &str, has_tools: bool) -> Result<&'static OptionDef, OptError> {
    let Some(name) = word.strip_prefix('-') else {
        return Err(positional(index, word, has_tools && index == 1));
    };
    let name = name.strip_prefix('-').unwrap_or(name);
    if let Some(def) = options::find(name) {
        return Ok(def);
    }
    if let Some((before, value)) = name.split_once('=')
        && let Some(def) = options::find(before)
    {
        let (option, takes_argument) = (def.dashed(), def.argument.is_some());
        let kind = ErrorKind::EqualsForm {
            option,
            value: value.to_owned(),
            takes_argument,
        };
        return Err(OptError::new(kind, Location::option(&source(index, word, ""))));
    }
    let nearest = options::nearest_option(name).map(|n| format!("-{n}"));
    let kind = ErrorKind::UnknownOption {
        option: word.to_owned(),
        nearest,
    };
    Err(OptError::new(kind, Location::option(&source(index, word, ""))))
}

/// QEMU takes a bare word as the image of the first disk.
fn positional(index: usize, word: &str, tools: bool) -> OptError {
    let at = Location::argument(&source(index, "", word));
    let help = match crate::error::nearest(word, crate::command::TOOLS.iter().copied()) {
        Some(tool) if tools => format!("did you mean the command '{tool}'?"),
        _ => "it comes with disks; a program to run is given with -kernel".to_owned(),
    };
    OptError::not_yet(format!("a bare file name ('{word}') as disk image"), at).with_help(help)
}

fn missing_argument(index: usize, word: &str, def: &OptionDef, shape: &str) -> OptError {
    if let Status::NotYet(_) = def.status
        && let Err(error) = check_status(def, &source(index, word, ""))
    {
        return error;
    }
    let kind = ErrorKind::MissingArgument {
        option: def.dashed(),
        shape: shape.to_owned(),
    };
    OptError::new(kind, Location::option(&source(index, word, "")))
}

fn check_status(def: &OptionDef, source: &Arc<Source>) -> Result<(), OptError> {
    let (what, waits, at) = match def.status {
        Status::NotYet(waits) => (def.dashed(), waits, Location::option(source)),
        Status::NoneOnly(waits) if source.text != "none" => (
            format!("{} {}", def.dashed(), source.text),
            waits,
            Location::argument(source),
        ),
        _ => return Ok(()),
    };
    Err(OptError::not_yet(what, at).with_help(format!("it comes with {waits}")))
}
