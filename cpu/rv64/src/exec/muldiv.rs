//! M: multiplication and division (Unprivileged ISA, chapter "M").

use southbridge_core::System;

use super::{binary, sext};
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Op};

pub(crate) static TABLE: &[Entry] = &[
    Entry::r("mul", 0x33, 0, 1, X::M, mul),
    Entry::r("mulh", 0x33, 1, 1, X::M, mulh),
    Entry::r("mulhsu", 0x33, 2, 1, X::M, mulhsu),
    Entry::r("mulhu", 0x33, 3, 1, X::M, mulhu),
    Entry::r("div", 0x33, 4, 1, X::M, div),
    Entry::r("divu", 0x33, 5, 1, X::M, divu),
    Entry::r("rem", 0x33, 6, 1, X::M, rem),
    Entry::r("remu", 0x33, 7, 1, X::M, remu),
    Entry::r("mulw", 0x3b, 0, 1, X::M, mulw),
    Entry::r("divw", 0x3b, 4, 1, X::M, divw),
    Entry::r("divuw", 0x3b, 5, 1, X::M, divuw),
    Entry::r("remw", 0x3b, 6, 1, X::M, remw),
    Entry::r("remuw", 0x3b, 7, 1, X::M, remuw),
];

// Division by zero gives all ones and the dividend; the one overflow gives the dividend and zero.
binary! {
    mul(a, b) = a.wrapping_mul(b);
    mulh(a, b) = ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64;
    mulhsu(a, b) = (i128::from(a as i64).wrapping_mul(i128::from(b)) >> 64) as u64;
    mulhu(a, b) = ((u128::from(a) * u128::from(b)) >> 64) as u64;
    div(a, b) = if b == 0 { u64::MAX } else { (a as i64).wrapping_div(b as i64) as u64 };
    divu(a, b) = a.checked_div(b).unwrap_or(u64::MAX);
    rem(a, b) = if b == 0 { a } else { (a as i64).wrapping_rem(b as i64) as u64 };
    remu(a, b) = a.checked_rem(b).unwrap_or(a);
    mulw(a, b) = sext((a as u32).wrapping_mul(b as u32));
    divw(a, b) = if b as u32 == 0 { u64::MAX } else { sext((a as i32).wrapping_div(b as i32) as u32) };
    divuw(a, b) = sext((a as u32).checked_div(b as u32).unwrap_or(u32::MAX));
    remw(a, b) = if b as u32 == 0 { sext(a as u32) } else { sext((a as i32).wrapping_rem(b as i32) as u32) };
    remuw(a, b) = sext((a as u32).checked_rem(b as u32).unwrap_or(a as u32));
}
