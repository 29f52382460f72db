//! Registers of M-mode, PMP and triggers, without counters and AIA.

use super::*;
use crate::state::{envcfg, irq};
use crate::trigger;

/// Exceptions that may be delegated: all but those of M-mode itself and the reserved.
const DELEGABLE: u64 = 0b1011_0011_1111_1111 & !(1 << 10);

/// Registers of entries that are not there read as zero, but only if there are any.
fn pmp(h: &Hart, _: u16, _: u8) -> bool {
    h.cfg.pmp > 0
}

fn user(h: &Hart, _: u16, _: u8) -> bool {
    h.has(X::U)
}

fn smstateen(h: &Hart, _: u16, _: u8) -> bool {
    h.has(X::SMSTATEEN)
}

fn debug(h: &Hart, _: u16, _: u8) -> bool {
    h.has(X::SDTRIG)
}

/// Fields of `menvcfg` that this hart has.
pub(super) fn legal_envcfg(h: &Hart, v: u64) -> u64 {
    let mut mask = envcfg::FIOM;
    for (ext, fields) in [
        (X::ZICBOM, envcfg::CBIE | envcfg::CBCFE),
        (X::ZICBOZ, envcfg::CBZE),
        (X::SVADU, envcfg::ADUE),
        (X::SVPBMT, envcfg::PBMTE),
        (X::SSTC, envcfg::STCE),
    ] {
        if h.has(ext) {
            mask |= fields;
        }
    }
    // CBIE has one value that is reserved.
    if v & envcfg::CBIE == 2 << 4 {
        mask &= !envcfg::CBIE;
    }
    v & mask
}

fn mstateen0(h: &Hart) -> u64 {
    let aia = if h.has(X::SSAIA) {
        1 << stateen::AIA | 1 << stateen::CSRIND
    } else {
        0
    };
    // Bits over state that the hart does not have are zero (Privileged ISA, "Smstateen").
    let imsic = if h.has(X::SSAIA) && !h.s.imsic.is_empty() {
        1 << stateen::IMSIC
    } else {
        0
    };
    1 << stateen::SE0 | 1 << stateen::ENVCFG | aia | imsic
}

fn set_pmp(h: &mut Hart, change: impl FnOnce(&mut Hart)) -> bool {
    change(h);
    h.tlb.flush();
    h.look_up = true;
    true
}

fn selected_trigger(h: &Hart) -> usize {
    usize::from(h.s.tselect).min(trigger::COUNT - 1)
}

fn set_trigger(h: &mut Hart, change: impl FnOnce(&mut trigger::Trigger)) -> bool {
    let i = selected_trigger(h);
    change(&mut h.s.triggers[i]);
    h.tlb.flush();
    h.look_up = true;
    true
}

