//! Zawrs: wait on reservation set; and the hint `pause` (Unprivileged ISA, chapters "Zawrs" and "Zihintpause").
//!
//! A wait may end for any reason. Other harts run only when this one's turn is over, so that the turn ends here.

use southbridge_core::System;

use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Format, Kind, Op};
use crate::state::{Sleep, mode, status};

pub(crate) static TABLE: &[Entry] = &[
    Entry::new("pause", u32::MAX, 0x0100_000f, Format::None, X::ZIHINTPAUSE, pause).kind(Kind::Ends),
    Entry::new("wrs.nto", u32::MAX, 0x00d0_0073, Format::None, X::ZAWRS, wrs_nto).kind(Kind::Ends),
    Entry::new("wrs.sto", u32::MAX, 0x01d0_0073, Format::None, X::ZAWRS, wrs_sto).kind(Kind::Ends),
];

fn wrs_nto(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if h.s.prv < mode::M && h.s.mstatus & status::TW != 0 {
        return h.illegal();
    }
    pause(h, sys, op)
}

fn wrs_sto(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    pause(h, sys, op)
}

fn pause(h: &mut Hart, _: &mut System, _: &Op) -> Flow {
    h.s.sleep = Sleep::Yields;
    h.look_up = true;
    Flow::SYNC
}
