//! Front ends of a back end: who is attached to which queue, and how much each takes.

use southbridge_core::DeviceId;
use southbridge_core::host::HostCx;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::mailbox::{HandleEvent, Mailbox};
use super::{Netdev, Nic};
use crate::front::NetEvent;
use crate::packet::{Frames, Offloads, Owned};

/// Frames that wait for a front end without room, where the host's side cannot be made to wait.
pub(super) const HELD: usize = 1024;
/// Most frames of one completion: what a front end that was away finds waiting does not come in one huge piece.
const BURST: usize = 64;

/// A front end of a [`Netdev`], by its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrontId {
    pub(super) queue: usize,
    /// Queues are used again; a front end that lost its place must not speak for the next one.
    pub(super) serial: u64,
}

/// Where a front end's events go.
pub(crate) enum Sink {
    Device(DeviceId, u32),
    Handle(Arc<Mailbox>),
}

/// Why a front end was not attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Somebody else has it.
    #[error("is in use by another NIC; a hub (-netdev hubport) joins several")]
    InUse,
    /// There is no such back end.
    #[error("is no network back end")]
    NoNetdev,
}

pub(super) struct Front {
    serial: u64,
    pub(super) sink: Sink,
    /// Gone when the front end is.
    alive: Weak<()>,
    room: usize,
    pub(super) offloads: Offloads,
    /// A frame was not taken.
    pub(super) starved: bool,
    pub(super) held: VecDeque<Owned>,
}

impl Front {
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn is_there(&self) -> bool {
        self.alive.strong_count() > 0
    }

    /// How many frames the host's side may give now.
    pub(super) fn welcome(&self) -> usize {
        self.room.saturating_sub(self.held.len())
    }

    pub(super) fn post(&self, event: NetEvent, host: &mut HostCx<'_>) {
        match &self.sink {
            Sink::Device(device, port) => host.post(*device, event.into_completion(*port)),
            Sink::Handle(mailbox) => match event {
                NetEvent::Writable => mailbox.post(HandleEvent::Writable),
                NetEvent::Link(_) | NetEvent::Frames(_) | NetEvent::Announce => {}
            },
        }
    }

    /// Hands on what waits, as far as there is room. How many frames that were.
    pub(super) fn feed(&mut self, host: &mut HostCx<'_>) -> usize {
        let all = self.held.len().min(self.room);
        self.room -= all;
        let mut left = all;
        while left > 0 {
            let n = left.min(BURST);
            left -= n;
            match &self.sink {
                Sink::Device(..) => {
                    let mut frames = Frames::default();
                    for (vnet, frame) in self.held.drain(..n) {
                        frames.push(vnet, &frame);
                    }
                    self.post(NetEvent::Frames(frames), host);
                }
                Sink::Handle(mailbox) => {
                    for frame in self.held.drain(..n) {
                        mailbox.post(HandleEvent::Frame(frame));
                    }
                }
            }
        }
        all
    }
}

impl Netdev {
    pub(crate) fn attach(
        &mut self,
        queue: usize,
        sink: Sink,
        alive: &Arc<()>,
        host: &mut HostCx<'_>,
    ) -> Result<FrontId, AttachError> {
        self.forget_gone(host);
        let place = self.fronts.get_mut(queue).ok_or(AttachError::NoNetdev)?;
        if place.is_some() {
            return Err(AttachError::InUse);
        }
        self.serial += 1;
        let room = match &sink {
            Sink::Device(..) => 0,
            Sink::Handle(mailbox) => mailbox.room(),
        };
        let front = place.insert(Front {
            serial: self.serial,
            sink,
            alive: Arc::downgrade(alive),
            room,
            offloads: Offloads::empty(),
            starved: false,
            held: VecDeque::new(),
        });
        if self.link_down && queue == 0 {
            front.post(NetEvent::Link(false), host);
        }
        if room > 0 {
            self.room_grew(queue, host);
        }
        Ok(FrontId {
            queue,
            serial: self.serial,
        })
    }

    /// Frees the queues of front ends that are gone.
    pub(super) fn forget_gone(&mut self, host: &mut HostCx<'_>) {
        for queue in 0..self.fronts.len() {
            let gone = self.fronts[queue].take_if(|f| !f.is_there()).is_some();
            match queue {
                _ if !gone => {}
                0 => {
                    self.nic = Nic::default();
                    self.remove_filter(crate::filter::OWN_CAPTURE, host);
                    self.fit_link(host);
                }
                // The next front end may not even know of it.
                _ => self.with_link(host, |link, cx| link.use_queue(queue, false, cx)),
            }
        }
    }

    pub(super) fn front_mut(&mut self, id: FrontId) -> Option<&mut Front> {
        let front = self.fronts.get_mut(id.queue)?.as_mut();
        front.filter(|f| f.serial == id.serial)
    }

    pub(crate) fn set_room(&mut self, id: FrontId, frames: usize, host: &mut HostCx<'_>) {
        let Some(f) = self.front_mut(id) else { return };
        // What is under way to the device takes its place, too.
        let frames = match f.sink {
            Sink::Device(device, port) => {
                let under_way: usize = host.waiting(device, port).map(NetEvent::frames_in).sum();
                frames.saturating_sub(under_way)
            }
            Sink::Handle(_) => frames,
        };
        let grew = frames > f.room;
        f.room = frames;
        if grew {
            let n = f.feed(host);
            self.counts.received += n as u64;
            self.room_grew(id.queue, host);
        }
    }

    pub(super) fn room_grew(&mut self, queue: usize, host: &mut HostCx<'_>) {
        if self
            .fronts
            .get(queue)
            .and_then(Option::as_ref)
            .is_some_and(|f| f.welcome() > 0)
        {
            self.with_link(host, |link, cx| link.room_grew(queue, cx));
            self.settle(host);
        }
    }

    pub(crate) fn use_queue(&mut self, id: FrontId, on: bool, host: &mut HostCx<'_>) {
        let Some(f) = self.front_mut(id) else { return };
        if !on {
            f.held.clear();
        }
        if id.queue > 0 {
            self.with_link(host, |link, cx| link.use_queue(id.queue, on, cx));
            self.settle(host);
        }
    }

    pub(crate) fn set_offloads(&mut self, id: FrontId, offloads: Offloads, host: &mut HostCx<'_>) {
        if let Some(f) = self.front_mut(id) {
            f.offloads = offloads;
            self.fit_link(host);
        }
    }

    /// The link gives only what all front ends take; where there is a filter, only whole frames, which any filter understands.
    pub(super) fn fit_link(&mut self, host: &mut HostCx<'_>) {
        let mut common = Offloads::all();
        for f in self.fronts.iter().flatten() {
            common &= f.offloads;
        }
        if !self.filters.is_empty() || self.fronts.iter().all(Option::is_none) {
            common = Offloads::empty();
        }
        self.with_link(host, |link, _| link.set_offloads(common));
    }

    /// The NIC hears of its cable once, on its first queue.
    pub(super) fn tell_link(&mut self, up: bool, host: &mut HostCx<'_>) {
        if let Some(Some(f)) = self.fronts.first() {
            f.post(NetEvent::Link(up), host);
        }
    }
}
