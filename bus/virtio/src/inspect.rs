//! A queue seen from outside, for monitors. Looking changes nothing: memory is read through a function that knows memory alone, and
//! what the driver wrote there is as little trusted as when it is worked with.

use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::queue::{DESCRIPTOR, Queue};
use crate::spec::{MAX_SEGMENTS, feature, ring};

/// Where a queue is and where the device stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueReport {
    /// Entries.
    pub size: u16,
    /// Entries at most.
    pub max: u16,
    /// The driver has said that all of it is set.
    pub enabled: bool,
    /// Its ring is a packed one.
    pub packed: bool,
    /// Descriptors.
    pub desc: u64,
    /// What the driver writes.
    pub driver: u64,
    /// What the device writes.
    pub device: u64,
    /// Entries that are with the device.
    pub in_use: u16,
    /// Next to take.
    pub avail: u16,
    /// The available index as it was last read; that of packed rings is the next to take.
    pub seen: u16,
    /// Next to give back.
    pub used: u16,
    /// What `used` was when the driver's wish for an interrupt was last looked at; `None` before that.
    pub signalled: Option<u16>,
}

/// A descriptor as the driver wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawDescriptor {
    /// Address.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// Bits of [`ring`].
    pub flags: u16,
}

/// A chain of a split ring as it stands in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The first descriptor.
    pub head: u16,
    /// `avail.flags`.
    pub avail_flags: u16,
    /// `avail.idx`.
    pub avail_index: u16,
    /// `used.flags`.
    pub used_flags: u16,
    /// `used.idx`.
    pub used_index: u16,
    /// In the chain's order; of a chain with a table those of the table. Never more than the ring, or the table, or
    /// [`MAX_SEGMENTS`]: a chain that leads to itself is cut there, as one that leads out of the ring is.
    pub chain: Vec<RawDescriptor>,
}

/// Why there is nothing to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Hidden {
    /// The driver has not set the queue up.
    #[error("the driver has not set the queue up")]
    NotThere,
    /// Packed rings have no such elements.
    #[error("the queue has a packed ring, of which no element can be shown")]
    Packed,
    /// There is no memory where the driver says.
    #[error("there is no memory at {0:#x}, where the ring says that it goes on")]
    Memory(u64),
}

impl Endpoint {
    /// What there is to see of a queue without looking into memory; `None` if it has no such queue.
    pub fn queue_report(&self, n: u16) -> Option<QueueReport> {
        self.queue_now(n).map(|q| QueueReport::of(&q, self.driver_features()))
    }
}

impl QueueReport {
    fn of(q: &Queue, features: u64) -> Self {
        let packed = features & feature::RING_PACKED != 0;
        let c = q.config();
        Self {
            size: c.size,
            max: q.max_size(),
            enabled: c.enabled,
            packed,
            desc: c.desc,
            driver: c.driver,
            device: c.device,
            in_use: q.at.in_use,
            avail: q.at.avail,
            seen: if packed { q.at.avail } else { q.seen() },
            used: q.at.used,
            signalled: q.at.signalled,
        }
    }

    /// The chain of an entry of the available ring; of the one that the device takes next without `index`. `read` copies memory, and
    /// says whether all of it is there.
    ///
    /// # Errors
    /// When the driver has not set such a queue up, or where it leads there is no memory.
    pub fn element(&self, index: Option<u16>, read: &mut dyn FnMut(u64, &mut [u8]) -> bool) -> Result<Element, Hidden> {
        if !self.enabled || self.size == 0 {
            return Err(Hidden::NotThere);
        }
        if self.packed {
            return Err(Hidden::Packed);
        }
        let slot = index.unwrap_or(self.avail) % self.size;
        let head = half(self.driver.wrapping_add(4 + 2 * u64::from(slot)), read)?;
        Ok(Element {
            head,
            avail_flags: half(self.driver, read)?,
            avail_index: half(self.driver.wrapping_add(2), read)?,
            used_flags: half(self.device, read)?,
            used_index: half(self.device.wrapping_add(2), read)?,
            chain: self.chain(head, read)?,
        })
    }

    fn chain(&self, head: u16, read: &mut dyn FnMut(u64, &mut [u8]) -> bool) -> Result<Vec<RawDescriptor>, Hidden> {
        let (mut table, mut entries, mut next) = (self.desc, u64::from(self.size), head);
        let mut chain = Vec::new();
        while u64::from(next) < entries && chain.len() < MAX_SEGMENTS.min(entries as usize) {
            let at = table.wrapping_add(DESCRIPTOR * u64::from(next));
            let mut b = [0; DESCRIPTOR as usize];
            if !read(at, &mut b) {
                return Err(Hidden::Memory(at));
            }
            let all = u128::from_le_bytes(b);
            let (d, after) = (
                RawDescriptor {
                    addr: all as u64,
                    len: (all >> 64) as u32,
                    flags: (all >> 96) as u16,
                },
                (all >> 112) as u16,
            );
            if d.flags & ring::INDIRECT != 0 && chain.is_empty() && table == self.desc {
                (table, entries, next) = (d.addr, u64::from(d.len) / DESCRIPTOR, 0);
                if table == self.desc {
                    break;
                }
                continue;
            }
            chain.push(d);
            if d.flags & ring::NEXT == 0 {
                break;
            }
            next = after;
        }
        Ok(chain)
    }
}

fn half(at: u64, read: &mut dyn FnMut(u64, &mut [u8]) -> bool) -> Result<u16, Hidden> {
    let mut b = [0; 2];
    match read(at, &mut b) {
        true => Ok(u16::from_le_bytes(b)),
        false => Err(Hidden::Memory(at)),
    }
}
