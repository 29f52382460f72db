//! Every operation against LLVM's APFloat, bit for bit and flag for flag, with operands chosen to be awkward.

use proptest::prelude::*;
use rustc_apfloat::ieee;
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};
use southbridge_cpu_softfloat as sf;
use southbridge_cpu_softfloat::{Env, Flags, Format, Rounding};

/// Our format and APFloat's.
trait Pair: Format {
    type Theirs: Float;
}

impl Pair for sf::Half {
    type Theirs = ieee::Half;
}
impl Pair for sf::Single {
    type Theirs = ieee::Single;
}
impl Pair for sf::Double {
    type Theirs = ieee::Double;
}

fn theirs<F: Pair>(bits: u64) -> F::Theirs {
    F::Theirs::from_bits(bits.into())
}

/// Fractions and exponents at the edges, and within reach of each other, much more often than chance would have it.
fn operand<F: Format>() -> impl Strategy<Value = u64> {
    let exponents = F::WIDTH - 1 - F::FRACTION;
    let (top, bias) = ((1u64 << exponents) - 1, (1u64 << (exponents - 1)) - 1);
    let ones = (1u64 << F::FRACTION) - 1;
    let exponent = prop_oneof![
        2 => prop_oneof![Just(0), Just(1), Just(2), Just(top - 1), Just(top)],
        3 => (0..=6u64).prop_map(move |d| bias - 3 + d),
        2 => (0..2 * u64::from(F::FRACTION)).prop_map(move |d| (bias + d).saturating_sub(F::FRACTION.into()).min(top)),
        2 => 0..=top,
    ];
    let fraction = prop_oneof![
        2 => prop_oneof![Just(0), Just(1), Just(ones), Just(ones - 1), Just(ones / 2), Just(ones / 2 + 1)],
        2 => (0..F::FRACTION).prop_map(|bit| 1 << bit),
        1 => (0..F::FRACTION).prop_map(move |bit| ones & !(1 << bit)),
        1 => (0..F::FRACTION).prop_map(move |bit| ones << bit & ones),
        3 => 0..=ones,
    ];
    (any::<bool>(), exponent, fraction)
        .prop_map(|(sign, exponent, fraction)| u64::from(sign) << (F::WIDTH - 1) | exponent << F::FRACTION | fraction)
}

fn rounding() -> impl Strategy<Value = Rounding> {
    (0..5u8).prop_map(|frm| Rounding::from_frm(frm).expect("0 to 4 are modes"))
}

fn round_of(rounding: Rounding) -> Round {
    match rounding {
        Rounding::NearestEven => Round::NearestTiesToEven,
        Rounding::TowardZero => Round::TowardZero,
        Rounding::Down => Round::TowardNegative,
        Rounding::Up => Round::TowardPositive,
        Rounding::NearestAway => Round::NearestTiesToAway,
    }
}

fn flags_of(status: Status) -> Flags {
    let mut flags = Flags::NONE;
    for (theirs, ours) in [
        (Status::INVALID_OP, Flags::INVALID),
        (Status::DIV_BY_ZERO, Flags::DIVIDE_BY_ZERO),
        (Status::OVERFLOW, Flags::OVERFLOW),
        (Status::UNDERFLOW, Flags::UNDERFLOW),
        (Status::INEXACT, Flags::INEXACT),
    ] {
        if status.intersects(theirs) {
            flags.raise(ours);
        }
    }
    flags
}

/// Their result in our encoding: one NaN, and flags. What becomes exactly the smallest normal number only by the coarser
/// rounding of subnormals counts as tiny with us (after rounding means to full precision) and not with them. Nor do they
/// say overflow where the mode gives the largest finite number (IEEE 754-2019, 7.4 does). `special.rs` has both cases.
fn expect<F: Pair>(want: StatusAnd<F::Theirs>, got: u64, env: Env) -> Result<(), TestCaseError> {
    let value = if want.value.is_nan() {
        sf::canonical_nan::<F>()
    } else {
        want.value.to_bits() as u64
    };
    prop_assert_eq!(got, value, "value: got {:x}, want {:x}", got, value);
    let mut flags = flags_of(want.status);
    let magnitude = got & !(1 << (F::WIDTH - 1));
    if magnitude == 1 << F::FRACTION && env.flags.contains(Flags::UNDERFLOW) {
        flags.raise(Flags::UNDERFLOW);
    }
    let largest = (sf::canonical_nan::<F>() & !(1 << (F::FRACTION - 1))) - 1;
    if magnitude == largest && want.status == Status::INEXACT && env.flags.contains(Flags::OVERFLOW) {
        flags.raise(Flags::OVERFLOW);
    }
    prop_assert_eq!(env.flags, flags);
    Ok(())
}

/// Computes with no flag set, and again with inexact set, which may take another way and must not differ.
fn ours(mode: Rounding, op: impl Fn(&mut Env) -> u64) -> Result<(u64, Env), TestCaseError> {
    let (mut env, mut sticky) = (
        Env::new(mode),
        Env {
            rounding: mode,
            flags: Flags::INEXACT,
        },
    );
    let got = op(&mut env);
    prop_assert_eq!(got, op(&mut sticky), "value differs once inexact is set");
    let mut flags = env.flags;
    flags.raise(Flags::INEXACT);
    prop_assert_eq!(sticky.flags, flags, "flags differ once inexact is set");
    Ok((got, env))
}

