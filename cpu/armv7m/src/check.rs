//! Checking the fast tier (`-accel jit,check=on`): what compiled code did is undone, done again by the interpreter, and compared.
//!
//! Code that is checked touches nothing but registers and RAM: it ends before whatever the engine would have to execute for it, and notes
//! what each store overwrites. So undoing is exact, and no device sees anything twice.

use southbridge_cpu_jit::Code;
use std::fmt::Write;

use crate::block::{Cache, key};
use crate::bus::{Bus, Window};
use crate::core::{Core, Flow};
use crate::engine::execute;
use crate::fast::Fast;
use crate::state::State;

/// What stood where a store went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    addr: u32,
    bytes: u8,
    value: u32,
}

/// How checking a run ended.
#[derive(Debug)]
pub(crate) enum Checked {
    /// It did something, and the interpreter did the same.
    Same,
    /// It did nothing: its first instruction is for the engine.
    Nothing,
    /// The two differ, for people to read.
    Differs(String),
}

impl<B: Bus> Core<B> {
    /// Compiled code is about to store to the address in `note`.
    pub(crate) fn note_store(&mut self, bytes: u8) {
        // What no window has is not stored to: the run ends there.
        if let Ok(addr) = u32::try_from(self.note)
            && let Some(value) = self.peek(addr, bytes)
        {
            self.journal.push(Stored { addr, bytes, value });
        }
    }

    /// What stands in RAM that compiled code reaches.
    fn peek(&self, addr: u32, bytes: u8) -> Option<u32> {
        let w = self.windows.holder(addr)?;
        match bytes {
            1 => w.read_u8(addr).map(u32::from),
            2 => w.read_u16(addr).map(u32::from),
            _ => w.read_u32(addr),
        }
    }

    fn poke(&self, there: Stored) {
        let Stored { addr, bytes, value } = there;
        let Some(w) = self.windows.holder(addr) else { return };
        let _ = match bytes {
            1 => w.write_u8(addr, value as u8),
            2 => w.write_u16(addr, value as u16),
            _ => w.write_u32(addr, value),
        };
    }
}

/// What is compared. The fast tier leaves ITSTATE to who goes on: the interpreter is where it knows it.
fn same(fast: &State, fast_cycles: u64, slow: &State, slow_cycles: u64) -> bool {
    let fast = State {
        it: slow.it,
        ..fast.clone()
    };
    fast_cycles == slow_cycles && fast == *slow
}

/// Runs the code of block `id`, and checks it. The core is where the interpreter brought it.
pub(crate) fn run<B: Bus>(
    cache: &Cache<B>,
    fast: &Fast<B>,
    id: u32,
    code: Code,
    core: &mut Core<B>,
    bus: &mut B,
) -> Checked {
    let (before, start) = (core.s.clone(), core.cycles);
    core.journal.clear();
    let exit = fast.run(code, core, bus);
    if exit.called().is_some() {
        return Checked::Differs("compiled code called the engine though it is checked".into());
    }
    let (fast_state, until) = (core.s.clone(), core.cycles);
    let journal = std::mem::take(&mut core.journal);
    let fast_memory: Vec<_> = journal.iter().map(|j| core.peek(j.addr, j.bytes)).collect();
    for there in journal.iter().rev() {
        core.poke(*there);
    }
    (core.s, core.cycles) = (before.clone(), start);
    interpret(cache, id, core, bus, until);
    let changed: Vec<_> = journal
        .iter()
        .zip(fast_memory)
        .map(|(j, fast)| (*j, fast, core.peek(j.addr, j.bytes)))
        .filter(|(_, fast, slow)| fast != slow)
        .collect();
    let equal = same(&fast_state, until, &core.s, core.cycles) && changed.is_empty();
    match equal {
        true if until == start => Checked::Nothing,
        true => Checked::Same,
        false => Checked::Differs(text((&before, start), (&fast_state, until), core, &changed)),
    }
}

/// Executes up to the count `until`, or to the first instruction that does more than go on, which compiled code would not have done.
fn interpret<B: Bus>(cache: &Cache<B>, mut id: u32, core: &mut Core<B>, bus: &mut B, until: u64) {
    // Instructions of the block that are done already.
    let mut done = 0;
    while core.cycles < until {
        let block = cache.get(id);
        let end = (until - core.cycles).saturating_add(done).min(block.count.into());
        let ops = &block.ops[..block.ops.partition_point(|op| u64::from(op.idx) < end)];
        let ops = &ops[ops.partition_point(|op| u64::from(op.idx) < done)..];
        // Instructions count from the start of the block.
        core.cycles -= done;
        let (flow, idx) = execute(core, bus, block.end, ops);
        let next = match flow {
            None => end,
            // Something asks for a look between two instructions: later.
            Some(Flow::SYNC | Flow::BRANCH | Flow::SYNC_BRANCH) => u64::from(idx) + 1,
            Some(_) => {
                core.cycles += u64::from(idx);
                return;
            }
        };
        core.cycles += next;
        if flow == Some(Flow::SYNC) {
            core.s.regs[13] &= !3;
        }
        if matches!(flow, None | Some(Flow::SYNC)) {
            let place = block.place(next as usize);
            (core.s.pc, core.s.it) = (place.pc, place.it);
            if next < block.count.into() {
                done = next;
                continue;
            }
        }
        done = 0;
        match cache.known(key(core.s.pc, core.s.it)) {
            Some(next) => id = next,
            None => return,
        }
    }
}

/// Both outcomes, for people. The interpreter's is in `core`.
fn text<B: Bus>(
    (before, start): (&State, u64),
    (fast, until): (&State, u64),
    core: &Core<B>,
    memory: &[(Stored, Option<u32>, Option<u32>)],
) -> String {
    let mut out = format!(
        "compiled code and interpreter differ: from {:#x}, {} instructions on",
        before.pc,
        until.wrapping_sub(start)
    );
    let mut line = |name: &str, before: u64, fast: u64, slow: u64| {
        let mark = if fast == slow { ' ' } else { '*' };
        let _ = write!(
            out,
            "\n{mark} {name:>12}  before {before:#010x}  compiled {fast:#010x}  interpreted {slow:#010x}"
        );
    };
    let slow = &core.s;
    line("pc", before.pc.into(), fast.pc.into(), slow.pc.into());
    line("instructions", start, until, core.cycles);
    let flags = |s: &State| u64::from(s.apsr());
    line("apsr", flags(before), flags(fast), flags(slow));
    for n in 0..15 {
        let r = |s: &State| u64::from(s.regs[n]);
        line(&format!("r{n}"), r(before), r(fast), r(slow));
    }
    for (there, fast, slow) in memory {
        let v = |v: &Option<u32>| u64::from(v.unwrap_or(0));
        line(&format!("[{:#010x}]", there.addr), there.value.into(), v(fast), v(slow));
    }
    let beyond = State {
        regs: fast.regs,
        pc: fast.pc,
        nz: fast.nz,
        c: fast.c,
        v: fast.v,
        it: fast.it,
        ..slow.clone()
    };
    if beyond != *fast {
        let _ = write!(out, "\n* other state  compiled {fast:?}  interpreted {slow:?}");
    }
    out
}

#[cfg(test)]
mod tests;
