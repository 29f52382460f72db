//! System control of the LM3S6965: offsets, bits and reset values. LM3S6965 data sheet, chapter "System Control" (register map and the
//! register descriptions after it); the flash protection registers from chapter "Internal Memory".

use southbridge_core::Register;

pub(crate) const DID0: u64 = 0x000;
pub(crate) const DID1: u64 = 0x004;
pub(crate) const DC0: u64 = 0x008;
pub(crate) const DC1: u64 = 0x010;
pub(crate) const DC4: u64 = 0x01c;
pub(crate) const PBORCTL: u64 = 0x030;
pub(crate) const LDOPCTL: u64 = 0x034;
pub(crate) const SRCR0: u64 = 0x040;
pub(crate) const SRCR2: u64 = 0x048;
pub(crate) const RIS: u64 = 0x050;
pub(crate) const IMC: u64 = 0x054;
pub(crate) const MISC: u64 = 0x058;
pub(crate) const RESC: u64 = 0x05c;
pub(crate) const RCC: u64 = 0x060;
pub(crate) const PLLCFG: u64 = 0x064;
pub(crate) const RCC2: u64 = 0x070;
pub(crate) const MOSCCTL: u64 = 0x07c;
pub(crate) const RCGC0: u64 = 0x100;
pub(crate) const RCGC2: u64 = 0x108;
pub(crate) const SCGC0: u64 = 0x110;
pub(crate) const SCGC2: u64 = 0x118;
pub(crate) const DCGC0: u64 = 0x120;
pub(crate) const DCGC2: u64 = 0x128;
pub(crate) const FMPRE: u64 = 0x130;
pub(crate) const FMPPE: u64 = 0x134;
pub(crate) const DSLPCLKCFG: u64 = 0x144;
pub(crate) const CLKVCLR: u64 = 0x150;
pub(crate) const LDOARST: u64 = 0x160;
pub(crate) const USER_DBG: u64 = 0x1d0;
pub(crate) const USER0: u64 = 0x1e0;
pub(crate) const USER1: u64 = 0x1e4;
pub(crate) const FMPRE0: u64 = 0x200;
pub(crate) const FMPRE3: u64 = 0x20c;
pub(crate) const FMPPE0: u64 = 0x400;
pub(crate) const FMPPE3: u64 = 0x40c;

/// The register table for the bus.
pub(crate) static REGISTERS: &[Register] = &[
    Register::ro(DID0, "DID0"),
    Register::ro(DID1, "DID1"),
    Register::ro(DC0, "DC0"),
    Register::ro(DC1, "DC1-DC4").times(4, 4),
    Register::rw(PBORCTL, "PBORCTL"),
    Register::rw(LDOPCTL, "LDOPCTL"),
    Register::rw(SRCR0, "SRCR0-SRCR2").times(3, 4),
    Register::ro(RIS, "RIS"),
    Register::rw(IMC, "IMC"),
    Register::rw(MISC, "MISC"),
    Register::rw(RESC, "RESC"),
    Register::rw(RCC, "RCC"),
    Register::ro(PLLCFG, "PLLCFG"),
    Register::rw(RCC2, "RCC2"),
    Register::rw(MOSCCTL, "MOSCCTL"),
    Register::rw(RCGC0, "RCGC0-RCGC2").times(3, 4),
    Register::rw(SCGC0, "SCGC0-SCGC2").times(3, 4),
    Register::rw(DCGC0, "DCGC0-DCGC2").times(3, 4),
    Register::rw(FMPRE, "FMPRE"),
    Register::rw(FMPPE, "FMPPE"),
    Register::rw(DSLPCLKCFG, "DSLPCLKCFG"),
    Register::rw(CLKVCLR, "CLKVCLR"),
    Register::rw(LDOARST, "LDOARST"),
    Register::ro(USER_DBG, "USER_DBG"),
    Register::ro(USER0, "USER_REG0"),
    Register::ro(USER1, "USER_REG1"),
    Register::rw(FMPRE0, "FMPRE0-FMPRE3").times(4, 4),
    Register::rw(FMPPE0, "FMPPE0-FMPPE3").times(4, 4),
];

