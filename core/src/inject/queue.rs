//! What was delayed, until its moment.

use std::collections::BTreeMap;

use crate::clock::{TimerIndex, VirtualTime};
use crate::device::DeviceId;
use crate::host::Completion;
use crate::line::LineId;
use crate::system::Ctx;

/// Something that happens later.
pub(crate) enum Deferred {
    Line(DeviceId, LineId, bool),
    Timer(DeviceId, TimerIndex),
    Completion(DeviceId, Completion),
    Output(DeviceId, u32, Send),
}

/// Hands a message to a back end for a device.
pub(crate) type Send = Box<dyn FnOnce(&mut Ctx<'_>) + std::marker::Send + Sync>;

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

    /// Messages of a connection that are on their way out: how many, and when the last one goes.
    pub(crate) fn outputs(&self, device: DeviceId, port: u32) -> (usize, Option<VirtualTime>) {
        let mine = |d: &Deferred| matches!(d, Deferred::Output(d, p, _) if (*d, *p) == (device, port));
        let mut times = self.items.iter().filter(|(_, d)| mine(d)).map(|(k, _)| k.0);
        let last = times.next_back();
        (times.count() + usize::from(last.is_some()), last)
    }

    /// Puts a message of a connection back in front of the others that are on their way, none of which goes out before `at`.
    pub(crate) fn put_back(&mut self, at: VirtualTime, device: DeviceId, port: u32, send: Send) {
        let mine = |d: &Deferred| matches!(d, Deferred::Output(d, p, _) if (*d, *p) == (device, port));
        let early = self
            .items
            .iter()
            .take_while(|(k, _)| k.0 <= at)
            .filter(|(_, d)| mine(d));
        let early: Vec<_> = early.map(|(k, _)| *k).collect();
        let early: Vec<_> = early.iter().filter_map(|k| self.items.remove(k)).collect();
        self.push(at, Deferred::Output(device, port, send));
        for other in early {
            self.push(at, other);
        }
    }
}
