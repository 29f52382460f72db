//! Nanoseconds an operation, on the way without host arithmetic (no flag set yet) and with it.

use divan::{Bencher, black_box};
use southbridge_cpu_softfloat::{Double, Env, Flags, Rounding, add, div, mul, mul_add, sqrt};

fn main() {
    divan::main();
}

const N: usize = 1000;

/// Operands of the same magnitude with full significands, so that every result is rounded.
fn operands() -> Vec<u64> {
    (1..=N as u64 + 2)
        .map(|i| (1.0 + (i as f64).sqrt() / 33.0).to_bits())
        .collect()
}

/// `sticky` is whether inexact is set beforehand.
fn each(bencher: Bencher<'_, '_>, sticky: bool, op: impl Fn(&[u64], &mut Env) -> u64 + Sync) {
    let values = operands();
    bencher.counter(divan::counter::ItemsCount::new(N)).bench(|| {
        let mut sum = 0u64;
        for window in black_box(&values).windows(3) {
            let flags = if sticky { Flags::INEXACT } else { Flags::NONE };
            sum ^= op(
                window,
                &mut Env {
                    rounding: Rounding::NearestEven,
                    flags,
                },
            );
        }
        sum
    });
}

#[divan::bench(args = [false, true])]
fn double_add(b: Bencher<'_, '_>, sticky: bool) {
    each(b, sticky, |v, env| add::<Double>(v[0], v[1], env));
}

#[divan::bench(args = [false, true])]
fn double_mul(b: Bencher<'_, '_>, sticky: bool) {
    each(b, sticky, |v, env| mul::<Double>(v[0], v[1], env));
}

#[divan::bench(args = [false, true])]
fn double_div(b: Bencher<'_, '_>, sticky: bool) {
    each(b, sticky, |v, env| div::<Double>(v[0], v[1], env));
}

#[divan::bench(args = [false, true])]
fn double_sqrt(b: Bencher<'_, '_>, sticky: bool) {
    each(b, sticky, |v, env| sqrt::<Double>(v[0], env));
}

#[divan::bench(args = [false, true])]
fn double_mul_add(b: Bencher<'_, '_>, sticky: bool) {
    each(b, sticky, |v, env| mul_add::<Double>(v[0], v[1], v[2], env));
}
