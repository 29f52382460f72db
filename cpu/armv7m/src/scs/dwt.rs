//! DWT cycle counter (ARM ARM C1.8) and the few registers of ITM and FPB that software reads to find out what is there.
//!
//! Comparators, event counters and trace packets are not modelled: a debugger's breakpoints do not go through here.

use serde::{Deserialize, Serialize};

const CYCCNTENA: u32 = 1;
/// No external match, no other counters than CYCCNT; no comparators.
const CTRL_FIXED: u32 = 1 << 24 | 1 << 26 | 1 << 27;

/// DWT and ITM registers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dwt {
    ctrl: u32,
    /// CYCCNT at cycle count `at`.
    count: u32,
    at: u64,
    itm_enable: u32,
    itm_control: u32,
    itm_privilege: u32,
}

impl Dwt {
    fn running(&self, trace: bool) -> bool {
        trace && self.ctrl & CYCCNTENA != 0
    }

    /// Brings CYCCNT up to cycle `now`; `trace` is DEMCR.TRCENA until now.
    pub fn advance(&mut self, now: u64, trace: bool) {
        if self.running(trace) {
            self.count = self.count.wrapping_add(now.wrapping_sub(self.at) as u32);
        }
        self.at = now;
    }

    /// DWT read at byte `offset` from DWT_CTRL; call [`Dwt::advance`] first.
    pub fn read(&self, offset: u32) -> u32 {
        match offset {
            0x0 => self.ctrl | CTRL_FIXED,
            0x4 => self.count,
            _ => 0,
        }
    }

    /// DWT write; call [`Dwt::advance`] first.
    pub fn write(&mut self, offset: u32, value: u32) {
        match offset {
            0x0 => self.ctrl = value & 0x0000_1fff,
            0x4 => self.count = value,
            _ => {}
        }
    }

    /// ITM read at byte `offset`: a stimulus port is always ready.
    pub fn read_itm(&self, offset: u32) -> u32 {
        match offset {
            0x000..=0x07c => 1,
            0xe00 => self.itm_enable,
            0xe40 => self.itm_privilege,
            0xe80 => self.itm_control,
            _ => 0,
        }
    }

    /// ITM write: stimulus is accepted and dropped.
    pub fn write_itm(&mut self, offset: u32, value: u32) {
        match offset {
            0xe00 => self.itm_enable = value,
            0xe40 => self.itm_privilege = value & 15,
            0xe80 => self.itm_control = value & 0x007f_031f,
            _ => {}
        }
    }
}
