//! Two instructions in one operation: what stands between them is half of what an interpreter does.
//!
//! The semantics are those of `base`, one behind the other; a pair is nothing that a guest could tell. Where fewer instructions are to be
//! executed than a block has, the engine decodes them one by one instead. Only what is frequent in compiled code is here.

use southbridge_core::System;
use std::collections::HashMap;

use super::base;
use crate::hart::{Flow, Hart};
use crate::insn::{Handler, Op};

/// The operations of pairs, by mnemonics.
pub(crate) type Pairs = HashMap<(&'static str, &'static str), Handler>;

#[inline(always)]
fn both(
    h: &mut Hart,
    sys: &mut System,
    op: &Op,
    first: impl Fn(&mut Hart, &mut System, &Op) -> Flow,
    second: impl Fn(&mut Hart, &mut System, &Op) -> Flow,
) -> Flow {
    let flow = first(h, sys, &op.first());
    if flow != Flow::NEXT {
        return flow.in_first();
    }
    second(h, sys, op)
}

macro_rules! firsts {
    ($($first:ident)+) => {
        /// All that there are.
        pub(crate) fn all() -> Pairs {
            let mut pairs = Pairs::new();
            $(seconds!(pairs, $first);)+
            pairs
        }
    };
}
macro_rules! seconds {
    ($pairs:ident, $first:ident) => {
        seconds!{ $pairs, $first:
        addi add sub and andi or ori xor xori slli srli srai addiw addw subw slliw srliw sraiw lui auipc
        sltu sltiu slt ld lw lwu lbu lhu lh lb sd sw sb sh beq bne blt bge bltu bgeu jal jalr
        }
    };
    ($pairs:ident, $first:ident: $($second:ident)+) => {
        $($pairs.insert(
            (stringify!($first), stringify!($second)),
            |h, sys, op| both(h, sys, op, base::$first, base::$second),
        );)+
    };
}
firsts! {
        addi add sub and andi or xor slli srli srai addiw addw subw lui auipc ld lw lbu sd sw
}
