//! The engine itself: what its owner calls.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::dhcp::Dhcp;
use crate::fragment::Fragments;
use crate::host::{Alarm, Fds, Owner, TimerKey, Timers};
use crate::icmp;
use crate::info::{self, FlowInfo};
use crate::link::{ALL_NODES, Link};
use crate::ping::Pings;
use crate::resolver::NameServers;
use crate::tcp::Tcp;
use crate::tftp::Tftp;
use crate::udp::Udp;
use crate::{
    ChannelId, Config, Error, GuestForward, GuestTarget, HostForward, HostSide, Meta, Offloads, Ready, Sink, Token,
    WatchChange,
};

/// Between router advertisements that nobody asked for.
const ADVERTISE_EVERY: Duration = Duration::from_secs(300);
const REAP_EVERY: Duration = Duration::from_secs(1);
/// Timers served in one call of `run`.
const TIMERS: usize = 1024;

/// What every protocol needs of the rest.
pub(crate) struct Cx<'a> {
    pub(crate) link: &'a mut Link,
    pub(crate) fds: &'a mut Fds,
    pub(crate) timers: &'a mut Timers,
    pub(crate) resolver: &'a mut NameServers,
}

/// The protocols that have sockets of the host.
pub(crate) struct Parts<'a> {
    pub(crate) tcp: &'a mut Tcp,
    pub(crate) udp: &'a mut Udp,
    pub(crate) pings: &'a mut Pings,
}

/// A guest's link with its router. One per `-netdev user`.
#[derive(Debug)]
pub struct UserNet {
    pub(crate) link: Link,
    pub(crate) timers: Timers,
    pub(crate) fragments: Fragments,
    pub(crate) dhcp: Dhcp,
    pub(crate) tftp: Option<Tftp>,
    fds: Fds,
    resolver: NameServers,
    tcp: Tcp,
    udp: Udp,
    pings: Pings,
    advertise: Alarm,
    reap: Alarm,
    /// A frame has come: there is a guest to advertise to.
    seen: bool,
    /// The last `run` has left something undone.
    again: bool,
}

impl UserNet {
    /// An engine without forwarding rules. Opens the TFTP directory if there is one, and nothing else of the host.
    ///
    /// # Errors
    /// The TFTP directory cannot be opened.
    pub fn new(config: Config) -> Result<Self, Error> {
        let limits = &config.limits;
        Ok(Self {
            tftp: config.tftp.as_deref().map(Tftp::new).transpose()?,
            timers: Timers::default(),
            fragments: Fragments::new(limits.fragments),
            dhcp: Dhcp::default(),
            fds: Fds::new(),
            resolver: NameServers::new(config.resolver.clone()),
            tcp: Tcp::new(limits.tcp_memory),
            udp: Udp::new(),
            pings: Pings::default(),
            advertise: Alarm::default(),
            reap: Alarm::default(),
            seen: false,
            again: false,
            link: Link::new(config),
        })
    }

    pub(crate) fn split(&mut self) -> (Cx<'_>, Parts<'_>) {
        let cx = Cx {
            link: &mut self.link,
            fds: &mut self.fds,
            timers: &mut self.timers,
            resolver: &mut self.resolver,
        };
        (
            cx,
            Parts {
                tcp: &mut self.tcp,
                udp: &mut self.udp,
                pings: &mut self.pings,
            },
        )
    }

    /// What it was made from.
    pub fn config(&self) -> &Config {
        &self.link.config
    }

    /// What the guest's driver has negotiated; nothing at first. Big segments *from* the guest are always taken.
    pub fn set_offloads(&mut self, offloads: Offloads) {
        self.link.offloads = offloads;
    }

    /// Takes one Ethernet frame from the guest. Sends nothing yet: answers leave in [`Self::run`]. Never refuses: what finds no room
    /// is dropped, as on a wire, and TCP's window keeps that from happening.
    pub fn guest_frame(&mut self, frame: &[u8], meta: &Meta, now: Duration) {
        self.link.now = now;
        if !std::mem::replace(&mut self.seen, true) {
            self.advertise.want(now, TimerKey::Advertise, &mut self.timers);
        }
        self.frame(frame, meta);
    }

