//! Counts of what a disk did, for `query-blockstats`.

use std::time::{Duration, Instant};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Read.
    Read,
    /// Write, and write of zeros.
    Write,
    /// Flush.
    Flush,
    /// Discard.
    Discard,
}

/// Counts of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests done.
    pub operations: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Time from their coming to their being done.
    pub time: Duration,
    /// Requests that the host failed.
    pub failed: u64,
    /// Requests that made no sense.
    pub invalid: u64,
}

/// Counts of one disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    /// Reads.
    pub read: Count,
    /// Writes.
    pub write: Count,
    /// Flushes.
    pub flush: Count,
    /// Discards.
    pub discard: Count,
    /// First byte behind all that was ever written.
    pub highest: u64,
    /// When the last request was done.
    pub last: Option<Instant>,
}

impl Stats {
    /// Those of a kind.
    pub fn of(&mut self, kind: Kind) -> &mut Count {
        match kind {
            Kind::Read => &mut self.read,
            Kind::Write => &mut self.write,
            Kind::Flush => &mut self.flush,
            Kind::Discard => &mut self.discard,
        }
    }

    pub(crate) fn done(&mut self, kind: Kind, bytes: u64, began: Instant, failed: bool) {
        let now = Instant::now();
        self.last = Some(now);
        let count = self.of(kind);
        if failed {
            count.failed += 1;
            return;
        }
        count.operations += 1;
        count.bytes = count.bytes.wrapping_add(bytes);
        count.time = count.time.saturating_add(now.saturating_duration_since(began));
    }
}
