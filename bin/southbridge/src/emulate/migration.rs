//! `-incoming`, `-loadvm`, `-snapshot-dir`, `-icount rr=`: machines that come from elsewhere, and runs that happen again.

use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Location, OptError};
use southbridge_core::{Machine, Outcome};
use southbridge_machine::Board;
use southbridge_migration::replay::{Ending, Recording, Replay, Verdict};
use southbridge_migration::{Migration, Snapshots};
use std::path::Path;

/// What monitors drive.
pub(crate) struct Saved {
    pub(crate) migration: Migration,
    pub(crate) snapshots: Snapshots,
}

/// Makes the machine one that can be saved and sent away.
pub(crate) fn attach(config: &Config, board: &Board, machine: &mut Machine) -> Saved {
    let folder = config.snapshot_dir.as_ref().map(|d| Path::new(&d.value));
    Saved {
        migration: Migration::attach(machine, board.name),
        snapshots: Snapshots::new(board.name, folder),
    }
}

/// How the machine runs.
pub(crate) struct Run {
    migration: Migration,
    how: How,
}

enum How {
    Plain,
    Record(Recording),
    Replay(Replay),
}

fn refused(error: &dyn std::error::Error, at: &Location) -> OptError {
    OptError::new(ErrorKind::Refused { why: error.to_string() }, at.clone())
}

impl Saved {
    /// Does what the options say, on a machine that is complete and has not started.
    ///
    /// # Errors
    /// When a state or a recording cannot be opened or is of another machine.
    pub(crate) fn apply(self, config: &Config, board: &Board, machine: &mut Machine) -> Result<Run, OptError> {
        if let Some(from) = &config.incoming {
            let uri = Some(from.value.as_str()).filter(|uri| *uri != "defer");
            let expected = self.migration.expect(machine, uri, !config.start_paused);
            expected.map_err(|e| refused(&e, &from.at))?;
        }
        if let Some(name) = &config.loadvm {
            let loaded = self.snapshots.load(machine, &name.value);
            loaded.map_err(|e| refused(&e, &name.at))?;
        }
        let rr = config.icount.as_ref().and_then(|i| i.rr.as_ref());
        let how = match rr {
            None => How::Plain,
            Some(rr) => {
                let path = Path::new(&rr.file.value);
                let how = match rr.replay {
                    true => Replay::begin(machine, board.name, path).map(How::Replay),
                    false => Recording::begin(machine, board.name, path).map(How::Record),
                };
                how.map_err(|e| refused(&e, &rr.file.at))?
            }
        };
        let migration = self.migration;
        Ok(Run { migration, how })
    }
}

impl Run {
    /// Runs the machine to its end.
    ///
    /// # Errors
    /// In words, when the end is a failure that is not the guest's.
    pub(crate) fn run_to_end(self, machine: &mut Machine) -> Result<Outcome, String> {
        let outcome = match self.how {
            How::Plain => machine.run(),
            How::Record(recording) => {
                let outcome = machine.run();
                recording.finish(machine, &outcome).map_err(|e| e.to_string())?;
                outcome
            }
            How::Replay(replay) => replayed(replay.run(machine))?,
        };
        match self.migration.fatal() {
            Some(why) => Err(format!("the machine did not come in: {why}")),
            None => Ok(outcome),
        }
    }
}

fn replayed(verdict: Verdict) -> Result<Outcome, String> {
    match verdict {
        Verdict::Same(Ending::Exit(status)) => Ok(Outcome::GuestExit(status)),
        Verdict::Same(Ending::Lockup(text)) => Ok(Outcome::Lockup(text)),
        Verdict::Same(Ending::Shutdown) => Ok(Outcome::Shutdown),
        Verdict::Same(Ending::Stopped) | Verdict::Stopped => Ok(Outcome::Stopped),
        Verdict::BreaksOff(why) | Verdict::Diverged(why) => Err(why),
    }
}
