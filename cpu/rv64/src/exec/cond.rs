//! Zicond: conditional zero (Unprivileged ISA, chapter "Zicond").

use southbridge_core::System;
use southbridge_cpu_jit::Word;

use super::binary;
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Op};

pub(crate) static TABLE: &[Entry] = &[
    Entry::r("czero.eqz", 0x33, 5, 0x07, X::ZICOND, czero_eqz),
    Entry::r("czero.nez", 0x33, 7, 0x07, X::ZICOND, czero_nez),
];

binary! { REGISTER:
    czero_eqz(a, b) = b.pick(a, b);
    czero_nez(a, b) = b.pick(b.constant(0), a);
}
