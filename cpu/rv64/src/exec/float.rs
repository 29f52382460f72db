//! F, D, Zfh and Zfhmin (Unprivileged ISA, chapters "F", "D", "Zfh" and "Zfhmin").
//!
//! The arithmetic is the soft-float crate's; here stand registers, boxes, modes and flags. A value narrower than a register is
//! boxed: the bits above it are ones, and an operand without a box counts as the canonical NaN. Loads, stores and moves
//! take the bits as they are.

use std::cmp::Ordering;

use southbridge_core::System;
use southbridge_cpu_softfloat as sf;
use southbridge_cpu_softfloat::{Compare, Double, Env, Flags, Half, Rounding, Single};

use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Format, Op};
use crate::tlb::Word;

/// The rows that every format has: its suffix, its number in the `fmt` field, what its arithmetic needs, what its moves need.
macro_rules! rows {
    ($suffix:literal, $fmt:literal, $of:ty, $arithmetic:expr, $moves:expr, $load:literal, $store:literal, $width:literal, $bits:ty, $x:literal) => {
        &[
            Entry::op3($load, 0x07, $width, Format::FLoad, $moves, load::<$of, $bits>),
            Entry::op3($store, 0x27, $width, Format::FStore, $moves, store::<$bits>),
            Entry::fp(
                concat!("fmv.x.", $x),
                0x70 | $fmt,
                0,
                Some(0),
                Format::FToX,
                $moves,
                to_x::<$of>,
            ),
            Entry::fp(
                concat!("fmv.", $x, ".x"),
                0x78 | $fmt,
                0,
                Some(0),
                Format::XToF,
                $moves,
                from_x::<$of>,
            ),
            Entry::fp_rm(
                concat!("fadd", $suffix),
                $fmt,
                None,
                Format::F3Rm,
                $arithmetic,
                add::<$of>,
            ),
            Entry::fp_rm(
                concat!("fsub", $suffix),
                0x04 | $fmt,
                None,
                Format::F3Rm,
                $arithmetic,
                sub::<$of>,
            ),
            Entry::fp_rm(
                concat!("fmul", $suffix),
                0x08 | $fmt,
                None,
                Format::F3Rm,
                $arithmetic,
                mul::<$of>,
            ),
            Entry::fp_rm(
                concat!("fdiv", $suffix),
                0x0c | $fmt,
                None,
                Format::F3Rm,
                $arithmetic,
                div::<$of>,
            ),
            Entry::fp_rm(
                concat!("fsqrt", $suffix),
                0x2c | $fmt,
                Some(0),
                Format::F2Rm,
                $arithmetic,
                sqrt::<$of>,
            ),
            fused(concat!("fmadd", $suffix), 0x43, $fmt, $arithmetic, madd::<$of>),
            fused(concat!("fmsub", $suffix), 0x47, $fmt, $arithmetic, msub::<$of>),
            fused(concat!("fnmsub", $suffix), 0x4b, $fmt, $arithmetic, nmsub::<$of>),
            fused(concat!("fnmadd", $suffix), 0x4f, $fmt, $arithmetic, nmadd::<$of>),
            Entry::fp(
                concat!("fsgnj", $suffix),
                0x10 | $fmt,
                0,
                None,
                Format::F3,
                $arithmetic,
                sgnj::<$of>,
            ),
            Entry::fp(
                concat!("fsgnjn", $suffix),
                0x10 | $fmt,
                1,
                None,
                Format::F3,
                $arithmetic,
                sgnjn::<$of>,
            ),
            Entry::fp(
                concat!("fsgnjx", $suffix),
                0x10 | $fmt,
                2,
                None,
                Format::F3,
                $arithmetic,
                sgnjx::<$of>,
            ),
            Entry::fp(
                concat!("fmin", $suffix),
                0x14 | $fmt,
                0,
                None,
                Format::F3,
                $arithmetic,
                min::<$of>,
            ),
            Entry::fp(
                concat!("fmax", $suffix),
                0x14 | $fmt,
                1,
                None,
                Format::F3,
                $arithmetic,
                max::<$of>,
            ),
            Entry::fp(
                concat!("fle", $suffix),
                0x50 | $fmt,
                0,
                None,
                Format::FCompare,
                $arithmetic,
                le::<$of>,
            ),
            Entry::fp(
                concat!("flt", $suffix),
                0x50 | $fmt,
                1,
                None,
                Format::FCompare,
                $arithmetic,
                lt::<$of>,
            ),
            Entry::fp(
                concat!("feq", $suffix),
                0x50 | $fmt,
                2,
                None,
                Format::FCompare,
                $arithmetic,
                eq::<$of>,
            ),
            Entry::fp(
                concat!("fclass", $suffix),
                0x70 | $fmt,
                1,
                Some(0),
                Format::FToX,
                $arithmetic,
                class::<$of>,
            ),
            Entry::fp_rm(
                concat!("fcvt.w", $suffix),
                0x60 | $fmt,
                Some(0),
                Format::FToXRm,
                $arithmetic,
                to_w::<$of>,
            ),
            Entry::fp_rm(
                concat!("fcvt.wu", $suffix),
                0x60 | $fmt,
                Some(1),
                Format::FToXRm,
                $arithmetic,
                to_wu::<$of>,
            ),
            Entry::fp_rm(
                concat!("fcvt.l", $suffix),
                0x60 | $fmt,
                Some(2),
                Format::FToXRm,
                $arithmetic,
                to_l::<$of>,
            ),
            Entry::fp_rm(
                concat!("fcvt.lu", $suffix),
                0x60 | $fmt,
                Some(3),
                Format::FToXRm,
                $arithmetic,
                to_lu::<$of>,
            ),
            Entry::fp_rm(
                concat!("fcvt", $suffix, ".w"),
                0x68 | $fmt,
                Some(0),
                Format::XToFRm,
                $arithmetic,
                of_w::<$of>,
            ),
            Entry::fp_rm(
                concat!("fcvt", $suffix, ".wu"),
                0x68 | $fmt,
                Some(1),
                Format::XToFRm,
                $arithmetic,
                of_wu::<$of>,
            ),
            Entry::fp_rm(
                concat!("fcvt", $suffix, ".l"),
                0x68 | $fmt,
                Some(2),
                Format::XToFRm,
                $arithmetic,
                of_l::<$of>,
            ),
            Entry::fp_rm(
                concat!("fcvt", $suffix, ".lu"),
                0x68 | $fmt,
                Some(3),
                Format::XToFRm,
                $arithmetic,
                of_lu::<$of>,
            ),
        ]
    };
}

