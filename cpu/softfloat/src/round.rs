//! The one place where results are rounded and encoded (IEEE 754-2019, 4.3 and 7.4 to 7.6).

use crate::env::{Env, Flags, Rounding};
use crate::format::{Format, Layout};

/// `value` shifted right, with everything that falls off ORed into the lowest bit: enough to round as if all were kept.
#[inline]
pub(crate) fn shift_right_sticky(value: u64, by: u32) -> u64 {
    match by {
        0 => value,
        1..=63 => (value >> by) | u64::from(value << (64 - by) != 0),
        _ => u64::from(value != 0),
    }
}

/// As [`shift_right_sticky`].
#[inline]
pub(crate) fn shift_right_sticky_wide(value: u128, by: u32) -> u128 {
    match by {
        0 => value,
        1..=127 => (value >> by) | u128::from(value << (128 - by) != 0),
        _ => u128::from(value != 0),
    }
}

/// The upper half, with a sticky lowest bit for the lower half.
#[inline]
pub(crate) fn fold(value: u128) -> u64 {
    (value >> 64) as u64 | u64::from(value as u64 != 0)
}

/// Rounds the lowest `drop` bits (1 to 63) of `value` away: the kept part, carried past bit 63 if need be (then the
/// second is true and the kept part is what remains of it), and whether anything was lost.
#[inline]
pub(crate) fn round_off(value: u64, drop: u32, sign: bool, rounding: Rounding) -> (u64, bool, bool) {
    let mask = (1u64 << drop) - 1;
    let half = 1u64 << (drop - 1);
    let rest = value & mask;
    let up = match rounding {
        Rounding::NearestEven => rest > half || (rest == half && value >> drop & 1 == 1),
        Rounding::NearestAway => rest >= half,
        Rounding::TowardZero => false,
        Rounding::Down => sign && rest != 0,
        Rounding::Up => !sign && rest != 0,
    };
    let kept = (value >> drop) + u64::from(up);
    (kept, kept >> (64 - drop) != 0, rest != 0)
}

/// Encodes `significand * 2^(exponent - 63)`, rounded. Bit 63 of the significand is set; bit 0 may be sticky.
#[inline]
pub(crate) fn round_pack<F: Format>(sign: bool, exponent: i32, significand: u64, env: &mut Env) -> u64 {
    let drop = 63 - F::FRACTION;
    let field = exponent + F::BIAS;
    if field <= 0 {
        return round_pack_tiny::<F>(sign, field, significand, env);
    }
    if field as u64 >= F::EXPONENT_MAX {
        return overflow::<F>(sign, env);
    }
    let (kept, _, inexact) = round_off(significand, drop, sign, env.rounding);
    // The leading one adds itself to the exponent field; a carry out of the fraction does so once more.
    let magnitude = ((field as u64 - 1) << F::FRACTION) + kept;
    if magnitude >= F::INFINITY {
        return overflow::<F>(sign, env);
    }
    if inexact {
        env.flags.raise(Flags::INEXACT);
    }
    F::signed(sign, magnitude)
}

/// Below the smallest normal number before rounding: `field`, the biased exponent, is not positive.
#[cold]
fn round_pack_tiny<F: Format>(sign: bool, field: i32, significand: u64, env: &mut Env) -> u64 {
    let drop = 63 - F::FRACTION;
    // Tininess after rounding: would it still be below with an unbounded exponent?
    let tiny = field < 0 || !round_off(significand, drop, sign, env.rounding).1;
    let (magnitude, _, inexact) = round_off(
        shift_right_sticky(significand, (1 - field) as u32),
        drop,
        sign,
        env.rounding,
    );
    if inexact {
        env.flags.raise(Flags::INEXACT);
        if tiny {
            env.flags.raise(Flags::UNDERFLOW);
        }
    }
    F::signed(sign, magnitude)
}

#[cold]
fn overflow<F: Format>(sign: bool, env: &mut Env) -> u64 {
    env.flags.raise(Flags::OVERFLOW);
    env.flags.raise(Flags::INEXACT);
    let infinite = match env.rounding {
        Rounding::NearestEven | Rounding::NearestAway => true,
        Rounding::TowardZero => false,
        Rounding::Down => sign,
        Rounding::Up => !sign,
    };
    F::signed(sign, if infinite { F::INFINITY } else { F::MAX_FINITE })
}

/// The zero that an exact difference of equals gives (IEEE 754-2019, 6.3).
#[inline]
pub(crate) fn cancelled<F: Format>(env: &Env) -> u64 {
    F::signed(env.rounding == Rounding::Down, 0)
}
