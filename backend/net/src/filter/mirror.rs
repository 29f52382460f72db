//! `filter-mirror` and `filter-redirector`: frames to and from character back ends.

use southbridge_core::host::HostEvent;

use super::gate::Ways;
use super::wire::{Receiver, Sender};
use super::{Direction, Filter, FilterCx, Verdict};
use crate::packet::Packet;

/// Copies of all frames go to a character back end.
pub(crate) struct Mirror(pub(crate) Sender);

impl Filter for Mirror {
    fn pass(&mut self, _: Direction, _: usize, packet: Packet<'_>, _: &mut FilterCx<'_, '_>) -> Verdict {
        self.0.send(packet.frame);
        Verdict::Pass
    }

    fn on_host(&mut self, event: HostEvent, _: &mut FilterCx<'_, '_>) {
        if event == HostEvent::Woken {
            self.0.poll();
        }
    }
}

/// Frames leave to one character back end and come from another.
pub(crate) struct Redirector {
    pub(crate) ways: Ways,
    pub(crate) to: Option<Sender>,
    pub(crate) from: Option<Receiver>,
}

impl Redirector {
    fn poll(&mut self, cx: &mut FilterCx<'_, '_>) {
        if let Some(to) = &mut self.to {
            to.poll();
        }
        let ways = self.ways;
        if let Some(from) = &mut self.from {
            from.poll(|frame| {
                for direction in ways.directions() {
                    cx.release(direction, 0, frame.to_vec());
                }
            });
        }
    }
}

impl Filter for Redirector {
    fn start(&mut self, cx: &mut FilterCx<'_, '_>) {
        self.poll(cx);
    }

    /// Where nobody reads, frames go their usual way.
    fn pass(&mut self, _: Direction, _: usize, packet: Packet<'_>, _: &mut FilterCx<'_, '_>) -> Verdict {
        match self.to.as_mut().filter(|to| to.is_open()) {
            Some(to) => {
                to.send(packet.frame);
                Verdict::Taken
            }
            None => Verdict::Pass,
        }
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut FilterCx<'_, '_>) {
        if event == HostEvent::Woken {
            self.poll(cx);
        }
    }
}
