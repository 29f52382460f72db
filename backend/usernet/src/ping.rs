//! Echo requests to the world, through the host's ping sockets where it lets ordinary users have them
//! (`net.ipv4.ping_group_range`). Where it does not, the guest is told that the network cannot be reached.

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::host::{Alarm, Fds, Owner, TimerKey};
use crate::icmp::{self, Echo};
use crate::info::FlowInfo;
use crate::net::Cx;
use crate::route::{Route, route};
use crate::slab::{Handle, Slab};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The types of ICMPv6 (RFC 4443 §4).
const ECHO_REQUEST6: u8 = 128;
const ECHO_REPLY6: u8 = 129;

#[derive(Debug)]
struct Ping {
    guest: IpAddr,
    to: IpAddr,
    ident: u16,
    fd: Handle,
    heard: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Pings {
    table: Slab<Ping>,
    ready: Vec<Handle>,
    alarm: Alarm,
}

fn socket(to: SocketAddr) -> Result<OwnedFd, Errno> {
    let (family, protocol): (_, Protocol) = if to.is_ipv4() {
        (AddressFamily::INET, ipproto::ICMP)
    } else {
        (AddressFamily::INET6, ipproto::ICMPV6)
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(protocol))?;
    rustix::net::connect(&fd, &to)?;
    Ok(fd)
}

impl Pings {
    pub(crate) fn send(&mut self, cx: &mut Cx<'_>, echo: &Echo<'_>, packet: &[u8]) {
        let Route::Host(to) = route(cx, echo.to, 0) else { return };
        let handle = match self.find(cx, echo, to) {
            Ok(handle) => handle,
            Err(Errno::HOSTUNREACH) => {
                return icmp::unreachable(cx.link, packet, Icmpv4DstUnreachable::HostUnreachable);
            }
            Err(_) => return icmp::unreachable(cx.link, packet, Icmpv4DstUnreachable::NetUnreachable),
        };
        let Some(ping) = self.table.get_mut(handle) else { return };
        ping.heard = cx.link.now;
        let message = if to.is_ipv4() {
            crate::emit::icmpv4(&Icmpv4Repr::EchoRequest {
                ident: echo.ident,
                seq_no: echo.seq,
                data: echo.data,
            })
        } else {
            // The host fills in identifier and checksum.
            let [a, b] = echo.seq.to_be_bytes();
            [&[ECHO_REQUEST6, 0, 0, 0, 0, 0, a, b], echo.data].concat()
        };
        if let Some(fd) = cx.fds.get(ping.fd) {
            let _ = rustix::net::send(fd, &message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }

    fn find(&mut self, cx: &mut Cx<'_>, echo: &Echo<'_>, to: SocketAddr) -> Result<Handle, Errno> {
        let same = |p: &Ping| (p.guest, p.to, p.ident) == (echo.guest, echo.to, echo.ident);
        if let Some((handle, _)) = self.table.iter().find(|(_, p)| same(p)) {
            return Ok(handle);
        }
        if self.table.len() >= cx.link.config.limits.pings {
            let oldest = self
                .table
                .iter()
                .min_by_key(|(_, p)| p.heard)
                .map(|(h, _)| h)
                .ok_or(Errno::MFILE)?;
            self.close(cx, oldest);
        }
        let fd = socket(to)?;
        let placeholder = Handle::from_bits(u64::MAX);
        let heard = cx.link.now;
        let ping = Ping {
            guest: echo.guest,
            to: echo.to,
            ident: echo.ident,
            fd: placeholder,
            heard,
        };
        let handle = self.table.insert(ping).ok_or(Errno::MFILE)?;
        let Some(fd) = cx.fds.add(fd, Owner::Ping(handle), false) else {
            self.table.remove(handle);
            return Err(Errno::MFILE);
        };
        if let Some(ping) = self.table.get_mut(handle) {
            ping.fd = fd;
        }
        self.alarm.want(heard + PATIENCE, TimerKey::Ping, cx.timers);
        Ok(handle)
    }

    fn close(&mut self, cx: &mut Cx<'_>, handle: Handle) {
        if let Some(ping) = self.table.remove(handle) {
            cx.fds.remove(ping.fd);
        }
    }

    pub(crate) fn host_ready(&mut self, handle: Handle) {
        if !self.ready.contains(&handle) {
            self.ready.push(handle);
        }
    }

    /// `true`: answers wait for room on the wire.
    pub(crate) fn run(&mut self, cx: &mut Cx<'_>) -> bool {
        let ready = std::mem::take(&mut self.ready);
        for handle in ready {
            if self.read(cx, handle) {
                self.ready.push(handle);
            }
        }
        !self.ready.is_empty()
    }

    fn read(&mut self, cx: &mut Cx<'_>, handle: Handle) -> bool {
        let mut buffer = vec![0; 65_536];
        for _ in 0..16 {
            if !cx.link.takes_more() {
                return true;
            }
            let Some(ping) = self.table.get_mut(handle) else {
                return false;
            };
            let Some(fd) = cx.fds.get(ping.fd) else { return false };
            let len = match rustix::net::recv(fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((len, _)) => len,
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            };
            ping.heard = cx.link.now;
            if let Some((seq, data)) = reply(ping.to.is_ipv4(), &buffer[..len.min(buffer.len())]) {
                icmp::echo_reply(cx.link, ping.to, ping.guest, ping.ident, seq, data);
            }
        }
        true
    }

    pub(crate) fn on_timer(&mut self, cx: &mut Cx<'_>) {
        self.alarm.fired();
        let now = cx.link.now;
        let gone: Vec<Handle> = self
            .table
            .iter()
            .filter(|(_, p)| now.saturating_sub(p.heard) >= PATIENCE)
            .map(|(h, _)| h)
            .collect();
        for handle in gone {
            self.close(cx, handle);
        }
        if let Some(next) = self.table.iter().map(|(_, p)| p.heard + PATIENCE).min() {
            self.alarm.want(next, TimerKey::Ping, cx.timers);
        }
    }

    pub(crate) fn reset(&mut self, cx: &mut Cx<'_>) {
        for handle in self.table.handles() {
            self.close(cx, handle);
        }
    }

    pub(crate) fn info(&self, fds: &Fds, now: Duration, out: &mut Vec<FlowInfo>) {
        use rustix::fd::AsRawFd;
        for (_, ping) in self.table.iter() {
            out.push(FlowInfo {
                protocol: format!(
                    "ICMP[{} sec]",
                    PATIENCE.saturating_sub(now.saturating_sub(ping.heard)).as_secs()
                ),
                fd: fds.get(ping.fd).map_or(-1, |fd| fd.as_raw_fd()),
                source: Some((ping.guest, ping.ident).into()),
                destination: Some((ping.to, 0).into()),
                receive_queue: 0,
                send_queue: 0,
            });
        }
    }
}

/// Sequence number and data of an echo reply.
fn reply(v4: bool, message: &[u8]) -> Option<(u16, &[u8])> {
    if v4 {
        let packet = Icmpv4Packet::new_checked(message).ok()?;
        return match Icmpv4Repr::parse(&packet, &ChecksumCapabilities::ignored()).ok()? {
            Icmpv4Repr::EchoReply { seq_no, data, .. } => Some((seq_no, data)),
            _ => None,
        };
    }
    match message {
        [ECHO_REPLY6, _, _, _, _, _, a, b, data @ ..] => Some((u16::from_be_bytes([*a, *b]), data)),
        _ => None,
    }
}
