//! `user`: a network of our own, behind which every connection of the guest is a socket of this process. An adapter over the engine
//! of `backend/usernet`: it tells the engine the time and its descriptors' news, and brings frames both ways.

mod channel;
mod options;

use rustix::fd::AsFd;
use southbridge_backend_chardev::CharHandle;
use southbridge_backend_usernet::{
    self as usernet, Error, Gso, GuestForward, GuestTarget, HostForward, Meta, Ready, Sink, Token, UserNet, WatchChange,
};
use southbridge_core::host::{HostCx, HostEvent, Interest, WatchId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use self::channel::{Channels, Pipe};
pub(crate) use self::options::{chardev_forwards, make};
use crate::error::NetError;
use crate::link::{Link, LinkCx};
use crate::netdev::Netdev;
use crate::packet::{Offloads, Packet, VnetHeader};

/// The token of its wake-ups; those of descriptors are another sort of event.
const TOKEN_WAKE: u64 = 1;

pub(crate) struct User {
    net: UserNet,
    since: Instant,
    watches: BTreeMap<Token, WatchId>,
    channels: Channels,
    /// It has asked for a turn already.
    asked: bool,
}

impl User {
    pub(crate) fn new(net: UserNet) -> Self {
        Self {
            net,
            since: Instant::now(),
            watches: BTreeMap::new(),
            channels: Channels::default(),
            asked: false,
        }
    }

    /// Joins an address of the guest's network to a channel.
    pub(crate) fn add_channel(&mut self, rule: &GuestForward, handle: CharHandle) -> Result<(), NetError> {
        let pipe = Pipe::new(handle.clone());
        let id = self.net.add_guestfwd(rule, GuestTarget::Channel(Box::new(pipe)));
        self.channels.add(id.map_err(refused)?, handle);
        Ok(())
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// Has [`User::work`] called soon: once for all frames that the guest sends in one go.
    fn ask(&mut self, host: &HostCx<'_>) {
        if !std::mem::replace(&mut self.asked, true) {
            host.waker().wake();
        }
    }

    fn work(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.asked = false;
        self.channels.feed(&mut self.net);
        let now = self.now();
        self.net.run(now, &mut Door(cx));
        self.watch(cx.host);
        cx.host.cancel_wake(TOKEN_WAKE);
        match self.net.wake_at() {
            Some(at) if at <= now => self.ask(cx.host),
            Some(at) => cx.host.wake_after(at.saturating_sub(now), TOKEN_WAKE),
            None => {}
        }
    }

    fn watch(&mut self, host: &mut HostCx<'_>) {
        while let Some(change) = self.net.next_watch_change() {
            match change {
                WatchChange::Add { token, fd, write } => {
                    let mut interest = Interest::READ | Interest::EDGE;
                    interest.set(Interest::WRITE, write);
                    // What cannot be watched (no memory) stays silent, and its flow ends by its timer.
                    if let Ok(id) = host.watch(fd, interest, token.0) {
                        self.watches.insert(token, id);
                    }
                }
                WatchChange::Remove { token, fd } => {
                    if let Some(id) = self.watches.remove(&token) {
                        host.unwatch(id, fd.as_fd());
                    }
                }
            }
        }
    }
}

/// Where frames leave towards the NIC.
struct Door<'c, 'a, 'h>(&'c mut LinkCx<'a, 'h>);

impl Sink for Door<'_, '_, '_> {
    fn room(&self) -> usize {
        self.0.room(0)
    }

    fn frame(&mut self, frame: Vec<u8>, meta: Meta) {
        self.0.frame(0, header(&meta), frame);
    }
}

fn header(meta: &Meta) -> VnetHeader {
    let mut h = VnetHeader {
        gso_type: match meta.gso {
            Gso::None => VnetHeader::GSO_NONE,
            Gso::Tcp4 => VnetHeader::GSO_TCPV4,
            Gso::Tcp6 => VnetHeader::GSO_TCPV6,
        },
        gso_size: meta.segment,
        hdr_len: meta.headers,
        ..VnetHeader::NONE
    };
    if let Some((start, offset)) = meta.partial_checksum {
        h.flags = VnetHeader::NEEDS_CSUM;
        (h.csum_start, h.csum_offset) = (start, offset);
    }
    h
}

fn meta(h: &VnetHeader) -> Meta {
    let needs = h.flags & VnetHeader::NEEDS_CSUM != 0;
    Meta {
        partial_checksum: needs.then_some((h.csum_start, h.csum_offset)),
        gso: match h.gso_type & !VnetHeader::GSO_ECN {
            VnetHeader::GSO_TCPV4 => Gso::Tcp4,
            VnetHeader::GSO_TCPV6 => Gso::Tcp6,
            _ => Gso::None,
        },
        segment: h.gso_size,
        headers: h.hdr_len,
    }
}

