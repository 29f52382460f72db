//! Capabilities as typed records: each says its id and writes its fields, with their rules, into configuration space.
//!
//! A record only declares. What a capability *does* stands where it acts: messages, power and function-level reset
//! in [`crate::Pci`], slots in the family of bridges.

pub mod express;
mod extended;

pub use express::{Express, PortType, SlotCap, devcap, devctl, sltcap, sltctl, sltsta};
pub use extended::{Acs, Aer, Ari, Ats, DataObjectExchange, SerialNumber, Sriov, aer, sriov};

use crate::config::ConfigSpace;
use crate::regs::{CAPABILITIES, STATUS, STATUS_CAPABILITIES, cap};

/// A capability in the first 256 bytes.
pub trait Capability {
    /// Id.
    const ID: u8;
    /// Bytes, with the two of the header.
    fn size(&self) -> u8;
    /// Declares what follows the header; `at` is the header's offset.
    fn declare(&self, config: &mut ConfigSpace, at: u16);
}

/// A capability of extended configuration space.
pub trait ExtendedCapability {
    /// Id.
    const ID: u16;
    /// Version of the layout.
    const VERSION: u8;
    /// Declares what follows the header; `at` is the header's offset.
    fn declare(&self, config: &mut ConfigSpace, at: u16);
}

/// Puts a capability at `at` (a multiple of 4) and at the head of the list.
pub(crate) fn add<C: Capability>(config: &mut ConfigSpace, at: u16, capability: &C) {
    let next = config.u8(CAPABILITIES);
    config.declare(at, 2, u32::from(C::ID) | u32::from(next) << 8, 0, 0);
    config.declare(CAPABILITIES, 1, at.into(), 0, 0);
    let status = config.u16(STATUS) | STATUS_CAPABILITIES;
    config.declare(STATUS, 2, status.into(), 0, crate::regs::STATUS_W1C.into());
    capability.declare(config, at);
}

/// Puts an extended capability at `at` and at the end of the list, which begins at 0x100.
pub(crate) fn add_extended<C: ExtendedCapability>(config: &mut ConfigSpace, at: u16, capability: &C) {
    let header = |next: u16, id: u16, version: u8| u32::from(id) | u32::from(version) << 16 | u32::from(next) << 20;
    let mut last = 0x100;
    // The list is ours and ascends: a bound costs nothing.
    for _ in 0..64 {
        match (config.u32(last) >> 20) as u16 {
            next if next > last => last = next,
            _ => break,
        }
    }
    if at != 0x100 {
        let h = config.u32(last) & 0xf_ffff;
        config.declare(last, 4, h | u32::from(at) << 20, 0, 0);
    }
    config.declare(at, 4, header(0, C::ID, C::VERSION), 0, 0);
    capability.declare(config, at);
}

/// Power management (PCI Power Management 1.2, section 3.2).
#[derive(Debug, Clone, Copy, Default)]
pub struct PowerManagement {
    /// States D1 and D2 exist.
    pub d1_d2: bool,
    /// Going from D3hot to D0 keeps the state (no internal reset).
    pub no_soft_reset: bool,
    /// Version field of the capabilities register; 3 is version 1.2.
    pub version: u8,
    /// States from which it can wake the system: bits 0 to 4 for D0, D1, D2, D3hot, D3cold.
    pub wakes_from: u8,
}

/// Offset of the control and status register in the capability.
pub const PM_CONTROL: u16 = 4;
/// Its power state field.
pub const PM_STATE: u16 = 3;
/// Its enable bit of power management events.
pub const PM_PME_ENABLE: u16 = 1 << 8;
/// Its status bit of them.
pub const PM_PME_STATUS: u16 = 1 << 15;
/// Its "no soft reset" bit.
pub const PM_NO_SOFT_RESET: u16 = 8;

impl Capability for PowerManagement {
    const ID: u8 = cap::PM;

    fn size(&self) -> u8 {
        8
    }

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        let states = if self.d1_d2 { 3 << 9 } else { 0 };
        let wakes = u32::from(self.wakes_from & 0x1f) << 11;
        config.declare(at + 2, 2, u32::from(self.version & 7) | states | wakes, 0, 0);
        let fixed = if self.no_soft_reset { PM_NO_SOFT_RESET } else { 0 };
        let (enable, status) = match wakes {
            0 => (0, 0),
            _ => (PM_PME_ENABLE, PM_PME_STATUS),
        };
        config.declare(
            at + PM_CONTROL,
            2,
            fixed.into(),
            (PM_STATE | enable).into(),
            status.into(),
        );
        // What wakes from D3cold keeps both without power.
        if self.wakes_from & 0x10 != 0 {
            config.declare_sticky(at + PM_CONTROL, 2, (enable | status).into());
        }
    }
}

/// Ids of the board that a bridge is on, which its header has no room for (PCI-to-PCI Bridge 1.2, section 3.2.5.13).
#[derive(Debug, Clone, Copy, Default)]
pub struct SubsystemIds {
    /// Vendor.
    pub vendor: u16,
    /// Subsystem.
    pub device: u16,
}

impl Capability for SubsystemIds {
    const ID: u8 = cap::SSVID;

    fn size(&self) -> u8 {
        8
    }

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        config.declare(at + 4, 4, u32::from(self.vendor) | u32::from(self.device) << 16, 0, 0);
    }
}

/// Slot numbering of a bridge's chassis (PCI-to-PCI Bridge 1.2, section 13.4).
#[derive(Debug, Clone, Copy, Default)]
pub struct SlotId {
    /// Expansion slots register: how many slots, bit 5 first in chassis.
    pub expansion: u8,
    /// Chassis number.
    pub chassis: u8,
}

impl Capability for SlotId {
    const ID: u8 = cap::SLOT_ID;

    fn size(&self) -> u8 {
        4
    }

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        config.declare(at + 2, 1, self.expansion.into(), 0, 0);
        // Software may number chassis itself; the number survives a reset of the function.
        config.declare(at + 3, 1, self.chassis.into(), 0xff, 0);
        config.declare_sticky(at + 3, 1, 0xff);
    }
}

/// Bytes of the vendor's own (PCI 3.0, appendix H).
#[derive(Debug, Clone, Default)]
pub struct VendorSpecific {
    /// What follows the length byte.
    pub bytes: Vec<u8>,
}

impl Capability for VendorSpecific {
    const ID: u8 = cap::VENDOR;

    fn size(&self) -> u8 {
        u8::try_from(self.bytes.len().saturating_add(3)).unwrap_or(u8::MAX)
    }

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        config.declare(at + 2, 1, self.size().into(), 0, 0);
        for (i, b) in self.bytes.iter().take(usize::from(self.size()) - 3).enumerate() {
            config.declare(at + 3 + i as u16, 1, (*b).into(), 0, 0);
        }
    }
}
