//! Registers of the APB watchdog (DDI 0479, "APB watchdog", programmers model).

use crate::id;
use southbridge_core::Register;

pub(super) const LOAD: u64 = 0x0;
pub(super) const VALUE: u64 = 0x4;
pub(super) const CONTROL: u64 = 0x8;
pub(super) const INTCLR: u64 = 0xc;
pub(super) const RIS: u64 = 0x10;
pub(super) const MIS: u64 = 0x14;
pub(super) const LOCK: u64 = 0xc00;
pub(super) const ITCR: u64 = 0xf00;
pub(super) const ITOP: u64 = 0xf04;

/// Low byte of the part number.
pub(super) const PART: u8 = 0x24;

/// What opens the lock.
pub(super) const KEY: u32 = 0x1acc_e551;

pub(super) static TABLE: [Register; 10] = [
    Register::rw(LOAD, "WDOGLOAD"),
    Register::ro(VALUE, "WDOGVALUE"),
    Register::rw(CONTROL, "WDOGCONTROL"),
    Register::wo(INTCLR, "WDOGINTCLR"),
    Register::ro(RIS, "WDOGRIS"),
    Register::ro(MIS, "WDOGMIS"),
    Register::rw(LOCK, "WDOGLOCK"),
    Register::rw(ITCR, "WDOGITCR"),
    Register::wo(ITOP, "WDOGITOP"),
    id::REGISTERS,
];

/// Bits of WDOGCONTROL.
pub(super) mod control {
    /// Counts, and lets the interrupt out.
    pub(crate) const INTEN: u32 = 1 << 0;
    /// Lets the reset out.
    pub(crate) const RESEN: u32 = 1 << 1;
    /// All that exist.
    pub(crate) const ALL: u32 = 3;
}

/// Bits of WDOGITOP.
pub(super) mod itop {
    /// Reset output.
    pub(crate) const WDOGRES: u32 = 1 << 0;
    /// Interrupt output.
    pub(crate) const WDOGINT: u32 = 1 << 1;
    /// All that exist.
    pub(crate) const ALL: u32 = 3;
}