pub(crate) static SINGLE: &[Entry] = rows!(".s", 0, Single, X::F, X::F, "flw", "fsw", 2, u32, "w");
pub(crate) static DOUBLE: &[Entry] = rows!(".d", 1, Double, X::D, X::D, "fld", "fsd", 3, u64, "d");
pub(crate) static HALF: &[Entry] = rows!(".h", 2, Half, X::ZFH, X::ZFHMIN, "flh", "fsh", 1, u16, "h");

/// Between the formats.
pub(crate) static BETWEEN: &[Entry] = &[
    Entry::fp_rm("fcvt.s.d", 0x20, Some(1), Format::F2Rm, X::D, convert::<Double, Single>),
    Entry::fp_rm("fcvt.d.s", 0x21, Some(0), Format::F2Rm, X::D, convert::<Single, Double>),
    Entry::fp_rm(
        "fcvt.s.h",
        0x20,
        Some(2),
        Format::F2Rm,
        X::ZFHMIN,
        convert::<Half, Single>,
    ),
    Entry::fp_rm(
        "fcvt.h.s",
        0x22,
        Some(0),
        Format::F2Rm,
        X::ZFHMIN,
        convert::<Single, Half>,
    ),
    Entry::fp_rm(
        "fcvt.d.h",
        0x21,
        Some(2),
        Format::F2Rm,
        X::ZFHMIN.union(X::D),
        convert::<Half, Double>,
    ),
    Entry::fp_rm(
        "fcvt.h.d",
        0x22,
        Some(1),
        Format::F2Rm,
        X::ZFHMIN.union(X::D),
        convert::<Double, Half>,
    ),
];

