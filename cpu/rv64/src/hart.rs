//! The running hart: state, and what the engine keeps beside it while it runs (translations, a trap on its way, time).

use southbridge_core::System;

use crate::config::Config;
use crate::debug::Watch;
use crate::ext::Extensions;
use crate::insn::Op;
use crate::observe::Observe;
use crate::state::{State, irq, mode, status};
use crate::tlb::Tlb;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow(pub(crate) u8);

impl Flow {
    /// Done; on to the next operation of the block.
    pub(crate) const NEXT: Flow = Flow(0);
    /// Done, and the PC says where to go on: only from the last operation of a block.
    pub(crate) const BRANCH: Flow = Flow(1);
    /// Done, but something may have changed that the next instruction must see.
    pub(crate) const SYNC: Flow = Flow(2);
    /// Both: done, the PC is set, and something may have changed.
    pub(crate) const SYNC_BRANCH: Flow = Flow(3);
    /// Not done: `Hart::trap` says why.
    pub(crate) const TRAP: Flow = Flow(4);
    /// Not done by the hart: an environment call that the firmware of the host's side answers. The PC stays.
    pub(crate) const FIRMWARE: Flow = Flow(5);
    /// A semihosting call. The PC stays.
    pub(crate) const SEMIHOSTING: Flow = Flow(6);
    const IN_FIRST: u8 = 0x80;

    /// The same of the first of two instructions that are one operation.
    pub(crate) fn in_first(self) -> Flow {
        Flow(self.0 | Self::IN_FIRST)
    }

    /// How the instruction ended that did not just go on, and which one it was, for an operation with number `idx`.
    pub(crate) fn whose(self, idx: u8) -> (Flow, u8) {
        match self.0 & Self::IN_FIRST {
            0 => (self, idx),
            _ => (Flow(self.0 & !Self::IN_FIRST), idx.wrapping_sub(1)),
        }
    }
}

/// Exception causes (Privileged ISA, table of `mcause` values).
pub(crate) mod cause {
    pub(crate) const FETCH_MISALIGNED: u8 = 0;
    pub(crate) const FETCH_ACCESS: u8 = 1;
    pub(crate) const ILLEGAL: u8 = 2;
    pub(crate) const BREAKPOINT: u8 = 3;
    pub(crate) const LOAD_MISALIGNED: u8 = 4;
    pub(crate) const LOAD_ACCESS: u8 = 5;
    pub(crate) const STORE_MISALIGNED: u8 = 6;
    pub(crate) const STORE_ACCESS: u8 = 7;
    pub(crate) const ECALL_U: u8 = 8;
    pub(crate) const FETCH_PAGE: u8 = 12;
    pub(crate) const LOAD_PAGE: u8 = 13;
    pub(crate) const STORE_PAGE: u8 = 15;
}

/// A synchronous exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trap {
    pub(crate) cause: u8,
    pub(crate) tval: u64,
}

/// State and companions.
pub(crate) struct Hart {
    pub(crate) s: State,
    pub(crate) cfg: Config,
    /// As much of `s.retired` (and of the running block) as the clock knows of.
    pub(crate) published: u64,
    /// The exception of a handler that returned [`Flow::TRAP`]. An illegal instruction needs no `tval`: the engine knows it.
    pub(crate) trap: Trap,
    pub(crate) tlb: Tlb,
    /// Who accesses data and fetches code: a part of every translation's tag. See [`Hart::rights_changed`].
    pub(crate) data_context: u64,
    pub(crate) fetch_context: u64,
    /// Something changed that the next instruction must see.
    pub(crate) look_up: bool,
    pub(crate) watch: Watch,
    pub(crate) observe: Observe,
    /// Ticks and time as of the end of the last run.
    pub(crate) seen: (u64, u64),
    /// Whether `slli zero`/`ebreak`/`srai zero` is a semihosting call.
    pub(crate) semihosting: bool,
    /// For compiled code: instructions that it has executed here, how such a one ended, and the count at which it must return.
    pub(crate) calls: crate::lift::Calls,
    pub(crate) exit: u64,
    pub(crate) limit: u64,
    /// The PC at which the running region began.
    pub(crate) base: u64,
    /// Of compiled code that is checked: the address that is about to be stored to, and what stood there.
    pub(crate) note: u64,
    pub(crate) journal: Vec<crate::check::Stored>,
}

