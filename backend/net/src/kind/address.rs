//! Addresses of sockets: from options to sockets.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, stat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with, sockopt,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::Options;
use crate::error::NetError;
use crate::link::Address;

/// Where a socket is, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Inet(Inet),
    Unix { path: String, abstract_name: bool },
    Fd(String),
}

/// An address of the Internet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Inet {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Last port to try when the first ones are taken.
    pub(crate) to: Option<u16>,
    pub(crate) v4: Option<bool>,
    pub(crate) v6: Option<bool>,
}

/// The names of the options of one address; those of [`Place::of`].
pub(crate) struct Names {
    pub(crate) kind: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: &'static str,
    pub(crate) to: &'static str,
    pub(crate) v4: &'static str,
    pub(crate) v6: &'static str,
    pub(crate) path: &'static str,
    pub(crate) abstract_name: &'static str,
    pub(crate) fd: &'static str,
}

impl Place {
    /// From the options of one address of back ends of type `back_end`; `None` if there is none.
    pub(crate) fn of(options: &Options, names: &Names, back_end: &'static str) -> Result<Option<Self>, NetError> {
        let Some(kind) = options.str(names.kind) else {
            return Ok(None);
        };
        Ok(Some(match kind {
            "unix" => {
                let path = options.required(back_end, names.path, "FILE")?;
                check_path(names.path, path)?;
                Self::Unix {
                    path: path.to_owned(),
                    abstract_name: options.bool(names.abstract_name),
                }
            }
            "fd" => Self::Fd(options.required(back_end, names.fd, "NUMBER")?.to_owned()),
            "vsock" => {
                return Err(NetError::OptionMissing {
                    option: names.kind.into(),
                    why: " for vsock; inet, unix and fd are",
                });
            }
            _ => {
                let host = options.str(names.host).unwrap_or_default();
                let number = match options.str(names.port) {
                    // The interface of a group is an address without a port.
                    None if names.port == "local.port" => "0",
                    _ => options.required(back_end, names.port, "NUMBER")?,
                };
                let port = port(names.port, number)?;
                Self::Inet(Inet {
                    host: unbracketed(host).to_owned(),
                    port,
                    to: options
                        .uint(names.to)
                        .and_then(|t| u16::try_from(t).ok())
                        .filter(|t| *t >= port),
                    v4: options.said_bool(names.v4),
                    v6: options.said_bool(names.v6),
                })
            }
        }))
    }
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(host)
}

pub(crate) fn check_path(option: &'static str, path: &str) -> Result<(), NetError> {
    if (1..=107).contains(&path.len()) && !path.contains('\0') {
        return Ok(());
    }
    Err(NetError::BadValue {
        option: option.into(),
        value: path.into(),
        expected: "a path of 1 to 107 bytes (the system's limit for socket names)".into(),
    })
}

pub(crate) fn port(option: &'static str, text: &str) -> Result<u16, NetError> {
    text.parse().map_err(|_| NetError::BadValue {
        option: option.into(),
        value: text.into(),
        expected: "a port number from 0 to 65535".into(),
    })
}

/// `[HOST]:PORT`, the short form of `socket`.
pub(crate) fn host_port(option: &'static str, text: &str) -> Result<Inet, NetError> {
    let (host, number) = text.rsplit_once(':').ok_or_else(|| NetError::BadValue {
        option: option.into(),
        value: text.into(),
        expected: "an address like 127.0.0.1:1234 or :1234".into(),
    })?;
    Ok(Inet {
        host: unbracketed(host).to_owned(),
        port: port(option, number)?,
        ..Inet::default()
    })
}

impl Inet {
    fn wants(&self, a: &SocketAddr) -> bool {
        match (self.v4, self.v6, a) {
            // One that is on and another that was not mentioned means only the one.
            (Some(on), None, SocketAddr::V4(_)) | (None, Some(on), SocketAddr::V6(_)) => on,
            (Some(on), None, SocketAddr::V6(_)) | (None, Some(on), SocketAddr::V4(_)) => !on,
            (v4, _, SocketAddr::V4(_)) => v4 != Some(false),
            (_, v6, SocketAddr::V6(_)) => v6 != Some(false),
        }
    }