/// Fused multiply-add: major opcode and format.
const fn fused(name: &'static str, op: u32, fmt: u32, ext: X, run: crate::insn::Handler) -> Entry {
    Entry::new(name, 0x7f | 3 << 25, op | fmt << 25, Format::F4Rm, ext, run)
}

/// Bits above a value of the format in a register.
const fn above<F: sf::Format>() -> u64 {
    if F::WIDTH == 64 { 0 } else { !0 << F::WIDTH }
}

#[inline(always)]
fn operand<F: sf::Format>(h: &Hart, n: u8) -> u64 {
    let bits = h.f(n);
    if bits & above::<F>() == above::<F>() {
        bits & !above::<F>()
    } else {
        sf::canonical_nan::<F>()
    }
}

#[inline(always)]
fn result<F: sf::Format>(h: &mut Hart, n: u8, bits: u64) -> Flow {
    h.set_f(n, bits | above::<F>());
    Flow::NEXT
}

/// The mode that the instruction's `rm` field asks for and the flags so far; `None` if the instruction is illegal now.
///
/// Formats without such a field have 0 in its place.
#[inline(always)]
fn start(h: &Hart, op: &Op) -> Option<Env> {
    if h.fs_off() {
        return None;
    }
    let rm = op.imm as u8 & 7;
    let rounding = Rounding::from_frm(if rm == 7 { h.s.frm } else { rm })?;
    Some(Env {
        rounding,
        flags: Flags::from_bits(h.s.fflags),
    })
}

#[inline(always)]
fn finish(h: &mut Hart, env: Env) {
    if env.flags.bits() != h.s.fflags {
        h.accrue(env.flags.bits());
    }
}

/// From two registers to a third.
#[inline(always)]
fn two<F: sf::Format>(h: &mut Hart, op: &Op, f: impl FnOnce(u64, u64, &mut Env) -> u64) -> Flow {
    let Some(mut env) = start(h, op) else {
        return h.illegal();
    };
    let bits = f(operand::<F>(h, op.rs1), operand::<F>(h, op.rs2), &mut env);
    finish(h, env);
    result::<F>(h, op.rd, bits)
}

/// From one register of a format to one of another.
#[inline(always)]
fn one<From: sf::Format, To: sf::Format>(h: &mut Hart, op: &Op, f: impl FnOnce(u64, &mut Env) -> u64) -> Flow {
    let Some(mut env) = start(h, op) else {
        return h.illegal();
    };
    let bits = f(operand::<From>(h, op.rs1), &mut env);
    finish(h, env);
    result::<To>(h, op.rd, bits)
}

/// From two registers (of which the second may not matter) to an integer register.
#[inline(always)]
fn into_x<F: sf::Format>(h: &mut Hart, op: &Op, f: impl FnOnce(u64, u64, &mut Env) -> u64) -> Flow {
    let Some(mut env) = start(h, op) else {
        return h.illegal();
    };
    let value = f(operand::<F>(h, op.rs1), operand::<F>(h, op.rs2), &mut env);
    finish(h, env);
    h.set_x(op.rd, value);
    Flow::NEXT
}

/// From an integer register.
#[inline(always)]
fn out_of_x<F: sf::Format>(h: &mut Hart, op: &Op, f: impl FnOnce(u64, &mut Env) -> u64) -> Flow {
    let Some(mut env) = start(h, op) else {
        return h.illegal();
    };
    let bits = f(h.x(op.rs1), &mut env);
    finish(h, env);
    result::<F>(h, op.rd, bits)
}

/// `rs1 * rs2 + rs3`, with the product or the addend negated.
#[inline(always)]
fn three<F: sf::Format>(h: &mut Hart, op: &Op, negate_product: bool, negate_addend: bool) -> Flow {
    let Some(mut env) = start(h, op) else {
        return h.illegal();
    };
    let flip = |yes, bits| if yes { sf::negate::<F>(bits) } else { bits };
    let a = flip(negate_product, operand::<F>(h, op.rs1));
    let c = flip(negate_addend, operand::<F>(h, (op.imm >> 8) as u8));
    let bits = sf::mul_add::<F>(a, operand::<F>(h, op.rs2), c, &mut env);
    finish(h, env);
    result::<F>(h, op.rd, bits)
}

