//! System Control Block registers that are plain state (ARM ARM B3.2), and what the bits of the fault registers are called.

use serde::{Deserialize, Serialize};

/// CFSR bits (B3.2.15): MemManage in 7:0, BusFault in 15:8, UsageFault in 31:16.
#[allow(missing_docs)]
pub mod cfsr {
    pub const IACCVIOL: u32 = 1;
    pub const DACCVIOL: u32 = 1 << 1;
    pub const MUNSTKERR: u32 = 1 << 3;
    pub const MSTKERR: u32 = 1 << 4;
    pub const MMARVALID: u32 = 1 << 7;
    pub const IBUSERR: u32 = 1 << 8;
    pub const PRECISERR: u32 = 1 << 9;
    pub const UNSTKERR: u32 = 1 << 11;
    pub const STKERR: u32 = 1 << 12;
    pub const BFARVALID: u32 = 1 << 15;
    pub const UNDEFINSTR: u32 = 1 << 16;
    pub const INVSTATE: u32 = 1 << 17;
    pub const INVPC: u32 = 1 << 18;
    pub const NOCP: u32 = 1 << 19;
    pub const UNALIGNED: u32 = 1 << 24;
    pub const DIVBYZERO: u32 = 1 << 25;
}
/// HFSR bits (B3.2.16).
#[allow(missing_docs)]
pub mod hfsr {
    pub const VECTTBL: u32 = 1 << 1;
    pub const FORCED: u32 = 1 << 30;
    pub const DEBUGEVT: u32 = 1 << 31;
}
/// CCR bits (B3.2.8).
#[allow(missing_docs)]
pub mod ccr {
    pub const NONBASETHRDENA: u32 = 1;
    pub const USERSETMPEND: u32 = 1 << 1;
    pub const UNALIGN_TRP: u32 = 1 << 3;
    pub const DIV_0_TRP: u32 = 1 << 4;
    pub const BFHFNMIGN: u32 = 1 << 8;
    pub const STKALIGN: u32 = 1 << 9;
    pub const WRITABLE: u32 = 0x31b;
}
/// SCR bits (B3.2.7).
#[allow(missing_docs)]
pub mod scr {
    pub const SLEEPONEXIT: u32 = 1 << 1;
    pub const SLEEPDEEP: u32 = 1 << 2;
    pub const SEVONPEND: u32 = 1 << 4;
}
/// DEMCR bits (C1.6.5).
#[allow(missing_docs)]
pub mod demcr {
    pub const MON_EN: u32 = 1 << 16;
    pub const MON_PEND: u32 = 1 << 17;
    pub const TRCENA: u32 = 1 << 24;
    pub const WRITABLE: u32 = 0x010f_07f1;
}

/// Registers of the SCB and DEMCR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Scb {
    pub vtor: u32,
    pub scr: u32,
    pub ccr: u32,
    pub cfsr: u32,
    pub hfsr: u32,
    pub dfsr: u32,
    pub mmfar: u32,
    pub bfar: u32,
    pub demcr: u32,
}

impl Scb {
    /// State after reset; STKALIGN starts set, as on the Cortex-M3 from r2p0.
    pub fn new(vtor: u32) -> Self {
        let ccr = ccr::STKALIGN;
        Scb {
            vtor,
            scr: 0,
            ccr,
            cfsr: 0,
            hfsr: 0,
            dfsr: 0,
            mmfar: 0,
            bfar: 0,
            demcr: 0,
        }
    }
}
