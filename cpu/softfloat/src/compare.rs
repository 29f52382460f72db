//! Comparison, minimum and maximum, classification (IEEE 754-2019, 5.6, 5.7.2, 5.11, 9.6).

use std::cmp::Ordering;

use crate::env::{Env, Flags};
use crate::format::{Format, Kind, Layout, is_nan, is_signalling_nan, unpack};

/// Which NaNs make a comparison invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Only signalling ones (RISC-V `FEQ`).
    Quiet,
    /// Every one (RISC-V `FLT`, `FLE`).
    Signalling,
}

/// How `a` stands to `b`; `None` if unordered. Zeros are equal whatever their signs.
pub fn compare<F: Format>(a: u64, b: u64, kind: Compare, env: &mut Env) -> Option<Ordering> {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        if kind == Compare::Signalling || is_signalling_nan::<F>(a) || is_signalling_nan::<F>(b) {
            env.flags.raise(Flags::INVALID);
        }
        return None;
    }
    Some(order::<F>(a).cmp(&order::<F>(b)))
}

/// The lesser of the two, -0 below +0 (minimumNumber, 9.6): the number if one is NaN, the canonical NaN if both are.
/// A signalling NaN is invalid.
pub fn min<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    pick::<F>(a, b, Ordering::Less, env)
}

/// The greater of the two (maximumNumber, 9.6); NaNs as in [`min`].
pub fn max<F: Format>(a: u64, b: u64, env: &mut Env) -> u64 {
    pick::<F>(a, b, Ordering::Greater, env)
}

fn pick<F: Format>(a: u64, b: u64, wanted: Ordering, env: &mut Env) -> u64 {
    if is_signalling_nan::<F>(a) || is_signalling_nan::<F>(b) {
        env.flags.raise(Flags::INVALID);
    }
    let (a, b) = (a & (F::SIGN | F::MAGNITUDE), b & (F::SIGN | F::MAGNITUDE));
    match (is_nan::<F>(a), is_nan::<F>(b)) {
        (true, true) => F::NAN,
        (true, false) => b,
        (false, true) => a,
        (false, false) => {
            let by_sign = (b & F::SIGN).cmp(&(a & F::SIGN));
            if order::<F>(a).cmp(&order::<F>(b)).then(by_sign) == wanted {
                a
            } else {
                b
            }
        }
    }
}

/// A number that orders as the value does, for anything but NaN.
fn order<F: Format>(bits: u64) -> i64 {
    let magnitude = (bits & F::MAGNITUDE) as i64;
    if bits & F::SIGN != 0 { -magnitude } else { magnitude }
}

/// The ten classes (IEEE 754-2019, 5.7.2), in the order of RISC-V's `FCLASS` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the standard's and say all")]
pub enum Class {
    NegativeInfinity = 0,
    NegativeNormal = 1,
    NegativeSubnormal = 2,
    NegativeZero = 3,
    PositiveZero = 4,
    PositiveSubnormal = 5,
    PositiveNormal = 6,
    PositiveInfinity = 7,
    SignallingNan = 8,
    QuietNan = 9,
}

impl Class {
    /// What `FCLASS` writes: one bit set of ten.
    pub const fn mask(self) -> u64 {
        1 << self as u8
    }
}

/// The class of `a`; raises nothing.
pub fn classify<F: Format>(a: u64) -> Class {
    let x = unpack::<F>(a);
    let normal = a & F::INFINITY != 0;
    match (x.kind, x.sign) {
        (Kind::Nan, _) if a & F::QUIET == 0 => Class::SignallingNan,
        (Kind::Nan, _) => Class::QuietNan,
        (Kind::Infinite, true) => Class::NegativeInfinity,
        (Kind::Infinite, false) => Class::PositiveInfinity,
        (Kind::Zero, true) => Class::NegativeZero,
        (Kind::Zero, false) => Class::PositiveZero,
        (Kind::Finite, true) if normal => Class::NegativeNormal,
        (Kind::Finite, true) => Class::NegativeSubnormal,
        (Kind::Finite, false) if normal => Class::PositiveNormal,
        (Kind::Finite, false) => Class::PositiveSubnormal,
    }
}
