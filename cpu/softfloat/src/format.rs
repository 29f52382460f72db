//! The interchange formats (IEEE 754-2019, 3.4) and taking an encoding apart.

use crate::env::{Env, Flags};

/// A binary interchange format of at most 64 bits.
pub trait Format: Sized {
    /// Bits of the whole encoding.
    const WIDTH: u32;
    /// Bits of the trailing significand field.
    const FRACTION: u32;

    /// Sum by host arithmetic, where result and flags are certain to agree with the standard's; else `None`.
    #[doc(hidden)]
    fn host_add(_a: u64, _b: u64, _env: &Env) -> Option<u64> {
        None
    }
    /// Product, as [`host_add`](Self::host_add).
    #[doc(hidden)]
    fn host_mul(_a: u64, _b: u64, _env: &Env) -> Option<u64> {
        None
    }
    /// Quotient, as [`host_add`](Self::host_add).
    #[doc(hidden)]
    fn host_div(_a: u64, _b: u64, _env: &Env) -> Option<u64> {
        None
    }
    /// Fused multiply-add, as [`host_add`](Self::host_add).
    #[doc(hidden)]
    fn host_mul_add(_a: u64, _b: u64, _c: u64, _env: &Env) -> Option<u64> {
        None
    }
    /// Square root, as [`host_add`](Self::host_add).
    #[doc(hidden)]
    fn host_sqrt(_a: u64, _env: &Env) -> Option<u64> {
        None
    }
}

/// binary16.
#[derive(Clone, Copy, Debug)]
pub enum Half {}
/// binary32.
#[derive(Clone, Copy, Debug)]
pub enum Single {}
/// binary64.
#[derive(Clone, Copy, Debug)]
pub enum Double {}

impl Format for Half {
    const WIDTH: u32 = 16;
    const FRACTION: u32 = 10;
}

/// What follows from a format's two numbers.
pub(crate) trait Layout: Format {
    const SIGN: u64 = 1 << (Self::WIDTH - 1);
    const FRACTION_MASK: u64 = (1 << Self::FRACTION) - 1;
    const EXPONENT_BITS: u32 = Self::WIDTH - 1 - Self::FRACTION;
    /// The all-ones exponent of infinities and NaNs.
    const EXPONENT_MAX: u64 = (1 << Self::EXPONENT_BITS) - 1;
    const BIAS: i32 = (1 << (Self::EXPONENT_BITS - 1)) - 1;
    const INFINITY: u64 = Self::EXPONENT_MAX << Self::FRACTION;
    const QUIET: u64 = 1 << (Self::FRACTION - 1);
    const NAN: u64 = Self::INFINITY | Self::QUIET;
    const MAX_FINITE: u64 = Self::INFINITY - 1;
    /// Every bit of the encoding but the sign.
    const MAGNITUDE: u64 = Self::SIGN - 1;

    fn signed(sign: bool, magnitude: u64) -> u64 {
        ((sign as u64) << (Self::WIDTH - 1)) | magnitude
    }
}

impl<F: Format> Layout for F {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Zero,
    /// Normal or subnormal.
    Finite,
    Infinite,
    Nan,
}

/// An encoding taken apart. For `Kind::Finite` the value is `significand * 2^(exponent - 63)` with bit 63 of the
/// significand set; for the other kinds only the sign counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unpacked {
    pub(crate) sign: bool,
    pub(crate) kind: Kind,
    pub(crate) exponent: i32,
    pub(crate) significand: u64,
}

#[inline]
pub(crate) fn unpack<F: Format>(bits: u64) -> Unpacked {
    let sign = bits & F::SIGN != 0;
    let field = (bits >> F::FRACTION) & F::EXPONENT_MAX;
    let fraction = bits & F::FRACTION_MASK;
    if field != 0 && field != F::EXPONENT_MAX {
        let significand = (1 << 63) | (fraction << (63 - F::FRACTION));
        return Unpacked {
            sign,
            kind: Kind::Finite,
            exponent: field as i32 - F::BIAS,
            significand,
        };
    }
    if field != 0 {
        let kind = if fraction == 0 { Kind::Infinite } else { Kind::Nan };
        return Unpacked {
            sign,
            kind,
            exponent: 0,
            significand: 0,
        };
    }
    if fraction == 0 {
        return Unpacked {
            sign,
            kind: Kind::Zero,
            exponent: 0,
            significand: 0,
        };
    }
    let shift = fraction.leading_zeros();
    // The field's lowest bit weighs 2^(1 - bias - FRACTION), subnormals having the exponent of the smallest normal.
    let exponent = 1 - F::BIAS - F::FRACTION as i32 + 63 - shift as i32;
    Unpacked {
        sign,
        kind: Kind::Finite,
        exponent,
        significand: fraction << shift,
    }
}

/// The canonical NaN: positive, quiet, no payload.
pub fn canonical_nan<F: Format>() -> u64 {
    F::NAN
}

/// Whether `bits` encodes a NaN of either kind.
pub fn is_nan<F: Format>(bits: u64) -> bool {
    bits & F::MAGNITUDE > F::INFINITY
}

/// Whether `bits` encodes a signalling NaN.
pub fn is_signalling_nan<F: Format>(bits: u64) -> bool {
    is_nan::<F>(bits) && bits & F::QUIET == 0
}

/// The sign bit inverted, NaNs included; raises nothing (IEEE 754-2019, 5.5.1).
pub fn negate<F: Format>(bits: u64) -> u64 {
    (bits ^ F::SIGN) & (F::SIGN | F::MAGNITUDE)
}

/// The result of an operation that has a NaN among its operands: the canonical one, invalid if any signals.
#[cold]
pub(crate) fn nan_operand<F: Format>(operands: &[u64], env: &mut Env) -> u64 {
    if operands.iter().any(|&o| is_signalling_nan::<F>(o)) {
        env.flags.raise(Flags::INVALID);
    }
    F::NAN
}

/// The result of an operation that has none.
#[cold]
pub(crate) fn invalid<F: Format>(env: &mut Env) -> u64 {
    env.flags.raise(Flags::INVALID);
    F::NAN
}
