//! SysTick (ARM ARM B3.3): a 24-bit down counter, evaluated only when somebody looks.
//!
//! Time comes in as the processor's cycle count. The counter runs from that, or from the reference clock derived from it.

use serde::{Deserialize, Serialize};

const ENABLE: u32 = 1;
const TICKINT: u32 = 2;
const CLKSOURCE: u32 = 4;
const COUNTFLAG: u32 = 1 << 16;
const MASK: u32 = 0x00ff_ffff;

/// Clock rates the counter depends on.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Processor clock in Hz.
    pub cpu_hz: u64,
    /// Reference clock in Hz, if there is one.
    pub ref_hz: Option<u64>,
}

/// Counter state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysTick {
    csr: u32,
    reload: u32,
    current: u32,
    /// Cycle count up to which `current` is evaluated.
    at: u64,
    /// Remainder of the division into reference ticks, in cycles times `ref_hz`.
    fraction: u64,
}

impl SysTick {
    /// State after reset at cycle `now`. Without a reference clock CLKSOURCE is stuck at the processor clock.
    pub fn new(now: u64, rates: Rates) -> Self {
        let csr = if rates.ref_hz.is_none() { CLKSOURCE } else { 0 };
        SysTick {
            csr,
            at: now,
            ..Default::default()
        }
    }

    /// Evaluates the counter at cycle `now`; true when it reached zero with the interrupt enabled.
    pub fn advance(&mut self, now: u64, rates: Rates) -> bool {
        let cycles = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        if self.csr & ENABLE == 0 || cycles == 0 {
            return false;
        }
        let ticks = self.ticks(cycles, rates);
        let reached = self.count(ticks);
        if reached {
            self.csr |= COUNTFLAG;
        }
        reached && self.csr & TICKINT != 0
    }

    fn ticks(&mut self, cycles: u64, rates: Rates) -> u64 {
        match rates.ref_hz {
            Some(hz) if self.csr & CLKSOURCE == 0 => {
                let cpu = u128::from(rates.cpu_hz.max(1));
                let total = (u128::from(cycles) * u128::from(hz)).saturating_add(self.fraction.into());
                self.fraction = (total % cpu) as u64;
                (total / cpu) as u64
            }
            _ => cycles,
        }
    }

    /// Counts `ticks` down; true when zero was reached on the way.
    fn count(&mut self, ticks: u64) -> bool {
        let current = u64::from(self.current);
        if current > ticks {
            self.current -= ticks as u32;
            return false;
        }
        let after = ticks - current;
        let period = u64::from(self.reload) + 1;
        if self.reload == 0 {
            self.current = 0;
            return current > 0;
        }
        let phase = after % period;
        self.current = if phase == 0 { 0 } else { (period - phase) as u32 };
        current > 0 || after >= period
    }

    /// Cycle count at which the interrupt comes next, if it does.
    pub fn next_event(&self, rates: Rates) -> Option<u64> {
        if self.csr & (ENABLE | TICKINT) != ENABLE | TICKINT {
            return None;
        }
        let ticks = match (self.current, self.reload) {
            (0, 0) => return None,
            (0, reload) => u64::from(reload) + 1,
            (current, _) => u64::from(current),
        };
        let cycles = match rates.ref_hz {
            Some(hz) if self.csr & CLKSOURCE == 0 => {
                let total = u128::from(ticks) * u128::from(rates.cpu_hz.max(1));
                let need = total.saturating_sub(self.fraction.into());
                need.div_ceil(u128::from(hz.max(1))) as u64
            }
            _ => ticks,
        };
        Some(self.at.saturating_add(cycles.max(1)))
    }

    /// Register read at word `offset` from SYST_CSR; call [`SysTick::advance`] first.
    pub fn read(&mut self, offset: u32, rates: Rates) -> u32 {
        match offset {
            0x0 => {
                let v = self.csr;
                self.csr &= !COUNTFLAG;
                v
            }
            0x4 => self.reload,
            0x8 => self.current,
            0xc => calibration(rates),
            _ => 0,
        }
    }

    /// Register write; call [`SysTick::advance`] first.
    pub fn write(&mut self, offset: u32, value: u32, rates: Rates) {
        match offset {
            0x0 => {
                let mut bits = value & (ENABLE | TICKINT | CLKSOURCE);
                if rates.ref_hz.is_none() {
                    bits |= CLKSOURCE;
                }
                if (bits ^ self.csr) & CLKSOURCE != 0 {
                    self.fraction = 0;
                }
                self.csr = self.csr & COUNTFLAG | bits;
            }
            0x4 => self.reload = value & MASK,
            0x8 => {
                self.current = 0;
                self.csr &= !COUNTFLAG;
            }
            _ => {}
        }
    }
}

/// SYST_CALIB: ticks of 10 ms of the reference clock, SKEW when they are not exactly that; NOREF without one.
fn calibration(rates: Rates) -> u32 {
    match rates.ref_hz {
        Some(hz) => {
            let skew = u32::from(!hz.is_multiple_of(100)) << 30;
            (((hz / 100).max(1) - 1) as u32 & MASK) | skew
        }
        None => 1 << 31,
    }
}
