//! Traps: exceptions, interrupts and the returns from them (Privileged ISA, "Machine-Level ISA").

use southbridge_core::System;

use crate::hart::{Flow, Hart, Trap, cause};
use crate::observe::Event;
use crate::state::{Level, irq, mode, status};

/// Interrupts from the highest to the lowest priority.
const ORDER: [u64; 7] = [irq::MEI, irq::MSI, irq::MTI, irq::SEI, irq::SSI, irq::STI, irq::LCOFI];

/// The first of a set by priority.
pub(crate) fn first(set: u64) -> Option<u8> {
    let bit = ORDER.iter().find(|i| set & **i != 0)?;
    Some(bit.trailing_zeros() as u8)
}

impl Hart {
    /// The interrupt to take now, and whether S-mode takes it.
    pub(crate) fn takeable(&self) -> Option<(u8, bool)> {
        let ready = self.pending() & self.s.mie;
        if ready == 0 {
            return None;
        }
        let st = self.s.mstatus;
        let for_m = ready & !self.s.mideleg;
        if for_m != 0 && (self.s.prv < mode::M || st & status::MIE != 0) {
            return first(for_m).map(|n| (n, false));
        }
        let for_s = ready & self.s.mideleg;
        let s_on = self.s.prv < mode::S || (self.s.prv == mode::S && st & status::SIE != 0);
        if for_s != 0 && s_on {
            return first(for_s).map(|n| (n, true));
        }
        None
    }

    /// Takes an interrupt; the PC is that of the next instruction.
    pub(crate) fn interrupt(&mut self, sys: &mut System, n: u8, to_s: bool) {
        let from = self.s.pc;
        self.enter(to_s, 1 << 63 | u64::from(n), 0);
        self.tell(
            sys,
            Event::Trap {
                from,
                cause: 1 << 63 | u64::from(n),
                tval: 0,
            },
        );
    }

    /// Takes an exception; the PC is that of the instruction.
    pub(crate) fn exception(&mut self, sys: &mut System, trap: Trap) {
        let delegated = self.s.medeleg >> (trap.cause & 63) & 1 != 0;
        let from = self.s.pc;
        self.enter(self.s.prv <= mode::S && delegated, trap.cause.into(), trap.tval);
        self.tell(
            sys,
            Event::Trap {
                from,
                cause: trap.cause.into(),
                tval: trap.tval,
            },
        );
    }

    fn enter(&mut self, to_s: bool, cause: u64, tval: u64) {
        let (pc, prv) = (self.s.pc, self.s.prv);
        let st = &mut self.s.mstatus;
        let level: &mut Level;
        if to_s {
            let pie = if *st & status::SIE != 0 { status::SPIE } else { 0 };
            let pp = if prv == mode::U { 0 } else { status::SPP };
            *st = *st & !(status::SIE | status::SPIE | status::SPP) | pie | pp;
            self.s.prv = mode::S;
            level = &mut self.s.s;
        } else {
            let pie = if *st & status::MIE != 0 { status::MPIE } else { 0 };
            let pp = u64::from(prv) << status::MPP_SHIFT;
            *st = *st & !(status::MIE | status::MPIE | status::MPP) | pie | pp;
            self.s.prv = mode::M;
            level = &mut self.s.m;
        }
        level.epc = pc;
        level.cause = cause;
        level.tval = tval;
        let base = level.tvec & !3;
        let vectored = level.tvec & 1 != 0 && cause >> 63 != 0;
        self.s.pc = if vectored {
            base.wrapping_add((cause & 0x3f) * 4)
        } else {
            base
        };
        self.rights_changed();
    }

    /// MRET.
    pub(crate) fn mret(&mut self, sys: &mut System) -> Flow {
        if self.s.prv != mode::M {
            return self.illegal();
        }
        let st = self.s.mstatus;
        let to = (st >> status::MPP_SHIFT & 3) as u8;
        let ie = if st & status::MPIE != 0 { status::MIE } else { 0 };
        let mut st = st & !(status::MIE | status::MPP) | ie | status::MPIE;
        if to != mode::M {
            st &= !status::MPRV;
        }
        self.s.mstatus = st;
        self.return_to(sys, to, self.s.m.epc)
    }

    /// SRET.
    pub(crate) fn sret(&mut self, sys: &mut System) -> Flow {
        let st = self.s.mstatus;
        if self.s.prv < mode::S || (self.s.prv == mode::S && st & status::TSR != 0) {
            return self.illegal();
        }
        let to = if st & status::SPP != 0 { mode::S } else { mode::U };
        let ie = if st & status::SPIE != 0 { status::SIE } else { 0 };
        self.s.mstatus = st & !(status::SIE | status::SPP | status::MPRV) | ie | status::SPIE;
        self.return_to(sys, to, self.s.s.epc)
    }

    fn return_to(&mut self, sys: &mut System, prv: u8, pc: u64) -> Flow {
        self.s.prv = prv;
        self.s.pc = pc & self.pc_mask();
        self.rights_changed();
        self.look_up = true;
        self.tell(sys, Event::Return);
        Flow::SYNC_BRANCH
    }

    /// The exception of an ECALL.
    pub(crate) fn ecall(&mut self) -> Flow {
        if self.cfg.firmware && self.s.prv == mode::S {
            return Flow::FIRMWARE;
        }
        let cause = cause::ECALL_U + self.s.prv;
        self.raise(cause, 0)
    }
}
