//! The register machine of the PL061: eight pins, one bit each in every register.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

use super::regs;

/// What pulls at pins that nobody drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pulls {
    /// Resistors on the board, to 1 and to 0. Pins in neither float.
    pub(crate) up: u8,
    pub(crate) down: u8,
    /// The part has resistors of its own, as PUR and PDR say; they are stronger than the board's.
    pub(crate) registers: bool,
}

/// All that the guest can see or influence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    // Pins.
    /// Levels that the board drives.
    pins: u8,
    /// What DATA reads: last level seen at inputs, last value written to outputs.
    data: u8,
    /// `data` when edges were last looked for.
    seen: u8,
    /// Levels that we drive or pull to.
    out: u8,
    // Registers.
    dir: u8,
    is: u8,
    ibe: u8,
    iev: u8,
    ie: u8,
    ris: u8,
    afsel: u8,
    /// DR2R, DR4R, DR8R, ODR, PUR, PDR, SLR, DEN.
    pads: [u8; 8],
    locked: bool,
    cr: u8,
    amsel: u8,
}

/// Indexes in `State::pads`.
const PUR: usize = ((regs::PUR - regs::DR2R) / 4) as usize;
const PDR: usize = ((regs::PDR - regs::DR2R) / 4) as usize;

impl State {
    /// Values after reset. The levels that the board drives are the board's: they stay.
    pub(crate) fn new(pins: u8, pulls: Pulls) -> Self {
        let mut s = Self {
            pins,
            data: pins,
            seen: pins,
            out: 0,
            dir: 0,
            is: 0,
            ibe: 0,
            iev: 0,
            ie: 0,
            ris: 0,
            afsel: 0,
            pads: [0xff, 0, 0, 0, 0, 0, 0, 0],
            locked: true,
            cr: 0xff,
            amsel: 0,
        };
        s.out = s.pulled_up(pulls);
        s
    }

    /// Every value of every register can be reached, and no field is an index.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        Ok(())
    }

    pub(crate) fn pins(&self) -> u8 {
        self.pins
    }

    pub(crate) fn read(&self, offset: u64) -> u32 {
        let byte = match offset {
            0..=regs::DATA_LAST => self.data & (offset >> 2) as u8,
            regs::DIR => self.dir,
            regs::IS => self.is,
            regs::IBE => self.ibe,
            regs::IEV => self.iev,
            regs::IE => self.ie,
            regs::RIS => self.ris,
            regs::MIS => self.ris & self.ie,
            regs::AFSEL => self.afsel,
            regs::LOCK => self.locked.into(),
            regs::CR => self.cr,
            regs::AMSEL => self.amsel,
            _ => self.pad(offset).map_or(0, |i| self.pads[i]),
        };
        byte.into()
    }

    pub(crate) fn write(&mut self, offset: u64, value: u32, pulls: Pulls) {
        let byte = value as u8;
        match offset {
            0..=regs::DATA_LAST => set(&mut self.data, (offset >> 2) as u8 & self.dir, byte),
            regs::DIR => self.dir = byte,
            regs::IS => self.is = byte,
            regs::IBE => self.ibe = byte,
            regs::IEV => self.iev = byte,
            regs::IE => self.ie = byte,
            regs::IC => self.ris &= !byte,
            regs::AFSEL => set(&mut self.afsel, self.cr, byte),
            regs::LOCK => self.locked = value != regs::UNLOCK,
            regs::CR if self.locked => {}
            regs::CR => self.cr = byte,
            regs::AMSEL => self.amsel = byte,
            _ => {
                if let Some(i) = self.pad(offset) {
                    self.pads[i] = byte;
                }
            }
        }
        self.update(pulls);
    }

    /// The board drives a pin. A pin that is an output does not see it.
    pub(crate) fn drive(&mut self, pin: u16, level: bool, pulls: Pulls) {
        let bit = 1u8.checked_shl(pin.into()).unwrap_or(0);
        let levels = if level { 0xff } else { 0 };
        set(&mut self.pins, bit, levels);
        set(&mut self.data, bit & !self.dir, levels);
        self.update(pulls);
    }

    fn update(&mut self, pulls: Pulls) {
        let floating = self.floating(pulls);
        self.out = self.data & self.dir | self.pulled_up(pulls) | self.out & floating;

        let changed = (self.seen ^ self.data) & !self.dir;
        if changed != 0 {
            self.seen = self.data;
            self.ris |= changed & !self.is & (self.ibe | self.active());
        }
        // A level stays in RIS until it is cleared, and is back at once if it is still there.
        self.ris |= self.active() & self.is;
    }

    /// Pins at the level that IEV asks for.
    fn active(&self) -> u8 {
        !(self.data ^ self.iev)
    }

    fn pulled_up(&self, pulls: Pulls) -> u8 {
        let (up, down) = self.own_pulls(pulls);
        (up | pulls.up & !down) & !self.dir
    }

    /// Inputs that nothing pulls: the wire keeps its level.
    fn floating(&self, pulls: Pulls) -> u8 {
        let (up, down) = self.own_pulls(pulls);
        !(up | down | pulls.up | pulls.down) & !self.dir
    }

    fn own_pulls(&self, pulls: Pulls) -> (u8, u8) {
        if pulls.registers {
            (self.pads[PUR], self.pads[PDR])
        } else {
            (0, 0)
        }
    }

    pub(crate) fn out(&self) -> u8 {
        self.out
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.ris & self.ie != 0
    }

    fn pad(&self, offset: u64) -> Option<usize> {
        let i = usize::try_from(offset.checked_sub(regs::DR2R)? / 4).ok()?;
        (i < self.pads.len()).then_some(i)
    }
}

/// The bits of `mask` from `value`.
fn set(target: &mut u8, mask: u8, value: u8) {
    *target = *target & !mask | value & mask;
}
