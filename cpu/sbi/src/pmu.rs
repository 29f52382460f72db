//! Performance monitoring (chapter 11): the two counters that a hart has, and counters of the firmware's own.

use serde::{Deserialize, Serialize};
use southbridge_core::System;
use southbridge_cpu_rv64::Rv64;

use crate::spec::{SbiError, SbiResult};

/// Counters of the hardware that exist: `cycle` and `instret` at 0 and 2 (1 is `time`, which is none).
const CYCLE: u64 = 0;
const INSTRET: u64 = 2;
/// Counters of the firmware follow them.
const FIRST_FIRMWARE: u64 = 3;
const FIRMWARE_COUNTERS: u64 = 16;
const COUNTERS: u64 = FIRST_FIRMWARE + FIRMWARE_COUNTERS;

const MCYCLE: u16 = 0xb00;
const CSR_CYCLE: u64 = 0xc00;
const MCOUNTINHIBIT: u16 = 0x320;

/// Events of the firmware that are counted (11.4, table 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirmwareEvent {
    /// `set_timer` calls.
    SetTimer = 5,
    /// Interprocessor interrupts sent.
    IpiSent = 6,
    /// Interprocessor interrupts received.
    IpiReceived = 7,
    /// Remote FENCE.I sent.
    FenceISent = 8,
    /// Remote FENCE.I received.
    FenceIReceived = 9,
    /// Remote SFENCE.VMA sent.
    SfenceSent = 10,
    /// Remote SFENCE.VMA received.
    SfenceReceived = 11,
    /// Remote SFENCE.VMA with an address space sent.
    SfenceAsidSent = 12,
    /// Remote SFENCE.VMA with an address space received.
    SfenceAsidReceived = 13,
}

const FIRMWARE_EVENTS: u64 = 22;

/// Flags of `counter_config_matching` (11.6).
mod config {
    pub(super) const SKIP_MATCH: u64 = 1;
    pub(super) const CLEAR_VALUE: u64 = 1 << 1;
    pub(super) const AUTO_START: u64 = 1 << 2;
}
/// Flag of `counter_start`: the third argument is the first value.
const START_SET_INIT: u64 = 1;
/// Flag of `counter_stop`: the counter is free again.
const STOP_RESET: u64 = 1;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct FirmwareCounter {
    event: Option<u64>,
    running: bool,
    value: u64,
}

/// The counters of one hart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Pmu {
    firmware: [FirmwareCounter; FIRMWARE_COUNTERS as usize],
    /// The hardware counters that were configured, by bit.
    used: u64,
    /// Of those, the ones that were started.
    started: u64,
}

impl Pmu {
    /// Something that the firmware counts has happened on this hart.
    pub(crate) fn count(&mut self, event: FirmwareEvent) {
        let counting = |c: &&mut FirmwareCounter| c.running && c.event == Some(event as u64);
        for c in self.firmware.iter_mut().filter(counting) {
            c.value = c.value.wrapping_add(1);
        }
    }

    /// A call of the extension: function and its arguments.
    pub(crate) fn call(&mut self, function: u64, a: [u64; 6], hart: &mut Rv64, sys: &mut System) -> SbiResult {
        match function {
            0 => Ok(COUNTERS),
            1 => info(a[0]),
            2 => self.configure(a, hart, sys),
            3 => self.each(a[0], a[1], |p, n| p.start(n, a[2], a[3], hart, sys)),
            4 => self.each(a[0], a[1], |p, n| p.stop(n, a[2])),
            5 => self.firmware(a[0]).map(|c| c.value),
            // The upper half, which a 64-bit guest has got already.
            6 => self.firmware(a[0]).map(|_| 0),
            _ => Err(SbiError::NotSupported),
        }
    }

    fn firmware(&mut self, counter: u64) -> Result<&mut FirmwareCounter, SbiError> {
        let i = counter.checked_sub(FIRST_FIRMWARE).ok_or(SbiError::InvalidParam)?;
        let c = self.firmware.get_mut(i as usize).ok_or(SbiError::InvalidParam)?;
        if c.event.is_none() {
            return Err(SbiError::InvalidParam);
        }
        Ok(c)
    }

    fn configure(&mut self, [base, mask, flags, event, ..]: [u64; 6], hart: &mut Rv64, sys: &mut System) -> SbiResult {
        let candidates = counters(base, mask)?;
        let counter = if flags & config::SKIP_MATCH != 0 {
            let configured = |n: &u64| self.is_configured(*n);
            candidates.into_iter().find(configured).ok_or(SbiError::InvalidParam)?
        } else {
            let fits = |n: &u64| self.fits(*n, event);
            candidates.into_iter().find(fits).ok_or(SbiError::NotSupported)?
        };
        match counter.checked_sub(FIRST_FIRMWARE) {
            None => self.used |= 1 << counter,
            Some(i) if flags & config::SKIP_MATCH == 0 => self.firmware[i as usize].event = Some(event & 0xffff),
            Some(_) => {}
        }
        if flags & config::CLEAR_VALUE != 0 {
            self.set_value(counter, 0, hart, sys);
        }
        if flags & config::AUTO_START != 0 {
            self.start(counter, 0, 0, hart, sys)?;
        }
        Ok(counter)
    }

