//! What came from outside, in order: the log on which going back in time and record/replay stand.
//!
//! A deterministic machine needs nothing but its start and this to run again to the instruction. A [`Tape`] hears everything that
//! enters ([`Input`]) with the [`Moment`] of its entry. While it plays, the same things enter at the same moments, what the host really
//! does is held back, and nothing leaves the machine.
//!
//! What it is not: a file. Entries can be serialised; who keeps them where is the business of others.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use crate::cpu::CpuId;
use crate::device::DeviceId;
use crate::host::Completion;

/// A moment of a run between two instructions. Slept ticks make many moments of one count of executed instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Executed instructions since power-on.
    pub executed: u64,
    /// Ticks of the CPU clock since power-on, slept ones too.
    pub ticks: u64,
}

/// One thing from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// A completion reached a device. Timers that were due had fired.
    Completion {
        /// The device.
        device: DeviceId,
        /// [`Completion::port`].
        port: u32,
        /// [`Completion::token`].
        token: u64,
        /// [`Completion::result`].
        result: i64,
        /// [`Completion::data`].
        data: Vec<u8>,
    },
    /// A semihosting call was answered.
    Semihosting {
        /// What the guest got as result.
        result: u64,
        /// What was written into its memory, by address.
        writes: Vec<(u64, Vec<u8>)>,
    },
    /// A back end answered a device otherwise than usual.
    Answer {
        /// Which question it was, counted from the start of the tape.
        question: u64,
        /// The answer.
        value: u64,
    },
    /// The wall clock pushed virtual time forward.
    Ticks(u64),
    /// Somebody outside reset the machine.
    Reset,
    /// Somebody outside wrote to memory.
    Write {
        /// Where.
        address: u64,
        /// What.
        data: Vec<u8>,
    },
    /// Somebody outside read where reading may have effects.
    Read {
        /// Where.
        address: u64,
        /// Bytes.
        len: u64,
    },
    /// Somebody outside set a register of a CPU.
    Register {
        /// Which one.
        #[serde(default)]
        cpu: CpuId,
        /// Its name.
        name: String,
        /// Its value.
        value: u64,
    },
    /// Somebody outside let one CPU run and the others stand, or all run again.
    Only {
        /// Which one.
        cpu: Option<CpuId>,
    },
}

impl Input {
    /// The completion again; `None` if it is none.
    pub fn completion(&self) -> Option<(DeviceId, Completion)> {
        let Self::Completion {
            device,
            port,
            token,
            result,
            data,
        } = self
        else {
            return None;
        };
        let done = Completion {
            port: *port,
            token: *token,
            result: *result,
            data: data.clone(),
            fds: Vec::new(),
        };
        Some((*device, done))
    }

    /// Bytes of memory, about.
    fn weight(&self) -> usize {
        size_of::<(Moment, Self)>()
            + match self {
                Self::Completion { data, .. } | Self::Write { data, .. } => data.len(),
                Self::Semihosting { writes, .. } => writes.iter().map(|(_, d)| d.len() + 32).sum(),
                _ => 0,
            }
    }
}

/// What the tape does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing.
    #[default]
    Off,
    /// It hears what enters.
    Record,
    /// It says what enters.
    Play,
}

/// Bytes written into guest memory, by address.
type Writes = Vec<(u64, Vec<u8>)>;

/// The log and the place in it.
#[derive(Debug, Default)]
pub struct Tape {
    mode: Mode,
    entries: VecDeque<(Moment, Input)>,
    /// Number of `entries[0]`; entries keep their numbers when older ones are forgotten.
    first: u64,
    /// Number of the next entry to play.
    next: u64,
    /// While playing: where what is known ends.
    end: Moment,
    questions: u64,
    weight: usize,
    /// Completions that came while the tape played.
    held: VecDeque<(DeviceId, Completion)>,
    /// Writes of the semihosting call in progress.
    writes: Option<Writes>,
    broken: Option<String>,
    /// It comes from another run: what the machine says while it plays goes out all the same, and what the host does is dropped.
    foreign: bool,
    /// Of such a tape: up to where the machine has been before, and says nothing twice.
    quiet_until: Option<Moment>,
}

/// A place on a tape: with a saved machine, all that a replay needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapePlace {
    next: u64,
    questions: u64,
}

impl Tape {
    /// What it does.
    #[inline]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the machine runs through its past: nothing may leave it.
    #[inline]
    pub fn plays(&self) -> bool {
        self.mode == Mode::Play
    }

    /// Begins to record from nothing.
    pub fn record(&mut self) {
        let held = std::mem::take(&mut self.held);
        *self = Self {
            mode: Mode::Record,
            held,
            ..Self::default()
        };
    }

