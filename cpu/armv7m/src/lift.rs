//! From decoded blocks to regions of IR.
//!
//! A region is what can be reached by direct jumps from a block that proved hot, as far as it has been decoded. What an instruction
//! computes comes from [`meaning`]; one that is not known here, and every access that is not plain RAM, is executed by its handler.

mod ending;
mod work;

use southbridge_cpu_jit::ir::{Block as Piece, Call, End, Op as Step, Region, Target, Width as Bytes};
use southbridge_cpu_jit::{Traced, Tracer, Word};
use std::cell::Cell;
use std::collections::HashMap;

use crate::block::{Block, Cache, Place, key};
use crate::bus::{Bus, Window as _};
use crate::exec::{Op, align_sp, lower};
use crate::fast::{Calls, register};
use crate::insn::{Insn, Kind, Mode, Width};
use crate::meaning;
use crate::windows::{Windows, slot};
use work::{Known, Work, is_pure, is_without_flags, span};

/// Guest instructions in a region at most.
const MAX_INSTRUCTIONS: u32 = 100;
/// Blocks in a region at most.
const MAX_BLOCKS: usize = 64;
/// Return addresses that a branch to a register is compared with at most.
const MAX_GUESSES: usize = 12;

/// What is seen of the running core while its code is lifted.
pub(crate) struct Seen<'a, B: Bus> {
    pub(crate) windows: &'a Windows<B::Window>,
    pub(crate) regs: [u32; 16],
    /// Whether windows stay as they are for as long as the code is kept.
    pub(crate) fixed: bool,
    /// Whether a memory has no decoded code for as long as the code is kept.
    pub(crate) is_plain: &'a dyn Fn(u64) -> bool,
    /// Where accesses go, by address of the instruction, as far as first guesses were wrong.
    pub(crate) learned: &'a HashMap<u32, Learned>,
    /// Whether the code will be checked: then no instruction may have begun when it turns out to be the engine's.
    pub(crate) check: bool,
}

/// Where the access of an instruction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learned {
    /// The number of the window.
    pub(crate) slot: usize,
    /// How often that was found.
    pub(crate) times: u32,
}

/// An instruction whose accesses were found elsewhere more often goes to several windows.
const MAX_TIMES: u32 = 2;

/// A region and what it is made of.
pub(crate) struct Lifted {
    pub(crate) region: Region,
    /// Blocks, in order.
    pub(crate) members: Vec<u32>,
    /// Those where it may be entered, the first one first.
    pub(crate) entries: Vec<u32>,
}

/// The region that begins with block `first`. `None` if the block cannot be a part of one.
pub(crate) fn region<B: Bus>(cache: &Cache<B>, first: u32, calls: &mut Calls<B>, seen: Seen<'_, B>) -> Option<Lifted> {
    let start = cache.get(first).plain()?;
    let mark = calls.mark();
    let mut lifter = Lifter {
        cache,
        start,
        blocks: vec![first],
        // Not at the start yet: who jumps back there gets a copy that knows how the flags were set.
        at: HashMap::new(),
        left: MAX_INSTRUCTIONS.saturating_sub(cache.get(first).count),
        returns: Vec::new(),
        doors: Vec::new(),
        calls,
        seen,
    };
    // Once to see what there is and what each block leaves known, and once with what is known before each.
    let drafts = lifter.pieces(&[], &[]);
    let inner = lifter.entries(&drafts);
    let known = facts(&drafts, &inner);
    lifter.calls.forget(mark);
    let pieces = lifter.pieces(&known, &inner);
    let name = format!("{start:#010x}");
    let entries = inner.iter().map(|n| lifter.blocks[*n as usize]);
    let entries = std::iter::once(first).chain(entries).collect();
    let mut members = lifter.blocks;
    members.sort_unstable();
    members.dedup();
    Some(Lifted {
        region: Region {
            name,
            key: 0,
            blocks: pieces.into_iter().map(|(piece, _)| piece).collect(),
        },
        members,
        entries,
    })
}

/// Blocks of the region that may come next.
fn successors(end: &End) -> Vec<u32> {
    let (targets, guesses): (&[Target], &[u32]) = match end {
        End::Jump(t) => (&[*t], &[]),
        End::Branch(_, t, e) => (&[*t, *e], &[]),
        End::Indirect(_, guesses) => (&[], guesses),
    };
    let inside = targets.iter().filter_map(|t| match t {
        Target::Block(n) => Some(*n),
        Target::Outside(_) => None,
    });
    inside.chain(guesses.iter().copied()).collect()
}

