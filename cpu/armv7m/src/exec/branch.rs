//! Branches and IT (ARM ARM A4.3). On entry to a block the PC already is the address behind it, so a branch that is not taken
//! has nothing to do and a link register is the PC.

use super::{Handler, Op};
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::state::holds;

/// BXWritePC and LoadWritePC: EXC_RETURN values return in handler mode, bit 0 goes to EPSR.T.
#[inline(always)]
pub(super) fn interwork<B: Bus>(core: &mut Core<B>, target: u32) -> Flow {
    core.s.pc = target & !1;
    if target & 1 != 0 && target < 0xf000_0000 {
        return Flow::BRANCH;
    }
    interwork_odd(core, target)
}

#[cold]
fn interwork_odd<B: Bus>(core: &mut Core<B>, target: u32) -> Flow {
    if core.s.ipsr != 0 && target >= 0xf000_0000 {
        core.s.pc = target;
        return Flow::EXCEPTION_RETURN;
    }
    core.s.t = target & 1 != 0;
    Flow::SYNC_BRANCH
}

/// The same with a target that compiled code has worked out.
pub(super) fn to_target<B: Bus>(core: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    interwork(core, core.target)
}

fn skip_unless<B: Bus, const CODE: u8>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    if holds(&core.s, CODE) {
        Flow::NEXT
    } else {
        Flow::skip(op.n)
    }
}

pub(super) fn b<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.s.pc = op.imm;
    Flow::BRANCH
}

pub(super) fn bcond<B: Bus, const CODE: u8>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    if holds(&core.s, CODE) {
        core.s.pc = op.imm;
    }
    Flow::BRANCH
}

/// Picks by condition; 14 and 15 are "always".
macro_rules! by_condition {
    ($code:expr, $f:ident, $always:expr) => {
        match $code {
            0 => $f::<B, 0>,
            1 => $f::<B, 1>,
            2 => $f::<B, 2>,
            3 => $f::<B, 3>,
            4 => $f::<B, 4>,
            5 => $f::<B, 5>,
            6 => $f::<B, 6>,
            7 => $f::<B, 7>,
            8 => $f::<B, 8>,
            9 => $f::<B, 9>,
            10 => $f::<B, 10>,
            11 => $f::<B, 11>,
            12 => $f::<B, 12>,
            13 => $f::<B, 13>,
            _ => $always,
        }
    };
}

pub(super) fn select_cond<B: Bus>(code: u8) -> Handler<B> {
    by_condition!(code, bcond, b::<B>)
}

pub(super) fn select_skip<B: Bus>(code: u8) -> Handler<B> {
    by_condition!(code, skip_unless, super::system::nop::<B>)
}

pub(super) fn bl<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.s.regs[14] = core.s.pc | 1;
    core.s.pc = op.imm;
    Flow::BRANCH
}

pub(super) fn bx<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let target = core.r(op.m);
    interwork(core, target)
}

/// BLX does not return from exceptions: such a target is an ordinary, unexecutable address.
pub(super) fn blx<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let target = core.r(op.m);
    core.s.regs[14] = core.s.pc | 1;
    core.s.pc = target & !1;
    if target & 1 == 0 {
        core.s.t = false;
        return Flow::SYNC_BRANCH;
    }
    Flow::BRANCH
}

pub(super) fn cbz<B: Bus, const NONZERO: bool>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    if (core.r(op.n) != 0) == NONZERO {
        core.s.pc = op.imm;
    }
    Flow::BRANCH
}

pub(super) fn mov_pc<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.s.pc = core.r(op.m) & !1;
    Flow::BRANCH
}

pub(super) fn add_pc<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.s.pc = core.r(op.m).wrapping_add(op.imm) & !1;
    Flow::BRANCH
}

pub(super) fn table<B: Bus, const HALF: bool>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let base = if op.n == 15 { op.imm } else { core.r(op.n) };
    let index = core.r(op.m);
    let (v, flow) = if HALF {
        core.load::<2>(bus, base.wrapping_add(index << 1), op.idx)
    } else {
        core.load::<1>(bus, base.wrapping_add(index), op.idx)
    };
    if flow == Flow::FAULT {
        return flow;
    }
    core.s.pc = op.imm.wrapping_add(v << 1);
    if flow == Flow::NEXT {
        Flow::BRANCH
    } else {
        Flow::SYNC_BRANCH
    }
}
