//! The short way: host arithmetic, only where it cannot differ.
//!
//! With rounding to nearest even, Rust's `f32` and `f64` give the correctly rounded result. What they do not tell is the flags. If inexact is already set and the result is a number between the smallest normal and the largest, then no flag but
//! inexact can have arisen, and that one is set.

use crate::env::{Env, Flags, Rounding};
use crate::format::{Double, Format, Single};

/// Whether results need no rounding but the host's, and raising inexact changes nothing.
#[inline]
fn applies(env: &Env) -> bool {
    env.rounding == Rounding::NearestEven && env.flags.contains(Flags::INEXACT)
}

macro_rules! host_format {
    ($format:ty, $float:ty, $bits:ty, $width:expr, $fraction:expr) => {
        impl $format {
            /// The encoding of a result strictly between the edges. That shuts out everything that raises more than
            /// inexact: a NaN or an infinity, a zero divisor, overflow, and what is tiny or was before rounding.
            #[inline]
            fn between_edges(result: $float) -> Option<u64> {
                let magnitude = result.abs();
                (magnitude > <$float>::MIN_POSITIVE && magnitude <= <$float>::MAX).then(|| result.to_bits().into())
            }

            #[inline]
            fn host(bits: u64) -> $float {
                <$float>::from_bits(bits as $bits)
            }
        }

        impl Format for $format {
            const WIDTH: u32 = $width;
            const FRACTION: u32 = $fraction;

            #[inline]
            fn host_add(a: u64, b: u64, env: &Env) -> Option<u64> {
                if applies(env) {
                    Self::between_edges(Self::host(a) + Self::host(b))
                } else {
                    None
                }
            }

            #[inline]
            fn host_mul(a: u64, b: u64, env: &Env) -> Option<u64> {
                if applies(env) {
                    Self::between_edges(Self::host(a) * Self::host(b))
                } else {
                    None
                }
            }

            #[inline]
            fn host_div(a: u64, b: u64, env: &Env) -> Option<u64> {
                if applies(env) {
                    Self::between_edges(Self::host(a) / Self::host(b))
                } else {
                    None
                }
            }

            #[inline]
            fn host_mul_add(a: u64, b: u64, c: u64, env: &Env) -> Option<u64> {
                if applies(env) {
                    Self::between_edges(Self::host(a).mul_add(Self::host(b), Self::host(c)))
                } else {
                    None
                }
            }

            #[inline]
            fn host_sqrt(a: u64, env: &Env) -> Option<u64> {
                if applies(env) {
                    Self::between_edges(Self::host(a).sqrt())
                } else {
                    None
                }
            }
        }
    };
}

host_format!(Single, f32, u32, 32, 23);
host_format!(Double, f64, u64, 64, 52);
