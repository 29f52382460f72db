//! The PHY behind the MII management registers: LM3S6965 data sheet, section "MII Management Register Descriptions".

use serde::{Deserialize, Serialize};

use super::regs::*;

/// Registers of the PHY.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Phy {
    control: u16,
    advertise: u16,
    vendor: u16,
    interrupt_enable: u8,
    interrupt_status: u8,
    transceiver: u16,
    led: u16,
    mdi: u16,
    /// The link was lost since MR1 was read last: it reads as down once more.
    link_lost: bool,
    /// A cable with a partner is in. The outside's, so a reset leaves it.
    cable: bool,
}

impl Phy {
    pub(super) fn new(cable: bool) -> Self {
        Self {
            control: MR0_DEFAULT,
            advertise: MR4_DEFAULT,
            vendor: MR16_DEFAULT,
            interrupt_enable: 0,
            interrupt_status: 0,
            transceiver: MR19_DEFAULT,
            led: MR23_DEFAULT,
            mdi: MR24_DEFAULT,
            link_lost: false,
            cable,
        }
    }

    pub(super) fn cable(&self) -> bool {
        self.cable
    }

    pub(super) fn link(&self) -> bool {
        self.cable && self.control & MR0_POWER_DOWN == 0
    }

    /// What is transmitted comes back.
    pub(super) fn loops_back(&self) -> bool {
        self.control & MR0_LOOPBACK != 0
    }

    /// Plugs the cable in or out. Whether that interrupts.
    pub(super) fn set_cable(&mut self, cable: bool) -> bool {
        let before = self.link();
        self.cable = cable;
        self.link_changed(before)
    }

    fn link_changed(&mut self, before: bool) -> bool {
        if before == self.link() {
            return false;
        }
        let mut events = MR17_LINK_CHANGED;
        if before {
            self.link_lost = true;
        } else if self.control & MR0_ANEG != 0 {
            events |= MR17_ANEG_DONE;
        }
        self.interrupt_status |= events as u8;
        events as u8 & self.interrupt_enable != 0
    }

    pub(super) fn read(&mut self, register: u32) -> u16 {
        let when_linked = |value| if self.link() { value } else { 0 };
        match register {
            0 => self.control,
            1 => {
                let aneg = when_linked(MR1_ANEG_DONE) & self.aneg_mask();
                let link = if self.link_lost { 0 } else { when_linked(MR1_LINK) };
                self.link_lost = false;
                MR1_ABILITIES | aneg | link
            }
            2 => MR2_ID,
            3 => MR3_ID,
            4 => self.advertise,
            5 => when_linked(MR5_PARTNER) & self.aneg_mask(),
            6 => when_linked(1) & self.aneg_mask(),
            16 => self.vendor,
            17 => {
                let status = std::mem::take(&mut self.interrupt_status);
                u16::from_be_bytes([self.interrupt_enable, status])
            }
            18 => when_linked(MR18_LINKED),
            19 => self.transceiver,
            23 => self.led,
            24 => self.mdi,
            _ => 0,
        }
    }

    fn aneg_mask(&self) -> u16 {
        if self.control & MR0_ANEG != 0 { u16::MAX } else { 0 }
    }

    /// A write. Whether that interrupts.
    pub(super) fn write(&mut self, register: u32, value: u16) -> bool {
        match register {
            0 if value & MR0_RESET != 0 => *self = Self::new(self.cable),
            0 => {
                let before = self.link();
                self.control = value & MR0_WRITABLE;
                return self.link_changed(before);
            }
            4 => self.advertise = value & MR4_WRITABLE | 1,
            16 => self.vendor = value,
            17 => self.interrupt_enable = value.to_be_bytes()[0],
            19 => self.transceiver = value,
            23 => self.led = value,
            24 => self.mdi = value,
            _ => {}
        }
        false
    }
}
