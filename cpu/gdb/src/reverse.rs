//! Backwards: to the instruction before, or to the last stop before.
//!
//! The machine only runs forwards. From the last snapshot before the present it runs up to the present again and remembers where it
//! stopped last; if nowhere, the span before that one is next.

use southbridge_core::machine::{NoPast, Reached};
use southbridge_core::{CpuId, Machine, Watchpoint};
use southbridge_protocol_gdb::{Signal, StopReply};

use crate::session::{Session, watch_word};
use crate::threads::thread_of;

/// Where a run stopped.
struct Hit {
    /// Executed instructions.
    at: u64,
    /// The breakpoint's address, to tell an exception that was entered from one that was not.
    pc: Option<u64>,
    watch: Option<(Watchpoint, u64)>,
    cpu: CpuId,
}

impl Session {
    /// One instruction back.
    pub(crate) fn reverse_step(&mut self, machine: &mut Machine) -> Result<StopReply, NoPast> {
        machine.has_past()?;
        clear_stops(machine);
        let now = machine.sys.clock.executed();
        let Some(target) = now.checked_sub(1) else {
            return Ok(StopReply::HistoryBegins(current(machine)));
        };
        match go(machine, target) {
            Err(NoPast::TooEarly) => Ok(StopReply::HistoryBegins(current(machine))),
            Err(e) => Err(e),
            Ok(()) => Ok(StopReply::Signal(Signal::Trap, current(machine))),
        }
    }

    /// Back to the last breakpoint or watchpoint, or to the begin of history. `interrupted` is asked between spans.
    pub(crate) fn reverse_continue(
        &mut self,
        machine: &mut Machine,
        interrupted: &mut dyn FnMut(&mut Machine) -> bool,
    ) -> Result<StopReply, NoPast> {
        machine.has_past()?;
        let mut before = machine.sys.clock.executed();
        loop {
            let span = before
                .checked_sub(1)
                .ok_or(NoPast::TooEarly)
                .and_then(|at| machine.rewind(at));
            let from = match span {
                Ok(from) => from.executed,
                Err(NoPast::TooEarly) => return Ok(self.at_the_begin(machine)),
                Err(e) => return Err(e),
            };
            self.set_stops(machine);
            if let Some(hit) = last_hit(machine, from, before) {
                self.go_to_hit(machine, &hit)?;
                return Ok(hit.reply());
            }
            if interrupted(machine) {
                go(machine, from)?;
                return Ok(StopReply::Signal(Signal::Interrupt, current(machine)));
            }
            before = from;
        }
    }

    fn at_the_begin(&mut self, machine: &mut Machine) -> StopReply {
        clear_stops(machine);
        if let Some(first) = machine.first_moment() {
            let _ = go(machine, first.executed);
        }
        StopReply::HistoryBegins(current(machine))
    }

    fn go_to_hit(&mut self, machine: &mut Machine, hit: &Hit) -> Result<(), NoPast> {
        clear_stops(machine);
        go(machine, hit.at)?;
        let pc = |m: &Machine| m.cpu(hit.cpu).map(|c| c.pc());
        if hit.pc.is_some() && hit.pc != pc(machine) {
            // The breakpoint is at a handler that was entered behind this instruction, which the next run does first.
            self.set_stops(machine);
            machine.run_past(hit.at.saturating_add(1));
        }
        Ok(())
    }
}

impl Hit {
    fn reply(&self) -> StopReply {
        match self.watch {
            Some((w, address)) => StopReply::Watch {
                kind: watch_word(w.kind),
                address,
                thread: thread_of(self.cpu),
            },
            None => StopReply::Signal(Signal::Trap, thread_of(self.cpu)),
        }
    }
}

/// To a count of executed instructions, without stops.
fn go(machine: &mut Machine, executed: u64) -> Result<(), NoPast> {
    machine.rewind(executed)?;
    machine.run_past(executed);
    Ok(())
}

/// Runs to `before` and gives the last place before it where something stopped the machine. It stands at `from`.
///
/// A breakpoint stops before its instruction. A watchpoint stops behind the one that touched the data; going backwards, the place to
/// stop is the one before it, where the old value is back.
fn last_hit(machine: &mut Machine, from: u64, before: u64) -> Option<Hit> {
    let mut last = None;
    while machine.run_past(before) == Reached::Debug {
        let executed = machine.sys.clock.executed();
        let cpu = machine.current_cpu();
        let watch = machine.cpu_mut(cpu)?.debug()?.take_watch_hit();
        let hit = match watch {
            Some(_) => Hit {
                at: executed.saturating_sub(1),
                pc: None,
                watch,
                cpu,
            },
            None => Hit {
                at: executed,
                pc: machine.cpu(cpu).map(|c| c.pc()),
                watch,
                cpu,
            },
        };
        if (from..before).contains(&hit.at) {
            last = Some(hit);
        }
    }
    last
}

fn current(machine: &Machine) -> u32 {
    thread_of(machine.current_cpu())
}

fn clear_stops(machine: &mut Machine) {
    for d in machine.cpus.iter_mut().filter_map(|c| c.debug()) {
        d.set_stops(&[], &[]);
    }
}
