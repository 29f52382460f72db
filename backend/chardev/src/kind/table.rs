//! The table of kinds and their options: names and defaults are QEMU's.

use southbridge_core::{PropKind, Property};

use super::{Kind, Maker, file, null, pipe, pty, ringbuf, serial, socket, stdio, udp};

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
