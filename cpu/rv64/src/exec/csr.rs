//! Zicsr: the instructions that reach control and status registers. The registers are under `csr/`.

use southbridge_core::System;

use crate::csr;
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Format, Op, SINK};
use crate::state::irq;

const MIP: u16 = 0x344;

pub(crate) static TABLE: &[Entry] = &[
    Entry::op3("csrrw", 0x73, 1, Format::Csr, X::ZICSR, csrrw),
    Entry::op3("csrrs", 0x73, 2, Format::Csr, X::ZICSR, csrrs),
    Entry::op3("csrrc", 0x73, 3, Format::Csr, X::ZICSR, csrrc),
    Entry::op3("csrrwi", 0x73, 5, Format::CsrImm, X::ZICSR, csrrwi),
    Entry::op3("csrrsi", 0x73, 6, Format::CsrImm, X::ZICSR, csrrsi),
    Entry::op3("csrrci", 0x73, 7, Format::CsrImm, X::ZICSR, csrrci),
];

/// Reads unless nobody wants the value, then writes what `change` makes of it, if anything.
fn access(h: &mut Hart, sys: &mut System, op: &Op, reads: bool, change: Option<impl FnOnce(u64) -> u64>) -> Flow {
    let number = op.imm as u16;
    h.publish(sys, op.idx);
    let Some(row) = csr::permitted(h, number, change.is_some(), h.s.prv) else {
        return h.illegal();
    };
    let old = match reads {
        true => match (row.read)(h, Some(sys), number) {
            Some(v) => v,
            None => return h.illegal(),
        },
        false => 0,
    };
    // What software set of SEIP is written back, not what the line adds to it (Privileged ISA, "Machine Interrupt Registers").
    let base = match number {
        MIP => old & !irq::SEI | h.s.mip & irq::SEI,
        _ => old,
    };
    if let Some(change) = change
        && !(row.write)(h, Some(sys), number, change(base))
    {
        return h.illegal();
    }
    h.set_x(op.rd, old);
    if h.look_up { Flow::SYNC } else { Flow::NEXT }
}

fn csrrw(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let v = h.x(op.rs1);
    access(h, sys, op, op.rd != SINK, Some(|_| v))
}

fn csrrs(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let v = h.x(op.rs1);
    access(h, sys, op, true, (op.rs1 != 0).then_some(|old| old | v))
}

fn csrrc(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let v = h.x(op.rs1);
    access(h, sys, op, true, (op.rs1 != 0).then_some(|old: u64| old & !v))
}

fn csrrwi(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let v = u64::from(op.rs1);
    access(h, sys, op, op.rd != SINK, Some(|_| v))
}

fn csrrsi(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let v = u64::from(op.rs1);
    access(h, sys, op, true, (v != 0).then_some(|old| old | v))
}

fn csrrci(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let v = u64::from(op.rs1);
    access(h, sys, op, true, (v != 0).then_some(|old: u64| old & !v))
}
