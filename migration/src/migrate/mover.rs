//! The machine's side of a transfer.

use southbridge_core::Machine;
use southbridge_core::machine::{Attendant, Cause, Draft, RunState};
use std::io;
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::status::Status;
use super::{Migration, News, lock};
use crate::stream::Picture;

/// The machine's side: takes the picture, takes one in, and says how it went.
pub(super) struct Mover {
    migration: Migration,
    /// What the machine did before its state went out.
    before: RunState,
}

impl Attendant for Mover {
    fn attend(&mut self, machine: &mut Machine) {
        loop {
            let news = lock(&self.migration.0.state).news.pop_front();
            match news {
                None => return,
                Some(News::Copied(answer, draft)) => {
                    if self.migration.query().status == Status::Active {
                        let _ = answer.send(machine.search_free(draft));
                    }
                }
                Some(News::Ready(answer, draft)) => self.take_picture(machine, &answer, draft),
                Some(News::Sent(done)) => self.sent(machine, done),
                Some(News::Received(picture)) => self.received(machine, *picture),
            }
        }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        // The machine ends: so does whoever still reads or writes for it.
        if let Some(cancel) = lock(&self.migration.0.state).cancel.take() {
            cancel.cancel();
        }
    }
}

impl Mover {
    pub(super) fn new(migration: Migration) -> Self {
        Self {
            migration,
            before: RunState::Running,
        }
    }

    fn take_picture(&mut self, machine: &mut Machine, answer: &Sender<Picture>, draft: Draft) {
        if self.migration.query().status != Status::Active {
            return;
        }
        self.before = machine.run_state();
        lock(&self.migration.0.state).stood = Some(Instant::now());
        machine.pause(RunState::FinishMigrate);
        self.migration.set_status(Status::Device);
        self.migration.pass();
        machine.end_search();
        match Picture::take_from(machine, &self.migration.0.board, draft) {
            Ok(mut picture) => {
                picture.about.run_state = self.before.name().to_owned();
                let _ = answer.send(picture);
            }
            Err(why) => {
                self.migration.fail(why);
                self.go_on(machine);
            }
        }
    }

    fn sent(&mut self, machine: &mut Machine, done: io::Result<()>) {
        let status = self.migration.query().status;
        machine.end_search();
        match (status, done) {
            // It failed before, and has said so.
            (Status::Failed, _) => {}
            (Status::Cancelling, _) => {
                self.go_on(machine);
                self.migration.set_status(Status::Cancelled);
            }
            (_, Ok(())) => {
                machine.pause(RunState::Postmigrate);
                self.migration.set_status(Status::Completed);
            }
            (_, Err(e)) => {
                self.migration.fail(e.to_string());
                self.go_on(machine);
            }
        }
    }

    /// The machine goes on as before.
    fn go_on(&self, machine: &mut Machine) {
        if machine.run_state() != RunState::FinishMigrate {
            // It never stood, or somebody let it go on.
        } else if self.before == RunState::Running {
            machine.resume();
        } else {
            machine.pause(self.before);
        }
    }

    fn received(&self, machine: &mut Machine, picture: Result<Picture, String>) {
        let taken = picture.and_then(|p| match machine.load_whole(&p.whole) {
            Ok(()) => Ok(p.about.run_state),
            Err(e) => Err(e.to_string()),
        });
        match taken {
            Ok(state) => self.came_in(machine, &state),
            Err(why) => {
                self.migration.fail(why.clone());
                let mut state = lock(&self.migration.0.state);
                if state.exit_on_error {
                    state.fatal = Some(why);
                    self.migration.0.stop.stop(Cause::HostError);
                }
            }
        }
    }

    /// A machine that stood where it came from stands here for the same reason.
    fn came_in(&self, machine: &mut Machine, state: &str) {
        let autostart = lock(&self.migration.0.state).autostart;
        let stood = [
            RunState::Prelaunch,
            RunState::Paused,
            RunState::Debug,
            RunState::Shutdown,
            RunState::InternalError,
            RunState::GuestPanicked,
        ];
        let stood = stood.into_iter().find(|s| s.name() == state);
        match stood {
            Some(stood) => machine.pause(stood),
            None if autostart => machine.resume(),
            None => machine.pause(RunState::Paused),
        }
        // Last: who hears of it may ask at once what the machine does.
        self.migration.set_status(Status::Completed);
    }
}
