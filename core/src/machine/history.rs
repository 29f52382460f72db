//! The past of a machine: snapshots in memory and the tape between them, so that a debugger can run backwards.
//!
//! Going back loads the last snapshot before the wanted moment and executes forward to it. Pages of RAM that did not change between
//! two snapshots are kept once, pages that are zero not at all. So what history takes has a bound: [`MOST_RAM`] of pages (two snapshots
//! at least, whatever they take), [`MOST_INPUT`] of input, and [`MOST`] times the states of the devices and processors.
//! What it is not: a saved state for other processes; that is [`Machine::save`].

use thiserror::Error;

use super::pages::{Kept, KeptPages};
use super::state::SavedMachine;
use super::{Machine, Outcome, RunState};
use crate::clock::VirtualTime;
use crate::cpu::{CpuId, SemihostingCall};
use crate::saved::LoadError;
use crate::tape::{Input, Moment, TapePlace};

/// Instructions between two snapshots at least.
const INTERVAL: u64 = 4_000_000;
/// Snapshots kept. The older they are the wider they stand.
const MOST: usize = 48;
/// Bytes of recorded input kept, about.
const MOST_INPUT: usize = 64 << 20;
/// Bytes of pages kept, about.
const MOST_RAM: usize = 512 << 20;

/// Why a machine cannot go back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoPast {
    /// Nothing is recorded.
    #[error("no history is recorded")]
    Off,
    /// The moment is before the first snapshot.
    #[error("the recorded history begins later")]
    TooEarly,
    /// Something that stands outside the machine cannot be taken back.
    #[error("this machine cannot go back in time: {0}")]
    Blocked(String),
    /// A snapshot did not load.
    #[error("a snapshot of this machine does not load: {0}")]
    Load(#[from] LoadError),
}

/// How a run through the past ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// At the wanted count of instructions.
    There,
    /// Before it, for a debugger.
    Debug,
    /// Before it, and it can get no further.
    Stuck(Outcome),
}

struct Snapshot {
    at: Moment,
    place: TapePlace,
    parts: SavedMachine,
    ram: Vec<KeptPages>,
}

pub(super) struct History {
    snapshots: Vec<Snapshot>,
    blocked: Option<String>,
    /// Whether the tape is ours.
    has_tape: bool,
    /// Executed instructions at which the next snapshot is due.
    due: u64,
    /// Pages of all snapshots together.
    kept: Kept,
}

impl Machine {
    /// Records history from now on, or drops what is recorded.
    pub fn keep_history(&mut self, on: bool) {
        if on == self.history.is_some() {
            return;
        }
        if !on {
            if self.history.take().is_some_and(|h| h.has_tape) {
                self.sys.tape.stop();
            }
            return;
        }
        use crate::tape::Mode;
        // Another's tape that plays serves as well as one of our own; one that records is written to a file as it goes.
        let has_tape = self.sys.tape.mode() == Mode::Off;
        let records = self.sys.tape.mode() == Mode::Record;
        self.history = Some(Box::new(History {
            snapshots: Vec::new(),
            blocked: records.then(|| "the run is being recorded to a file; replay that, and go back there".to_owned()),
            has_tape,
            due: 0,
            kept: Kept::default(),
        }));
        if has_tape {
            // Threads that work in memory finish what they have: they would pass the tape by.
            self.sys.host.drain();
            self.deliver_completions();
            self.sys.tape.record();
        }
        self.take_snapshot();
    }

    /// Whether history is recorded and can be gone back to.
    ///
    /// # Errors
    /// Why not.
    pub fn has_past(&self) -> Result<(), NoPast> {
        let history = self.history.as_ref().ok_or(NoPast::Off)?;
        let why = history.blocked.as_deref().or(self.sys.tape.broken());
        why.map_or(Ok(()), |why| Err(NoPast::Blocked(why.to_owned())))
    }

    /// Where the history begins.
    pub fn first_moment(&self) -> Option<Moment> {
        Some(self.history.as_ref()?.snapshots.first()?.at)
    }

    /// Goes back to the last snapshot at or before so many executed instructions. The machine stands there, and whatever runs it next
    /// runs through what is recorded first.
    ///
    /// # Errors
    /// There is none, or it cannot be done; the machine is then where it was, unless a snapshot does not load.
    pub fn rewind(&mut self, executed: u64) -> Result<Moment, NoPast> {
        self.has_past()?;
        let now = self.sys.moment();
        let Some(mut history) = self.history.take() else {
            return Err(NoPast::Off);
        };
        let snapshot = history.snapshots.iter().rfind(|s| s.at.executed <= executed);
        let result = match snapshot {
            None => Err(NoPast::TooEarly),
            Some(s) => self.load_snapshot(s, now).map(|()| s.at),
        };
        history.due = history.due.max(now.executed);
        self.history = Some(history);
        result
    }

