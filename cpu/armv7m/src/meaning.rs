//! What instructions compute (ARM ARM A2.2, A4.4, A7), written once over [`Word`]: the interpreter runs it on integers, and the fast tier
//! makes IR of it. Parameters that a decoded instruction fixes are plain integers, so that both decide by them beforehand.
//!
//! Truth and carry are 0 or 1; of a word that stands for N or V only bit 31 counts.

use southbridge_cpu_jit::Word;

use crate::insn::{Alu, Shift, Src};

/// The negation of 0 or 1.
#[inline(always)]
fn not<W: Word>(truth: W) -> W {
    truth ^ truth.constant(1)
}

/// The operand of kind `src` made of register value `v` with immediate `n`. [`Src::Imm`] is not for here.
#[inline(always)]
pub(crate) fn operand<W: Word>(src: u8, v: W, n: u32, carry: impl FnOnce() -> W) -> W {
    let k = |k: u32| v.constant(k.into());
    if src == Src::Lsl as u8 {
        v.shl(k(n & 31))
    } else if src == Src::Lsr as u8 {
        // 1..=32
        if n & 32 != 0 { k(0) } else { v.shr(k(n & 31)) }
    } else if src == Src::Asr as u8 {
        v.sar(k(n.min(31)))
    } else if src == Src::Ror as u8 {
        v.rotr(k(n & 31))
    } else if src == Src::Rrx as u8 {
        v.shr(k(1)) | carry().shl(k(31))
    } else {
        v
    }
}

/// The carry out of its shifter, if it has one.
#[inline(always)]
pub(crate) fn shifted_out<W: Word>(src: u8, v: W, n: u32) -> Option<W> {
    // The number of the last bit out.
    let bit = if src == Src::Lsl as u8 {
        32u32.wrapping_sub(n)
    } else if src == Src::Rrx as u8 {
        0
    } else if src == Src::Reg as u8 {
        return None;
    } else {
        n.wrapping_sub(1)
    };
    Some(v.shr(v.constant((bit & 31).into())) & v.constant(1))
}

/// Carry and overflow of a sum or difference.
#[derive(Clone, Copy)]
pub(crate) struct Carried<W> {
    pub(crate) c: W,
    pub(crate) v: W,
}

/// Those of `a - b`, which is `r`.
#[inline(always)]
fn of_difference<W: Word>(a: W, b: W, r: W) -> Carried<W> {
    let c = not(a.below(b));
    let v = (a ^ b) & (a ^ r);
    Carried { c, v }
}

/// Those of `a + b`, which is `r`.
#[inline(always)]
fn of_sum<W: Word>(a: W, b: W, r: W) -> Carried<W> {
    let c = a.carries(b);
    let v = (a ^ r) & (b ^ r);
    Carried { c, v }
}

/// Whether an operation leaves no result but its flags.
pub(crate) const fn only_tests(op: u8) -> bool {
    op == Alu::Tst as u8 || op == Alu::Teq as u8 || op == Alu::Cmn as u8 || op == Alu::Cmp as u8
}

/// The two-operand operation `op`.
#[inline(always)]
pub(crate) fn alu<W: Word>(op: u8, a: W, b: W, carry: impl FnOnce() -> W) -> W {
    let is = |o: Alu| op == o as u8;
    if is(Alu::And) || is(Alu::Tst) {
        a & b
    } else if is(Alu::Bic) {
        a & !b
    } else if is(Alu::Orr) {
        a | b
    } else if is(Alu::Orn) {
        a | !b
    } else if is(Alu::Eor) || is(Alu::Teq) {
        a ^ b
    } else if is(Alu::Mov) {
        b
    } else if is(Alu::Mvn) {
        !b
    } else if is(Alu::Add) || is(Alu::Cmn) {
        a.wrapping_add(b)
    } else if is(Alu::Sub) || is(Alu::Cmp) {
        a.wrapping_sub(b)
    } else if is(Alu::Rsb) {
        b.wrapping_sub(a)
    } else if is(Alu::Adc) {
        a.wrapping_add(b).wrapping_add(carry())
    } else {
        a.wrapping_add(!b).wrapping_add(carry())
    }
}

/// Carry and overflow, of an operation that makes them, with result `r`.
#[inline(always)]
pub(crate) fn carried<W: Word>(op: u8, a: W, b: W, r: W, carry: impl FnOnce() -> W) -> Option<Carried<W>> {
    let is = |o: Alu| op == o as u8;
    Some(if is(Alu::Add) || is(Alu::Cmn) {
        of_sum(a, b, r)
    } else if is(Alu::Sub) || is(Alu::Cmp) {
        of_difference(a, b, r)
    } else if is(Alu::Rsb) {
        of_difference(b, a, r)
    } else if is(Alu::Adc) || is(Alu::Sbc) {
        // AddWithCarry.
        let b = if is(Alu::Sbc) { !b } else { b };
        let c = a.carries(b) | a.wrapping_add(b).carries(carry());
        let v = (a ^ r) & (b ^ r);
        Carried { c, v }
    } else {
        return None;
    })
}

