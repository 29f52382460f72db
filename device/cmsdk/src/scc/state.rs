//! The SCC as a pure machine.

use serde::{Deserialize, Serialize};

use super::regs::{self, Image, cfgctrl, cfgstat};

/// What the board and its FPGA image say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) cfg0: u32,
    pub(super) cfg4: u32,
    pub(super) aid: u32,
    pub(super) id: u32,
    /// Frequencies of the oscillators after reset, in Hz.
    pub(super) oscclk: Vec<u32>,
}

/// All that the guest can see and change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    cfg0: u32,
    cfg1: u32,
    cfg2: u32,
    cfg5: u32,
    cfg6: u32,
    cfg7: u32,
    data_rtn: u32,
    data_out: u32,
    ctrl: u32,
    stat: u32,
    dll: u32,
    oscclk: Vec<u32>,
    /// Positions of the board's switches; they outlive reset.
    switches: u8,
}

impl State {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            cfg0: config.cfg0,
            cfg1: 0,
            cfg2: 0,
            cfg5: 0,
            cfg6: 0,
            cfg7: 0,
            data_rtn: 0,
            data_out: 0,
            ctrl: cfgctrl::RESET,
            stat: 0,
            dll: regs::DLL_RESET,
            oscclk: config.oscclk.clone(),
            switches: 0,
        }
    }

    pub(super) fn reset(&mut self, config: &Config) {
        *self = Self {
            switches: self.switches,
            ..Self::new(config)
        };
    }

    pub(super) fn valid(&self, config: &Config) -> bool {
        self.oscclk.len() == config.oscclk.len()
            && self.ctrl & !cfgctrl::KEPT == 0
            && self.stat & !(cfgstat::DONE | cfgstat::ERROR) == 0
    }

    pub(super) fn read(&self, offset: u64, config: &Config) -> u32 {
        match offset {
            regs::CFG0 => self.cfg0,
            regs::CFG1 => self.cfg1,
            regs::CFG2 => self.cfg2,
            regs::CFG3 => self.switches.into(),
            regs::CFG4 => config.cfg4,
            regs::CFG5 => self.cfg5,
            regs::CFG6 => self.cfg6,
            regs::CFG7 => self.cfg7,
            regs::CFGDATA_RTN => self.data_rtn,
            regs::CFGDATA_OUT => self.data_out,
            regs::CFGCTRL => self.ctrl,
            regs::CFGSTAT => self.stat,
            regs::DLL => self.dll,
            regs::AID => config.aid,
            regs::ID => config.id,
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32) {
        match offset {
            regs::CFG0 => self.cfg0 = value,
            regs::CFG1 => self.cfg1 = value,
            regs::CFG2 => self.cfg2 = value,
            regs::CFG5 => self.cfg5 = value,
            regs::CFG6 => self.cfg6 = value,
            regs::CFG7 => self.cfg7 = value,
            regs::CFGDATA_OUT => self.data_out = value,
            regs::CFGCTRL => self.command(value),
            regs::DLL => self.dll = self.dll & !regs::DLL_LOCK_MASK | value & regs::DLL_LOCK_MASK,
            _ => {}
        }
    }

    /// The channel to the board's configuration controller, which answers at once.
    fn command(&mut self, word: u32) {
        self.ctrl = word & cfgctrl::KEPT;
        self.stat = 0;
        if word & cfgctrl::START == 0 {
            return;
        }
        let clock = match cfgctrl::function(word) {
            cfgctrl::FUNCTION_CLOCK => self.oscclk.get_mut(cfgctrl::device(word) as usize),
            _ => None,
        };
        self.stat = cfgstat::DONE;
        match clock {
            Some(hz) if word & cfgctrl::WRITE != 0 => *hz = self.data_out,
            Some(hz) => self.data_rtn = *hz,
            None => self.stat |= cfgstat::ERROR,
        }
    }

    /// Whether the last command failed.
    pub(super) fn command_failed(&self) -> bool {
        self.stat & cfgstat::ERROR != 0
    }

    pub(super) fn set_switch(&mut self, index: u16, on: bool) {
        let bit = 1u8.checked_shl(index.into()).unwrap_or(0);
        self.switches = if on { self.switches | bit } else { self.switches & !bit };
    }

    /// Whether the bottom of the address space shows its other memory.
    pub(super) fn remap(&self, image: Image) -> bool {
        image.has_remap_and_leds() && self.cfg0 & 1 != 0
    }

    /// The eight LEDs beside the controller.
    pub(super) fn leds(&self, image: Image) -> u8 {
        if image.has_remap_and_leds() { self.cfg1 as u8 } else { 0 }
    }
}