/// RIS, IMC, MISC: the PLL has locked.
pub(crate) const INT_PLL_LOCK: u32 = 1 << 6;
/// Interrupt sources that IMC can let through.
pub(crate) const INT_MASK: u32 = 0x7f;

/// RESC: power-on.
pub(crate) const RESC_POR: u32 = 1 << 1;
/// RESC: watchdog.
pub(crate) const RESC_WDT: u32 = 1 << 3;
/// Causes that RESC holds.
pub(crate) const RESC_MASK: u32 = 0x3f;

/// RCC and RCC2: the PLL is powered down.
pub(crate) const PWRDN: u32 = 1 << 13;
/// RCC and RCC2: the system clock is the oscillator, not the PLL.
pub(crate) const BYPASS: u32 = 1 << 11;
/// RCC: the divider SYSDIV is used with the oscillator, too.
pub(crate) const RCC_USESYSDIV: u32 = 1 << 22;
/// RCC: implemented bits. Bit 12 is reserved and reads 1.
pub(crate) const RCC_WRITABLE: u32 = 0x0fde_2bf3;
/// RCC at reset: internal oscillator, PLL off and bypassed.
pub(crate) const RCC_RESET: u32 = 0x078e_3ad1;
/// RCC2: its fields count instead of those of RCC.
pub(crate) const RCC2_USERCC2: u32 = 1 << 31;
/// RCC2: implemented bits.
pub(crate) const RCC2_WRITABLE: u32 = 0x9f80_2870;
/// RCC2 at reset.
pub(crate) const RCC2_RESET: u32 = 0x0780_2810;

/// PBORCTL at reset.
pub(crate) const PBORCTL_RESET: u32 = 0x7ffd;
/// RCGC0, SCGC0 and DCGC0 at reset: the hibernation module is clocked.
pub(crate) const GATE0_RESET: u32 = 1 << 6;
/// RCGC0: bits of DC1 that have a gate (PWM, ADC, hibernation, watchdog).
pub(crate) const GATE0_UNITS: u32 = 1 << 20 | 1 << 16 | 1 << 6 | 1 << 3;
/// RCGC0: the ADC's sample rate, not a gate.
pub(crate) const GATE0_ADC_SPEED: u32 = 0xf00;
/// DSLPCLKCFG at reset.
pub(crate) const DSLPCLKCFG_RESET: u32 = 0x0780_0000;
/// DSLPCLKCFG: divider and source.
pub(crate) const DSLPCLKCFG_MASK: u32 = 0x1f80_0070;
/// USER_DBG of a part that was never written: external debug is allowed.
pub(crate) const USER_DBG_RESET: u32 = 0xffff_fffe;

/// What the PLL gives to the divider, in Hz: 400 MHz, halved before SYSDIV.
pub(crate) const PLL_HZ: u64 = 200_000_000;
/// The internal oscillator in Hz. The data sheet says 12 MHz ± 30 %; within that, this is the value at which the clock after reset is
/// what QEMU's board has.
pub(crate) const IOSC_HZ: u64 = 12_500_000;
/// The internal 30 kHz oscillator.
pub(crate) const LOW_HZ: u64 = 30_000;
/// The oscillator of the hibernation module.
pub(crate) const HIBERNATION_HZ: u64 = 32_768;

/// PLL multiplier and divider (fields F and R of PLLCFG) by RCC.XTAL, for which crystal × F / (R + 1) is 400 MHz; data sheet, register
/// PLLCFG. The pair of XTAL = 7 (4.096 MHz) gives 334 MHz, but is what the parts and QEMU show.
pub(crate) const PLL_FACTORS: [(u32, u32); 16] = [
    (400, 0),
    (217, 0),
    (200, 0),
    (1953, 11),
    (447, 3),
    (217, 1),
    (100, 0),
    (1223, 14),
    (1709, 20),
    (80, 0),
    (625, 7),
    (200, 2),
    (1888, 28),
    (217, 3),
    (50, 0),
    (1416, 28),
];
