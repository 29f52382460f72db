//! The kinds of back ends: one file each, and the table from which parsing, help and errors derive.

use southbridge_core::property::parse_value;
use southbridge_core::{PropKind, PropValue, Properties, Property};

use crate::error::CharError;
use crate::link::{Link, LinkEvent};
use std::collections::VecDeque;

mod address;
pub(crate) mod file;
pub(crate) mod hub;
pub(crate) mod null;
pub(crate) mod pipe;
pub(crate) mod pty;
pub(crate) mod ringbuf;
pub(crate) mod serial;
pub(crate) mod socket;
pub(crate) mod stdio;
pub(crate) mod stream;
pub(crate) mod telnet;
pub(crate) mod udp;

/// What a kind's maker may use.
pub(crate) struct Make<'a> {
    pub(crate) options: &'a Properties,
    pub(crate) id: &'a str,
    pub(crate) inbox: &'a mut VecDeque<LinkEvent>,
}

type MakeFn = fn(&mut Make<'_>) -> Result<Box<dyn Link>, CharError>;

/// How a kind comes to be.
pub(crate) enum Maker {
    /// From its options alone.
    Link(MakeFn),
    /// From another back end, by [`crate::Chardevs`].
    Mux,
    /// From several others, likewise.
    Hub,
    /// Not here: why.
    Missing(&'static str),
}

/// A kind of back end.
pub struct Kind {
    /// Name on the command line.
    pub name: &'static str,
    /// Another name, kept for old command lines.
    pub alias: Option<&'static str>,
    /// One line for people.
    pub summary: &'static str,
    /// Its own options; those of [`COMMON`] come on top.
    pub options: &'static [Property],
    pub(crate) maker: Maker,
}

impl Kind {
    /// Why this kind cannot be opened here, if so.
    pub fn missing(&self) -> Option<&'static str> {
        match self.maker {
            Maker::Missing(why) => Some(why),
            _ => None,
        }
    }

    /// All options: its own, then the common ones.
    pub fn all_options(&self) -> impl Iterator<Item = &'static Property> {
        self.options.iter().chain(COMMON)
    }

    fn option(&self, name: &str) -> Option<&'static Property> {
        self.all_options().find(|p| p.name == name)
    }
}

