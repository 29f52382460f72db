//! `passt`: the program of that name as a process of ours, over a pair of sockets. It speaks the framing of `stream`.

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use southbridge_core::host::HostEvent;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use super::stream::Stream;
use super::{Make, Options};
use crate::error::NetError;
use crate::link::{Link, LinkCx};
use crate::packet::Packet;

/// Options that go to the program as they are, with what it calls them.
const TEXTS: [(&str, &str); 16] = [
    ("mtu", "--mtu"),
    ("address", "--address"),
    ("netmask", "--netmask"),
    ("mac", "--mac-addr"),
    ("gateway", "--gateway"),
    ("interface", "--interface"),
    ("outbound", "--outbound"),
    ("outbound-if4", "--outbound-if4"),
    ("outbound-if6", "--outbound-if6"),
    ("dns", "--dns"),
    ("dns-forward", "--dns-forward"),
    ("dns-host", "--dns-host"),
    ("fqdn", "--fqdn"),
    ("hostname", "--hostname"),
    ("map-host-loopback", "--map-host-loopback"),
    ("map-guest-addr", "--map-guest-addr"),
];
/// Options of several values.
pub(super) const LISTS: [(&str, &str); 3] = [
    ("search", "--search"),
    ("tcp-ports", "--tcp-ports"),
    ("udp-ports", "--udp-ports"),
];
/// Services that may be switched off.
const SERVICES: [(&str, &str); 7] = [
    ("tcp", "--no-tcp"),
    ("udp", "--no-udp"),
    ("icmp", "--no-icmp"),
    ("dhcp", "--no-dhcp"),
    ("ndp", "--no-ndp"),
    ("dhcpv6", "--no-dhcpv6"),
    ("ra", "--no-ra"),
];

/// The program drops frames for which its socket has no room, and is slow to send them again: what the guest's connections may have under
/// way is read ahead, and the socket is as large as the host lets it be.
const AHEAD: usize = 8 << 20;

/// The stream, and the process behind it.
struct Passt {
    stream: Stream,
    child: Child,
}

impl Link for Passt {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        self.stream.start(cx)
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        self.stream.on_host(event, cx);
    }

    fn send(&mut self, queue: usize, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool {
        self.stream.send(queue, packet, cx)
    }

    fn room_grew(&mut self, queue: usize, cx: &mut LinkCx<'_, '_>) {
        self.stream.room_grew(queue, cx);
    }

    fn describe(&self) -> String {
        format!("stream,connected to pid {}", self.child.id())
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.stream.close(cx);
        // It ends by itself when the socket closes; whatever it does, it is not left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn arguments(options: &Options, command: &mut Command) {
    if options.bool("quiet") {
        command.arg("--quiet");
    }
    for (option, flag) in TEXTS {
        if let Some(value) = options.str(option) {
            command.args([flag, value]);
        }
    }
    for (option, flag) in LISTS {
        for value in options.all(option) {
            command.args([flag, value]);
        }
    }
    for (option, flag) in SERVICES {
        if options.said_bool(option) == Some(false) {
            command.arg(flag);
        }
    }
    if options.said_bool("ipv4") == Some(false) {
        command.arg("--ipv6-only");
    }
    if options.said_bool("ipv6") == Some(false) {
        command.arg("--ipv4-only");
    }
    for (option, flag) in [
        ("freebind", "--freebind"),
        ("dhcp-dns", "--dhcp-dns"),
        ("dhcp-search", "--dhcp-search"),
    ] {
        if options.said_bool(option) == Some(true) {
            command.arg(flag);
        }
    }
}

pub(crate) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let options = make.options;
    if options.bool("vhost-user") {
        return Err(NetError::OptionMissing {
            option: "vhost-user".into(),
            why: ": frames go over a socket",
        });
    }
    let program = options.str("path").unwrap_or("passt");
    let failed = |e: std::io::Error| NetError::host(Some("path"), format!("cannot run '{program}'"), e);
    let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let (ours, theirs) = pair.map_err(|e| failed(e.into()))?;
    let _ = set_socket_send_buffer_size(&theirs, AHEAD);
    // Ours never waits. Theirs is as a program expects a descriptor to be: reading it waits.
    ioctl_fionbio(&ours, true).map_err(|e| failed(e.into()))?;
    // The child gets this one; it is closed here as soon as the child has it.
    fcntl_setfd(&theirs, FdFlags::empty()).map_err(|e| failed(e.into()))?;
    let mut command = Command::new(program);
    command
        .args(["--foreground", "--one-off", "--fd"])
        .arg(theirs.as_raw_fd().to_string());
    arguments(options, &mut command);
    command.stdin(Stdio::null());
    let child = command.spawn().map_err(failed)?;
    let stream = Stream::adopt(ours, program, false).reading_ahead(AHEAD);
    Ok(Box::new(Passt { stream, child }))
}
