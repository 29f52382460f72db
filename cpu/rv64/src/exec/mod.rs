//! Semantics, one file per extension, each with its rows of the instruction table at its head.
//!
//! A handler reads its operands from the [`Op`](crate::insn::Op). It must not touch the PC unless its row is of
//! [`Kind::Ends`](crate::insn::Kind): within a block the PC is the address of the block's start.

pub(crate) mod atomic;
pub(crate) mod base;
pub(crate) mod bits;
pub(crate) mod cache;
pub(crate) mod cond;
pub(crate) mod csr;
pub(crate) mod float;
pub(crate) mod muldiv;
pub(crate) mod pairs;
pub(crate) mod system;
pub(crate) mod zacas;
pub(crate) mod zawrs;

use crate::insn::Entry;

/// All rows. An instruction is the first row that matches.
pub(crate) static TABLES: &[&[Entry]] = &[
    // Before `fence`, of which `pause` is one.
    zawrs::TABLE,
    base::TABLE,
    muldiv::TABLE,
    atomic::TABLE,
    csr::TABLE,
    system::TABLE,
    bits::TABLE,
    float::SINGLE,
    float::DOUBLE,
    float::HALF,
    float::BETWEEN,
    cache::TABLE,
    cond::TABLE,
    zacas::TABLE,
];

/// What instructions mean in terms that also become IR, by handler. Those that are missing are executed by their handlers alone.
pub(crate) static MEANINGS: &[&[(&str, crate::lift::Meaning)]] = &[
    base::IMMEDIATE,
    base::REGISTER,
    base::BRANCHES,
    base::LOADS,
    base::STORES,
    base::OTHERS,
    muldiv::REGISTER,
    bits::REGISTER,
    bits::IMMEDIATE,
    cond::REGISTER,
];

/// Defines handlers `name(a, b) = result` on `rs1` and `rs2`, or on `rs1` and the immediate. The result is written over [`Word`], so that
/// it also becomes IR; the first name is that of the list of those meanings.
macro_rules! binary {
    ($list:ident: $($(#[$doc:meta])* $name:ident($a:ident, $b:ident) = $value:expr;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            pub(super) fn $name(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
                let ($a, $b) = (h.x(op.rs1), h.x(op.rs2));
                h.set_x(op.rd, $value);
                Flow::NEXT
            }
        )+
        pub(crate) static $list: &[(&str, $crate::lift::Meaning)] = &[
            $((stringify!($name), $crate::lift::Meaning::Two(|$a, $b| $value)),)+
        ];
    };
}
macro_rules! with_imm {
    ($list:ident: $($(#[$doc:meta])* $name:ident($a:ident, $imm:ident) = $value:expr;)+) => {
        $(
            $(#[$doc])*
            #[inline]
            pub(super) fn $name(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
                let ($a, $imm) = (h.x(op.rs1), op.imm as i64 as u64);
                h.set_x(op.rd, $value);
                Flow::NEXT
            }
        )+
        pub(crate) static $list: &[(&str, $crate::lift::Meaning)] = &[
            $((stringify!($name), $crate::lift::Meaning::Immediate(|$a, $imm| $value)),)+
        ];
    };
}
pub(crate) use {binary, with_imm};

/// The low 32 bits, sign-extended: how every word operation ends.
#[inline(always)]
pub(crate) fn sext(v: u32) -> u64 {
    v as i32 as i64 as u64
}

/// The operation of what is no instruction, as number `idx` of its block.
pub(crate) fn undefined(idx: u8) -> crate::insn::Op {
    crate::insn::Op {
        run: |h, _, _| h.illegal(),
        imm: 0,
        rd: crate::insn::SINK,
        rs1: 0,
        rs2: 0,
        idx,
        before: (0, 0, 0, 0),
    }
}
