//! Fused multiply-add (IEEE 754-2019, 5.4.1): one rounding for two operations.

use crate::env::Env;
use crate::format::{Format, Kind, Layout, Unpacked, invalid, nan_operand, unpack};
use crate::round::{cancelled, fold, round_pack, shift_right_sticky_wide};

/// `a * b + c`, rounded once. The other three forms follow by [`negate`](crate::negate) of `a` or `c` beforehand.
///
/// Infinity times zero is invalid even if `c` is a quiet NaN (7.2 leaves that open; RISC-V demands it).
#[inline]
pub fn mul_add<F: Format>(a: u64, b: u64, c: u64, env: &mut Env) -> u64 {
    match F::host_mul_add(a, b, c, env) {
        Some(sum) => sum,
        None => mul_add_exactly::<F>(a, b, c, env),
    }
}

fn mul_add_exactly<F: Format>(a: u64, b: u64, c: u64, env: &mut Env) -> u64 {
    let (x, y, z) = (unpack::<F>(a), unpack::<F>(b), unpack::<F>(c));
    let sign = x.sign != y.sign;
    if (x.kind, y.kind, z.kind) == (Kind::Finite, Kind::Finite, Kind::Finite) {
        return sum::<F>(product(x, y), Term::of(z), env);
    }
    match (x.kind, y.kind) {
        (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite) => return invalid::<F>(env),
        (Kind::Nan, _) | (_, Kind::Nan) => return nan_operand::<F>(&[a, b, c], env),
        _ if z.kind == Kind::Nan => return nan_operand::<F>(&[c], env),
        (Kind::Infinite, _) | (_, Kind::Infinite) => {
            let opposed = z.kind == Kind::Infinite && z.sign != sign;
            return if opposed {
                invalid::<F>(env)
            } else {
                F::signed(sign, F::INFINITY)
            };
        }
        _ => {}
    }
    let product_is_zero = x.kind == Kind::Zero || y.kind == Kind::Zero;
    match z.kind {
        Kind::Infinite => F::signed(z.sign, F::INFINITY),
        Kind::Zero if !product_is_zero => product(x, y).round::<F>(env),
        Kind::Zero if z.sign != sign => cancelled::<F>(env),
        // Only a zero product is left: the other operand is the sum, exactly.
        _ => c & (F::SIGN | F::MAGNITUDE),
    }
}

/// `significand * 2^(exponent - 126)`; bit 126 is the highest that is set, or 127 after a sum.
#[derive(Clone, Copy)]
struct Term {
    sign: bool,
    exponent: i32,
    significand: u128,
}

impl Term {
    fn of(x: Unpacked) -> Self {
        Self {
            sign: x.sign,
            exponent: x.exponent,
            significand: u128::from(x.significand) << 63,
        }
    }

    /// Not for zero.
    fn round<F: Format>(self, env: &mut Env) -> u64 {
        let shift = self.significand.leading_zeros();
        round_pack::<F>(
            self.sign,
            self.exponent + 1 - shift as i32,
            fold(self.significand << shift),
            env,
        )
    }
}

/// Exact: two significands of at most 53 bits leave at least 22 zeros at the bottom, so the shift loses nothing.
fn product(x: Unpacked, y: Unpacked) -> Term {
    let full = u128::from(x.significand) * u128::from(y.significand);
    let carry = (full >> 127) as u32;
    Term {
        sign: x.sign != y.sign,
        exponent: x.exponent + y.exponent + carry as i32,
        significand: full >> carry,
    }
}

fn sum<F: Format>(x: Term, y: Term, env: &mut Env) -> u64 {
    let swap = (x.exponent, x.significand) < (y.exponent, y.significand);
    let (large, small) = if swap { (y, x) } else { (x, y) };
    // The product reaches down to bit 21 at the lowest. Bits get lost only in shifts beyond that, where a difference
    // loses at most one leading bit: a sticky bit stands for them.
    let addend = shift_right_sticky_wide(small.significand, (large.exponent - small.exponent) as u32);
    let significand = if large.sign == small.sign {
        large.significand + addend
    } else {
        large.significand - addend
    };
    if significand == 0 {
        return cancelled::<F>(env);
    }
    Term { significand, ..large }.round::<F>(env)
}
