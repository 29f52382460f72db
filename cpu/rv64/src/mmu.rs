//! Translation: page tables of Sv39, Sv48 and Sv57 (Privileged ISA, "Supervisor-Level ISA").

use southbridge_core::{LogItems, System};

use crate::ext::Extensions as X;
use crate::hart::{Hart, Trap, cause};
use crate::pmp::{self, Verdict};
use crate::state::{envcfg, mode, status};
use crate::tlb::Access;

const V: u64 = 1;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const EXEC: u64 = 1 << 3;
const U: u64 = 1 << 4;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;
const PPN: u64 = ((1 << 44) - 1) << 10;
const RESERVED: u64 = 0x7f << 54;
const PBMT: u64 = 3 << 61;
const NAPOT: u64 = 1 << 63;

/// What an address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) paddr: u64,
    /// log2 of its size in the page table; 12 where nothing is translated.
    pub(crate) shift: u32,
    /// Whether the translation holds for the whole of its 4 KiB.
    pub(crate) whole: bool,
}

enum Refused {
    /// The page table says no.
    Page,
    /// Physical memory says no.
    Access,
}

impl Access {
    fn trap(self, refused: &Refused, tval: u64) -> Trap {
        let cause = match (self, refused) {
            (Self::Read, Refused::Page) => cause::LOAD_PAGE,
            (Self::Write, Refused::Page) => cause::STORE_PAGE,
            (Self::Fetch, Refused::Page) => cause::FETCH_PAGE,
            (Self::Read, Refused::Access) => cause::LOAD_ACCESS,
            (Self::Write, Refused::Access) => cause::STORE_ACCESS,
            (Self::Fetch, Refused::Access) => cause::FETCH_ACCESS,
        };
        Trap { cause, tval }
    }

    /// The trap for memory that is not there, or not for this.
    pub(crate) fn denied(self, tval: u64) -> Trap {
        self.trap(&Refused::Access, tval)
    }
}

impl Hart {
    /// The `satp` that applies to a mode: 0 where nothing is translated.
    fn satp_of(&self, prv: u8) -> u64 {
        if prv == mode::M || self.s.satp >> 60 == 0 {
            0
        } else {
            self.s.satp
        }
    }

    /// Rights, privilege or address space changed: finds the contexts of the translations anew.
    pub(crate) fn rights_changed(&mut self) {
        let st = self.s.mstatus;
        let (sum, mxr) = (st & status::SUM != 0, st & status::MXR != 0);
        let (fetch, data) = (self.s.prv, self.data_mode());
        // SUM and MXR are about data: code goes on where it is when they change.
        self.fetch_context = self.tlb.context(self.satp_of(fetch), fetch, false, false);
        self.data_context = self.tlb.context(self.satp_of(data), data, sum, mxr);
        // Making room for the second address space may have dropped the number of the first.
        self.fetch_context = self.tlb.context(self.satp_of(fetch), fetch, false, false);
    }

    /// Translates an access of `n` bytes that stay on one page, with all its effects on the page table.
    pub(crate) fn translate(&mut self, sys: &mut System, addr: u64, n: u64, access: Access) -> Result<Page, Trap> {
        let prv = if access == Access::Fetch {
            self.s.prv
        } else {
            self.data_mode()
        };
        let found = self.translate_as(sys, addr, n, access, prv);
        if sys.log.on(LogItems::MMU) {
            self.tell_translation(sys, addr, access, prv, found.as_ref().ok());
        }
        found.map_err(|refused| access.trap(&refused, addr))
    }

    fn translate_as(&mut self, sys: &mut System, addr: u64, n: u64, access: Access, prv: u8) -> Result<Page, Refused> {
        let satp = self.satp_of(prv);
        let (paddr, shift) = match satp {
            0 => (addr, 12),
            _ => self.walk(sys, addr, access, prv, satp)?,
        };
        let verdict = pmp::check(&self.s, self.cfg.pmp, paddr, n, access, prv);
        let whole = match verdict {
            Verdict::No => return Err(Refused::Access),
            Verdict::Here => false,
            Verdict::Page => true,
        };
        Ok(Page { paddr, shift, whole })
    }

    fn walk(&mut self, sys: &mut System, addr: u64, access: Access, prv: u8, satp: u64) -> Result<(u64, u32), Refused> {
        let levels = self.cfg.mmu.levels(satp >> 60).ok_or(Refused::Page)?;
        let unused = 64 - (12 + 9 * levels);
        if ((addr << unused) as i64 >> unused) as u64 != addr {
            return Err(Refused::Page);
        }
        let mut table = (satp & ((1 << 44) - 1)) << 12;
        for level in (0..levels).rev() {
            let shift = 12 + 9 * level;
            let at = table + (addr >> shift & 511) * 8;
            let pte = self.read_pte(sys, at)?;
            if pte & V == 0 || pte & (R | W) == W || pte & RESERVED != 0 {
                return Err(Refused::Page);
            }
            if pte & (R | W | EXEC) == 0 {
                // A pointer to the next level has neither rights nor attributes.
                if pte & (U | A | D | PBMT | NAPOT) != 0 {
                    return Err(Refused::Page);
                }
                table = (pte & PPN) >> 10 << 12;
                continue;
            }
            self.permit(pte, access, prv)?;
            let (base, shift) = self.leaf(pte, level)?;
            self.mark_used(sys, at, pte, access)?;
            let inside = (1u64 << shift) - 1;
            return Ok((base & !inside | addr & inside, shift));
        }
        Err(Refused::Page)
    }

