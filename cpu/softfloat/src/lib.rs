//! IEEE 754-2019 arithmetic on raw bits: what a guest's floating-point unit computes, independent of the host's.
//!
//! A value is a `u64` that holds the encoding in its low bits; the upper bits of narrower formats are ignored on input and zero on
//! output. The format is a type parameter ([`Half`], [`Single`], [`Double`]), so there is one algorithm and the compiler
//! makes the three copies. Every operation takes an [`Env`]: the rounding mode to use, and the sticky exception flags that it adds to.
//!
//! Choices where the standard leaves one are those of the RISC-V unprivileged specification, chapter "F":
//! results that are NaN are always the canonical quiet NaN (payloads are not propagated), tininess is detected after
//! rounding, conversions to integers saturate with NaN as the largest value, and minimum/maximum prefer the number to the NaN.
//!
//! What is not here: registers, NaN boxing, control and status registers, traps. Those are the engine's.

mod arith;
mod compare;
mod convert;
mod env;
mod format;
mod fused;
mod host;
mod round;

pub use arith::{add, div, mul, sqrt, sub};
pub use compare::{Class, Compare, classify, compare, max, min};
pub use convert::{convert, from_i64, from_u64, round_to_integral, to_i32, to_i64, to_u32, to_u64};
pub use env::{Env, Flags, Rounding};
pub use format::{Double, Format, Half, Single, canonical_nan, is_nan, is_signalling_nan, negate};
pub use fused::mul_add;
