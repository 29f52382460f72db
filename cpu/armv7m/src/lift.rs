//! From decoded blocks to regions of IR.
//!
//! A region is what can be reached by direct jumps from a block that proved hot, as far as it has been decoded. What an instruction
//! computes comes from [`meaning`]; one that is not known here, and every access that is not plain RAM, is executed by its handler.

mod work;

use southbridge_cpu_jit::ir::{Block as Piece, Call, End, Op as Step, Region, Target, Width as Bytes};
use southbridge_cpu_jit::{Traced, Tracer, Word};
use std::cell::Cell;
use std::collections::HashMap;

use crate::block::{Block, Cache, Place, key};
use crate::bus::Bus;
use crate::exec::{Op, align_sp, lower, to_target};
use crate::fast::{Calls, register};
use crate::insn::{Insn, Kind, Mode, Width};
use crate::meaning;
use work::{Work, is_pure, is_without_flags, span};

/// Guest instructions in a region at most.
const MAX_INSTRUCTIONS: u32 = 300;
/// Blocks in a region at most.
const MAX_BLOCKS: usize = 64;
/// Return addresses that a branch to a register is compared with at most.
const MAX_GUESSES: usize = 6;
/// What a branch to a register above it means is for the engine to say (EXC_RETURN).
const ORDINARY: u64 = 0xf000_0000;

/// The region that begins with block `first`, and the blocks that it is made of. `None` if the block cannot be a part of one.
pub(crate) fn region<B: Bus>(
    cache: &Cache<B>,
    first: u32,
    calls: &mut Calls<B>,
    check: bool,
) -> Option<(Region, Vec<u32>)> {
    let start = cache.get(first).plain()?;
    let mut lifter = Lifter {
        cache,
        start,
        blocks: vec![first],
        // Not at the start yet: who jumps back there gets a copy that knows how the flags were set.
        at: HashMap::new(),
        left: MAX_INSTRUCTIONS.saturating_sub(cache.get(first).count),
        returns: Vec::new(),
        calls,
        check,
    };
    let mut pieces = Vec::new();
    while let Some(id) = lifter.blocks.get(pieces.len()).copied() {
        pieces.push(lifter.piece(id, pieces.is_empty()));
    }
    let returns = std::mem::take(&mut lifter.returns);
    for piece in &mut pieces {
        if let End::Indirect(_, guesses) = &mut piece.end {
            guesses.extend(returns.iter().take(MAX_GUESSES));
        }
    }
    let name = format!("{start:#010x}");
    let mut members = lifter.blocks;
    members.sort_unstable();
    members.dedup();
    Some((
        Region {
            name,
            key: 0,
            blocks: pieces,
        },
        members,
    ))
}

struct Lifter<'a, B: Bus> {
    cache: &'a Cache<B>,
    /// Where the region begins.
    start: u32,
    /// Blocks taken in.
    blocks: Vec<u32>,
    /// Their places, by address.
    at: HashMap<u32, u32>,
    /// Instructions that may still be taken in.
    left: u32,
    /// Blocks behind calls.
    returns: Vec<u32>,
    calls: &'a mut Calls<B>,
    /// Whether the code will be checked: then no instruction may have begun when it turns out to be the engine's.
    check: bool,
}

fn bytes(width: Width) -> Bytes {
    let (bytes, signed) = match width {
        Width::Word => (4, false),
        Width::Half => (2, false),
        Width::Byte => (1, false),
        Width::SignedHalf => (2, true),
        Width::SignedByte => (1, true),
    };
    Bytes { bytes, signed }
}

const WORD: Bytes = Bytes {
    bytes: 4,
    signed: false,
};

/// The condition of an instruction in an IT block, unless it is "always".
fn guarded(place: Place) -> Option<u8> {
    (place.it != 0 && place.it >> 4 < 14).then_some(place.it >> 4)
}

/// Instructions of a run of one condition that are picked one by one rather than jumped over.
const FEW: usize = 2;

