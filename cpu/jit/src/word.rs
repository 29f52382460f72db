//! One meaning, two uses: what an instruction computes is written once over [`Word`]. With integers it runs; with [`Traced`] it
//! becomes IR.

use std::cell::RefCell;
use std::ops::{BitAnd, BitOr, BitXor, Not};

use crate::ir::{Binary, Op, Unary, Value};

/// A guest word. Names are those of Rust's integers where those exist; shift amounts count modulo the width; comparisons give 0 or 1.
#[allow(missing_docs)]
pub trait Word:
    Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
    /// The constant, in the world of `self`.
    fn constant(self, v: u64) -> Self;
    fn wrapping_add(self, b: Self) -> Self;
    fn wrapping_sub(self, b: Self) -> Self;
    fn wrapping_mul(self, b: Self) -> Self;
    /// Upper half of the product of two unsigned words.
    fn mul_high_unsigned(self, b: Self) -> Self;
    /// Upper half of the product of two signed words.
    fn mul_high_signed(self, b: Self) -> Self;
    /// The divisor is not 0.
    fn div_unsigned(self, b: Self) -> Self;
    fn rem_unsigned(self, b: Self) -> Self;
    /// The divisor is not 0 and the quotient does not overflow.
    fn div_signed(self, b: Self) -> Self;
    fn rem_signed(self, b: Self) -> Self;
    fn shl(self, n: Self) -> Self;
    fn shr(self, n: Self) -> Self;
    fn sar(self, n: Self) -> Self;
    fn rotl(self, n: Self) -> Self;
    fn rotr(self, n: Self) -> Self;
    fn is(self, b: Self) -> Self;
    fn is_not(self, b: Self) -> Self;
    fn below(self, b: Self) -> Self;
    fn less(self, b: Self) -> Self;
    /// `a` if `self` is not 0, else `b`.
    fn pick(self, a: Self, b: Self) -> Self;
    fn clz(self) -> Self;
    fn ctz(self) -> Self;
    fn ones(self) -> Self;
    fn rev_bytes(self) -> Self;
    fn rev_bits(self) -> Self;
    fn signed8(self) -> Self;
    fn signed16(self) -> Self;
    fn signed32(self) -> Self;
    /// Whether `self + b` carries out of the word.
    fn carries(self, b: Self) -> Self;

    /// The low bits, zero-extended.
    fn low(self, bits: u32) -> Self {
        self & self.constant(u64::MAX >> (64 - bits))
    }
    fn plus(self, n: u64) -> Self {
        self.wrapping_add(self.constant(n))
    }
}

macro_rules! integers {
    ($($t:ty, $signed:ty, $double:ty, $signed_double:ty;)+) => { $(
        impl Word for $t {
            #[inline(always)] fn constant(self, v: u64) -> Self { v as $t }
            #[inline(always)] fn wrapping_add(self, b: Self) -> Self { <$t>::wrapping_add(self, b) }
            #[inline(always)] fn wrapping_sub(self, b: Self) -> Self { <$t>::wrapping_sub(self, b) }
            #[inline(always)] fn wrapping_mul(self, b: Self) -> Self { <$t>::wrapping_mul(self, b) }
            #[inline(always)] fn mul_high_unsigned(self, b: Self) -> Self {
                ((self as $double * b as $double) >> <$t>::BITS) as $t
            }
            #[inline(always)] fn mul_high_signed(self, b: Self) -> Self {
                ((self as $signed as $signed_double * b as $signed as $signed_double) >> <$t>::BITS) as $t
            }
            #[inline(always)] fn div_unsigned(self, b: Self) -> Self { self.checked_div(b).unwrap_or(0) }
            #[inline(always)] fn rem_unsigned(self, b: Self) -> Self { self.checked_rem(b).unwrap_or(0) }
            #[inline(always)] fn div_signed(self, b: Self) -> Self { (self as $signed).checked_div(b as $signed).unwrap_or(0) as $t }
            #[inline(always)] fn rem_signed(self, b: Self) -> Self { (self as $signed).checked_rem(b as $signed).unwrap_or(0) as $t }
            #[inline(always)] fn shl(self, n: Self) -> Self { self.wrapping_shl(n as u32) }
            #[inline(always)] fn shr(self, n: Self) -> Self { self.wrapping_shr(n as u32) }
            #[inline(always)] fn sar(self, n: Self) -> Self { (self as $signed).wrapping_shr(n as u32) as $t }
            #[inline(always)] fn rotl(self, n: Self) -> Self { self.rotate_left(n as u32) }
            #[inline(always)] fn rotr(self, n: Self) -> Self { self.rotate_right(n as u32) }
            #[inline(always)] fn is(self, b: Self) -> Self { (self == b).into() }
            #[inline(always)] fn is_not(self, b: Self) -> Self { (self != b).into() }
            #[inline(always)] fn below(self, b: Self) -> Self { (self < b).into() }
            #[inline(always)] fn less(self, b: Self) -> Self { ((self as $signed) < b as $signed).into() }
            #[inline(always)] fn pick(self, a: Self, b: Self) -> Self { if self != 0 { a } else { b } }
            #[inline(always)] fn clz(self) -> Self { self.leading_zeros().into() }
            #[inline(always)] fn ctz(self) -> Self { self.trailing_zeros().into() }
            #[inline(always)] fn ones(self) -> Self { self.count_ones().into() }
            #[inline(always)] fn rev_bytes(self) -> Self { self.swap_bytes() }
            #[inline(always)] fn rev_bits(self) -> Self { self.reverse_bits() }
            #[inline(always)] fn signed8(self) -> Self { self as i8 as $t }
            #[inline(always)] fn signed16(self) -> Self { self as i16 as $t }
            #[inline(always)] fn signed32(self) -> Self { self as i32 as $t }
            #[inline(always)] fn carries(self, b: Self) -> Self { self.overflowing_add(b).1.into() }
        }
    )+ };
}
integers! {
    u32, i32, u64, i64;
    u64, i64, u128, i128;
}

