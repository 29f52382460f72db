//! `ivshmem-server`: options and defaults of QEMU 10.0 (`contrib/ivshmem-server/main.c`).

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use southbridge_protocol_ivshmem::wire;

use super::complain;
use super::daemon::{self, PidFile};
use super::options::{self, Flag};
use super::size;
use crate::memory::Memory;
use crate::server::{Server, ServerConfig, ServerNotice};
use crate::thread;

const PROGRAM: &str = "ivshmem-server";
const SUMMARY: &str = "Gives shared memory and doorbells to the ivshmem devices that connect.";
const DEFAULT_SOCKET: &str = "/tmp/ivshmem_socket";
const DEFAULT_PID_FILE: &str = "/var/run/ivshmem-server.pid";
const DEFAULT_NAME: &str = "ivshmem";

const FLAGS: [Flag; 9] = [
    Flag {
        letter: b'h',
        value: None,
        help: "print this help",
    },
    Flag {
        letter: b'v',
        value: None,
        help: "say what happens (needs -F)",
    },
    Flag {
        letter: b'F',
        value: None,
        help: "stay in the foreground (default: go to the background)",
    },
    Flag {
        letter: b'p',
        value: Some("PID-FILE"),
        help: "file for the process number, in the background only (default: /var/run/ivshmem-server.pid)",
    },
    Flag {
        letter: b'S',
        value: Some("SOCKET"),
        help: "unix socket to listen on (default: /tmp/ivshmem_socket)",
    },
    Flag {
        letter: b'M',
        value: Some("NAME"),
        help: "POSIX shared memory object to use (default: ivshmem)",
    },
    Flag {
        letter: b'm',
        value: Some("FOLDER"),
        help: "use a file in this folder instead, such as a hugetlbfs mount",
    },
    Flag {
        letter: b'l',
        value: Some("SIZE"),
        help: "size of the shared memory in bytes, or with K, M, G (default: 4M); rounded up to a power of two",
    },
    Flag {
        letter: b'n',
        value: Some("VECTORS"),
        help: "interrupt vectors per peer, 0 to 64 (default: 1)",
    },
];

struct Options {
    help: bool,
    verbose: bool,
    foreground: bool,
    pid_file: PathBuf,
    server: ServerConfig,
}

impl Options {
    fn read(args: &[OsString]) -> Result<Self, String> {
        let mut options = Self {
            help: false,
            verbose: false,
            foreground: false,
            pid_file: DEFAULT_PID_FILE.into(),
            server: ServerConfig {
                memory: Memory::Named(DEFAULT_NAME.into()),
                ..ServerConfig::new(DEFAULT_SOCKET)
            },
        };
        for (letter, value) in options::parse(&FLAGS, args)? {
            options.set(letter, &value)?;
        }
        if options.verbose && !options.foreground && !options.help {
            return Err("option '-v' needs '-F': in the background there is nobody to talk to".into());
        }
        Ok(options)
    }

    fn set(&mut self, letter: u8, value: &OsStr) -> Result<(), String> {
        let text = || {
            value
                .to_str()
                .ok_or_else(|| format!("option '-{}': not UTF-8", char::from(letter)))
        };
        match letter {
            b'h' => self.help = true,
            b'v' => self.verbose = true,
            b'F' => self.foreground = true,
            b'p' => self.pid_file = value.into(),
            b'S' => self.server.path = value.into(),
            b'M' => self.server.memory = Memory::Named(text()?.into()),
            b'm' => self.server.memory = Memory::Folder(value.into()),
            b'l' => self.server.size = size::bytes(text()?).map_err(|error| format!("option '-l': {error}"))?,
            _ => {
                let vectors = size::number(text()?).filter(|vectors| *vectors <= u64::from(wire::MAX_VECTORS));
                let vectors = vectors.and_then(|vectors| u16::try_from(vectors).ok());
                self.server.vectors = vectors.ok_or_else(|| {
                    let (given, most) = (value.display(), wire::MAX_VECTORS);
                    format!("option '-n': '{given}' is no number of vectors, 0 to {most} is")
                })?;
            }
        }
        Ok(())
    }
}

/// Runs `ivshmem-server` with `args` (without the program's name) until SIGTERM, SIGINT or SIGHUP, which end it in order
/// with status 0. Errors go to stderr on one line, with status 1.
///
/// Without `-F` the *process* is started again with its own command line, so this must be what that command line leads to.
pub fn server_main(args: &[OsString]) -> ExitCode {
    run(args).unwrap_or_else(|error| {
        complain(PROGRAM, &error);
        ExitCode::FAILURE
    })
}

fn run(args: &[OsString]) -> Result<ExitCode, String> {
    let options = Options::read(args)?;
    if options.help {
        // A closed stdout is the reader's choice.
        let _ = io::stdout().write_all(options::help(PROGRAM, SUMMARY, &FLAGS).as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    if !options.foreground && !daemon::is_second() {
        return daemon::start().map_err(|error| format!("cannot go to the background: {error}"));
    }
    serve(&options)?;
    Ok(ExitCode::SUCCESS)
}

fn serve(options: &Options) -> Result<(), String> {
    let background = |error: io::Error| format!("cannot go to the background: {error}");
    // Before the first file appears, so that no signal leaves one behind.
    let stop = stop_signal().map_err(|error| format!("cannot catch signals: {error}"))?;
    if !options.foreground {
        daemon::detach(c"ivshmem-server").map_err(background)?;
    }
    let server = Server::bind(&options.server).map_err(|error| error.to_string())?;
    let _pid_file = if options.foreground {
        None
    } else {
        let path = &options.pid_file;
        let written = PidFile::write(path).map_err(|error| format!("cannot write '{}': {error}", path.display()))?;
        daemon::report_ready().map_err(background)?;
        Some(written)
    };
    let mut log = |notice: ServerNotice| {
        if options.verbose {
            say(&describe(&notice));
        }
    };
    if options.verbose {
        let (path, size) = (server.path().display(), server.memory_size());
        say(&format!(
            "listening on '{path}', {size} bytes, {} vectors per peer",
            options.server.vectors
        ));
    }
    thread::run(server, &stop, &mut log).map_err(|error| format!("cannot wait for clients: {error}"))
}

fn stop_signal() -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(reader)
}

fn describe(notice: &ServerNotice) -> String {
    match notice {
        ServerNotice::Joined(peer) => format!("peer {peer} joined"),
        ServerNotice::Left { peer, why } => format!("peer {peer} left: {why}"),
        ServerNotice::Refused(why) => format!("a client was turned away: {why}"),
        ServerNotice::Failed(why) => format!("cannot go on: {why}"),
    }
}

fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    // Nobody may be reading any more; that is no reason to end.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