/// Shift by register: the amount is the low byte of `amount`, and 32 or more shifts everything out.
#[inline(always)]
pub(crate) fn shift<W: Word>(ty: u8, v: W, amount: W) -> W {
    let k = |k: u64| v.constant(k);
    let n = amount & k(0xff);
    if ty == Shift::Lsl as u8 {
        n.below(k(32)).pick(v.shl(n), k(0))
    } else if ty == Shift::Lsr as u8 {
        n.below(k(32)).pick(v.shr(n), k(0))
    } else if ty == Shift::Asr as u8 {
        v.sar(n.below(k(32)).pick(n, k(31)))
    } else {
        v.rotr(n)
    }
}

/// The carry out of that: the last bit out, or what it was if nothing is shifted.
#[inline(always)]
pub(crate) fn shift_carry<W: Word>(ty: u8, v: W, amount: W, carry: W) -> W {
    let k = |k: u64| v.constant(k);
    let n = amount & k(0xff);
    let last = n.wrapping_sub(k(1));
    let most = n.below(k(33));
    let c = if ty == Shift::Lsl as u8 {
        most.pick(v.shl(last).shr(k(31)), k(0))
    } else if ty == Shift::Lsr as u8 {
        most.pick(v.shr(last) & k(1), k(0))
    } else if ty == Shift::Asr as u8 {
        most.pick(v.sar(last), v.sar(k(31))) & k(1)
    } else {
        v.shr(last) & k(1)
    };
    n.is(k(0)).pick(carry, c)
}

/// Whether condition `code` (ARM ARM A7.3) holds: N is bit 31 of `n`, Z means that `z` is 0, V is bit 31 of `v`.
#[inline(always)]
pub(crate) fn condition<W: Word>(code: u8, n: W, z: W, c: W, v: W) -> W {
    let zero = z.constant(0);
    match code {
        0 => z.is(zero),
        1 => z.is_not(zero),
        2 => c,
        3 => not(c),
        4 => n.less(zero),
        5 => not(n.less(zero)),
        6 => v.less(zero),
        7 => not(v.less(zero)),
        8 => c & z.is_not(zero),
        9 => not(c & z.is_not(zero)),
        10 => not((n ^ v).less(zero)),
        11 => (n ^ v).less(zero),
        12 => z.is_not(zero) & not((n ^ v).less(zero)),
        13 => z.is(zero) | (n ^ v).less(zero),
        _ => z.constant(1),
    }
}

/// The flags as compiled code keeps them: mostly nobody asks for them before they are set again, so that what they come from is kept,
/// and a number says what that is.
pub(crate) mod kind {
    /// C is `a`, V is bit 31 of `b`.
    pub(crate) const EXPLICIT: u32 = 0;
    /// C and V are those of `a - b`.
    pub(crate) const DIFFERENCE: u32 = 1;
    /// C and V are those of `a + b`.
    pub(crate) const SUM: u32 = 2;
    /// N and Z are of that, too.
    pub(crate) const WHOLE: u32 = 4;
}

/// See [`kind`].
#[derive(Clone, Copy)]
pub(crate) struct Flags<W> {
    pub(crate) kind: W,
    /// N and Z are those of this one, unless they come from `a` and `b`.
    pub(crate) nz: W,
    pub(crate) a: W,
    pub(crate) b: W,
}

impl<W: Word> Flags<W> {
    /// What is asked of them by a kind that is known only when it runs, or, if `known`, beforehand.
    fn by_kind(self, known: Option<u32>, difference: impl FnOnce() -> W, sum: impl FnOnce() -> W, else_: W) -> W {
        let is = |kind: u32| self.kind & self.kind.constant(kind.into());
        match known.map(|k| k & (kind::DIFFERENCE | kind::SUM)) {
            Some(kind::EXPLICIT) => else_,
            Some(kind::DIFFERENCE) => difference(),
            Some(_) => sum(),
            None => {
                let made = is(kind::DIFFERENCE).pick(difference(), sum());
                is(kind::DIFFERENCE | kind::SUM).pick(made, else_)
            }
        }
    }

    /// What both N and Z are those of, if it may be known whether that is [`kind::WHOLE`].
    pub(crate) fn nz(self, whole: Option<bool>, known: Option<u32>) -> W {
        let Self { kind, nz, a, b } = self;
        let (sum, difference) = (|| a.wrapping_add(b), || a.wrapping_sub(b));
        match whole {
            Some(false) => nz,
            Some(true) => self.by_kind(known, difference, sum, nz),
            None => {
                let r = self.by_kind(known, difference, sum, nz);
                (kind & kind.constant(kind::WHOLE.into())).pick(r, nz)
            }
        }
    }

