//! Registers of the AHB GPIO (DDI 0479, "AHB GPIO", programmers model).

use crate::id;
use southbridge_core::Register;

pub(super) const DATA: u64 = 0x00;
pub(super) const DATAOUT: u64 = 0x04;
pub(super) const OUTENSET: u64 = 0x10;
pub(super) const OUTENCLR: u64 = 0x14;
pub(super) const ALTFUNCSET: u64 = 0x18;
pub(super) const ALTFUNCCLR: u64 = 0x1c;
pub(super) const INTENSET: u64 = 0x20;
pub(super) const INTENCLR: u64 = 0x24;
pub(super) const INTTYPESET: u64 = 0x28;
pub(super) const INTTYPECLR: u64 = 0x2c;
pub(super) const INTPOLSET: u64 = 0x30;
pub(super) const INTPOLCLR: u64 = 0x34;
/// Read: INTSTATUS; write: INTCLEAR.
pub(super) const INTSTATUS: u64 = 0x38;
/// Bits 7:0; bits 9:2 of the address are the mask.
pub(super) const MASKLOWBYTE: u64 = 0x400;
/// Bits 15:8; bits 9:2 of the address are the mask.
pub(super) const MASKHIGHBYTE: u64 = 0x800;
/// End of the masked windows.
pub(super) const MASKED_END: u64 = 0xc00;

/// Pins.
pub(super) const PINS: u16 = 16;

/// Low byte of the part number.
pub(super) const PART: u8 = 0x20;

pub(super) static TABLE: [Register; 16] = [
    Register::rw(DATA, "DATA"),
    Register::rw(DATAOUT, "DATAOUT"),
    Register::rw(OUTENSET, "OUTENSET"),
    Register::rw(OUTENCLR, "OUTENCLR"),
    Register::rw(ALTFUNCSET, "ALTFUNCSET"),
    Register::rw(ALTFUNCCLR, "ALTFUNCCLR"),
    Register::rw(INTENSET, "INTENSET"),
    Register::rw(INTENCLR, "INTENCLR"),
    Register::rw(INTTYPESET, "INTTYPESET"),
    Register::rw(INTTYPECLR, "INTTYPECLR"),
    Register::rw(INTPOLSET, "INTPOLSET"),
    Register::rw(INTPOLCLR, "INTPOLCLR"),
    Register::rw(INTSTATUS, "INTSTATUS"),
    Register::rw(MASKLOWBYTE, "MASKLOWBYTE").times(256, 4),
    Register::rw(MASKHIGHBYTE, "MASKHIGHBYTE").times(256, 4),
    id::REGISTERS,
];