    /// A watched descriptor became ready. Does the host's reads later, in [`Self::run`]. An unknown token is ignored.
    pub fn host_ready(&mut self, token: Token, ready: Ready) {
        let Some((fd, owner)) = self.fds.owner(token) else {
            return;
        };
        match owner {
            Owner::Tcp(flow) => self.tcp.host_ready(flow, ready.readable, ready.writable),
            Owner::Listener(listener) => self.tcp.listener_ready(listener),
            Owner::Udp(_) | Owner::UdpListener(_) => self.udp.host_ready(fd, owner),
            Owner::Ping(ping) => self.pings.host_ready(ping),
        }
    }

    /// Works: timers that are due, reads from and writes to the host's sockets, frames to the guest while the sink has room. Call it
    /// after each batch of [`Self::guest_frame`] and [`Self::host_ready`], when [`Self::wake_at`] is reached, and when the sink has
    /// room again. `now` must not run backwards; a monotonic clock since any moment.
    ///
    /// Does a bounded piece of work; if there is more, [`Self::wake_at`] is `now`.
    pub fn run(&mut self, now: Duration, sink: &mut dyn Sink) {
        self.link.now = now;
        self.run_timers(sink);
        self.link.flush(sink);
        let (mut cx, parts) = self.split();
        let mut more = parts.pings.run(&mut cx);
        more |= parts.udp.run(&mut cx);
        more |= parts.tcp.accept(&mut cx);
        cx.link.flush(sink);
        more |= parts.tcp.run(&mut cx, sink);
        let flushed = self.link.flush(sink);
        if self.tcp.has_processes() {
            self.reap.want(now + REAP_EVERY, TimerKey::Processes, &mut self.timers);
        }
        self.again = (more || !flushed) && sink.room() > 0;
    }

    fn run_timers(&mut self, sink: &mut dyn Sink) {
        let now = self.link.now;
        for _ in 0..TIMERS {
            let Some(key) = self.timers.due(now) else { break };
            let (mut cx, parts) = self.split();
            match key {
                TimerKey::Tcp(flow) => parts.tcp.on_timer(&mut cx, flow, sink),
                TimerKey::Udp => parts.udp.on_timer(&mut cx),
                TimerKey::Ping => parts.pings.on_timer(&mut cx),
                TimerKey::Tftp => {
                    if let Some(tftp) = &mut self.tftp {
                        tftp.on_timer(&mut self.link, &mut self.timers);
                    }
                }
                TimerKey::Fragments => self.fragments.on_timer(now, &mut self.timers),
                TimerKey::Advertise => {
                    self.advertise.fired();
                    icmp::advertise(&mut self.link, ALL_NODES);
                    self.advertise
                        .want(now + ADVERTISE_EVERY, TimerKey::Advertise, &mut self.timers);
                }
                TimerKey::Processes => {
                    self.reap.fired();
                    self.tcp.reap();
                }
            }
        }
        if self.link.resolve_at().is_some_and(|at| at <= now) {
            self.link.resolve_again();
        }
    }

    /// When to call [`Self::run`] next even if nothing happens.
    pub fn wake_at(&self) -> Option<Duration> {
        if self.again {
            return Some(self.link.now);
        }
        self.timers.next().into_iter().chain(self.link.resolve_at()).min()
    }

