//! What the user wants of the program: run a machine, run a demo, or show something.

use std::ffi::OsString;

use crate::argv::CommandLine;
use crate::config::Config;
use crate::error::{ErrorKind, OptError};
use crate::location::{Location, Origin, Source};
use crate::options::OptionDef;
use crate::personality::{Personality, Role};

/// The words that may stand in place of the first option.
pub const TOOLS: &[&str] = &[
    "up",
    "man",
    "completion",
    "ivshmem-server",
    "ivshmem-client",
    "trace2perfetto",
    "help",
    "version",
];

/// The shells for which there is completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the shell of that name")]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// A text to show instead of running. What the machine layer must fill in is marked so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelpTopic {
    /// `-help`: the options.
    Usage,
    /// Keys of one list option, e.g. `-icount help`.
    Option(&'static str),
    /// `-d help`.
    LogItems,
    /// `-chardev help` (machine layer).
    Chardevs,
    /// `-chardev BACKEND,help` (machine layer).
    ChardevProperties(String),
    /// `-blockdev help` (machine layer).
    BlockDrivers,
    /// `-blockdev DRIVER,help` (machine layer).
    BlockDriverProperties(String),
    /// `-netdev help` (machine layer).
    Netdevs,
    /// `-netdev TYPE,help` (machine layer).
    NetdevProperties(String),
    /// `-nic model=help` (machine layer).
    NicModels,
    /// `-fsdev help` (machine layer).
    Fsdevs,
    /// `-fsdev DRIVER,help` (machine layer).
    FsdevProperties(String),
    /// `-accel help`.
    Accels,
    /// `-accel NAME,help`.
    AccelProperties(String),
    /// `-display help`.
    Displays,
    /// `-machine help` (machine layer).
    Machines,
    /// `-machine NAME,help` (machine layer).
    MachineProperties(String),
    /// `-cpu help`, for the machine of the config (machine layer).
    Cpus,
    /// `-device help` (machine layer).
    Devices,
    /// `-device DRIVER,help` (machine layer).
    DeviceProperties(String),
    /// `-object help` (machine layer).
    Objects,
    /// `-object TYPE,help` (machine layer).
    ObjectProperties(String),
    /// `-trace help` and `-d trace:help` (machine layer).
    TraceEvents,
}