    /// Plays entries from elsewhere up to `end`.
    pub fn play(&mut self, entries: impl IntoIterator<Item = (Moment, Input)>, end: Moment) {
        let entries: VecDeque<_> = entries.into_iter().collect();
        *self = Self {
            mode: Mode::Play,
            weight: entries.iter().map(|(_, input)| input.weight()).sum(),
            entries,
            end,
            ..Self::default()
        };
    }

    /// Lets out what the machine says while the tape plays, for the replay of a run that another process recorded. What the host
    /// does meanwhile is dropped.
    pub fn play_aloud(&mut self) {
        self.foreign = true;
    }

    /// Whether it plays what another process recorded.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Whether what the machine says now goes out.
    #[inline]
    pub fn lets_out(&self) -> bool {
        self.mode != Mode::Play || self.foreign && self.quiet_until.is_none()
    }

    /// Neither hears nor says anything more.
    pub fn stop(&mut self) {
        let held = std::mem::take(&mut self.held);
        *self = Self {
            held,
            ..Self::default()
        };
    }

    /// All entries that are kept.
    pub fn entries(&self) -> impl Iterator<Item = &(Moment, Input)> {
        self.entries.iter()
    }

    /// Where it is.
    pub fn place(&self) -> TapePlace {
        let next = if self.plays() { self.next } else { self.recorded() };
        TapePlace {
            next,
            questions: self.questions,
        }
    }

    /// Plays from a place on; `now` is the present, where recording goes on.
    pub fn rewind(&mut self, to: TapePlace, now: Moment) {
        if !self.plays() {
            self.end = now;
        }
        if self.foreign {
            self.quiet_until.get_or_insert(now);
        }
        self.mode = Mode::Play;
        self.next = to.next;
        self.questions = to.questions;
    }

    /// Where what is known ends, while it plays.
    pub fn end(&self) -> Moment {
        self.end
    }

    /// Records again once everything is played and the present is reached. Whether that is so now.
    pub(crate) fn catch_up(&mut self, now: Moment) -> bool {
        self.quiet_until = self.quiet_until.filter(|until| now < *until);
        let done = self.plays() && self.next >= self.recorded() && now >= self.end;
        if done {
            self.mode = Mode::Record;
        }
        done
    }

