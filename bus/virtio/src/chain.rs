//! A chain of buffers that the driver made available: plain data, which a device keeps until it is done with it.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::spec::{MAX_RING, MAX_SEGMENTS};

/// A stretch of guest memory. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// First address, as the driver gave it.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
}

pub(crate) type Segments = SmallVec<[Segment; 4]>;

/// Why data of a chain did not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain is shorter. What that means is the device's to say.
    #[error("the chain of buffers is too short")]
    Short,
    /// An address of the driver leads to no memory; the device has been marked as needing a reset.
    #[error("the buffer is not in memory")]
    Memory,
    /// The chain was taken before the device, or its queue, was reset: it is the driver's again.
    #[error("the chain belongs to the past")]
    Stale,
}

/// Buffers of one request: those that the device reads, then those that it writes. It names its queue and can be saved: a device that
/// saves the chains in its hands can go on with them where it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SavedChain", into = "SavedChain")]
pub struct Chain {
    pub(crate) queue: u16,
    pub(crate) epoch: u32,
    /// What the driver calls it.
    pub(crate) id: u16,
    /// Entries of the ring that it takes.
    pub(crate) entries: u16,
    segments: Segments,
    readable: usize,
    readable_len: u64,
    writable_len: u64,
}

impl Chain {
    pub(crate) fn new(queue: u16, epoch: u32, id: u16, entries: u16, parts: Parts) -> Self {
        let Parts { segments, readable } = parts;
        let sum = |s: &[Segment]| s.iter().map(|s| u64::from(s.len)).sum();
        let (r, w) = segments.split_at(readable.min(segments.len()));
        Self {
            queue,
            epoch,
            id,
            entries,
            readable: r.len(),
            readable_len: sum(r),
            writable_len: sum(w),
            segments,
        }
    }

    /// The queue that it came from.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// What the driver calls it: the first descriptor of a split ring, the buffer id of a packed one.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// What the device may read, in order.
    pub fn readable(&self) -> &[Segment] {
        self.segments.get(..self.readable).unwrap_or_default()
    }

    /// What the device may write, in order.
    pub fn writable(&self) -> &[Segment] {
        self.segments.get(self.readable..).unwrap_or_default()
    }

    /// Bytes that the device may read.
    pub fn readable_len(&self) -> u64 {
        self.readable_len
    }

    /// Bytes that the device may write.
    pub fn writable_len(&self) -> u64 {
        self.writable_len
    }
}

/// The stretches of guest memory behind `len` bytes from `offset` of a list of segments; `None` if it is shorter.
pub(crate) fn slice(segments: &[Segment], mut offset: u64, len: u64) -> Option<impl Iterator<Item = (u64, usize)>> {
    let total: u64 = segments.iter().map(|s| u64::from(s.len)).sum();
    if offset.checked_add(len)? > total {
        return None;
    }
    let mut left = len;
    Some(segments.iter().filter_map(move |s| {
        let size = u64::from(s.len);
        if offset >= size {
            offset -= size;
            return None;
        }
        let here = (size - offset).min(left);
        // Wraps only where the access will be refused anyway: no memory is at the end of the address space.
        let at = s.addr.wrapping_add(offset);
        offset = 0;
        left -= here;
        (here > 0).then_some((at, here as usize))
    }))
}

/// Segments while a chain is collected.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) segments: Segments,
    pub(crate) readable: usize,
}

/// The saved form.
#[derive(Serialize, Deserialize)]
struct SavedChain {
    queue: u16,
    epoch: u32,
    id: u16,
    entries: u16,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
}

impl From<Chain> for SavedChain {
    fn from(c: Chain) -> Self {
        Self {
            queue: c.queue,
            epoch: c.epoch,
            id: c.id,
            entries: c.entries,
            readable: c.readable().to_vec(),
            writable: c.writable().to_vec(),
        }
    }
}

impl TryFrom<SavedChain> for Chain {
    type Error = &'static str;

    fn try_from(s: SavedChain) -> Result<Self, Self::Error> {
        let readable = s.readable.len();
        let segments: Segments = s.readable.into_iter().chain(s.writable).collect();
        if segments.len() > MAX_SEGMENTS || segments.iter().any(|s| s.len == 0) || s.entries > MAX_RING {
            return Err("a chain of buffers that cannot be");
        }
        Ok(Self::new(
            s.queue,
            s.epoch,
            s.id,
            s.entries,
            Parts { segments, readable },
        ))
    }
}
