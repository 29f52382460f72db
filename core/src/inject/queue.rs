//! What was delayed, until its moment.

use std::collections::BTreeMap;

use crate::clock::{TimerIndex, VirtualTime};
use crate::device::DeviceId;
use crate::host::Completion;
use crate::line::LineId;

/// Something that happens later.
pub(crate) enum Deferred {
    Line(DeviceId, LineId, bool),
    Timer(DeviceId, TimerIndex),
    Completion(DeviceId, Completion),
}

/// Ordered by moment, then by the order in which they were delayed.
#[derive(Default)]
pub(crate) struct Queue {
    items: BTreeMap<(VirtualTime, u64), Deferred>,
    sequence: u64,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn push(&mut self, at: VirtualTime, what: Deferred) {
        self.items.insert((at, self.sequence), what);
        self.sequence += 1;
    }

    /// The next moment; the end of time never comes.
    pub(crate) fn next(&self) -> Option<VirtualTime> {
        let first = self.items.first_key_value().map(|(k, _)| k.0);
        first.filter(|t| *t < VirtualTime(u64::MAX))
    }

    pub(crate) fn pop_due(&mut self, now: VirtualTime) -> Option<Deferred> {
        let entry = self.items.first_entry()?;
        (entry.key().0 <= now && now < VirtualTime(u64::MAX)).then(|| entry.remove())
    }

    /// The last change of a line that is on its way: when, and to which level.
    pub(crate) fn line(&self, device: DeviceId, line: LineId) -> Option<(VirtualTime, bool)> {
        self.items.iter().rev().find_map(|(k, d)| match d {
            Deferred::Line(d, l, level) if (*d, *l) == (device, line) => Some((k.0, *level)),
            _ => None,
        })
    }
}
