//! Multiplication and division (ARM ARM A4.4.3, A4.4.5).

use super::Op;
use crate::bus::Bus;
use crate::core::{Core, Fault, Flow};
use crate::meaning;
use crate::scs::scb::ccr;

pub(super) fn mul<B: Bus, const S: bool>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let r = core.r(op.n).wrapping_mul(core.r(op.m));
    core.w(op.d, r);
    if S {
        core.s.nz = r.into();
    }
    Flow::NEXT
}

pub(super) fn mla<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.w(
        op.d,
        core.r(op.n)
            .wrapping_mul(core.r(op.m))
            .wrapping_add(core.r(op.imm as u8)),
    );
    Flow::NEXT
}

pub(super) fn mls<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.w(
        op.d,
        core.r(op.imm as u8)
            .wrapping_sub(core.r(op.n).wrapping_mul(core.r(op.m))),
    );
    Flow::NEXT
}

/// SMULL, UMULL, SMLAL, UMLAL.
pub(super) fn long<B: Bus, const SIGNED: bool, const ADD: bool>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let high = op.imm as u8;
    let mut r = meaning::product(SIGNED, core.r(op.n), core.r(op.m));
    if ADD {
        r = meaning::add_long(r, (core.r(op.d), core.r(high)));
    }
    core.w(op.d, r.0);
    core.w(high, r.1);
    Flow::NEXT
}

/// The divisor, or what division by zero comes to: a fault, or a quotient of zero.
#[inline(always)]
fn divide<B: Bus>(core: &mut Core<B>, op: &Op<B>, f: impl Fn(u32, u32) -> u32) -> Flow {
    let (n, m) = (core.r(op.n), core.r(op.m));
    if m == 0 && core.s.scb.ccr & ccr::DIV_0_TRP != 0 {
        return core.raise(Fault::DivideByZero);
    }
    core.w(op.d, if m == 0 { 0 } else { f(n, m) });
    Flow::NEXT
}

pub(super) fn sdiv<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    divide(core, op, |n, m| meaning::quotient(true, n, m))
}

pub(super) fn udiv<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    divide(core, op, |n, m| meaning::quotient(false, n, m))
}