/// Handlers `name::<F>` by the way that their operands take.
macro_rules! handlers {
    ($($name:ident = $way:ident($($argument:expr),+);)+) => { $(
        fn $name<F: sf::Format>(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
            $way::<F>(h, op, $($argument),+)
        }
    )+ };
}

handlers! {
    add = two(sf::add::<F>);
    sub = two(sf::sub::<F>);
    mul = two(sf::mul::<F>);
    div = two(sf::div::<F>);
    min = two(sf::min::<F>);
    max = two(sf::max::<F>);
    madd = three(false, false);
    msub = three(false, true);
    nmsub = three(true, false);
    nmadd = three(true, true);
    sgnj = two(|a, b, _| a & !sign::<F>() | b & sign::<F>());
    sgnjn = two(|a, b, _| a & !sign::<F>() | !b & sign::<F>());
    sgnjx = two(|a, b, _| a ^ b & sign::<F>());
    eq = into_x(|a, b, env| (sf::compare::<F>(a, b, Compare::Quiet, env) == Some(Ordering::Equal)).into());
    lt = into_x(|a, b, env| (sf::compare::<F>(a, b, Compare::Signalling, env) == Some(Ordering::Less)).into());
    le = into_x(|a, b, env| sf::compare::<F>(a, b, Compare::Signalling, env).is_some_and(Ordering::is_le).into());
    class = into_x(|a, _, _| sf::classify::<F>(a).mask());
    to_w = into_x(|a, _, env| sf::to_i32::<F>(a, env) as u64);
    // The unsigned word is sign-extended too, as all words are.
    to_wu = into_x(|a, _, env| super::sext(sf::to_u32::<F>(a, env)));
    to_l = into_x(|a, _, env| sf::to_i64::<F>(a, env) as u64);
    to_lu = into_x(|a, _, env| sf::to_u64::<F>(a, env));
    of_w = out_of_x(|x, env| sf::from_i64::<F>((x as i32).into(), env));
    of_wu = out_of_x(|x, env| sf::from_u64::<F>((x as u32).into(), env));
    of_l = out_of_x(|x, env| sf::from_i64::<F>(x as i64, env));
    of_lu = out_of_x(|x, env| sf::from_u64::<F>(x, env));
    from_x = out_of_x(|x, _| x & !above::<F>());
}

fn sqrt<F: sf::Format>(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    one::<F, F>(h, op, sf::sqrt::<F>)
}

fn convert<From: sf::Format, To: sf::Format>(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    one::<From, To>(h, op, sf::convert::<From, To>)
}

const fn sign<F: sf::Format>() -> u64 {
    1 << (F::WIDTH - 1)
}

/// `fmv.x.*`: the bits as they are, boxed or not, sign-extended.
fn to_x<F: sf::Format>(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    if h.fs_off() {
        return h.illegal();
    }
    let unused = 64 - F::WIDTH;
    h.set_x(op.rd, ((h.f(op.rs1) << unused) as i64 >> unused) as u64);
    Flow::NEXT
}

/// Where a load or store goes to.
#[inline(always)]
fn address(h: &Hart, op: &Op) -> u64 {
    h.x(op.rs1).wrapping_add(op.imm as i64 as u64)
}

fn load<F: sf::Format, T: Word>(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if h.fs_off() {
        return h.illegal();
    }
    match h.load::<T>(sys, address(h, op), op.idx) {
        Ok(value) => {
            result::<F>(h, op.rd, value.widen());
            h.after_access(sys)
        }
        Err(flow) => flow,
    }
}

fn store<T: Word>(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if h.fs_off() {
        return h.illegal();
    }
    h.store::<T>(sys, address(h, op), T::cut(h.f(op.rs2)), op.idx)
}
