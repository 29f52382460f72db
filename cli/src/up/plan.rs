//! A demo file made ready to run: words split, variables put in, everything checked that can be without starting.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::schema::{Demo, Machine, Server, Words, error_at, error_in, place};
use super::shell::{self, ShellError};
use crate::error::OptError;

/// Limit of a run that does not give one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Servers that this program has.
const SERVERS: [&str; 1] = ["ivshmem-server"];

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When every machine has ended by itself.
    Exit,
    /// When every expected text has appeared.
    Prints,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Name for the summary.
    pub name: String,
    /// Limit of the whole run.
    pub timeout: Duration,
    /// When it is over.
    pub until: Until,
    /// Started first.
    pub servers: Vec<Part>,
    /// Started when the servers are ready.
    pub machines: Vec<Part>,
}

/// One child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Prefix on the console.
    pub name: String,
    /// Arguments without the program's name.
    pub args: Vec<String>,
    /// Environment variables of it alone.
    pub env: BTreeMap<String, String>,
    /// For a server: the socket whose listening means ready.
    pub ready: Option<PathBuf>,
    /// For a machine: texts that must appear on its console.
    pub prints: Vec<String>,
    /// For a machine: the status it must end with.
    pub exit: u8,
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    variables: [(&'a str, &'a str); 2],
}

impl Plan {
    /// Checks `demo`, read from `text` in the file `path`; `dir` and `tmp` are put in for the variables.
    ///
    /// # Errors
    /// At what is wrong, with the line.
    pub fn new(path: &str, text: &str, demo: &Demo, dir: &Path, tmp: &Path) -> Result<Self, OptError> {
        let (dir, tmp) = (dir.to_string_lossy(), tmp.to_string_lossy());
        let reader = Reader {
            path,
            text,
            variables: [("dir", &dir), ("tmp", &tmp)],
        };
        let stem = || {
            Path::new(path)
                .file_stem()
                .map_or_else(|| path.to_owned(), |s| s.to_string_lossy().into_owned())
        };
        let plan = Self {
            name: demo.name.clone().unwrap_or_else(stem),
            timeout: reader.timeout(demo)?,
            until: reader.until(demo)?,
            servers: demo.server.iter().map(|s| reader.server(s)).collect::<Result<_, _>>()?,
            machines: demo
                .machine
                .iter()
                .map(|m| reader.machine(m))
                .collect::<Result<_, _>>()?,
        };
        reader.names(demo)?;
        if plan.machines.is_empty() {
            return Err(error_in(path, "the file has no [[machine]]"));
        }
        if plan.until == Until::Prints && plan.machines.iter().all(|m| m.prints.is_empty()) {
            let span = demo.until.as_ref().map_or(0..0, |u| u.span());
            return Err(error_at(path, text, span, "no machine has a 'prints' to wait for"));
        }
        Ok(plan)
    }
}

