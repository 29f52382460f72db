//! The FPGAIO block as a pure machine.

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use super::regs;

/// What the board and its FPGA image say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Config {
    /// Clock of PSCNTR in Hz.
    pub(super) prescale_hz: u64,
    /// Which bits of LED0 exist.
    pub(super) led_mask: u32,
    pub(super) has_switches: bool,
    pub(super) has_dbgctrl: bool,
}

impl Config {
    /// Whether the register at `offset` exists.
    pub(super) fn has(&self, offset: u64) -> bool {
        match offset {
            regs::SWITCH => self.has_switches,
            regs::DBGCTRL => self.has_dbgctrl,
            _ => true,
        }
    }
}

/// An up-counter at a fixed rate: what it showed at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct UpCounter {
    value: u32,
    since: VirtualTime,
}

impl UpCounter {
    fn at(self, now: VirtualTime, hz: u64) -> u32 {
        self.value.wrapping_add(now.ticks_since(self.since, hz) as u32)
    }
}

/// All that the guest can see and change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    led0: u32,
    dbgctrl: u32,
    misc: u32,
    clk1hz: UpCounter,
    clk100hz: UpCounter,
    /// COUNTER and PSCNTR as they were at `synced`.
    counter: u32,
    pscntr: u32,
    synced: VirtualTime,
    prescale: u32,
    /// Positions of buttons and switches; they outlive reset.
    buttons: u8,
    switches: u8,
}

impl State {
    pub(super) const fn new(now: VirtualTime) -> Self {
        let zero = UpCounter { value: 0, since: now };
        Self {
            led0: 0,
            dbgctrl: 0,
            misc: 0,
            clk1hz: zero,
            clk100hz: zero,
            counter: 0,
            pscntr: 0,
            synced: now,
            prescale: 0,
            buttons: 0,
            switches: 0,
        }
    }

    pub(super) fn reset(&mut self, now: VirtualTime) {
        *self = Self {
            buttons: self.buttons,
            switches: self.switches,
            ..Self::new(now)
        };
    }

    pub(super) fn valid(&self, config: &Config) -> bool {
        self.led0 & !config.led_mask == 0
    }

    pub(super) fn read(&mut self, offset: u64, config: &Config, now: VirtualTime) -> u32 {
        self.advance(config, now);
        match offset {
            regs::LED0 => self.led0,
            regs::DBGCTRL => self.dbgctrl,
            regs::BUTTON => self.buttons.into(),
            regs::CLK1HZ => self.clk1hz.at(now, 1),
            regs::CLK100HZ => self.clk100hz.at(now, 100),
            regs::COUNTER => self.counter,
            regs::PRESCALE => self.prescale,
            regs::PSCNTR => self.pscntr,
            regs::SWITCH => self.switches.into(),
            regs::MISC => self.misc,
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32, config: &Config, now: VirtualTime) {
        self.advance(config, now);
        let from_now = UpCounter { value, since: now };
        match offset {
            regs::LED0 => self.led0 = value & config.led_mask,
            regs::DBGCTRL => self.dbgctrl = value,
            regs::CLK1HZ => self.clk1hz = from_now,
            regs::CLK100HZ => self.clk100hz = from_now,
            regs::COUNTER => self.counter = value,
            regs::PRESCALE => self.prescale = value,
            regs::PSCNTR => self.pscntr = value,
            regs::MISC => self.misc = value,
            _ => {}
        }
    }

    /// Brings COUNTER and PSCNTR up to `now`: on the tick after zero PSCNTR reloads from PRESCALE and COUNTER goes up by one.
    fn advance(&mut self, config: &Config, now: VirtualTime) {
        let ticks = now.ticks_since(self.synced, config.prescale_hz);
        if ticks == 0 {
            return;
        }
        // To the last whole tick only, so that the rest of this one is not lost.
        self.synced = self.synced.after_ticks(ticks, config.prescale_hz);
        let Some(after_zero) = ticks.checked_sub(u64::from(self.pscntr) + 1) else {
            self.pscntr -= ticks as u32;
            return;
        };
        let period = u64::from(self.prescale) + 1;
        self.counter = self.counter.wrapping_add((after_zero / period) as u32).wrapping_add(1);
        self.pscntr = self.prescale - (after_zero % period) as u32;
    }

    pub(super) fn set_button(&mut self, index: u16, down: bool) {
        set_bit(&mut self.buttons, index, down);
    }

    pub(super) fn set_switch(&mut self, index: u16, on: bool) {
        set_bit(&mut self.switches, index, on);
    }

    pub(super) fn leds(&self) -> u32 {
        self.led0
    }
}

fn set_bit(bits: &mut u8, index: u16, on: bool) {
    let bit = 1u8.checked_shl(index.into()).unwrap_or(0);
    *bits = if on { *bits | bit } else { *bits & !bit };
}
