//! Zacas: compare and swap (Unprivileged ISA, chapter "Zacas").

use southbridge_core::System;

use super::sext;
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart, cause};
use crate::insn::{Entry, Format, Op, SINK};
use crate::tlb::Access;

const fn cas(name: &'static str, f3: u32, run: crate::insn::Handler) -> Entry {
    Entry::new(name, 0xf800_707f, 0x2800_002f | f3 << 12, Format::Amo, X::ZACAS, run)
}

pub(crate) static TABLE: &[Entry] = &[
    cas("amocas.w", 2, amocas_w),
    cas("amocas.d", 3, amocas_d),
    cas("amocas.q", 4, amocas_q),
];

/// The compared value is in `rd`, which a compare with `x0` has no place for.
fn compared(h: &Hart, op: &Op) -> u64 {
    if op.rd == SINK { 0 } else { h.x(op.rd) }
}

fn amocas_w(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let (want, new) = (compared(h, op) as u32, h.x(op.rs2) as u32);
    match h.modify::<u32>(sys, h.x(op.rs1), op.idx, |a| if a == want { new } else { a }) {
        Ok((old, flow)) => {
            h.set_x(op.rd, sext(old));
            flow
        }
        Err(flow) => flow,
    }
}

fn amocas_d(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let (want, new) = (compared(h, op), h.x(op.rs2));
    match h.modify::<u64>(sys, h.x(op.rs1), op.idx, |a| if a == want { new } else { a }) {
        Ok((old, flow)) => {
            h.set_x(op.rd, old);
            flow
        }
        Err(flow) => flow,
    }
}

/// Sixteen bytes; registers are pairs with even numbers, and a pair that begins with `x0` is zero.
fn amocas_q(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    let rd = if op.rd == SINK { 0 } else { op.rd };
    if rd & 1 != 0 || op.rs2 & 1 != 0 {
        return h.illegal();
    }
    let addr = h.x(op.rs1);
    if addr & 15 != 0 {
        return h.raise(cause::STORE_MISALIGNED, addr);
    }
    h.publish(sys, op.idx);
    let paddr = match h.reach(sys, addr, 16, Access::Write) {
        Ok(paddr) => paddr,
        Err(trap) => return h.fail(trap),
    };
    let pair = |r: u8| if r == 0 { (0, 0) } else { (h.x(r), h.x(r + 1)) };
    let (want, new) = (pair(rd), pair(op.rs2));
    let (Some(low), Some(high)) = (h.read_ram(sys, paddr, 8), h.read_ram(sys, paddr + 8, 8)) else {
        return h.raise(cause::STORE_ACCESS, addr);
    };
    if (low, high) == want {
        h.write_physical(sys, paddr, 8, new.0);
        h.write_physical(sys, paddr + 8, 8, new.1);
    }
    if rd != 0 {
        h.set_x(rd, low);
        h.set_x(rd + 1, high);
    }
    h.after_access(sys)
}
