//! Addresses of sockets: from options to sockets that listen or connect.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, stat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with, sockopt,
};
use southbridge_core::Properties;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};

use super::said_bool;
use crate::error::CharError;

/// Where a socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Unix {
        path: String,
        /// In the abstract namespace of Linux, and whether the name is as long as it is written.
        abstract_tight: Option<bool>,
    },
    Inet(Inet),
    /// A descriptor that this process was started with.
    Fd(String),
}

/// A TCP or UDP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inet {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Last port to try when the first ones are taken.
    pub(crate) to: Option<u16>,
    pub(crate) v4: Option<bool>,
    pub(crate) v6: Option<bool>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { path, abstract_tight } => {
                let (a, t) = match abstract_tight {
                    None => ("", ""),
                    Some(tight) => (",abstract=on", if *tight { ",tight=on" } else { "" }),
                };
                write!(f, "unix:{path}{a}{t}")
            }
            Self::Inet(i) => write!(f, "tcp:{}:{}", bracketed(&i.host), i.port),
            Self::Fd(name) => write!(f, "fd:{name}"),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

impl Address {
    /// From the options of `socket`: exactly one of `path`, `host` with `port`, and `fd`.
    pub(crate) fn of_socket(options: &Properties) -> Result<Self, CharError> {
        let named: Vec<_> = ["path", "host", "fd"]
            .into_iter()
            .filter(|n| options.str(n).is_some())
            .collect();
        match named.as_slice() {
            ["path"] => unix(options),
            ["fd"] => Ok(Self::Fd(options.str("fd").unwrap_or_default().to_owned())),
            [_] => Inet::of(options, "host", "port", "socket").map(Self::Inet),
            [] if options.str("port").is_some() => Inet::of(options, "host", "port", "socket").map(Self::Inet),
            [] => Err(CharError::Missing {
                kind: "socket",
                option: "path",
                expected: "FILE' or 'host=NAME,port=N' or 'fd=N",
            }),
            [first, second, ..] => Err(CharError::Conflict {
                option: second,
                why: format!("does not go with '{first}': give one of path, host and fd"),
            }),
        }
    }
}

fn unix(options: &Properties) -> Result<Address, CharError> {
    let path = options.str("path").unwrap_or_default().to_owned();
    let abstract_tight = options.bool("abstract").then(|| options.bool("tight"));
    if path.len() > 107 || path.is_empty() || path.contains('\0') {
        return Err(CharError::BadValue {
            option: "path".into(),
            value: path,
            expected: "a path of 1 to 107 bytes (the system's limit for socket names)".into(),
        });
    }
    for stray in ["port", "to", "ipv4", "ipv6"] {
        if options.get(stray).is_some() {
            return Err(CharError::Conflict {
                option: stray,
                why: "does not go with 'path': it is for TCP sockets".into(),
            });
        }
    }
    Ok(Address::Unix { path, abstract_tight })
}

impl Inet {
    /// A port from an option.
    pub(crate) fn port_of(
        options: &Properties,
        option: &'static str,
        default: Option<&str>,
        kind: &'static str,
    ) -> Result<u16, CharError> {
        let text = options.str(option).filter(|p| !p.is_empty()).or(default);
        let text = text.ok_or(CharError::Missing {
            kind,
            option,
            expected: "NUMBER",
        })?;
        text.parse().map_err(|_| CharError::BadValue {
            option: option.into(),
            value: text.into(),
            expected: "a port number from 0 to 65535".into(),
        })
    }

    /// From the options with these names.
    pub(crate) fn of(
        options: &Properties,
        host: &'static str,
        port: &'static str,
        kind: &'static str,
    ) -> Result<Self, CharError> {
        let number = Self::port_of(options, port, None, kind)?;
        let to = options.opt_uint("to").and_then(|t| u16::try_from(t).ok());
        if to.is_some_and(|t| t < number) {
            return Err(CharError::BadValue {
                option: "to".into(),
                value: options.uint("to").to_string(),
                expected: "a port not below 'port'".into(),
            });
        }
        let (v4, v6) = (said_bool(options, "ipv4"), said_bool(options, "ipv6"));
        if (v4, v6) == (Some(false), Some(false)) {
            return Err(CharError::Conflict {
                option: "ipv6",
                why: "and 'ipv4' are both off: no address family is left".into(),
            });
        }
        let name = options.str(host).unwrap_or_default();
        let name = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        Ok(Self {
            host: name.to_owned(),
            port: number,
            to,
            v4,
            v6,
        })
    }

