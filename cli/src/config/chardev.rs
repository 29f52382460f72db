//! `-chardev`: a channel for characters, typed per back end.
//!
//! The keys and defaults are those of QEMU 10. What TLS, websockets and host serial ports need is named as not here.

use crate::command::HelpTopic;
use crate::error::{ErrorKind, OptError};
use crate::keyval::{Entry, Props};
use crate::location::{Located, Location};

use super::{Config, Info, id};

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChardevOpt {
    /// Its name.
    pub id: Located<String>,
    /// The back end's name as given.
    pub backend: Located<String>,
    /// The back end and its settings.
    pub kind: ChardevKind,
    /// Several users take turns, switched by Ctrl-a.
    pub mux: bool,
    /// Everything that goes out is also written to this file.
    pub logfile: Option<Located<String>>,
    /// Keep what that file has.
    pub logappend: bool,
    /// All keys as given, except the id.
    pub props: Props,
}

/// A back end and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChardevKind {
    /// Swallows everything, gives nothing.
    Null,
    /// The terminal, or whatever standard input and output are.
    Stdio {
        /// Whether Ctrl-C ends the program; if not, the guest gets it.
        signal: bool,
    },
    /// A file for output, perhaps another for input.
    File {
        /// For output.
        path: Located<String>,
        /// For input.
        input_path: Option<Located<String>>,
        /// Keep what the file has.
        append: bool,
    },
    /// Two named pipes `PATH.in` and `PATH.out`, or one file for both.
    Pipe {
        /// Their common name.
        path: Located<String>,
    },
    /// A new pseudo terminal.
    Pty {
        /// A link to it, made at this name.
        path: Option<Located<String>>,
    },
    /// A stream socket.
    Socket(SocketOpt),
    /// A datagram socket.
    Udp(UdpOpt),
    /// Keeps the last bytes for the monitor.
    Ringbuf {
        /// How many; a power of two.
        size: u64,
    },
    /// Shares another channel.
    Mux {
        /// That channel's id.
        chardev: Located<String>,
    },
    /// Joins several channels: output goes to all, input comes from any.
    Hub {
        /// Their ids.
        chardevs: Vec<Located<String>>,
    },
}

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

/// Back ends that work: name, keys of their own, one line.
const BACKENDS: &[(&str, &[&str], &str)] = &[
    ("null", &[], "swallows output, gives no input"),
    ("stdio", &["signal"], "standard input and output"),
    ("file", &["path", "input-path", "append"], "a file"),
    ("pipe", &["path"], "a pair of named pipes"),
    ("pty", &["path"], "a new pseudo terminal"),
    (
        "socket",
        &[
            "path",
            "abstract",
            "tight",
            "host",
            "port",
            "to",
            "ipv4",
            "ipv6",
            "fd",
            "server",
            "wait",
            "telnet",
            "nodelay",
            "delay",
            "reconnect",
            "reconnect-ms",
            "tls-creds",
            "tls-authz",
            "websocket",
            "tn3270",
        ],
        "a TCP or unix socket, client or server",
    ),
    (
        "udp",
        &["host", "port", "localaddr", "localport", "ipv4", "ipv6"],
        "UDP datagrams",
    ),
    ("ringbuf", &["size"], "keeps the last output in memory"),
    ("mux", &["chardev"], "lets several users share a channel"),
    ("hub", &["chardevs."], "joins several channels"),
];
const COMMON: &[&str] = &["backend", "id", "mux", "logfile", "logappend"];
/// Back ends of QEMU that are not here.
const LATER: &[&str] = &[
    "vc",
    "serial",
    "tty",
    "parallel",
    "parport",
    "msmouse",
    "wctablet",
    "braille",
    "testdev",
    "spicevmc",
    "spiceport",
    "dbus",
    "console",
    "qemu-vdagent",
];
/// QEMU's size of a ring buffer, in bytes.
const RINGBUF_DEFAULT: u64 = 65536;

/// What `-chardev help` prints.
pub fn help_text() -> String {
    let mut out = String::from("Available chardev backend types:\n");
    for (name, _, summary) in BACKENDS {
        out.push_str(&format!("  {name:<8} {summary}\n"));
    }
    out
}

pub(super) fn option(props: Props, config: &mut Config) -> Result<(), OptError> {
    if props.help_at().is_some() {
        config.show(Info::Help(HelpTopic::Chardevs));
        return Ok(());
    }
    let id = id(&props, "chardev", config.chardevs.iter().map(|c| &c.id))?
        .ok_or_else(|| OptError::missing("-chardev", "'id'", props.at()).with_help("add id=NAME"))?;
    config.chardevs.push(parse(id, props)?);
    Ok(())
}

