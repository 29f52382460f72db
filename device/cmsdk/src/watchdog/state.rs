//! The APB watchdog as a pure machine.

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use super::regs::{self, control, itop};
use crate::counter::{Counter, Run};
use crate::id;

/// All that the guest can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    control: u32,
    /// RIS: the counter ran out once.
    raw: bool,
    /// It ran out again before anybody cared.
    bites: bool,
    /// WDOGRES as it was when last looked at: who lets the guest live on is told once.
    bitten: bool,
    locked: bool,
    /// WDOGITCR: the outputs follow WDOGITOP.
    test: bool,
    test_out: u32,
    counter: Counter,
}

impl State {
    pub(super) const fn new(hz: u64) -> Self {
        Self {
            control: 0,
            raw: false,
            bites: false,
            bitten: false,
            locked: false,
            test: false,
            test_out: 0,
            counter: Counter::new(u32::MAX, u32::MAX, hz),
        }
    }

    pub(super) fn valid(&self) -> bool {
        self.control & !control::ALL == 0 && self.test_out & !itop::ALL == 0
    }

    /// Accounts for the time until `now`; comes before everything else.
    pub(super) fn advance(&mut self, now: VirtualTime) {
        let expired = self.counter.advance(now);
        if expired > u64::from(!self.raw) {
            self.bites = true;
            // It stopped at that zero, however late we look.
            self.counter.set_run(Run::Stopped, now);
            self.counter.set_value(0, now);
        }
        self.raw |= expired > 0;
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        match offset {
            regs::LOAD => self.counter.reload(),
            regs::VALUE => self.counter.value(),
            regs::CONTROL => self.control,
            regs::RIS => self.raw.into(),
            regs::MIS => self.masked().into(),
            regs::LOCK => self.locked.into(),
            regs::ITCR => self.test.into(),
            _ => id::read(&id::cmsdk(regs::PART), offset),
        }
    }

    /// Whether the lock keeps a write from having an effect.
    pub(super) fn refuses(&self, offset: u64) -> bool {
        self.locked && offset != regs::LOCK
    }

    pub(super) fn write(&mut self, offset: u64, value: u32, now: VirtualTime) {
        if self.refuses(offset) {
            return;
        }
        match offset {
            regs::LOAD => {
                self.counter.set_reload(value);
                self.counter.set_value(value, now);
            }
            regs::CONTROL => self.write_control(value & control::ALL, now),
            regs::INTCLR => {
                self.raw = false;
                self.counter.set_value(self.counter.reload(), now);
            }
            regs::LOCK => self.locked = value != regs::KEY,
            regs::ITCR => self.test = value & 1 != 0,
            regs::ITOP => self.test_out = value & itop::ALL,
            _ => {}
        }
    }

    fn write_control(&mut self, new: u32, now: VirtualTime) {
        let changed = self.control ^ new;
        self.control = new;
        if changed & new & control::INTEN != 0 {
            self.counter.set_value(self.counter.reload(), now);
            self.counter.set_run(Run::Repeat, now);
        } else if changed & control::INTEN != 0 {
            self.counter.set_run(Run::Stopped, now);
        }
    }

    pub(super) fn set_hz(&mut self, hz: u64, now: VirtualTime) {
        self.counter.set_rate(hz, 1, now);
    }

    fn masked(&self) -> bool {
        self.raw && self.control & control::INTEN != 0
    }

    /// WDOGINT.
    pub(super) fn interrupt(&self) -> bool {
        if self.test {
            self.test_out & itop::WDOGINT != 0
        } else {
            self.masked()
        }
    }

    /// WDOGRES.
    pub(super) fn reset_out(&self) -> bool {
        if self.test {
            self.test_out & itop::WDOGRES != 0
        } else {
            self.bites && self.control & control::RESEN != 0
        }
    }

    /// Whether WDOGRES has risen since the last look.
    pub(super) fn reset_rises(&mut self) -> bool {
        let now = self.reset_out();
        let before = std::mem::replace(&mut self.bitten, now);
        now && !before
    }

    /// When something next happens that others can see: the interrupt, or then the reset.
    pub(super) fn deadline(&self) -> Option<VirtualTime> {
        let visible = !self.raw || self.control & control::RESEN != 0;
        visible.then(|| self.counter.next_expiry()).flatten()
    }
}
