//! Registers of the FPGA system control and I/O block (AN385, "FPGA system control and I/O"; AN505 for DBGCTRL and SWITCH).

use southbridge_core::Register;

pub(super) const LED0: u64 = 0x00;
pub(super) const DBGCTRL: u64 = 0x04;
pub(super) const BUTTON: u64 = 0x08;
pub(super) const CLK1HZ: u64 = 0x10;
pub(super) const CLK100HZ: u64 = 0x14;
pub(super) const COUNTER: u64 = 0x18;
pub(super) const PRESCALE: u64 = 0x1c;
pub(super) const PSCNTR: u64 = 0x20;
pub(super) const SWITCH: u64 = 0x28;
pub(super) const MISC: u64 = 0x4c;

pub(super) static TABLE: [Register; 10] = [
    Register::rw(LED0, "LED0"),
    Register::rw(DBGCTRL, "DBGCTRL"),
    Register::ro(BUTTON, "BUTTON"),
    Register::rw(CLK1HZ, "CLK1HZ"),
    Register::rw(CLK100HZ, "CLK100HZ"),
    Register::rw(COUNTER, "COUNTER"),
    Register::rw(PRESCALE, "PRESCALE"),
    Register::rw(PSCNTR, "PSCNTR"),
    Register::ro(SWITCH, "SWITCH"),
    Register::rw(MISC, "MISC"),
];

/// Most LEDs that LED0 can have.
pub(super) const MAX_LEDS: u8 = 32;
/// Buttons of the board.
pub(super) const BUTTONS: u16 = 2;
/// Switches of the board.
pub(super) const SWITCHES: u16 = 8;