/// Reads the settings of a channel. Also for the short forms of `-serial`, which are turned into a list first.
pub(super) fn parse(id: Located<String>, props: Props) -> Result<ChardevOpt, OptError> {
    let backend = props.required("-chardev", "backend")?;
    // The old name of the ring buffer, which QEMU still takes.
    let name = if backend.value == "memory" {
        "ringbuf"
    } else {
        &backend.value
    };
    let Some((name, keys, _)) = BACKENDS.iter().find(|(n, ..)| *n == name) else {
        if LATER.contains(&name) {
            return Err(OptError::not_yet(format!("the chardev back end '{name}'"), backend.at));
        }
        return Err(OptError::no_such(
            "chardev back end",
            name,
            BACKENDS.iter().map(|b| b.0),
            backend.at,
        ));
    };
    let valid: Vec<&str> = keys.iter().chain(COMMON).copied().collect();
    props.only(&format!("chardev back end '{name}'"), &valid)?;
    let kind = kind(name, &props)?;
    Ok(ChardevOpt {
        id,
        backend,
        kind,
        mux: props.switch("mux")?.is_some_and(|m| m.value),
        logfile: props.text("logfile"),
        logappend: props.switch("logappend")?.is_some_and(|a| a.value),
        props: props.without(&["id"]),
    })
}

fn kind(name: &str, props: &Props) -> Result<ChardevKind, OptError> {
    let owner = format!("chardev back end '{name}'");
    let on = |key: &str| props.switch(key).map(|s| s.is_some_and(|s| s.value));
    Ok(match name {
        "stdio" => ChardevKind::Stdio {
            signal: props.switch("signal")?.is_none_or(|s| s.value),
        },
        "file" => ChardevKind::File {
            path: props.required(&owner, "path")?,
            input_path: props.text("input-path"),
            append: on("append")?,
        },
        "pipe" => ChardevKind::Pipe {
            path: props.required(&owner, "path")?,
        },
        "pty" => ChardevKind::Pty {
            path: props.text("path"),
        },
        "socket" => ChardevKind::Socket(socket(props)?),
        "udp" => ChardevKind::Udp(udp(props)?),
        "ringbuf" => ringbuf(props)?,
        "mux" => ChardevKind::Mux {
            chardev: props.required(&owner, "chardev")?,
        },
        "hub" => hub(props)?,
        _ => ChardevKind::Null,
    })
}

fn ringbuf(props: &Props) -> Result<ChardevKind, OptError> {
    let size = props.size("size")?.filter(|s| s.value != 0);
    match size {
        None => Ok(ChardevKind::Ringbuf { size: RINGBUF_DEFAULT }),
        Some(size) if size.value.is_power_of_two() && size.value <= 1 << 30 => {
            Ok(ChardevKind::Ringbuf { size: size.value })
        }
        Some(size) => {
            let text = size.at.word().to_owned();
            Err(OptError::bad_value(
                Some("size"),
                &text,
                "a power of two up to 1G",
                size.at,
            ))
        }
    }
}

fn hub(props: &Props) -> Result<ChardevKind, OptError> {
    let mut chardevs = Vec::new();
    while let Some(one) = props.text(&format!("chardevs.{}", chardevs.len())) {
        chardevs.push(one);
    }
    let stray = |e: &&Entry| {
        let index = e.key.strip_prefix("chardevs.").and_then(|i| i.parse::<usize>().ok());
        e.key.starts_with("chardevs.") && index.is_none_or(|i| i >= chardevs.len())
    };
    if let Some(entry) = props.entries().iter().find(stray) {
        let why = format!(
            "'{}' leaves a gap: the channels of a hub count from chardevs.0",
            entry.key
        );
        return Err(OptError::new(ErrorKind::Syntax { why }, entry.key_at.clone()));
    }
    // QEMU's limit.
    if chardevs.is_empty() || chardevs.len() > 4 {
        return Err(
            OptError::missing("chardev back end 'hub'", "one to four channels", props.at())
                .with_help("write chardevs.0=ID,chardevs.1=ID"),
        );
    }
    Ok(ChardevKind::Hub { chardevs })
}

fn socket(props: &Props) -> Result<SocketOpt, OptError> {
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

fn udp(props: &Props) -> Result<UdpOpt, OptError> {
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

/// Names of channels that options use must be those of channels. Devices name theirs through properties, which only
/// the machine layer knows.
pub(super) fn check_references(config: &Config) -> Result<(), OptError> {
    let known: Vec<&str> = config.chardevs.iter().map(|c| c.id.value.as_str()).collect();
    let mut used: Vec<&Located<String>> = Vec::new();
    for chardev in &config.chardevs {
        match &chardev.kind {
            ChardevKind::Mux { chardev } => used.push(chardev),
            ChardevKind::Hub { chardevs } => used.extend(chardevs),
            _ => {}
        }
    }
    used.extend(config.semihosting.chardev.as_ref());
    used.extend(config.serials.iter().filter_map(|s| match &s.backend {
        super::SerialBackend::Existing(id) => Some(id),
        _ => None,
    }));
    match used.into_iter().find(|name| !known.contains(&name.value.as_str())) {
        Some(name) => Err(no_chardev(&name.value, &known, name.at.clone())),
        None => Ok(()),
    }
}

/// The error that a name is no channel's; also for the machine layer.
pub fn no_chardev(name: &str, known: &[&str], at: Location) -> OptError {
    let error = OptError::no_such("chardev", name, known, at);
    if known.is_empty() {
        error.with_help("make it with -chardev BACKEND,id=NAME")
    } else {
        error
    }
}