    fn load_snapshot(&mut self, s: &Snapshot, now: Moment) -> Result<(), NoPast> {
        for (pages, (_, block)) in s.ram.iter().zip(&self.ram) {
            pages.put(block);
        }
        self.sys.tape.rewind(s.place, now);
        self.sys.requests = crate::system::Requests::empty();
        self.load_parts(&s.parts)?;
        // Again: what devices ask after a load is none of the questions that they asked then.
        self.sys.tape.rewind(s.place, now);
        Ok(())
    }

    /// Runs through the past until so many instructions have been executed, without pacing. Stops of the debugger count on the way.
    pub fn run_past(&mut self, executed: u64) -> Reached {
        let state = std::mem::replace(&mut self.state, RunState::Running);
        let halt = self.halt_at.replace(executed);
        let reached = loop {
            if self.sys.clock.executed() >= executed {
                break Reached::There;
            }
            match self.turn(VirtualTime(u64::MAX)) {
                None if self.is_running() => {}
                None => break Reached::Stuck(Outcome::Stopped),
                Some(Outcome::Debug) if self.sys.clock.executed() >= executed && !self.stopped_short() => {
                    break Reached::There;
                }
                Some(Outcome::Debug) => break Reached::Debug,
                Some(other) => break Reached::Stuck(other),
            }
        };
        if reached == Reached::There {
            // Who stands at a moment sees what entered at it.
            self.sys.fire_timers();
            self.look_at_tape();
        }
        self.state = state;
        self.halt_at = halt;
        reached
    }

    /// Whether the debugger's stop was a watchpoint rather than the end of the count.
    fn stopped_short(&mut self) -> bool {
        let current = self.current_cpu();
        let debug = self.cpu_mut(current).and_then(|c| c.debug());
        debug.is_some_and(|d| d.has_watch_hit())
    }

    /// Writes to memory from outside, recorded. ROM is written too.
    ///
    /// # Errors
    /// Nothing stands there.
    pub fn poke(&mut self, address: u64, data: &[u8]) -> Result<(), crate::fault::BusError> {
        self.outside_did(Input::Write {
            address,
            data: data.to_vec(),
        });
        self.access(address, &mut Transfer::Write(data))
    }

    /// Reads memory from outside; recorded, where it may have effects.
    ///
    /// # Errors
    /// Nothing stands there.
    pub fn peek(&mut self, address: u64, out: &mut [u8]) -> Result<(), crate::fault::BusError> {
        if !self.is_memory(address, out.len() as u64) {
            let len = out.len() as u64;
            self.outside_did(Input::Read { address, len });
        }
        self.access(address, &mut Transfer::Read(out))
    }

    /// Sets a register of a CPU from outside, recorded. `false` if there is none of that name.
    pub fn poke_register(&mut self, cpu: CpuId, name: &str, value: u64) -> bool {
        let done = self.set_register(cpu, name, value);
        if done {
            self.outside_did(Input::Register {
                cpu,
                name: name.to_owned(),
                value,
            });
        }
        done
    }

    fn set_register(&mut self, cpu: CpuId, name: &str, value: u64) -> bool {
        let done = self.cpu_mut(cpu).is_some_and(|c| c.set_register(name, value));
        if done {
            self.turns.wake(cpu.0.into());
        }
        done
    }

    /// Resets the machine from outside, recorded.
    pub fn reset_from_outside(&mut self) {
        self.outside_did(Input::Reset);
        self.reset();
        self.emit(&super::MachineEvent::Reset {
            cause: super::Cause::HostReset,
        });
    }

    /// What is done now was not done then: snapshots of what then was the future are of no use any more.
    pub(super) fn outside_did(&mut self, input: Input) {
        let now = self.sys.moment();
        if let Some(history) = &mut self.history {
            if self.sys.tape.plays() {
                history.snapshots.retain(|s| s.at <= now);
                history.due = now.executed + INTERVAL;
            }
            self.sys.tape.hear(now, input);
        } else {
            self.sys.tape.hear(now, input);
        }
    }

    fn is_memory(&mut self, address: u64, len: u64) -> bool {
        let last = address.saturating_add(len.max(1) - 1);
        self.sys.ram_window(address).is_some_and(|w| last - w.start < w.len)
    }

