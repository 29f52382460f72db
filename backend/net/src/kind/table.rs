//! The table of kinds. Names and options are QEMU's; the words are ours.

use southbridge_core::{PropKind, Property};

use super::{Kind, Maker, dgram, l2tpv3, passt, socket, stream, tap, vde};

const fn p(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// Every kind that QEMU has on Linux.
pub static KINDS: &[Kind] = &[
    USER, TAP, BRIDGE, SOCKET, STREAM, DGRAM, PASST, L2TPV3, HUBPORT, VDE, VHOST_USER, VHOST_VDPA, NETMAP, AF_XDP,
];

const fn missing(name: &'static str, summary: &'static str, why: &'static str) -> Kind {
    Kind {
        name,
        summary,
        options: &[],
        maker: Maker::Missing(why),
        several: &[],
    }
}

const VDE: Kind = Kind {
    name: "vde",
    summary: "a port of a switch of Virtual Distributed Ethernet",
    options: &[
        text(
            "sock",
            "Folder of the switch's control socket (/run/vde.ctl, /tmp/vde.ctl)",
        ),
        p(
            "port",
            PropKind::Uint(16),
            None,
            "Number of the port (the next free one)",
        ),
        text("group", "Group that the own socket belongs to"),
        text("mode", "Permissions of the own socket (0700)"),
    ],
    maker: Maker::Link(vde::make),
    several: &[],
};
const VHOST_USER: Kind = Kind {
    name: "vhost-user",
    summary: "another process that works on rings in memory",
    options: &[
        text(
            "chardev",
            "Character back end, a unix socket, that leads to the process",
        ),
        p("queues", PropKind::Uint(32), Some("1"), "Queues"),
        p(
            "vhostforce",
            PropKind::Bool,
            Some("off"),
            "Accepted: it is so with every device",
        ),
    ],
    maker: Maker::VhostUser,
    several: &[],
};
const VHOST_VDPA: Kind = missing("vhost-vdpa", "rings that hardware works on", "not here yet");
const NETMAP: Kind = missing(
    "netmap",
    "a port of netmap",
    "no kernel of this host has netmap; use 'tap'",
);
const AF_XDP: Kind = missing("af-xdp", "an interface by AF_XDP sockets", "not here yet; use 'tap'");

const fn text(name: &'static str, help: &'static str) -> Property {
    p(name, PropKind::Str, None, help)
}

const fn switch(name: &'static str, help: &'static str) -> Property {
    p(name, PropKind::Bool, None, help)
}

const USER: Kind = Kind {
    name: "user",
    summary: "a network of its own behind this process: no privileges, no set-up",
    options: &[
        switch("ipv4", "IPv4 is there (without a word: unless only IPv6 is asked for)"),
        switch("ipv6", "IPv6 is there (likewise)"),
        p(
            "restrict",
            PropKind::Bool,
            Some("off"),
            "The guest reaches nothing but what is forwarded",
        ),
        text(
            "net",
            "Network of the guest, ADDRESS[/BITS] (without a word: 10.0.2.0/24)",
        ),
        text("ip", "Older name of net"),
        text("host", "The guest's gateway, which is this host (10.0.2.2)"),
        text("dhcpstart", "First of 16 addresses that DHCP gives out (10.0.2.15)"),
        text("dns", "The guest's name server (10.0.2.3)"),
        text("ipv6-net", "Network of the guest for IPv6, PREFIX[/BITS] (fec0::/64)"),
        text("ipv6-prefix", "The prefix alone"),
        p("ipv6-prefixlen", PropKind::Uint(8), None, "Its bits alone"),
        text("ipv6-host", "The host for IPv6 (fec0::2)"),
        text("ipv6-dns", "The name server for IPv6 (fec0::3)"),
        text("hostname", "The guest's name, told by DHCP"),
        text("dnssearch", "A domain to look names up in, told by DHCP"),
        text("domainname", "The guest's domain, told by DHCP"),
        text("tftp", "Folder that the guest reads by TFTP"),
        text("tftp-server-name", "Name of the TFTP server, told by DHCP"),
        text("bootfile", "File to start from, told by DHCP"),
        p(
            "mtu",
            PropKind::Uint(16),
            None,
            "Largest packet, told by DHCP and router advertisements (1500)",
        ),
        text(
            "hostfwd",
            "[tcp|udp|unix]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT: a port of the host leads to the guest",
        ),
        text(
            "guestfwd",
            "[tcp]:SERVER:PORT-DEV: an address of the network leads to tcp:, unix:, chardev: or cmd:",
        ),
        text("smb", "Not here"),
        text("smbserver", "Not here"),
    ],
    maker: Maker::User,
    several: &["dnssearch", "hostfwd", "guestfwd"],
};

const TAP: Kind = Kind {
    name: "tap",
    summary: "an interface of the host's kernel",
    options: &[
        text("ifname", "Its name (without a word: the next free one)"),
        text("fd", "Open descriptor of an interface"),
        text("fds", "Several of one interface, with colons between them"),
        text(
            "script",
            "Program that sets the interface up; no for none (/etc/qemu-ifup)",
        ),
        text(
            "downscript",
            "Program that takes it down; no for none (/etc/qemu-ifdown)",
        ),
        text("br", "Bridge, for the helper (br0)"),
        text("helper", "Program that makes the interface and hands it over"),
        p("sndbuf", PropKind::Size, None, "Bytes that may wait in it"),
        switch(
            "vnet_hdr",
            "Leave checksums and segmentation to the kernel where it can (on)",
        ),
        p("queues", PropKind::Uint(32), None, "Queues"),
        switch(
            "vhost",
            "Accepted where the kernel has vhost-net; frames go through this process all the same",
        ),
        switch("vhostforce", "Likewise"),
        text("vhostfd", "Accepted likewise, and not used"),
        text("vhostfds", "Likewise"),
        p("poll-us", PropKind::Uint(32), None, "Accepted: a matter of vhost"),
    ],
    maker: Maker::Link(tap::make),
    several: &[],
};

const BRIDGE: Kind = Kind {
    name: "bridge",
    summary: "an interface at a bridge of the host, made by a helper",
    options: &[
        text("br", "Bridge (br0)"),
        text(
            "helper",
            "Program that makes the interface (/usr/lib/qemu/qemu-bridge-helper)",
        ),
    ],
    maker: Maker::Link(tap::make_bridge),
    several: &[],
};

const PASST: Kind = Kind {
    name: "passt",
    summary: "the program passt, as a process of its own",
    options: &[
        text("path", "The program (passt, as the shell finds it)"),
        p("quiet", PropKind::Bool, Some("on"), "It tells nothing"),
        p("vhost-user", PropKind::Bool, Some("off"), "Not here"),
        text("mtu", "Largest packet"),
        text("address", "The guest's address"),
        text("netmask", "Its mask"),
        text("mac", "The gateway's Ethernet address"),
        text("gateway", "The guest's gateway"),
        text("interface", "Interface of the host whose addresses are taken"),
        text("outbound", "Address that connections come from"),
        text("outbound-if4", "Interface that IPv4 leaves by"),
        text("outbound-if6", "Interface that IPv6 leaves by"),
        text("dns", "The guest's name server"),
        text(
            "dns-forward",
            "Address where the guest's questions for names go on from",
        ),
        text("dns-host", "Where they go on to"),
        text("search", "A domain to look names up in"),
        text("fqdn", "The guest's full name"),
        text("hostname", "The guest's name"),
        text("map-host-loopback", "Address that is the host's loopback to the guest"),
        text("map-guest-addr", "Address that is the guest's own address on the host"),
        text("tcp-ports", "Ports of TCP that lead to the guest"),
        text("udp-ports", "Ports of UDP that lead to the guest"),
        switch("dhcp-dns", "DHCP tells name servers"),
        switch("dhcp-search", "DHCP tells domains"),
        switch("tcp", "TCP"),
        switch("udp", "UDP"),
        switch("icmp", "ICMP"),
        switch("dhcp", "DHCP"),
        switch("ndp", "Neighbours of IPv6"),
        switch("dhcpv6", "DHCPv6"),
        switch("ra", "Router advertisements"),
        switch("freebind", "Any address may be forwarded"),
        switch("ipv4", "IPv4"),
        switch("ipv6", "IPv6"),
    ],
    maker: Maker::Link(passt::make),
    several: &["search", "tcp-ports", "udp-ports"],
};

const L2TPV3: Kind = Kind {
    name: "l2tpv3",
    summary: "a session of L2TPv3 with another host",
    options: &[
        text("src", "Own host"),
        text("dst", "The other host"),
        text("srcport", "Own port, with udp=on"),
        text("dstport", "The other port, with udp=on"),
        p("ipv6", PropKind::Bool, Some("off"), "Over IPv6"),
        p(
            "udp",
            PropKind::Bool,
            Some("off"),
            "Over UDP; else over IP, which needs privileges",
        ),
        p("cookie64", PropKind::Bool, Some("off"), "Cookies have 64 bits, not 32"),
        p("counter", PropKind::Bool, Some("off"), "Packets have a counter"),
        p("pincounter", PropKind::Bool, Some("off"), "It is there and stays 0"),
        p("txcookie", PropKind::Uint(64), None, "Cookie that is sent"),
        p("rxcookie", PropKind::Uint(64), None, "Cookie that is expected"),
        p("txsession", PropKind::Uint(32), None, "Session that is sent"),
        p(
            "rxsession",
            PropKind::Uint(32),
            None,
            "Session that is expected (the one that is sent)",
        ),
        p(
            "offset",
            PropKind::Uint(32),
            None,
            "Bytes without meaning before the frame",
        ),
    ],
    maker: Maker::Link(l2tpv3::make),
    several: &[],
};

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
