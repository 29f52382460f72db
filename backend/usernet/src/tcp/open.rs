//! Connections that the guest opens.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use smoltcp::wire::Icmpv4DstUnreachable;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::flow::{Ends, Flow, HostEnd, Phase};
use super::segment::Segment;
use super::{Tcp, output};
use crate::forward::GuestTarget;
use crate::host::Owner;
use crate::icmp;
use crate::net::Cx;
use crate::process;
use crate::route::{Route, route};
use crate::slab::Handle;

/// How a new connection's host side stands.
enum Made {
    Socket(OwnedFd, bool),
    Channel(usize),
    Failed(Errno),
    /// Nobody answers: the guest is not allowed to, or nothing is there.
    Silent,
}

impl Tcp {
    /// A SYN of the guest for a connection that is not there.
    pub(super) fn open(&mut self, cx: &mut Cx<'_>, ends: Ends, s: &Segment<'_>) {
        if !self.make_place(cx) {
            return output::refuse(cx.link, &ends, s.seq, s.len(), None);
        }
        let forward = self.forwards.iter().position(|f| (f.server, f.port) == ends.remote);
        let made = match forward {
            Some(index) => self.open_forward(index),
            None if cx.link.config.restrict => Made::Silent,
            None => match route(cx, ends.remote.0, ends.remote.1) {
                Route::Host(to) => connect(to),
                Route::Refuse => Made::Failed(Errno::CONNREFUSED),
                Route::Drop => Made::Silent,
            },
        };
        let (fd, connected, channel) = match made {
            Made::Silent => return,
            Made::Failed(error) => return unreachable(cx, &ends, s.seq, error),
            Made::Socket(fd, connected) => (Some(fd), connected, None),
            Made::Channel(index) => (None, true, Some(index)),
        };
        let Some(handle) = self.insert(cx, ends, Phase::Connecting, fd) else {
            return output::refuse(cx.link, &ends, s.seq, s.len(), None);
        };
        let limit = cx.link.config.limits.tcp_buffer;
        if let Some(flow) = self.flows.get_mut(handle) {
            let ours = Flow::mss_of(cx.link.config.mtu, ends.guest.0.is_ipv6());
            flow.learn_syn(s.seq, s.mss, s.scale, s.window, ours, limit);
            if connected {
                flow.phase = Phase::SynReceived;
            }
        }
        if let Some(index) = channel {
            self.take_channel(cx, index, handle);
        }
        self.list(handle);
    }

    fn open_forward(&mut self, index: usize) -> Made {
        match &self.forwards[index].target {
            GuestTarget::Address(to) => connect(*to),
            GuestTarget::Unix(path) => connect_unix(path),
            GuestTarget::Channel(_) => Made::Channel(index),
            GuestTarget::Command(_) if self.processes.len() >= process::MOST => Made::Failed(Errno::AGAIN),
            GuestTarget::Command(command) => match process::start(command) {
                Ok((child, fd)) => {
                    self.processes.push(child);
                    Made::Socket(fd, true)
                }
                Err(_) => Made::Failed(Errno::CONNREFUSED),
            },
        }
    }

    fn take_channel(&mut self, cx: &mut Cx<'_>, index: usize, handle: Handle) {
        if let Some(earlier) = self.forwards[index].current {
            self.abort(cx, earlier);
        }
        if let Some(flow) = self.flows.get_mut(handle) {
            flow.host = HostEnd::Channel(index);
        }
        self.forwards[index].current = Some(handle);
        if let GuestTarget::Channel(channel) = &mut self.forwards[index].target {
            channel.opened();
        }
    }

    /// `None`: no place, or no descriptor left.
    pub(super) fn insert(&mut self, cx: &mut Cx<'_>, ends: Ends, phase: Phase, fd: Option<OwnedFd>) -> Option<Handle> {
        let iss = self.initial(&ends, cx.link.now);
        let flow = Flow::new(ends, HostEnd::None, phase, iss, cx.link.now);
        let handle = self.flows.insert(Box::new(flow))?;
        if let Some(fd) = fd {
            let Some(fd) = cx.fds.add(fd, Owner::Tcp(handle), true) else {
                self.flows.remove(handle);
                return None;
            };
            if let Some(flow) = self.flows.get_mut(handle) {
                flow.host = HostEnd::Fd(fd);
            }
        }
        self.keys.insert(ends, handle);
        Some(handle)
    }

    /// Whether another connection may come; one that is over, or long silent, ends for it.
    pub(super) fn make_place(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.flows.len() < cx.link.config.limits.tcp_flows && !cx.fds.full() {
            return true;
        }
        let now = cx.link.now;
        let rank = |flow: &Flow| {
            let idle = now.saturating_sub(flow.heard);
            (flow.phase == Phase::TimeWait || idle.as_secs() >= 60).then_some((flow.phase == Phase::TimeWait, idle))
        };
        let victim = self.flows.iter().filter_map(|(h, f)| rank(f).map(|r| (r, h))).max();
        match victim {
            Some((_, handle)) => {
                self.abort(cx, handle);
                true
            }
            None => false,
        }
    }

    /// The host's connection may have come about, or failed.
    pub(super) fn check_connected(&mut self, cx: &mut Cx<'_>, handle: Handle) {
        let Some(flow) = self.flows.get_mut(handle) else { return };
        let HostEnd::Fd(fd) = flow.host else { return };
        let Some(fd) = cx.fds.get(fd) else { return };
        match rustix::net::sockopt::socket_error(fd) {
            Ok(Ok(())) => {
                if rustix::net::getpeername(fd).is_ok() {
                    flow.phase = Phase::SynReceived;
                    flow.readable = true;
                    flow.writable = true;
                }
            }
            Ok(Err(error)) | Err(error) => {
                let (ends, seq) = (flow.ends, flow.rcv_nxt.wrapping_sub(1));
                self.remove(cx, handle);
                unreachable(cx, &ends, seq, error);
            }
        }
    }
}

/// Tells the guest why there is no connection.
fn unreachable(cx: &mut Cx<'_>, ends: &Ends, seq: u32, error: Errno) {
    let reason = match error {
        Errno::NETUNREACH => Icmpv4DstUnreachable::NetUnreachable,
        Errno::HOSTUNREACH => Icmpv4DstUnreachable::HostUnreachable,
        Errno::ACCESS | Errno::PERM => Icmpv4DstUnreachable::CommProhibited,
        _ => return output::refuse(cx.link, ends, seq, 1, None),
    };
    if let Some(packet) = output::quoted(cx.link, ends, seq) {
        icmp::unreachable(cx.link, &packet, reason);
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

fn connect(to: SocketAddr) -> Made {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = match rustix::net::socket_with(family(to.ip()), SocketType::STREAM, flags, Some(ipproto::TCP)) {
        Ok(fd) => fd,
        Err(error) => return Made::Failed(error),
    };
    // The guest's stack has decided what to send when.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&fd, true);
    match rustix::net::connect(&fd, &to) {
        Ok(()) => Made::Socket(fd, true),
        Err(Errno::INPROGRESS | Errno::INTR) => Made::Socket(fd, false),
        Err(error) => Made::Failed(error),
    }
}

fn connect_unix(path: &Path) -> Made {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let made = rustix::net::SocketAddrUnix::new(path).and_then(|address| {
        let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&fd, &address)?;
        Ok(fd)
    });
    match made {
        Ok(fd) => Made::Socket(fd, true),
        Err(_) => Made::Failed(Errno::CONNREFUSED),
    }
}
