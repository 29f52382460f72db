//! Checking the fast tier (`-accel jit,check=on`): what compiled code did is undone, done again by the interpreter, and compared.
//!
//! Code that is checked touches nothing but registers and RAM: it ends before whatever the engine would have to execute for it, and notes
//! what each store overwrites. So undoing is exact, and no device sees anything twice.

use southbridge_core::System;
use southbridge_cpu_jit::Code;
use std::fmt::Write;

use crate::block::Cache;
use crate::fast::Fast;
use crate::hart::{Flow, Hart};
use crate::state::State;
use crate::tlb::Word;

/// What stood where a store went, by virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    addr: u64,
    bytes: u8,
    value: u64,
}

/// How checking a run ended.
pub(crate) enum Checked {
    /// It did something, and the interpreter did the same. A block that is hot now, if there is one.
    Same(Option<u32>),
    /// It did nothing: its first instruction is for the engine.
    Nothing,
    /// The two differ, for people to read.
    Differs(String),
}

impl Hart {
    /// Compiled code is about to store to the address in `note`.
    pub(crate) fn note_store(&mut self, bytes: u8) {
        let addr = self.note;
        // A page that no translation is kept of is not stored to: the run ends there.
        if let Some(value) = self.peek(addr, bytes) {
            self.journal.push(Stored { addr, bytes, value });
        }
    }

    /// What stands in writable RAM whose translation is kept.
    fn peek(&self, addr: u64, bytes: u8) -> Option<u64> {
        fn get<T: Word>(h: &Hart, addr: u64) -> Option<u64> {
            let (w, offset) = h.tlb.writable(addr, T::N, h.data_context)?;
            T::get(w, offset).map(T::widen)
        }
        match bytes {
            1 => get::<u8>(self, addr),
            2 => get::<u16>(self, addr),
            4 => get::<u32>(self, addr),
            _ => get::<u64>(self, addr),
        }
    }

    fn poke(&self, there: Stored) {
        let Stored { addr, bytes, value } = there;
        let context = self.data_context;
        let _ = match bytes {
            1 => self.tlb.store(addr, value as u8, context),
            2 => self.tlb.store(addr, value as u16, context),
            4 => self.tlb.store(addr, value as u32, context),
            _ => self.tlb.store(addr, value, context),
        };
    }
}

/// Runs the code of block `id`, and checks it. The hart is where the interpreter brought it.
pub(crate) fn run(cache: &Cache, fast: &Fast, id: u32, code: Code, h: &mut Hart, sys: &mut System) -> Checked {
    let before = h.s.clone();
    h.journal.clear();
    let exit = fast.run(cache.get(id), code, h, sys);
    if exit.called().is_some() {
        return Checked::Differs("compiled code called the engine though it is checked".into());
    }
    let n = h.s.retired.wrapping_sub(before.retired);
    if n == 0 {
        return match h.s == before {
            true if exit.hot().is_some() => Checked::Same(exit.hot()),
            true => Checked::Nothing,
            false => Checked::Differs(text(&before, h, &h.s, &[])),
        };
    }
    let fast_state = h.s.clone();
    let journal = std::mem::take(&mut h.journal);
    let fast_memory: Vec<_> = journal.iter().map(|j| h.peek(j.addr, j.bytes)).collect();
    for there in journal.iter().rev() {
        h.poke(*there);
    }
    h.s = before.clone();
    interpret(cache, id, h, sys, fast_state.retired);
    let changed: Vec<_> = journal
        .iter()
        .zip(fast_memory)
        .map(|(j, fast)| (*j, fast, h.peek(j.addr, j.bytes)))
        .filter(|(_, fast, slow)| fast != slow)
        .collect();
    match h.s == fast_state && changed.is_empty() {
        true => Checked::Same(exit.hot()),
        false => Checked::Differs(text(&before, h, &fast_state, &changed)),
    }
}

/// Executes up to the count `until`, or to the first instruction that does more than go on, which compiled code would not have done.
fn interpret(cache: &Cache, mut id: u32, h: &mut Hart, sys: &mut System, until: u64) {
    while h.s.retired < until {
        let block = cache.get(id);
        let n = (until - h.s.retired).min(block.count.into());
        let (flow, _) = cache.some(h, sys, block, n);
        match flow {
            Flow::NEXT => h.s.pc = h.s.pc.wrapping_add(block.at(n as usize)),
            Flow::BRANCH => {}
            _ => return,
        }
        h.s.retired += n;
        let key = h.tlb.fetch(h.s.pc, h.fetch_context);
        match key.and_then(|key| cache.known(key)) {
            Some(next) => id = next,
            None => return,
        }
    }
}

/// Both outcomes, for people.
fn text(before: &State, h: &Hart, fast: &State, memory: &[(Stored, Option<u64>, Option<u64>)]) -> String {
    let mut out = format!(
        "compiled code and interpreter differ: from {:#x}, {} instructions on",
        before.pc,
        fast.retired.wrapping_sub(before.retired)
    );
    let mut line = |name: &str, before: u64, fast: u64, slow: u64| {
        let mark = if fast == slow { ' ' } else { '*' };
        let _ = write!(
            out,
            "\n{mark} {name:>10}  before {before:#018x}  compiled {fast:#018x}  interpreted {slow:#018x}"
        );
    };
    let slow = &h.s;
    line("pc", before.pc, fast.pc, slow.pc);
    line("retired", before.retired, fast.retired, slow.retired);
    for (n, name) in crate::X_NAMES.iter().enumerate() {
        line(name, before.x.get(n as u8), fast.x.get(n as u8), slow.x.get(n as u8));
    }
    for (there, fast, slow) in memory {
        line(
            &format!("[{:#x}]", there.addr),
            there.value,
            fast.unwrap_or(0),
            slow.unwrap_or(0),
        );
    }
    out
}
