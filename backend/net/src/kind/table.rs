//! The table of kinds. Names and options are QEMU's; the words are ours.

use southbridge_core::{PropKind, Property};

use super::{Kind, Maker, dgram, socket, stream};

const fn p(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// Every kind that QEMU has on Linux.
pub static KINDS: &[Kind] = &[SOCKET, STREAM, DGRAM, HUBPORT];

const HUBPORT: Kind = Kind {
    name: "hubport",
    summary: "a port of a hub inside the machine",
    options: &[
        p("hubid", PropKind::Uint(31), None, "Number of the hub"),
        p(
            "netdev",
            PropKind::Str,
            None,
            "Back end that the hub leads to by this port, in place of a NIC",
        ),
    ],
    maker: Maker::HubPort,
    several: &[],
};

const SOCKET: Kind = Kind {
    name: "socket",
    summary: "another machine over TCP, UDP or a multicast group (see also stream and dgram)",
    options: &[
        p("fd", PropKind::Str, None, "Open descriptor of a connected socket"),
        p(
            "listen",
            PropKind::Str,
            None,
            "[HOST]:PORT to be waited at for a peer over TCP",
        ),
        p("connect", PropKind::Str, None, "HOST:PORT of a peer over TCP"),
        p("mcast", PropKind::Str, None, "GROUP:PORT of a multicast group"),
        p(
            "localaddr",
            PropKind::Str,
            None,
            "Own address: an interface's for mcast, [HOST]:PORT for udp",
        ),
        p("udp", PropKind::Str, None, "HOST:PORT of a peer over UDP"),
    ],
    maker: Maker::Link(socket::make),
    several: &[],
};

const STREAM: Kind = Kind {
    name: "stream",
    summary: "another machine over a stream socket",
    options: &[
        p(
            "server",
            PropKind::Bool,
            Some("off"),
            "Wait for the peer instead of connecting to it",
        ),
        p(
            "addr.type",
            PropKind::Enum(&["inet", "unix", "fd", "vsock"]),
            None,
            "Sort of address",
        ),
        p("addr.host", PropKind::Str, None, "Host, for inet"),
        p("addr.port", PropKind::Str, None, "Port, for inet"),
        p(
            "addr.to",
            PropKind::Uint(16),
            None,
            "Last port to try for a server, for inet",
        ),
        p("addr.ipv4", PropKind::Bool, None, "Whether IPv4 will do, for inet"),
        p("addr.ipv6", PropKind::Bool, None, "Whether IPv6 will do, for inet"),
        p(
            "addr.numeric",
            PropKind::Bool,
            None,
            "The host is a number (it may be a name in any case), for inet",
        ),
        p(
            "addr.keep-alive",
            PropKind::Bool,
            None,
            "Accepted: frames are told from silence by no other means, for inet",
        ),
        p("addr.path", PropKind::Str, None, "File of the socket, for unix"),
        p(
            "addr.abstract",
            PropKind::Bool,
            Some("off"),
            "The name is in Linux' abstract namespace, for unix",
        ),
        p(
            "addr.tight",
            PropKind::Bool,
            Some("on"),
            "Such a name is as long as it is written, for unix",
        ),
        p("addr.str", PropKind::Str, None, "Open descriptor, for fd"),
        p(
            "reconnect",
            PropKind::Uint(32),
            None,
            "Older form of reconnect-ms, in seconds",
        ),
        p(
            "reconnect-ms",
            PropKind::Uint(32),
            None,
            "Pause between attempts to connect, again and again; 0 for one attempt",
        ),
    ],
    maker: Maker::Link(stream::make),
    several: &[],
};

const DGRAM: Kind = Kind {
    name: "dgram",
    summary: "another machine, or a group of them, over a datagram socket",
    options: &[
        p(
            "local.type",
            PropKind::Enum(&["inet", "unix", "fd"]),
            None,
            "Sort of the own address",
        ),
        p(
            "local.host",
            PropKind::Str,
            None,
            "Own host, or the interface of a group, for inet",
        ),
        p("local.port", PropKind::Str, None, "Own port, for inet"),
        p("local.path", PropKind::Str, None, "File of the own socket, for unix"),
        p("local.str", PropKind::Str, None, "Open descriptor, for fd"),
        p(
            "remote.type",
            PropKind::Enum(&["inet", "unix"]),
            None,
            "Sort of the peer's address",
        ),
        p(
            "remote.host",
            PropKind::Str,
            None,
            "The peer's host, or a group, for inet",
        ),
        p("remote.port", PropKind::Str, None, "The peer's port, for inet"),
        p(
            "remote.path",
            PropKind::Str,
            None,
            "File of the peer's socket, for unix",
        ),
    ],
    maker: Maker::Link(dgram::make),
    several: &[],
};
