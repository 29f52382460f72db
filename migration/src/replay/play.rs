//! Replay: the inputs of a file at their moments, and comparing.

use southbridge_core::tape::Moment;
use southbridge_core::{Machine, Outcome, VirtualTime};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::file::{Check, End, Ending, ReplayError, read};
use super::{program_sum, register_sum};
use crate::stream::{self, Picture};

/// A replay.
#[derive(Debug)]
pub struct Replay {
    board: String,
    checks: Vec<Check>,
    end: Option<End>,
    /// Where the recording breaks off, if it has no end.
    last: Moment,
    broken: Option<String>,
}

/// How a replay went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it was recorded, to the end.
    Same(Ending),
    /// As it was recorded, as far as that goes; why it goes no further.
    BreaksOff(String),
    /// Somebody outside ended the replay before its end.
    Stopped,
    /// Another way: where, and how it was seen.
    Diverged(String),
}

/// What a guest may do after its recorded end before that counts as going on, in nanoseconds.
const GRACE: u64 = 1_000_000;

impl Replay {
    /// Opens a recording and puts it on the tape of a machine that is built like the recorded one and has not started.
    ///
    /// # Errors
    /// When it is no recording, damaged, or of another run.
    pub fn begin(machine: &mut Machine, board: &str, path: &Path) -> Result<Self, ReplayError> {
        let file = File::open(path).map_err(|e| ReplayError::Io(path.to_owned(), e))?;
        let recorded = read(BufReader::new(file)).map_err(|e| ReplayError::File(path.to_owned(), e))?;
        let here = stream::describe(machine, board).map_err(ReplayError::Blocked)?;
        let foreign = |why: &str| Err(ReplayError::Foreign(path.to_owned(), why.to_owned()));
        if let Some(why) = here.difference(&recorded.begin.about) {
            return foreign(&why);
        }
        if recorded.begin.program != program_sum(machine) {
            return foreign("the guest had another program");
        }
        if recorded.begin.rate != machine.sys.clock.rate() {
            return foreign("an instruction took another time (-icount shift)");
        }
        let inputs = recorded.inputs.iter().map(|(at, _)| *at);
        let last = inputs
            .chain(recorded.checks.iter().map(|c| c.at))
            .max()
            .unwrap_or_default();
        let never = Moment {
            executed: u64::MAX,
            ticks: u64::MAX,
        };
        machine.sys.tape.play(recorded.inputs, never);
        machine.sys.tape.play_aloud();
        // Whoever was waited for then comes from the tape.
        machine.sys.start_holds = 0;
        Ok(Self {
            board: board.to_owned(),
            checks: recorded.checks,
            end: recorded.end,
            last,
            broken: recorded.broken,
        })
    }

    /// Runs the machine to the end of the recording, or to where it goes another way.
    pub fn run(&self, machine: &mut Machine) -> Verdict {
        let mut good = Moment::default();
        for check in &self.checks {
            if self.end.as_ref().is_some_and(|e| check.at >= e.at) {
                break;
            }
            match machine.run_until(VirtualTime(check.time)) {
                Outcome::Deadline if machine.sys.tape.broken().is_none() => {}
                outcome => return self.ended(machine, &outcome, good),
            }
            if machine.sys.moment() != check.at || register_sum(machine) != check.sum {
                let now = machine.sys.moment().executed;
                return Verdict::Diverged(format!(
                    "the replay is not what was recorded: after instruction {} and before {}, where the processor stood otherwise \
                     (now {now})",
                    good.executed, check.at.executed
                ));
            }
            good = check.at;
        }
        let until = match &self.end {
            None => {
                let outcome = machine.run_until(VirtualTime(self.time_of(machine)));
                return self.ended(machine, &outcome, good);
            }
            Some(end) if end.ending == Ending::Stopped => end.time,
            Some(end) => end.time.saturating_add(GRACE),
        };
        let outcome = machine.run_until(VirtualTime(until));
        self.ended(machine, &outcome, good)
    }

    /// Virtual time of the last thing that is known, from where the machine stands.
    fn time_of(&self, machine: &Machine) -> u64 {
        let mut clock = machine.sys.clock.clone();
        clock.sleep_ticks(self.last.ticks.saturating_sub(clock.ticks()));
        clock.now().0
    }

    fn ended(&self, machine: &mut Machine, outcome: &Outcome, good: Moment) -> Verdict {
        let now = machine.sys.moment();
        let other = |what: &str| {
            Verdict::Diverged(format!(
                "the replay is not what was recorded: {what}, after instruction {} and not after {}",
                good.executed, now.executed
            ))
        };
        if let Some(why) = machine.sys.tape.broken() {
            return other(why);
        }
        let Some(end) = &self.end else {
            if *outcome == Outcome::Deadline {
                let why = self
                    .broken
                    .as_deref()
                    .unwrap_or("the recorder was ended before it could write more");
                return Verdict::BreaksOff(format!("the recording ends at instruction {}: {why}", now.executed));
            }
            return other("the run ended");
        };
        if *outcome == Outcome::Stopped && now < end.at {
            return Verdict::Stopped;
        }
        if now != end.at {
            return match outcome {
                Outcome::Deadline => other(&format!("the recorded run ended at instruction {}", end.at.executed)),
                Outcome::GuestExit(_) => other("the guest called the host (semihosting) otherwise"),
                _ => other("the run ended"),
            };
        }
        let alike = match (&end.ending, outcome) {
            // The call that ended the run is not on the tape, and its status only here.
            (Ending::Exit(_), Outcome::GuestExit(_)) => true,
            (ending, outcome) => *ending == Ending::of(outcome),
        };
        if !alike {
            return other("the run ended in another way");
        }
        let picture = end
            .machine
            .and_then(|sum| Some((sum, Picture::take(machine, &self.board).ok()?)));
        let differs = picture.is_some_and(|(sum, picture)| picture.sum(end.ending != Ending::Stopped) != sum);
        if differs || register_sum(machine) != end.registers {
            return other("the machine's state at the end is another");
        }
        Verdict::Same(end.ending.clone())
    }
}
