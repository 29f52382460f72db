//! Sdtrig: breakpoints and watchpoints that the guest sets (RISC-V Debug, chapter "Sdtrig"). Two address triggers without chaining,
//! whose action is a breakpoint exception.

use serde::{Deserialize, Serialize};

use crate::hart::{Hart, Trap, cause};
use crate::state::mode;
use crate::tlb::Access;

/// How many a hart has.
pub(crate) const COUNT: usize = 2;

const TYPE_MCONTROL: u64 = 2;
const TYPE_MCONTROL6: u64 = 6;
const TYPE_NONE: u64 = 15;
const LOAD: u64 = 1;
const STORE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 2;
const U: u64 = 1 << 3;
const S: u64 = 1 << 4;
const M: u64 = 1 << 6;
const SIZE: u64 = 7 << 16;
/// Types that `tinfo` lists.
pub(crate) const INFO: u64 = 1 << 24 | 1 << TYPE_MCONTROL | 1 << TYPE_MCONTROL6 | 1 << TYPE_NONE;

/// One trigger.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trigger {
    pub(crate) tdata1: u64,
    pub(crate) tdata2: u64,
}

impl Default for Trigger {
    fn default() -> Self {
        Self {
            tdata1: TYPE_MCONTROL << 60,
            tdata2: 0,
        }
    }
}

impl Trigger {
    /// Writes `tdata1`: what is not supported reads back as off.
    pub(crate) fn set(&mut self, v: u64) {
        let kind = v >> 60;
        self.tdata1 = match kind {
            // Only equality (match 0), and only the exception (action 0).
            TYPE_MCONTROL6 => kind << 60 | v & (LOAD | STORE | EXECUTE | U | S | M | SIZE),
            TYPE_MCONTROL => kind << 60 | v & (LOAD | STORE | EXECUTE | U | S | M),
            TYPE_NONE => kind << 60,
            _ => self.tdata1,
        };
    }

    fn is_for(&self, what: u64, prv: u8) -> bool {
        let by_mode = match prv {
            mode::U => U,
            mode::S => S,
            _ => M,
        };
        let kind = self.tdata1 >> 60;
        matches!(kind, TYPE_MCONTROL | TYPE_MCONTROL6) && self.tdata1 & what != 0 && self.tdata1 & by_mode != 0
    }

    /// Whether it may ever fire.
    fn is_armed(&self) -> bool {
        let on = self.tdata1 & (LOAD | STORE | EXECUTE) != 0 && self.tdata1 & (U | S | M) != 0;
        on && matches!(self.tdata1 >> 60, TYPE_MCONTROL | TYPE_MCONTROL6)
    }
}

impl Hart {
    /// Addresses at which instructions may trap.
    pub(crate) fn execute_triggers(&self) -> impl Iterator<Item = u64> {
        let armed = self
            .s
            .triggers
            .iter()
            .filter(|t| t.is_armed() && t.tdata1 & EXECUTE != 0);
        armed.map(|t| t.tdata2)
    }

    /// Whether the instruction at `pc` traps before it is executed.
    pub(crate) fn triggers_at(&self, pc: u64) -> bool {
        let mut all = self.s.triggers.iter();
        all.any(|t| t.tdata2 == pc && t.is_for(EXECUTE, self.s.prv))
    }

    /// Whether an access traps before it is done.
    pub(crate) fn trigger(&self, addr: u64, n: u64, access: Access) -> Result<(), Trap> {
        let what = if access == Access::Write { STORE } else { LOAD };
        let hit = |t: &&Trigger| {
            t.is_for(what, self.s.prv) && {
                let size = t.tdata1 >> 16 & 7;
                let size_fits =
                    t.tdata1 >> 60 == TYPE_MCONTROL || size == 0 || 1u64.checked_shl(size as u32 - 1) == Some(n);
                size_fits && t.tdata2.wrapping_sub(addr) < n
            }
        };
        match self.s.triggers.iter().find(hit) {
            Some(_) => Err(Trap {
                cause: cause::BREAKPOINT,
                tval: addr,
            }),
            None => Ok(()),
        }
    }

    /// Whether the debugger or the guest watches data of a page, which then is never kept.
    pub(crate) fn watches_page(&self, addr: u64) -> bool {
        let watched = |t: &Trigger| t.is_armed() && t.tdata1 & (LOAD | STORE) != 0 && t.tdata2 >> 12 == addr >> 12;
        self.watch.has_page(addr) || self.s.triggers.iter().any(watched)
    }
}