    fn access(&mut self, address: u64, transfer: &mut Transfer<'_>) -> Result<(), crate::fault::BusError> {
        let mut done = 0;
        while done < transfer.len() {
            let at = address
                .checked_add(done as u64)
                .ok_or(crate::fault::BusError::Unmapped)?;
            done += self.access_some(at, done, transfer)?;
        }
        Ok(())
    }

    /// One access, or all that lies in one stretch of RAM. Gives the bytes done.
    fn access_some(
        &mut self,
        at: u64,
        done: usize,
        transfer: &mut Transfer<'_>,
    ) -> Result<usize, crate::fault::BusError> {
        let left = transfer.len() - done;
        if let Some(w) = self.sys.ram_window(at) {
            let n = usize::try_from(w.len - (at - w.start)).unwrap_or(left).min(left);
            match transfer {
                Transfer::Read(out) => self.sys.read_bytes(at, &mut out[done..done + n])?,
                Transfer::Write(data) => self.sys.load_bytes(at, &data[done..done + n])?,
            }
            return Ok(n);
        }
        // Registers want one access of their width.
        let size = [4u8, 2]
            .into_iter()
            .find(|s| left >= usize::from(*s) && at.is_multiple_of((*s).into()));
        let size = size.unwrap_or(1);
        let n = usize::from(size);
        match transfer {
            Transfer::Read(out) => {
                let value = self.register_read(at, size)?;
                out[done..done + n].copy_from_slice(&value.to_le_bytes()[..n]);
            }
            Transfer::Write(data) => {
                let mut value = [0; 8];
                value[..n].copy_from_slice(&data[done..done + n]);
                self.register_write(at, size, u64::from_le_bytes(value))?;
            }
        }
        Ok(n)
    }

    fn register_read(&mut self, at: u64, size: u8) -> Result<u64, crate::fault::BusError> {
        let Self { cpus, sys, .. } = self;
        match cpus.first_mut().and_then(|c| c.debug()) {
            Some(d) if d.private().iter().any(|(first, last)| (first..=last).contains(&&at)) => {
                d.read_private(at, size, sys).ok_or(crate::fault::BusError::Unmapped)
            }
            _ => sys.read(at, size),
        }
    }

    fn register_write(&mut self, at: u64, size: u8, value: u64) -> Result<(), crate::fault::BusError> {
        let Self { cpus, sys, .. } = self;
        match cpus.first_mut().and_then(|c| c.debug()) {
            Some(d) if d.private().iter().any(|(first, last)| (first..=last).contains(&&at)) => d
                .write_private(at, size, value, sys)
                .then_some(())
                .ok_or(crate::fault::BusError::Unmapped),
            _ => sys.write(at, size, value),
        }
    }

    // ----- in the loop --------------------------------------------------------------------------------------------------------

    /// What enters now by the tape; snapshots while it records.
    pub(super) fn look_at_tape(&mut self) {
        if self.sys.tape.mode() == crate::tape::Mode::Off {
            return;
        }
        if !self.is_running() {
            return;
        }
        loop {
            let now = self.sys.moment();
            let Some(input) = self.sys.tape.due(now) else { break };
            self.enter(&input);
        }
        if self.sys.tape.catch_up(self.sys.moment()) {
            self.sys.deliver_completions();
        }
        if self
            .history
            .as_ref()
            .is_some_and(|h| h.due <= self.sys.clock.executed())
        {
            self.take_snapshot();
        }
    }

    /// The same thing enters again.
    fn enter(&mut self, input: &Input) {
        match input {
            Input::Completion { .. } => {
                if let Some((device, done)) = input.completion() {
                    self.sys.deliver_completion(device, done);
                }
            }
            Input::Ticks(ticks) => {
                let behind = ticks.saturating_sub(self.sys.clock.ticks());
                self.sys.clock.sleep_ticks(behind);
                self.sys.fire_timers();
            }
            Input::Reset => self.reset(),
            Input::Write { address, data } => {
                let _ = self.access(*address, &mut Transfer::Write(data));
            }
            Input::Read { address, len } => {
                // As long as the packet of a debugger was.
                let mut out = vec![0; usize::try_from(*len).unwrap_or(0).min(1 << 16)];
                let _ = self.access(*address, &mut Transfer::Read(&mut out));
            }
            Input::Register { cpu, name, value } => {
                self.set_register(*cpu, name, *value);
            }
            Input::Only { cpu } => self.set_only(*cpu),
            // Asked for by the machine itself; one that it did not ask for means that the run has become another.
            Input::Semihosting { .. } | Input::Answer { .. } => self
                .sys
                .tape
                .break_off("the guest did not ask for something that it asked for then"),
        }
    }