    fn recorded(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Forgets what is older than a place. Bytes that the rest takes, about.
    pub fn forget_before(&mut self, place: TapePlace) -> usize {
        while self.first < place.next
            && let Some((_, input)) = self.entries.pop_front()
        {
            self.weight -= input.weight();
            self.first += 1;
        }
        self.weight
    }

    /// Why the recording cannot be played, if so.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The recording has lost something.
    pub fn break_off(&mut self, why: impl Into<String>) {
        if self.mode != Mode::Off {
            self.broken.get_or_insert(why.into());
        }
    }

    /// Hears something, wherever the tape is: one that enters the past from outside stands there from now on.
    pub fn hear(&mut self, at: Moment, input: Input) {
        match self.mode {
            Mode::Off => {}
            Mode::Record => {
                self.weight += input.weight();
                self.entries.push_back((at, input));
            }
            Mode::Play => {
                let Some(i) = self.next.checked_sub(self.first).and_then(|i| usize::try_from(i).ok()) else {
                    return;
                };
                self.weight += input.weight();
                self.entries.insert(i.min(self.entries.len()), (at, input));
                self.next += 1;
            }
        }
    }

    pub(crate) fn hear_completion(&mut self, at: Moment, device: DeviceId, done: &Completion) {
        if self.mode != Mode::Record {
            return;
        }
        if !done.fds.is_empty() {
            self.break_off("a device got descriptors from another process");
        }
        let input = Input::Completion {
            device,
            port: done.port,
            token: done.token,
            result: done.result,
            data: done.data.clone(),
        };
        self.hear(at, input);
    }

    fn peek(&self) -> Option<&(Moment, Input)> {
        let i = usize::try_from(self.next.checked_sub(self.first)?).ok()?;
        self.entries.get(i)
    }

    /// When the next entry plays, or where the tape ends.
    pub(crate) fn next_moment(&self) -> Option<Moment> {
        let next = self.plays().then(|| self.peek().map_or(self.end, |(at, _)| *at))?;
        Some(self.quiet_until.map_or(next, |until| until.min(next)))
    }

    /// The next entry, if its moment has come and it is none that the machine itself asks for.
    pub(crate) fn due(&mut self, now: Moment) -> Option<Input> {
        if !self.plays() {
            return None;
        }
        let (at, input) = self.peek()?;
        if *at > now || matches!(input, Input::Semihosting { .. } | Input::Answer { .. }) && *at == now {
            return None;
        }
        let input = input.clone();
        self.next += 1;
        Some(input)
    }

    /// While playing: the recorded answer to a semihosting call; `Err` if there is none.
    pub(crate) fn semihosting(&mut self) -> Result<(u64, Writes), ()> {
        match self.peek() {
            Some((_, Input::Semihosting { result, writes })) => {
                let answer = (*result, writes.clone());
                self.next += 1;
                Ok(answer)
            }
            _ => Err(()),
        }
    }

    /// From now on writes into guest memory belong to a semihosting call.
    pub(crate) fn begin_call(&mut self) {
        if self.mode == Mode::Record {
            self.writes = Some(Vec::new());
        }
    }

    pub(crate) fn end_call(&mut self, at: Moment, result: u64) {
        if let Some(writes) = self.writes.take() {
            self.hear(at, Input::Semihosting { result, writes });
        }
    }

    pub(crate) fn wrote(&mut self, address: u64, data: &[u8]) {
        if let Some(writes) = &mut self.writes {
            writes.push((address, data.to_vec()));
        }
    }

    /// A device asks its back end something. `Some` is the answer of the tape.
    pub(crate) fn ask(&mut self, usual: u64) -> Option<u64> {
        self.questions = self.questions.wrapping_add(1);
        if !self.plays() {
            return None;
        }
        match self.peek() {
            Some((_, Input::Answer { question, value })) if *question == self.questions => {
                let value = *value;
                self.next += 1;
                Some(value)
            }
            _ => Some(usual),
        }
    }

    pub(crate) fn answered(&mut self, at: Moment, usual: u64, value: u64) {
        if self.mode == Mode::Record && value != usual {
            let question = self.questions;
            self.hear(at, Input::Answer { question, value });
        }
    }

    /// Keeps what the host did until the machine is back in the present.
    pub(crate) fn hold(&mut self, device: DeviceId, done: Completion) {
        if !self.foreign {
            self.held.push_back((device, done));
        }
    }

    pub(crate) fn take_held(&mut self) -> Option<(DeviceId, Completion)> {
        self.held.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(executed: u64) -> Moment {
        Moment {
            executed,
            ticks: executed,
        }
    }

    #[test]
    fn what_was_heard_is_said_at_its_moment() {
        let mut t = Tape::default();
        t.hear(at(1), Input::Reset);
        t.record();
        let start = t.place();
        t.hear(at(5), Input::Ticks(9));
        t.hear(at(7), Input::Reset);
        t.rewind(start, at(10));
        assert_eq!(t.due(at(4)), None);
        assert_eq!(t.next_moment(), Some(at(5)));
        assert_eq!(t.due(at(5)), Some(Input::Ticks(9)));
        assert!(!t.catch_up(at(20)), "one is left");
        assert_eq!(t.due(at(8)), Some(Input::Reset), "a late one still comes");
        assert_eq!(t.next_moment(), Some(at(10)));
        assert!(t.catch_up(at(10)));
        assert_eq!(t.mode(), Mode::Record);
    }

    #[test]
    fn the_past_can_be_changed() {
        let mut t = Tape::default();
        t.record();
        let start = t.place();
        t.hear(at(5), Input::Reset);
        t.rewind(start, at(10));
        t.hear(at(3), Input::Ticks(4));
        assert_eq!(t.due(at(5)), Some(Input::Reset));
        t.rewind(start, at(99));
        assert_eq!(t.due(at(5)), Some(Input::Ticks(4)));
        assert_eq!(t.end(), at(10), "the present stays where it is");
    }

    #[test]
    fn only_unusual_answers_are_kept() {
        let mut t = Tape::default();
        t.record();
        let start = t.place();
        for answer in [1, 0, 1] {
            assert_eq!(t.ask(1), None);
            t.answered(at(2), 1, answer);
        }
        assert_eq!(t.entries().count(), 1);
        t.rewind(start, at(9));
        assert_eq!([t.ask(1), t.ask(1), t.ask(1)], [Some(1), Some(0), Some(1)]);
    }

    #[test]
    fn the_old_is_forgotten_by_number() {
        let mut t = Tape::default();
        t.record();
        t.hear(at(1), Input::Reset);
        let later = t.place();
        t.hear(at(2), Input::Ticks(3));
        assert!(t.forget_before(later) > 0);
        t.rewind(later, at(4));
        assert_eq!(t.due(at(3)), Some(Input::Ticks(3)));
    }
}
