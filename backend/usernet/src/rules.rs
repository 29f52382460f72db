//! Forwarding rules as users write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::Error;

/// Where the host listens for the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostSide {
    /// TCP. Port 0 lets the host choose.
    Tcp(SocketAddr),
    /// UDP.
    Udp(SocketAddr),
    /// A unix stream socket that the engine makes; the guest sees TCP.
    Unix(PathBuf),
}

/// A rule `hostfwd=[tcp|udp|unix]:[hostaddr]:hostport-[guestaddr]:guestport`; IPv6 addresses stand in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostForward {
    /// Where the host listens.
    pub host: HostSide,
    /// The guest's address; `None` is the first that DHCP gives out.
    pub guest: Option<IpAddr>,
    /// The guest's port.
    pub guest_port: u16,
}

/// Where a guest's connection to a forwarded address goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestForwardTo {
    /// `cmd:command`: a process for each connection, which has it as its standard input and output. Words are split as a shell
    /// does; nothing is expanded.
    Command(String),
    /// Anything else: a chardev by its id or in the short form of `-serial`. The owner opens it and gives the engine a
    /// [`crate::Channel`], or a [`crate::GuestTarget::Address`] if it wants a connection of its own for each of the guest's.
    Chardev(String),
}

/// A rule `guestfwd=[tcp]:server:port-dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestForward {
    /// The address the guest connects to; `None` is the fourth of the network, as libslirp chooses.
    pub server: Option<IpAddr>,
    /// The port the guest connects to.
    pub port: u16,
    /// Where that goes.
    pub to: GuestForwardTo,
}

struct Rest<'a> {
    kind: &'static str,
    rule: &'a str,
    rest: &'a str,
}

impl<'a> Rest<'a> {
    fn new(kind: &'static str, rule: &'a str) -> Self {
        Self { kind, rule, rest: rule }
    }

    fn wrong(&self, reason: &'static str) -> Error {
        Error::Rule {
            kind: self.kind,
            rule: self.rule.to_owned(),
            reason,
        }
    }

    fn until(&mut self, separator: char, reason: &'static str) -> Result<&'a str, Error> {
        let (word, rest) = self.rest.split_once(separator).ok_or_else(|| self.wrong(reason))?;
        self.rest = rest;
        Ok(word)
    }

    /// An address and the colon after it; an empty one is `None`.
    fn address(&mut self, reason: &'static str) -> Result<Option<IpAddr>, Error> {
        if let Some(inner) = self.rest.strip_prefix('[') {
            let (word, rest) = inner.split_once("]:").ok_or_else(|| self.wrong(reason))?;
            self.rest = rest;
            return word
                .parse()
                .map(|a| Some(IpAddr::V6(a)))
                .map_err(|_| self.wrong(reason));
        }
        match self.until(':', reason)? {
            "" => Ok(None),
            word => word
                .parse()
                .map(|a| Some(IpAddr::V4(a)))
                .map_err(|_| self.wrong(reason)),
        }
    }
}

/// As `strtol` with base 0 has it: decimal, 0x or 0.
fn port(text: &str) -> Option<u16> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u16::from_str_radix(hex, 16).ok();
    }
    if text.len() > 1 && text.starts_with('0') {
        return u16::from_str_radix(text, 8).ok();
    }
    text.parse().ok()
}

/// The part of a host rule before the dash, which alone names a rule to remove.
fn host_side(rest: &mut Rest<'_>, with_guest: bool) -> Result<HostSide, Error> {
    let protocol = rest.until(':', "there is no ':' after the protocol")?;
    let make: fn(SocketAddr) -> HostSide = match protocol {
        "" | "tcp" => HostSide::Tcp,
        "udp" => HostSide::Udp,
        "unix" => {
            let path = if with_guest {
                rest.until('-', "there is no '-' after the path")?
            } else {
                rest.rest
            };
            return if path.is_empty() {
                Err(rest.wrong("the path is empty"))
            } else {
                Ok(HostSide::Unix(path.into()))
            };
        }
        _ => return Err(rest.wrong("the protocol must be tcp, udp or unix")),
    };
    let address = rest.address("the host's address must be an IPv4 address, an IPv6 address in brackets, or empty")?;
    let word = if with_guest {
        rest.until('-', "there is no '-' after the host's port")?
    } else {
        rest.rest
    };
    let port = port(word).ok_or_else(|| rest.wrong("the host's port must be a number from 0 to 65535"))?;
    Ok(make(SocketAddr::new(
        address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
        port,
    )))
}

impl HostForward {
    /// Reads a rule.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn parse(rule: &str) -> Result<Self, Error> {
        let mut rest = Rest::new("host", rule);
        let host = host_side(&mut rest, true)?;
        let guest =
            rest.address("the guest's address must be an IPv4 address, an IPv6 address in brackets, or empty")?;
        match port(rest.rest) {
            Some(guest_port) if guest_port != 0 => Ok(Self {
                host,
                guest,
                guest_port,
            }),
            _ => Err(rest.wrong("the guest's port must be a number from 1 to 65535")),
        }
    }

    /// Reads the argument of `hostfwd_remove`: `[tcp|udp|unix]:[hostaddr]:hostport`.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn parse_host_side(rule: &str) -> Result<HostSide, Error> {
        host_side(&mut Rest::new("host", rule), false)
    }
}

impl GuestForward {
    /// Reads a rule.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn parse(rule: &str) -> Result<Self, Error> {
        let mut rest = Rest::new("guest", rule);
        if !matches!(rest.until(':', "there is no ':' after the protocol")?, "" | "tcp") {
            return Err(rest.wrong("the protocol must be tcp"));
        }
        let server = rest.address("the server must be an IPv4 address, an IPv6 address in brackets, or empty")?;
        let word = rest.until('-', "there is no '-' after the port")?;
        let port = word.parse().ok().filter(|p| *p != 0);
        let port = port.ok_or_else(|| rest.wrong("the port must be a number from 1 to 65535"))?;
        let to = match rest.rest.strip_prefix("cmd:") {
            Some(command) if command.trim().is_empty() => return Err(rest.wrong("the command is empty")),
            Some(command) => GuestForwardTo::Command(command.to_owned()),
            None if rest.rest.is_empty() => return Err(rest.wrong("there is nothing after the '-'")),
            None => GuestForwardTo::Chardev(rest.rest.to_owned()),
        };
        Ok(Self { server, port, to })
    }
}

impl fmt::Display for HostSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(a) => write!(f, "tcp:{a}"),
            Self::Udp(a) => write!(f, "udp:{a}"),
            Self::Unix(p) => write!(f, "unix:{}", p.display()),
        }
    }
}