impl Hart {
    /// An integer register.
    #[inline(always)]
    pub(crate) fn x(&self, n: u8) -> u64 {
        self.s.x.get(n)
    }

    /// Sets an integer register; `n` is from an [`Op`], where `x0` is renamed.
    #[inline(always)]
    pub(crate) fn set_x(&mut self, n: u8, v: u64) {
        self.s.x.put(n, v);
    }

    /// A floating-point register's 64 bits.
    #[inline(always)]
    pub(crate) fn f(&self, n: u8) -> u64 {
        self.s.f[usize::from(n & 31)]
    }

    /// Sets all 64 bits of a floating-point register; the state becomes dirty.
    #[inline(always)]
    pub(crate) fn set_f(&mut self, n: u8, v: u64) {
        self.s.f[usize::from(n & 31)] = v;
        self.s.mstatus |= status::FS;
    }

    /// Whether floating-point instructions are illegal now (`mstatus.FS` is off).
    #[inline(always)]
    pub(crate) fn fs_off(&self) -> bool {
        self.s.mstatus & status::FS == 0
    }

    /// Accrues floating-point exceptions (NV 16, DZ 8, OF 4, UF 2, NX 1).
    #[inline(always)]
    pub(crate) fn accrue(&mut self, flags: u8) {
        if flags != 0 {
            self.s.fflags |= flags & 31;
            self.s.mstatus |= status::FS;
        }
    }

    /// Whether the hart has an extension.
    #[inline(always)]
    pub(crate) fn has(&self, ext: Extensions) -> bool {
        self.cfg.extensions.contains(ext)
    }

    /// Ends an instruction as an illegal one.
    #[cold]
    pub(crate) fn illegal(&mut self) -> Flow {
        self.raise(cause::ILLEGAL, 0)
    }

    /// Ends an instruction with an exception.
    #[cold]
    pub(crate) fn raise(&mut self, cause: u8, tval: u64) -> Flow {
        self.trap = Trap { cause, tval };
        Flow::TRAP
    }

    /// Tells the clock what was executed up to instruction `idx` of the running block.
    #[inline]
    pub(crate) fn publish(&mut self, sys: &mut System, idx: u8) {
        let now = self.s.retired.wrapping_add(idx.into());
        let news = now.wrapping_sub(self.published);
        if news != 0 {
            sys.clock.consume(news);
            self.published = now;
        }
    }

    /// Jumps: the operation must be the last of its block.
    #[inline(always)]
    pub(crate) fn jump(&mut self, target: u64) -> Flow {
        self.s.pc = target;
        Flow::BRANCH
    }

    /// The privilege with which data is accessed (`mstatus.MPRV`).
    pub(crate) fn data_mode(&self) -> u8 {
        match self.s.prv == mode::M && self.s.mstatus & status::MPRV != 0 {
            true => (self.s.mstatus >> status::MPP_SHIFT & 3) as u8,
            false => self.s.prv,
        }
    }

    /// All pending interrupts now (`mip`).
    pub(crate) fn pending(&self) -> u64 {
        let mut p = self.s.mip | self.s.lines;
        if let [m, s] = &self.s.imsic[..] {
            // With an interrupt file the external line is what the file delivers (AIA 3.8).
            p = p & !(irq::MEI | irq::SEI) | self.s.mip & irq::SEI;
            p |= if m.signals(self.s.lines & irq::MEI != 0) {
                irq::MEI
            } else {
                0
            };
            p |= if s.signals(self.s.lines & irq::SEI != 0) {
                irq::SEI
            } else {
                0
            };
        }
        p
    }

    /// The start of the running block plus what the operation's immediate says.
    #[inline(always)]
    pub(crate) fn relative(&self, op: &Op) -> u64 {
        self.s.pc.wrapping_add(op.imm as i64 as u64)
    }
}