const fn option(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// A kind that QEMU has; its options are not looked at.
const fn missing(name: &'static str, why: &'static str) -> Kind {
    Kind {
        name,
        alias: None,
        summary: "not supported",
        options: &[],
        maker: Maker::Missing(why),
    }
}

/// Options of every kind.
pub const COMMON: &[Property] = &[
    option(
        "mux",
        PropKind::Bool,
        Some("off"),
        "share it between several front ends, with the Ctrl-a menu",
    ),
    option("logfile", PropKind::Str, None, "also write all output to this file"),
    option(
        "logappend",
        PropKind::Bool,
        Some("off"),
        "keep what the log file has already",
    ),
];

/// All kinds, by name.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "file",
        alias: None,
        summary: "output to a file",
        options: &[
            option("path", PropKind::Str, None, "file that takes the output"),
            option("input-path", PropKind::Str, None, "file (or device) that gives input"),
            option("append", PropKind::Bool, Some("off"), "keep what the file has already"),
        ],
        maker: Maker::Link(file::make),
    },
    Kind {
        name: "hub",
        alias: None,
        summary: "several chardevs as one: output goes to all, input comes from any",
        options: &[
            option("chardevs.0", PropKind::Str, None, "id of the first chardev"),
            option("chardevs.1", PropKind::Str, None, "id of the second chardev"),
            option("chardevs.2", PropKind::Str, None, "id of the third chardev"),
            option("chardevs.3", PropKind::Str, None, "id of the fourth chardev"),
        ],
        maker: Maker::Hub,
    },
    Kind {
        name: "mux",
        alias: None,
        summary: "makes another chardev one that several front ends share, with the Ctrl-a menu",
        options: &[option("chardev", PropKind::Str, None, "id of the chardev to share")],
        maker: Maker::Mux,
    },
    Kind {
        name: "pipe",
        alias: None,
        summary: "the FIFOs PATH.in and PATH.out, or one PATH for both",
        options: &[option(
            "path",
            PropKind::Str,
            None,
            "name of the FIFOs without .in and .out",
        )],
        maker: Maker::Link(pipe::make),
    },
    Kind {
        name: "pty",
        alias: None,
        summary: "a new pseudo-terminal, whose name is printed",
        options: &[option(
            "path",
            PropKind::Str,
            None,
            "symbolic link to make to the terminal",
        )],
        maker: Maker::Link(pty::make),
    },
    Kind {
        name: "serial",
        alias: Some("tty"),
        summary: "a serial port of the host",
        options: &[option("path", PropKind::Str, None, "device, such as /dev/ttyUSB0")],
        maker: Maker::Link(serial::make),
    },
    Kind {
        name: "udp",
        alias: None,
        summary: "datagrams to and from one address",
        options: &[
            option("host", PropKind::Str, Some("localhost"), "where output goes"),
            option("port", PropKind::Str, None, "port there"),
            option("localaddr", PropKind::Str, None, "address to receive at (default: any)"),
            option("localport", PropKind::Str, None, "port to receive at (default: any)"),
            option("ipv4", PropKind::Bool, None, "use (only) IPv4"),
            option("ipv6", PropKind::Bool, None, "use (only) IPv6"),
        ],
        maker: Maker::Link(udp::make),
    },
    missing("braille", "needs BrlAPI, which is not supported yet"),
    missing("console", "exists on Windows only; use stdio"),
    missing("dbus", "the D-Bus display is not supported yet; use socket"),
    missing("msmouse", "is not supported yet"),
    Kind {
        alias: Some("parport"),
        ..missing(
            "parallel",
            "parallel ports of the host are not supported yet; use file for a printer",
        )
    },
    missing("qemu-vdagent", "is not supported yet"),
    missing("spiceport", "SPICE is not supported; use socket"),
    missing("spicevmc", "SPICE is not supported; use socket"),
    missing("testdev", "is not supported yet"),
    missing(
        "vc",
        "there is no window with text consoles yet; use stdio, pty or socket",
    ),
    missing("wctablet", "is not supported yet"),
    Kind {
        name: "null",
        alias: None,
        summary: "swallows output and never has input",
        options: &[],
        maker: Maker::Link(null::make),
    },
    Kind {
        name: "ringbuf",
        alias: Some("memory"),
        summary: "the newest output in memory, read through a monitor",
        options: &[option("size", PropKind::Size, Some("65536"), "bytes, a power of two")],
        maker: Maker::Link(ringbuf::make),
    },
    Kind {
        name: "socket",
        alias: None,
        summary: "a unix or TCP socket, as server or client",
        options: &[
            option("path", PropKind::Str, None, "unix socket"),
            option(
                "abstract",
                PropKind::Bool,
                Some("off"),
                "the path is a name in Linux' abstract namespace",
            ),
            option(
                "tight",
                PropKind::Bool,
                Some("on"),
                "an abstract name is as long as written, not padded",
            ),
            option(
                "host",
                PropKind::Str,
                None,
                "TCP: name or address; empty for all of a server's",
            ),
            option("port", PropKind::Str, None, "TCP: port"),
            option(
                "to",
                PropKind::Uint(16),
                None,
                "last port that a server tries when the first are taken",
            ),
            option("ipv4", PropKind::Bool, None, "use (only) IPv4"),
            option("ipv6", PropKind::Bool, None, "use (only) IPv6"),
            option("fd", PropKind::Str, None, "number of an inherited descriptor"),
            option("server", PropKind::Bool, Some("off"), "listen instead of connecting"),
            option(
                "wait",
                PropKind::Bool,
                None,
                "a server holds the machine's start until a client is there (default: on)",
            ),
            option("nodelay", PropKind::Bool, None, "send small TCP segments at once"),
            option("delay", PropKind::Bool, None, "the opposite of nodelay"),
            option("telnet", PropKind::Bool, None, "a server speaks telnet"),
            option(
                "tn3270",
                PropKind::Bool,
                None,
                "a server speaks telnet for 3270 terminals",
            ),
            option("websocket", PropKind::Bool, None, "not supported yet"),
            option(
                "reconnect-ms",
                PropKind::Uint(32),
                None,
                "a client connects again after so many milliseconds (0: never)",
            ),
            option("reconnect", PropKind::Uint(32), None, "the same in seconds (old)"),
            option("tls-creds", PropKind::Str, None, "not supported yet"),
            option("tls-authz", PropKind::Str, None, "not supported yet"),
        ],
        maker: Maker::Link(socket::make),
    },
    Kind {
        name: "stdio",
        alias: None,
        summary: "standard input and output of this process",
        options: &[option(
            "signal",
            PropKind::Bool,
            Some("on"),
            "Ctrl-C ends the run; with off the guest gets it",
        )],
        maker: Maker::Link(stdio::make),
    },
];

