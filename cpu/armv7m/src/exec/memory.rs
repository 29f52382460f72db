//! Loads and stores (ARM ARM A4.6 to A4.8): single, dual, multiple, exclusive.

use super::branch::interwork;
use super::{Handler, Insn, Kind, Mode, Op, Width, pick};
use crate::bus::Bus;
use crate::core::{Core, Fault, Flow};

/// The address of a single access, and the base register's new value for [`Mode::Pre`] and [`Mode::Post`].
#[inline(always)]
fn address<B: Bus, const MODE: u8>(core: &Core<B>, op: &Op<B>) -> (u32, u32) {
    let base = core.r(op.n);
    if MODE == Mode::Reg as u8 {
        return (base.wrapping_add(core.r(op.m) << (op.imm & 3)), base);
    }
    let moved = base.wrapping_add(op.imm);
    if MODE == Mode::Post as u8 {
        (base, moved)
    } else {
        (moved, moved)
    }
}

#[inline(always)]
fn writes_back(mode: u8) -> bool {
    mode == Mode::Pre as u8 || mode == Mode::Post as u8
}

const fn bytes(width: u8) -> u8 {
    match width {
        0 => 4,
        1 | 3 => 2,
        _ => 1,
    }
}

#[inline(always)]
fn fetch<B: Bus, const WIDTH: u8, const MODE: u8>(core: &mut Core<B>, bus: &mut B, addr: u32, idx: u8) -> (u32, Flow) {
    if MODE == Mode::Unpriv as u8 {
        core.publish(bus, idx);
        return core.load_slow(bus, addr, bytes(WIDTH), idx, true);
    }
    match bytes(WIDTH) {
        4 => core.load::<4>(bus, addr, idx),
        2 => core.load::<2>(bus, addr, idx),
        _ => core.load::<1>(bus, addr, idx),
    }
}

#[inline(always)]
fn load<B: Bus, const WIDTH: u8, const MODE: u8>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let (addr, base) = address::<B, MODE>(core, op);
    let (v, flow) = fetch::<B, WIDTH, MODE>(core, bus, addr, op.idx);
    if flow == Flow::FAULT {
        return flow;
    }
    let v = match WIDTH {
        3 => v as i16 as u32,
        4 => v as i8 as u32,
        _ => v,
    };
    if writes_back(MODE) {
        core.w(op.n, base);
    }
    core.w(op.d, v);
    flow
}

fn load_pc<B: Bus, const MODE: u8>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let (addr, base) = address::<B, MODE>(core, op);
    // LDR PC from an unaligned address is UNPREDICTABLE; done like any load.
    let (v, flow) = core.load::<4>(bus, addr, op.idx);
    if flow == Flow::FAULT {
        return flow;
    }
    if writes_back(MODE) {
        core.w(op.n, base);
    }
    branch_after(core, v, flow)
}

/// A branch by an instruction that also accessed memory.
fn branch_after<B: Bus>(core: &mut Core<B>, target: u32, flow: Flow) -> Flow {
    match interwork(core, target) {
        Flow::BRANCH if flow == Flow::SYNC => Flow::SYNC_BRANCH,
        other => other,
    }
}

#[inline(always)]
fn store<B: Bus, const WIDTH: u8, const MODE: u8>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let (addr, base) = address::<B, MODE>(core, op);
    let v = core.r(op.d);
    let flow = if MODE == Mode::Unpriv as u8 {
        core.store_slow(bus, addr, bytes(WIDTH), v, op.idx, true)
    } else {
        match bytes(WIDTH) {
            4 => core.store::<4>(bus, addr, v, op.idx),
            2 => core.store::<2>(bus, addr, v, op.idx),
            _ => core.store::<1>(bus, addr, v, op.idx),
        }
    };
    if writes_back(MODE) && flow != Flow::FAULT {
        core.w(op.n, base);
    }
    flow
}

/// The more demanding of two outcomes that are not faults.
#[inline(always)]
fn join(a: Flow, b: Flow) -> Flow {
    if a == Flow::NEXT { b } else { a }
}

