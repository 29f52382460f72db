//! UDP: one socket of the host for each port of the guest, as long as something passes.

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
use smoltcp::wire::Icmpv4DstUnreachable;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::host::{Alarm, Fds, Owner, TimerKey};
use crate::icmp;
use crate::info::FlowInfo;
use crate::net::Cx;
use crate::route::{Route, appears_as, route};
use crate::rules::HostSide;
use crate::slab::{Handle, Slab};

type End = (IpAddr, u16);

/// How long a silent port stays open; shorter if it only asked for names. libslirp's values.
const PATIENCE: Duration = Duration::from_secs(240);
const PATIENCE_DNS: Duration = Duration::from_secs(10);
const SWEEP: Duration = Duration::from_secs(5);
/// Datagrams from one socket before others have their turn.
const TURN: usize = 64;

/// A datagram of the guest, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) payload: &'a [u8],
    /// The packet it came in, from the IP header on.
    pub(crate) packet: &'a [u8],
}

#[derive(Debug)]
struct Port {
    guest: End,
    /// One socket for each family, made when it is needed.
    fds: [Option<Handle>; 2],
    /// The name server that the guest last asked, and by what address.
    dns: Option<(SocketAddr, End)>,
    only_dns: bool,
    heard: Duration,
    last_to: End,
}

#[derive(Debug)]
struct Listener {
    host: SocketAddr,
    fd: Handle,
    guest: End,
}

/// Somebody who reached the guest through a forwarding rule.
#[derive(Debug)]
struct Session {
    listener: Handle,
    peer: SocketAddr,
    heard: Duration,
}

#[derive(Debug)]
pub(crate) struct Udp {
    ports: Slab<Port>,
    keys: HashMap<End, Handle>,
    listeners: Slab<Listener>,
    sessions: HashMap<(End, End), Session>,
    ready: VecDeque<(Handle, Owner)>,
    alarm: Alarm,
    scratch: Vec<u8>,
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(family(address.ip()), SocketType::DGRAM, flags, Some(ipproto::UDP))?;
    rustix::net::bind(&fd, &address)?;
    Ok(fd)
}

impl Udp {
    pub(crate) fn new() -> Self {
        Self {
            ports: Slab::default(),
            keys: HashMap::new(),
            listeners: Slab::default(),
            sessions: HashMap::new(),
            ready: VecDeque::new(),
            alarm: Alarm::default(),
            scratch: vec![0; 65_536],
        }
    }

    /// A datagram of the guest for somebody outside.
    pub(crate) fn input(&mut self, cx: &mut Cx<'_>, d: &Datagram<'_>) {
        let now = cx.link.now;
        if let Some(session) = self.sessions.get_mut(&(d.from, d.to)) {
            session.heard = now;
            let fd = self.listeners.get(session.listener).and_then(|l| cx.fds.get(l.fd));
            if let Some(fd) = fd {
                let _ = rustix::net::sendto(fd, d.payload, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &session.peer);
                return;
            }
        }
        if cx.link.config.restrict {
            return;
        }
        match route(cx, d.to.0, d.to.1) {
            Route::Host(to) => self.send(cx, d, to),
            Route::Refuse => icmp::unreachable(cx.link, d.packet, Icmpv4DstUnreachable::PortUnreachable),
            Route::Drop => {}
        }
    }

