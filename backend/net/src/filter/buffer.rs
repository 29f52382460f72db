//! `filter-buffer`: frames wait and go on together, at the end of each interval.

use southbridge_core::host::HostEvent;
use std::collections::VecDeque;
use std::time::Duration;

use super::{Direction, Filter, FilterCx, Verdict};
use crate::packet::Packet;

/// Frames that wait at most; QEMU's number.
const MOST_FRAMES: usize = 10_000;
/// Bytes that wait at most.
const MOST_BYTES: usize = 64 << 20;
const TIMER: u32 = 0;

/// Frames that wait.
pub(crate) struct Buffer {
    interval: Duration,
    waiting: VecDeque<(Direction, usize, Vec<u8>)>,
    bytes: usize,
}

impl Buffer {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            waiting: VecDeque::new(),
            bytes: 0,
        }
    }

    fn release(&mut self, cx: &mut FilterCx<'_, '_>) {
        self.bytes = 0;
        for (direction, queue, frame) in self.waiting.drain(..) {
            cx.release(direction, queue, frame);
        }
    }
}

impl Filter for Buffer {
    fn start(&mut self, cx: &mut FilterCx<'_, '_>) {
        let token = cx.token(TIMER);
        cx.host.wake_after(self.interval, token);
    }

    /// What is too much is lost, as in a switch.
    fn pass(&mut self, direction: Direction, queue: usize, packet: Packet<'_>, _: &mut FilterCx<'_, '_>) -> Verdict {
        let bytes = self.bytes + packet.frame.len();
        if self.waiting.len() < MOST_FRAMES && bytes <= MOST_BYTES {
            self.bytes = bytes;
            self.waiting.push_back((direction, queue, packet.frame.to_vec()));
        }
        Verdict::Taken
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut FilterCx<'_, '_>) {
        if matches!(event, HostEvent::WakeUp { .. }) {
            self.release(cx);
            self.start(cx);
        }
    }

    fn close(&mut self, cx: &mut FilterCx<'_, '_>) {
        let token = cx.token(TIMER);
        cx.host.cancel_wake(token);
        self.release(cx);
    }
}
