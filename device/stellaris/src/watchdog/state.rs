//! The register machine of the watchdog. Time is told to it.

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use super::regs::*;
use crate::ticker::{Ticker, count_down, ticks_to_zero};

/// All registers of the watchdog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    load: u32,
    /// The counter as of the ticker's last advance.
    count: u32,
    ctl: u32,
    pending: bool,
    test: u32,
    locked: bool,
    ticker: Ticker,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            load: u32::MAX,
            count: u32::MAX,
            ctl: 0,
            pending: false,
            test: 0,
            locked: false,
            ticker: Ticker::stopped(),
        }
    }

    pub(super) fn interrupt(&self) -> bool {
        self.pending && self.ctl & CTL_INTEN != 0
    }

    /// Comes up to `now`. Whether the system is to be reset: a time-out while one was pending.
    pub(super) fn advance(&mut self, now: VirtualTime) -> bool {
        let ticks = self.ticker.advance(now);
        if self.ctl & CTL_INTEN == 0 {
            return false;
        }
        let (count, time_outs) = count_down(self.count, self.load, ticks);
        self.count = count;
        let bites = time_outs > u64::from(!self.pending);
        self.pending |= time_outs > 0;
        bites && self.ctl & CTL_RESEN != 0
    }

    /// The next time-out that shows outside.
    pub(super) fn deadline(&self) -> Option<VirtualTime> {
        if self.pending && self.ctl & CTL_RESEN == 0 {
            return None;
        }
        self.ticker.deadline(ticks_to_zero(self.count, self.load))
    }

    /// The clock goes on at `hz`. The caller has advanced to `now`.
    pub(super) fn set_clock(&mut self, now: VirtualTime, hz: u64) {
        if self.ctl & CTL_INTEN != 0 {
            self.ticker = Ticker::start(now, hz);
        }
    }

    pub(super) fn locked(&self) -> bool {
        self.locked
    }

    /// A register as of the last advance.
    pub(super) fn read(&self, offset: u64) -> u32 {
        match offset {
            LOAD => self.load,
            VALUE => self.count,
            CTL => self.ctl,
            RIS => self.pending.into(),
            MIS => self.interrupt().into(),
            TEST => self.test,
            LOCK => self.locked.into(),
            PERIPH_ID4..=PCELL_ID3 => ID.get((offset - PERIPH_ID4) as usize / 4).copied().unwrap_or(0).into(),
            _ => 0,
        }
    }

    /// A write. The caller has advanced to `now`; `hz` is the clock's frequency.
    pub(super) fn write(&mut self, offset: u64, value: u32, now: VirtualTime, hz: u64) {
        match offset {
            LOCK => self.locked = value != UNLOCK,
            _ if self.locked => {}
            LOAD => {
                self.load = value;
                self.count = value;
            }
            CTL => self.set_ctl(value & (CTL_INTEN | CTL_RESEN), now, hz),
            ICR => {
                self.pending = false;
                self.count = self.load;
            }
            TEST => self.test = value & TEST_STALL,
            _ => {}
        }
    }

    fn set_ctl(&mut self, value: u32, now: VirtualTime, hz: u64) {
        if value & !self.ctl & CTL_INTEN != 0 {
            self.count = self.load;
            self.ticker = Ticker::start(now, hz);
        }
        self.ctl = value | self.ctl & CTL_INTEN;
    }
}
