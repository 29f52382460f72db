//! The narrow host-side trait that each kind of back end implements.
//!
//! A link moves frames and says what happened; queues, credit, front ends, filters and what is left to do to a frame are
//! [`crate::Netdev`]'s.

use southbridge_core::host::{HostCx, HostEvent};
use std::any::Any;
use std::collections::VecDeque;
use std::io;

use crate::packet::{Offloads, Owned, Packet, VnetHeader};

/// What a link tells.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A frame for the front end of a queue.
    Frame(usize, Owned),
    /// A frame that was not taken may go now, whichever queue it was of.
    Writable,
    /// There is a peer now: its address, as the monitor shows it.
    Connected(Address),
    /// The peer is gone.
    Disconnected,
    /// Rings are lent to whoever is behind this character back end.
    Lent(String),
    /// They no longer are.
    Returned,
    /// For the person at the command line, as it stands.
    Warning(String),
}

/// Where a peer is, in the terms of the monitor's `SocketAddress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP or UDP.
    Inet {
        /// Address.
        host: String,
        /// Port.
        port: String,
        /// Of IPv6.
        ipv6: bool,
    },
    /// A unix socket; without a name for one that has none.
    Unix(String),
    /// A descriptor of this process.
    Fd(String),
}

/// What a link may do: watch descriptors, and tell.
pub(crate) struct LinkCx<'a, 'h> {
    pub(crate) host: &'a mut HostCx<'h>,
    /// How many frames the front end of each queue takes now; [`LinkCx::frame`] counts it down.
    pub(crate) room: &'a mut [usize],
    pub(crate) inbox: &'a mut VecDeque<LinkEvent>,
}

impl LinkCx<'_, '_> {
    /// How many frames the front end of a queue takes now.
    pub(crate) fn room(&self, queue: usize) -> usize {
        self.room.get(queue).copied().unwrap_or(0)
    }

    /// Hands a frame on. A link that can wait asks [`LinkCx::room`] first.
    pub(crate) fn frame(&mut self, queue: usize, vnet: VnetHeader, frame: Vec<u8>) {
        if let Some(r) = self.room.get_mut(queue) {
            *r = r.saturating_sub(1);
        }
        self.inbox.push_back(LinkEvent::Frame(queue, (vnet, frame)));
    }

    pub(crate) fn tell(&mut self, event: LinkEvent) {
        self.inbox.push_back(event);
    }
}

/// The host's half of a back end: one kind. Runs on the machine's thread and never blocks.
pub(crate) trait Link: Any + Send {
    /// Starts to watch. Called once, before anything else.
    fn start(&mut self, _cx: &mut LinkCx<'_, '_>) -> io::Result<()> {
        Ok(())
    }

    /// Something happened on the host. Tokens of a link are below 2^63.
    fn on_host(&mut self, _event: HostEvent, _cx: &mut LinkCx<'_, '_>) {}

    /// Sends a frame, which leaves nothing to do but what [`Link::takes`] says. `false`: there is no room; [`LinkEvent::Writable`]
    /// follows. A frame for which there is nobody is taken and dropped.
    fn send(&mut self, queue: usize, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool;

    /// The room for frames to a queue (`cx.room`) became more than nothing.
    fn room_grew(&mut self, _queue: usize, _cx: &mut LinkCx<'_, '_>) {}

    /// The front end begins to work on a queue, or no longer does. It always works on the first one, and on the others after it has said
    /// so. Frames for a queue that nobody works on should go to another one.
    fn use_queue(&mut self, _queue: usize, _on: bool, _cx: &mut LinkCx<'_, '_>) {}

    /// What may be left to do in frames that it sends.
    fn takes(&self) -> Offloads {
        Offloads::empty()
    }

    /// What may be left to do in frames that it gives. All else is done before.
    fn set_offloads(&mut self, _offloads: Offloads) {}

    /// Queues.
    fn queues(&self) -> usize {
        1
    }

    /// What `info network` shows behind the type.
    fn describe(&self) -> String;

    /// The end: unlink, restore, stop threads and processes.
    fn close(&mut self, _cx: &mut LinkCx<'_, '_>) {}
}