    fn wants(&self, a: &SocketAddr) -> bool {
        match (self.v4, self.v6, a) {
            // One that is on and another that was not mentioned means only the one.
            (Some(on), None, SocketAddr::V4(_)) | (None, Some(on), SocketAddr::V6(_)) => on,
            (Some(on), None, SocketAddr::V6(_)) | (None, Some(on), SocketAddr::V4(_)) => !on,
            (v4, _, SocketAddr::V4(_)) => v4 != Some(false),
            (_, v6, SocketAddr::V6(_)) => v6 != Some(false),
        }
    }

    /// Addresses that need no name service; `None` if it must be asked.
    pub(crate) fn literal(&self, passive: bool) -> Option<Vec<SocketAddr>> {
        let ips: Vec<IpAddr> = match self.host.as_str() {
            "" if passive => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            "" | "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            name => vec![name.parse().ok()?],
        };
        let all = ips.into_iter().map(|ip| SocketAddr::new(ip, self.port));
        Some(all.filter(|a| self.wants(a)).collect())
    }

    /// All addresses; may ask the name service, and so may take long.
    pub(crate) fn resolve(&self, passive: bool) -> io::Result<Vec<SocketAddr>> {
        let all = match self.literal(passive) {
            Some(l) => l,
            None => (self.host.as_str(), self.port)
                .to_socket_addrs()?
                .filter(|a| self.wants(a))
                .collect(),
        };
        if all.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the name has no address of the wanted family",
            ));
        }
        Ok(all)
    }
}

fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}

pub(crate) fn family(a: &SocketAddr) -> AddressFamily {
    if a.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

fn unix_address(path: &str, abstract_tight: Option<bool>) -> Result<SocketAddrUnix, Errno> {
    match abstract_tight {
        None => SocketAddrUnix::new(path),
        Some(true) => SocketAddrUnix::new_abstract_name(path.as_bytes()),
        Some(false) => {
            let mut name = [0; 107];
            let n = path.len().min(name.len());
            name[..n].copy_from_slice(&path.as_bytes()[..n]);
            SocketAddrUnix::new_abstract_name(&name)
        }
    }
}

/// A unix socket file that this process made, to be removed with it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: String,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have put another file there meanwhile.
        if stat(self.path.as_str()).is_ok_and(|s| (s.st_dev, s.st_ino) == self.identity) {
            let _ = rustix::fs::unlink(self.path.as_str());
        }
    }
}

/// What a server listens on.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) sockets: Vec<OwnedFd>,
    /// Where, with the port that was found.
    pub(crate) address: Address,
    _file: Option<SocketFile>,
}

impl Listeners {
    pub(crate) fn open(address: &Address) -> Result<Self, CharError> {
        match address {
            Address::Unix { path, abstract_tight } => Self::unix(path, *abstract_tight),
            Address::Inet(inet) => Self::inet(inet),
            Address::Fd(name) => {
                let fd = inherited(name)?;
                if !sockopt::socket_acceptconn(&fd).unwrap_or(false) {
                    return Err(CharError::BadValue {
                        option: "fd".into(),
                        value: name.clone(),
                        expected: "a socket that listens (or leave out 'server=on' for a connected one)".into(),
                    });
                }
                Ok(Self {
                    sockets: vec![fd],
                    address: address.clone(),
                    _file: None,
                })
            }
        }
    }

    fn unix(path: &str, abstract_tight: Option<bool>) -> Result<Self, CharError> {
        let failed = |e: Errno| CharError::host(Some("path"), format!("cannot listen on '{path}'"), e);
        let name = unix_address(path, abstract_tight).map_err(failed)?;
        let fd = stream_socket(AddressFamily::UNIX).map_err(failed)?;
        let mut bound = bind(&fd, &name);
        if bound == Err(Errno::ADDRINUSE) && abstract_tight.is_none() && is_stale(path, &name) {
            rustix::fs::unlink(path).map_err(failed)?;
            bound = bind(&fd, &name);
        }
        bound.map_err(failed)?;
        let file = if abstract_tight.is_none() {
            stat(path).ok().map(|s| SocketFile {
                path: path.to_owned(),
                identity: (s.st_dev, s.st_ino),
            })
        } else {
            None
        };
        listen(&fd, 1).map_err(failed)?;
        Ok(Self {
            sockets: vec![fd],
            address: Address::Unix {
                path: path.to_owned(),
                abstract_tight,
            },
            _file: file,
        })
    }

