//! The last instruction of a block: where control goes from there, and where it probably goes if a register says.

use southbridge_cpu_jit::ir::{Call, End, Op as Step, Target, Width as Bytes};
use southbridge_cpu_jit::{Traced, Word};

use super::work::{Work, span};
use super::{Lifter, MAX_GUESSES, WORD, guarded};
use crate::bus::{Bus, Window as _};
use crate::exec::to_target;
use crate::fast::register;
use crate::insn::{Insn, Kind};

/// Entries of a table of branches that are looked at at most.
const MAX_TABLE: u32 = 64;
/// What a branch to a register above it means is for the engine to say (EXC_RETURN).
const ORDINARY: u64 = 0xf000_0000;

impl<B: Bus> Lifter<'_, B> {
    /// The last instruction of a block.
    pub(super) fn ending(&mut self, w: &Work<'_, B>, i: usize, insn: &Insn) -> Option<End> {
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
                let to = self.target(insn.imm);
                if matches!(to, Target::Outside(_)) {
                    self.doors.extend(back);
                }
                Some(End::Jump(to))
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
                let guesses = self.went(w);
                if guesses.is_empty() {
                    self.doors.extend(back);
                }
                Some(End::Indirect((to & w.k(!1)).value, guesses))
            }
            Kind::MovPc | Kind::AddPc if condition.is_none() => {
                let to = match insn.kind {
                    Kind::MovPc => w.r(insn.m),
                    _ => w.r(insn.m).plus(insn.imm.into()),
                };
                let guesses = self.went(w);
                Some(End::Indirect((to & w.k(!1)).value, guesses))
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
                let guesses = match insn.n {
                    15 => self.table(insn.imm, half),
                    _ => self.went(w),
                };
                Some(End::Indirect(to.value, guesses))
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
        if self.seen.check {
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
        let mut guesses: Vec<u32> = condition.and_then(|_| self.inside(behind)).into_iter().collect();
        let went = self.went(w);
        let known = guesses.clone();
        guesses.extend(went.into_iter().filter(|n| !known.contains(n)));
        End::Indirect((to & to.constant(!1u32 as u64)).value, guesses)
    }

    /// Where control went from this block before.
    fn went(&mut self, w: &Work<'_, B>) -> Vec<u32> {
        let places = self.cache.went(w.block);
        places.into_iter().filter_map(|pc| self.inside(pc)).collect()
    }

    /// Where a table of branches goes that stands at `at`, as far as that is known. It ends where the first of its branches goes.
    fn table(&mut self, at: u32, half: bool) -> Vec<u32> {
        let mut all = Vec::new();
        let mut end = u32::MAX;
        let size = 1 + u32::from(half);
        for place in (0..MAX_TABLE).map(|i| at.wrapping_add(i * size)) {
            let Some(w) = self.seen.windows.holder(place).filter(|_| place < end) else {
                break;
            };
            let v = match half {
                true => w.read_u16(place).map(u32::from),
                false => w.read_u8(place).map(u32::from),
            };
            let Some(v) = v else { break };
            let to = at.wrapping_add(2 * v);
            end = end.min(to);
            if all.len() < MAX_GUESSES
                && let Some(n) = self.inside(to)
                && !all.contains(&n)
            {
                all.push(n);
            }
        }
        all
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
}