/// What is known of the flags at the start of each block, by what each leaves known.
fn facts(pieces: &[(Piece, Known)], entries: &[u32]) -> Vec<Known> {
    let mut at: Vec<Option<Known>> = vec![None; pieces.len()];
    at[0] = Some(Known::NOTHING);
    entries.iter().for_each(|n| at[*n as usize] = Some(Known::NOTHING));
    let mut changed = true;
    while std::mem::take(&mut changed) {
        for (i, (piece, left)) in pieces.iter().enumerate() {
            let Some(before) = at[i] else { continue };
            let after = left.after(before);
            for s in successors(&piece.end) {
                let there = &mut at[s as usize];
                let new = Some(there.map_or(after, |known| known.meet(after)));
                changed |= *there != new;
                *there = new;
            }
        }
    }
    at.into_iter().map(|known| known.unwrap_or(Known::NOTHING)).collect()
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
    /// Those behind calls of what is not in the region.
    doors: Vec<u32>,
    calls: &'a mut Calls<B>,
    seen: Seen<'a, B>,
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

    /// All blocks, with what they leave known of the flags. The second time `known` is before them, and `entries` may be entered.
    fn pieces(&mut self, known: &[Known], entries: &[u32]) -> Vec<(Piece, Known)> {
        self.returns.clear();
        self.doors.clear();
        let mut pieces = Vec::new();
        while let Some(id) = self.blocks.get(pieces.len()).copied() {
            let n = pieces.len();
            let before = known.get(n).copied().unwrap_or(Known::AS_BEFORE);
            pieces.push(self.piece(id, n == 0, entries.contains(&(n as u32)), before));
        }
        for (piece, _) in &mut pieces {
            if let End::Indirect(_, guesses) = &mut piece.end {
                let more = self.returns.iter().filter(|r| !guesses.contains(r));
                let more: Vec<u32> = more.take(MAX_GUESSES.saturating_sub(guesses.len())).copied().collect();
                guesses.extend(more);
            }
        }
        pieces
    }

    /// Blocks other than the first where others come in: heads of loops, for a run may end there, and what is behind calls of what is
    /// not in the region.
    fn entries(&self, pieces: &[(Piece, Known)]) -> Vec<u32> {
        let mut all = self.doors.clone();
        for (i, (piece, _)) in pieces.iter().enumerate() {
            all.extend(successors(&piece.end).into_iter().filter(|s| *s as usize <= i));
        }
        all.sort_unstable();
        all.dedup();
        all.retain(|n| *n != 0 && self.cache.get(self.blocks[*n as usize]).plain() != Some(self.start));
        all
    }

    fn piece(&mut self, id: u32, first: bool, entry: bool, known: Known) -> (Piece, Known) {
        let tracer = Tracer::default();
        let cache = self.cache;
        let block = cache.get(id);
        let at = self.distance(block.place(0).pc);
        if first {
            tracer.push(Step::Origin(self.start.into()));
        }
        if entry {
            tracer.push(Step::Entry);
        }
        tracer.push(Step::CallsAt(self.distance(block.end.pc)));
        let w = Work {
            t: &tracer,
            id,
            block,
            known: Cell::new(known),
            only_if: Cell::new(None),
        };
        let end = self.contents(&w, block);
        let known = w.known.get();
        let piece = Piece {
            id,
            at,
            count: block.count,
            end: end.unwrap_or_else(|| End::Jump(self.target(block.end.pc))),
            ops: tracer.finish(),
        };
        (piece, known)
    }

    fn contents(&mut self, w: &Work<'_, B>, block: &Block<B>) -> Option<End> {
        let all: Vec<Insn> = (0..block.count as usize).map(|i| block.insn(i)).collect();
        let mut i = 0;
        while let Some(insn) = all.get(i) {
            if insn.ends_block() {
                return self.ending(w, i, insn);
            }
            let Some(code) = guarded(block.place(i)) else {
                self.instruction(w, i, insn);
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
                let before = w.known.get();
                w.t.when(condition, || {
                    for (j, insn) in (i..).zip(run) {
                        self.instruction(w, j, insn);
                    }
                });
                w.known.set(w.known.get().meet(before));
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
                self.hint(w, i, insn);
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
                self.hint(w, i, insn);
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
                self.hint(w, i, insn);
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
                self.hint(w, i, insn);
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

    /// Says where the access of instruction `i` will mostly go, by what was learned, or what its registers hold now: all but the speed of it
    /// is as well without.
    fn hint(&self, w: &Work<'_, B>, i: usize, insn: &Insn) {
        if !self.seen.fixed {
            return;
        }
        let r = |n: u8| self.seen.regs.get(usize::from(n)).copied().unwrap_or(0);
        let slots = match self.seen.learned.get(&w.block.place(i).pc) {
            Some(known) if known.times > MAX_TIMES => return,
            Some(known) => vec![known.slot],
            None if insn.n == 15 => vec![slot(insn.imm)],
            None => {
                let second = match insn.kind {
                    Kind::Load { mode: Mode::Reg, .. } | Kind::Store { mode: Mode::Reg, .. } => r(insn.m),
                    _ => r(insn.n).wrapping_add(insn.imm),
                };
                // A register that holds a small number now seems to point to where code stands on most boards.
                let not_code = |place: &u32| slot(*place) != slot(self.start);
                let guesses = [r(insn.n), second, r(13)].into_iter().filter(not_code);
                guesses.chain([r(insn.n)]).map(slot).collect()
            }
        };
        for slot in slots {
            let window = self.seen.windows.all.get(slot).copied();
            if let Some((window, holder)) = window.filter(|w| !w.is_empty()).zip(self.seen.windows.in_slot(slot)) {
                let plain = holder
                    .host()
                    .is_some_and(|(first, _)| (self.seen.is_plain)(holder.place(first).0));
                w.t.push(Step::Hint { window, plain });
                return;
            }
        }
    }

    fn load(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn, address: Traced<'_>, width: Bytes, register: u8) {
        let slow = self.by_engine(w, i, insn);
        self.hint(w, i, insn);
        w.t.push(Step::Load {
            address: address.value,
            width,
            register,
            slow,
        });
    }

    fn load_many(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn, address: Traced<'_>, registers: u64) {
        let slow = self.by_engine(w, i, insn);
        self.hint(w, i, insn);
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
            w.known.set(Known::NOTHING);
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
