//! M: multiplication and division (Unprivileged ISA, chapter "M").

use southbridge_core::System;
use southbridge_cpu_jit::Word;

use super::binary;
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
binary! { REGISTER:
    mul(a, b) = a.wrapping_mul(b);
    mulh(a, b) = a.mul_high_signed(b);
    mulhsu(a, b) = a.mul_high_unsigned(b).wrapping_sub(a.sar(a.constant(63)) & b);
    mulhu(a, b) = a.mul_high_unsigned(b);
    div(a, b) = {
        let (none, one) = (b.is(b.constant(0)), b.constant(1));
        let overflow = a.is(a.constant(1 << 63)) & b.is(b.constant(u64::MAX));
        none.pick(a.constant(u64::MAX), a.div_signed((none | overflow).pick(one, b)))
    };
    divu(a, b) = {
        let none = b.is(b.constant(0));
        none.pick(a.constant(u64::MAX), a.div_unsigned(none.pick(b.constant(1), b)))
    };
    rem(a, b) = {
        let (none, one) = (b.is(b.constant(0)), b.constant(1));
        let overflow = a.is(a.constant(1 << 63)) & b.is(b.constant(u64::MAX));
        none.pick(a, a.rem_signed((none | overflow).pick(one, b)))
    };
    remu(a, b) = {
        let none = b.is(b.constant(0));
        none.pick(a, a.rem_unsigned(none.pick(b.constant(1), b)))
    };
    mulw(a, b) = a.wrapping_mul(b).signed32();
    divw(a, b) = {
        let none = b.low(32).is(b.constant(0));
        none.pick(a.constant(u64::MAX), a.signed32().div_signed(none.pick(b.constant(1), b.signed32())).signed32())
    };
    divuw(a, b) = {
        let none = b.low(32).is(b.constant(0));
        none.pick(a.constant(u64::MAX), a.low(32).div_unsigned(none.pick(b.constant(1), b.low(32))).signed32())
    };
    remw(a, b) = {
        let none = b.low(32).is(b.constant(0));
        none.pick(a.signed32(), a.signed32().rem_signed(none.pick(b.constant(1), b.signed32())).signed32())
    };
    remuw(a, b) = {
        let none = b.low(32).is(b.constant(0));
        none.pick(a.signed32(), a.low(32).rem_unsigned(none.pick(b.constant(1), b.low(32))).signed32())
    };
}