    fn inet(inet: &Inet) -> Result<Self, CharError> {
        let at = Address::Inet(inet.clone());
        let failed = |option, e: io::Error| CharError::host(Some(option), format!("cannot listen on '{at}'"), e);
        let addresses = inet.resolve(true).map_err(|e| failed("host", e))?;
        let mut last = Errno::ADDRINUSE;
        for port in inet.port..=inet.to.unwrap_or(inet.port) {
            match listen_all(&addresses, port) {
                Ok((sockets, port)) => {
                    let found = Inet { port, ..inet.clone() };
                    return Ok(Self {
                        sockets,
                        address: Address::Inet(found),
                        _file: None,
                    });
                }
                Err(e) => last = e,
            }
        }
        Err(failed("port", last.into()))
    }
}

/// A connection attempt of another type tells whether the file has an owner without disturbing it: `ECONNREFUSED` if none.
fn is_stale(path: &str, name: &SocketAddrUnix) -> bool {
    let is_socket = stat(path).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Socket);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    is_socket
        && socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .is_ok_and(|probe| connect(&probe, name) == Err(Errno::CONNREFUSED))
}

/// Listens on all addresses at one port. Families that the host lacks are left out, as long as one is there.
fn listen_all(addresses: &[SocketAddr], port: u16) -> Result<(Vec<OwnedFd>, u16), Errno> {
    let mut sockets = Vec::new();
    let (mut port, mut lacking) = (port, Errno::ADDRNOTAVAIL);
    for a in addresses {
        let at = SocketAddr::new(a.ip(), port);
        match listen_one(&at) {
            Ok(fd) => {
                if port == 0 {
                    port = local_port(&fd).unwrap_or(0);
                }
                sockets.push(fd);
            }
            Err(e @ (Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)) => lacking = e,
            Err(e) => return Err(e),
        }
    }
    if sockets.is_empty() {
        return Err(lacking);
    }
    Ok((sockets, port))
}

fn listen_one(at: &SocketAddr) -> Result<OwnedFd, Errno> {
    let fd = stream_socket(family(at))?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    bind(&fd, at)?;
    listen(&fd, 1)?;
    Ok(fd)
}

fn local_port(fd: impl AsFd) -> Option<u16> {
    SocketAddr::try_from(getsockname(fd).ok()?).ok().map(|a| a.port())
}

/// A connection attempt that was begun.
#[derive(Debug)]
pub(crate) enum Attempt {
    Done(OwnedFd),
    /// Writable when decided.
    Pending(OwnedFd),
}

fn begin(fd: OwnedFd, result: Result<(), Errno>) -> Result<Attempt, Errno> {
    match result {
        Ok(()) => Ok(Attempt::Done(fd)),
        Err(Errno::INPROGRESS) => Ok(Attempt::Pending(fd)),
        Err(e) => Err(e),
    }
}

pub(crate) fn connect_unix(path: &str, abstract_tight: Option<bool>) -> Result<Attempt, Errno> {
    let name = unix_address(path, abstract_tight)?;
    let fd = stream_socket(AddressFamily::UNIX)?;
    let result = connect(&fd, &name);
    begin(fd, result)
}

pub(crate) fn connect_inet(at: &SocketAddr) -> Result<Attempt, Errno> {
    let fd = stream_socket(family(at))?;
    let result = connect(&fd, at);
    begin(fd, result)
}

/// An answer of the name service that a worker thread waits for.
pub(crate) type Resolving = Arc<Mutex<Option<io::Result<Vec<SocketAddr>>>>>;

/// A copy of a descriptor that this process was started with.
pub(crate) fn inherited(name: &str) -> Result<OwnedFd, CharError> {
    let number = name.parse::<i32>().ok().filter(|n| *n >= 0);
    let number = number.ok_or_else(|| CharError::BadValue {
        option: "fd".into(),
        value: name.to_owned(),
        expected: "the number of an open descriptor".into(),
    })?;
    let failed = |e: Errno| CharError::host(Some("fd"), format!("cannot use descriptor {number}"), e);
    // The way to an inherited descriptor by its number that needs no `unsafe`. The copy has close-on-exec.
    let me = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    let fd = rustix::process::pidfd_getfd(me.map_err(failed)?, number, rustix::process::PidfdGetfdFlags::empty())
        .map_err(failed)?;
    sockopt::socket_type(&fd).map_err(failed)?;
    Ok(fd)
}
