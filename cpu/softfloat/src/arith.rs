//! Addition, subtraction, multiplication, division, square root (IEEE 754-2019, 5.4.1).

use crate::env::{Env, Flags};
use crate::format::{Format, Kind, Layout, Unpacked, invalid, nan_operand, negate, unpack};
use crate::round::{cancelled, fold, round_pack, shift_right_sticky};

/// `a + b`.
#[inline]
pub fn add<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    match F::host_add(a, b, env) {
        Some(sum) => sum,
        None => add_exactly::<F>(a, b, env),
    }
}

/// `a - b`.
#[inline]
pub fn sub<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    // A NaN with its sign inverted is the same NaN to us, so a difference is a sum.
    add::<F>(a, negate::<F>(b), env)
}

/// `a * b`.
#[inline]
pub fn mul<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    match F::host_mul(a, b, env) {
        Some(product) => product,
        None => mul_exactly::<F>(a, b, env),
    }
}

/// `a / b`.
#[inline]
pub fn div<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    match F::host_div(a, b, env) {
        Some(quotient) => quotient,
        None => div_exactly::<F>(a, b, env),
    }
}

/// The square root of `a`.
#[inline]
pub fn sqrt<F: Format>(a: u64, env: &mut Env) -> u64 {
    match F::host_sqrt(a, env) {
        Some(root) => root,
        None => sqrt_exactly::<F>(a, env),
    }
}

fn add_exactly<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    let (x, y) = (unpack::<F>(a), unpack::<F>(b));
    match (x.kind, y.kind) {
        (Kind::Finite, Kind::Finite) => add_finite::<F>(x, y, env),
        (Kind::Nan, _) | (_, Kind::Nan) => nan_operand::<F>(&[a, b], env),
        (Kind::Infinite, Kind::Infinite) if x.sign != y.sign => invalid::<F>(env),
        (Kind::Infinite, _) => F::signed(x.sign, F::INFINITY),
        (_, Kind::Infinite) => F::signed(y.sign, F::INFINITY),
        (Kind::Zero, Kind::Zero) if x.sign != y.sign => cancelled::<F>(env),
        (Kind::Zero, _) => b & (F::SIGN | F::MAGNITUDE),
        (_, Kind::Zero) => a & (F::SIGN | F::MAGNITUDE),
    }
}

fn add_finite<F: Format>(x: Unpacked, y: Unpacked, env: &mut Env) -> u64 {
    let swap = (x.exponent, x.significand) < (y.exponent, y.significand);
    let (large, small) = if swap { (y, x) } else { (x, y) };
    // One bit of headroom for the carry. Ten bits stay below a binary64's last place, and where the alignment drops
    // bits it is by so much that a difference loses one leading bit at most: the sticky bit is enough.
    let augend = large.significand >> 1;
    let addend = shift_right_sticky(small.significand >> 1, (large.exponent - small.exponent) as u32);
    let sum = if large.sign == small.sign {
        augend + addend
    } else {
        augend - addend
    };
    if sum == 0 {
        return cancelled::<F>(env);
    }
    let shift = sum.leading_zeros();
    round_pack::<F>(large.sign, large.exponent + 1 - shift as i32, sum << shift, env)
}

fn mul_exactly<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    let (x, y) = (unpack::<F>(a), unpack::<F>(b));
    let sign = x.sign != y.sign;
    match (x.kind, y.kind) {
        (Kind::Finite, Kind::Finite) => {
            let product = fold(u128::from(x.significand) * u128::from(y.significand));
            let shift = product.leading_zeros();
            round_pack::<F>(sign, x.exponent + y.exponent + 1 - shift as i32, product << shift, env)
        }
        (Kind::Nan, _) | (_, Kind::Nan) => nan_operand::<F>(&[a, b], env),
        (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite) => invalid::<F>(env),
        (Kind::Infinite, _) | (_, Kind::Infinite) => F::signed(sign, F::INFINITY),
        (Kind::Zero, _) | (_, Kind::Zero) => F::signed(sign, 0),
    }
}

fn div_exactly<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    let (x, y) = (unpack::<F>(a), unpack::<F>(b));
    let sign = x.sign != y.sign;
    match (x.kind, y.kind) {
        (Kind::Finite, Kind::Finite) => {
            let quotient = divide_significands::<F>(x.significand, y.significand);
            let shift = quotient.leading_zeros();
            round_pack::<F>(sign, x.exponent - y.exponent - shift as i32, quotient << shift, env)
        }
        (Kind::Nan, _) | (_, Kind::Nan) => nan_operand::<F>(&[a, b], env),
        (Kind::Infinite, Kind::Infinite) | (Kind::Zero, Kind::Zero) => invalid::<F>(env),
        (Kind::Infinite, _) => F::signed(sign, F::INFINITY),
        (Kind::Zero, _) | (_, Kind::Infinite) => F::signed(sign, 0),
        (Kind::Finite, Kind::Zero) => {
            env.flags.raise(Flags::DIVIDE_BY_ZERO);
            F::signed(sign, F::INFINITY)
        }
    }
}

/// `2^63 * x / y` for two significands with bit 63 set, which has bit 62 or 63 set, with a sticky lowest bit.
#[inline]
fn divide_significands<F: Format>(x: u64, y: u64) -> u64 {
    if F::FRACTION < 24 {
        // Both fit 24 bits, and a 64-bit division gives the 38 bits of quotient that are ample: much cheaper.
        let (x, y) = (x >> 40, y >> 40);
        let dividend = x << 39;
        let quotient = dividend / y;
        return (quotient << 24) | u64::from(quotient * y != dividend);
    }
    let dividend = u128::from(x) << 63;
    let quotient = dividend / u128::from(y);
    quotient as u64 | u64::from(quotient * u128::from(y) != dividend)
}

fn sqrt_exactly<F: Format>(a: u64, env: &mut Env) -> u64 {
    let x = unpack::<F>(a);
    match x.kind {
        Kind::Nan => nan_operand::<F>(&[a], env),
        Kind::Zero => F::signed(x.sign, 0),
        _ if x.sign => invalid::<F>(env),
        Kind::Infinite => F::INFINITY,
        Kind::Finite => {
            let root = root_significand::<F>(x.significand, x.exponent & 1 != 0);
            round_pack::<F>(false, x.exponent >> 1, root, env)
        }
    }
}

/// The root of a significand (`x / 2^63`, twice that if `odd`) as a significand, with a sticky lowest bit.
#[inline]
fn root_significand<F: Format>(x: u64, odd: bool) -> u64 {
    if F::FRACTION < 24 {
        // The root of 63 or 64 bits has 32: six more than a binary32 needs.
        let radicand = if odd { x } else { x >> 1 };
        let root = radicand.isqrt();
        return (root << 32) | u64::from(root * root != radicand);
    }
    let radicand = u128::from(x) << if odd { 64 } else { 63 };
    let root = radicand.isqrt();
    root as u64 | u64::from(root * root != radicand)
}
