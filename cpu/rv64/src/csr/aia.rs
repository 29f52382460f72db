//! Registers of the advanced interrupt architecture (RISC-V AIA, chapters "CSRs" and "Incoming MSI Controller"). Priorities of major
//! interrupts are fixed: their registers read as zero.

use super::*;
use crate::imsic::{File, select};
use crate::state::irq;
use crate::trap::first;

const M_FILE: usize = 0;
const S_FILE: usize = 1;

fn machine(h: &Hart, _: u16, _: u8) -> bool {
    h.has(X::SMAIA)
}

fn s_aia(h: &Hart, _: u16, prv: u8) -> bool {
    h.has(X::SSAIA) && state_enabled(h, prv, stateen::AIA)
}

fn s_indirect(h: &Hart, _: u16, prv: u8) -> bool {
    h.has(X::SSAIA) && state_enabled(h, prv, stateen::CSRIND)
}

fn s_imsic(h: &Hart, _: u16, prv: u8) -> bool {
    h.has(X::SSAIA) && !h.s.imsic.is_empty() && state_enabled(h, prv, stateen::IMSIC)
}

fn m_imsic(h: &Hart, _: u16, _: u8) -> bool {
    h.has(X::SMAIA) && !h.s.imsic.is_empty()
}

/// `*topi`: the major interrupt of the highest priority, and the priority 1 that stands for the default order.
fn topi(set: u64) -> u64 {
    first(set).map_or(0, |n| u64::from(n) << 16 | 1)
}

fn selected(h: &Hart, file: usize) -> u64 {
    if file == M_FILE { h.s.m.iselect } else { h.s.s.iselect }
}

fn read_indirect(h: &Hart, file: usize) -> Option<u64> {
    match selected(h, file) {
        // Priorities; RV64 has those with even numbers.
        n @ 0x30..=0x3f => (n & 1 == 0).then_some(0),
        n @ select::EIDELIVERY..=select::LAST => {
            if file == S_FILE && !state_enabled(h, h.s.prv, stateen::IMSIC) {
                return None;
            }
            h.s.imsic.get(file)?.read(n)
        }
        _ => None,
    }
}

fn write_indirect(h: &mut Hart, file: usize, v: u64) -> bool {
    h.look_up = true;
    match selected(h, file) {
        n @ 0x30..=0x3f => n & 1 == 0,
        n @ select::EIDELIVERY..=select::LAST => {
            let open = file == M_FILE || state_enabled(h, h.s.prv, stateen::IMSIC);
            open && h.s.imsic.get_mut(file).is_some_and(|f| f.write(n, v))
        }
        _ => false,
    }
}

fn claim(h: &mut Hart, file: usize) -> bool {
    h.look_up = true;
    if let Some(f) = h.s.imsic.get_mut(file) {
        f.claim();
    }
    true
}

fn topei(h: &Hart, file: usize) -> Option<u64> {
    Some(h.s.imsic.get(file).map_or(0, File::topei))
}

/// `mvip` as far as no interrupt is virtual: another sight of what software writes into `mip`.
const MVIP: u64 = irq::SSI | irq::STI | irq::SEI;

pub(super) static TABLE: &[Csr] = &[
    Csr::new(
        0x150,
        "siselect",
        s_indirect,
        |h, _, _| Some(h.s.s.iselect),
        |h, _, _, v| {
            h.s.s.iselect = v & 0xfff;
            true
        },
    ),
    Csr::new(
        0x151,
        "sireg",
        s_indirect,
        |h, _, _| read_indirect(h, S_FILE),
        |h, _, _, v| write_indirect(h, S_FILE, v),
    ),
    Csr::new(
        0x15c,
        "stopei",
        s_imsic,
        |h, _, _| topei(h, S_FILE),
        |h, _, _, _| claim(h, S_FILE),
    ),
    Csr::new(
        0xdb0,
        "stopi",
        s_aia,
        |h, _, _| Some(topi(h.pending() & h.s.mie & h.s.mideleg)),
        ignore,
    ),
    Csr::new(0x308, "mvien", machine, zero, ignore),
    Csr::new(
        0x309,
        "mvip",
        machine,
        |h, _, _| Some(h.s.mip & MVIP),
        |h, _, _, v| {
            h.set_mip(h.s.mip & !MVIP | v & MVIP);
            true
        },
    ),
    Csr::new(
        0x350,
        "miselect",
        machine,
        |h, _, _| Some(h.s.m.iselect),
        |h, _, _, v| {
            h.s.m.iselect = v & 0xfff;
            true
        },
    ),
    Csr::new(
        0x351,
        "mireg",
        machine,
        |h, _, _| read_indirect(h, M_FILE),
        |h, _, _, v| write_indirect(h, M_FILE, v),
    ),
    Csr::new(
        0x35c,
        "mtopei",
        m_imsic,
        |h, _, _| topei(h, M_FILE),
        |h, _, _, _| claim(h, M_FILE),
    ),
    Csr::new(
        0xfb0,
        "mtopi",
        machine,
        |h, _, _| Some(topi(h.pending() & h.s.mie & !h.s.mideleg)),
        ignore,
    ),
];
