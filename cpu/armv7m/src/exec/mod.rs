//! Execution: one function per kind of instruction, by group of the ARM ARM; [`select`] names the function of each kind.
//!
//! An [`Op`] is 16 bytes: the function and its operands. Functions get what varies within a kind as const parameters, so that a
//! decoded block runs without any decision that could be made when it was decoded.

mod branch;
mod data;
mod memory;
mod multiply;
mod system;

use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::insn::{Alu, Insn, Kind, Mode, Shift, Src, Width};

pub(crate) type Handler<B> = fn(&mut Core<B>, &mut B, &Op<B>) -> Flow;

/// One operation of a decoded block.
pub(crate) struct Op<B: Bus> {
    pub(crate) run: Handler<B>,
    pub(crate) imm: u32,
    pub(crate) d: u8,
    pub(crate) n: u8,
    pub(crate) m: u8,
    /// Instructions before this one in the block.
    pub(crate) idx: u8,
}

impl<B: Bus> Clone for Op<B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Bus> Copy for Op<B> {}

impl<B: Bus> Core<B> {
    #[inline(always)]
    pub(crate) fn r(&self, i: u8) -> u32 {
        self.s.regs[usize::from(i & 15)]
    }
    #[inline(always)]
    pub(crate) fn w(&mut self, i: u8, v: u32) {
        self.s.regs[usize::from(i & 15)] = v;
    }
}

/// The operation that does `insn` as number `idx` of its block.
pub(crate) fn lower<B: Bus>(insn: &Insn, idx: u8) -> Op<B> {
    Op {
        run: select::<B>(insn),
        imm: insn.imm,
        d: insn.d,
        n: insn.n,
        m: insn.m,
        idx,
    }
}

/// Leaves out the next `n` operations unless condition `code` holds.
pub(crate) fn guard<B: Bus>(code: u8, n: u8, idx: u8) -> Op<B> {
    Op {
        run: branch::select_skip::<B>(code),
        imm: 0,
        d: 15,
        n,
        m: 15,
        idx,
    }
}

/// Clears the bits of SP that it does not have, after an instruction that may have set them.
pub(crate) fn align_sp<B: Bus>(idx: u8) -> Op<B> {
    Op {
        run: data::align_sp::<B>,
        imm: 0,
        d: 13,
        n: 13,
        m: 15,
        idx,
    }
}

/// Ends a block of compiled code with a branch to `Core::target`.
pub(crate) fn to_target<B: Bus>(idx: u8) -> Op<B> {
    Op {
        run: branch::to_target::<B>,
        imm: 0,
        d: 15,
        n: 15,
        m: 15,
        idx,
    }
}

/// Picks a function by an enumeration's value, handed over as its last const parameter.
macro_rules! pick {
    (@one $f:ident, [$($pre:expr),*], $v:path) => { $f::<B, $({ $pre },)* { $v as u8 }> as Handler<B> };
    ($value:expr, $f:ident, $pre:tt, [$($v:path),+]) => {
        match $value { $( $v => pick!(@one $f, $pre, $v), )+ }
    };
}
pub(crate) use pick;

fn select<B: Bus>(insn: &Insn) -> Handler<B> {
    match insn.kind {
        Kind::Nop | Kind::It => system::nop::<B>,
        Kind::Alu { op, s, src } => data::select_alu::<B>(op, s, src),
        Kind::ShiftReg { ty, s } => data::select_shift::<B>(ty, s),
        Kind::Movt => data::movt::<B>,
        Kind::Bfi => data::bfi::<B>,
        Kind::Bfc => data::bfc::<B>,
        Kind::Sbfx => data::sbfx::<B>,
        Kind::Ubfx => data::ubfx::<B>,
        Kind::Ssat => data::ssat::<B>,
        Kind::Usat => data::usat::<B>,
        Kind::Sxtb => data::sxtb::<B>,
        Kind::Sxth => data::sxth::<B>,
        Kind::Uxtb => data::uxtb::<B>,
        Kind::Uxth => data::uxth::<B>,
        Kind::Rev => data::rev::<B>,
        Kind::Rev16 => data::rev16::<B>,
        Kind::Revsh => data::revsh::<B>,
        Kind::Rbit => data::rbit::<B>,
        Kind::Clz => data::clz::<B>,
        Kind::Mul { s: false } => multiply::mul::<B, false>,
        Kind::Mul { s: true } => multiply::mul::<B, true>,
        Kind::Mla => multiply::mla::<B>,
        Kind::Mls => multiply::mls::<B>,
        Kind::Smull => multiply::long::<B, true, false>,
        Kind::Umull => multiply::long::<B, false, false>,
        Kind::Smlal => multiply::long::<B, true, true>,
        Kind::Umlal => multiply::long::<B, false, true>,
        Kind::Sdiv => multiply::sdiv::<B>,
        Kind::Udiv => multiply::udiv::<B>,
        Kind::Load { .. }
        | Kind::LoadPc { .. }
        | Kind::Store { .. }
        | Kind::LoadDual { .. }
        | Kind::StoreDual { .. }
        | Kind::LoadMulti { .. }
        | Kind::StoreMulti { .. }
        | Kind::Ldrex(_)
        | Kind::Strex(_)
        | Kind::Clrex => memory::select::<B>(insn),
        Kind::B => branch::b::<B>,
        Kind::Bcond(code) => branch::select_cond::<B>(code),
        Kind::Bl => branch::bl::<B>,
        Kind::Bx => branch::bx::<B>,
        Kind::Blx => branch::blx::<B>,
        Kind::Cbz(false) => branch::cbz::<B, false>,
        Kind::Cbz(true) => branch::cbz::<B, true>,
        Kind::MovPc => branch::mov_pc::<B>,
        Kind::AddPc => branch::add_pc::<B>,
        Kind::Tbx(false) => branch::table::<B, false>,
        Kind::Tbx(true) => branch::table::<B, true>,
        Kind::Svc => system::svc::<B>,
        Kind::Bkpt => system::bkpt::<B>,
        Kind::Udf => system::udf::<B>,
        Kind::NoCp => system::nocp::<B>,
        Kind::Mrs => system::mrs::<B>,
        Kind::Msr => system::msr::<B>,
        Kind::Cps => system::cps::<B>,
        Kind::Wfi => system::wfi::<B>,
        Kind::Wfe => system::wfe::<B>,
        Kind::Sev => system::sev::<B>,
    }
}