impl Reader<'_> {
    fn error(&self, span: Range<usize>, why: &str) -> OptError {
        error_at(self.path, self.text, span, why)
    }

    fn timeout(&self, demo: &Demo) -> Result<Duration, OptError> {
        let Some(given) = &demo.timeout else {
            return Ok(DEFAULT_TIMEOUT);
        };
        let expected = "a number with ms, s or m, such as 60s";
        let at = || place(self.path, self.text, given.span());
        parse_duration(given.get_ref())
            .ok_or_else(|| OptError::bad_value(Some("timeout"), given.get_ref(), expected, at()))
    }

    fn until(&self, demo: &Demo) -> Result<Until, OptError> {
        let Some(given) = &demo.until else {
            return Ok(Until::Exit);
        };
        match given.get_ref().as_str() {
            "exit" => Ok(Until::Exit),
            "prints" => Ok(Until::Prints),
            other => {
                let at = place(self.path, self.text, given.span());
                Err(OptError::bad_value(Some("until"), other, "exit or prints", at))
            }
        }
    }

    /// Names become prefixes: one each, short, and without what would break a line.
    fn names(&self, demo: &Demo) -> Result<(), OptError> {
        let mut seen = HashSet::new();
        for name in demo
            .server
            .iter()
            .map(|s| &s.name)
            .chain(demo.machine.iter().map(|m| &m.name))
        {
            let text = name.get_ref();
            if text.is_empty() || text.len() > 32 || text.contains(|c: char| c.is_control() || c == '[' || c == ']') {
                return Err(self.error(name.span(), "a name has 1 to 32 characters, none of them a bracket"));
            }
            if !seen.insert(text) {
                return Err(self.error(name.span(), &format!("a second part with the name '{text}'")));
            }
        }
        Ok(())
    }

    fn server(&self, server: &Server) -> Result<Part, OptError> {
        let kind = server.kind.get_ref();
        if !SERVERS.contains(&kind.as_str()) {
            let at = place(self.path, self.text, server.kind.span());
            return Err(OptError::no_such("server", kind, SERVERS, at));
        }
        let words = self.words(server.args.get_ref(), server.args.span())?;
        let ready = match &server.ready {
            Some(path) => Some(self.expand(path.get_ref(), path.span())?),
            None => words
                .iter()
                .position(|w| w == "-S")
                .and_then(|at| words.get(at + 1))
                .cloned(),
        };
        let args = std::iter::once(kind.clone()).chain(words).collect();
        let (name, env) = (
            server.name.get_ref().clone(),
            self.env(&server.env, server.name.span())?,
        );
        Ok(Part {
            name,
            args,
            env,
            ready: ready.map(PathBuf::from),
            prints: Vec::new(),
            exit: 0,
        })
    }

    fn machine(&self, machine: &Machine) -> Result<Part, OptError> {
        let prints = match &machine.prints {
            None => Vec::new(),
            Some(prints) => match prints.get_ref() {
                Words::Line(one) => vec![one.clone()],
                Words::List(list) => list.clone(),
            },
        };
        if let (Some(given), true) = (&machine.prints, prints.iter().any(String::is_empty)) {
            return Err(self.error(given.span(), "an empty text is always there"));
        }
        let args = self.words(machine.args.get_ref(), machine.args.span())?;
        let (name, env) = (
            machine.name.get_ref().clone(),
            self.env(&machine.env, machine.name.span())?,
        );
        Ok(Part {
            name,
            args,
            env,
            ready: None,
            prints,
            exit: machine.exit.unwrap_or(0),
        })
    }

    /// Variables are put in after splitting, so that a folder with blanks stays one word.
    fn words(&self, words: &Words, span: Range<usize>) -> Result<Vec<String>, OptError> {
        let split = match words {
            Words::List(list) => list.clone(),
            Words::Line(line) => shell::split(line).map_err(|e| self.shell_error(&e, span.clone()))?,
        };
        split.iter().map(|word| self.expand(word, span.clone())).collect()
    }

    fn env(&self, env: &BTreeMap<String, String>, span: Range<usize>) -> Result<BTreeMap<String, String>, OptError> {
        env.iter()
            .map(|(k, v)| Ok((k.clone(), self.expand(v, span.clone())?)))
            .collect()
    }

    fn expand(&self, text: &str, span: Range<usize>) -> Result<String, OptError> {
        let expanded = shell::expand(text, &self.variables).map_err(|e| self.shell_error(&e, span.clone()))?;
        // The operating system takes no such arguments.
        if expanded.contains('\0') {
            Err(self.error(span, "an argument contains a zero character"))
        } else {
            Ok(expanded)
        }
    }

    fn shell_error(&self, error: &ShellError, span: Range<usize>) -> OptError {
        self.error(span, &error.why)
    }
}

/// `500ms`, `60s`, `2m`, or a plain number of seconds.
fn parse_duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let millis = match text[end..].trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        _ => return None,
    };
    number
        .checked_mul(millis)
        .filter(|ms| (1..=86_400_000).contains(ms))
        .map(Duration::from_millis)
}
