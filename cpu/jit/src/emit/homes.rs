//! Guest registers between where they are in the code and their homes in the engine's struct.

use cranelift_codegen::ir::{InstBuilder, Type, Value as V, types};

use super::{Emitter, PLAIN};
use crate::ir::Target;
use crate::layout::Slot;

impl Emitter<'_> {
    /// Reads a field of the engine's struct.
    pub(super) fn home(&mut self, slot: Slot, ty: Type) -> V {
        let have = match slot.bytes() {
            1 => types::I8,
            4 => types::I32,
            _ => types::I64,
        };
        let v = self.b.ins().load(have, PLAIN, self.fixed.guest, slot.offset());
        self.resize(v, have, ty)
    }

    pub(super) fn resize(&mut self, v: V, from: Type, to: Type) -> V {
        match from.bits().cmp(&to.bits()) {
            std::cmp::Ordering::Less => self.b.ins().uextend(to, v),
            std::cmp::Ordering::Equal => v,
            std::cmp::Ordering::Greater => self.b.ins().ireduce(to, v),
        }
    }

    pub(super) fn put_home(&mut self, slot: Slot, v: V) {
        let to = match slot.bytes() {
            1 => types::I8,
            4 => types::I32,
            _ => types::I64,
        };
        let from = self.b.func.dfg.value_type(v);
        let v = self.resize(v, from, to);
        self.b.ins().store(PLAIN, v, self.fixed.guest, slot.offset());
    }

    /// Fetches a register from home.
    pub(super) fn reload(&mut self, r: u8) {
        if let Some(variable) = self.variables[usize::from(r)] {
            let v = self.home(self.layout.registers[usize::from(r)], self.word);
            self.b.def_var(variable, v);
        }
    }

    /// Brings home what is stale, the PC and the count of instructions.
    pub(super) fn flush_all(&mut self, pc: V) {
        self.flush();
        self.put_home(self.layout.pc, pc);
        let retired = self.b.use_var(self.retired);
        self.put_home(self.layout.retired, retired);
    }

    pub(super) fn get(&mut self, r: u8) -> V {
        match self.variables.get(usize::from(r)).copied().flatten() {
            Some(variable) => self.b.use_var(variable),
            None => self.word(0),
        }
    }

    pub(super) fn set(&mut self, r: u8, v: V) {
        if let Some(variable) = self.variables.get(usize::from(r)).copied().flatten() {
            self.b.def_var(variable, v);
            match self.keep.get(self.at).copied().unwrap_or(0) >> r & 1 {
                0 => self.put_home(self.layout.registers[usize::from(r)], v),
                _ => self.stale |= 1 << r,
            }
        }
    }

    /// Brings home what is stale there.
    pub(super) fn flush(&mut self) {
        self.flush_some(self.stale);
    }

    pub(super) fn flush_some(&mut self, stale: u64) {
        for r in (0..self.variables.len()).filter(|r| stale >> r & 1 != 0) {
            if let Some(variable) = self.variables[r] {
                let v = self.b.use_var(variable);
                self.put_home(self.layout.registers[r], v);
            }
        }
    }

    /// Registers that may be stale where control goes.
    pub(super) fn kept(&self, target: Target) -> u64 {
        match target {
            Target::Block(n) => self.keep.get(n as usize).copied().unwrap_or(0),
            // Leaving brings all of them home by itself.
            Target::Outside(_) => 0,
        }
    }

    /// Brings home what must not be stale wherever control goes.
    pub(super) fn flush_before(&mut self, targets: &[Target]) {
        let kept = targets.iter().fold(0, |kept, t| kept | self.kept(*t));
        self.flush_some(self.stale & !kept);
        self.stale &= kept;
    }
}
