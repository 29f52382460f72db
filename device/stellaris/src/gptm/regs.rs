//! The general-purpose timer module: offsets and bits. LM3S6965 data sheet, chapter "General-Purpose Timers".

use southbridge_core::Register;

pub(crate) const CFG: u64 = 0x00;
pub(crate) const TAMR: u64 = 0x04;
pub(crate) const TBMR: u64 = 0x08;
pub(crate) const CTL: u64 = 0x0c;
pub(crate) const IMR: u64 = 0x18;
pub(crate) const RIS: u64 = 0x1c;
pub(crate) const MIS: u64 = 0x20;
pub(crate) const ICR: u64 = 0x24;
pub(crate) const TAILR: u64 = 0x28;
pub(crate) const TBILR: u64 = 0x2c;
pub(crate) const TAMATCHR: u64 = 0x30;
pub(crate) const TBMATCHR: u64 = 0x34;
pub(crate) const TAPR: u64 = 0x38;
pub(crate) const TBPR: u64 = 0x3c;
pub(crate) const TAPMR: u64 = 0x40;
pub(crate) const TBPMR: u64 = 0x44;
pub(crate) const TAR: u64 = 0x48;
pub(crate) const TBR: u64 = 0x4c;

/// The register table for the bus.
pub(crate) static REGISTERS: &[Register] = &[
    Register::rw(CFG, "GPTMCFG"),
    Register::rw(TAMR, "GPTMTAMR"),
    Register::rw(TBMR, "GPTMTBMR"),
    Register::rw(CTL, "GPTMCTL"),
    Register::rw(IMR, "GPTMIMR"),
    Register::ro(RIS, "GPTMRIS"),
    Register::ro(MIS, "GPTMMIS"),
    Register::wo(ICR, "GPTMICR"),
    Register::rw(TAILR, "GPTMTAILR"),
    Register::rw(TBILR, "GPTMTBILR"),
    Register::rw(TAMATCHR, "GPTMTAMATCHR"),
    Register::rw(TBMATCHR, "GPTMTBMATCHR"),
    Register::rw(TAPR, "GPTMTAPR"),
    Register::rw(TBPR, "GPTMTBPR"),
    Register::rw(TAPMR, "GPTMTAPMR"),
    Register::rw(TBPMR, "GPTMTBPMR"),
    Register::ro(TAR, "GPTMTAR"),
    Register::ro(TBR, "GPTMTBR"),
];

/// CFG: both halves are one 32-bit timer.
pub(crate) const CFG_32_BIT: u32 = 0;
/// CFG: both halves are one 32-bit real-time clock.
pub(crate) const CFG_RTC: u32 = 1;
/// CFG: two 16-bit timers.
pub(crate) const CFG_16_BIT: u32 = 4;

/// TnMR: what the timer does.
pub(crate) const MR_MODE: u32 = 3;
pub(crate) const MR_ONE_SHOT: u32 = 1;
pub(crate) const MR_PERIODIC: u32 = 2;
pub(crate) const MR_CAPTURE: u32 = 3;
/// TnMR: capture takes the time of edges instead of counting them.
pub(crate) const MR_EDGE_TIME: u32 = 1 << 2;
/// TnMR: PWM.
pub(crate) const MR_PWM: u32 = 1 << 3;
pub(crate) const MR_WRITABLE: u32 = 0xf;

/// CTL, for timer A; timer B has the same bits 8 higher.
pub(crate) const CTL_ENABLE: u32 = 1;
pub(crate) const CTL_EVENT_SHIFT: u32 = 2;
pub(crate) const CTL_TRIGGER: u32 = 1 << 5;
pub(crate) const CTL_PWM_INVERT: u32 = 1 << 6;
pub(crate) const CTL_WRITABLE: u32 = 0x6f7f;

/// IMR, RIS, MIS, ICR, for timer A; timer B has the same bits 8 higher, without RTC.
pub(crate) const INT_TIME_OUT: u32 = 1;
pub(crate) const INT_CAPTURE_MATCH: u32 = 1 << 1;
pub(crate) const INT_CAPTURE_EVENT: u32 = 1 << 2;
pub(crate) const INT_RTC: u32 = 1 << 3;
pub(crate) const INT_A: u32 = 0x00f;
pub(crate) const INT_B: u32 = 0x700;
