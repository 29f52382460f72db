//! The register machine of the I2C interface. The wires are behind a trait.

use serde::{Deserialize, Serialize};

use super::regs::*;

/// What the master does on the bus.
pub(super) trait Wires {
    /// Start or repeated start; whether the address was acknowledged.
    fn start(&mut self, address: u8, read: bool) -> bool;
    /// A byte to the target of the transfer; whether it was acknowledged.
    fn send(&mut self, address: u8, byte: u8) -> bool;
    /// A byte from the target of the transfer; `last` does not acknowledge it.
    fn receive(&mut self, address: u8, last: bool) -> u8;
    /// Stop.
    fn stop(&mut self, address: u8);
}

/// What goes on between start and stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Transfer {
    address: u8,
    read: bool,
}

/// All registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    // Master.
    msa: u8,
    errors: u32,
    mdr: u8,
    mtpr: u32,
    mimr: bool,
    mris: bool,
    mcr: u32,
    transfer: Option<Transfer>,
    // Slave: it is never addressed, since there is no other master on the bus.
    soar: u32,
    active: bool,
    sdr: u8,
    simr: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            msa: 0,
            errors: 0,
            mdr: 0,
            mtpr: MTPR_RESET,
            mimr: false,
            mris: false,
            mcr: 0,
            transfer: None,
            soar: 0,
            active: false,
            sdr: 0,
            simr: false,
        }
    }

    /// Whether a loaded state is one that the device can have.
    pub(super) fn valid(&self) -> bool {
        self.transfer.is_none_or(|t| t.address < 0x80) && self.errors & !(MCS_ERROR | MCS_ADRACK | MCS_DATACK) == 0
    }

    pub(super) fn interrupt(&self) -> bool {
        self.mris && self.mimr
    }

    fn enabled(&self) -> bool {
        self.mcr & MCR_MFE != 0
    }

    fn loopback(&self) -> bool {
        self.mcr & MCR_LPBK != 0
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        match offset {
            MSA => self.msa.into(),
            MCS => {
                let bus = if self.transfer.is_some() { MCS_BUSBSY } else { MCS_IDLE };
                self.errors | bus
            }
            MDR => self.mdr.into(),
            MTPR => self.mtpr,
            MIMR => self.mimr.into(),
            MRIS => self.mris.into(),
            MMIS => self.interrupt().into(),
            MCR => self.mcr,
            SOAR => self.soar,
            SDR => self.sdr.into(),
            SIMR => self.simr.into(),
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32, wires: &mut impl Wires) {
        match offset {
            MSA => self.msa = value as u8,
            MCS if self.enabled() => self.command(value, wires),
            MDR => self.mdr = value as u8,
            MTPR => self.mtpr = value & 0x7f,
            MIMR => self.mimr = value & 1 != 0,
            MICR => self.mris &= value & 1 == 0,
            MCR => {
                self.mcr = value & MCR_MASK;
                if !self.enabled() {
                    self.stop(wires);
                }
            }
            SOAR => self.soar = value & 0x7f,
            SCSR => self.active = value & 1 != 0,
            SDR => self.sdr = value as u8,
            SIMR => self.simr = value & 1 != 0,
            _ => {}
        }
    }

    /// Operations take no time: BUSY is never seen, and the interrupt is there when the write returns.
    fn command(&mut self, command: u32, wires: &mut impl Wires) {
        self.errors = 0;
        if command & MCS_RUN != 0 {
            self.mris = true;
            if command & MCS_START != 0 {
                self.start(wires);
            }
            // After a lost address, the bus is held until stop, but no byte moves.
            if self.errors == 0 {
                self.transfer_byte(command & MCS_ACK == 0, wires);
            }
        }
        if command & MCS_STOP != 0 {
            self.stop(wires);
        }
    }

    fn start(&mut self, wires: &mut impl Wires) {
        let (address, read) = (self.msa >> 1, u32::from(self.msa) & MSA_READ != 0);
        self.transfer = Some(Transfer { address, read });
        if self.loopback() || !wires.start(address, read) {
            self.errors = MCS_ERROR | MCS_ADRACK;
        }
    }

    fn transfer_byte(&mut self, last: bool, wires: &mut impl Wires) {
        match self.transfer {
            None => self.errors = MCS_ERROR,
            Some(_) if self.loopback() => self.errors = MCS_ERROR | MCS_DATACK,
            Some(t) if t.read => self.mdr = wires.receive(t.address, last),
            Some(t) => {
                if !wires.send(t.address, self.mdr) {
                    self.errors = MCS_ERROR | MCS_DATACK;
                }
            }
        }
    }

    fn stop(&mut self, wires: &mut impl Wires) {
        if let Some(t) = self.transfer.take() {
            wires.stop(t.address);
        }
    }
}
