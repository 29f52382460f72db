//! Registers of the PL061.
//!
//! Source: Arm DDI 0190B, "PrimeCell General Purpose Input/Output (PL061) Technical Reference Manual", chapter 3. The registers from
//! 0x500 on, and the lock on AFSEL: LM3S6965 data sheet, chapter 8 (GPIO); Arm's part does not have them.

use southbridge_core::Register;

/// Data, 256 times: address bits 9 to 2 select the pins that an access touches. Section 3.3.1.
pub(crate) const DATA_LAST: u64 = 0x3fc;
/// Direction, 1 is output.
pub(crate) const DIR: u64 = 0x400;
/// Interrupt sense, 1 is level.
pub(crate) const IS: u64 = 0x404;
/// Interrupt on both edges.
pub(crate) const IBE: u64 = 0x408;
/// Interrupt event: 1 is high level or rising edge.
pub(crate) const IEV: u64 = 0x40c;
/// Interrupt mask, 1 lets it through.
pub(crate) const IE: u64 = 0x410;
/// Raw interrupt status.
pub(crate) const RIS: u64 = 0x414;
/// Masked interrupt status.
pub(crate) const MIS: u64 = 0x418;
/// Interrupt clear.
pub(crate) const IC: u64 = 0x41c;
/// Alternate function select.
pub(crate) const AFSEL: u64 = 0x420;

/// 2 mA drive.
pub(crate) const DR2R: u64 = 0x500;
/// 4 mA drive.
pub(crate) const DR4R: u64 = 0x504;
/// 8 mA drive.
pub(crate) const DR8R: u64 = 0x508;
/// Open drain.
pub(crate) const ODR: u64 = 0x50c;
/// Pull-up.
pub(crate) const PUR: u64 = 0x510;
/// Pull-down.
pub(crate) const PDR: u64 = 0x514;
/// Slew rate.
pub(crate) const SLR: u64 = 0x518;
/// Digital enable.
pub(crate) const DEN: u64 = 0x51c;
/// Lock of CR.
pub(crate) const LOCK: u64 = 0x520;
/// Commit: which bits of AFSEL can be written.
pub(crate) const CR: u64 = 0x524;
/// Analog mode select.
pub(crate) const AMSEL: u64 = 0x528;

/// The value that, written to [`LOCK`], opens [`CR`].
pub(crate) const UNLOCK: u32 = 0x0acc_e551;

/// First of the twelve identification registers.
pub(crate) const PERIPH_ID4: u64 = 0xfd0;

/// Arm's identification.
pub(crate) const ID_ARM: [u8; 12] = [0, 0, 0, 0, 0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
/// The identification in Stellaris chips.
pub(crate) const ID_LUMINARY: [u8; 12] = [0, 0, 0, 0, 0x61, 0x00, 0x18, 0x01, 0x0d, 0xf0, 0x05, 0xb1];

const fn table<const N: usize>(more: &[Register]) -> [Register; N] {
    let common = [
        Register::rw(0, "GPIODATA").times(256, 4),
        Register::rw(DIR, "GPIODIR"),
        Register::rw(IS, "GPIOIS"),
        Register::rw(IBE, "GPIOIBE"),
        Register::rw(IEV, "GPIOIEV"),
        Register::rw(IE, "GPIOIE"),
        Register::ro(RIS, "GPIORIS"),
        Register::ro(MIS, "GPIOMIS"),
        Register::wo(IC, "GPIOIC"),
        Register::rw(AFSEL, "GPIOAFSEL"),
        Register::ro(PERIPH_ID4, "GPIOPeriphID/GPIOPCellID").times(12, 4),
    ];
    let mut all = [common[0]; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < common.len() {
            common[i]
        } else {
            more[i - common.len()]
        };
        i += 1;
    }
    all
}

/// The register table of Arm's part.
pub(crate) static TABLE: [Register; 11] = table(&[]);
/// The register table in Stellaris chips.
pub(crate) static TABLE_LUMINARY: [Register; 22] = table(&[
    Register::rw(DR2R, "GPIODR2R"),
    Register::rw(DR4R, "GPIODR4R"),
    Register::rw(DR8R, "GPIODR8R"),
    Register::rw(ODR, "GPIOODR"),
    Register::rw(PUR, "GPIOPUR"),
    Register::rw(PDR, "GPIOPDR"),
    Register::rw(SLR, "GPIOSLR"),
    Register::rw(DEN, "GPIODEN"),
    Register::rw(LOCK, "GPIOLOCK"),
    Register::rw(CR, "GPIOCR"),
    Register::rw(AMSEL, "GPIOAMSEL"),
]);
