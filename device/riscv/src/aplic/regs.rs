//! Registers of the APLIC (RISC-V AIA specification 1.0, section 4.5 "Memory-mapped control region for an interrupt domain").

use bitflags::bitflags;

pub(crate) const DOMAINCFG: u64 = 0x0000;
/// Of source 1.
pub(crate) const SOURCECFG: u64 = 0x0004;
pub(crate) const MMSICFGADDR: u64 = 0x1bc0;
pub(crate) const MMSICFGADDRH: u64 = 0x1bc4;
pub(crate) const SMSICFGADDR: u64 = 0x1bc8;
pub(crate) const SMSICFGADDRH: u64 = 0x1bcc;
pub(crate) const SETIP: u64 = 0x1c00;
pub(crate) const SETIPNUM: u64 = 0x1cdc;
pub(crate) const IN_CLRIP: u64 = 0x1d00;
pub(crate) const CLRIPNUM: u64 = 0x1ddc;
pub(crate) const SETIE: u64 = 0x1e00;
pub(crate) const SETIENUM: u64 = 0x1edc;
pub(crate) const CLRIE: u64 = 0x1f00;
pub(crate) const CLRIENUM: u64 = 0x1fdc;
pub(crate) const SETIPNUM_LE: u64 = 0x2000;
pub(crate) const SETIPNUM_BE: u64 = 0x2004;
pub(crate) const GENMSI: u64 = 0x3000;
/// Of source 1.
pub(crate) const TARGET: u64 = 0x3004;
/// Interrupt delivery control of hart 0 (section 4.8.1), and bytes to the next.
pub(crate) const IDC: u64 = 0x4000;
pub(crate) const IDC_SIZE: u64 = 32;
pub(crate) const IDELIVERY: u64 = 0x00;
pub(crate) const IFORCE: u64 = 0x04;
pub(crate) const ITHRESHOLD: u64 = 0x08;
pub(crate) const TOPI: u64 = 0x18;
pub(crate) const CLAIMI: u64 = 0x1c;

/// Sources that the specification has room for, with 0, which does not exist.
pub(crate) const MAX_SOURCES: u16 = 1024;

/// DOMAINCFG (4.5.1): the highest byte always reads so.
pub(crate) const DOMAINCFG_FIXED: u32 = 0x8000_0000;
pub(crate) const DOMAINCFG_IE: u32 = 1 << 8;
pub(crate) const DOMAINCFG_DM: u32 = 1 << 2;

/// SOURCECFG (4.5.2).
pub(crate) const SOURCECFG_D: u32 = 1 << 10;
pub(crate) const SOURCECFG_CHILD: u32 = 0x3ff;
pub(crate) const SOURCECFG_MODE: u32 = 7;

/// Source modes (table 4.2).
pub(crate) const MODE_INACTIVE: u32 = 0;
pub(crate) const MODE_DETACHED: u32 = 1;
pub(crate) const MODE_EDGE_RISE: u32 = 4;
pub(crate) const MODE_EDGE_FALL: u32 = 5;
pub(crate) const MODE_LEVEL_HIGH: u32 = 6;
pub(crate) const MODE_LEVEL_LOW: u32 = 7;

bitflags! {
    /// What is known of a source besides its configuration.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Source: u8 {
        const PENDING = 1;
        const ENABLED = 2;
        /// The wire, as it comes in.
        const INPUT = 4;
    }
}

/// MMSICFGADDRH, SMSICFGADDRH (4.5.3, 4.5.4): lock, and the fields that exist.
pub(crate) const CFG_LOCK: u32 = 1 << 31;
/// HHXS, HHXW and LHXW: how the bits of a hart's number are laid out. The machine level's register says it for both.
pub(crate) const CFG_HARTS: u32 = 0x1f << 24 | 7 << 16 | 0xf << 12;
/// LHXS and the upper half of the page number, which each level has of its own.
const CFG_OWN: u32 = 7 << 20 | 0xfff;
pub(crate) const CFG_VALID: u32 = CFG_LOCK | CFG_HARTS | CFG_OWN;
/// The fields of SMSICFGADDRH. Firmware that writes those of MMSICFGADDRH as well means the same by them.
pub(crate) const SCFG_VALID: u32 = CFG_OWN;

/// TARGET (4.5.16).
pub(crate) const TARGET_HART_SHIFT: u32 = 18;
pub(crate) const TARGET_GUEST_SHIFT: u32 = 12;
pub(crate) const TARGET_GUEST: u32 = 0x3f;
pub(crate) const TARGET_EIID: u32 = 0x7ff;
pub(crate) const TARGET_IPRIO: u32 = 0xff;

/// A pair of MSICFGADDR registers: where the interrupt files of the harts stand (4.9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct MsiAddresses {
    /// The low register.
    pub low: u32,
    /// The high register.
    pub high: u32,
}

impl MsiAddresses {
    /// These for the supervisor level, with the layout of harts that the machine level's pair has (4.9.1).
    pub(crate) fn with_harts_of(self, machine: Self) -> Self {
        Self {
            low: self.low,
            high: self.high & CFG_OWN | machine.high & CFG_HARTS,
        }
    }

    /// The address of a hart's interrupt file.
    pub(crate) fn of(self, hart: u32, guest: u32) -> u64 {
        let field = |at: u32, bits: u32| self.high >> at & ((1 << bits) - 1);
        let (lhxs, hhxs) = (field(20, 3), field(24, 5));
        let (lhxw, hhxw) = (field(12, 4), field(16, 3));
        let low = |value: u32, bits: u32| u64::from(value & ((1 << bits) - 1));
        let page = u64::from(self.high & 0xfff) << 32
            | u64::from(self.low)
            | low(hart >> lhxw, hhxw) << (hhxs + 12)
            | low(hart, lhxw) << lhxs
            | low(guest, lhxs);
        page << 12
    }
}
