//! Square roots by exact squares, and the cases where the standard leaves a choice.

use proptest::prelude::*;
use southbridge_cpu_softfloat as sf;
use southbridge_cpu_softfloat::{Class, Compare, Double, Env, Flags, Format, Half, Rounding, Single};

fn run(mode: Rounding, op: impl Fn(&mut Env) -> u64) -> (u64, Flags) {
    let mut env = Env::new(mode);
    (op(&mut env), env.flags)
}

fn nearest(op: impl Fn(&mut Env) -> u64) -> (u64, Flags) {
    run(Rounding::NearestEven, op)
}

/// A positive finite number as `odd integer * 2^exponent`.
fn as_integer<F: Format>(bits: u64) -> (u128, i32) {
    let bias = (1 << (F::WIDTH - 2 - F::FRACTION)) - 1;
    let (field, fraction) = (bits >> F::FRACTION, bits & ((1 << F::FRACTION) - 1));
    let hidden = u64::from(field != 0) << F::FRACTION;
    (
        u128::from(fraction | hidden),
        field.max(1) as i32 - bias - F::FRACTION as i32,
    )
}

/// How the square of `low + half a unit` (`doubled` counts half units), or of `low` itself, stands to `x`: all in integers.
fn square_cmp((root, root_exp): (u128, i32), (x, x_exp): (u128, i32)) -> std::cmp::Ordering {
    let shift = x_exp - 2 * root_exp;
    match shift {
        0.. if shift as u32 > x.leading_zeros() => std::cmp::Ordering::Less,
        0.. => (root * root).cmp(&(x << shift)),
        _ if shift.unsigned_abs() >= 128 => (root * root).cmp(&0),
        _ => {
            let square = root * root;
            let (top, rest) = (
                square >> shift.unsigned_abs(),
                square & ((1 << shift.unsigned_abs()) - 1),
            );
            top.cmp(&x).then(if rest == 0 {
                std::cmp::Ordering::Equal
            } else {
                std::cmp::Ordering::Greater
            })
        }
    }
}

/// The root rounded down, up, and to nearest stand to the operand as they must, and inexact says whether they differ.
fn check_root<F: Format>(x: u64) -> Result<(), TestCaseError> {
    let value = as_integer::<F>(x);
    let (down, flags) = run(Rounding::Down, |e| sf::sqrt::<F>(x, e));
    let (up, _) = run(Rounding::Up, |e| sf::sqrt::<F>(x, e));
    let (truncated, _) = run(Rounding::TowardZero, |e| sf::sqrt::<F>(x, e));
    prop_assert_eq!(truncated, down);
    let exact = square_cmp(as_integer::<F>(down), value).is_eq();
    prop_assert_eq!(flags, if exact { Flags::NONE } else { Flags::INEXACT });
    prop_assert_eq!(up, if exact { down } else { down + 1 });
    if !exact {
        prop_assert!(square_cmp(as_integer::<F>(down), value).is_lt());
        prop_assert!(square_cmp(as_integer::<F>(up), value).is_gt());
    }
    // A root is never halfway between two numbers, so both ways to nearest agree.
    let (root, exponent) = as_integer::<F>(down);
    let middle_is_above = square_cmp((2 * root + 1, exponent - 1), value).is_gt();
    for mode in [Rounding::NearestEven, Rounding::NearestAway] {
        let (near, _) = run(mode, |e| sf::sqrt::<F>(x, e));
        prop_assert_eq!(near, if exact || middle_is_above { down } else { up });
        let mut sticky = Env {
            rounding: mode,
            flags: Flags::INEXACT,
        };
        prop_assert_eq!(sf::sqrt::<F>(x, &mut sticky), near);
        prop_assert_eq!(sticky.flags, Flags::INEXACT);
    }
    Ok(())
}

/// A root whose square fits its format.
fn perfect<F: Format>(root: u64) -> u64 {
    let root = root & ((1 << (F::FRACTION / 2)) - 1) | 1;
    nearest(|e| sf::from_u64::<F>(root * root, e)).0
}