/// The operations of a block that is being lifted.
#[derive(Debug, Default)]
pub struct Tracer {
    ops: RefCell<Vec<Op>>,
}

impl Tracer {
    /// Appends an operation.
    pub fn push(&self, op: Op) -> Traced<'_> {
        let mut ops = self.ops.borrow_mut();
        ops.push(op);
        Traced {
            tracer: self,
            value: Value(ops.len() as u32 - 1),
        }
    }

    /// A constant.
    pub fn constant(&self, v: u64) -> Traced<'_> {
        self.push(Op::Constant(v))
    }

    /// The value of a guest register.
    pub fn get(&self, r: u8) -> Traced<'_> {
        self.push(Op::Get(r))
    }

    /// Sets a guest register.
    pub fn set(&self, r: u8, v: Traced<'_>) {
        self.push(Op::Set(r, v.value));
    }

    /// What `body` appends is done only if the condition is not 0. Values of it must not be used elsewhere.
    pub fn when<T>(&self, condition: Traced<'_>, body: impl FnOnce() -> T) -> T {
        let at = self.ops.borrow().len();
        self.push(Op::If(condition.value, 0));
        let result = body();
        let mut ops = self.ops.borrow_mut();
        let n = (ops.len() - at - 1) as u32;
        ops[at] = Op::If(condition.value, n);
        result
    }

    /// All of them.
    pub fn finish(self) -> Vec<Op> {
        self.ops.into_inner()
    }
}

/// A word that is being computed by the IR of a [`Tracer`].
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    tracer: &'a Tracer,
    /// Its number.
    pub value: Value,
}

impl<'a> Traced<'a> {
    /// The tracer that it belongs to.
    pub fn tracer(&self) -> &'a Tracer {
        self.tracer
    }

    fn two(self, op: Binary, b: Self) -> Self {
        Self {
            value: self.tracer.push(Op::Binary(op, self.value, b.value)).value,
            ..self
        }
    }
    fn one(self, op: Unary) -> Self {
        Self {
            value: self.tracer.push(Op::Unary(op, self.value)).value,
            ..self
        }
    }
}

impl BitAnd for Traced<'_> {
    type Output = Self;
    fn bitand(self, b: Self) -> Self {
        self.two(Binary::And, b)
    }
}
impl BitOr for Traced<'_> {
    type Output = Self;
    fn bitor(self, b: Self) -> Self {
        self.two(Binary::Or, b)
    }
}
impl BitXor for Traced<'_> {
    type Output = Self;
    fn bitxor(self, b: Self) -> Self {
        self.two(Binary::Xor, b)
    }
}
impl Not for Traced<'_> {
    type Output = Self;
    fn not(self) -> Self {
        self.one(Unary::Not)
    }
}

macro_rules! traced {
    ($($two:ident $op:ident,)+; $($one:ident $unary:ident,)+) => {
        impl Word for Traced<'_> {
            fn constant(self, v: u64) -> Self {
                Self { value: self.tracer.constant(v).value, ..self }
            }
            fn pick(self, a: Self, b: Self) -> Self {
                Self { value: self.tracer.push(Op::Select(self.value, a.value, b.value)).value, ..self }
            }
            $(fn $two(self, b: Self) -> Self { self.two(Binary::$op, b) })+
            $(fn $one(self) -> Self { self.one(Unary::$unary) })+
        }
    };
}
traced! {
    wrapping_add Add, wrapping_sub Sub, wrapping_mul Mul, mul_high_unsigned MulHighUnsigned, mul_high_signed MulHighSigned,
    div_unsigned DivUnsigned, rem_unsigned RemUnsigned, div_signed DivSigned, rem_signed RemSigned, shl ShiftLeft, shr ShiftRight,
    sar ShiftRightSigned, rotl RotateLeft, rotr RotateRight, is Equal, is_not NotEqual, below LessUnsigned, less LessSigned,
    carries CarryOfAdd,;
    clz LeadingZeros, ctz TrailingZeros, ones Ones, rev_bytes SwapBytes, rev_bits ReverseBits, signed8 Signed8, signed16 Signed16,
    signed32 Signed32,
}
