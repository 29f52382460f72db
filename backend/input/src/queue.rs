//! The device's side: steps that came in, and those whose time has not come.
//!
//! Keys that are held for a while belong to the device and not to the host's side: so their release happens at an exact moment of
//! virtual time, is saved with the machine, and comes the same in a replay.

use serde::{Deserialize, Serialize};
use southbridge_core::{Completion, LoadError, VirtualTime};
use std::collections::VecDeque;

use crate::event::{InputEvent, Step};

/// Most steps that wait; what comes on top is dropped, as at a keyboard whose buffer is full.
pub const MOST_WAITING: usize = 1024;

/// Steps were sent for now.
pub(crate) const TOKEN_NOW: u64 = 0;
/// Steps were sent that come after what waits already.
pub(crate) const TOKEN_QUEUED: u64 = 1;

/// Steps of a device that wait for their time. A device keeps one, gives it one of its timers, and saves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputQueue {
    waiting: VecDeque<Step>,
    /// A wait is going on.
    waits: bool,
}

/// What a device has to do now: give these to its guest, and arm its timer, if a wait begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Events; `None` ends what happened at one moment.
    pub events: Vec<Option<InputEvent>>,
    /// When to call [`InputQueue::due`].
    pub timer: Option<VirtualTime>,
}

/// The data of a completion that tells these steps.
pub(crate) fn encode(steps: &[Step]) -> Vec<u8> {
    let mut data = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = ciborium::into_writer(steps, &mut data);
    data
}

impl InputQueue {
    /// What a completion from the host brings. One that is damaged (a replay's file may be) brings nothing.
    pub fn arrived(&mut self, done: &Completion, now: VirtualTime) -> Due {
        let steps: Vec<Step> = ciborium::from_reader(done.data.as_slice()).unwrap_or_default();
        if done.token == TOKEN_NOW {
            return Due {
                events: steps.iter().filter_map(|s| now_of(*s)).collect(),
                timer: None,
            };
        }
        let room = MOST_WAITING.saturating_sub(self.waiting.len());
        self.waiting.extend(steps.into_iter().take(room));
        if self.waits { Due::default() } else { self.run(now) }
    }

    /// The wait is over.
    pub fn due(&mut self, now: VirtualTime) -> Due {
        self.waits = false;
        self.run(now)
    }

    fn run(&mut self, now: VirtualTime) -> Due {
        let mut due = Due::default();
        while let Some(step) = self.waiting.pop_front() {
            if let Step::Wait { ms } = step {
                self.waits = true;
                due.timer = Some(now.after_ns(u64::from(ms) * 1_000_000));
                break;
            }
            due.events.extend(now_of(step));
        }
        due
    }

    /// Whether it has what a device may have: for `load`.
    ///
    /// # Errors
    /// More steps than can wait.
    pub fn check(&self) -> Result<(), LoadError> {
        if self.waiting.len() > MOST_WAITING {
            return Err(LoadError::Impossible("more input waits than can"));
        }
        Ok(())
    }
}

fn now_of(step: Step) -> Option<Option<InputEvent>> {
    match step {
        Step::Event(event) => Some(Some(event)),
        Step::Sync => Some(None),
        Step::Wait { .. } => None,
    }
}
