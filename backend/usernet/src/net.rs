//! The engine itself: what its owner calls.

use std::net::SocketAddr;
use std::time::Duration;

use crate::info::{self, FlowInfo};
use crate::{
    ChannelId, Config, Error, GuestForward, GuestTarget, HostForward, HostSide, Meta, Offloads, Ready, Sink, Token,
    WatchChange,
};

/// A guest's link with its router. One per `-netdev user`.
pub struct UserNet {
    config: Config,
    offloads: Offloads,
}

impl UserNet {
    /// An engine without forwarding rules. Opens the TFTP directory if there is one, and nothing else of the host.
    ///
    /// # Errors
    /// The TFTP directory cannot be opened.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self {
            config,
            offloads: Offloads::empty(),
        })
    }

    /// What it was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the guest's driver has negotiated; nothing at first. Big segments *from* the guest are always taken.
    pub fn set_offloads(&mut self, offloads: Offloads) {
        self.offloads = offloads;
    }

    /// Takes one Ethernet frame from the guest. Sends nothing yet: answers leave in [`Self::run`]. Never refuses: what finds no room
    /// is dropped, as on a wire, and TCP's window keeps that from happening.
    pub fn guest_frame(&mut self, _frame: &[u8], _meta: &Meta, _now: Duration) {}

    /// A watched descriptor became ready. Does the host's reads later, in [`Self::run`]. An unknown token is ignored.
    pub fn host_ready(&mut self, _token: Token, _ready: Ready) {}

    /// Works: timers that are due, reads from and writes to the host's sockets, frames to the guest while the sink has room. Call it
    /// after each batch of [`Self::guest_frame`] and [`Self::host_ready`], when [`Self::wake_at`] is reached, and when the sink has
    /// room again. `now` must not run backwards; a monotonic clock since any moment.
    ///
    /// Does a bounded piece of work; if there is more, [`Self::wake_at`] is `now`.
    pub fn run(&mut self, _now: Duration, _sink: &mut dyn Sink) {}

    /// When to call [`Self::run`] next even if nothing happens.
    pub fn wake_at(&self) -> Option<Duration> {
        None
    }

    /// The next change of what to watch, in order. `None`: all are taken.
    pub fn next_watch_change(&mut self) -> Option<WatchChange<'_>> {
        None
    }

    /// Adds a rule and listens at once. Returns the address listened at (with the port that the host chose for port 0); `None` for a
    /// unix socket.
    ///
    /// # Errors
    /// The host refuses, or the rule's guest address is of a family that is off.
    pub fn add_hostfwd(&mut self, _rule: &HostForward) -> Result<Option<SocketAddr>, Error> {
        Ok(None)
    }

    /// Removes a rule; connections made through it live on. `false`: there is no such rule.
    pub fn remove_hostfwd(&mut self, _host: &HostSide) -> bool {
        false
    }

    /// Adds a rule; the id is that of its [`crate::Channel`] if the target is one (and otherwise names nothing). [`GuestForward::to`]
    /// is not looked at.
    ///
    /// # Errors
    /// The server's address is not in the guest's network, is the router's or the name server's, or is forwarded already.
    pub fn add_guestfwd(&mut self, _rule: &GuestForward, _target: GuestTarget) -> Result<ChannelId, Error> {
        Ok(ChannelId(0))
    }

    /// How many bytes [`Self::channel_input`] takes now. 0 while the guest has no connection to it.
    pub fn channel_room(&self, _channel: ChannelId) -> usize {
        0
    }

    /// Bytes from a channel for the guest; returns how many were taken. [`Self::run`] afterwards sends them.
    pub fn channel_input(&mut self, _channel: ChannelId, _data: &[u8]) -> usize {
        0
    }

    /// A channel that took less than it was given has room again.
    pub fn channel_writable(&mut self, _channel: ChannelId) {}

    /// Ends every flow without a word to the guest: it was reset or its memory replaced. Forwarding rules and addresses given out by
    /// DHCP stay.
    pub fn reset_flows(&mut self) {}

    /// What is open now, as `info usernet` lists it.
    pub fn flows(&self) -> Vec<FlowInfo> {
        Vec::new()
    }

    /// The table of `info usernet`, with its head line.
    pub fn info(&self) -> String {
        info::table(&self.flows())
    }
}
