//! Multiplication and division (ARM ARM A4.4.3, A4.4.5).

use super::Op;
use crate::bus::Bus;
use crate::core::{Core, Fault, Flow};
use crate::scs::scb::ccr;

pub(super) fn mul<B: Bus, const S: bool>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let r = core.r(op.n).wrapping_mul(core.r(op.m));
    core.w(op.d, r);
    if S {
        core.s.nz = r as i32 as i64;
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
    let (n, m, high) = (core.r(op.n), core.r(op.m), op.imm as u8);
    let mut r = if SIGNED {
        i64::from(n as i32).wrapping_mul(i64::from(m as i32)) as u64
    } else {
        u64::from(n).wrapping_mul(u64::from(m))
    };
    if ADD {
        r = r.wrapping_add(u64::from(core.r(high)) << 32 | u64::from(core.r(op.d)));
    }
    core.w(op.d, r as u32);
    core.w(high, (r >> 32) as u32);
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
    divide(core, op, |n, m| (n as i32).wrapping_div(m as i32) as u32)
}

pub(super) fn udiv<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    divide(core, op, |n, m| n / m.max(1))
}
