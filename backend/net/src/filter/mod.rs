//! What may stand between a NIC and its back end: it looks at each frame, and may keep, drop, change or add some.
//!
//! A filter lives on the machine's thread beside its back end and never blocks. It sees whole frames: what a NIC leaves to be done has
//! been done before.

mod buffer;
mod dump;
mod gate;
mod kinds;
mod mirror;
mod rewriter;
#[cfg(test)]
mod tests;
mod wire;

use southbridge_core::host::{HostCx, HostEvent};
use std::any::Any;

pub use self::dump::MAX_LEN;
pub use self::gate::{PlaceError, Position, Ways};
pub use self::kinds::{FilterError, Wish, Work, add, remove};
pub(crate) use self::kinds::{OWN_CAPTURE, capture};

use crate::packet::{Owned, Packet, VnetHeader};

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the NIC to the host: QEMU's `rx`, which is what the back end receives.
    FromNic,
    /// From the host to the NIC: QEMU's `tx`.
    ToNic,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It ends here. The filter may have kept it, or released another one in its place.
    Taken,
}

/// One filter.
pub trait Filter: Any + Send {
    /// It has been put in its place.
    fn start(&mut self, _cx: &mut FilterCx<'_, '_>) {}

    /// A frame comes by.
    fn pass(&mut self, direction: Direction, queue: usize, packet: Packet<'_>, cx: &mut FilterCx<'_, '_>) -> Verdict;

    /// Something that it watches has happened. Tokens are those that it gave to [`FilterCx::token`].
    fn on_host(&mut self, _event: HostEvent, _cx: &mut FilterCx<'_, '_>) {}

    /// It is taken out, or the machine ends: let go what is kept, close what is open.
    fn close(&mut self, _cx: &mut FilterCx<'_, '_>) {}
}

/// A frame that a filter lets go.
pub(crate) struct Released {
    pub(crate) direction: Direction,
    pub(crate) queue: usize,
    pub(crate) frame: Owned,
}

/// What a filter may do.
pub struct FilterCx<'a, 'h> {
    /// The host, to watch descriptors and wake up later.
    pub host: &'a mut HostCx<'h>,
    tokens: u64,
    released: &'a mut Vec<Released>,
}

impl<'a, 'h> FilterCx<'a, 'h> {
    pub(crate) fn new(host: &'a mut HostCx<'h>, tokens: u64, released: &'a mut Vec<Released>) -> Self {
        Self { host, tokens, released }
    }

    /// What to give to `host.watch` and `host.wake_after` as a token, so that the event comes to this filter with `own`.
    pub fn token(&self, own: u32) -> u64 {
        self.tokens + u64::from(own)
    }

    /// Lets a frame go on from here, in its direction: the filters behind this one see it.
    pub fn release(&mut self, direction: Direction, queue: usize, frame: Vec<u8>) {
        self.released.push(Released {
            direction,
            queue,
            frame: (VnetHeader::NONE, frame),
        });
    }
}