    fn send(&mut self, cx: &mut Cx<'_>, d: &Datagram<'_>, to: SocketAddr) {
        let Some(handle) = self.port(cx, d.from) else { return };
        let Some(port) = self.ports.get_mut(handle) else { return };
        port.heard = cx.link.now;
        port.last_to = d.to;
        if d.to.1 == 53 {
            port.dns = Some((to, d.to));
        } else {
            port.only_dns = false;
        }
        let slot = &mut port.fds[usize::from(to.is_ipv6())];
        if slot.is_none() {
            let any = if to.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            };
            *slot = socket(SocketAddr::new(any, 0))
                .ok()
                .and_then(|fd| cx.fds.add(fd, Owner::Udp(handle), false));
        }
        let Some(fd) = slot.and_then(|fd| cx.fds.get(fd)) else {
            return;
        };
        let sent = rustix::net::sendto(fd, d.payload, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &to);
        let reason = match sent {
            Err(Errno::NETUNREACH) => Icmpv4DstUnreachable::NetUnreachable,
            Err(Errno::HOSTUNREACH) => Icmpv4DstUnreachable::HostUnreachable,
            Err(Errno::CONNREFUSED) => Icmpv4DstUnreachable::PortUnreachable,
            _ => return,
        };
        icmp::unreachable(cx.link, d.packet, reason);
    }

    /// The guest's port, opened if it is new. When there are too many, the longest silent one closes.
    fn port(&mut self, cx: &mut Cx<'_>, guest: End) -> Option<Handle> {
        if let Some(handle) = self.keys.get(&guest) {
            return Some(*handle);
        }
        if self.ports.len() >= cx.link.config.limits.udp_flows.max(1) || cx.fds.full() {
            let oldest = self.ports.iter().min_by_key(|(_, p)| p.heard).map(|(h, _)| h)?;
            self.close(cx, oldest);
        }
        let heard = cx.link.now;
        let handle = self.ports.insert(Port {
            guest,
            fds: [None; 2],
            dns: None,
            only_dns: true,
            heard,
            last_to: guest,
        })?;
        self.keys.insert(guest, handle);
        self.alarm.want(heard + SWEEP, TimerKey::Udp, cx.timers);
        Some(handle)
    }

    fn close(&mut self, cx: &mut Cx<'_>, handle: Handle) {
        let Some(port) = self.ports.remove(handle) else { return };
        self.keys.remove(&port.guest);
        for fd in port.fds.into_iter().flatten() {
            cx.fds.remove(fd);
        }
    }

    pub(crate) fn host_ready(&mut self, fd: Handle, owner: Owner) {
        if !self.ready.contains(&(fd, owner)) {
            self.ready.push_back((fd, owner));
        }
    }

    /// Reads datagrams while the wire takes them. `true`: there may be more.
    pub(crate) fn run(&mut self, cx: &mut Cx<'_>) -> bool {
        for _ in 0..self.ready.len() {
            let Some((fd, owner)) = self.ready.pop_front() else {
                break;
            };
            if self.read(cx, fd, owner) {
                self.ready.push_back((fd, owner));
            }
        }
        !self.ready.is_empty()
    }

    fn read(&mut self, cx: &mut Cx<'_>, handle: Handle, owner: Owner) -> bool {
        for _ in 0..TURN {
            if !cx.link.takes_more() {
                return true;
            }
            let Some(fd) = cx.fds.get(handle) else { return false };
            match rustix::net::recvfrom(fd, &mut self.scratch[..], RecvFlags::DONTWAIT) {
                Ok((len, _, Some(peer))) => {
                    if let Ok(peer) = SocketAddr::try_from(peer) {
                        self.received(cx, owner, peer, len);
                    }
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                // An error report of an earlier datagram; the next read is about the next thing.
                Err(_) => {}
            }
        }
        true
    }

    fn received(&mut self, cx: &mut Cx<'_>, owner: Owner, peer: SocketAddr, len: usize) {
        let payload = &self.scratch[..len.min(self.scratch.len())];
        let now = cx.link.now;
        match owner {
            Owner::Udp(handle) => {
                let Some(port) = self.ports.get_mut(handle) else { return };
                port.heard = now;
                let from = match port.dns {
                    Some((server, name)) if same(server, peer) => Some(name),
                    _ => appears_as(&cx.link.config, Some(peer), port.guest.0.is_ipv6()),
                };
                if let Some(from) = from {
                    cx.link.send_udp(from, port.guest, payload);
                }
            }
            Owner::UdpListener(handle) => {
                let Some(listener) = self.listeners.get(handle) else {
                    return;
                };
                let guest = listener.guest;
                let Some(from) = appears_as(&cx.link.config, Some(peer), guest.0.is_ipv6()) else {
                    return;
                };
                let key = (guest, from);
                if self.sessions.len() >= cx.link.config.limits.udp_flows && !self.sessions.contains_key(&key) {
                    let oldest = self.sessions.iter().min_by_key(|(_, s)| s.heard).map(|(k, _)| *k);
                    oldest.map(|k| self.sessions.remove(&k));
                }
                self.sessions.insert(
                    key,
                    Session {
                        listener: handle,
                        peer,
                        heard: now,
                    },
                );
                self.alarm.want(now + SWEEP, TimerKey::Udp, cx.timers);
                cx.link.send_udp(from, guest, payload);
            }
            _ => {}
        }
    }

    pub(crate) fn on_timer(&mut self, cx: &mut Cx<'_>) {
        self.alarm.fired();
        let now = cx.link.now;
        let old = |p: &Port| now.saturating_sub(p.heard) >= if p.only_dns { PATIENCE_DNS } else { PATIENCE };
        let gone: Vec<Handle> = self.ports.iter().filter(|(_, p)| old(p)).map(|(h, _)| h).collect();
        for handle in gone {
            self.close(cx, handle);
        }
        self.sessions.retain(|_, s| now.saturating_sub(s.heard) < PATIENCE);
        if self.ports.len() > 0 || !self.sessions.is_empty() {
            self.alarm.want(now + SWEEP, TimerKey::Udp, cx.timers);
        }
    }

    pub(crate) fn listen(&mut self, cx: &mut Cx<'_>, host: SocketAddr, guest: End) -> io::Result<SocketAddr> {
        let fd = socket(host)?;
        let bound = SocketAddr::try_from(rustix::net::getsockname(&fd)?).map_err(|_| Errno::AFNOSUPPORT)?;
        let full = || io::Error::from(Errno::MFILE);
        let placeholder = Handle::from_bits(u64::MAX);
        let handle = self
            .listeners
            .insert(Listener {
                host: bound,
                fd: placeholder,
                guest,
            })
            .ok_or_else(full)?;
        let Some(fd) = cx.fds.add(fd, Owner::UdpListener(handle), false) else {
            self.listeners.remove(handle);
            return Err(full());
        };
        if let Some(listener) = self.listeners.get_mut(handle) {
            listener.fd = fd;
        }
        Ok(bound)
    }

    pub(crate) fn unlisten(&mut self, cx: &mut Cx<'_>, host: &HostSide) -> bool {
        let HostSide::Udp(address) = host else { return false };
        let Some(handle) = self.listeners.iter().find(|(_, l)| l.host == *address).map(|(h, _)| h) else {
            return false;
        };
        if let Some(listener) = self.listeners.remove(handle) {
            cx.fds.remove(listener.fd);
        }
        self.sessions.retain(|_, s| s.listener != handle);
        true
    }

    pub(crate) fn reset(&mut self, cx: &mut Cx<'_>) {
        for handle in self.ports.handles() {
            self.close(cx, handle);
        }
        self.sessions.clear();
    }

    pub(crate) fn info(&self, fds: &Fds, now: Duration, out: &mut Vec<FlowInfo>) {
        use rustix::fd::AsRawFd;
        let number = |fd: Option<Handle>| fd.and_then(|fd| fds.get(fd)).map_or(-1, |fd| fd.as_raw_fd());
        for (_, listener) in self.listeners.iter() {
            out.push(FlowInfo {
                protocol: "UDP[HOST_FORWARD]".to_owned(),
                fd: number(Some(listener.fd)),
                source: Some(listener.host),
                destination: Some(listener.guest.into()),
                receive_queue: 0,
                send_queue: 0,
            });
        }
        for (_, port) in self.ports.iter() {
            let patience = if port.only_dns { PATIENCE_DNS } else { PATIENCE };
            let left = patience.saturating_sub(now.saturating_sub(port.heard)).as_secs();
            out.push(FlowInfo {
                protocol: format!("UDP[{left} sec]"),
                fd: number(port.fds[0].or(port.fds[1])),
                source: Some(port.guest.into()),
                destination: Some(port.last_to.into()),
                receive_queue: 0,
                send_queue: 0,
            });
        }
    }
}

/// Scopes and flow labels aside.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.ip() == b.ip() && a.port() == b.port()
}
