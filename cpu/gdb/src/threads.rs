//! Cores as gdb's threads: core 0 is thread 1.

use southbridge_core::{CpuId, Machine};
use southbridge_protocol_gdb::{Action, Thread};
use std::fmt::Write;

/// A core as gdb counts.
pub(crate) fn thread_of(cpu: CpuId) -> u32 {
    u32::from(cpu.0) + 1
}

/// The core that a thread is. A machine without one has a first thread all the same: gdb can do nothing without.
pub(crate) fn cpu_of(thread: u32, machine: &Machine) -> Option<CpuId> {
    let n = usize::try_from(thread.checked_sub(1)?).ok()?;
    let exists = n < machine.cpus.len().max(1);
    exists.then(|| u8::try_from(n).ok().map(CpuId)).flatten()
}

fn all(machine: &Machine) -> impl Iterator<Item = u32> {
    (1..).take(machine.cpus.len().max(1))
}

/// The reply to `qfThreadInfo`.
pub(crate) fn list(machine: &Machine) -> String {
    let ids: Vec<_> = all(machine).map(|t| format!("{t:02x}")).collect();
    format!("m{}", ids.join(","))
}

/// What gdb shows beside a thread.
pub(crate) fn name(thread: u32, machine: &Machine) -> String {
    let cpu = cpu_of(thread, machine).and_then(|id| Some((id, machine.cpu(id)?)));
    let Some((id, cpu)) = cpu else {
        return "no processor".into();
    };
    let state = if machine.is_asleep(id) { " (halted)" } else { "" };
    format!("CPU#{} {}{state}", id.0, cpu.model())
}

/// The object `threads` ("Thread List Format", E.13).
pub(crate) fn xml(machine: &Machine) -> String {
    let mut out = String::from("<?xml version=\"1.0\"?><threads>");
    for t in all(machine) {
        let (core, name) = (t - 1, name(t, machine));
        let _ = write!(out, "<thread id=\"{t:x}\" core=\"{core}\" name=\"{name}\"/>");
    }
    out.push_str("</threads>");
    out
}

/// How the cores go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The run ends when this one has done an instruction.
    pub(crate) stepped: Option<CpuId>,
    /// The others stand still.
    pub(crate) only: Option<CpuId>,
}

/// What a `vCont` comes to: each core does the first action that names it or all. One core steps at most, and either all others go on
/// or all stand; of actions that ask for more, the first that steps counts. `None` if nothing is to go on.
pub(crate) fn plan(actions: &[(Action, Thread)], machine: &Machine) -> Option<Plan> {
    let of = |cpu: CpuId| {
        let fits = |thread: &Thread| match thread {
            Thread::One(n) => *n == thread_of(cpu),
            Thread::All | Thread::Any => true,
        };
        let action = actions.iter().find(|(_, thread)| fits(thread));
        action.map(|(a, _)| *a).filter(|a| *a != Action::Stop)
    };
    let cpus = all(machine).filter_map(|t| cpu_of(t, machine));
    let going: Vec<_> = cpus.filter_map(|cpu| Some((cpu, of(cpu)?))).collect();
    let steps = |(_, action): &&(CpuId, Action)| *action != Action::Continue;
    // Of several, that which stands where the last stop was.
    let current = machine.current_cpu();
    let at_hand = going.iter().filter(steps).find(|(cpu, _)| *cpu == current);
    let stepped = at_hand.or_else(|| going.iter().find(steps)).map(|(cpu, _)| *cpu);
    let only = match going.as_slice() {
        [] => return None,
        [(cpu, _)] if machine.cpus.len() > 1 => Some(*cpu),
        _ => None,
    };
    Some(Plan { stepped, only })
}

impl Plan {
    /// Sets the machine to it.
    pub(crate) fn carry_out(self, machine: &mut Machine) {
        machine.run_only(self.only);
        machine.halt_at = None;
        machine.step = self.stepped;
        if self.stepped.is_some() && machine.cpus.len() == 1 {
            machine.step = None;
            machine.halt_at = Some(machine.sys.clock.executed().saturating_add(1));
        }
    }
}
