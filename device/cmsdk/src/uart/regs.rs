//! Registers of the APB UART (DDI 0479, "APB UART", programmers model).

use crate::id;
use southbridge_core::Register;

pub(super) const DATA: u64 = 0x00;
pub(super) const STATE: u64 = 0x04;
pub(super) const CTRL: u64 = 0x08;
/// Read: INTSTATUS; write: INTCLEAR.
pub(super) const INTSTATUS: u64 = 0x0c;
pub(super) const BAUDDIV: u64 = 0x10;

/// Low byte of the part number.
pub(super) const PART: u8 = 0x21;

pub(super) static TABLE: [Register; 6] = [
    Register::rw(DATA, "DATA"),
    Register::rw(STATE, "STATE"),
    Register::rw(CTRL, "CTRL"),
    Register::rw(INTSTATUS, "INTSTATUS"),
    Register::rw(BAUDDIV, "BAUDDIV"),
    id::REGISTERS,
];

/// Bits of STATE.
pub(super) mod state {
    /// The transmit buffer holds a byte.
    pub(crate) const TXFULL: u32 = 1 << 0;
    /// The receive buffer holds a byte.
    pub(crate) const RXFULL: u32 = 1 << 1;
    /// A byte was written while TXFULL. Write 1 to clear.
    pub(crate) const TXOVERRUN: u32 = 1 << 2;
    /// A byte came while RXFULL. Write 1 to clear.
    pub(crate) const RXOVERRUN: u32 = 1 << 3;
    /// All that exist.
    pub(crate) const ALL: u32 = 0xf;
}

/// Bits of CTRL.
pub(super) mod ctrl {
    /// Transmits.
    pub(crate) const TX_EN: u32 = 1 << 0;
    /// Receives.
    pub(crate) const RX_EN: u32 = 1 << 1;
    /// The transmit buffer running empty interrupts.
    pub(crate) const TX_INTEN: u32 = 1 << 2;
    /// A received byte interrupts.
    pub(crate) const RX_INTEN: u32 = 1 << 3;
    /// Distance from the overrun bits of STATE and INTSTATUS to their enables here.
    pub(crate) const OVERRUN_INTEN_SHIFT: u32 = 2;
    /// All that exist; bit 6 is the high-speed test mode, which only shortens simulations.
    pub(crate) const ALL: u32 = 0x7f;
}

/// Bits of INTSTATUS.
pub(super) mod interrupt {
    /// Transmit.
    pub(crate) const TX: u32 = 1 << 0;
    /// Receive.
    pub(crate) const RX: u32 = 1 << 1;
    /// Transmit overrun; at the place of STATE.TXOVERRUN.
    pub(crate) const TXO: u32 = 1 << 2;
    /// Receive overrun; at the place of STATE.RXOVERRUN.
    pub(crate) const RXO: u32 = 1 << 3;
}

/// BAUDDIV has 20 bits, and less than 16 is not allowed.
pub(super) const BAUDDIV_MASK: u32 = 0xf_ffff;
/// Least legal BAUDDIV.
pub(super) const BAUDDIV_MIN: u32 = 16;