#[inline(always)]
fn aligned<B: Bus>(core: &mut Core<B>, addr: u32, size: u32) -> Flow {
    if addr & (size - 1) != 0 {
        core.raise(Fault::Unaligned)
    } else {
        Flow::NEXT
    }
}

fn load_dual<B: Bus, const MODE: u8>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let (addr, base) = address::<B, MODE>(core, op);
    if aligned(core, addr, 4) == Flow::FAULT {
        return Flow::FAULT;
    }
    let (v1, f1) = core.load::<4>(bus, addr, op.idx);
    if f1 == Flow::FAULT {
        return f1;
    }
    let (v2, f2) = core.load::<4>(bus, addr.wrapping_add(4), op.idx);
    if f2 == Flow::FAULT {
        return f2;
    }
    if writes_back(MODE) {
        core.w(op.n, base);
    }
    core.w(op.d, v1);
    core.w(op.m, v2);
    join(f1, f2)
}

fn store_dual<B: Bus, const MODE: u8>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let (addr, base) = address::<B, MODE>(core, op);
    if aligned(core, addr, 4) == Flow::FAULT {
        return Flow::FAULT;
    }
    let f1 = core.store::<4>(bus, addr, core.r(op.d), op.idx);
    if f1 == Flow::FAULT {
        return f1;
    }
    let f2 = core.store::<4>(bus, addr.wrapping_add(4), core.r(op.m), op.idx);
    if f2 == Flow::FAULT {
        return f2;
    }
    if writes_back(MODE) {
        core.w(op.n, base);
    }
    join(f1, f2)
}

/// First address and the base's new value of a multiple access.
#[inline(always)]
fn span<B: Bus, const DB: bool>(core: &Core<B>, op: &Op<B>) -> (u32, u32) {
    let base = core.r(op.n);
    let size = (op.imm & 0xffff).count_ones() * 4;
    if DB {
        let low = base.wrapping_sub(size);
        (low, low)
    } else {
        (base, base.wrapping_add(size))
    }
}

fn load_multi<B: Bus, const DB: bool, const WB: bool>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let (mut addr, base) = span::<B, DB>(core, op);
    if aligned(core, addr, 4) == Flow::FAULT {
        return Flow::FAULT;
    }
    // Registers change only when all of it has been read, so that the instruction can be done again after a fault.
    let mut values = [0u32; 16];
    let mut flow = Flow::NEXT;
    let mut rest = op.imm & 0xffff;
    while rest != 0 {
        let (v, f) = core.load::<4>(bus, addr, op.idx);
        if f == Flow::FAULT {
            return f;
        }
        flow = join(flow, f);
        values[rest.trailing_zeros() as usize & 15] = v;
        rest &= rest - 1;
        addr = addr.wrapping_add(4);
    }
    if WB {
        core.w(op.n, base);
    }
    let mut rest = op.imm & 0x7fff;
    while rest != 0 {
        let i = rest.trailing_zeros() as usize & 15;
        core.s.regs[i] = values[i];
        rest &= rest - 1;
    }
    if op.imm & 0x8000 != 0 {
        // What LDM SP, {..., PC} leaves in SP must be right before an exception return looks at it.
        core.s.regs[13] &= !3;
        return branch_after(core, values[15], flow);
    }
    flow
}

fn store_multi<B: Bus, const DB: bool, const WB: bool>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let (mut addr, base) = span::<B, DB>(core, op);
    if aligned(core, addr, 4) == Flow::FAULT {
        return Flow::FAULT;
    }
    let mut flow = Flow::NEXT;
    let mut rest = op.imm & 0xffff;
    while rest != 0 {
        let v = core.s.regs[rest.trailing_zeros() as usize & 15];
        let f = core.store::<4>(bus, addr, v, op.idx);
        if f == Flow::FAULT {
            return f;
        }
        flow = join(flow, f);
        rest &= rest - 1;
        addr = addr.wrapping_add(4);
    }
    if WB {
        core.w(op.n, base);
    }
    flow
}

