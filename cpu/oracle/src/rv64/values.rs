//! Random values as tests want them: mostly at the edges.

use crate::rng::Rng;

/// An integer.
pub fn integer(r: &mut Rng) -> u64 {
    match r.below(10) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << r.below(64),
        3 => (1 << r.below(64)) - 1,
        4 => *r.pick(&[
            1 << 31,
            0xffff_ffff,
            0x7fff_ffff,
            i32::MIN as i64 as u64,
            i64::MIN as u64,
        ]),
        5 => r.u64() >> r.below(64),
        6 => r.u32() as i32 as i64 as u64,
        7 => u64::from(r.below(70)),
        _ => r.u64(),
    }
}

/// A floating-point number of `width` bits with `fraction` bits of fraction.
fn float_of(r: &mut Rng, width: u32, fraction: u32) -> u64 {
    let top = (1u64 << (width - 1 - fraction)) - 1;
    let bias = top >> 1;
    let exponent = match r.below(6) {
        0 => *r.pick(&[0, 1, 2, top - 1, top]),
        1 => bias - 2 + u64::from(r.below(4)),
        2 => bias.saturating_sub(u64::from(fraction)) + u64::from(r.below(3 * fraction)),
        3 => bias + u64::from(r.below(70)),
        _ => r.u64() & top,
    };
    let all = (1u64 << fraction) - 1;
    let digits = match r.below(7) {
        0 => 0,
        1 => all,
        2 => 1 << r.below(fraction),
        3 => all >> 1,
        4 => (all >> 1) + 1,
        _ => r.u64() & all,
    };
    (r.u64() & 1) << (width - 1) | exponent.min(top) << fraction | digits
}

/// What a floating-point register may hold: a boxed number of some format, or something badly boxed.
pub fn float(r: &mut Rng) -> u64 {
    match r.below(10) {
        0..4 => float_of(r, 64, 52),
        4..7 => 0xffff_ffff_0000_0000 | float_of(r, 32, 23),
        7..9 => 0xffff_ffff_ffff_0000 | float_of(r, 16, 10),
        _ => *r.pick(&[0, 0xffff_0000, u64::MAX, 0x7fc0_0000]) ^ r.u64() >> r.below(64),
    }
}

/// Four instructions that trap at once, or soon after.
pub fn trapping(r: &mut Rng) -> u64 {
    (0..4).fold(0, |v, _| v << 16 | if r.chance(50) { 0x9002 } else { 0 })
}