    /// All addresses; may ask the name service, so it is called when a back end is made and not later.
    pub(crate) fn resolve(&self, passive: bool) -> io::Result<Vec<SocketAddr>> {
        let ips: Vec<IpAddr> = match self.host.as_str() {
            "" if passive => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            "" | "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            name => match name.parse() {
                Ok(ip) => vec![ip],
                Err(_) => (name, self.port).to_socket_addrs()?.map(|a| a.ip()).collect(),
            },
        };
        let all = ips.into_iter().map(|ip| SocketAddr::new(ip, self.port));
        let all: Vec<_> = all.filter(|a| self.wants(a)).collect();
        if all.is_empty() {
            let why = "the name has no address of the wanted family";
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, why));
        }
        Ok(all)
    }

    /// The first address of IPv4, for what has no other.
    pub(crate) fn resolve_v4(&self, option: &'static str) -> Result<(Ipv4Addr, u16), NetError> {
        if self.host.is_empty() {
            return Ok((Ipv4Addr::UNSPECIFIED, self.port));
        }
        let failed = |e| NetError::host(Some(option), format!("cannot find '{}'", self.host), e);
        let all = self.resolve(false).map_err(failed)?;
        let v4 = all.iter().find_map(|a| match a.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        });
        let none = || {
            failed(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "it has no IPv4 address",
            ))
        };
        Ok((v4.ok_or_else(none)?, self.port))
    }
}

/// What to do to reach a peer, with names resolved.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Inet(Vec<SocketAddr>),
    Unix(SocketAddrUnix),
}

pub(crate) fn unix_name(path: &str, abstract_name: bool) -> Result<SocketAddrUnix, Errno> {
    match abstract_name {
        true => SocketAddrUnix::new_abstract_name(path.as_bytes()),
        false => SocketAddrUnix::new(path),
    }
}

fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(family, SocketType::STREAM, flags, None)
}

pub(crate) const fn family(a: &SocketAddr) -> AddressFamily {
    if a.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

/// A connection that is being made.
pub(crate) enum Attempt {
    Done(OwnedFd),
    UnderWay(OwnedFd),
}

impl Target {
    /// Begins to connect. Only the first address is tried to the end: all names here are of one host.
    pub(crate) fn connect(&self) -> Result<Attempt, Errno> {
        let attempt = |fd: OwnedFd, result| match result {
            Ok(()) => Ok(Attempt::Done(fd)),
            Err(Errno::INPROGRESS) => Ok(Attempt::UnderWay(fd)),
            Err(e) => Err(e),
        };
        match self {
            Self::Unix(name) => {
                let fd = stream_socket(AddressFamily::UNIX)?;
                let r = connect(&fd, name);
                attempt(fd, r)
            }
            Self::Inet(all) => {
                let mut last = Errno::ADDRNOTAVAIL;
                for a in all {
                    let fd = stream_socket(family(a))?;
                    let r = connect(&fd, a);
                    match attempt(fd, r) {
                        Ok(a) => return Ok(a),
                        Err(e) => last = e,
                    }
                }
                Err(last)
            }
        }
    }
}

/// A unix socket file that this process made, to be removed with it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: String,
    identity: (u64, u64),
}

impl SocketFile {
    pub(crate) fn of(path: &str) -> Option<Self> {
        stat(path).ok().map(|s| Self {
            path: path.to_owned(),
            identity: (s.st_dev, s.st_ino),
        })
    }
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
pub(crate) struct Listener {
    pub(crate) fd: OwnedFd,
    _file: Option<SocketFile>,
}

impl Listener {
    pub(crate) fn open(place: &Place) -> Result<Self, NetError> {
        match place {
            Place::Unix { path, abstract_name } => Self::unix(path, *abstract_name),
            Place::Inet(inet) => Self::inet(inet),
            Place::Fd(name) => {
                let fd = inherited("fd", name)?;
                if !sockopt::socket_acceptconn(&fd).unwrap_or(false) {
                    return Err(NetError::BadValue {
                        option: "addr.str".into(),
                        value: name.clone(),
                        expected: "a socket that listens (or leave out 'server=on' for a connected one)".into(),
                    });
                }
                let _ = make_nonblocking(&fd);
                Ok(Self { fd, _file: None })
            }
        }
    }

