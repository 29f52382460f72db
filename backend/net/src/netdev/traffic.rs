//! The way of frames: from a front end through the filters to the host, and back.

use southbridge_core::host::HostCx;

use super::fronts::{FrontId, HELD};
use super::{Netdev, Sink};
use crate::filter::Direction;
use crate::front::NetEvent;
use crate::link::{Link, LinkCx, LinkEvent};
use crate::message::Message;
use crate::offload;
use crate::packet::{MAX_FRAME, Offloads, Owned, Packet};

/// Frames of one queue that wait for the host. QEMU lets ten thousand wait; a guest that hears of a full queue soon keeps latency low.
const OUT_FRAMES: usize = 256;

impl Netdev {
    /// Whether a frame of that front end would be taken.
    pub(crate) fn has_room_out(&self, id: FrontId) -> bool {
        self.out.get(id.queue).is_none_or(|q| q.len() < OUT_FRAMES)
    }

    /// A frame from a front end; whether it was taken.
    pub(crate) fn front_send(&mut self, id: FrontId, packet: Packet<'_>, host: &mut HostCx<'_>) -> bool {
        if self.front_mut(id).is_none() || self.link_down || packet.frame.len() > MAX_FRAME {
            return true;
        }
        if !self.has_room_out(id) {
            if let Some(f) = self.front_mut(id) {
                f.starved = true;
            }
            return false;
        }
        self.counts.sent += 1;
        if self.filters.is_empty() {
            self.pass_to_link(id.queue, packet, host);
        } else {
            let whole = offload::fit(packet, Offloads::empty());
            whole.for_each(|p| self.through_filters(Direction::FromNic, id.queue, p, host));
        }
        self.settle(host);
        true
    }

    /// Past all filters: to the host, or behind what waits for it.
    pub(super) fn pass_to_link(&mut self, queue: usize, packet: Packet<'_>, host: &mut HostCx<'_>) {
        let takes = self.link.takes();
        offload::fit(packet, takes).for_each(|p| {
            let goes = self.out[queue].is_empty() && self.with_link(host, |link, cx| link.send(queue, p, cx));
            if !goes && let Some(q) = self.out.get_mut(queue) {
                // One packet may become many segments, so this may go past the limit by that much.
                q.push_back((p.vnet, p.frame.to_vec()));
            }
        });
    }

    pub(super) fn flush(&mut self, host: &mut HostCx<'_>) {
        for queue in 0..self.out.len() {
            while let Some((vnet, frame)) = self.out[queue].pop_front() {
                let packet = Packet { vnet, frame: &frame };
                if !self.with_link(host, |link, cx| link.send(queue, packet, cx)) {
                    self.out[queue].push_front((vnet, frame));
                    break;
                }
            }
            if self.out[queue].len() < OUT_FRAMES / 2
                && let Some(f) = self.fronts.get_mut(queue).and_then(Option::as_mut)
                && std::mem::take(&mut f.starved)
            {
                f.post(NetEvent::Writable, host);
            }
        }
    }

    /// A front end has a frame that waits.
    pub(crate) fn ask_writable(&mut self, id: FrontId, host: &mut HostCx<'_>) {
        if let Some(f) = self.front_mut(id) {
            f.starved = true;
        }
        self.flush(host);
    }

    pub(super) fn with_link<R>(
        &mut self,
        host: &mut HostCx<'_>,
        f: impl FnOnce(&mut dyn Link, &mut LinkCx<'_, '_>) -> R,
    ) -> R {
        // Nearly all have one queue.
        let mut room: smallvec::SmallVec<[usize; 4]> = self
            .fronts
            .iter()
            .map(|f| f.as_ref().map_or(HELD, |f| f.welcome()))
            .collect();
        f(
            &mut *self.link,
            &mut LinkCx {
                host,
                room: &mut room,
                inbox: &mut self.inbox,
            },
        )
    }

    /// Works off what the link told.
    pub(super) fn settle(&mut self, host: &mut HostCx<'_>) {
        while let Some(event) = self.inbox.pop_front() {
            match event {
                LinkEvent::Frame(queue, (vnet, frame)) => {
                    let packet = Packet { vnet, frame: &frame };
                    if self.filters.is_empty() {
                        self.hold(queue, (vnet, frame));
                    } else {
                        let whole = offload::fit(packet, Offloads::empty());
                        whole.for_each(|p| self.through_filters(Direction::ToNic, queue, p, host));
                    }
                }
                LinkEvent::Writable => self.flush(host),
                LinkEvent::Connected(address) => self.messages.say(&Message::Connected {
                    netdev: self.id.clone(),
                    address,
                }),
                LinkEvent::Disconnected => {
                    self.messages.say(&Message::Disconnected {
                        netdev: self.id.clone(),
                    });
                    self.forget_out(host);
                }
                LinkEvent::Lent(chardev) => self.messages.say(&Message::Lent {
                    netdev: self.id.clone(),
                    chardev,
                }),
                LinkEvent::Returned => {
                    self.messages.say(&Message::Returned {
                        netdev: self.id.clone(),
                    });
                    self.forget_out(host);
                }
                LinkEvent::Warning(text) => self.warn(&text),
            }
        }
        self.feed_all(host);
    }

    /// What was meant for the old peer must not greet the next one.
    fn forget_out(&mut self, host: &mut HostCx<'_>) {
        self.out.iter_mut().for_each(|q| q.clear());
        self.flush(host);
    }

    fn feed_all(&mut self, host: &mut HostCx<'_>) {
        for f in self.fronts.iter_mut().flatten() {
            if !f.held.is_empty() {
                self.counts.received += f.feed(host) as u64;
            }
        }
    }

    /// Past all filters: to the front end, in a form that it takes.
    pub(super) fn hold(&mut self, queue: usize, (vnet, frame): Owned) {
        let front = self.fronts.get_mut(queue).and_then(Option::as_mut);
        let Some(f) = front.filter(|_| !self.link_down) else {
            self.counts.dropped += 1;
            return;
        };
        if f.held.len() >= HELD || frame.len() > MAX_FRAME {
            self.counts.dropped += 1;
        } else if vnet.is_plain() || offload::covered(vnet, f.offloads) {
            f.held.push_back((vnet, frame));
        } else {
            let held = &mut f.held;
            let packet = Packet { vnet, frame: &frame };
            offload::fit(packet, f.offloads).for_each(|p| held.push_back((p.vnet, p.frame.to_vec())));
        }
    }

    /// Handles speak through their mailboxes.
    pub(super) fn collect_mail(&mut self, host: &mut HostCx<'_>) {
        for queue in 0..self.fronts.len() {
            let Some(Some(f)) = self.fronts.get(queue) else {
                continue;
            };
            let Sink::Handle(mailbox) = &f.sink else { continue };
            let mailbox = mailbox.clone();
            let id = FrontId {
                queue,
                serial: f.serial(),
            };
            while self.has_room_out(id)
                && let Some((vnet, frame)) = mailbox.take_out()
            {
                self.front_send(id, Packet { vnet, frame: &frame }, host);
            }
            if mailbox.is_waiting()
                && let Some(f) = self.front_mut(id)
            {
                f.starved = true;
            }
            self.set_room(id, mailbox.room(), host);
        }
    }
}
