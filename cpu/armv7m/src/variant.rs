//! What makes one core of the family differ from another, as data.

use bitflags::bitflags;

bitflags! {
    /// Optional parts of the architecture.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// ARMv7-M: Thumb-2, BASEPRI, FAULTMASK, configurable faults. Absent on ARMv6-M.
        const MAIN = 1;
        /// DSP extension (M4, M7). Not executed yet.
        const DSP = 2;
        /// Single precision floating point. Not executed yet.
        const FPU = 4;
        /// DWT with a cycle counter, ITM.
        const TRACE = 8;
    }
}

/// A core design.
#[derive(Debug, PartialEq, Eq)]
pub struct Variant {
    /// As in `-cpu`.
    pub name: &'static str,
    /// CPUID (B3.2.3).
    pub cpuid: u32,
    /// What it has.
    pub features: Features,
    /// MPU regions, 0 for none.
    pub mpu_regions: u8,
    /// ID_PFR0 up to ID_ISAR5, the words from 0xE000ED40 (B4.1).
    pub id_registers: [u32; 14],
}

/// Cortex-M3 r2p1 (TRM DDI 0337; the CPUID is r2p1's, as in QEMU).
pub static CORTEX_M3: Variant = Variant {
    name: "cortex-m3",
    cpuid: 0x410f_c231,
    features: Features::MAIN.union(Features::TRACE),
    mpu_regions: 8,
    id_registers: [
        0x0000_0030,
        0x0000_0200,
        0x0010_0000,
        0,
        0x0000_0030,
        0,
        0,
        0,
        0x0114_1110,
        0x0211_1000,
        0x2111_2231,
        0x0111_1110,
        0x0131_0102,
        0,
    ],
};

/// How a chip integrates the core.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which core.
    pub variant: &'static Variant,
    /// Number of the core in its machine.
    pub cpu: u8,
    /// External interrupts, 1 to 240.
    pub irqs: u16,
    /// Implemented priority bits, 3 to 8 on ARMv7-M.
    pub priority_bits: u8,
    /// Processor clock in Hz.
    pub cpu_hz: u64,
    /// SysTick's external reference clock in Hz, if the chip has one.
    pub ref_hz: Option<u64>,
    /// Reset value of VTOR.
    pub vtor: u32,
    /// Whether the bit-band aliases exist.
    pub bitband: bool,
}

impl Config {
    /// A core with `irqs` external interrupts and the usual rest: 8 priority bits, 25 MHz, bit-banding, vectors at 0.
    pub fn new(variant: &'static Variant, irqs: u16) -> Self {
        let irqs = irqs.clamp(1, 240);
        Config {
            variant,
            cpu: 0,
            irqs,
            priority_bits: 8,
            cpu_hz: 25_000_000,
            ref_hz: None,
            vtor: 0,
            bitband: true,
        }
    }
    /// Mask of the implemented bits of a priority byte.
    pub(crate) fn priority_mask(&self) -> u8 {
        let bits = self.priority_bits.clamp(2, 8);
        (0xff00u16 >> bits) as u8
    }
}