    /// Where a leaf's page starts, and log2 of its size.
    fn leaf(&self, pte: u64, level: u32) -> Result<(u64, u32), Refused> {
        let pbmt_on = self.has(X::SVPBMT) && self.s.m.envcfg & envcfg::PBMTE != 0;
        if pte & PBMT != 0 && (!pbmt_on || pte & PBMT == PBMT) {
            return Err(Refused::Page);
        }
        let base = (pte & PPN) >> 10 << 12;
        let shift = 12 + 9 * level;
        if pte & NAPOT != 0 {
            // The one size that is defined is 64 KiB.
            let is_64k = level == 0 && pte >> 10 & 0xf == 8;
            return if self.has(X::SVNAPOT) && is_64k {
                Ok((base & !0xffff, 16))
            } else {
                Err(Refused::Page)
            };
        }
        if base & ((1 << shift) - 1) != 0 {
            return Err(Refused::Page);
        }
        Ok((base, shift))
    }

    fn permit(&self, pte: u64, access: Access, prv: u8) -> Result<(), Refused> {
        let st = self.s.mstatus;
        let user = pte & U != 0;
        let mode_ok = match prv {
            mode::U => user,
            _ => !user || (access != Access::Fetch && st & status::SUM != 0),
        };
        let kind_ok = match access {
            Access::Read => pte & R != 0 || (st & status::MXR != 0 && pte & EXEC != 0),
            Access::Write => pte & W != 0,
            Access::Fetch => pte & EXEC != 0,
        };
        if mode_ok && kind_ok { Ok(()) } else { Err(Refused::Page) }
    }

    /// A and D: set by us (Svadu), or a page fault where they are not (Svade).
    fn mark_used(&mut self, sys: &mut System, at: u64, pte: u64, access: Access) -> Result<(), Refused> {
        let need = if access == Access::Write { A | D } else { A };
        if pte & need == need {
            return Ok(());
        }
        let updates = match self.has(X::SVADU) {
            true => self.s.m.envcfg & envcfg::ADUE != 0,
            false => !self.has(X::SVADE),
        };
        if !updates {
            return Err(Refused::Page);
        }
        if pmp::check(&self.s, self.cfg.pmp, at, 8, Access::Write, mode::S) == Verdict::No {
            return Err(Refused::Access);
        }
        match self.write_physical(sys, at, 8, pte | need) {
            true => Ok(()),
            false => Err(Refused::Access),
        }
    }

    fn read_pte(&mut self, sys: &mut System, at: u64) -> Result<u64, Refused> {
        if pmp::check(&self.s, self.cfg.pmp, at, 8, Access::Read, mode::S) == Verdict::No {
            return Err(Refused::Access);
        }
        let (_, w) = self.tlb.window(sys, at).ok_or(Refused::Access)?;
        w.read_u64(at.wrapping_sub(w.start)).ok_or(Refused::Access)
    }

    /// The physical address behind a virtual one as the hart would read it now, without any effect: for a debugger.
    pub(crate) fn look_up_address(&self, sys: &mut System, addr: u64) -> Option<u64> {
        let satp = self.satp_of(self.data_mode());
        if satp == 0 {
            return Some(addr);
        }
        let levels = self.cfg.mmu.levels(satp >> 60)?;
        let mut table = (satp & ((1 << 44) - 1)) << 12;
        for level in (0..levels).rev() {
            let shift = 12 + 9 * level;
            let at = table + (addr >> shift & 511) * 8;
            let window = sys.ram_window(at)?;
            let pte = window.read_u64(at.wrapping_sub(window.start))?;
            if pte & V == 0 {
                return None;
            }
            if pte & (R | W | EXEC) != 0 {
                let (base, shift) = self.leaf(pte, level).ok()?;
                let inside = (1u64 << shift) - 1;
                return Some(base & !inside | addr & inside);
            }
            table = (pte & PPN) >> 10 << 12;
        }
        None
    }

    #[cold]
    fn tell_translation(&self, sys: &mut System, addr: u64, access: Access, prv: u8, page: Option<&Page>) {
        let cpu = self.cfg.cpu.0;
        let how = format!("{access:?} of {addr:#x} in mode {prv}");
        match page {
            Some(p) => sys.log.line(format_args!("CPU {cpu}: {how}: physical {:#x}", p.paddr)),
            None => sys.log.line(format_args!("CPU {cpu}: {how}: refused")),
        }
    }
}
