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

/// The operand of kind `src` made of register value `v` with immediate `n`, and the carry out of the shifter if it has one.
/// [`Src::Imm`] is not for here.
#[inline(always)]
pub(crate) fn operand<W: Word>(src: u8, v: W, n: u32, carry: W) -> (W, Option<W>) {
    let k = |k: u32| v.constant(k.into());
    let one = k(1);
    if src == Src::Lsl as u8 {
        (v.shl(k(n & 31)), Some(v.shr(k(32u32.wrapping_sub(n) & 31)) & one))
    } else if src == Src::Lsr as u8 {
        // 1..=32: the last bit out is bit n - 1.
        let out = v.shr(k(n.wrapping_sub(1) & 31));
        (out.shr(one), Some(out & one))
    } else if src == Src::Asr as u8 {
        let out = v.sar(k(n.wrapping_sub(1) & 31));
        (out.sar(one), Some(out & one))
    } else if src == Src::Ror as u8 {
        let out = v.rotr(k(n & 31));
        (out, Some(out.shr(k(31))))
    } else if src == Src::Rrx as u8 {
        (v.shr(one) | carry.shl(k(31)), Some(v & one))
    } else {
        (v, None)
    }
}

/// Carry and overflow of a sum or difference.
#[derive(Clone, Copy)]
pub(crate) struct Carried<W> {
    pub(crate) c: W,
    pub(crate) v: W,
}

/// `a + b + carry` (AddWithCarry).
#[inline(always)]
fn add_with_carry<W: Word>(a: W, b: W, carry: W) -> (W, Carried<W>) {
    let sum = a.wrapping_add(b);
    let r = sum.wrapping_add(carry);
    let c = a.carries(b) | sum.carries(carry);
    let v = (a ^ r) & (b ^ r);
    (r, Carried { c, v })
}

#[inline(always)]
fn subtract<W: Word>(a: W, b: W) -> (W, Carried<W>) {
    let r = a.wrapping_sub(b);
    let c = not(a.below(b));
    let v = (a ^ b) & (a ^ r);
    (r, Carried { c, v })
}

/// Whether an operation leaves no result but its flags.
pub(crate) const fn only_tests(op: u8) -> bool {
    op == Alu::Tst as u8 || op == Alu::Teq as u8 || op == Alu::Cmn as u8 || op == Alu::Cmp as u8
}

/// The two-operand operation `op`; carry and overflow if it makes them.
#[inline(always)]
pub(crate) fn alu<W: Word>(op: u8, a: W, b: W, carry: W) -> (W, Option<Carried<W>>) {
    let is = |o: Alu| op == o as u8;
    let (r, carried) = if is(Alu::And) || is(Alu::Tst) {
        return (a & b, None);
    } else if is(Alu::Bic) {
        return (a & !b, None);
    } else if is(Alu::Orr) {
        return (a | b, None);
    } else if is(Alu::Orn) {
        return (a | !b, None);
    } else if is(Alu::Eor) || is(Alu::Teq) {
        return (a ^ b, None);
    } else if is(Alu::Mov) {
        return (b, None);
    } else if is(Alu::Mvn) {
        return (!b, None);
    } else if is(Alu::Add) || is(Alu::Cmn) {
        let r = a.wrapping_add(b);
        let (c, v) = (a.carries(b), (a ^ r) & (b ^ r));
        (r, Carried { c, v })
    } else if is(Alu::Sub) || is(Alu::Cmp) {
        subtract(a, b)
    } else if is(Alu::Rsb) {
        subtract(b, a)
    } else if is(Alu::Adc) {
        add_with_carry(a, b, carry)
    } else {
        add_with_carry(a, !b, carry)
    };
    (r, Some(carried))
}

/// Shift by register: the amount is the low byte of `amount`, and 32 or more shifts everything out. Result and carry.
#[inline(always)]
pub(crate) fn shift<W: Word>(ty: u8, v: W, amount: W, carry: W) -> (W, W) {
    let k = |k: u64| v.constant(k);
    let n = amount & k(0xff);
    let last = n.wrapping_sub(k(1));
    let (zero, few, most) = (k(0), n.below(k(32)), n.below(k(33)));
    let (r, c) = if ty == Shift::Lsl as u8 {
        (few.pick(v.shl(n), zero), most.pick(v.shl(last).shr(k(31)), zero))
    } else if ty == Shift::Lsr as u8 {
        (few.pick(v.shr(n), zero), most.pick(v.shr(last) & k(1), zero))
    } else if ty == Shift::Asr as u8 {
        let sign = v.sar(k(31));
        (few.pick(v.sar(n), sign), most.pick(v.sar(last), sign) & k(1))
    } else {
        let r = v.rotr(n);
        (r, r.shr(k(31)))
    };
    (r, n.is(zero).pick(carry, c))
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
    fn is(self, kind: u32) -> W {
        self.kind & self.kind.constant(kind.into())
    }

    /// What both N and Z are those of.
    pub(crate) fn nz(self) -> W {
        let (sum, difference) = (self.a.wrapping_add(self.b), self.a.wrapping_sub(self.b));
        let r = self.is(kind::DIFFERENCE).pick(difference, sum);
        self.is(kind::WHOLE).pick(r, self.nz)
    }

    pub(crate) fn c(self) -> W {
        let (_, Carried { c, .. }) = subtract(self.a, self.b);
        let made = self.is(kind::DIFFERENCE).pick(c, self.a.carries(self.b));
        self.is(kind::DIFFERENCE | kind::SUM).pick(made, self.a)
    }

    pub(crate) fn v(self) -> W {
        let (_, Carried { v, .. }) = subtract(self.a, self.b);
        let r = self.a.wrapping_add(self.b);
        let made = self.is(kind::DIFFERENCE).pick(v, (self.a ^ r) & (self.b ^ r));
        self.is(kind::DIFFERENCE | kind::SUM).pick(made, self.b)
    }

    /// The kind if N and Z alone are of something else from now on.
    pub(crate) fn kind_without_nz(self) -> W {
        self.is(kind::DIFFERENCE | kind::SUM)
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
