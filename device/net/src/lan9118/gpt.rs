//! The general-purpose timer: 16 bits, 100 µs, down, and from 0 on to 0xffff (data sheet 3.8).

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use super::regs::GPT_HZ;

const WRAP: u64 = 1 << 16;

/// The counter. Nothing happens between accesses: it is computed from the time that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gpt {
    running: bool,
    start: u16,
    since: VirtualTime,
    /// Ticks that have been accounted for.
    seen: u64,
}

impl Gpt {
    /// Stopped, as after reset.
    pub(super) const fn new() -> Self {
        Self {
            running: false,
            start: 0xffff,
            since: VirtualTime(0),
            seen: 0,
        }
    }

    /// Starts from a value.
    pub(super) fn start(&mut self, value: u16, now: VirtualTime) {
        *self = Self {
            running: true,
            start: value,
            since: now,
            seen: 0,
        };
    }

    /// Accounts for the time until `now`; whether it reached zero meanwhile.
    pub(super) fn advance(&mut self, now: VirtualTime) -> bool {
        if !self.running {
            return false;
        }
        let before = self.zeros(self.seen);
        self.seen = now.ticks_since(self.since, GPT_HZ).max(self.seen);
        self.zeros(self.seen) > before
    }

    /// GPT_CNT.
    pub(super) fn value(&self) -> u16 {
        self.start.wrapping_sub(self.seen as u16)
    }

    /// When it reaches zero next.
    pub(super) fn next_zero(&self) -> Option<VirtualTime> {
        let tick = self
            .zeros(self.seen)
            .saturating_mul(WRAP)
            .saturating_add(self.first_zero());
        self.running.then(|| self.since.after_ticks(tick, GPT_HZ))
    }

    fn first_zero(&self) -> u64 {
        if self.start == 0 { WRAP } else { self.start.into() }
    }

    fn zeros(&self, ticks: u64) -> u64 {
        ticks.checked_sub(self.first_zero()).map_or(0, |after| after / WRAP + 1)
    }
}
