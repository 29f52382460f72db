//! What a hart is, architecturally: everything that is saved.

use serde::{Deserialize, Serialize};

use crate::imsic::File;
use crate::trigger::Trigger;

/// Privilege modes.
pub(crate) mod mode {
    pub(crate) const U: u8 = 0;
    pub(crate) const S: u8 = 1;
    pub(crate) const M: u8 = 3;
}

/// Integer registers. Places behind 31 are where writes to `x0` go; there are 64 so that no index needs a check.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(from = "[u64; 32]", into = "[u64; 32]")]
pub(crate) struct Regs([u64; 64]);

impl PartialEq for Regs {
    /// Where writes to `x0` went is nothing that counts.
    fn eq(&self, other: &Self) -> bool {
        self.0[..32] == other.0[..32]
    }
}

impl Regs {
    #[inline(always)]
    pub(crate) fn get(&self, n: u8) -> u64 {
        self.0[usize::from(n & 63)]
    }
    /// The first of the 64 places, for compiled code.
    pub(crate) const fn slot() -> southbridge_cpu_jit::Slot {
        use crate::hart::Hart;
        southbridge_cpu_jit::Slot::new::<Hart, u64>(std::mem::offset_of!(Hart, s.x.0), |h: &Hart| &h.s.x.0[0])
    }

    /// The caller has renamed `x0`; see [`crate::insn::SINK`].
    #[inline(always)]
    pub(crate) fn put(&mut self, n: u8, v: u64) {
        self.0[usize::from(n & 63)] = v;
    }
}

impl From<[u64; 32]> for Regs {
    fn from(x: [u64; 32]) -> Self {
        let mut all = [0; 64];
        all[..32].copy_from_slice(&x);
        all[0] = 0;
        Self(all)
    }
}

impl From<Regs> for [u64; 32] {
    fn from(r: Regs) -> Self {
        std::array::from_fn(|i| r.0[i])
    }
}

/// The CSRs of a level that takes traps.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) tvec: u64,
    pub(crate) scratch: u64,
    pub(crate) epc: u64,
    pub(crate) cause: u64,
    pub(crate) tval: u64,
    pub(crate) counteren: u32,
    pub(crate) envcfg: u64,
    pub(crate) stateen: [u64; 4],
    /// `miselect`, `siselect`.
    pub(crate) iselect: u64,
}

/// Whether the hart executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sleep {
    Awake,
    /// Awake, but others may have their turn first: it spins.
    Yields,
    /// Until an enabled interrupt is pending.
    Wfi,
    /// Until somebody starts it (SBI HSM).
    Stopped,
}

/// A load reservation: what was read where. A store-conditional succeeds while the same is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    pub(crate) paddr: u64,
    pub(crate) size: u8,
    pub(crate) value: u64,
}

/// Counters that count: `value` is added to what counts, unless it is inhibited; then it is the value.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) value: u64,
    /// `mhpmevent`.
    pub(crate) event: u64,
}

/// Architectural state.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) x: Regs,
    /// NaN-boxed where narrower.
    pub(crate) f: [u64; 32],
    pub(crate) pc: u64,
    /// Privilege mode: 0 U, 1 S, 3 M.
    pub(crate) prv: u8,
    /// Accrued exceptions: NV 16, DZ 8, OF 4, UF 2, NX 1.
    pub(crate) fflags: u8,
    /// Dynamic rounding mode.
    pub(crate) frm: u8,
    pub(crate) mstatus: u64,
    pub(crate) mie: u64,
    /// Pending bits that software writes or that latch: SSIP, STIP, SEIP, LCOFIP.
    pub(crate) mip: u64,
    /// Levels of the interrupt inputs, by `mip` bit.
    pub(crate) lines: u64,
    pub(crate) mideleg: u64,
    pub(crate) medeleg: u64,
    pub(crate) mcountinhibit: u32,
    pub(crate) m: Level,
    pub(crate) s: Level,
    pub(crate) satp: u64,
    pub(crate) stimecmp: u64,
    pub(crate) pmpcfg: [u8; 16],
    pub(crate) pmpaddr: [u64; 16],
    /// `mcycle`, unused, `minstret`, `mhpmcounter3` and on.
    pub(crate) counters: [Counter; 32],
    /// Instructions that this hart has executed, as of the start of the running block.
    pub(crate) retired: u64,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) sleep: Sleep,
    /// M and S interrupt files; no entries without AIA.
    pub(crate) imsic: Vec<File>,
    pub(crate) tselect: u8,
    pub(crate) triggers: [Trigger; crate::trigger::COUNT],
}

/// Fields of `mstatus` (Privileged ISA, "Machine Status Registers").
pub(crate) mod status {
    pub(crate) const SIE: u64 = 1 << 1;
    pub(crate) const MIE: u64 = 1 << 3;
    pub(crate) const SPIE: u64 = 1 << 5;
    pub(crate) const MPIE: u64 = 1 << 7;
    pub(crate) const SPP: u64 = 1 << 8;
    pub(crate) const MPP: u64 = 3 << 11;
    pub(crate) const MPP_SHIFT: u32 = 11;
    pub(crate) const FS: u64 = 3 << 13;
    pub(crate) const MPRV: u64 = 1 << 17;
    pub(crate) const SUM: u64 = 1 << 18;
    pub(crate) const MXR: u64 = 1 << 19;
    pub(crate) const TVM: u64 = 1 << 20;
    pub(crate) const TW: u64 = 1 << 21;
    pub(crate) const TSR: u64 = 1 << 22;
    pub(crate) const UXL: u64 = 2 << 32;
    pub(crate) const SXL: u64 = 2 << 34;
    pub(crate) const SD: u64 = 1 << 63;
}

/// Interrupts by number.
pub(crate) mod irq {
    pub(crate) const SSI: u64 = 1 << 1;
    pub(crate) const MSI: u64 = 1 << 3;
    pub(crate) const STI: u64 = 1 << 5;
    pub(crate) const MTI: u64 = 1 << 7;
    pub(crate) const SEI: u64 = 1 << 9;
    pub(crate) const MEI: u64 = 1 << 11;
    pub(crate) const LCOFI: u64 = 1 << 13;
    /// Those that supervisor software may see.
    pub(crate) const S_ALL: u64 = SSI | STI | SEI | LCOFI;
    pub(crate) const ALL: u64 = S_ALL | MSI | MTI | MEI;
}

/// Fields of `menvcfg`.
pub(crate) mod envcfg {
    pub(crate) const FIOM: u64 = 1;
    pub(crate) const CBIE: u64 = 3 << 4;
    pub(crate) const CBCFE: u64 = 1 << 6;
    pub(crate) const CBZE: u64 = 1 << 7;
    pub(crate) const ADUE: u64 = 1 << 61;
    pub(crate) const PBMTE: u64 = 1 << 62;
    pub(crate) const STCE: u64 = 1 << 63;
}