    /// Whether so many instructions have been executed as somebody wanted.
    pub(super) fn has_to_halt(&self) -> bool {
        self.halt_at.is_some_and(|at| self.sys.clock.executed() >= at)
    }

    /// Instructions until something enters by the tape or the run has to halt.
    pub(super) fn stretch(&self) -> u64 {
        let executed = self.sys.clock.executed();
        let input = self.sys.tape.next_moment().map(|m| m.executed);
        let next = [input.filter(|at| *at > executed), self.halt_at]
            .into_iter()
            .flatten()
            .min();
        next.map_or(u64::MAX, |at| at.saturating_sub(executed).max(1))
    }

    /// Idle spans of the past take no time on the wall.
    pub(super) fn replay_idle(&mut self, next: VirtualTime) {
        let now = self.sys.moment();
        let entry = self
            .sys
            .tape
            .next_moment()
            .filter(|m| *m > now && m.executed == now.executed);
        let to_next = (next.0 != u64::MAX).then(|| self.sys.clock.ticks_until(next));
        let to_entry = entry.map(|m| m.ticks - now.ticks);
        match [to_next, to_entry].into_iter().flatten().min() {
            Some(ticks) => self.sys.clock.sleep_ticks(ticks),
            // Asleep for ever, and nothing on the tape wakes it here: the present is as good a place as any.
            None => self
                .sys
                .tape
                .break_off("the run through the past has become another run"),
        }
    }

    pub(super) fn replay_semihosting(&mut self, call: SemihostingCall) -> Option<Outcome> {
        let Ok((result, writes)) = self.sys.tape.semihosting() else {
            // The call that ended the run, or a run that has become another.
            return Some(Outcome::GuestExit(0));
        };
        if let Some(host) = self.semihosting.as_mut().filter(|_| self.sys.tape.lets_out()) {
            host.repeat(call, result, &mut self.sys);
        }
        for (address, data) in writes {
            let _ = self.sys.write_bytes(address, &data);
        }
        if let Some(cpu) = self.cpu_mut(call.cpu) {
            cpu.finish_semihosting(result);
        }
        None
    }

    fn take_snapshot(&mut self) {
        let Some(mut history) = self.history.take() else { return };
        if history.blocked.is_some() {
            // What cannot be saved once will not be saved later.
            history.due = u64::MAX;
            self.history = Some(history);
            return;
        }
        let last = history.snapshots.last();
        // Pages that did not change since the last one are shared with it.
        let ram = self.ram.iter().enumerate();
        let ram = ram
            .map(|(i, (_, block))| history.kept.pages_of(block, last.and_then(|s| s.ram.get(i))))
            .collect();
        match self.save_parts() {
            Ok(parts) => history.snapshots.push(Snapshot {
                at: self.sys.moment(),
                place: self.sys.tape.place(),
                parts,
                ram,
            }),
            Err(why) => history.blocked = Some(why),
        }
        history.due = self.sys.clock.executed() + INTERVAL;
        history.thin_out(self.sys.clock.executed(), MOST_RAM);
        while history.has_tape
            && let Some(first) = history.snapshots.first()
            && self.sys.tape.forget_before(first.place) > MOST_INPUT
        {
            history.snapshots.remove(0);
        }
        self.history = Some(history);
    }
}

impl History {
    /// Whether what is recorded is recorded for it alone.
    pub(super) fn has_tape(&self) -> bool {
        self.has_tape
    }

    /// Drops snapshots until the rest is within bounds.
    fn thin_out(&mut self, now: u64, most_ram: usize) {
        while self.snapshots.len() > MOST || self.snapshots.len() > 2 && self.kept.bytes() > most_ram {
            self.drop_one(now);
        }
    }

    /// Drops the snapshot that is missed least: where its neighbours stand closest, measured by how far back they are.
    fn drop_one(&mut self, now: u64) {
        let at = |i: usize| self.snapshots.get(i).map_or(now, |s| s.at.executed);
        let cost = |i: &usize| (at(i + 1) - at(i - 1)) as f64 / (now.saturating_sub(at(*i)) as f64 + 1.0);
        let least = (1..self.snapshots.len() - 1).min_by(|a, b| cost(a).total_cmp(&cost(b)));
        if let Some(i) = least {
            self.snapshots.remove(i);
        }
    }
}

enum Transfer<'a> {
    Read(&'a mut [u8]),
    Write(&'a [u8]),
}

impl Transfer<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Read(out) => out.len(),
            Self::Write(data) => data.len(),
        }
    }
}

#[cfg(test)]
mod tests;
