//! Registers of the metronome. A real device's `regs.rs` cites document and section here; this one is made up.

use southbridge_core::Register;

// ANCHOR: offsets
/// Control: bits of [`ctrl`].
pub(crate) const CTRL: u64 = 0x00;
/// Beat length in periods of the input clock; 0 stops it.
pub(crate) const PERIOD: u64 = 0x04;
/// Beats since CTRL.EN was set.
pub(crate) const COUNT: u64 = 0x08;
/// Bit 0: a beat has not been acknowledged.
pub(crate) const STATUS: u64 = 0x0c;
/// Any value acknowledges.
pub(crate) const ACK: u64 = 0x10;

/// Bits of CTRL.
pub(crate) mod ctrl {
    /// Beats.
    pub(crate) const EN: u32 = 1 << 0;
    /// A beat raises the interrupt.
    pub(crate) const IRQEN: u32 = 1 << 1;
    /// All that exist.
    pub(crate) const ALL: u32 = EN | IRQEN;
}
// ANCHOR_END: offsets

// ANCHOR: table
/// What the bus knows: a read of ACK or a write to COUNT is logged and never reaches the device, nor does an offset that is not here.
pub(crate) static TABLE: [Register; 5] = [
    Register::rw(CTRL, "CTRL"),
    Register::rw(PERIOD, "PERIOD"),
    Register::ro(COUNT, "COUNT"),
    Register::ro(STATUS, "STATUS"),
    Register::wo(ACK, "ACK"),
];
// ANCHOR_END: table