    fn unix(path: &str, abstract_name: bool) -> Result<Self, NetError> {
        let failed = |e: Errno| NetError::host(Some("addr.path"), format!("cannot listen on '{path}'"), e);
        let name = unix_name(path, abstract_name).map_err(failed)?;
        let fd = stream_socket(AddressFamily::UNIX).map_err(failed)?;
        let mut bound = bind(&fd, &name);
        if bound == Err(Errno::ADDRINUSE) && !abstract_name && is_stale(path, &name) {
            rustix::fs::unlink(path).map_err(failed)?;
            bound = bind(&fd, &name);
        }
        bound.map_err(failed)?;
        let file = if abstract_name { None } else { SocketFile::of(path) };
        listen(&fd, 1).map_err(failed)?;
        Ok(Self { fd, _file: file })
    }

    fn inet(inet: &Inet) -> Result<Self, NetError> {
        let failed = |e: io::Error| NetError::host(None, format!("cannot listen on '{}:{}'", inet.host, inet.port), e);
        let addresses = inet.resolve(true).map_err(failed)?;
        let mut last = Errno::ADDRINUSE;
        for port in inet.port..=inet.to.unwrap_or(inet.port) {
            // One socket is enough: an unspecified address of IPv4 stands first, as with QEMU.
            for a in &addresses {
                match listen_at(&SocketAddr::new(a.ip(), port)) {
                    Ok(fd) => return Ok(Self { fd, _file: None }),
                    Err(e) => last = e,
                }
            }
        }
        Err(failed(last.into()))
    }
}

fn listen_at(a: &SocketAddr) -> Result<OwnedFd, Errno> {
    let fd = stream_socket(family(a))?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    bind(&fd, a)?;
    listen(&fd, 1)?;
    Ok(fd)
}

/// A socket file on which nobody listens any more.
fn is_stale(path: &str, name: &SocketAddrUnix) -> bool {
    let is_socket = stat(path).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Socket);
    is_socket && stream_socket(AddressFamily::UNIX).is_ok_and(|fd| connect(&fd, name) == Err(Errno::CONNREFUSED))
}

/// A copy of a descriptor that this process was started with.
pub(crate) fn inherited(option: &'static str, name: &str) -> Result<OwnedFd, NetError> {
    let number = name.parse::<i32>().ok().filter(|n| *n >= 0);
    let number = number.ok_or_else(|| NetError::BadValue {
        option: option.into(),
        value: name.to_owned(),
        expected: "the number of an open descriptor".into(),
    })?;
    let failed = |e: Errno| NetError::host(Some(option), format!("cannot use descriptor {number}"), e);
    // The way to an inherited descriptor by its number that needs no `unsafe`. The copy has close-on-exec.
    let me = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    rustix::process::pidfd_getfd(me.map_err(failed)?, number, rustix::process::PidfdGetfdFlags::empty()).map_err(failed)
}

pub(crate) fn make_nonblocking(fd: &OwnedFd) -> Result<(), Errno> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)
}

/// An address as the monitor shows it.
pub(crate) fn shown(address: &rustix::net::SocketAddrAny) -> Address {
    if let Ok(a) = SocketAddr::try_from(address.clone()) {
        return Address::Inet {
            host: a.ip().to_string(),
            port: a.port().to_string(),
            ipv6: a.is_ipv6(),
        };
    }
    let unix = SocketAddrUnix::try_from(address.clone()).ok();
    let path = unix.and_then(|u| u.path().map(|p| p.to_string_lossy().into_owned()));
    Address::Unix(path.unwrap_or_default())
}

/// The peer of a connected socket: by QEMU's custom, of a unix socket the name of the server's side.
pub(crate) fn peer_of(fd: &OwnedFd, served: bool) -> Address {
    let is_unix = sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX);
    let address = if is_unix && served {
        getsockname(fd).ok()
    } else {
        rustix::net::getpeername(fd).ok().flatten()
    };
    address.map_or(Address::Unix(String::new()), |a| shown(&a))
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inet { host, port, ipv6: true } => write!(f, "tcp:[{host}]:{port}"),
            Self::Inet { host, port, .. } => write!(f, "tcp:{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Fd(name) => write!(f, "fd:{name}"),
        }
    }
}
