//! How hints about free pages are asked for (Virtio 1.3, section 5.5.6.6): the commands, and how far the guest is with them.
//!
//! Each search has a number of its own. The guest says it back before its first hint, and another one after the last; what comes outside is
//! of an older search, and about pages that may be in use by now. Until it is told that all is done it holds the pages back.

use serde::{Deserialize, Serialize};

use super::regs::{COMMAND_DONE, COMMAND_FIRST, COMMAND_STOP};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// Nobody has asked.
    Idle,
    /// The guest has been asked.
    Asked,
    /// It has begun.
    Open,
    /// No more of them.
    Stopped,
    /// The pages are the guest's again.
    Done,
}

/// The command and its stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hints {
    id: u32,
    stage: Stage,
}

impl Hints {
    pub(super) const fn new() -> Self {
        Self {
            id: COMMAND_FIRST,
            stage: Stage::Idle,
        }
    }

    /// What the configuration space says.
    pub(super) fn command(&self) -> u32 {
        match self.stage {
            Stage::Asked | Stage::Open => self.id,
            Stage::Idle | Stage::Stopped => COMMAND_STOP,
            Stage::Done => COMMAND_DONE,
        }
    }

    /// Asks, by a number that was not the last one.
    pub(super) fn begin(&mut self) {
        self.id = self.id.checked_add(1).unwrap_or(COMMAND_FIRST).max(COMMAND_FIRST);
        self.stage = Stage::Asked;
    }

    /// The guest says a number: the command's own begins its hints, another one ends them. `false` if they are over by it. An end that
    /// comes before the begin is an older command's.
    pub(super) fn hear(&mut self, id: u32) -> bool {
        match self.stage {
            Stage::Asked if id == self.id => self.stage = Stage::Open,
            Stage::Open => self.stage = Stage::Stopped,
            _ => return true,
        }
        self.is_open()
    }

    /// Whether hints count.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Wants no more.
    pub(super) fn stop(&mut self) {
        self.stage = Stage::Stopped;
    }

    /// All is done; `false` if there was nothing.
    pub(super) fn end(&mut self) -> bool {
        let was = std::mem::replace(&mut self.stage, Stage::Done);
        if was == Stage::Idle {
            self.stage = was;
        }
        !matches!(was, Stage::Idle | Stage::Done)
    }

    /// What is left for the next driver: the numbers go on.
    pub(super) fn after_reset(&self) -> Self {
        Self {
            id: self.id,
            stage: Stage::Idle,
        }
    }
}
