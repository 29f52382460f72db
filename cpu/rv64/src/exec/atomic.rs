//! A: load-reserved, store-conditional and the AMOs (Unprivileged ISA, chapter "A").
//!
//! Harts of a machine take turns between instructions, so that every AMO is atomic by itself. A store-conditional succeeds while the
//! place that was reserved still holds what was read: a store of the same value by another goes unseen, as nothing can tell.

use southbridge_core::System;

use super::sext;
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart, cause};
use crate::insn::{Entry, Format, Op};
use crate::state::Reservation;
use crate::tlb::Access;

/// aq and rl have no meaning where everything is in order.
const MASK: u32 = 0xf800_707f;

const fn amo(name: &'static str, f5: u32, wide: bool, run: crate::insn::Handler) -> Entry {
    let f3 = if wide { 3 } else { 2 };
    Entry::new(name, MASK, 0x2f | f3 << 12 | f5 << 27, Format::Amo, X::A, run)
}

pub(crate) static TABLE: &[Entry] = &[
    Entry::new("lr.w", MASK | 31 << 20, 0x1000_202f, Format::Lr, X::A, lr_w),
    Entry::new("lr.d", MASK | 31 << 20, 0x1000_302f, Format::Lr, X::A, lr_d),
    amo("sc.w", 3, false, sc_w),
    amo("sc.d", 3, true, sc_d),
    amo("amoswap.w", 1, false, amoswap_w),
    amo("amoadd.w", 0, false, amoadd_w),
    amo("amoxor.w", 4, false, amoxor_w),
    amo("amoand.w", 12, false, amoand_w),
    amo("amoor.w", 8, false, amoor_w),
    amo("amomin.w", 16, false, amomin_w),
    amo("amomax.w", 20, false, amomax_w),
    amo("amominu.w", 24, false, amominu_w),
    amo("amomaxu.w", 28, false, amomaxu_w),
    amo("amoswap.d", 1, true, amoswap_d),
    amo("amoadd.d", 0, true, amoadd_d),
    amo("amoxor.d", 4, true, amoxor_d),
    amo("amoand.d", 12, true, amoand_d),
    amo("amoor.d", 8, true, amoor_d),
    amo("amomin.d", 16, true, amomin_d),
    amo("amomax.d", 20, true, amomax_d),
    amo("amominu.d", 24, true, amominu_d),
    amo("amomaxu.d", 28, true, amomaxu_d),
];

/// What a wide AMO gives back.
fn same(v: u64) -> u64 {
    v
}

macro_rules! amos {
    ($($name:ident: $t:ty, $wide:ident, |$a:ident, $b:ident| $new:expr;)+) => { $(
        fn $name(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
            let (addr, $b) = (h.x(op.rs1), h.x(op.rs2) as $t);
            match h.modify::<$t>(sys, addr, op.idx, |$a| $new) {
                Ok((old, flow)) => {
                    h.set_x(op.rd, $wide(old));
                    flow
                }
                Err(flow) => flow,
            }
        }
    )+ };
}
amos! {
    amoswap_w: u32, sext, |_a, b| b;
    amoadd_w: u32, sext, |a, b| a.wrapping_add(b);
    amoxor_w: u32, sext, |a, b| a ^ b;
    amoand_w: u32, sext, |a, b| a & b;
    amoor_w: u32, sext, |a, b| a | b;
    amomin_w: u32, sext, |a, b| (a as i32).min(b as i32) as u32;
    amomax_w: u32, sext, |a, b| (a as i32).max(b as i32) as u32;
    amominu_w: u32, sext, |a, b| a.min(b);
    amomaxu_w: u32, sext, |a, b| a.max(b);
    amoswap_d: u64, same, |_a, b| b;
    amoadd_d: u64, same, |a, b| a.wrapping_add(b);
    amoxor_d: u64, same, |a, b| a ^ b;
    amoand_d: u64, same, |a, b| a & b;
    amoor_d: u64, same, |a, b| a | b;
    amomin_d: u64, same, |a, b| (a as i64).min(b as i64) as u64;
    amomax_d: u64, same, |a, b| (a as i64).max(b as i64) as u64;
    amominu_d: u64, same, |a, b| a.min(b);
    amomaxu_d: u64, same, |a, b| a.max(b);
}

fn lr_w(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    reserve(h, sys, op, 4)
}

fn lr_d(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    reserve(h, sys, op, 8)
}

fn reserve(h: &mut Hart, sys: &mut System, op: &Op, n: u8) -> Flow {
    let addr = h.x(op.rs1);
    if addr & u64::from(n - 1) != 0 {
        return h.raise(cause::LOAD_MISALIGNED, addr);
    }
    h.publish(sys, op.idx);
    let found = h.reach(sys, addr, n.into(), Access::Read);
    let read = found.and_then(|paddr| Ok((paddr, h.read(sys, addr, n.into())?)));
    match read {
        Ok((paddr, value)) => {
            h.s.reservation = Some(Reservation { paddr, size: n, value });
            h.set_x(op.rd, if n == 4 { sext(value as u32) } else { value });
            Flow::NEXT
        }
        Err(trap) => h.fail(trap),
    }
}

fn sc_w(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    conditional::<u32>(h, sys, op, 4)
}

fn sc_d(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    conditional::<u64>(h, sys, op, 8)
}

fn conditional<T: crate::tlb::Word>(h: &mut Hart, sys: &mut System, op: &Op, n: u8) -> Flow {
    let addr = h.x(op.rs1);
    if addr & u64::from(n - 1) != 0 {
        return h.raise(cause::STORE_MISALIGNED, addr);
    }
    h.publish(sys, op.idx);
    // The address is checked whether the store will happen or not.
    let paddr = match h.reach(sys, addr, n.into(), Access::Write) {
        Ok(paddr) => paddr,
        Err(trap) => return h.fail(trap),
    };
    let held = h.s.reservation.take().filter(|r| (r.paddr, r.size) == (paddr, n));
    let now = if held.is_some() {
        h.read_ram(sys, paddr, n.into())
    } else {
        None
    };
    let value = h.x(op.rs2);
    let succeeds = held.is_some_and(|r| Some(r.value) == now);
    h.set_x(op.rd, u64::from(!succeeds));
    match succeeds {
        true => h.store::<T>(sys, addr, T::cut(value), op.idx),
        false => Flow::NEXT,
    }
}