impl HelpTopic {
    /// The topic for an option whose keys were asked for.
    pub fn of(def: &OptionDef) -> Self {
        Self::Option(def.name)
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub enum Command {
    /// Build the machine and run it.
    Emulate(Box<Config>),
    /// Show a text on standard output and end with status 0. The config says which machine is meant where it matters.
    Help(HelpTopic, Box<Config>),
    /// Show the version.
    Version,
    /// Run a demo file.
    Up {
        /// The file's name.
        file: String,
    },
    /// Write the man page to standard output.
    Man,
    /// Write a completion script to standard output.
    Completion(Shell),
    /// Run the server for shared memory with these arguments (without its name).
    IvshmemServer(Vec<OsString>),
    /// Run the test client for shared memory with these arguments (without its name).
    IvshmemClient(Vec<OsString>),
    /// Turn a trace in text form into a file for the Perfetto viewer.
    TraceToPerfetto {
        /// File to read; `-` is standard input.
        input: OsString,
        /// File to write; `-` is standard output.
        output: OsString,
    },
}

impl Command {
    /// Reads the whole command line, the program's name first. `read` reads a file for `-readconfig`.
    ///
    /// # Errors
    /// When something in it is wrong; nothing has been opened or started then.
    pub fn parse(
        args: &[OsString],
        read: impl FnMut(&str) -> std::io::Result<String>,
    ) -> Result<(Personality, Self), (Personality, OptError)> {
        let personality = args
            .first()
            .map_or_else(Personality::default, |a| Personality::from_argv0(a));
        let command = match personality.role {
            Role::IvshmemServer => Ok(Self::IvshmemServer(args.get(1..).unwrap_or_default().to_vec())),
            Role::IvshmemClient => Ok(Self::IvshmemClient(args.get(1..).unwrap_or_default().to_vec())),
            Role::QemuSystem(_) => emulate(args, read),
            Role::Southbridge => southbridge(args, read),
        };
        match command {
            Ok(command) => Ok((personality, command)),
            Err(error) => Err((personality, error)),
        }
    }
}

fn southbridge(args: &[OsString], read: impl FnMut(&str) -> std::io::Result<String>) -> Result<Command, OptError> {
    let rest = || args.get(2..).unwrap_or_default();
    match args.get(1).and_then(|a| a.to_str()) {
        Some("ivshmem-server") => Ok(Command::IvshmemServer(rest().to_vec())),
        Some("ivshmem-client") => Ok(Command::IvshmemClient(rest().to_vec())),
        Some("up") if args.len() == 3 && is_help(&args[2]) => Ok(Command::Help(HelpTopic::Usage, Box::default())),
        Some("up") => Ok(Command::Up {
            file: only_argument(args, "FILE.toml")?,
        }),
        Some("man") => no_arguments(args, Command::Man),
        Some("version") => no_arguments(args, Command::Version),
        Some("help") => no_arguments(args, Command::Help(HelpTopic::Usage, Box::default())),
        Some("completion") => completion(args),
        Some("trace2perfetto") => trace_to_perfetto(args),
        _ => emulate(args, read),
    }
}

fn trace_to_perfetto(args: &[OsString]) -> Result<Command, OptError> {
    if args.len() > 4 {
        let why = "one argument too many".to_owned();
        return Err(OptError::new(ErrorKind::Refused { why }, tool_place(args, 4)));
    }
    match args {
        [_, _, input, output] => Ok(Command::TraceToPerfetto {
            input: input.clone(),
            output: output.clone(),
        }),
        _ => Err(OptError::nowhere(ErrorKind::MissingArgument {
            option: "trace2perfetto".to_owned(),
            shape: "IN OUT".to_owned(),
        })),
    }
}

fn is_help(word: &OsString) -> bool {
    ["-h", "-help", "--help"].iter().any(|h| word == h)
}

fn completion(args: &[OsString]) -> Result<Command, OptError> {
    const SHELLS: [(&str, Shell); 3] = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];
    let name = only_argument(args, "bash|zsh|fish")?;
    match SHELLS.iter().find(|(n, _)| *n == name) {
        Some((_, shell)) => Ok(Command::Completion(*shell)),
        None => Err(OptError::no_such(
            "completion for shell",
            &name,
            SHELLS.map(|(n, _)| n),
            tool_place(args, 2),
        )),
    }
}

fn emulate(args: &[OsString], read: impl FnMut(&str) -> std::io::Result<String>) -> Result<Command, OptError> {
    let words = (0..args.len()).map(|i| utf8(args, i)).collect::<Result<Vec<_>, _>>()?;
    let config = Config::build(CommandLine::parse(&words)?.expand(read)?)?;
    Ok(match config.info.clone() {
        Some(crate::config::Info::Help(topic)) => Command::Help(topic, Box::new(config)),
        Some(crate::config::Info::Version) => Command::Version,
        None => Command::Emulate(Box::new(config)),
    })
}

/// Tools take few arguments; a place in them is shown as the tool's name and the word.
fn tool_place(args: &[OsString], index: usize) -> Location {
    let text = |i: usize| {
        args.get(i)
            .map(|a| a.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let source = Source {
        origin: Origin::Argument(index),
        option: text(1),
        text: text(index),
    };
    Location::argument(&std::sync::Arc::new(source))
}

fn utf8(args: &[OsString], index: usize) -> Result<&str, OptError> {
    args[index].to_str().ok_or_else(|| {
        let text = args[index].to_string_lossy().into_owned();
        let source = Source {
            origin: Origin::Argument(index),
            option: String::new(),
            text,
        };
        let kind = ErrorKind::Syntax {
            why: "an argument is not valid UTF-8".to_owned(),
        };
        OptError::new(kind, Location::argument(&std::sync::Arc::new(source)))
    })
}

fn only_argument(args: &[OsString], shape: &str) -> Result<String, OptError> {
    if args.len() > 3 {
        let why = "one argument too many".to_owned();
        return Err(OptError::new(ErrorKind::Refused { why }, tool_place(args, 3)));
    }
    if args.len() < 3 {
        let option = args
            .get(1)
            .map(|a| a.to_string_lossy().into_owned())
            .unwrap_or_default();
        let kind = ErrorKind::MissingArgument {
            option,
            shape: shape.to_owned(),
        };
        return Err(OptError::nowhere(kind));
    }
    utf8(args, 2).map(str::to_owned)
}

fn no_arguments(args: &[OsString], command: Command) -> Result<Command, OptError> {
    if args.len() <= 2 {
        return Ok(command);
    }
    let why = "one argument too many".to_owned();
    Err(OptError::new(ErrorKind::Refused { why }, tool_place(args, 2)))
}
