//! The I2C interface: offsets and bits. LM3S6965 data sheet, chapter "Inter-Integrated Circuit (I2C) Interface".

use southbridge_core::Register;

pub(crate) const MSA: u64 = 0x000;
pub(crate) const MCS: u64 = 0x004;
pub(crate) const MDR: u64 = 0x008;
pub(crate) const MTPR: u64 = 0x00c;
pub(crate) const MIMR: u64 = 0x010;
pub(crate) const MRIS: u64 = 0x014;
pub(crate) const MMIS: u64 = 0x018;
pub(crate) const MICR: u64 = 0x01c;
pub(crate) const MCR: u64 = 0x020;
pub(crate) const SOAR: u64 = 0x800;
pub(crate) const SCSR: u64 = 0x804;
pub(crate) const SDR: u64 = 0x808;
pub(crate) const SIMR: u64 = 0x80c;
pub(crate) const SRIS: u64 = 0x810;
pub(crate) const SMIS: u64 = 0x814;
pub(crate) const SICR: u64 = 0x818;

/// The register table for the bus.
pub(crate) static REGISTERS: &[Register] = &[
    Register::rw(MSA, "I2CMSA"),
    Register::rw(MCS, "I2CMCS"),
    Register::rw(MDR, "I2CMDR"),
    Register::rw(MTPR, "I2CMTPR"),
    Register::rw(MIMR, "I2CMIMR"),
    Register::ro(MRIS, "I2CMRIS"),
    Register::ro(MMIS, "I2CMMIS"),
    Register::wo(MICR, "I2CMICR"),
    Register::rw(MCR, "I2CMCR"),
    Register::rw(SOAR, "I2CSOAR"),
    Register::rw(SCSR, "I2CSCSR"),
    Register::rw(SDR, "I2CSDR"),
    Register::rw(SIMR, "I2CSIMR"),
    Register::ro(SRIS, "I2CSRIS"),
    Register::ro(SMIS, "I2CSMIS"),
    Register::wo(SICR, "I2CSICR"),
];

/// MSA: the transfer reads; the address is in bits 7:1.
pub(crate) const MSA_READ: u32 = 1;

/// MCS, written: transfer a byte.
pub(crate) const MCS_RUN: u32 = 1;
/// MCS, written: start or repeated start first.
pub(crate) const MCS_START: u32 = 1 << 1;
/// MCS, written: stop afterwards.
pub(crate) const MCS_STOP: u32 = 1 << 2;
/// MCS, written: acknowledge the byte that is received.
pub(crate) const MCS_ACK: u32 = 1 << 3;

/// MCS, read: the last operation failed.
pub(crate) const MCS_ERROR: u32 = 1 << 1;
/// MCS, read: nobody acknowledged the address.
pub(crate) const MCS_ADRACK: u32 = 1 << 2;
/// MCS, read: a byte was not acknowledged.
pub(crate) const MCS_DATACK: u32 = 1 << 3;
/// MCS, read: the controller is idle.
pub(crate) const MCS_IDLE: u32 = 1 << 5;
/// MCS, read: the bus is between start and stop.
pub(crate) const MCS_BUSBSY: u32 = 1 << 6;

/// MCR: transmit and receive wires joined, off the pins.
pub(crate) const MCR_LPBK: u32 = 1;
/// MCR: master enabled.
pub(crate) const MCR_MFE: u32 = 1 << 4;
/// MCR: implemented bits (with slave enable).
pub(crate) const MCR_MASK: u32 = 0x31;
/// MTPR at reset.
pub(crate) const MTPR_RESET: u32 = 1;