fn ldrex<B: Bus, const WIDTH: u8>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let addr = core.r(op.n).wrapping_add(op.imm);
    let n = bytes(WIDTH);
    if aligned(core, addr, n.into()) == Flow::FAULT {
        return Flow::FAULT;
    }
    let (v, flow) = fetch::<B, WIDTH, 0>(core, bus, addr, op.idx);
    if flow != Flow::FAULT {
        core.s.exclusive = Some((addr, n, v));
        core.w(op.d, v);
    }
    flow
}

/// The monitor remembers the value too, as QEMU's does: a store that changed it in between makes this one fail.
fn strex<B: Bus, const WIDTH: u8>(core: &mut Core<B>, bus: &mut B, op: &Op<B>) -> Flow {
    let addr = core.r(op.n).wrapping_add(op.imm);
    let n = bytes(WIDTH);
    if aligned(core, addr, n.into()) == Flow::FAULT {
        return Flow::FAULT;
    }
    let Some((at, size, expected)) = core.s.exclusive.take() else {
        core.w(op.d, 1);
        return Flow::NEXT;
    };
    let mut flow = Flow::NEXT;
    let mut ok = at == addr && size == n;
    if ok {
        let (v, f) = fetch::<B, WIDTH, 0>(core, bus, addr, op.idx);
        if f == Flow::FAULT {
            return f;
        }
        flow = f;
        ok = v == expected;
    }
    if ok {
        let f = core.store_slow(bus, addr, n, core.r(op.m), op.idx, false);
        if f == Flow::FAULT {
            return f;
        }
        flow = join(flow, f);
    }
    core.w(op.d, u32::from(!ok));
    flow
}

fn clrex<B: Bus>(core: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    core.s.exclusive = None;
    Flow::NEXT
}

/// Picks by mode, and by width where there is one.
macro_rules! by_mode {
    ($f:ident, $mode:expr, $pre:tt) => {
        pick!(
            $mode,
            $f,
            $pre,
            [Mode::Offset, Mode::Pre, Mode::Post, Mode::Reg, Mode::Unpriv]
        )
    };
}
macro_rules! by_width {
    ($f:ident, $width:expr, $mode:expr) => {
        match $width {
            Width::Word => by_mode!($f, $mode, [0]),
            Width::Half => by_mode!($f, $mode, [1]),
            Width::Byte => by_mode!($f, $mode, [2]),
            Width::SignedHalf => by_mode!($f, $mode, [3]),
            Width::SignedByte => by_mode!($f, $mode, [4]),
        }
    };
}
macro_rules! exclusive {
    ($f:ident, $width:expr) => {
        match $width {
            Width::Word => $f::<B, 0> as Handler<B>,
            Width::Half => $f::<B, 1>,
            _ => $f::<B, 2>,
        }
    };
}
macro_rules! multi {
    ($f:ident, $db:expr, $wb:expr) => {
        match ($db, $wb) {
            (false, false) => $f::<B, false, false> as Handler<B>,
            (false, true) => $f::<B, false, true>,
            (true, false) => $f::<B, true, false>,
            (true, true) => $f::<B, true, true>,
        }
    };
}

pub(super) fn select<B: Bus>(insn: &Insn) -> Handler<B> {
    match insn.kind {
        Kind::Load { width, mode } => by_width!(load, width, mode),
        Kind::Store { width, mode } => by_width!(store, width, mode),
        Kind::LoadPc { mode } => by_mode!(load_pc, mode, []),
        Kind::LoadDual { mode } => by_mode!(load_dual, mode, []),
        Kind::StoreDual { mode } => by_mode!(store_dual, mode, []),
        Kind::LoadMulti { db, wb } => multi!(load_multi, db, wb),
        Kind::StoreMulti { db, wb } => multi!(store_multi, db, wb),
        Kind::Ldrex(width) => exclusive!(ldrex, width),
        Kind::Strex(width) => exclusive!(strex, width),
        _ => clrex::<B>,
    }
}
