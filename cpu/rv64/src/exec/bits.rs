//! Zba, Zbb, Zbc and Zbs (Unprivileged ISA, chapter "B" Extension).

use southbridge_core::System;

use super::binary;
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Op};

pub(crate) static TABLE: &[Entry] = &[Entry::r("andn", 0x33, 7, 0x20, X::ZBB, andn)];

binary! {
    andn(a, b) = a & !b;
}
