//! One queue: its configuration, where the device stands in its ring, and the two formats of rings.
//!
//! What the driver wrote is judged when it is read; a ring that breaks the rules is a [`RingError`], after which the whole device needs a
//! reset. Every walk is bounded by the size of the ring or by [`MAX_SEGMENTS`], and nothing is allocated by the driver's word.

mod packed;
mod split;

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use thiserror::Error;

use crate::chain::{Chain, Parts, Segment};
use crate::dma::Memory;
use crate::spec::{MAX_SEGMENTS, feature, ring};

/// How a driver broke the rules of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RingError {
    /// There is no memory at an address of the driver.
    #[error("no memory at {0:#x}")]
    Memory(u64),
    /// The driver has not let the device reach memory.
    #[error("the device may not reach memory")]
    NoAccess,
    /// More buffers are available than the ring has.
    #[error("available index {avail} is more than the ring's {size} ahead of {at}")]
    Index {
        /// As the driver wrote it.
        avail: u16,
        /// Where the device is.
        at: u16,
        /// Size of the ring.
        size: u16,
    },
    /// A number of a descriptor that does not exist.
    #[error("descriptor {0} does not exist")]
    Descriptor(u16),
    /// The chain does not end.
    #[error("a chain has more descriptors than the ring")]
    Loop,
    /// The chain has more descriptors than the device takes.
    #[error("a chain has more than {MAX_SEGMENTS} descriptors")]
    Long,
    /// A buffer for reading behind one for writing.
    #[error("a readable buffer follows a writable one")]
    Order,
    /// A buffer of no bytes.
    #[error("a buffer has no bytes")]
    Empty,
    /// A table outside the ring, in a place or form that is not allowed.
    #[error("a table of descriptors is not allowed here, or has no whole descriptors")]
    Indirect,
    /// More chains out than the ring has.
    #[error("more buffers are in use than the ring has")]
    InUse,
}

/// One descriptor, as both formats have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptor {
    pub(crate) addr: u64,
    pub(crate) len: u32,
    /// Split: `flags`, `next`. Packed: `id`, `flags`.
    pub(crate) flags: u16,
    pub(crate) other: u16,
}

pub(crate) const DESCRIPTOR: u64 = 16;

impl Descriptor {
    /// The first 12 bytes are the same in both formats; `words` are the last two.
    fn read(at: u64, dma: &mut dyn Memory) -> Result<(u64, u32, u16, u16), RingError> {
        let mut b = [0; DESCRIPTOR as usize];
        dma.read(at, &mut b)?;
        let [a0, a1, a2, a3, a4, a5, a6, a7, l0, l1, l2, l3, x0, x1, y0, y1] = b;
        Ok((
            u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            u32::from_le_bytes([l0, l1, l2, l3]),
            u16::from_le_bytes([x0, x1]),
            u16::from_le_bytes([y0, y1]),
        ))
    }

    pub(crate) fn split(at: u64, dma: &mut dyn Memory) -> Result<Self, RingError> {
        let (addr, len, flags, other) = Self::read(at, dma)?;
        Ok(Self {
            addr,
            len,
            flags,
            other,
        })
    }

    pub(crate) fn packed(at: u64, dma: &mut dyn Memory) -> Result<Self, RingError> {
        let (addr, len, other, flags) = Self::read(at, dma)?;
        Ok(Self {
            addr,
            len,
            flags,
            other,
        })
    }

    fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

impl Parts {
    /// Takes one descriptor of a chain in.
    fn add(&mut self, d: Descriptor) -> Result<(), RingError> {
        if d.len == 0 {
            return Err(RingError::Empty);
        }
        if self.segments.len() >= MAX_SEGMENTS {
            return Err(RingError::Long);
        }
        if d.is(ring::WRITE) {
        } else if self.readable < self.segments.len() {
            return Err(RingError::Order);
        } else {
            self.readable += 1;
        }
        self.segments.push(Segment {
            addr: d.addr,
            len: d.len,
        });
        Ok(())
    }
}

/// What the driver has set up of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueConfig {
    /// Entries.
    pub size: u16,
    /// Interrupt vector of the queue, where the transport has vectors.
    pub vector: u16,
    /// The driver has said that all of it is set.
    pub enabled: bool,
    /// Descriptors.
    pub desc: u64,
    /// What the driver writes: the available ring, or the driver's event suppression.
    pub driver: u64,
    /// What the device writes: the used ring, or the device's event suppression.
    pub device: u64,
}

/// Where the device stands in a ring.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Next to take: free-running in split rings, an entry in packed ones.
    pub(crate) avail: u16,
    pub(crate) avail_wrap: bool,
    /// Next to give back, the same way.
    pub(crate) used: u16,
    pub(crate) used_wrap: bool,
    /// Split: what `used` was when the driver's wish for an interrupt was last looked at, if it was.
    pub(crate) signalled: Option<u16>,
    /// Packed: entries given back since then.
    pub(crate) since: u16,
    /// Entries that are with the device.
    pub(crate) in_use: u16,
    /// Resets so far: chains from before the last one are void.
    pub(crate) epoch: u32,
    /// Whether the device wants to be notified.
    pub(crate) kicks: bool,
    /// In-order rings: what was taken and not yet given back, the oldest first; with bytes written where the device is done.
    pub(crate) order: VecDeque<Taken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) id: u16,
    pub(crate) entries: u16,
    pub(crate) written: Option<u32>,
}

