//! Registers of the APB timer (DDI 0479, "APB timer", programmers model).

use crate::id;
use southbridge_core::Register;

pub(super) const CTRL: u64 = 0x0;
pub(super) const VALUE: u64 = 0x4;
pub(super) const RELOAD: u64 = 0x8;
/// Read: INTSTATUS; write: INTCLEAR.
pub(super) const INTSTATUS: u64 = 0xc;

/// Low byte of the part number.
pub(super) const PART: u8 = 0x22;

pub(super) static TABLE: [Register; 5] = [
    Register::rw(CTRL, "CTRL"),
    Register::rw(VALUE, "VALUE"),
    Register::rw(RELOAD, "RELOAD"),
    Register::rw(INTSTATUS, "INTSTATUS"),
    id::REGISTERS,
];

/// Bits of CTRL.
pub(super) mod ctrl {
    /// Counts.
    pub(crate) const EN: u32 = 1 << 0;
    /// Counts only while EXTIN is high.
    pub(crate) const SELEXTEN: u32 = 1 << 1;
    /// Counts rising edges of EXTIN.
    pub(crate) const SELEXTCLK: u32 = 1 << 2;
    /// Zero raises the interrupt.
    pub(crate) const IRQEN: u32 = 1 << 3;
    /// All that exist.
    pub(crate) const ALL: u32 = 0xf;
}