    fn is_configured(&self, counter: u64) -> bool {
        match counter.checked_sub(FIRST_FIRMWARE) {
            None => self.used >> counter & 1 != 0,
            Some(i) => self.firmware.get(i as usize).is_some_and(|c| c.event.is_some()),
        }
    }

    /// Whether a free counter can count an event: type in bits 19 to 16, code below (11.1).
    fn fits(&self, counter: u64, event: u64) -> bool {
        let (kind, code) = (event >> 16 & 0xf, event & 0xffff);
        if self.is_configured(counter) {
            return false;
        }
        match (kind, code) {
            (0, 1) => counter == CYCLE,
            (0, 2) => counter == INSTRET,
            (0xf, code) => code < FIRMWARE_EVENTS && counter >= FIRST_FIRMWARE,
            _ => false,
        }
    }

    fn set_value(&mut self, counter: u64, value: u64, hart: &mut Rv64, sys: &mut System) {
        match counter.checked_sub(FIRST_FIRMWARE) {
            None => {
                hart.set_csr(MCYCLE + counter as u16, value, sys);
            }
            Some(i) => self.firmware[i as usize].value = value,
        }
    }

    /// Notes whether a counter of the hardware was started, and says whether it was before.
    fn set_started(&mut self, counter: u64, on: bool) -> bool {
        let before = self.started >> counter & 1 != 0;
        self.started = self.started & !(1 << counter) | u64::from(on) << counter;
        before
    }

    fn each(&mut self, base: u64, mask: u64, mut f: impl FnMut(&mut Self, u64) -> Result<(), SbiError>) -> SbiResult {
        for n in counters(base, mask)? {
            if !self.is_configured(n) {
                return Err(SbiError::InvalidParam);
            }
            f(self, n)?;
        }
        Ok(0)
    }

    fn start(
        &mut self,
        counter: u64,
        flags: u64,
        value: u64,
        hart: &mut Rv64,
        sys: &mut System,
    ) -> Result<(), SbiError> {
        let running = match counter.checked_sub(FIRST_FIRMWARE) {
            None => self.set_started(counter, true),
            Some(i) => std::mem::replace(&mut self.firmware[i as usize].running, true),
        };
        if running {
            return Err(SbiError::AlreadyStarted);
        }
        if flags & START_SET_INIT != 0 {
            self.set_value(counter, value, hart, sys);
        }
        if counter < FIRST_FIRMWARE {
            let inhibit = hart.csr(MCOUNTINHIBIT, sys).unwrap_or(0);
            hart.set_csr(MCOUNTINHIBIT, inhibit & !(1 << counter), sys);
        }
        Ok(())
    }

    /// The counters `cycle` and `instret` go on counting: guests read them directly as well.
    fn stop(&mut self, counter: u64, flags: u64) -> Result<(), SbiError> {
        let running = match counter.checked_sub(FIRST_FIRMWARE) {
            None => self.set_started(counter, false),
            Some(i) => std::mem::replace(&mut self.firmware[i as usize].running, false),
        };
        if flags & STOP_RESET != 0 {
            match counter.checked_sub(FIRST_FIRMWARE) {
                None => self.used &= !(1 << counter),
                Some(i) => self.firmware[i as usize] = FirmwareCounter::default(),
            }
        }
        if running { Ok(()) } else { Err(SbiError::AlreadyStopped) }
    }
}

/// The counters that a mask and its base mean; at least one, and all of them exist.
fn counters(base: u64, mask: u64) -> Result<Vec<u64>, SbiError> {
    let exists = |n: u64| n == CYCLE || n == INSTRET || (FIRST_FIRMWARE..COUNTERS).contains(&n);
    let named: Vec<u64> = (0..64)
        .filter(|bit| mask >> bit & 1 != 0)
        .filter_map(|bit| base.checked_add(bit))
        .collect();
    if named.is_empty() || named.iter().any(|n| *n >= COUNTERS) {
        return Err(SbiError::InvalidParam);
    }
    Ok(named.into_iter().filter(|n| exists(*n)).collect())
}

/// `counter_get_info` (11.5): CSR number in bits 11 to 0, width less one in bits 17 to 12, the top bit for the firmware's own.
fn info(counter: u64) -> SbiResult {
    const WIDTH: u64 = 63 << 12;
    match counter {
        CYCLE | INSTRET => Ok(WIDTH | (CSR_CYCLE + counter)),
        FIRST_FIRMWARE..COUNTERS => Ok(1 << 63 | WIDTH),
        _ => Err(SbiError::InvalidParam),
    }
}
