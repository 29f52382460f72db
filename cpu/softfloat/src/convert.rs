//! Conversions between formats and with integers, and rounding to an integral value (IEEE 754-2019, 5.3.1, 5.4.2, 5.8, 5.9).

use crate::env::{Env, Flags};
use crate::format::{Format, Kind, Layout, Unpacked, nan_operand, unpack};
use crate::round::{round_off, round_pack, shift_right_sticky};

/// `a` of format `From` in format `To`. Widening is exact; any NaN becomes the canonical one.
pub fn convert<From: Format, To: Format>(a: u64, env: &mut Env) -> u64 {
    let x = unpack::<From>(a);
    match x.kind {
        Kind::Finite => round_pack::<To>(x.sign, x.exponent, x.significand, env),
        Kind::Zero => To::signed(x.sign, 0),
        Kind::Infinite => To::signed(x.sign, To::INFINITY),
        Kind::Nan => {
            nan_operand::<From>(&[a], env);
            To::NAN
        }
    }
}

/// `value`, rounded if it does not fit. For 32-bit integers extend first.
pub fn from_i64<F: Format>(value: i64, env: &mut Env) -> u64 {
    from_magnitude::<F>(value < 0, value.unsigned_abs(), env)
}

/// `value`, rounded if it does not fit. For 32-bit integers extend first.
pub fn from_u64<F: Format>(value: u64, env: &mut Env) -> u64 {
    from_magnitude::<F>(false, value, env)
}

fn from_magnitude<F: Format>(sign: bool, magnitude: u64, env: &mut Env) -> u64 {
    if magnitude == 0 {
        return 0;
    }
    let shift = magnitude.leading_zeros();
    round_pack::<F>(sign, 63 - shift as i32, magnitude << shift, env)
}

/// `a` as a signed 32-bit integer. Out of range is invalid (not inexact) and gives the nearest bound; NaN gives the largest.
pub fn to_i32<F: Format>(a: u64, env: &mut Env) -> i32 {
    to_signed::<F>(a, i32::MIN.into(), i32::MAX.into(), env) as i32
}

/// `a` as an unsigned 32-bit integer; bounds as in [`to_i32`], a negative number that rounds to zero being in range.
pub fn to_u32<F: Format>(a: u64, env: &mut Env) -> u32 {
    to_unsigned::<F>(a, u32::MAX.into(), env) as u32
}

/// `a` as a signed 64-bit integer; bounds as in [`to_i32`].
pub fn to_i64<F: Format>(a: u64, env: &mut Env) -> i64 {
    to_signed::<F>(a, i64::MIN, i64::MAX, env)
}

/// `a` as an unsigned 64-bit integer; bounds as in [`to_u32`].
pub fn to_u64<F: Format>(a: u64, env: &mut Env) -> u64 {
    to_unsigned::<F>(a, u64::MAX, env)
}

fn to_signed<F: Format>(a: u64, lowest: i64, highest: i64, env: &mut Env) -> i64 {
    let x = unpack::<F>(a);
    let bound = if x.sign {
        lowest.unsigned_abs()
    } else {
        highest.unsigned_abs()
    };
    match magnitude_within(x, bound, env) {
        Some(magnitude) if x.sign => (magnitude as i64).wrapping_neg(),
        Some(magnitude) => magnitude as i64,
        None if x.sign && x.kind != Kind::Nan => lowest,
        None => highest,
    }
}

fn to_unsigned<F: Format>(a: u64, highest: u64, env: &mut Env) -> u64 {
    let x = unpack::<F>(a);
    let bound = if x.sign { 0 } else { highest };
    match magnitude_within(x, bound, env) {
        Some(magnitude) => magnitude,
        None if x.sign && x.kind != Kind::Nan => 0,
        None => highest,
    }
}

/// The magnitude rounded to an integer if it is at most `bound`, else an invalid operation.
fn magnitude_within(x: Unpacked, bound: u64, env: &mut Env) -> Option<u64> {
    let found = match x.kind {
        Kind::Zero => Some((0, false)),
        Kind::Nan | Kind::Infinite => None,
        Kind::Finite => integral(x, env),
    };
    match found {
        Some((magnitude, inexact)) if magnitude <= bound => {
            if inexact {
                env.flags.raise(Flags::INEXACT);
            }
            Some(magnitude)
        }
        _ => {
            env.flags.raise(Flags::INVALID);
            None
        }
    }
}

/// The magnitude of a finite number as an integer and whether that is inexact; `None` from 2^64 on.
fn integral(x: Unpacked, env: &Env) -> Option<(u64, bool)> {
    match x.exponent {
        64.. => None,
        63 => Some((x.significand, false)),
        // One bit of room below the point at least, so that `round_off` has a half to look at.
        0..63 => {
            let (kept, _, inexact) = round_off(x.significand, 63 - x.exponent as u32, x.sign, env.rounding);
            Some((kept, inexact))
        }
        _ => {
            let below = shift_right_sticky(x.significand, x.exponent.unsigned_abs());
            let (kept, _, inexact) = round_off(below, 63, x.sign, env.rounding);
            Some((kept, inexact))
        }
    }
}

/// `a` rounded to an integral value in its own format, keeping the sign of zero.
///
/// `exact` says whether a change raises inexact (roundToIntegralExact, RISC-V `FROUNDNX`) or not (`FROUND`).
pub fn round_to_integral<F: Format>(a: u64, exact: bool, env: &mut Env) -> u64 {
    let x = unpack::<F>(a);
    match x.kind {
        Kind::Nan => nan_operand::<F>(&[a], env),
        Kind::Zero | Kind::Infinite => a & (F::SIGN | F::MAGNITUDE),
        // No fraction bits that could be other than zero.
        Kind::Finite if x.exponent >= F::FRACTION as i32 => a & (F::SIGN | F::MAGNITUDE),
        Kind::Finite => {
            let (magnitude, inexact) = integral(x, env).unwrap_or_default();
            if exact && inexact {
                env.flags.raise(Flags::INEXACT);
            }
            if magnitude == 0 {
                return F::signed(x.sign, 0);
            }
            from_magnitude::<F>(x.sign, magnitude, env)
        }
    }
}
