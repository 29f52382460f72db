//! `ivshmem-client`: options and commands of QEMU 10.0 (`contrib/ivshmem-client/main.c`), and `quit`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use southbridge_protocol_ivshmem::PeerId;

use super::complain;
use super::options::{self, Flag};
use crate::client::{Client, Notice};

const PROGRAM: &str = "ivshmem-client";
const SUMMARY: &str = "Joins an ivshmem server as a peer without a guest, and takes commands.";
const DEFAULT_SOCKET: &str = "/tmp/ivshmem_socket";
const PROMPT: &str = "cmd> ";

/// Longest command line; what goes beyond is dropped.
const LONGEST_LINE: usize = 4096;

const FLAGS: [Flag; 3] = [
    Flag {
        letter: b'h',
        value: None,
        help: "print this help",
    },
    Flag {
        letter: b'v',
        value: None,
        help: "say what the server says",
    },
    Flag {
        letter: b'S',
        value: Some("SOCKET"),
        help: "unix socket to connect to (default: /tmp/ivshmem_socket)",
    },
];

const COMMANDS: &str = "\
help              print this list (also: ?)
dump              list this peer and the others, with their vectors
int PEER VECTOR   interrupt a peer on one vector
int PEER all      interrupt a peer on all its vectors
int all           interrupt all other peers on all their vectors
quit              end (so does the end of input)
";

/// Runs `ivshmem-client` with `args` (without the program's name): commands from stdin, answers and interrupts on stdout,
/// trouble on stderr. Connects again each second while there is no server. Status 0 at `quit` or the end of input, 1 on
/// wrong options.
pub fn client_main(args: &[OsString]) -> ExitCode {
    let (mut verbose, mut path) = (false, PathBuf::from(DEFAULT_SOCKET));
    let given = match options::parse(&FLAGS, args) {
        Ok(given) => given,
        Err(error) => {
            complain(PROGRAM, &error);
            return ExitCode::FAILURE;
        }
    };
    for (letter, value) in given {
        match letter {
            b'h' => {
                let _ = io::stdout().write_all(options::help(PROGRAM, SUMMARY, &FLAGS).as_bytes());
                return ExitCode::SUCCESS;
            }
            b'v' => verbose = true,
            _ => path = value.into(),
        }
    }
    let mut session = Session {
        out: io::stdout(),
        input: Vec::new(),
        overlong: false,
        verbose,
    };
    match session.run(&path) {
        // Nobody reads our answers any more: as good as `quit`.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(PROGRAM, &error);
            ExitCode::FAILURE
        }
    }
}

/// What a command asks for. Parsed before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Nothing,
    Help,
    Dump,
    RingAll,
    RingPeer(PeerId),
    Ring(PeerId, u16),
    Quit,
    Invalid,
}

impl Command {
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ring = |peer: &str, vector: &str| match (peer.parse(), vector.parse()) {
            (Ok(peer), _) if vector == "all" => Self::RingPeer(peer),
            (Ok(peer), Ok(vector)) => Self::Ring(peer, vector),
            _ => Self::Invalid,
        };
        match words.as_slice() {
            [] => Self::Nothing,
            ["help" | "?"] => Self::Help,
            ["dump"] => Self::Dump,
            ["int", "all"] => Self::RingAll,
            ["int", peer, vector] => ring(peer, vector),
            ["quit"] => Self::Quit,
            _ => Self::Invalid,
        }
    }
}

struct Session<W> {
    out: W,
    /// The line being typed.
    input: Vec<u8>,
    overlong: bool,
    verbose: bool,
}

impl<W: Write> Session<W> {
    fn run(&mut self, path: &Path) -> io::Result<()> {
        write!(self.out, "{COMMANDS}{PROMPT}")?;
        self.out.flush()?;
        let mut complained = false;
        loop {
            let ended = match Client::connect(path) {
                Ok(client) => {
                    complained = false;
                    self.converse(client)?
                }
                Err(error) => {
                    if !complained {
                        let path = path.display();
                        complain(
                            PROGRAM,
                            &format_args!("cannot connect to '{path}': {error}; trying again every second"),
                        );
                    }
                    complained = true;
                    false
                }
            };
            if ended || self.pause()? {
                return Ok(());
            }
        }
    }