    /// The next change of what to watch, in order. `None`: all are taken.
    pub fn next_watch_change(&mut self) -> Option<WatchChange<'_>> {
        self.fds.next_change()
    }

    /// Adds a rule and listens at once. Returns the address listened at (with the port that the host chose for port 0); `None` for a
    /// unix socket.
    ///
    /// # Errors
    /// The host refuses, or the rule's guest address is of a family that is off.
    pub fn add_hostfwd(&mut self, rule: &HostForward) -> Result<Option<SocketAddr>, Error> {
        let wrong = |reason| Error::Rule {
            kind: "host",
            rule: rule.host.to_string(),
            reason,
        };
        let guest = rule.guest.or_else(|| self.config().default_guest());
        let guest = guest.ok_or_else(|| wrong("IPv4 is off, so the rule must name the guest's IPv6 address"))?;
        let on = if guest.is_ipv4() {
            self.config().ipv4.is_some()
        } else {
            self.config().ipv6.is_some()
        };
        if !on {
            return Err(wrong("the guest's address is of a family that is off"));
        }
        let guest = (guest, rule.guest_port);
        let (mut cx, parts) = self.split();
        let bound = match rule.host {
            HostSide::Udp(address) => parts.udp.listen(&mut cx, address, guest).map(Some),
            _ => parts.tcp.listen(&mut cx, &rule.host, guest),
        };
        bound.map_err(|error| Error::Host {
            kind: "host",
            rule: rule.host.to_string(),
            error,
        })
    }

    /// Removes a rule; connections made through it live on. `false`: there is no such rule.
    pub fn remove_hostfwd(&mut self, host: &HostSide) -> bool {
        let (mut cx, parts) = self.split();
        parts.udp.unlisten(&mut cx, host) || parts.tcp.unlisten(&mut cx, host)
    }

    /// Adds a rule; the id is that of its [`crate::Channel`] if the target is one (and otherwise names nothing). [`GuestForward::to`]
    /// is not looked at.
    ///
    /// # Errors
    /// The server's address is not in the guest's network, is the router's or the name server's, or is forwarded already.
    pub fn add_guestfwd(&mut self, rule: &GuestForward, target: GuestTarget) -> Result<ChannelId, Error> {
        let server = rule.server.or_else(|| self.default_server());
        let shown = || format!("{}:{}", server.map_or_else(String::new, |s| s.to_string()), rule.port);
        let wrong = |reason| Error::Rule {
            kind: "guest",
            rule: shown(),
            reason,
        };
        let server = server.ok_or_else(|| wrong("IPv4 is off, so the rule must name an IPv6 address"))?;
        let (inside, taken) = match server {
            IpAddr::V4(a) => self
                .config()
                .ipv4
                .as_ref()
                .map_or((false, false), |c| (c.contains(a), a == c.host || a == c.dns)),
            IpAddr::V6(a) => self
                .config()
                .ipv6
                .as_ref()
                .map_or((false, false), |c| (c.contains(a), a == c.host || a == c.dns)),
        };
        if !inside {
            return Err(wrong("the server is not in the guest's network"));
        }
        if taken {
            return Err(wrong("the address is the host's or the name server's"));
        }
        let id = self
            .tcp
            .add_forward(server, rule.port, target)
            .ok_or_else(|| wrong("it is forwarded already"))?;
        self.link.forwarded.push(server);
        Ok(id)
    }

    /// The fourth of the network.
    fn default_server(&self) -> Option<IpAddr> {
        let config = self.config().ipv4.as_ref()?;
        let mask = config.mask().to_bits();
        Some(Ipv4Addr::from_bits(config.network.to_bits() | (0x204 & !mask)).into())
    }

    /// How many bytes [`Self::channel_input`] takes now. 0 while the guest has no connection to it.
    pub fn channel_room(&self, channel: ChannelId) -> usize {
        self.tcp.channel_room(channel, self.config().limits.tcp_buffer)
    }

    /// Bytes from a channel for the guest; returns how many were taken. [`Self::run`] afterwards sends them.
    pub fn channel_input(&mut self, channel: ChannelId, data: &[u8]) -> usize {
        self.tcp
            .channel_input(channel, data, self.link.config.limits.tcp_buffer)
    }

    /// A channel that took less than it was given has room again.
    pub fn channel_writable(&mut self, channel: ChannelId) {
        self.tcp.channel_writable(channel);
    }

    /// Ends every flow without a word to the guest: it was reset or its memory replaced. Forwarding rules and addresses given out by
    /// DHCP stay.
    pub fn reset_flows(&mut self) {
        let (mut cx, parts) = self.split();
        parts.tcp.reset(&mut cx);
        parts.udp.reset(&mut cx);
        parts.pings.reset(&mut cx);
        self.fragments.clear();
        if let Some(tftp) = &mut self.tftp {
            tftp.reset();
        }
        self.link.clear();
    }

    /// What is open now, as `info usernet` lists it.
    pub fn flows(&self) -> Vec<FlowInfo> {
        let mut flows = Vec::new();
        self.tcp.info(&self.fds, &mut flows);
        self.udp.info(&self.fds, self.link.now, &mut flows);
        self.pings.info(&self.fds, self.link.now, &mut flows);
        flows
    }

    /// The table of `info usernet`, with its head line.
    pub fn info(&self) -> String {
        info::table(&self.flows())
    }
}

impl Drop for UserNet {
    fn drop(&mut self) {
        self.tcp.unlink_all();
    }
}
