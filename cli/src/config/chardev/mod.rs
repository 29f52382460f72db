//! `-chardev`: a channel for characters, typed per back end.
//!
//! The keys and defaults are those of QEMU 10. What TLS, websockets and host serial ports need is named as not here.

mod socket;

use crate::command::HelpTopic;
use crate::error::{ErrorKind, OptError};
use crate::keyval::{Entry, Props};
use crate::location::{Located, Location};

use super::{Config, Info, id};
pub use socket::{SocketAddress, SocketOpt, UdpOpt};

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
        "socket" => ChardevKind::Socket(socket::socket(props)?),
        "udp" => ChardevKind::Udp(socket::udp(props)?),
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
