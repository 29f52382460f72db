//! The APB timer as a pure machine.

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use super::regs::{self, ctrl};
use crate::counter::{Counter, Run};
use crate::id;

/// All that the guest can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    ctrl: u32,
    interrupt: bool,
    counter: Counter,
    /// Level of the pin; the board's, so it outlives reset.
    extin: bool,
}

impl State {
    pub(super) const fn new(hz: u64) -> Self {
        Self {
            ctrl: 0,
            interrupt: false,
            counter: Counter::new(0, 0, hz),
            extin: false,
        }
    }

    pub(super) fn reset(&mut self, hz: u64) {
        *self = Self {
            extin: self.extin,
            ..Self::new(hz)
        };
    }

    pub(super) fn valid(&self) -> bool {
        self.ctrl & !ctrl::ALL == 0
    }

    /// Accounts for the time until `now`; comes before everything else.
    pub(super) fn advance(&mut self, now: VirtualTime) {
        if self.counter.advance(now) > 0 {
            self.expired();
        }
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        match offset {
            regs::CTRL => self.ctrl,
            regs::VALUE => self.counter.value(),
            regs::RELOAD => self.counter.reload(),
            regs::INTSTATUS => u32::from(self.interrupt),
            _ => id::read(&id::cmsdk(regs::PART), offset),
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32, now: VirtualTime) {
        match offset {
            regs::CTRL => self.ctrl = value & ctrl::ALL,
            regs::VALUE => self.counter.set_value(value, now),
            regs::RELOAD => {
                self.counter.set_reload(value);
                self.counter.set_value(value, now);
            }
            regs::INTSTATUS => self.interrupt &= value & 1 == 0,
            _ => {}
        }
        self.gate(now);
    }

    pub(super) fn set_extin(&mut self, level: bool, now: VirtualTime) {
        let rising = level && !self.extin;
        self.extin = level;
        let clocked = self.ctrl & (ctrl::EN | ctrl::SELEXTCLK) == ctrl::EN | ctrl::SELEXTCLK;
        if rising && clocked && self.counter.tick(self.at_zero()) {
            self.expired();
        }
        self.gate(now);
    }

    pub(super) fn set_hz(&mut self, hz: u64, now: VirtualTime) {
        self.counter.set_rate(hz, 1, now);
    }

    /// TIMERINT.
    pub(super) fn interrupt(&self) -> bool {
        self.interrupt
    }

    /// When something next happens that others can see.
    pub(super) fn deadline(&self) -> Option<VirtualTime> {
        let visible = self.ctrl & ctrl::IRQEN != 0 && !self.interrupt;
        visible.then(|| self.counter.next_expiry()).flatten()
    }

    fn expired(&mut self) {
        self.interrupt |= self.ctrl & ctrl::IRQEN != 0;
    }

    fn at_zero(&self) -> Run {
        if self.counter.reload() == 0 {
            Run::Once
        } else {
            Run::Repeat
        }
    }

    /// Lets the clock through to the counter, or not.
    fn gate(&mut self, now: VirtualTime) {
        let enabled = self.ctrl & ctrl::EN != 0 && (self.ctrl & ctrl::SELEXTEN == 0 || self.extin);
        let run = if enabled && self.ctrl & ctrl::SELEXTCLK == 0 {
            self.at_zero()
        } else {
            Run::Stopped
        };
        self.counter.set_run(run, now);
    }
}
