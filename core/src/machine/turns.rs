//! Whose turn it is: several CPUs in round robin on one clock.
//!
//! A CPU runs a slice of so many instructions, then the next one that does not sleep. A slice ends early when the CPU sleeps, when
//! something comes for another CPU, and when another one wakes by its own timer: all of it facts of the machine. Where the run loop is
//! cut for other reasons (a host event, the end of `run_until`, a snapshot) the same CPU goes on with what is left of its slice, so that
//! nobody in the guest can tell. A machine with one CPU has no turns and pays nothing for them.

use serde::{Deserialize, Serialize};

use super::Machine;
use crate::clock::VirtualTime;
use crate::cpu::CpuId;
use crate::saved::LoadError;

/// Instructions in one slice of a CPU that is not alone. Short enough that one which spins on a lock costs little, long enough that
/// the loop around it costs little too.
pub(super) const SLICE: u64 = 10_000;

/// A CPU that waits for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sleep {
    /// When it wakes by itself.
    until: Option<VirtualTime>,
}

#[derive(Debug, Default)]
pub(super) struct Turns {
    current: usize,
    /// Executed instructions at which the slice of the current one is over.
    slice_end: u64,
    /// For each CPU.
    asleep: Vec<Option<Sleep>>,
    /// All others stand still, for a debugger.
    only: Option<CpuId>,
}

/// The same, for save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedTurns {
    current: u8,
    /// What is left of the slice.
    left: u64,
    asleep: Vec<Option<Sleep>>,
    only: Option<CpuId>,
}

impl Turns {
    pub(super) fn set_count(&mut self, n: usize) {
        self.asleep.resize(n, None);
    }

    /// All are awake, and the first one is on.
    pub(super) fn restart(&mut self, executed: u64) {
        self.current = 0;
        self.slice_end = executed.saturating_add(SLICE);
        self.asleep.fill(None);
    }

    /// What is left of the slice; at least one instruction.
    pub(super) fn left(&self, executed: u64) -> u64 {
        self.slice_end.saturating_sub(executed).max(1)
    }

    pub(super) fn sleep(&mut self, cpu: usize, until: Option<VirtualTime>) {
        if let Some(s) = self.asleep.get_mut(cpu) {
            *s = Some(Sleep { until });
        }
    }

    pub(super) fn wake(&mut self, cpu: usize) {
        if let Some(s) = self.asleep.get_mut(cpu) {
            *s = None;
        }
    }

    /// The first moment at which one that sleeps wakes by itself.
    pub(super) fn next_wake(&self) -> Option<VirtualTime> {
        self.asleep.iter().flatten().filter_map(|s| s.until).min()
    }

    fn may_run(&self, cpu: usize) -> bool {
        matches!(self.asleep.get(cpu), Some(None)) && self.only.is_none_or(|o| usize::from(o.0) == cpu)
    }

    fn id(cpu: usize) -> CpuId {
        CpuId(u8::try_from(cpu).unwrap_or(u8::MAX))
    }
}

impl Machine {
    /// The CPU whose turn it is, or which ran last.
    pub fn current_cpu(&self) -> CpuId {
        Turns::id(self.turns.current)
    }

    /// Lets one CPU run and all others stand still, for a debugger; `None` lets all run again. Recorded.
    pub fn run_only(&mut self, cpu: Option<CpuId>) {
        if self.turns.only != cpu {
            self.outside_did(crate::tape::Input::Only { cpu });
            self.set_only(cpu);
        }
    }

    pub(super) fn set_only(&mut self, cpu: Option<CpuId>) {
        self.turns.only = cpu.filter(|c| usize::from(c.0) < self.cpus.len());
    }

    /// Whether a CPU waits for something.
    pub fn is_asleep(&self, cpu: CpuId) -> bool {
        self.turns.asleep.get(usize::from(cpu.0)).is_some_and(Option::is_some)
    }

    /// Chooses the CPU that runs now; `None` if all sleep.
    #[inline]
    pub(super) fn choose(&mut self) -> Option<usize> {
        match self.cpus.len() {
            1 => Some(0),
            0 => None,
            n => self.choose_of(n),
        }
    }

    fn choose_of(&mut self, n: usize) -> Option<usize> {
        let now = self.sys.clock.now();
        let executed = self.sys.clock.executed();
        let mut over = self.sys.take_passed_on() || executed >= self.turns.slice_end;
        for cpu in 0..n {
            let Some(Some(sleep)) = self.turns.asleep.get(cpu).copied() else {
                continue;
            };
            let by_itself = sleep.until.is_some_and(|u| u <= now);
            if self.sys.take_wake(Turns::id(cpu)) || by_itself {
                self.turns.wake(cpu);
                over |= by_itself;
            }
        }
        if over || !self.turns.may_run(self.turns.current) {
            let ring = (1..=n).map(|k| (self.turns.current + k) % n);
            let next = ring.into_iter().find(|cpu| self.turns.may_run(*cpu))?;
            self.turns.current = next;
            self.turns.slice_end = executed.saturating_add(SLICE);
        }
        let id = Turns::id(self.turns.current);
        self.sys.take_wake(id);
        self.sys.set_running(id);
        Some(self.turns.current)
    }

    /// Instructions that the chosen CPU may run as far as the others are concerned.
    #[inline]
    pub(super) fn share(&self) -> u64 {
        if self.cpus.len() == 1 {
            return u64::MAX;
        }
        let left = self.turns.left(self.sys.clock.executed());
        match self.turns.next_wake() {
            Some(at) => left.min(self.sys.clock.ticks_until(at).max(1)),
            None => left,
        }
    }

    /// Lines have been flushed before.
    pub(super) fn save_turns(&mut self) -> SavedTurns {
        let executed = self.sys.clock.executed();
        if self.cpus.len() > 1 {
            // What has come for another one and not been seen ends the slice there as here.
            if self.sys.take_passed_on() {
                self.turns.slice_end = executed;
            }
            for cpu in 0..self.cpus.len() {
                if self.sys.take_wake(Turns::id(cpu)) {
                    self.turns.wake(cpu);
                }
            }
        }
        SavedTurns {
            current: Turns::id(self.turns.current).0,
            left: match self.cpus.len() {
                0 | 1 => 0,
                _ => self.turns.slice_end.saturating_sub(executed),
            },
            asleep: self.turns.asleep.clone(),
            only: self.turns.only,
        }
    }

    /// Takes that back. The clock has been loaded.
    pub(super) fn load_turns(&mut self, saved: &SavedTurns) -> Result<(), LoadError> {
        let n = self.cpus.len();
        if saved.asleep.len() != n || usize::from(saved.current) >= n.max(1) {
            return Err(LoadError::Impossible("another number of processors"));
        }
        self.turns = Turns {
            current: saved.current.into(),
            slice_end: self.sys.clock.executed().saturating_add(saved.left.min(SLICE)),
            asleep: saved.asleep.clone(),
            only: saved.only.filter(|c| usize::from(c.0) < n),
        };
        self.sys.take_passed_on();
        for cpu in 0..n {
            self.sys.take_wake(Turns::id(cpu));
        }
        self.sys.set_running(Turns::id(self.turns.current));
        Ok(())
    }
}