impl<B: Bus> Lifter<'_, B> {
    /// The block at an address, taken in if it can be.
    fn inside(&mut self, pc: u32) -> Option<u32> {
        if let Some(n) = self.at.get(&pc) {
            return Some(*n);
        }
        let id = self.cache.known(key(pc, 0))?;
        let block = self.cache.get(id);
        block.plain()?;
        if block.rights.get() != self.cache.get(self.blocks[0]).rights.get() {
            return None;
        }
        self.left = self
            .left
            .checked_sub(block.count)
            .filter(|_| self.blocks.len() < MAX_BLOCKS)?;
        let n = self.blocks.len() as u32;
        self.blocks.push(id);
        self.at.insert(pc, n);
        Some(n)
    }

    /// Distance from the region's start.
    fn distance(&self, pc: u32) -> i64 {
        i64::from(pc) - i64::from(self.start)
    }

    fn target(&mut self, pc: u32) -> Target {
        match self.inside(pc) {
            Some(n) => Target::Block(n),
            None => Target::Outside(self.distance(pc)),
        }
    }

    fn piece(&mut self, id: u32, first: bool) -> Piece {
        let tracer = Tracer::default();
        let cache = self.cache;
        let block = cache.get(id);
        let at = self.distance(block.place(0).pc);
        if first {
            tracer.push(Step::Origin(self.start.into()));
        }
        tracer.push(Step::CallsAt(self.distance(block.end.pc)));
        let end = self.contents(&tracer, id, block);
        Piece {
            id,
            at,
            count: block.count,
            end: end.unwrap_or_else(|| End::Jump(self.target(block.end.pc))),
            ops: tracer.finish(),
        }
    }

    fn contents(&mut self, t: &Tracer, id: u32, block: &Block<B>) -> Option<End> {
        let w = Work {
            t,
            id,
            block,
            kind: Cell::new(None),
            compared: Cell::new(None),
            only_if: Cell::new(None),
        };
        let all: Vec<Insn> = (0..block.count as usize).map(|i| block.insn(i)).collect();
        let mut i = 0;
        while let Some(insn) = all.get(i) {
            if insn.ends_block() {
                return self.ending(&w, i, insn);
            }
            let Some(code) = guarded(block.place(i)) else {
                self.instruction(&w, i, insn);
                i += 1;
                continue;
            };
            // All that stand under one condition, up to the first that may change it.
            let mut n = 1;
            while let (Some(before), Some(next)) = (all.get(i + n - 1), all.get(i + n))
                && is_without_flags(before)
                && !next.ends_block()
                && guarded(block.place(i + n)) == Some(code)
            {
                n += 1;
            }
            let run = &all[i..i + n];
            let condition = w.condition(code);
            if n <= FEW && run.iter().all(is_pure) {
                w.only_if.set(Some(condition));
                run.iter().for_each(|insn| {
                    w.computes(insn);
                });
                w.only_if.set(None);
            } else {
                let (flags, kind) = (w.compared.get(), w.kind.get());
                t.when(condition, || {
                    for (j, insn) in (i..).zip(run) {
                        self.instruction(&w, j, insn);
                    }
                });
                let same = run.iter().all(is_without_flags);
                w.compared.set(flags.filter(|_| same));
                w.kind.set(kind.filter(|_| same));
            }
            i += n;
        }
        None
    }

    /// An instruction that does not end its block.
    fn instruction(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn) {
        if w.computes(insn) {
            return;
        }
        match insn.kind {
            Kind::Load { width, mode } if mode != Mode::Unpriv => {
                let (address, base) = w.address(mode, insn);
                self.load(w, i, insn, address, bytes(width), insn.d);
                if let Some(base) = base.filter(|_| insn.n != insn.d) {
                    w.put(insn.n, base);
                }
                w.align(insn);
            }
            Kind::Store { width, mode } if mode != Mode::Unpriv => {
                let (address, base) = w.address(mode, insn);
                let value = w.r(insn.d).value;
                let slow = self.by_engine(w, i, insn);
                w.t.push(Step::Store {
                    address: address.value,
                    width: bytes(width),
                    value,
                    slow,
                });
                if let Some(base) = base {
                    w.put(insn.n, base);
                }
                w.align(insn);
            }
            Kind::LoadMulti { db, wb } => {
                let (address, base) = span(w, insn, db);
                self.load_many(w, i, insn, address, u64::from(insn.imm & 0x7fff));
                if wb && insn.imm >> insn.n & 1 == 0 {
                    w.put(insn.n, base);
                }
                w.align(insn);
            }
            Kind::StoreMulti { db, wb } if insn.imm & 0x8000 == 0 => {
                let (address, base) = span(w, insn, db);
                let slow = self.by_engine(w, i, insn);
                w.t.push(Step::StoreMany {
                    address: address.value,
                    registers: u64::from(insn.imm & 0x7fff),
                    downwards: false,
                    slow,
                });
                if wb {
                    w.put(insn.n, base);
                }
            }
            Kind::LoadDual { mode } if insn.d != insn.m && insn.d.max(insn.m) < 15 => {
                let (address, base) = w.address(mode, insn);
                let slow = self.by_engine(w, i, insn);
                w.t.push(Step::LoadMany {
                    address: address.value,
                    registers: 1 << insn.d | 1 << insn.m,
                    downwards: insn.d > insn.m,
                    slow,
                });
                if let Some(base) = base.filter(|_| insn.n != insn.d && insn.n != insn.m) {
                    w.put(insn.n, base);
                }
                w.align(insn);
            }
            Kind::StoreDual { mode } if insn.d != insn.m && insn.d.max(insn.m) < 15 => {
                let (address, base) = w.address(mode, insn);
                let slow = self.by_engine(w, i, insn);
                w.t.push(Step::StoreMany {
                    address: address.value,
                    registers: 1 << insn.d | 1 << insn.m,
                    downwards: insn.d > insn.m,
                    slow,
                });
                if let Some(base) = base {
                    w.put(insn.n, base);
                }
                w.align(insn);
            }
            Kind::Sdiv | Kind::Udiv => self.divide(w, i, insn),
            _ => self.call(w, i, insn),
        }
    }

    fn load(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn, address: Traced<'_>, width: Bytes, register: u8) {
        let slow = self.by_engine(w, i, insn);
        w.t.push(Step::Load {
            address: address.value,
            width,
            register,
            slow,
        });
    }

    fn load_many(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn, address: Traced<'_>, registers: u64) {
        let slow = self.by_engine(w, i, insn);
        w.t.push(Step::LoadMany {
            address: address.value,
            registers,
            downwards: false,
            slow,
        });
    }

    /// What division by zero comes to is for the engine to say.
    fn divide(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn) {
        let (n, m) = (w.r(insn.n), w.r(insn.m));
        let zero = m.is(w.k(0));
        let slow = self.by_engine(w, i, insn);
        w.t.when(zero, || w.t.push(Step::Call(slow)));
        w.t.when(zero ^ w.k(1), || {
            w.put(insn.d, meaning::quotient(insn.kind == Kind::Sdiv, n, m));
            w.align(insn);
        });
    }

    /// The last instruction of a block.
    fn ending(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn) -> Option<End> {
        let behind = w.block.end.pc;
        let condition = guarded(w.block.place(i)).map(|code| w.condition(code));
        let link = |v: u32| w.set(14, w.k(v | 1));
        match insn.kind {
            Kind::B => {
                let to = self.target(insn.imm);
                Some(match condition {
                    Some(c) => End::Branch(c.value, to, self.target(behind)),
                    None => End::Jump(to),
                })
            }
            Kind::Bcond(code) => {
                let c = match condition {
                    // A conditional branch under a condition is nothing that a compiler makes.
                    Some(_) => return self.left_to_engine(w, i, insn, condition),
                    None if code >= 14 => return Some(End::Jump(self.target(insn.imm))),
                    None => w.condition(code),
                };
                let to = self.target(insn.imm);
                Some(End::Branch(c.value, to, self.target(behind)))
            }
            Kind::Cbz(nonzero) if condition.is_none() => {
                let (v, zero) = (w.r(insn.n), w.k(0));
                let c = if nonzero { v.is_not(zero) } else { v.is(zero) };
                let to = self.target(insn.imm);
                Some(End::Branch(c.value, to, self.target(behind)))
            }
            Kind::Bl if condition.is_none() => {
                link(behind);
                let back = self.inside(behind);
                self.returns.extend(back);
                Some(End::Jump(self.target(insn.imm)))
            }
            Kind::Bx => Some(self.branch_to(w, i, w.r(insn.m), condition)),
            Kind::Blx if condition.is_none() => {
                let to = w.r(insn.m);
                let even = (to & w.k(1)) ^ w.k(1);
                let slow = self.by_engine(w, i, insn);
                w.t.when(even, || w.t.push(Step::Call(slow)));
                link(behind);
                let back = self.inside(behind);
                self.returns.extend(back);
                Some(End::Indirect((to & w.k(!1)).value, Vec::new()))
            }
            Kind::MovPc | Kind::AddPc if condition.is_none() => {
                let to = match insn.kind {
                    Kind::MovPc => w.r(insn.m),
                    _ => w.r(insn.m).plus(insn.imm.into()),
                };
                Some(End::Indirect((to & w.k(!1)).value, Vec::new()))
            }
            Kind::Tbx(half) if condition.is_none() => {
                let base = if insn.n == 15 { w.k(insn.imm) } else { w.r(insn.n) };
                let index = w.r(insn.m).shl(w.k(half.into()));
                let width = Bytes {
                    bytes: 1 + u8::from(half),
                    signed: false,
                };
                self.load(w, i, insn, base.wrapping_add(index), width, register::TARGET);
                let to = w.t.get(register::TARGET).shl(w.k(1)).plus(insn.imm.into());
                Some(End::Indirect(to.value, Vec::new()))
            }
            Kind::LoadPc { mode } => {
                let (address, base) = w.address(mode, insn);
                self.peek_target(w, i, insn, condition, address);
                self.read_target(w, condition, |this| {
                    this.load(w, i, insn, address, WORD, register::TARGET);
                    if let Some(base) = base {
                        w.put(insn.n, base);
                    }
                });
                Some(self.branch_to(w, i, w.t.get(register::TARGET), None))
            }
            Kind::LoadMulti { db, wb } => {
                let (address, base) = span(w, insn, db);
                let others = (insn.imm & 0x7fff).count_ones();
                self.peek_target(w, i, insn, condition, address.plus((4 * others).into()));
                self.read_target(w, condition, |this| {
                    let registers = u64::from(insn.imm & 0x7fff) | 1 << register::TARGET;
                    this.load_many(w, i, insn, address, registers);
                    if wb && insn.imm >> insn.n & 1 == 0 {
                        w.put(insn.n, base);
                    }
                    w.set(13, w.r(13) & w.k(!3));
                });
                Some(self.branch_to(w, i, w.t.get(register::TARGET), None))
            }
            _ => self.left_to_engine(w, i, insn, condition),
        }
    }

    /// Of code that is checked: looks whether the branch that stands at `address` is one for the engine, before anything is done.
    fn peek_target(
        &mut self,
        w: &Work<'_, B>,
        i: usize,
        insn: &Insn,
        condition: Option<Traced<'_>>,
        address: Traced<'_>,
    ) {
        if self.check {
            self.read_target(w, condition, |this| {
                this.load(w, i, insn, address, WORD, register::TARGET)
            });
            self.strange(w, i, w.t.get(register::TARGET));
        }
    }

    /// Has the target of a branch read, if there is a condition and it holds; else that is what follows the block.
    fn read_target(&mut self, w: &Work<'_, B>, condition: Option<Traced<'_>>, read: impl FnOnce(&mut Self)) {
        match condition {
            None => read(self),
            Some(c) => {
                w.set(register::TARGET, w.k(w.block.end.pc | 1));
                w.t.when(c, || read(self));
            }
        }
    }

    /// A branch to where `to` says (BXWritePC), if there is a condition and it holds.
    fn branch_to(&mut self, w: &Work<'_, B>, i: usize, to: Traced<'_>, condition: Option<Traced<'_>>) -> End {
        let behind = w.block.end.pc;
        let to = match condition {
            Some(c) => c.pick(to, to.constant((behind | 1).into())),
            None => to,
        };
        self.strange(w, i, to);
        let guesses = condition.and_then(|_| self.inside(behind));
        End::Indirect((to & to.constant(!1u32 as u64)).value, guesses.into_iter().collect())
    }

    /// Leaves a branch to `to` to the engine if that is more than a branch.
    fn strange(&mut self, w: &Work<'_, B>, i: usize, to: Traced<'_>) {
        // Odd and not too high: one comparison with the low bit on top.
        let top = to.constant(1 << 31);
        let turned = to.rotr(to.constant(1)) ^ top;
        let strange = turned.below(to.constant(ORDINARY / 2)) ^ to.constant(1);
        let what = self.calls.add(&[to_target(i as u8)], w.id);
        w.t.when(strange, || {
            w.t.push(Step::Set(register::TARGET, to.value));
            w.t.push(Step::Call(Call {
                what,
                // It does not come back.
                writes: 0,
                index: i as u8,
                at: self.distance(w.block.place(i).pc),
            }))
        });
    }

    /// The engine does the last instruction of a block. Mostly that is also the end of the run.
    fn left_to_engine(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn, condition: Option<Traced<'_>>) -> Option<End> {
        match condition {
            Some(c) => w.t.when(c, || self.call(w, i, insn)),
            None => self.call(w, i, insn),
        }
        None
    }

    fn call(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn) {
        let call = self.by_engine(w, i, insn);
        w.t.push(Step::Call(call));
        if !is_without_flags(insn) {
            w.compared.set(None);
            w.kind.set(None);
        }
    }

    fn by_engine(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn) -> Call {
        let index = i as u8;
        let ops: [Op<B>; 2] = [lower(insn, index), align_sp(index)];
        let n = 1 + usize::from(insn.may_misalign_sp());
        Call {
            what: self.calls.add(&ops[..n], w.id),
            writes: register::ALL,
            index,
            at: self.distance(w.block.place(i).pc),
        }
    }
}
