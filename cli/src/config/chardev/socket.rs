//! Sockets as channels: stream sockets (TCP, unix, inherited) and UDP.

use crate::error::OptError;
use crate::keyval::{Entry, Props};
use crate::location::Located;

/// Where a stream socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketAddress {
    /// A path in the file system.
    Unix {
        /// The path.
        path: Located<String>,
        /// In Linux's abstract name space instead.
        is_abstract: bool,
        /// An abstract name without trailing zeros.
        tight: bool,
    },
    /// TCP.
    Inet {
        /// Host name or address; empty for the loopback (client) or all addresses (server).
        host: Located<String>,
        /// Port number or service name.
        port: Located<String>,
        /// A server tries the ports up to this one.
        to: Option<u16>,
        /// Use IPv4, or do not; `None` for whatever there is.
        ipv4: Option<bool>,
        /// Use IPv6, or do not.
        ipv6: Option<bool>,
    },
    /// A descriptor inherited from the parent.
    Fd {
        /// Its number.
        fd: Located<u32>,
    },
}

/// A stream socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOpt {
    /// Where.
    pub address: SocketAddress,
    /// Listen instead of connecting.
    pub server: bool,
    /// A server waits at start until someone connects.
    pub wait: bool,
    /// Speak the telnet protocol.
    pub telnet: bool,
    /// Send small packets at once.
    pub nodelay: bool,
    /// A client tries again after this many milliseconds; 0 never.
    pub reconnect_ms: u64,
}

/// A datagram socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpOpt {
    /// To whom; `localhost` if not given.
    pub host: String,
    /// The port there.
    pub port: Located<String>,
    /// Own address; empty for any.
    pub local_host: String,
    /// Own port; `0` for any.
    pub local_port: String,
    /// Use IPv4, or do not.
    pub ipv4: Option<bool>,
    /// Use IPv6, or do not.
    pub ipv6: Option<bool>,
}

pub(super) fn socket(props: &Props) -> Result<SocketOpt, OptError> {
    for key in ["tls-creds", "tls-authz", "websocket", "tn3270"] {
        if let Some(entry) = props.get(key)
            && !matches!(entry.value.as_str(), "off" | "no" | "false")
        {
            return Err(OptError::not_yet(format!("'{key}' of sockets"), entry.key_at.clone()));
        }
    }
    let on = |key: &str| props.switch(key).map(|s| s.is_some_and(|s| s.value));
    let server = on("server")?;
    let address = address(props)?;
    let wait = props.switch("wait")?;
    if let (Some(wait), false) = (&wait, server) {
        return Err(OptError::conflict("'wait'", "connecting as a client", wait.at.clone())
            .with_help("add server=on, or leave 'wait' out"));
    }
    if let (Some(one), Some(_)) = (props.get("delay"), props.get("nodelay"))
        && one.key_at != props.get("nodelay").map_or_else(|| props.at(), |n| n.key_at.clone())
    {
        return Err(OptError::conflict("'delay'", "'nodelay'", one.key_at.clone()));
    }
    Ok(SocketOpt {
        reconnect_ms: reconnect(props, server, &address)?,
        address,
        server,
        wait: server && wait.is_none_or(|w| w.value),
        telnet: on("telnet")?,
        nodelay: props.switch("delay")?.is_some_and(|d| !d.value) || on("nodelay")?,
    })
}

/// `reconnect` counts seconds and `reconnect-ms` milliseconds.
fn reconnect(props: &Props, server: bool, address: &SocketAddress) -> Result<u64, OptError> {
    let (seconds, millis) = (props.number("reconnect")?, props.number("reconnect-ms")?);
    if let (Some(_), Some(millis)) = (&seconds, &millis) {
        return Err(OptError::conflict("'reconnect-ms'", "'reconnect'", millis.at.clone()));
    }
    let Some(given) = seconds.as_ref().or(millis.as_ref()) else {
        return Ok(0);
    };
    let clash = match address {
        _ if server => Some("listening as a server"),
        SocketAddress::Fd { .. } => Some("an inherited descriptor"),
        _ => None,
    };
    match clash {
        Some(other) if given.value != 0 => Err(OptError::conflict("reconnecting", other, given.at.clone())),
        _ if seconds.is_some() => Ok(given.value.saturating_mul(1000)),
        _ => Ok(given.value),
    }
}

fn address(props: &Props) -> Result<SocketAddress, OptError> {
    let owner = "chardev back end 'socket'";
    let given: Vec<&Entry> = ["path", "host", "fd"].iter().filter_map(|k| props.get(k)).collect();
    if let [first, second, ..] = given.as_slice() {
        let (this, other) = (format!("'{}'", second.key), format!("'{}'", first.key));
        return Err(
            OptError::conflict(this, other, second.key_at.clone()).with_also(first.key_at.clone(), "given here")
        );
    }
    if let Some(path) = props.text("path") {
        if path.value.is_empty() {
            return Err(OptError::missing(owner, "a value for 'path'", path.at));
        }
        let is_abstract = props.switch("abstract")?.is_some_and(|a| a.value);
        let tight = props.switch("tight")?.is_none_or(|t| t.value);
        return Ok(SocketAddress::Unix {
            path,
            is_abstract,
            tight,
        });
    }
    if let Some(fd) = props.get("fd") {
        let number = fd.value.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32);
        let number = number.ok_or_else(|| fd.bad_value("the number of an open descriptor"))?;
        return Ok(SocketAddress::Fd {
            fd: Located::new(number, fd.value_at.clone()),
        });
    }
    let Some(host) = props.text("host") else {
        return Err(OptError::missing(owner, "'path', 'host' or 'fd'", props.at()));
    };
    let to = props.number("to")?;
    let to = to
        .map(|t| u16::try_from(t.value).map_err(|_| bad_port("to", &t)))
        .transpose()?;
    let port = props.required(owner, "port")?;
    let (ipv4, ipv6) = families(props)?;
    Ok(SocketAddress::Inet {
        host,
        port,
        to,
        ipv4,
        ipv6,
    })
}

fn bad_port(key: &str, at: &Located<u64>) -> OptError {
    OptError::bad_value(
        Some(key),
        &at.value.to_string(),
        "a port number up to 65535",
        at.at.clone(),
    )
}

fn families(props: &Props) -> Result<(Option<bool>, Option<bool>), OptError> {
    Ok((
        props.switch("ipv4")?.map(|v| v.value),
        props.switch("ipv6")?.map(|v| v.value),
    ))
}

pub(super) fn udp(props: &Props) -> Result<UdpOpt, OptError> {
    let port = props.text("port").filter(|p| !p.value.is_empty());
    let port = port.ok_or_else(|| OptError::missing("chardev back end 'udp'", "'port'", props.at()))?;
    let or = |key: &str, default: &str| {
        props
            .text(key)
            .map(|t| t.value)
            .filter(|t| !t.is_empty())
            .unwrap_or_else(|| default.to_owned())
    };
    let (ipv4, ipv6) = families(props)?;
    Ok(UdpOpt {
        host: or("host", "localhost"),
        port,
        local_host: or("localaddr", ""),
        local_port: or("localport", "0"),
        ipv4,
        ipv6,
    })
}