    /// Waits a second without a server; true when the user wants no more.
    fn pause(&mut self) -> io::Result<bool> {
        let stdin = io::stdin();
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&second)) {
            Ok(0) | Err(Errno::INTR) => Ok(false),
            Ok(_) => self.typed(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Serves one connection; true when the user wants no more, false when the server is gone.
    fn converse(&mut self, mut client: Client) -> io::Result<bool> {
        loop {
            let (typed, rung) = {
                let stdin = io::stdin();
                let mut sources = vec![PollFd::new(&stdin, PollFlags::IN), PollFd::new(&client, PollFlags::IN)];
                sources.extend(client.own_vectors().iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
                match poll(&mut sources, None) {
                    Err(Errno::INTR) => continue,
                    other => other?,
                };
                let ready = |index: usize| sources.get(index).is_some_and(|source| !source.revents().is_empty());
                (ready(0), (2..sources.len()).any(ready))
            };
            match client.pump() {
                Ok(notices) => self.report(&notices)?,
                Err(error) => {
                    complain(PROGRAM, &error);
                    return Ok(false);
                }
            }
            if rung {
                self.interrupted(&client)?;
            }
            if typed && self.typed(Some(&client))? {
                return Ok(true);
            }
            if client.is_ended() {
                complain(PROGRAM, &"the server is gone; looking for a new one every second");
                return Ok(false);
            }
        }
    }

    fn interrupted(&mut self, client: &Client) -> io::Result<()> {
        let id = client.own_id().unwrap_or_default();
        for vector in client.take_interrupts() {
            writeln!(self.out, "interrupt: peer_id={id} vector={vector}")?;
        }
        self.out.flush()
    }

    fn report(&mut self, notices: &[Notice]) -> io::Result<()> {
        if !self.verbose {
            return Ok(());
        }
        for notice in notices {
            match notice {
                Notice::OwnId(id) => writeln!(self.out, "own id is {id}")?,
                Notice::SharedMemory => writeln!(self.out, "shared memory is here")?,
                Notice::PeerVector { peer, vector } => writeln!(self.out, "peer {peer} has vector {vector}")?,
                Notice::OwnVector(vector) => writeln!(self.out, "vector {vector} is set up")?,
                Notice::Surplus(peer) => writeln!(self.out, "peer {peer} has more vectors than are kept")?,
                Notice::PeerGone(peer) => writeln!(self.out, "peer {peer} is gone")?,
                Notice::ServerGone => writeln!(self.out, "the server is gone")?,
            }
        }
        self.out.flush()
    }

    /// Takes what was typed; true when the user wants no more.
    fn typed(&mut self, client: Option<&Client>) -> io::Result<bool> {
        let mut buffer = [0; 1024];
        let len = match rustix::io::read(io::stdin(), &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => return Ok(false),
            other => other?,
        };
        let mut wants_end = false;
        for byte in buffer.get(..len).unwrap_or(&[]) {
            wants_end |= match byte {
                b'\n' | b'\r' | b';' => self.line(client)?,
                _ if self.input.len() >= LONGEST_LINE => {
                    self.overlong = true;
                    false
                }
                byte => {
                    self.input.push(*byte);
                    false
                }
            };
        }
        if len == 0 {
            self.line(client)?;
            return Ok(true);
        }
        write!(self.out, "{PROMPT}")?;
        self.out.flush()?;
        Ok(wants_end)
    }

    fn line(&mut self, client: Option<&Client>) -> io::Result<bool> {
        let line = std::mem::take(&mut self.input);
        let command = match std::mem::take(&mut self.overlong) {
            true => Command::Invalid,
            false => Command::parse(&String::from_utf8_lossy(&line)),
        };
        match (command, client) {
            (Command::Nothing, _) => {}
            (Command::Help, _) => write!(self.out, "{COMMANDS}")?,
            (Command::Invalid, _) => writeln!(self.out, "no such command; 'help' lists them")?,
            (Command::Quit, _) => return Ok(true),
            (_, None) => writeln!(self.out, "not connected")?,
            (Command::Dump, Some(client)) => self.dump(client)?,
            (Command::RingAll, Some(client)) => {
                for (peer, vectors) in client.peers() {
                    self.ring_vectors(client, peer, vectors.len())?;
                }
            }
            (Command::RingPeer(peer), Some(client)) => match client.vectors_of(peer).len() {
                0 => self.ring(client, peer, 0)?,
                count => self.ring_vectors(client, peer, count)?,
            },
            (Command::Ring(peer, vector), Some(client)) => self.ring(client, peer, vector)?,
        }
        Ok(false)
    }

    fn ring_vectors(&mut self, client: &Client, peer: PeerId, count: usize) -> io::Result<()> {
        (0..=u16::MAX)
            .take(count)
            .try_for_each(|vector| self.ring(client, peer, vector))
    }

    fn ring(&mut self, client: &Client, peer: PeerId, vector: u16) -> io::Result<()> {
        match client.ring(peer, vector) {
            Ok(()) => Ok(()),
            Err(error) => writeln!(self.out, "{error}"),
        }
    }

    fn dump(&mut self, client: &Client) -> io::Result<()> {
        if let Some(id) = client.own_id() {
            writeln!(self.out, "our_id = {id}")?;
        }
        self.dump_vectors(client.own_vectors())?;
        for (peer, vectors) in client.peers() {
            writeln!(self.out, "peer_id = {peer}")?;
            self.dump_vectors(vectors)?;
        }
        Ok(())
    }

    fn dump_vectors(&mut self, vectors: &[OwnedFd]) -> io::Result<()> {
        for (vector, fd) in vectors.iter().enumerate() {
            writeln!(self.out, "  vector {vector} (fd={})", fd.as_fd().as_raw_fd())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        for (line, command) in [
            ("", Command::Nothing),
            ("  ", Command::Nothing),
            ("?", Command::Help),
            ("help", Command::Help),
            ("dump", Command::Dump),
            ("int all", Command::RingAll),
            ("int 3 all", Command::RingPeer(3)),
            (" int  3  1 ", Command::Ring(3, 1)),
            ("quit", Command::Quit),
            ("int", Command::Invalid),
            ("int x 1", Command::Invalid),
            ("int 3 70000", Command::Invalid),
            ("int 3 1 2", Command::Invalid),
            ("quite", Command::Invalid),
        ] {
            assert_eq!(Command::parse(line), command, "{line}");
        }
    }
}
