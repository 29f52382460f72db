//! A read-only TFTP server (RFC 1350) of one directory, with the options blksize, tsize and timeout (RFC 2347 to 2349).
//!
//! Files are opened beneath the directory by the kernel's own rule (`openat2` with `RESOLVE_BENEATH`), so that neither `..` nor a
//! link leads outside. Reading a file is the one thing here that may wait for a disk; blocks are small and read one at a time.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::Error;
use crate::host::{Alarm, TimerKey, Timers};
use crate::link::Link;

type End = (IpAddr, u16);

pub(crate) const PORT: u16 = 69;
const SESSIONS: usize = 20;
const TRIES: u8 = 6;
/// How long a transfer may be silent when its client has asked for no timeout.
const TIMEOUT: Duration = Duration::from_secs(3);
const OPTIONS: usize = 8;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

#[derive(Debug)]
struct Session {
    client: End,
    server: IpAddr,
    file: File,
    block_size: usize,
    /// The block that was sent last; 0 is the answer to the options.
    block: u64,
    last: bool,
    packet: Vec<u8>,
    timeout: Duration,
    resend_at: Duration,
    tries: u8,
}

#[derive(Debug)]
pub(crate) struct Tftp {
    directory: OwnedFd,
    sessions: Vec<Session>,
    alarm: Alarm,
}

struct Request<'a> {
    name: &'a [u8],
    octet: bool,
    block_size: Option<usize>,
    size: bool,
    timeout: Option<u8>,
}

fn request(bytes: &[u8]) -> Option<Request<'_>> {
    let mut words = bytes.strip_suffix(&[0])?.split(|b| *b == 0);
    let name = words.next()?;
    let octet = words.next()?.eq_ignore_ascii_case(b"octet");
    let mut request = Request {
        name,
        octet,
        block_size: None,
        size: false,
        timeout: None,
    };
    for _ in 0..OPTIONS {
        let (Some(option), Some(value)) = (words.next(), words.next()) else {
            break;
        };
        let number = std::str::from_utf8(value).ok().and_then(|v| v.parse::<u32>().ok());
        match (option.to_ascii_lowercase().as_slice(), number) {
            (b"blksize", Some(size @ 8..=65_464)) => request.block_size = Some(size as usize),
            (b"tsize", Some(_)) => request.size = true,
            (b"timeout", Some(seconds @ 1..=255)) => request.timeout = Some(seconds as u8),
            _ => {}
        }
    }
    Some(request)
}

