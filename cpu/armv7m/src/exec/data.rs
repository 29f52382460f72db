//! Data processing (ARM ARM A4.4): arithmetic, logic, shifts, bit fields, saturation, extension.

use super::{Alu, Handler, Op, Shift, Src, pick};
use crate::bus::Bus;
use crate::core::{Core, Flow};

/// The second operand and the carry out of its shifter (`None`: carry stays).
#[inline(always)]
fn operand<B: Bus, const SRC: u8>(core: &Core<B>, op: &Op<B>) -> (u32, Option<bool>) {
    if SRC == Src::Imm as u8 {
        return (op.imm, (op.m & 2 != 0).then_some(op.m & 1 != 0));
    }
    let v = core.r(op.m);
    let n = op.imm;
    if SRC == Src::Lsl as u8 {
        (v << (n & 31), Some(v >> (32u32.wrapping_sub(n) & 31) & 1 != 0))
    } else if SRC == Src::Lsr as u8 {
        // 1..=32: the last bit out is bit n - 1.
        let out = v >> (n.wrapping_sub(1) & 31);
        (out >> 1, Some(out & 1 != 0))
    } else if SRC == Src::Asr as u8 {
        let out = (v as i32) >> (n.wrapping_sub(1) & 31);
        ((out >> 1) as u32, Some(out & 1 != 0))
    } else if SRC == Src::Ror as u8 {
        let out = v.rotate_right(n);
        (out, Some(out >> 31 != 0))
    } else if SRC == Src::Rrx as u8 {
        (v >> 1 | u32::from(core.s.c) << 31, Some(v & 1 != 0))
    } else {
        (v, None)
    }
}

/// a + b + carry with carry out and overflow (AddWithCarry).
#[inline(always)]
fn add(a: u32, b: u32, carry: bool) -> (u32, bool, bool) {
    let (r, c1) = a.overflowing_add(b);
    let (r, c2) = r.overflowing_add(carry.into());
    (r, c1 | c2, ((a ^ r) & (b ^ r)) >> 31 != 0)
}

/// Every two-operand operation: what varies is decided at compile time.
#[inline(always)]
fn alu<B: Bus, const OP: u8, const S: bool, const SRC: u8>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let (b, shifter) = operand::<B, SRC>(core, op);
    let a = core.r(op.n);
    let is = |o: Alu| OP == o as u8;
    let logical = |v: u32| (v, None);
    let (r, flags) = if is(Alu::And) || is(Alu::Tst) {
        logical(a & b)
    } else if is(Alu::Bic) {
        logical(a & !b)
    } else if is(Alu::Orr) {
        logical(a | b)
    } else if is(Alu::Orn) {
        logical(a | !b)
    } else if is(Alu::Eor) || is(Alu::Teq) {
        logical(a ^ b)
    } else if is(Alu::Mov) {
        logical(b)
    } else if is(Alu::Mvn) {
        logical(!b)
    } else {
        let (r, c, v) = if is(Alu::Add) || is(Alu::Cmn) {
            let (r, c) = a.overflowing_add(b);
            (r, c, (a as i32).overflowing_add(b as i32).1)
        } else if is(Alu::Sub) || is(Alu::Cmp) {
            (a.wrapping_sub(b), a >= b, (a as i32).overflowing_sub(b as i32).1)
        } else if is(Alu::Rsb) {
            (b.wrapping_sub(a), b >= a, (b as i32).overflowing_sub(a as i32).1)
        } else if is(Alu::Adc) {
            add(a, b, core.s.c)
        } else {
            add(a, !b, core.s.c)
        };
        (r, Some((c, v)))
    };
    if S {
        core.s.nz = r as i32 as i64;
        match (flags, shifter) {
            (Some((c, v)), _) => (core.s.c, core.s.v) = (c, v),
            (None, Some(c)) => core.s.c = c,
            (None, None) => {}
        }
    }
    if !(is(Alu::Tst) || is(Alu::Teq) || is(Alu::Cmn) || is(Alu::Cmp)) {
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

/// Shift by register: the amount is its low byte, and 32 or more shifts everything out.
fn shift<B: Bus, const S: bool, const TY: u8>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let (v, n) = (core.r(op.n), core.r(op.m) & 0xff);
    let wide = u64::from(v);
    let (r, c) = if n == 0 {
        (v, core.s.c)
    } else if TY == Shift::Lsl as u8 {
        let out = wide << n.min(33);
        (out as u32, out >> 32 & 1 != 0)
    } else if TY == Shift::Lsr as u8 {
        let out = wide >> (n.min(33) - 1);
        ((out >> 1) as u32, out & 1 != 0)
    } else if TY == Shift::Asr as u8 {
        let out = i64::from(v as i32) >> (n.min(33) - 1);
        ((out >> 1) as u32, out & 1 != 0)
    } else {
        let out = v.rotate_right(n & 31);
        (out, out >> 31 != 0)
    };
    if S {
        core.s.nz = r as i32 as i64;
        core.s.c = c;
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
    core.w(op.d, core.r(op.d) & 0xffff | op.imm << 16);
    Flow::NEXT
}

/// Position, width and mask of a bit field.
#[inline(always)]
fn field<B: Bus>(op: &Op<B>) -> (u32, u32, u32) {
    let (lsb, width) = (op.imm & 31, (op.imm >> 8).clamp(1, 32));
    (lsb, width, u32::MAX >> (32 - width))
}

pub(super) fn bfi<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let (lsb, _, mask) = field(op);
    core.w(op.d, core.r(op.d) & !(mask << lsb) | (core.r(op.n) & mask) << lsb);
    Flow::NEXT
}

pub(super) fn bfc<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let (lsb, _, mask) = field(op);
    core.w(op.d, core.r(op.d) & !(mask << lsb));
    Flow::NEXT
}

pub(super) fn ubfx<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let (lsb, _, mask) = field(op);
    core.w(op.d, core.r(op.n) >> lsb & mask);
    Flow::NEXT
}

pub(super) fn sbfx<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let (lsb, width, _) = field(op);
    let up = core.r(op.n) << (32 - width).saturating_sub(lsb);
    core.w(op.d, ((up as i32) >> (32 - width)) as u32);
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
    ($($name:ident: |$v:ident, $op:ident| $e:expr;)+) => { $(
        pub(super) fn $name<B: Bus>(core: &mut Core<B>, _: &mut B, $op: &Op<B>) -> Flow {
            let $v = core.r($op.m);
            core.w($op.d, $e);
            Flow::NEXT
        }
    )+ };
}
unary! {
    sxtb: |v, op| v.rotate_right(op.imm) as i8 as u32;
    sxth: |v, op| v.rotate_right(op.imm) as i16 as u32;
    uxtb: |v, op| v.rotate_right(op.imm) & 0xff;
    uxth: |v, op| v.rotate_right(op.imm) & 0xffff;
    rev: |v, _op| v.swap_bytes();
    rev16: |v, _op| v.swap_bytes().rotate_right(16);
    revsh: |v, _op| (v as u16).swap_bytes() as i16 as u32;
    rbit: |v, _op| v.reverse_bits();
    clz: |v, _op| v.leading_zeros();
}
