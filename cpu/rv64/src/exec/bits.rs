//! Zba, Zbb, Zbc and Zbs (Unprivileged ISA, chapter "B" Extension).

use southbridge_core::System;
use southbridge_cpu_jit::Word;

use super::{binary, with_imm};
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Op};

pub(crate) static TABLE: &[Entry] = &[
    Entry::r("add.uw", 0x3b, 0, 0x04, X::ZBA, add_uw),
    Entry::r("sh1add", 0x33, 2, 0x10, X::ZBA, sh1add),
    Entry::r("sh2add", 0x33, 4, 0x10, X::ZBA, sh2add),
    Entry::r("sh3add", 0x33, 6, 0x10, X::ZBA, sh3add),
    Entry::r("sh1add.uw", 0x3b, 2, 0x10, X::ZBA, sh1add_uw),
    Entry::r("sh2add.uw", 0x3b, 4, 0x10, X::ZBA, sh2add_uw),
    Entry::r("sh3add.uw", 0x3b, 6, 0x10, X::ZBA, sh3add_uw),
    Entry::shift("slli.uw", 0x1b, 1, 0x02, true, X::ZBA, slli_uw),
    Entry::r("andn", 0x33, 7, 0x20, X::ZBB, andn),
    Entry::r("orn", 0x33, 6, 0x20, X::ZBB, orn),
    Entry::r("xnor", 0x33, 4, 0x20, X::ZBB, xnor),
    Entry::r2("clz", 0x13, 1, 0x30, 0, X::ZBB, clz),
    Entry::r2("ctz", 0x13, 1, 0x30, 1, X::ZBB, ctz),
    Entry::r2("cpop", 0x13, 1, 0x30, 2, X::ZBB, cpop),
    Entry::r2("sext.b", 0x13, 1, 0x30, 4, X::ZBB, sext_b),
    Entry::r2("sext.h", 0x13, 1, 0x30, 5, X::ZBB, sext_h),
    Entry::r2("zext.h", 0x3b, 4, 0x04, 0, X::ZBB, zext_h),
    Entry::r2("clzw", 0x1b, 1, 0x30, 0, X::ZBB, clzw),
    Entry::r2("ctzw", 0x1b, 1, 0x30, 1, X::ZBB, ctzw),
    Entry::r2("cpopw", 0x1b, 1, 0x30, 2, X::ZBB, cpopw),
    Entry::r("min", 0x33, 4, 0x05, X::ZBB, min),
    Entry::r("minu", 0x33, 5, 0x05, X::ZBB, minu),
    Entry::r("max", 0x33, 6, 0x05, X::ZBB, max),
    Entry::r("maxu", 0x33, 7, 0x05, X::ZBB, maxu),
    Entry::r("rol", 0x33, 1, 0x30, X::ZBB, rol),
    Entry::r("ror", 0x33, 5, 0x30, X::ZBB, ror),
    Entry::shift("rori", 0x13, 5, 0x18, true, X::ZBB, rori),
    Entry::r("rolw", 0x3b, 1, 0x30, X::ZBB, rolw),
    Entry::r("rorw", 0x3b, 5, 0x30, X::ZBB, rorw),
    Entry::shift("roriw", 0x1b, 5, 0x30, false, X::ZBB, roriw),
    Entry::r2("orc.b", 0x13, 5, 0x14, 7, X::ZBB, orc_b),
    Entry::r2("rev8", 0x13, 5, 0x35, 24, X::ZBB, rev8),
    Entry::r("clmul", 0x33, 1, 0x05, X::ZBC, clmul),
    Entry::r("clmulr", 0x33, 2, 0x05, X::ZBC, clmulr),
    Entry::r("clmulh", 0x33, 3, 0x05, X::ZBC, clmulh),
    Entry::r("bclr", 0x33, 1, 0x24, X::ZBS, bclr),
    Entry::r("bext", 0x33, 5, 0x24, X::ZBS, bext),
    Entry::r("binv", 0x33, 1, 0x34, X::ZBS, binv),
    Entry::r("bset", 0x33, 1, 0x14, X::ZBS, bset),
    Entry::shift("bclri", 0x13, 1, 0x12, true, X::ZBS, bclri),
    Entry::shift("bexti", 0x13, 5, 0x12, true, X::ZBS, bexti),
    Entry::shift("binvi", 0x13, 1, 0x1a, true, X::ZBS, binvi),
    Entry::shift("bseti", 0x13, 1, 0x0a, true, X::ZBS, bseti),
];