impl Tftp {
    pub(crate) fn new(directory: &Path) -> Result<Self, Error> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let directory = rustix::fs::open(directory, flags, Mode::empty()).map_err(|e| Error::Tftp {
            path: directory.display().to_string(),
            error: e.into(),
        })?;
        Ok(Self {
            directory,
            sessions: Vec::new(),
            alarm: Alarm::default(),
        })
    }

    /// A datagram to the server's port.
    pub(crate) fn input(&mut self, link: &mut Link, timers: &mut Timers, client: End, server: IpAddr, payload: &[u8]) {
        let Some((code, rest)) = payload.split_first_chunk::<2>() else {
            return;
        };
        match u16::from_be_bytes(*code) {
            READ => self.read(link, timers, client, server, rest),
            WRITE => error(link, client, server, 2, "this server only gives"),
            ACK => {
                if let Some(block) = rest.first_chunk::<2>() {
                    self.acknowledged(link, timers, client, u16::from_be_bytes(*block));
                }
            }
            ERROR => self.sessions.retain(|s| s.client != client),
            _ => error(link, client, server, 4, "unknown operation"),
        }
    }

    fn read(&mut self, link: &mut Link, timers: &mut Timers, client: End, server: IpAddr, rest: &[u8]) {
        self.sessions.retain(|s| s.client != client);
        let Some(request) = request(rest) else {
            return error(link, client, server, 4, "malformed request");
        };
        if !request.octet {
            return error(link, client, server, 4, "only the mode octet is known");
        }
        let (file, size) = match self.open(request.name) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return error(link, client, server, 1, "file not found"),
            Err(_) => return error(link, client, server, 2, "access denied"),
        };
        // What fits one packet, so that boot loaders need not put fragments together.
        let fits = usize::from(link.config.mtu).saturating_sub(if client.0.is_ipv6() { 52 } else { 32 });
        let block_size = request.block_size.map(|s| s.min(fits.max(512)));
        let now = link.now;
        let timeout = request.timeout.map_or(TIMEOUT, |t| Duration::from_secs(t.into()));
        let mut session = Session {
            client,
            server,
            file,
            block_size: block_size.unwrap_or(512),
            block: 0,
            last: false,
            packet: OACK.to_be_bytes().to_vec(),
            timeout,
            resend_at: now + timeout,
            tries: 0,
        };
        let mut option = |name: &str, value: String| {
            session.packet.extend_from_slice(name.as_bytes());
            session.packet.push(0);
            session.packet.extend_from_slice(value.as_bytes());
            session.packet.push(0);
        };
        if let Some(size) = block_size {
            option("blksize", size.to_string());
        }
        if request.size {
            option("tsize", size.to_string());
        }
        if let Some(timeout) = request.timeout {
            option("timeout", timeout.to_string());
        }
        if session.packet.len() == 2 && !session.next() {
            return error(link, client, server, 0, "the file cannot be read");
        }
        session.send(link);
        if self.sessions.len() >= SESSIONS {
            self.sessions.remove(0);
        }
        self.alarm.want(session.resend_at, TimerKey::Tftp, timers);
        self.sessions.push(session);
    }

    fn open(&self, name: &[u8]) -> Result<(File, u64), Errno> {
        let start = name.iter().position(|b| *b != b'/').ok_or(Errno::NOENT)?;
        // Not to wait for the other end of a pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let name = std::ffi::CString::new(&name[start..]).map_err(|_| Errno::NOENT)?;
        let fd = rustix::fs::openat2(&self.directory, name.as_c_str(), flags, Mode::empty(), resolve)?;
        let file = File::from(fd);
        let metadata = file.metadata().map_err(|_| Errno::IO)?;
        if metadata.is_file() {
            Ok((file, metadata.len()))
        } else {
            Err(Errno::ACCESS)
        }
    }

    fn acknowledged(&mut self, link: &mut Link, timers: &mut Timers, client: End, block: u16) {
        let Some(at) = self.sessions.iter().position(|s| s.client == client) else {
            return;
        };
        let session = &mut self.sessions[at];
        // Late ones are not answered (the "sorcerer's apprentice" of RFC 1123 §4.2.3.1).
        if block != session.block as u16 {
            return;
        }
        if session.last {
            self.sessions.remove(at);
            return;
        }
        if !session.next() {
            let (client, server) = (session.client, session.server);
            self.sessions.remove(at);
            return error(link, client, server, 0, "the file cannot be read");
        }
        session.tries = 0;
        session.resend_at = link.now + session.timeout;
        session.send(link);
        self.alarm.want(session.resend_at, TimerKey::Tftp, timers);
    }

    pub(crate) fn on_timer(&mut self, link: &mut Link, timers: &mut Timers) {
        self.alarm.fired();
        let now = link.now;
        self.sessions.retain_mut(|session| {
            if session.resend_at > now {
                return true;
            }
            session.tries += 1;
            session.resend_at = now + session.timeout;
            if session.tries < TRIES {
                session.send(link);
            }
            session.tries < TRIES
        });
        if let Some(next) = self.sessions.iter().map(|s| s.resend_at).min() {
            self.alarm.want(next, TimerKey::Tftp, timers);
        }
    }

    pub(crate) fn reset(&mut self) {
        self.sessions.clear();
    }
}

impl Session {
    /// Makes the next block's packet. `false`: the file cannot be read.
    fn next(&mut self) -> bool {
        self.block += 1;
        self.packet.clear();
        self.packet.extend_from_slice(&DATA.to_be_bytes());
        self.packet.extend_from_slice(&(self.block as u16).to_be_bytes());
        self.packet.resize(4 + self.block_size, 0);
        let offset = (self.block - 1).saturating_mul(self.block_size as u64);
        let mut filled = 0;
        while filled < self.block_size {
            match self
                .file
                .read_at(&mut self.packet[4 + filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.packet.truncate(4 + filled);
        self.last = filled < self.block_size;
        true
    }

    fn send(&self, link: &mut Link) {
        link.send_udp((self.server, PORT), self.client, &self.packet);
    }
}

fn error(link: &mut Link, client: End, server: IpAddr, code: u16, text: &str) {
    let mut packet = ERROR.to_be_bytes().to_vec();
    packet.extend_from_slice(&code.to_be_bytes());
    packet.extend_from_slice(text.as_bytes());
    packet.push(0);
    link.send_udp((server, PORT), client, &packet);
}

/// The answer where no directory is given.
pub(crate) fn absent(link: &mut Link, client: End, server: IpAddr) {
    error(link, client, server, 2, "there is no TFTP directory here");
}