    pub(crate) fn c(self, known: Option<u32>) -> W {
        let Self { a, b, .. } = self;
        self.by_kind(known, || not(a.below(b)), || a.carries(b), a)
    }

    pub(crate) fn v(self, known: Option<u32>) -> W {
        let Self { a, b, .. } = self;
        let difference = || of_difference(a, b, a.wrapping_sub(b)).v;
        let sum = || of_sum(a, b, a.wrapping_add(b)).v;
        self.by_kind(known, difference, sum, b)
    }
}

/// The same after `a - b` set all flags; `None` for those that are about N or V alone.
pub(crate) fn compared<W: Word>(code: u8, a: W, b: W) -> Option<W> {
    Some(match code {
        0 => a.is(b),
        1 => a.is_not(b),
        2 => not(a.below(b)),
        3 => a.below(b),
        8 => b.below(a),
        9 => not(b.below(a)),
        10 => not(a.less(b)),
        11 => a.less(b),
        12 => b.less(a),
        13 => not(b.less(a)),
        _ => return None,
    })
}

/// Position, width and mask of a bit field.
#[inline(always)]
fn field(imm: u32) -> (u32, u32, u32) {
    let (lsb, width) = (imm & 31, (imm >> 8).clamp(1, 32));
    (lsb, width, u32::MAX >> (32 - width))
}

/// `old` with `v` put into a field.
#[inline(always)]
pub(crate) fn bfi<W: Word>(old: W, v: W, imm: u32) -> W {
    let (lsb, _, mask) = field(imm);
    let k = |k: u32| v.constant(k.into());
    old & k(!(mask << lsb)) | (v & k(mask)).shl(k(lsb))
}

/// `old` without a field.
#[inline(always)]
pub(crate) fn bfc<W: Word>(old: W, imm: u32) -> W {
    let (lsb, _, mask) = field(imm);
    old & old.constant((!(mask << lsb)).into())
}

/// A field of `v`.
#[inline(always)]
pub(crate) fn ubfx<W: Word>(v: W, imm: u32) -> W {
    let (lsb, _, mask) = field(imm);
    v.shr(v.constant(lsb.into())) & v.constant(mask.into())
}

/// A field of `v` with its sign.
#[inline(always)]
pub(crate) fn sbfx<W: Word>(v: W, imm: u32) -> W {
    let (lsb, width, _) = field(imm);
    let k = |k: u32| v.constant(k.into());
    v.shl(k((32 - width).saturating_sub(lsb))).sar(k(32 - width))
}

/// The upper half of `old` replaced.
#[inline(always)]
pub(crate) fn movt<W: Word>(old: W, imm: u32) -> W {
    old & old.constant(0xffff) | old.constant(u64::from(imm & 0xffff) << 16)
}

/// Operations on one register `v`, some of them rotated right by `n` first.
macro_rules! unary {
    ($($name:ident($v:ident, $n:ident) = $e:expr;)+) => { $(
        #[inline(always)]
        pub(crate) fn $name<W: Word>($v: W, n: u32) -> W {
            let $n = $v.constant((n & 31).into());
            $e
        }
    )+ };
}
unary! {
    sxtb(v, n) = v.rotr(n).signed8();
    sxth(v, n) = v.rotr(n).signed16();
    uxtb(v, n) = v.rotr(n).low(8);
    uxth(v, n) = v.rotr(n).low(16);
    rev(v, _n) = v.rev_bytes();
    rev16(v, _n) = v.rev_bytes().rotr(v.constant(16));
    revsh(v, _n) = v.rev_bytes().sar(v.constant(16));
    rbit(v, _n) = v.rev_bits();
    clz(v, _n) = v.clz();
}

/// Low and high word of a product.
#[inline(always)]
pub(crate) fn product<W: Word>(signed: bool, n: W, m: W) -> (W, W) {
    let high = match signed {
        true => n.mul_high_signed(m),
        false => n.mul_high_unsigned(m),
    };
    (n.wrapping_mul(m), high)
}

/// Low and high word of a sum of two words each.
#[inline(always)]
pub(crate) fn add_long<W: Word>(a: (W, W), b: (W, W)) -> (W, W) {
    let carry = a.0.carries(b.0);
    (a.0.wrapping_add(b.0), a.1.wrapping_add(b.1).wrapping_add(carry))
}

/// The quotient. The divisor is not 0.
#[inline(always)]
pub(crate) fn quotient<W: Word>(signed: bool, n: W, m: W) -> W {
    if !signed {
        return n.div_unsigned(m);
    }
    // The one that overflows wraps.
    let negates = m.is(m.constant(u64::MAX));
    let q = n.div_signed(negates.pick(m.constant(1), m));
    negates.pick(m.constant(0).wrapping_sub(n), q)
}
