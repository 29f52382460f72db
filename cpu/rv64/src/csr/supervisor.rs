//! Registers of U-mode and S-mode, without counters and AIA.

use super::*;
use crate::state::{envcfg, irq};

const SSTATUS: u64 = status::SIE | status::SPIE | status::SPP | status::FS | status::SUM | status::MXR;

fn float(h: &Hart, _: u16, _: u8) -> bool {
    h.has(X::F) && !h.fs_off()
}

/// Whether a register is one of floating point.
pub(super) fn is_float(row: &Csr) -> bool {
    matches!(row.first, 0x001..=0x003)
}

fn satp(h: &Hart, _: u16, prv: u8) -> bool {
    h.has(X::S) && !(prv == mode::S && h.s.mstatus & status::TVM != 0)
}

fn stimecmp(h: &Hart, _: u16, prv: u8) -> bool {
    let below = prv < mode::M;
    let off = h.s.m.envcfg & envcfg::STCE == 0 || h.s.m.counteren & 2 == 0;
    h.has(X::SSTC) && !(below && off)
}

fn senvcfg(h: &Hart, _: u16, prv: u8) -> bool {
    h.has(X::S) && state_enabled(h, prv, stateen::ENVCFG)
}

fn sstateen(h: &Hart, n: u16, prv: u8) -> bool {
    let open = prv == mode::M || h.s.m.stateen[usize::from(n & 3)] >> stateen::SE0 & 1 != 0;
    h.has(X::S | X::SMSTATEEN) && open
}

/// Floating-point state is dirty from here on.
fn dirty(h: &mut Hart) {
    h.s.mstatus |= status::FS;
}

pub(super) static TABLE: &[Csr] = &[
    Csr::new(
        0x001,
        "fflags",
        float,
        |h, _, _| Some(h.s.fflags.into()),
        |h, _, _, v| {
            h.s.fflags = v as u8 & 31;
            dirty(h);
            true
        },
    ),
    Csr::new(
        0x002,
        "frm",
        float,
        |h, _, _| Some(h.s.frm.into()),
        |h, _, _, v| {
            h.s.frm = v as u8 & 7;
            dirty(h);
            true
        },
    ),
    Csr::new(
        0x003,
        "fcsr",
        float,
        |h, _, _| Some(u64::from(h.s.frm) << 5 | u64::from(h.s.fflags)),
        |h, _, _, v| {
            h.s.fflags = v as u8 & 31;
            h.s.frm = (v >> 5) as u8 & 7;
            dirty(h);
            true
        },
    ),
    Csr::new(
        0x100,
        "sstatus",
        supervisor,
        |h, _, _| Some(mstatus(h) & (SSTATUS | status::SD | status::UXL)),
        |h, _, _, v| {
            let mask = if h.has(X::F) { SSTATUS } else { SSTATUS & !status::FS };
            set_mstatus(h, v, mask);
            true
        },
    ),
    Csr::new(
        0x104,
        "sie",
        supervisor,
        |h, _, _| Some(h.s.mie & h.s.mideleg),
        |h, _, _, v| {
            let mask = h.s.mideleg & irq::S_ALL;
            h.s.mie = h.s.mie & !mask | v & mask;
            h.look_up = true;
            true
        },
    ),
    Csr::new(
        0x105,
        "stvec",
        supervisor,
        |h, _, _| Some(h.s.s.tvec),
        |h, _, _, v| {
            set_tvec(&mut h.s.s.tvec, v);
            true
        },
    ),
    Csr::new(
        0x106,
        "scounteren",
        supervisor,
        |h, _, _| Some(h.s.s.counteren.into()),
        |h, _, _, v| {
            h.s.s.counteren = v as u32;
            true
        },
    ),
    Csr::new(
        0x10a,
        "senvcfg",
        senvcfg,
        |h, _, _| Some(h.s.s.envcfg),
        |h, _, _, v| {
            h.s.s.envcfg =
                super::machine::legal_envcfg(h, v) & (envcfg::FIOM | envcfg::CBIE | envcfg::CBCFE | envcfg::CBZE);
            true
        },
    ),
    Csr::new(
        0x10c,
        "sstateen",
        sstateen,
        |h, _, n| {
            let i = usize::from(n & 3);
            Some(h.s.s.stateen[i])
        },
        // What U-mode could be kept from is nothing that this hart has.
        ignore,
    )
    .several(4, 1, 0),
    Csr::new(
        0x140,
        "sscratch",
        supervisor,
        |h, _, _| Some(h.s.s.scratch),
        |h, _, _, v| {
            h.s.s.scratch = v;
            true
        },
    ),
    Csr::new(
        0x141,
        "sepc",
        supervisor,
        |h, _, _| Some(h.s.s.epc & h.pc_mask()),
        |h, _, _, v| {
            h.s.s.epc = v & !1;
            true
        },
    ),
    Csr::new(
        0x142,
        "scause",
        supervisor,
        |h, _, _| Some(h.s.s.cause),
        |h, _, _, v| {
            h.s.s.cause = v;
            true
        },
    ),
    Csr::new(
        0x143,
        "stval",
        supervisor,
        |h, _, _| Some(h.s.s.tval),
        |h, _, _, v| {
            h.s.s.tval = v;
            true
        },
    ),
    Csr::new(
        0x144,
        "sip",
        supervisor,
        |h, _, _| Some(h.pending() & h.s.mideleg),
        |h, _, _, v| {
            let mask = h.s.mideleg & (irq::SSI | if h.has(X::SSCOFPMF) { irq::LCOFI } else { 0 });
            h.s.mip = h.s.mip & !mask | v & mask;
            h.look_up = true;
            true
        },
    ),
    Csr::new(
        0x14d,
        "stimecmp",
        stimecmp,
        |h, _, _| Some(h.s.stimecmp),
        |h, sys, _, v| {
            h.set_stimecmp(sys, v);
            true
        },
    ),
    Csr::new(
        0x180,
        "satp",
        satp,
        |h, _, _| Some(h.s.satp),
        |h, _, _, v| {
            // An unsupported mode makes the write one without effect.
            if v >> 60 == 0 || h.cfg.mmu.levels(v >> 60).is_some() {
                h.s.satp = if v >> 60 == 0 { 0 } else { v };
                h.rights_changed();
                h.look_up = true;
            }
            true
        },
    ),
];