/// A kind by its name or alias.
pub fn find(name: &str) -> Result<&'static Kind, CharError> {
    KINDS
        .iter()
        .find(|k| k.name == name || k.alias.is_some_and(|a| a == name))
        .ok_or_else(|| CharError::UnknownKind {
            kind: name.to_owned(),
            nearest: nearest(name, KINDS.iter().map(|k| k.name)),
        })
}

fn nearest(name: &str, all: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    all.map(|n| (strsim::damerau_levenshtein(name, n), n))
        .filter(|(d, n)| *d <= 1 + n.len() / 4)
        .min_by_key(|(d, _)| *d)
        .map(|(_, n)| n)
}

/// Reads options as the command line spells them; a word without a value counts as `on`. Later ones win. Defaults are filled in.
pub fn parse<'t>(
    kind: &'static Kind,
    pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<Properties, CharError> {
    let mut values = Properties::default();
    if let Maker::Missing(why) = kind.maker {
        return Err(CharError::KindMissing { kind: kind.name, why });
    }
    for (name, text) in pairs {
        let (declared, text) = declared(kind, name, text)?;
        let value = parse_value(declared.kind, text).ok_or_else(|| CharError::BadValue {
            option: name.to_owned(),
            value: text.to_owned(),
            expected: expected(declared.kind),
        })?;
        values.set(declared.name, value);
    }
    for p in kind.all_options() {
        if let (None, Some(text)) = (values.get(p.name), p.default)
            && let Some(v) = parse_value(p.kind, text)
        {
            values.set(p.name, v);
        }
    }
    Ok(values)
}

/// The option that a word means: `nowait` is `wait=off`.
fn declared<'t>(kind: &'static Kind, name: &str, text: &'t str) -> Result<(&'static Property, &'t str), CharError> {
    if let Some(p) = kind.option(name) {
        return Ok((p, text));
    }
    if let Some(p) = name.strip_prefix("no").and_then(|n| kind.option(n))
        && p.kind == PropKind::Bool
        && text == "on"
    {
        return Ok((p, "off"));
    }
    Err(CharError::UnknownOption {
        kind: kind.name,
        option: name.to_owned(),
        nearest: nearest(name, kind.all_options().map(|p| p.name)),
    })
}

fn expected(kind: PropKind) -> String {
    match kind {
        PropKind::Bool => "on or off".into(),
        PropKind::OnOffAuto => "on, off or auto".into(),
        PropKind::Uint(bits) => format!("a number from 0 to {}", u64::MAX >> (64 - bits.clamp(1, 64))),
        PropKind::Size => "a number of bytes, with a suffix of K, M or G if you like".into(),
        PropKind::Enum(words) => format!("one of {}", words.join(", ")),
        PropKind::Str | PropKind::Backend(_) => "text".into(),
    }
}

/// A text option that must be there.
pub(crate) fn required<'o>(
    options: &'o Properties,
    kind: &'static str,
    option: &'static str,
    expected: &'static str,
) -> Result<&'o str, CharError> {
    options
        .str(option)
        .filter(|s| !s.is_empty())
        .ok_or(CharError::Missing { kind, option, expected })
}

/// Whether an option was given or has a default.
pub(crate) fn given(options: &Properties, name: &str) -> bool {
    options.get(name).is_some()
}

/// The text of `-chardev help`.
pub fn help() -> String {
    let mut text = String::from("Available chardev backend types:\n");
    for k in KINDS.iter().filter(|k| k.missing().is_none()) {
        text.push_str(&format!("  {:<10} {}\n", k.name, k.summary));
    }
    text
}

/// The text of `-chardev KIND,help`.
pub fn kind_help(kind: &Kind) -> String {
    let mut text = format!("{} options:\n", kind.name);
    for p in kind.all_options() {
        let default = p.default.map(|d| format!(" (default: {d})")).unwrap_or_default();
        text.push_str(&format!("  {}=<{}> - {}{default}\n", p.name, p.kind.name(), p.help));
    }
    text
}

/// A bool that was said, apart from its default.
pub(crate) fn said_bool(options: &Properties, name: &str) -> Option<bool> {
    match options.get(name) {
        Some(PropValue::Bool(b)) => Some(*b),
        _ => None,
    }
}
