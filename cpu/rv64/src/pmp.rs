//! Physical memory protection (Privileged ISA, "Physical Memory Protection").

use crate::state::{State, mode};
use crate::tlb::Access;

pub(crate) const R: u8 = 1;
pub(crate) const W: u8 = 2;
pub(crate) const X: u8 = 4;
pub(crate) const LOCK: u8 = 0x80;
const ADDRESS: u8 = 3 << 3;
const TOR: u8 = 1 << 3;
const NA4: u8 = 2 << 3;

/// What of a page may be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    No,
    /// These bytes, but not all of the page: every access is asked about.
    Here,
    /// All of the page.
    Page,
}

/// First and last byte of entry `i`.
fn range(s: &State, i: usize) -> Option<(u64, u64)> {
    let (cfg, addr) = (*s.pmpcfg.get(i)?, *s.pmpaddr.get(i)?);
    match cfg & ADDRESS {
        0 => None,
        TOR => {
            let first = i.checked_sub(1).and_then(|b| s.pmpaddr.get(b)).map_or(0, |a| a << 2);
            let last = (addr << 2).checked_sub(1)?;
            (first <= last).then_some((first, last))
        }
        NA4 => Some((addr << 2, (addr << 2) + 3)),
        _ => {
            let ones = addr.trailing_ones().min(60);
            let first = (addr & !((1 << ones) - 1)) << 2;
            Some((first, first.saturating_add((8u64 << ones) - 1)))
        }
    }
}

/// Asks about `n` bytes at `addr`. The first entry that has any of them decides, and must have them all.
pub(crate) fn check(s: &State, entries: u8, addr: u64, n: u64, access: Access, prv: u8) -> Verdict {
    let entries = usize::from(entries).min(s.pmpcfg.len());
    if entries == 0 {
        return Verdict::Page;
    }
    let last = addr.saturating_add(n.max(1) - 1);
    let (page, page_last) = (addr & !0xfff, addr | 0xfff);
    let need = match access {
        Access::Read => R,
        Access::Write => W,
        Access::Fetch => X,
    };
    let mut whole = true;
    for i in 0..entries {
        let Some((from, to)) = range(s, i) else { continue };
        if to < page || from > page_last {
            continue;
        }
        whole &= from <= page && to >= page_last;
        if to < addr || from > last {
            continue;
        }
        let cfg = s.pmpcfg[i];
        let allowed = cfg & need == need || (prv == mode::M && cfg & LOCK == 0);
        if from > addr || to < last || !allowed {
            return Verdict::No;
        }
        return if whole { Verdict::Page } else { Verdict::Here };
    }
    match prv == mode::M {
        true if whole => Verdict::Page,
        true => Verdict::Here,
        false => Verdict::No,
    }
}

impl State {
    /// Writes an address register; locked ones stay, and so does the bottom of a locked range.
    pub(crate) fn set_pmpaddr(&mut self, i: usize, v: u64) {
        let locked = |c: Option<&u8>| c.is_some_and(|c| c & LOCK != 0);
        let next = self.pmpcfg.get(i + 1);
        let is_bottom = next.is_some_and(|c| c & ADDRESS == TOR) && locked(next);
        if !locked(self.pmpcfg.get(i))
            && !is_bottom
            && let Some(a) = self.pmpaddr.get_mut(i)
        {
            *a = v & ((1 << 54) - 1);
        }
    }

    /// Writes the configuration of entry `i`; locked ones stay, and W without R is reserved.
    pub(crate) fn set_pmpcfg(&mut self, i: usize, v: u8) {
        if let Some(c) = self.pmpcfg.get_mut(i)
            && *c & LOCK == 0
            && v & (R | W) != W
        {
            *c = v & (LOCK | ADDRESS | R | W | X);
        }
    }
}