/// The bit that an index names, its upper bits ignored.
#[inline(always)]
fn bit<W: Word>(index: W) -> W {
    index.constant(1).shl(index)
}

/// `a << n` plus `b`.
#[inline(always)]
fn shifted_add<W: Word>(a: W, n: u64, b: W) -> W {
    a.shl(a.constant(n)).wrapping_add(b)
}

/// The low 32 bits rotated right by `n` modulo 32.
#[inline(always)]
fn rotate_word<W: Word>(a: W, n: W) -> W {
    let (a, n) = (a.low(32), n.low(5));
    (a.shr(n) | a.shl(n.constant(32).wrapping_sub(n))).signed32()
}

binary! { REGISTER:
    add_uw(a, b) = a.low(32).wrapping_add(b);
    sh1add(a, b) = shifted_add(a, 1, b);
    sh2add(a, b) = shifted_add(a, 2, b);
    sh3add(a, b) = shifted_add(a, 3, b);
    sh1add_uw(a, b) = shifted_add(a.low(32), 1, b);
    sh2add_uw(a, b) = shifted_add(a.low(32), 2, b);
    sh3add_uw(a, b) = shifted_add(a.low(32), 3, b);
    andn(a, b) = a & !b;
    orn(a, b) = a | !b;
    xnor(a, b) = !(a ^ b);
    min(a, b) = a.less(b).pick(a, b);
    minu(a, b) = a.below(b).pick(a, b);
    max(a, b) = a.less(b).pick(b, a);
    maxu(a, b) = a.below(b).pick(b, a);
    rol(a, b) = a.rotl(b);
    ror(a, b) = a.rotr(b);
    rolw(a, b) = rotate_word(a, b.constant(32).wrapping_sub(b));
    rorw(a, b) = rotate_word(a, b);
    bclr(a, b) = a & !bit(b);
    bext(a, b) = a.shr(b).low(1);
    binv(a, b) = a ^ bit(b);
    bset(a, b) = a | bit(b);
}

with_imm! { IMMEDIATE:
    slli_uw(a, n) = a.low(32).shl(n);
    rori(a, n) = a.rotr(n);
    roriw(a, n) = rotate_word(a, n);
    bclri(a, n) = a & !bit(n);
    bexti(a, n) = a.shr(n).low(1);
    binvi(a, n) = a ^ bit(n);
    bseti(a, n) = a | bit(n);
    clz(a, _none) = a.clz();
    ctz(a, _none) = a.ctz();
    cpop(a, _none) = a.ones();
    clzw(a, none) = a.low(32).clz().wrapping_sub(none.constant(32));
    ctzw(a, none) = (a | none.constant(1 << 32)).ctz();
    cpopw(a, _none) = a.low(32).ones();
    sext_b(a, _none) = a.signed8();
    sext_h(a, _none) = a.signed16();
    zext_h(a, _none) = a.low(16);
    rev8(a, _none) = a.rev_bytes();
}

macro_rules! alone {
    ($($name:ident($a:ident, $b:ident) = $value:expr;)+) => { $(
        fn $name(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
            let ($a, $b) = (h.x(op.rs1), h.x(op.rs2));
            h.set_x(op.rd, $value);
            Flow::NEXT
        }
    )+ };
}
// Too long to be worth a second engine's while.
alone! {
    clmul(a, b) = carryless(a, b) as u64;
    clmulr(a, b) = (carryless(a, b) >> 63) as u64;
    clmulh(a, b) = (carryless(a, b) >> 64) as u64;
    orc_b(a, _none) = fill_bytes(a);
}

/// Each byte that is not zero as all ones.
fn fill_bytes(a: u64) -> u64 {
    u64::from_le_bytes(a.to_le_bytes().map(|byte| if byte == 0 { 0 } else { 0xff }))
}

/// The product of two polynomials over GF(2): 127 bits.
fn carryless(a: u64, mut b: u64) -> u128 {
    let mut product = 0;
    while b != 0 {
        product ^= u128::from(a) << b.trailing_zeros();
        b &= b - 1;
    }
    product
}
