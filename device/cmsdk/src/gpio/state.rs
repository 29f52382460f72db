//! The AHB GPIO as a pure machine.

use serde::{Deserialize, Serialize};

use super::regs;
use crate::id;

/// All that the guest can see. One bit for each pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    out: u16,
    out_enable: u16,
    alt_function: u16,
    int_enable: u16,
    /// 1: edge, 0: level.
    int_edge: u16,
    /// 1: rising or high, 0: falling or low.
    int_high: u16,
    int_status: u16,
    /// What the world does to the pins; it outlives reset.
    input: u16,
    /// Levels of the pins when they were last looked at.
    before: u16,
}

impl State {
    pub(super) const fn new(input: u16) -> Self {
        Self {
            out: 0,
            out_enable: 0,
            alt_function: 0,
            int_enable: 0,
            int_edge: 0,
            int_high: 0,
            int_status: 0,
            input,
            before: input,
        }
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.input);
    }

    /// Levels of the pins.
    fn pins(&self) -> u16 {
        self.driven() | self.input & !self.out_enable
    }

    /// Pins that are outputs and high.
    pub(super) fn driven(&self) -> u16 {
        self.out & self.out_enable
    }

    /// GPIOINT; COMBINT is any of them.
    pub(super) fn interrupts(&self) -> u16 {
        self.int_status
    }

    pub(super) fn set_input(&mut self, pin: u16, level: bool) {
        let bit = 1u16.checked_shl(pin.into()).unwrap_or(0);
        self.input = if level { self.input | bit } else { self.input & !bit };
        self.detect();
    }

    /// Latches what the pins did since the last time, and what levels ask for now.
    fn detect(&mut self) {
        let pins = self.pins();
        let rising = pins & !self.before;
        let falling = !pins & self.before;
        self.before = pins;
        let edges = rising & self.int_high | falling & !self.int_high;
        let levels = pins & self.int_high | !pins & !self.int_high;
        let raw = edges & self.int_edge | levels & !self.int_edge;
        self.int_status |= raw & self.int_enable;
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        let value = match offset {
            regs::DATA => self.pins(),
            regs::DATAOUT => self.out,
            regs::OUTENSET | regs::OUTENCLR => self.out_enable,
            regs::ALTFUNCSET | regs::ALTFUNCCLR => self.alt_function,
            regs::INTENSET | regs::INTENCLR => self.int_enable,
            regs::INTTYPESET | regs::INTTYPECLR => self.int_edge,
            regs::INTPOLSET | regs::INTPOLCLR => self.int_high,
            regs::INTSTATUS => self.int_status,
            regs::MASKLOWBYTE..regs::MASKED_END => self.pins() & window(offset),
            _ => return id::read(&id::cmsdk(regs::PART), offset),
        };
        value.into()
    }

    /// A write of the bits in `lanes`.
    pub(super) fn write(&mut self, offset: u64, value: u16, lanes: u16) {
        let value = value & lanes;
        match offset {
            regs::DATA | regs::DATAOUT => self.out = self.out & !lanes | value,
            regs::OUTENSET => self.out_enable |= value,
            regs::OUTENCLR => self.out_enable &= !value,
            regs::ALTFUNCSET => self.alt_function |= value,
            regs::ALTFUNCCLR => self.alt_function &= !value,
            regs::INTENSET => self.int_enable |= value,
            regs::INTENCLR => self.int_enable &= !value,
            regs::INTTYPESET => self.int_edge |= value,
            regs::INTTYPECLR => self.int_edge &= !value,
            regs::INTPOLSET => self.int_high |= value,
            regs::INTPOLCLR => self.int_high &= !value,
            regs::INTSTATUS => self.int_status &= !value,
            regs::MASKLOWBYTE..regs::MASKED_END => {
                let mask = window(offset) & lanes;
                self.out = self.out & !mask | value & mask;
            }
            _ => {}
        }
        self.detect();
    }
}

/// Which pins an address in the masked windows reaches.
fn window(offset: u64) -> u16 {
    let mask = (offset >> 2 & 0xff) as u16;
    if offset < regs::MASKHIGHBYTE { mask } else { mask << 8 }
}
