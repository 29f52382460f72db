//! Environment calls, returns from traps, waiting, and the fences of translation (Privileged ISA; Svinval).

use southbridge_core::System;

use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart, cause};
use crate::insn::{Entry, Format, Handler, Kind, Op};
use crate::state::{Sleep, mode, status};

const fn whole(name: &'static str, bits: u32, ext: X, run: Handler) -> Entry {
    Entry::new(name, u32::MAX, bits, Format::None, ext, run).kind(Kind::Ends)
}

const fn fence2(name: &'static str, f7: u32, ext: X, run: Handler) -> Entry {
    Entry::new(name, 0xfe00_7fff, 0x73 | f7 << 25, Format::Fence2, ext, run).kind(Kind::Ends)
}

pub(crate) static TABLE: &[Entry] = &[
    whole("ecall", 0x0000_0073, X::I, ecall),
    Entry::new("ebreak", u32::MAX, 0x0010_0073, Format::Here, X::I, ebreak).kind(Kind::Ends),
    whole("sret", 0x1020_0073, X::S, sret),
    whole("mret", 0x3020_0073, X::I, mret),
    whole("wfi", 0x1050_0073, X::I, wfi),
    whole("sfence.w.inval", 0x1800_0073, X::SVINVAL, sfence_part),
    whole("sfence.inval.ir", 0x1810_0073, X::SVINVAL, sfence_part),
    fence2("sfence.vma", 0x09, X::S, sfence_vma),
    fence2("sinval.vma", 0x0b, X::S.union(X::SVINVAL), sfence_vma),
];

fn ecall(h: &mut Hart, _: &mut System, _: &Op) -> Flow {
    h.ecall()
}

/// Surrounded by two instructions that do nothing, it is a call to the semihosting host (RISC-V Semihosting, "Binary Interface").
fn ebreak(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let at = h.relative(op);
    if h.semihosting && h.is_semihosting_call(sys, at) {
        return Flow::SEMIHOSTING;
    }
    h.raise(cause::BREAKPOINT, at)
}

fn sret(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    h.publish(sys, op.idx);
    h.sret(sys)
}

fn mret(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    h.publish(sys, op.idx);
    h.mret(sys)
}

fn wfi(h: &mut Hart, _: &mut System, _: &Op) -> Flow {
    let waits_long = h.s.mstatus & status::TW != 0;
    // U-mode waits only where S-mode does not exist.
    if h.s.prv < mode::M && (waits_long || (h.s.prv == mode::U && h.has(X::S))) {
        return h.illegal();
    }
    h.s.sleep = Sleep::Wfi;
    h.look_up = true;
    Flow::SYNC
}

fn sfence_vma(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    let trapped = h.s.prv == mode::S && h.s.mstatus & status::TVM != 0;
    if h.s.prv == mode::U || trapped {
        return h.illegal();
    }
    let addr = (op.rs1 != 0).then(|| h.x(op.rs1));
    let asid = (op.rs2 != 0).then(|| h.x(op.rs2) as u16);
    h.tlb.flush_some(addr, asid);
    Flow::SYNC
}

/// Invalidations are done at once; what orders them has nothing left to do.
fn sfence_part(h: &mut Hart, _: &mut System, _: &Op) -> Flow {
    if h.s.prv == mode::U {
        return h.illegal();
    }
    Flow::SYNC
}
