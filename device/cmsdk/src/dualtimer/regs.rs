//! Registers of the APB dual timer (DDI 0479, "APB dual-input timers", programmers model).

use crate::id;
use southbridge_core::Register;

/// Bytes from the first timer's registers to the second's.
pub(super) const STRIDE: u64 = 0x20;

pub(super) const LOAD: u64 = 0x00;
pub(super) const VALUE: u64 = 0x04;
pub(super) const CONTROL: u64 = 0x08;
pub(super) const INTCLR: u64 = 0x0c;
pub(super) const RIS: u64 = 0x10;
pub(super) const MIS: u64 = 0x14;
pub(super) const BGLOAD: u64 = 0x18;
pub(super) const ITCR: u64 = 0xf00;
pub(super) const ITOP: u64 = 0xf04;

/// Low byte of the part number.
pub(super) const PART: u8 = 0x23;

pub(super) static TABLE: [Register; 10] = [
    Register::rw(LOAD, "TIMERxLOAD").times(2, STRIDE as u32),
    Register::ro(VALUE, "TIMERxVALUE").times(2, STRIDE as u32),
    Register::rw(CONTROL, "TIMERxCONTROL").times(2, STRIDE as u32),
    Register::wo(INTCLR, "TIMERxINTCLR").times(2, STRIDE as u32),
    Register::ro(RIS, "TIMERxRIS").times(2, STRIDE as u32),
    Register::ro(MIS, "TIMERxMIS").times(2, STRIDE as u32),
    Register::rw(BGLOAD, "TIMERxBGLOAD").times(2, STRIDE as u32),
    Register::rw(ITCR, "TIMERITCR"),
    Register::wo(ITOP, "TIMERITOP"),
    id::REGISTERS,
];

/// Bits of TIMERxCONTROL.
pub(super) mod control {
    /// Stops at zero.
    pub(crate) const ONESHOT: u32 = 1 << 0;
    /// 32 bits instead of 16.
    pub(crate) const SIZE: u32 = 1 << 1;
    /// Divisor of the clock: 1, 16, 256, undefined.
    pub(crate) const PRESCALE: u32 = 3 << 2;
    /// Position of PRESCALE.
    pub(crate) const PRESCALE_SHIFT: u32 = 2;
    /// Lets the raw interrupt out.
    pub(crate) const INTEN: u32 = 1 << 5;
    /// Periodic instead of free-running.
    pub(crate) const MODE: u32 = 1 << 6;
    /// Counts.
    pub(crate) const ENABLE: u32 = 1 << 7;
    /// All that exist.
    pub(crate) const ALL: u32 = ONESHOT | SIZE | PRESCALE | INTEN | MODE | ENABLE;
}