fn check_two<F: Pair>(a: u64, b: u64, mode: Rounding) -> Result<(), TestCaseError> {
    let (x, y, round) = (theirs::<F>(a), theirs::<F>(b), round_of(mode));
    let (sum, env) = ours(mode, |e| sf::add::<F>(a, b, e))?;
    expect::<F>(x.add_r(y, round), sum, env)?;
    let (difference, env) = ours(mode, |e| sf::sub::<F>(a, b, e))?;
    expect::<F>(x.sub_r(y, round), difference, env)?;
    let (product, env) = ours(mode, |e| sf::mul::<F>(a, b, e))?;
    expect::<F>(x.mul_r(y, round), product, env)?;
    let (quotient, env) = ours(mode, |e| sf::div::<F>(a, b, e))?;
    expect::<F>(x.div_r(y, round), quotient, env)?;
    let order = sf::compare::<F>(a, b, sf::Compare::Quiet, &mut Env::new(mode));
    prop_assert_eq!(order, x.partial_cmp(&y));
    Ok(())
}

fn check_three<F: Pair>(a: u64, b: u64, c: u64, mode: Rounding) -> Result<(), TestCaseError> {
    let (got, env) = ours(mode, |e| sf::mul_add::<F>(a, b, c, e))?;
    if sf::is_nan::<F>(c) && !sf::is_nan::<F>(a) && !sf::is_nan::<F>(b) {
        // Infinity times zero beside a NaN is the implementation's choice; `special.rs` has ours.
        return Ok(());
    }
    expect::<F>(
        theirs::<F>(a).mul_add_r(theirs::<F>(b), theirs::<F>(c), round_of(mode)),
        got,
        env,
    )
}

fn check_integers<F: Pair>(a: u64, mode: Rounding) -> Result<(), TestCaseError> {
    let (x, round) = (theirs::<F>(a), round_of(mode));
    let nan = sf::is_nan::<F>(a);
    for width in [32, 64] {
        let (mut signed, mut unsigned) = (Env::new(mode), Env::new(mode));
        let (i, u) = if width == 32 {
            (
                sf::to_i32::<F>(a, &mut signed).into(),
                u64::from(sf::to_u32::<F>(a, &mut unsigned)),
            )
        } else {
            (sf::to_i64::<F>(a, &mut signed), sf::to_u64::<F>(a, &mut unsigned))
        };
        let want = x.to_i128_r(width, round, &mut false);
        prop_assert_eq!(
            i128::from(i),
            if nan { (1 << (width - 1)) - 1 } else { want.value },
            "signed {}",
            width
        );
        prop_assert_eq!(signed.flags, flags_of(want.status), "signed {}", width);
        let want = x.to_u128_r(width, round, &mut false);
        prop_assert_eq!(
            u128::from(u),
            if nan { (1 << width) - 1 } else { want.value },
            "unsigned {}",
            width
        );
        prop_assert_eq!(unsigned.flags, flags_of(want.status), "unsigned {}", width);
    }
    let (whole, env) = ours(mode, |e| sf::round_to_integral::<F>(a, true, e))?;
    let want = x.round_to_integral(round);
    let changed = !x.is_nan() && want.value != x;
    let status = (want.status & !Status::INEXACT) | if changed { Status::INEXACT } else { Status::OK };
    expect::<F>(
        StatusAnd {
            status,
            value: want.value,
        },
        whole,
        env,
    )
}

fn check_from_integer<F: Pair>(value: i64, mode: Rounding) -> Result<(), TestCaseError> {
    let (got, env) = ours(mode, |e| sf::from_i64::<F>(value, e))?;
    expect::<F>(F::Theirs::from_i128_r(value.into(), round_of(mode)), got, env)?;
    let (got, env) = ours(mode, |e| sf::from_u64::<F>(value as u64, e))?;
    expect::<F>(F::Theirs::from_u128_r((value as u64).into(), round_of(mode)), got, env)
}

fn check_convert<From: Pair, To: Pair>(a: u64, mode: Rounding) -> Result<(), TestCaseError>
where
    From::Theirs: FloatConvert<To::Theirs>,
{
    let (got, env) = ours(mode, |e| sf::convert::<From, To>(a, e))?;
    expect::<To>(theirs::<From>(a).convert_r(round_of(mode), &mut false), got, env)
}

/// Integers of every length, around powers of two.
fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        (any::<i64>(), 0..64u32).prop_map(|(v, s)| v >> s),
        (0..64u32, -2..=2i64).prop_map(|(s, d)| (1i64 << s).wrapping_add(d))
    ]
}

macro_rules! against {
    ($name:ident, $format:ty, $one:ty, $other:ty) => {
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(4000))]

                #[test]
                fn two_operands(a in operand::<$format>(), b in operand::<$format>(), mode in rounding()) {
                    check_two::<$format>(a, b, mode)?;
                }

                #[test]
                fn fused(a in operand::<$format>(), b in operand::<$format>(), c in operand::<$format>(), mode in rounding()) {
                    check_three::<$format>(a, b, c, mode)?;
                }

                #[test]
                fn to_integers(a in operand::<$format>(), mode in rounding()) {
                    check_integers::<$format>(a, mode)?;
                }

                #[test]
                fn from_integers(value in integer(), mode in rounding()) {
                    check_from_integer::<$format>(value, mode)?;
                }

                #[test]
                fn to_other_formats(a in operand::<$format>(), mode in rounding()) {
                    check_convert::<$format, $one>(a, mode)?;
                    check_convert::<$format, $other>(a, mode)?;
                }
            }
        }
    };
}

against!(half, sf::Half, sf::Single, sf::Double);
against!(single, sf::Single, sf::Half, sf::Double);
against!(double, sf::Double, sf::Half, sf::Single);
