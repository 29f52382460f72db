//! The ways out of a block: to another one, to another region, to the engine.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block as Label, InstBuilder, Value as V, types};
use cranelift_frontend::Switch;

use super::{ENTRY, Emitter, LOOK, MANY, PLAIN, known_key};
use crate::ir::{Block, Call, End, Target};
use crate::layout::{Chain, NOTE};

impl Emitter<'_> {
    /// Ends the run before the block in hand.
    pub(super) fn leave_before(&mut self, block: &Block) -> Label {
        let here = self.b.current_block();
        let label = self.b.create_block();
        self.b.set_cold_block(label);
        self.b.switch_to_block(label);
        let pc = self.pc_at(block.at);
        self.flush_all(pc);
        let look = self.b.ins().iconst(types::I64, LOOK);
        self.b.ins().return_(&[look]);
        if let Some(here) = here {
            self.b.switch_to_block(here);
        }
        label
    }

    /// The engine executes an instruction; goes on here if the region is to go on. `is_cold` says that this is off the usual
    /// way.
    pub(super) fn call(&mut self, call: Call, is_cold: bool) {
        self.flush();
        if self.layout.note.is_some() {
            return self.leave_at(call);
        }
        // That at the start of the block.
        let retired = self.b.use_var(self.retired);
        self.put_home(self.layout.retired, retired);
        if let Some(at) = self.calls_at {
            let pc = self.pc_at(at);
            self.put_home(self.layout.pc, pc);
        }
        let thunk = self.constant(self.shared.thunk);
        let what = self.constant(call.what.into());
        let arguments = [self.fixed.guest, self.fixed.world, what];
        self.b.ins().call_indirect(self.thunk, thunk, &arguments);
        let exit = self.home(self.layout.exit, types::I64);
        let (out, on) = (self.out, self.b.create_block());
        if is_cold {
            self.b.set_cold_block(on);
        }
        self.b.ins().brif(exit, out, &[], on, &[]);
        self.b.switch_to_block(on);
    }

    /// Ends the run before an instruction that the engine is to execute.
    pub(super) fn leave_at(&mut self, call: Call) {
        let pc = self.pc_at(call.at);
        self.put_home(self.layout.pc, pc);
        let retired = self.b.use_var(self.retired);
        let retired = self.b.ins().iadd_imm_s(retired, i64::from(call.index));
        self.put_home(self.layout.retired, retired);
        let look = self.b.ins().iconst(types::I64, LOOK);
        self.b.ins().return_(&[look]);
        // Nothing gets here.
        let on = self.b.create_block();
        self.b.switch_to_block(on);
    }

    /// Tells the engine of a store that is about to be done.
    pub(super) fn note(&mut self, address: V, bytes: u8) {
        if let Some(slot) = self.layout.note {
            self.put_home(slot, address);
            let thunk = self.constant(self.shared.thunk);
            let what = self.constant(NOTE | u64::from(bytes));
            let arguments = [self.fixed.guest, self.fixed.world, what];
            self.b.ins().call_indirect(self.thunk, thunk, &arguments);
        }
    }

    pub(super) fn end(&mut self, end: &End) {
        match end {
            End::Jump(target) => {
                self.flush_before(&[*target]);
                let (label, at) = self.target(*target);
                self.b.ins().jump(label, &[]);
                self.outside(label, at);
            }
            End::Branch(condition, then, other) => {
                let condition = self.value(*condition);
                let targets = [*then, *other];
                self.flush_before(&targets);
                let labels = targets.map(|t| self.target(t));
                let mut ways = labels.map(|(label, _)| label);
                for (way, target) in ways.iter_mut().zip(targets) {
                    if matches!(target, Target::Block(_)) && self.stale & !self.kept(target) != 0 {
                        *way = self.b.create_block();
                    }
                }
                self.b.ins().brif(condition, ways[0], &[], ways[1], &[]);
                for ((target, (label, at)), way) in targets.iter().zip(labels).zip(ways) {
                    self.outside(label, at);
                    if way != label {
                        self.b.switch_to_block(way);
                        self.flush_some(self.stale & !self.kept(*target));
                        self.b.ins().jump(label, &[]);
                    }
                }
            }
            End::Indirect(to, guesses) => {
                let to = self.value(*to);
                let to = self.resize(to, self.word, types::I64);
                let targets: Vec<Target> = guesses.iter().map(|g| Target::Block(*g)).collect();
                let kept = targets.iter().fold(self.layout.lazy, |kept, t| kept & self.kept(*t));
                self.flush_some(self.stale & !kept);
                self.stale &= kept;
                if guesses.len() >= MANY && self.origin().is_some() {
                    return self.one_of(to, guesses);
                }
                for guess in guesses {
                    let Some(block) = self.region.blocks.get(*guess as usize) else {
                        continue;
                    };
                    let there = self.pc_at(block.at);
                    let is = self.b.ins().icmp(IntCC::Equal, to, there);
                    let label = self.labels[*guess as usize];
                    self.unless(is, label);
                }
                self.go_to(to);
            }
        }
    }

    /// Goes to one of many blocks, or leaves.
    pub(super) fn one_of(&mut self, to: V, guesses: &[u32]) {
        let mut ways = Switch::new();
        for guess in guesses {
            let Some(block) = self.region.blocks.get(*guess as usize) else {
                continue;
            };
            let address = self.address(block.at).into();
            if !ways.entries().contains_key(&address) {
                ways.set_entry(address, self.labels[*guess as usize]);
            }
        }
        let other = self.b.create_block();
        ways.emit(&mut self.b, to, other);
        self.b.switch_to_block(other);
        self.go_to(to);
    }

    /// Where to jump, and, if that leaves the region, the distance of the guest address.
    pub(super) fn target(&mut self, target: Target) -> (Label, Option<i64>) {
        match target {
            Target::Block(n) => match self.labels.get(n as usize) {
                Some(label) => (*label, None),
                None => (self.b.create_block(), Some(0)),
            },
            Target::Outside(at) => (self.b.create_block(), Some(at)),
        }
    }

    pub(super) fn outside(&mut self, label: Label, at: Option<i64>) {
        if let Some(at) = at {
            self.b.switch_to_block(label);
            let pc = self.pc_at(at);
            match known_key(self.layout, self.region, at) {
                Some(key) => self.go_to_known(pc, key),
                None => self.go_to(pc),
            }
        }
    }

    /// Leaves the region for a guest address whose code has that key.
    pub(super) fn go_to_known(&mut self, pc: V, key: u64) {
        self.flush_all(pc);
        if let Some((_, link)) = self.links.iter().find(|(k, _)| *k == key) {
            let link = self.constant(*link);
            let code = self.b.ins().load(types::I64, PLAIN, link, 0);
            self.b.ins().return_(&[code]);
            return;
        }
        let entry = self.constant(self.shared.table + self.shared.slot(key) * ENTRY as u64);
        self.follow(entry, Key::Known(key));
    }

    /// Ends with the code of a table's entry, if it has that key.
    fn follow(&mut self, entry: V, key: Key) {
        let fail = self.fail;
        let have = self.b.ins().load(types::I64, PLAIN, entry, 0);
        let other = match key {
            Key::Value(key) => self.b.ins().icmp(IntCC::NotEqual, have, key),
            Key::Known(key) => {
                let key = self.constant(key);
                self.b.ins().icmp(IntCC::NotEqual, have, key)
            }
        };
        self.unless(other, fail);
        let code = self.b.ins().load(types::I64, PLAIN, entry, 8);
        self.b.ins().return_(&[code]);
    }

    /// Leaves the region for a guest address.
    pub(super) fn go_to(&mut self, pc: V) {
        self.flush_all(pc);
        let dispatch = self.dispatch;
        self.b.ins().jump(dispatch, &[pc.into()]);
    }

    /// The end of the function: finds the region of a guest address.
    pub(super) fn dispatch(&mut self) {
        let fail = self.fail;
        self.b.switch_to_block(self.dispatch);
        let pc = self.b.append_block_param(self.dispatch, types::I64);
        let key = match self.layout.chain {
            Chain::Paged { fetch, context } => {
                let context = self.home(context, types::I64);
                let (page, entry) = self.page(pc, fetch);
                let want = self.b.ins().bor(page, context);
                let tag = self.b.ins().load(types::I64, PLAIN, entry, fetch.offset as i32);
                let other = self.b.ins().icmp(IntCC::NotEqual, tag, want);
                self.unless(other, fail);
                let rest = self.b.ins().load(types::I64, PLAIN, entry, fetch.offset as i32 + 8);
                let rest = self.b.ins().band_imm_s(rest, !0xfff);
                self.b.ins().iadd(pc, rest)
            }
            Chain::Plain { beside } => {
                let beside = self.home(beside, types::I64);
                let upper = self.b.ins().ishl_imm_u(beside, 32);
                self.b.ins().bor(pc, upper)
            }
        };
        let low = self.b.ins().ushr_imm_u(key, 1);
        let high = self.b.ins().ushr_imm_u(key, 13);
        let hash = self.b.ins().bxor(low, high);
        let slot = self.b.ins().band_imm_u(hash, self.shared.entries as i64 - 1);
        let slot = self.b.ins().imul_imm_u(slot, ENTRY);
        let table = self.constant(self.shared.table);
        let entry = self.b.ins().iadd(table, slot);
        self.follow(entry, Key::Value(key));
        self.b.set_cold_block(fail);
        self.b.switch_to_block(fail);
        let look = self.b.ins().iconst(types::I64, LOOK);
        self.b.ins().return_(&[look]);
        self.b.set_cold_block(self.out);
        self.b.switch_to_block(self.out);
        let exit = self.home(self.layout.exit, types::I64);
        self.b.ins().return_(&[exit]);
    }
}

/// The key of a region, worked out now or by the code.
enum Key {
    Known(u64),
    Value(V),
}
