//! The metronome as a pure machine: registers and time in, registers, interrupt level and next deadline out. It knows no bus.

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use crate::regs::{self, ctrl};

// ANCHOR: state
/// All that the guest can see, now or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    ctrl: u32,
    period: u32,
    count: u32,
    pending: bool,
    /// When the first of the beats that `told` counts began.
    anchor: VirtualTime,
    /// Beats since `anchor` that `count` has in it.
    told: u64,
    /// Frequency of one tick of PERIOD.
    hz: u64,
}
// ANCHOR_END: state

impl State {
    pub(crate) const fn new(hz: u64) -> Self {
        Self {
            ctrl: 0,
            period: 0,
            count: 0,
            pending: false,
            anchor: VirtualTime(0),
            told: 0,
            hz,
        }
    }

    /// Whether a state from outside is one that this device can have.
    pub(crate) fn valid(&self) -> bool {
        self.ctrl & !ctrl::ALL == 0
    }

    // ANCHOR: time
    /// Accounts for the time until `now`; comes before everything else. Nothing runs between two calls: however short a beat the guest
    /// chooses, it costs the host one division when somebody looks.
    pub(crate) fn advance(&mut self, now: VirtualTime) {
        let beats = self.beats(now);
        let new = beats.saturating_sub(self.told);
        if new > 0 {
            self.told = beats;
            self.count = self.count.wrapping_add(new as u32);
            self.pending = true;
        }
    }

    /// Beats between `anchor` and `now`.
    fn beats(&self, now: VirtualTime) -> u64 {
        let running = self.ctrl & ctrl::EN != 0;
        let ticks = if running {
            now.ticks_since(self.anchor, self.hz)
        } else {
            0
        };
        ticks.checked_div(self.period.into()).unwrap_or(0)
    }

    /// When something next happens that others can see. A beat that is pending already, or that nobody is told of, is nothing.
    pub(crate) fn deadline(&self) -> Option<VirtualTime> {
        let visible = self.ctrl == ctrl::ALL && self.period != 0 && !self.pending;
        let ticks = self.told.saturating_add(1).saturating_mul(self.period.into());
        visible.then(|| self.anchor.after_ticks(ticks, self.hz))
    }
    // ANCHOR_END: time

    /// The interrupt output.
    pub(crate) fn interrupt(&self) -> bool {
        self.pending && self.ctrl & ctrl::IRQEN != 0
    }

    // ANCHOR: registers
    pub(crate) fn read(&self, offset: u64) -> u32 {
        match offset {
            regs::CTRL => self.ctrl,
            regs::PERIOD => self.period,
            regs::COUNT => self.count,
            regs::STATUS => self.pending.into(),
            _ => 0,
        }
    }

    pub(crate) fn write(&mut self, offset: u64, value: u32, now: VirtualTime) {
        match offset {
            regs::CTRL => {
                if value & !self.ctrl & ctrl::EN != 0 {
                    self.count = 0;
                    self.restart(now);
                }
                self.ctrl = value & ctrl::ALL;
            }
            regs::PERIOD => {
                self.period = value;
                self.restart(now);
            }
            regs::ACK => self.pending = false,
            _ => {}
        }
    }
    // ANCHOR_END: registers

    /// The input clock runs at another frequency from now on; the beat begins anew.
    pub(crate) fn set_hz(&mut self, hz: u64, now: VirtualTime) {
        self.hz = hz;
        self.restart(now);
    }

    fn restart(&mut self, now: VirtualTime) {
        self.anchor = now;
        self.told = 0;
    }
}
