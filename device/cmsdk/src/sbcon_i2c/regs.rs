//! Registers of the SBCon two-wire interface (AN385, "I2C"; Versatile Application Baseboard user guide, "Two-wire serial bus
//! interface").

use southbridge_core::Register;

/// Read: SB_CONTROL, the wires; write: SB_CONTROLS, releases those with a 1.
pub(super) const CONTROL_SET: u64 = 0x0;
/// SB_CONTROLC, pulls those with a 1 down.
pub(super) const CONTROL_CLR: u64 = 0x4;

pub(super) static TABLE: [Register; 2] = [
    Register::rw(CONTROL_SET, "SB_CONTROLS"),
    Register::wo(CONTROL_CLR, "SB_CONTROLC"),
];

/// Clock, in all registers.
pub(super) const SCL: u32 = 1 << 0;
/// Data, in all registers.
pub(super) const SDA: u32 = 1 << 1;