impl Link for User {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        self.work(cx);
        Ok(())
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        match event {
            HostEvent::Ready {
                token,
                readable,
                writable,
                hangup,
            } => {
                let ready = Ready {
                    readable: readable || hangup,
                    writable: writable || hangup,
                };
                self.net.host_ready(Token(token), ready);
                // All that is ready now is told before the engine works on it.
                self.ask(cx.host);
            }
            HostEvent::WakeUp { .. } | HostEvent::Woken => self.work(cx),
        }
    }

    fn send(&mut self, _queue: usize, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool {
        let now = self.now();
        self.net.guest_frame(packet.frame, &meta(&packet.vnet), now);
        self.ask(cx.host);
        true
    }

    fn room_grew(&mut self, _queue: usize, cx: &mut LinkCx<'_, '_>) {
        self.ask(cx.host);
    }

    fn takes(&self) -> Offloads {
        Offloads::CSUM | Offloads::TSO4 | Offloads::TSO6 | Offloads::ECN
    }

    fn set_offloads(&mut self, offloads: Offloads) {
        let mut all = usernet::Offloads::empty();
        let with_sums = offloads.contains(Offloads::CSUM);
        all.set(usernet::Offloads::CHECKSUM, with_sums);
        all.set(usernet::Offloads::TSO4, with_sums && offloads.contains(Offloads::TSO4));
        all.set(usernet::Offloads::TSO6, with_sums && offloads.contains(Offloads::TSO6));
        self.net.set_offloads(all);
    }

    fn describe(&self) -> String {
        let config = self.net.config();
        let restrict = if config.restrict { "on" } else { "off" };
        match (&config.ipv4, &config.ipv6) {
            (Some(v4), _) => format!("net={},restrict={restrict}", v4.network),
            (None, Some(v6)) => format!("net={},restrict={restrict}", v6.prefix),
            (None, None) => format!("restrict={restrict}"),
        }
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        cx.host.cancel_wake(TOKEN_WAKE);
        self.net.reset_flows();
        self.watch(cx.host);
    }
}

/// The engine's errors in the words of back ends.
fn refused(error: Error) -> NetError {
    match error {
        Error::Option { option, value, reason } => NetError::Conflict {
            option,
            why: format!("cannot be '{value}': it {reason}"),
        },
        Error::Rule { kind, .. } | Error::Host { kind, .. } => NetError::Refused {
            option: Some(if kind == "guest" { "guestfwd" } else { "hostfwd" }),
            why: error.to_string(),
        },
        Error::Tftp { .. } => NetError::Refused {
            option: Some("tftp"),
            why: error.to_string(),
        },
        Error::Conflict(why) => NetError::Refused {
            option: None,
            why: why.to_owned(),
        },
    }
}

fn no_user() -> NetError {
    NetError::Refused {
        option: None,
        why: "this back end is not of the type 'user'".into(),
    }
}

/// What monitors ask of a `user` back end.
impl Netdev {
    /// Has a port of the host lead to the guest (`hostfwd_add`). Where the host listens, if it chose the port itself.
    ///
    /// # Errors
    /// The rule is wrong, the host refuses, or this is no `user` back end.
    pub fn add_hostfwd(&mut self, rule: &str, host: &mut HostCx<'_>) -> Result<Option<SocketAddr>, NetError> {
        let rule = HostForward::parse(rule).map_err(refused)?;
        let added = self.on_link(host, |user: &mut User, cx| {
            let at = user.net.add_hostfwd(&rule);
            user.watch(cx.host);
            at
        });
        added.ok_or_else(no_user)?.map_err(refused)
    }

    /// Ends such a rule (`hostfwd_remove`); `false` if there was none.
    ///
    /// # Errors
    /// The rule is wrong, or this is no `user` back end.
    pub fn remove_hostfwd(&mut self, rule: &str, host: &mut HostCx<'_>) -> Result<bool, NetError> {
        let side = HostForward::parse_host_side(rule).map_err(refused)?;
        let removed = self.on_link(host, |user: &mut User, cx| {
            let was_there = user.net.remove_hostfwd(&side);
            user.watch(cx.host);
            was_there
        });
        removed.ok_or_else(no_user)
    }

    /// The connections of a `user` back end as `info usernet` shows them; `None` for other kinds.
    pub fn usernet_info(&mut self, host: &mut HostCx<'_>) -> Option<String> {
        self.on_link(host, |user: &mut User, _| user.net.info())
    }
}