pub(super) static TABLE: &[Csr] = &[
    Csr::new(
        0x300,
        "mstatus",
        any,
        |h, _, _| Some(mstatus(h)),
        |h, _, _, v| {
            let mut mask = status::MIE | status::MPIE | status::MPP | status::MPRV;
            if h.has(X::S) {
                mask |= status::SIE | status::SPIE | status::SPP | status::SUM | status::MXR;
                mask |= status::TVM | status::TSR;
            }
            if h.has(X::U) {
                mask |= status::TW;
            }
            if h.has(X::F) {
                mask |= status::FS;
            }
            set_mstatus(h, v, mask);
            true
        },
    ),
    Csr::new(0x301, "misa", any, |h, _, _| Some(h.cfg.extensions.misa()), ignore),
    Csr::new(
        0x302,
        "medeleg",
        supervisor,
        |h, _, _| Some(h.s.medeleg),
        |h, _, _, v| {
            h.s.medeleg = v & DELEGABLE;
            true
        },
    ),
    Csr::new(
        0x303,
        "mideleg",
        supervisor,
        |h, _, _| Some(h.s.mideleg),
        |h, _, _, v| {
            let lcofi = if h.has(X::SSCOFPMF) { 0 } else { irq::LCOFI };
            h.s.mideleg = v & irq::S_ALL & !lcofi;
            h.look_up = true;
            true
        },
    ),
    Csr::new(
        0x304,
        "mie",
        any,
        |h, _, _| Some(h.s.mie),
        |h, _, _, v| {
            let lcofi = if h.has(X::SSCOFPMF) { 0 } else { irq::LCOFI };
            h.s.mie = v & irq::ALL & !lcofi;
            h.look_up = true;
            true
        },
    ),
    Csr::new(
        0x305,
        "mtvec",
        any,
        |h, _, _| Some(h.s.m.tvec),
        |h, _, _, v| {
            set_tvec(&mut h.s.m.tvec, v);
            true
        },
    ),
    Csr::new(
        0x306,
        "mcounteren",
        user,
        |h, _, _| Some(h.s.m.counteren.into()),
        |h, _, _, v| {
            h.s.m.counteren = v as u32;
            true
        },
    ),
    Csr::new(
        0x30a,
        "menvcfg",
        user,
        |h, _, _| Some(h.s.m.envcfg),
        |h, sys, _, v| {
            h.s.m.envcfg = legal_envcfg(h, v);
            h.set_stimecmp(sys, h.s.stimecmp);
            // Both ADUE and PBMTE change what page tables mean.
            h.tlb.flush();
            true
        },
    ),
    Csr::new(
        0x30c,
        "mstateen",
        smstateen,
        |h, _, n| Some(h.s.m.stateen[usize::from(n & 3)]),
        |h, _, n, v| {
            let mask = if n & 3 == 0 { mstateen0(h) } else { 1 << stateen::SE0 };
            h.s.m.stateen[usize::from(n & 3)] = v & mask;
            true
        },
    )
    .several(4, 1, 0),
    Csr::new(
        0x340,
        "mscratch",
        any,
        |h, _, _| Some(h.s.m.scratch),
        |h, _, _, v| {
            h.s.m.scratch = v;
            true
        },
    ),
    Csr::new(
        0x341,
        "mepc",
        any,
        |h, _, _| Some(h.s.m.epc & h.pc_mask()),
        |h, _, _, v| {
            h.s.m.epc = v & !1;
            true
        },
    ),
    Csr::new(
        0x342,
        "mcause",
        any,
        |h, _, _| Some(h.s.m.cause),
        |h, _, _, v| {
            h.s.m.cause = v;
            true
        },
    ),
    Csr::new(
        0x343,
        "mtval",
        any,
        |h, _, _| Some(h.s.m.tval),
        |h, _, _, v| {
            h.s.m.tval = v;
            true
        },
    ),
    Csr::new(
        0x344,
        "mip",
        any,
        |h, _, _| Some(h.pending()),
        |h, _, _, v| {
            h.set_mip(v);
            true
        },
    ),
    Csr::new(
        0x3a0,
        "pmpcfg",
        pmp,
        |h, _, n| {
            let from = usize::from(n - 0x3a0) * 4;
            let bytes = (0..8).map(|i| h.s.pmpcfg.get(from + i).copied().unwrap_or(0));
            Some(bytes.enumerate().fold(0, |v, (i, b)| v | u64::from(b) << (8 * i)))
        },
        |h, _, n, v| {
            set_pmp(h, |h| {
                let from = usize::from(n - 0x3a0) * 4;
                for (i, b) in v.to_le_bytes().into_iter().enumerate() {
                    h.s.set_pmpcfg(from + i, b);
                }
            })
        },
    )
    .several(8, 2, 0),
    Csr::new(
        0x3b0,
        "pmpaddr",
        pmp,
        |h, _, n| Some(h.s.pmpaddr.get(usize::from(n - 0x3b0)).copied().unwrap_or(0)),
        |h, _, n, v| set_pmp(h, |h| h.s.set_pmpaddr(usize::from(n - 0x3b0), v)),
    )
    .several(64, 1, 0),
    Csr::new(
        0x7a0,
        "tselect",
        debug,
        |h, _, _| Some(h.s.tselect.into()),
        |h, _, _, v| {
            if v < trigger::COUNT as u64 {
                h.s.tselect = v as u8;
            }
            true
        },
    ),
    Csr::new(
        0x7a1,
        "tdata1",
        debug,
        |h, _, _| Some(h.s.triggers[selected_trigger(h)].tdata1),
        |h, _, _, v| set_trigger(h, |t| t.set(v)),
    ),
    Csr::new(
        0x7a2,
        "tdata2",
        debug,
        |h, _, _| Some(h.s.triggers[selected_trigger(h)].tdata2),
        |h, _, _, v| set_trigger(h, |t| t.tdata2 = v),
    ),
    Csr::new(0x7a3, "tdata3", debug, zero, ignore),
    Csr::new(0x7a4, "tinfo", debug, |_, _, _| Some(trigger::INFO), ignore),
    Csr::new(0x7a5, "tcontrol", debug, zero, ignore),
    Csr::new(0xf11, "mvendorid", any, |h, _, _| Some(h.cfg.vendor_id.into()), ignore),
    Csr::new(0xf12, "marchid", any, |h, _, _| Some(h.cfg.arch_id), ignore),
    Csr::new(0xf13, "mimpid", any, |h, _, _| Some(h.cfg.imp_id), ignore),
    Csr::new(0xf14, "mhartid", any, |h, _, _| Some(h.cfg.hart_id), ignore),
    Csr::new(0xf15, "mconfigptr", any, zero, ignore),
];

impl Hart {
    /// The low bits of a PC that are always zero.
    pub(crate) fn pc_mask(&self) -> u64 {
        if self.has(X::C) { !1 } else { !3 }
    }

    /// Whether no instruction may begin at an even address.
    #[inline(always)]
    pub(crate) fn misaligned(&self, target: u64) -> bool {
        target & 2 != 0 && !self.has(X::C)
    }

    /// Bits of `mip` that software writes.
    pub(crate) fn set_mip(&mut self, v: u64) {
        let mut mask = irq::SSI | irq::STI | irq::SEI;
        if self.has(X::SSTC) && self.s.m.envcfg & envcfg::STCE != 0 {
            mask &= !irq::STI;
        }
        if self.has(X::SSCOFPMF) {
            mask |= irq::LCOFI;
        }
        self.s.mip = self.s.mip & !mask | v & mask;
        self.look_up = true;
    }

    /// Sets the supervisor timer; its interrupt follows at once.
    pub(crate) fn set_stimecmp(&mut self, sys: Option<&System>, v: u64) {
        self.s.stimecmp = v;
        if let Some(sys) = sys {
            self.update_timer(sys);
        }
        self.look_up = true;
    }

    /// Whether `stimecmp` is in use.
    pub(crate) fn has_timer(&self) -> bool {
        self.has(X::SSTC) && self.s.m.envcfg & envcfg::STCE != 0
    }

    /// STIP follows the comparison, at the published time.
    pub(crate) fn update_timer(&mut self, sys: &System) {
        if self.has_timer() {
            let due = sys.timebase.at(sys.clock.now()) >= self.s.stimecmp;
            self.s.mip = self.s.mip & !irq::STI | if due { irq::STI } else { 0 };
        }
    }
}
