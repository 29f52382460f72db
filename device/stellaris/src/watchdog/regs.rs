//! The watchdog timer: offsets and bits. LM3S6965 data sheet, chapter "Watchdog Timer".

use southbridge_core::Register;

pub(crate) const LOAD: u64 = 0x000;
pub(crate) const VALUE: u64 = 0x004;
pub(crate) const CTL: u64 = 0x008;
pub(crate) const ICR: u64 = 0x00c;
pub(crate) const RIS: u64 = 0x010;
pub(crate) const MIS: u64 = 0x014;
pub(crate) const TEST: u64 = 0x418;
pub(crate) const LOCK: u64 = 0xc00;
pub(crate) const PERIPH_ID4: u64 = 0xfd0;
pub(crate) const PCELL_ID3: u64 = 0xffc;

/// The register table for the bus.
pub(crate) static REGISTERS: &[Register] = &[
    Register::rw(LOAD, "WDTLOAD"),
    Register::ro(VALUE, "WDTVALUE"),
    Register::rw(CTL, "WDTCTL"),
    Register::wo(ICR, "WDTICR"),
    Register::ro(RIS, "WDTRIS"),
    Register::ro(MIS, "WDTMIS"),
    Register::rw(TEST, "WDTTEST"),
    Register::rw(LOCK, "WDTLOCK"),
    Register::ro(PERIPH_ID4, "WDTPeriphID4-WDTPCellID3").times(12, 4),
];

/// CTL: the counter runs and interrupts. Once set, only a reset clears it.
pub(crate) const CTL_INTEN: u32 = 1;
/// CTL: a second time-out resets the system.
pub(crate) const CTL_RESEN: u32 = 1 << 1;
/// TEST: the counter stalls while a debugger halts the CPU.
pub(crate) const TEST_STALL: u32 = 1 << 8;
/// What unlocks the registers, written to LOCK; anything else locks them.
pub(crate) const UNLOCK: u32 = 0x1acc_e551;

/// Identification registers from WDTPeriphID4 on: PeriphID4-7, PeriphID0-3, PCellID0-3.
pub(crate) const ID: [u8; 12] = [0, 0, 0, 0, 0x05, 0x18, 0x18, 0x01, 0x0d, 0xf0, 0x05, 0xb1];