#[test]
fn every_half_has_its_root() {
    for x in 1..0x7c00 {
        check_root::<Half>(x).unwrap_or_else(|e| panic!("{x:x}: {e}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn roots_square_to_their_operand(single in 1..0x7f80_0000u64, double in 1..0x7ff0_0000_0000_0000u64, tiny in 1..1u64 << 52) {
        check_root::<Single>(single)?;
        check_root::<Single>(tiny >> 29 | 1)?;
        check_root::<Double>(double)?;
        check_root::<Double>(tiny)?;
        // Perfect squares, and their neighbours.
        for d in 0..3 {
            check_root::<Single>(perfect::<Single>(tiny) + d - 1)?;
            check_root::<Double>(perfect::<Double>(tiny) + d - 1)?;
        }
    }

    #[test]
    fn doubles_agree_with_the_host(a in any::<u64>(), b in any::<u64>(), near in any::<u64>()) {
        // The same exponent or so as `a`, else nearly all sums are one of their operands.
        let near = (a & !0xf_ffff_ffff_ffff) ^ (near & 0x803f_ffff_ffff_ffff);
        for b in [b, near] {
            let (x, y) = (f64::from_bits(a), f64::from_bits(b));
            let canonical = |v: f64| if v.is_nan() { sf::canonical_nan::<Double>() } else { v.to_bits() };
            prop_assert_eq!(nearest(|e| sf::add::<Double>(a, b, e)).0, canonical(x + y));
            prop_assert_eq!(nearest(|e| sf::sub::<Double>(a, b, e)).0, canonical(x - y));
            prop_assert_eq!(nearest(|e| sf::mul::<Double>(a, b, e)).0, canonical(x * y));
            prop_assert_eq!(nearest(|e| sf::div::<Double>(a, b, e)).0, canonical(x / y));
            prop_assert_eq!(nearest(|e| sf::mul_add::<Double>(a, b, near, e)).0, canonical(x.mul_add(y, f64::from_bits(near))));
            prop_assert_eq!(nearest(|e| sf::sqrt::<Double>(a, e)).0, canonical(x.sqrt()));
        }
    }
}

#[test]
fn tininess_is_judged_after_rounding_to_full_precision() {
    const MIN_NORMAL: u64 = 0x0010_0000_0000_0000;
    let both = {
        let mut f = Flags::UNDERFLOW;
        f.raise(Flags::INEXACT);
        f
    };
    // (1 - 2^-53) * 2^-1022 fits a number of full precision: rounded to a subnormal's place it is the smallest normal.
    let below_one = 0x3fef_ffff_ffff_ffff;
    assert_eq!(
        nearest(|e| sf::mul::<Double>(MIN_NORMAL, below_one, e)),
        (MIN_NORMAL, both)
    );
    // (1 + 2^-52) * (1 - 2^-53) * 2^-1022 = (1 + 2^-53 - 2^-105) * 2^-1022: not tiny.
    assert_eq!(
        nearest(|e| sf::mul::<Double>(MIN_NORMAL + 1, below_one, e)),
        (MIN_NORMAL, Flags::INEXACT)
    );
    // (1 - 2^-54) * 2^-1022 from a fused operation rounds up to the smallest normal even at full precision.
    let close = nearest(|e| sf::mul_add::<Double>(0x8000_0000_0000_0001, 0x3fd0_0000_0000_0000, MIN_NORMAL, e));
    assert_eq!(close, (MIN_NORMAL, Flags::INEXACT));
    // Exact subnormals are no underflow.
    assert_eq!(
        nearest(|e| sf::mul::<Double>(MIN_NORMAL, 0x3fe0_0000_0000_0000, e)),
        (MIN_NORMAL / 2, Flags::NONE)
    );
}

#[test]
fn overflow_is_one_in_every_mode() {
    const MAX: u64 = 0x7fef_ffff_ffff_ffff;
    const INFINITY: u64 = 0x7ff0_0000_0000_0000;
    const SIGN: u64 = 1 << 63;
    let mut flags = Flags::OVERFLOW;
    flags.raise(Flags::INEXACT);
    let twice = |mode, value| run(mode, |e| sf::add::<Double>(value, value, e));
    for (mode, positive, negative) in [
        (Rounding::NearestEven, INFINITY, INFINITY),
        (Rounding::NearestAway, INFINITY, INFINITY),
        (Rounding::TowardZero, MAX, MAX),
        (Rounding::Down, MAX, INFINITY),
        (Rounding::Up, INFINITY, MAX),
    ] {
        assert_eq!(twice(mode, MAX), (positive, flags));
        assert_eq!(twice(mode, MAX | SIGN), (negative | SIGN, flags));
    }
    // Rounded to the largest from just above it, nothing overflows: the unbounded result would be the same.
    let unit = 0x7ca0_0000_0000_0000 - (2 << 52);
    assert_eq!(
        run(Rounding::TowardZero, |e| sf::add::<Double>(MAX, unit, e)),
        (MAX, Flags::INEXACT)
    );
}

#[test]
fn infinity_times_zero_is_invalid_beside_a_quiet_nan() {
    let (infinity, nan) = (0x7f80_0000, 0x7fc0_1234);
    let canonical = sf::canonical_nan::<Single>();
    assert_eq!(
        nearest(|e| sf::mul_add::<Single>(infinity, 0, nan, e)),
        (canonical, Flags::INVALID)
    );
    assert_eq!(
        nearest(|e| sf::mul_add::<Single>(0, 0, nan, e)),
        (canonical, Flags::NONE)
    );
    assert_eq!(
        nearest(|e| sf::mul_add::<Single>(0, 0, 0x7f80_0001, e)),
        (canonical, Flags::INVALID)
    );
}

#[test]
fn minimum_and_maximum_prefer_numbers_and_know_signs_of_zero() {
    let (quiet, signalling, one, minus_zero) = (0x7fc0_0001, 0x7f80_0001, 0x3f80_0000, 0x8000_0000);
    for op in [sf::min::<Single>, sf::max::<Single>] {
        assert_eq!(nearest(|e| op(quiet, one, e)), (one, Flags::NONE));
        assert_eq!(nearest(|e| op(one, signalling, e)), (one, Flags::INVALID));
        assert_eq!(nearest(|e| op(quiet, signalling, e)), (0x7fc0_0000, Flags::INVALID));
        assert_eq!(nearest(|e| op(quiet, quiet, e)), (0x7fc0_0000, Flags::NONE));
    }
    for (a, b) in [(0, minus_zero), (minus_zero, 0)] {
        assert_eq!(nearest(|e| sf::min::<Single>(a, b, e)), (minus_zero, Flags::NONE));
        assert_eq!(nearest(|e| sf::max::<Single>(a, b, e)), (0, Flags::NONE));
    }
    assert_eq!(
        nearest(|e| sf::min::<Single>(one, 0xff80_0000, e)),
        (0xff80_0000, Flags::NONE)
    );
    assert_eq!(nearest(|e| sf::max::<Single>(one, 0xff80_0000, e)), (one, Flags::NONE));
}

#[test]
fn signalling_comparison_dislikes_every_nan() {
    let flags = |a, kind| {
        let mut env = Env::default();
        assert_eq!(sf::compare::<Half>(a, 0x3c00, kind, &mut env), None);
        env.flags
    };
    assert_eq!(flags(0x7e00, Compare::Quiet), Flags::NONE);
    assert_eq!(flags(0x7e00, Compare::Signalling), Flags::INVALID);
    assert_eq!(flags(0x7c01, Compare::Quiet), Flags::INVALID);
    assert_eq!(flags(0x7c01, Compare::Signalling), Flags::INVALID);
}

#[test]
fn each_class_has_its_bit() {
    let classes = [
        (0xfc00, Class::NegativeInfinity),
        (0xbc00, Class::NegativeNormal),
        (0x8001, Class::NegativeSubnormal),
        (0x8000, Class::NegativeZero),
        (0x0000, Class::PositiveZero),
        (0x03ff, Class::PositiveSubnormal),
        (0x0400, Class::PositiveNormal),
        (0x7c00, Class::PositiveInfinity),
        (0x7c01, Class::SignallingNan),
        (0xfe00, Class::QuietNan),
    ];
    for (bit, (value, class)) in classes.into_iter().enumerate() {
        assert_eq!(sf::classify::<Half>(value), class);
        assert_eq!(class.mask(), 1 << bit);
    }
}

#[test]
fn conversions_to_integers_saturate() {
    let check = |a: f64, mode, want: (i32, u32, i64, u64), nv: [bool; 4]| {
        let a = a.to_bits();
        let mut envs = [Env::new(mode); 4];
        let [e0, e1, e2, e3] = &mut envs;
        let got = (
            sf::to_i32::<Double>(a, e0),
            sf::to_u32::<Double>(a, e1),
            sf::to_i64::<Double>(a, e2),
            sf::to_u64::<Double>(a, e3),
        );
        assert_eq!(got, want);
        assert_eq!(envs.map(|e| e.flags == Flags::INVALID), nv);
    };
    let (rtz, rup, rdn) = (Rounding::TowardZero, Rounding::Up, Rounding::Down);
    check(f64::NAN, rtz, (i32::MAX, u32::MAX, i64::MAX, u64::MAX), [true; 4]);
    check(f64::INFINITY, rtz, (i32::MAX, u32::MAX, i64::MAX, u64::MAX), [true; 4]);
    check(f64::NEG_INFINITY, rtz, (i32::MIN, 0, i64::MIN, 0), [true; 4]);
    check(-1.0, rtz, (-1, 0, -1, 0), [false, true, false, true]);
    check(-0.9, rtz, (0, 0, 0, 0), [false; 4]);
    check(-0.9, rdn, (-1, 0, -1, 0), [false, true, false, true]);
    check(
        2147483647.5,
        rtz,
        (i32::MAX, 2147483647, 2147483647, 2147483647),
        [false; 4],
    );
    check(
        2147483647.5,
        rup,
        (i32::MAX, 2147483648, 2147483648, 2147483648),
        [true, false, false, false],
    );
    check(
        -9223372036854775808.0,
        rtz,
        (i32::MIN, 0, i64::MIN, 0),
        [true, true, false, true],
    );
    check(
        18446744073709549568.0,
        rtz,
        (i32::MAX, u32::MAX, i64::MAX, 18446744073709549568),
        [true, true, true, false],
    );
}

#[test]
fn integral_rounding_may_keep_quiet_about_it() {
    let half_past_two = 2.5f64.to_bits();
    assert_eq!(
        nearest(|e| sf::round_to_integral::<Double>(half_past_two, true, e)),
        (2.0f64.to_bits(), Flags::INEXACT)
    );
    assert_eq!(
        nearest(|e| sf::round_to_integral::<Double>(half_past_two, false, e)),
        (2.0f64.to_bits(), Flags::NONE)
    );
    let little_below = (-0.25f64).to_bits();
    assert_eq!(
        nearest(|e| sf::round_to_integral::<Double>(little_below, false, e)),
        ((-0.0f64).to_bits(), Flags::NONE)
    );
}

#[test]
fn upper_bits_of_a_narrow_operand_do_not_count() {
    let one = 0xdead_beef_3f80_0000;
    assert_eq!(nearest(|e| sf::add::<Single>(one, 0, e)).0, 0x3f80_0000);
    assert_eq!(nearest(|e| sf::add::<Single>(one, one, e)).0, 0x4000_0000);
    assert_eq!(nearest(|e| sf::min::<Single>(one, one, e)).0, 0x3f80_0000);
    assert_eq!(sf::negate::<Single>(one), 0xbf80_0000);
    assert!(!sf::is_nan::<Single>(one));
}