/// One queue.
#[derive(Debug, Clone)]
pub struct Queue {
    // Fixed.
    pub(crate) index: u16,
    pub(crate) max: u16,
    // Volatile.
    pub(crate) config: QueueConfig,
    pub(crate) at: Position,
    /// Negotiated features.
    pub(crate) features: u64,
    // Within one call.
    /// The last available index that was read (split).
    seen: u16,
    /// Used entries that the driver cannot see yet (split), or that it has not been told of.
    unflushed: bool,
    /// Taken from, so that the driver must hear where it should notify next.
    moved: bool,
}

impl Queue {
    pub(crate) fn new(index: u16, max: u16) -> Self {
        let mut queue = Self {
            index,
            max,
            config: QueueConfig::default(),
            at: Position::default(),
            features: 0,
            seen: 0,
            unflushed: false,
            moved: false,
        };
        queue.reset();
        queue
    }

    /// A queue as it was saved.
    pub(crate) fn loaded(index: u16, max: u16, config: QueueConfig, at: Position, features: u64) -> Self {
        let seen = at.avail;
        Self {
            index,
            max,
            config,
            at,
            features,
            seen,
            unflushed: false,
            moved: false,
        }
    }

    /// To the state of creation. Chains that are out become void.
    pub(crate) fn reset(&mut self) {
        self.config = QueueConfig {
            size: self.max,
            vector: crate::spec::NO_VECTOR,
            ..QueueConfig::default()
        };
        self.at = Position {
            epoch: self.at.epoch.wrapping_add(1),
            avail_wrap: true,
            used_wrap: true,
            kicks: true,
            ..Position::default()
        };
        self.seen = 0;
        self.unflushed = false;
        self.moved = false;
    }

    /// Configuration.
    pub fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// The available index as it was last read (split).
    pub(crate) fn seen(&self) -> u16 {
        self.seen
    }

    /// Largest size.
    pub fn max_size(&self) -> u16 {
        self.max
    }

    fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    fn is_packed(&self) -> bool {
        self.has(feature::RING_PACKED)
    }

    /// Whether it can be worked with.
    pub(crate) fn is_live(&self) -> bool {
        self.config.enabled && self.config.size > 0
    }

    /// Takes the next chain.
    pub(crate) fn pop(&mut self, dma: &mut dyn Memory) -> Result<Option<Chain>, RingError> {
        if !self.is_live() {
            return Ok(None);
        }
        let taken = if self.is_packed() {
            packed::pop(self, dma)?
        } else {
            split::pop(self, dma)?
        };
        let Some((id, entries, parts)) = taken else {
            return Ok(None);
        };
        if self.has(feature::IN_ORDER) {
            let written = None;
            self.at.order.push_back(Taken { id, entries, written });
        }
        self.moved = true;
        Ok(Some(Chain::new(self.index, self.at.epoch, id, entries, parts)))
    }

    /// Whether a chain could be taken.
    pub(crate) fn has_next(&mut self, dma: &mut dyn Memory) -> Result<bool, RingError> {
        if !self.is_live() {
            return Ok(false);
        }
        if self.is_packed() {
            packed::has_next(self, dma)
        } else {
            split::has_next(self, dma)
        }
    }

    /// Puts the chain that was taken last back, as if it had not been.
    pub(crate) fn unpop(&mut self, chain: &Chain) {
        if chain.epoch != self.at.epoch || chain.entries > self.at.in_use {
            return;
        }
        if self.is_packed() {
            packed::step_back(self, chain.entries);
        } else {
            split::step_back(self);
        }
        self.at.in_use -= chain.entries;
        if self.at.order.back().is_some_and(|t| t.id == chain.id) {
            self.at.order.pop_back();
        }
    }

    /// Gives a chain back with the number of bytes that were written.
    pub(crate) fn push(&mut self, chain: &Chain, written: u32, dma: &mut dyn Memory) -> Result<(), RingError> {
        if chain.epoch != self.at.epoch || !self.is_live() {
            return Ok(());
        }
        if !self.has(feature::IN_ORDER) {
            return self.put(chain.id, chain.entries, written, dma);
        }
        let mine = |t: &&mut Taken| t.id == chain.id && t.written.is_none();
        if let Some(t) = self.at.order.iter_mut().find(mine) {
            t.written = Some(written);
        }
        while let Some(Taken {
            id,
            entries,
            written: Some(n),
        }) = self.at.order.front().copied()
        {
            self.at.order.pop_front();
            self.put(id, entries, n, dma)?;
        }
        Ok(())
    }

    fn put(&mut self, id: u16, entries: u16, written: u32, dma: &mut dyn Memory) -> Result<(), RingError> {
        self.at.in_use = self.at.in_use.saturating_sub(entries);
        self.unflushed = true;
        if self.is_packed() {
            packed::put(self, id, entries, written, dma)
        } else {
            split::put(self, id, written, dma)
        }
    }

    /// Lets the driver see what was given back. Whether it wants an interrupt for it.
    pub(crate) fn flush(&mut self, dma: &mut dyn Memory) -> Result<bool, RingError> {
        if !std::mem::take(&mut self.unflushed) || !self.is_live() {
            return Ok(false);
        }
        if self.is_packed() {
            packed::wants_interrupt(self, dma)
        } else {
            split::flush(self, dma)?;
            split::wants_interrupt(self, dma)
        }
    }

    /// Tells the driver when to notify next, if that has moved.
    pub(crate) fn ask_for_kicks(&mut self, dma: &mut dyn Memory) -> Result<(), RingError> {
        if !std::mem::take(&mut self.moved) || !self.is_live() {
            return Ok(());
        }
        if self.is_packed() {
            packed::ask_for_kicks(self, dma)
        } else {
            split::ask_for_kicks(self, dma)
        }
    }

    /// Whether the device wants to be notified from now on.
    pub(crate) fn set_kicks(&mut self, on: bool) {
        if self.at.kicks != on {
            self.at.kicks = on;
            self.moved = true;
        }
    }
}
