//! Data processing (ARM ARM A4.4): arithmetic, logic, shifts, bit fields, saturation, extension.

use super::{Alu, Handler, Op, Shift, Src, pick};
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::meaning::{self, Carried};

/// The second operand.
#[inline(always)]
fn operand<B: Bus, const SRC: u8>(core: &Core<B>, op: &Op<B>) -> u32 {
    if SRC == Src::Imm as u8 {
        return op.imm;
    }
    meaning::operand(SRC, core.r(op.m), op.imm, || core.s.c.into())
}

/// The carry out of its shifter (`None`: carry stays).
#[inline(always)]
fn shifted_out<B: Bus, const SRC: u8>(core: &Core<B>, op: &Op<B>) -> Option<u32> {
    if SRC == Src::Imm as u8 {
        return (op.m & 2 != 0).then_some(u32::from(op.m & 1));
    }
    meaning::shifted_out(SRC, core.r(op.m), op.imm)
}

/// Every two-operand operation: what varies is decided at compile time.
#[inline(always)]
fn alu<B: Bus, const OP: u8, const S: bool, const SRC: u8>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let (a, b, carry) = (core.r(op.n), operand::<B, SRC>(core, op), u32::from(core.s.c));
    let r = meaning::alu(OP, a, b, || carry);
    if S {
        core.s.nz = r.into();
        if let Some(Carried { c, v }) = meaning::carried(OP, a, b, r, || carry) {
            (core.s.c, core.s.v) = (c != 0, v.into());
        } else if let Some(c) = shifted_out::<B, SRC>(core, op) {
            core.s.c = c != 0;
        }
    }
    if !meaning::only_tests(OP) {
        core.w(op.d, r);
    }
    Flow::NEXT
}

pub(super) fn select_alu<B: Bus>(op: Alu, s: bool, src: Src) -> Handler<B> {
    fn by_src<B: Bus, const OP: u8, const S: bool>(src: Src) -> Handler<B> {
        pick!(
            src,
            alu,
            [OP, S],
            [Src::Imm, Src::Reg, Src::Lsl, Src::Lsr, Src::Asr, Src::Ror, Src::Rrx]
        )
    }
    macro_rules! by_op {
        ($s:literal, $($op:ident)+) => { match op { $(Alu::$op => by_src::<B, { Alu::$op as u8 }, $s>(src),)+ } };
    }
    if s {
        by_op!(true, And Bic Orr Orn Eor Add Adc Sbc Sub Rsb Mov Mvn Tst Teq Cmn Cmp)
    } else {
        by_op!(false, And Bic Orr Orn Eor Add Adc Sbc Sub Rsb Mov Mvn Tst Teq Cmn Cmp)
    }
}

fn shift<B: Bus, const S: bool, const TY: u8>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let (v, n) = (core.r(op.n), core.r(op.m));
    let r = meaning::shift(TY, v, n);
    if S {
        core.s.nz = r.into();
        core.s.c = meaning::shift_carry(TY, v, n, core.s.c.into()) != 0;
    }
    core.w(op.d, r);
    Flow::NEXT
}

pub(super) fn select_shift<B: Bus>(ty: Shift, s: bool) -> Handler<B> {
    if s {
        pick!(ty, shift, [true], [Shift::Lsl, Shift::Lsr, Shift::Asr, Shift::Ror])
    } else {
        pick!(ty, shift, [false], [Shift::Lsl, Shift::Lsr, Shift::Asr, Shift::Ror])
    }
}

pub(super) fn align_sp<B: Bus>(core: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    core.s.regs[13] &= !3;
    Flow::NEXT
}

pub(super) fn movt<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.w(op.d, meaning::movt(core.r(op.d), op.imm));
    Flow::NEXT
}

pub(super) fn bfi<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.w(op.d, meaning::bfi(core.r(op.d), core.r(op.n), op.imm));
    Flow::NEXT
}

pub(super) fn bfc<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.w(op.d, meaning::bfc(core.r(op.d), op.imm));
    Flow::NEXT
}

pub(super) fn ubfx<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.w(op.d, meaning::ubfx(core.r(op.n), op.imm));
    Flow::NEXT
}

pub(super) fn sbfx<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    core.w(op.d, meaning::sbfx(core.r(op.n), op.imm));
    Flow::NEXT
}

/// The shifted operand of SSAT and USAT.
#[inline(always)]
fn saturated<B: Bus>(core: &mut Core<B>, op: &Op<B>, low: i64, high: i64) {
    let (shift, v) = (op.imm >> 8 & 31, core.r(op.n) as i32);
    let v = if op.imm >> 16 & 1 != 0 { v >> shift } else { v << shift };
    let clamped = i64::from(v).clamp(low, high);
    core.s.q |= clamped != i64::from(v);
    core.w(op.d, clamped as u32);
}

pub(super) fn ssat<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let top = 1i64 << ((op.imm & 63).clamp(1, 32) - 1);
    saturated(core, op, -top, top - 1);
    Flow::NEXT
}

pub(super) fn usat<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    saturated(core, op, 0, (1i64 << (op.imm & 31)) - 1);
    Flow::NEXT
}

/// Operations on one register.
macro_rules! unary {
    ($($name:ident)+) => { $(
        pub(super) fn $name<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
            core.w(op.d, meaning::$name(core.r(op.m), op.imm));
            Flow::NEXT
        }
    )+ };
}
unary! { sxtb sxth uxtb uxth rev rev16 revsh rbit clz }
