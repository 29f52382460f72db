//! Zicbom and Zicboz: cache blocks (Unprivileged ISA, chapter "CMO").
//!
//! There is no cache: management checks its address and its permission, and zeroing stores.

use southbridge_core::System;

use crate::config::CACHE_BLOCK;
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart, Trap, cause};
use crate::insn::{Entry, Format, Op};
use crate::state::{envcfg, mode};
use crate::tlb::Access;

const fn cbo(name: &'static str, n: u32, ext: X, run: crate::insn::Handler) -> Entry {
    Entry::new(name, 0xfff0_7fff, 0x200f | n << 20, Format::Address, ext, run)
}

pub(crate) static TABLE: &[Entry] = &[
    cbo("cbo.inval", 0, X::ZICBOM, cbo_inval),
    cbo("cbo.clean", 1, X::ZICBOM, cbo_clean),
    cbo("cbo.flush", 2, X::ZICBOM, cbo_clean),
    cbo("cbo.zero", 4, X::ZICBOZ, cbo_zero),
];

/// Whether every level above lets this mode do it.
fn enabled(h: &Hart, field: u64) -> bool {
    let m = h.s.m.envcfg & field != 0;
    let s = h.s.s.envcfg & field != 0;
    match h.s.prv {
        mode::M => true,
        mode::S => m,
        _ => m && s,
    }
}

fn cbo_inval(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if !enabled(h, envcfg::CBIE) {
        return h.illegal();
    }
    manage(h, sys, op)
}

fn cbo_clean(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if !enabled(h, envcfg::CBCFE) {
        return h.illegal();
    }
    manage(h, sys, op)
}

/// A block may be managed by who may read or write it; what is refused is reported as a store. To ask for reads is enough: neither a page
/// nor the PMP gives W without R. To ask for a write as well would set D, which management never does, and would report a page that is
/// read-only where only the PMP refuses.
fn manage(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    h.publish(sys, op.idx);
    let addr = h.x(op.rs1);
    let block = addr & !(CACHE_BLOCK - 1);
    match h.translate(sys, block, CACHE_BLOCK, Access::Read) {
        Ok(_) => Flow::NEXT,
        Err(trap) => {
            let refused = if trap.cause == cause::LOAD_PAGE {
                cause::STORE_PAGE
            } else {
                cause::STORE_ACCESS
            };
            h.raise(refused, addr)
        }
    }
}

fn cbo_zero(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
    if !enabled(h, envcfg::CBZE) {
        return h.illegal();
    }
    let addr = h.x(op.rs1);
    let block = addr & !(CACHE_BLOCK - 1);
    // A page that is known is RAM that may be written, and nobody watches it. Kernels clear whole pages so: no walk for each block. Where
    // code stands, what follows tells of it.
    let known = h.tlb.writable(block, CACHE_BLOCK, h.data_context);
    if known.and_then(|(w, offset)| w.zero(offset, CACHE_BLOCK)) == Some(false) {
        return Flow::NEXT;
    }
    h.publish(sys, op.idx);
    let paddr = match h.reach(sys, block, CACHE_BLOCK, Access::Write) {
        Ok(paddr) => paddr,
        Err(trap) => return h.fail(Trap { tval: addr, ..trap }),
    };
    if !h.is_ram(sys, paddr, CACHE_BLOCK) {
        return h.raise(cause::STORE_ACCESS, addr);
    }
    for at in (0..CACHE_BLOCK).step_by(8) {
        h.write_physical(sys, paddr + at, 8, 0);
    }
    h.after_access(sys)
}
