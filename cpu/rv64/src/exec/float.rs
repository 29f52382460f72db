//! F, D and Zfh (Unprivileged ISA, chapters "F", "D" and "Zfh").

use southbridge_core::System;

use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Format, Op};

pub(crate) static TABLE: &[Entry] = &[
    Entry::op3("flw", 0x07, 2, Format::FLoad, X::F, flw),
    Entry::op3("fld", 0x07, 3, Format::FLoad, X::D, fld),
    Entry::op3("fsw", 0x27, 2, Format::FStore, X::F, fsw),
    Entry::op3("fsd", 0x27, 3, Format::FStore, X::D, fsd),
    Entry::fp("fmv.x.w", 0x70, 0, Some(0), Format::FToX, X::F, fmv_x_w),
];

/// A narrow value in a register of 64 bits: all bits above it are ones.
const BOX_32: u64 = 0xffff_ffff << 32;

fn flw(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if h.fs_off() {
        return h.illegal();
    }
    let addr = h.x(op.rs1).wrapping_add(op.imm as i64 as u64);
    match h.load::<u32>(sys, addr, op.idx) {
        Ok(v) => {
            h.set_f(op.rd, BOX_32 | u64::from(v));
            Flow::NEXT
        }
        Err(flow) => flow,
    }
}

fn fld(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if h.fs_off() {
        return h.illegal();
    }
    let addr = h.x(op.rs1).wrapping_add(op.imm as i64 as u64);
    match h.load::<u64>(sys, addr, op.idx) {
        Ok(v) => {
            h.set_f(op.rd, v);
            Flow::NEXT
        }
        Err(flow) => flow,
    }
}

fn fsw(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if h.fs_off() {
        return h.illegal();
    }
    let addr = h.x(op.rs1).wrapping_add(op.imm as i64 as u64);
    h.store::<u32>(sys, addr, h.f(op.rs2) as u32, op.idx)
}

fn fsd(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if h.fs_off() {
        return h.illegal();
    }
    let addr = h.x(op.rs1).wrapping_add(op.imm as i64 as u64);
    h.store::<u64>(sys, addr, h.f(op.rs2), op.idx)
}

fn fmv_x_w(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    if h.fs_off() {
        return h.illegal();
    }
    h.set_x(op.rd, h.f(op.rs1) as i32 as i64 as u64);
    Flow::NEXT
}
