//! The driver's side of both ring formats (Virtio 1.3, sections 2.7 and 2.8).

use southbridge_core::System;
use std::collections::BTreeMap;

use crate::spec::{feature, ring};

/// A buffer of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// First address.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// The device writes.
    pub write: bool,
}

impl Buffer {
    /// One that the device reads.
    pub const fn readable(addr: u64, len: u32) -> Self {
        Self {
            addr,
            len,
            write: false,
        }
    }

    /// One that the device writes.
    pub const fn writable(addr: u64, len: u32) -> Self {
        Self { addr, len, write: true }
    }

    fn flags(self) -> u16 {
        if self.write { ring::WRITE } else { 0 }
    }
}

/// A chain that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// As [`super::Guest::add`] gave it.
    pub id: u16,
    /// Bytes that the device says it wrote.
    pub len: u32,
    /// Those bytes.
    pub data: Vec<u8>,
}

struct Out {
    buffers: Vec<Buffer>,
    descriptors: Vec<u16>,
}

/// A ring in memory, with the driver's place in it.
pub struct Ring {
    /// Entries.
    pub size: u16,
    /// Descriptors.
    pub desc: u64,
    /// Available ring, or the driver's event suppression.
    pub driver: u64,
    /// Used ring, or the device's event suppression.
    pub device: u64,
    /// Whether it is a packed one.
    pub packed: bool,
    event_idx: bool,
    free: Vec<u16>,
    /// Split: next available index. Packed: next entry.
    pub avail: u16,
    avail_wrap: bool,
    used: u16,
    used_wrap: bool,
    /// `avail` at the last look at whether the device wants a notification.
    told: u16,
    added: u16,
    out: BTreeMap<u16, Out>,
}

fn u16_at(sys: &mut System, at: u64) -> u16 {
    sys.read(at, 2).expect("memory") as u16
}

fn set_u16(sys: &mut System, at: u64, value: u16) {
    sys.write(at, 2, value.into()).expect("memory");
}

impl Ring {
    /// A ring of that size in memory that `alloc` gives.
    pub(super) fn new(size: u16, features: u64, alloc: impl FnOnce(u64) -> u64) -> Self {
        let desc = alloc(Self::bytes(size));
        let driver = desc + Self::desc_bytes(size);
        Self {
            size,
            desc,
            driver,
            device: driver + Self::driver_bytes(size),
            packed: features & feature::RING_PACKED != 0,
            event_idx: features & feature::EVENT_IDX != 0,
            free: (0..size).rev().collect(),
            avail: 0,
            avail_wrap: true,
            used: 0,
            used_wrap: true,
            told: 0,
            added: 0,
            out: BTreeMap::new(),
        }
    }

    const fn desc_bytes(size: u16) -> u64 {
        (16 * size as u64).next_multiple_of(4096)
    }

    const fn driver_bytes(size: u16) -> u64 {
        (2 * size as u64 + 6).next_multiple_of(4096)
    }

    /// Bytes of memory of a ring.
    pub(super) const fn bytes(size: u16) -> u64 {
        let device = (8 * size as u64 + 6).next_multiple_of(4096);
        Self::desc_bytes(size) + Self::driver_bytes(size) + device
    }

    /// Chains that are with the device.
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// Writes a descriptor; `last` are its two last words: flags and next of a split ring, id and flags of a packed one.
    pub fn write_descriptor(sys: &mut System, at: u64, addr: u64, len: u32, last: (u16, u16)) {
        sys.write(at, 8, addr).expect("memory");
        sys.write(at + 8, 4, len.into()).expect("memory");
        set_u16(sys, at + 12, last.0);
        set_u16(sys, at + 14, last.1);
    }

    pub(super) fn add(&mut self, buffers: &[Buffer], table: Option<u64>, sys: &mut System) -> u16 {
        if let Some(table) = table {
            for (i, b) in (0u16..).zip(buffers) {
                let more = usize::from(i) + 1 < buffers.len();
                let next = if more { ring::NEXT } else { 0 };
                let last = if self.packed {
                    (0, b.flags())
                } else {
                    (b.flags() | next, i + 1)
                };
                Self::write_descriptor(sys, table + 16 * u64::from(i), b.addr, b.len, last);
            }
            let one = [(table, 16 * buffers.len() as u32, ring::INDIRECT)];
            return self.put(&one, buffers, sys);
        }
        let plain: Vec<_> = buffers.iter().map(|b| (b.addr, b.len, b.flags())).collect();
        self.put(&plain, buffers, sys)
    }

    fn put(&mut self, entries: &[(u64, u32, u16)], buffers: &[Buffer], sys: &mut System) -> u16 {
        let taken: Vec<u16> = entries
            .iter()
            .map(|_| self.free.pop().expect("room in the ring"))
            .collect();
        let id = taken[0];
        if self.packed {
            self.put_packed(id, entries, sys);
        } else {
            self.put_split(&taken, entries, sys);
        }
        let out = Out {
            buffers: buffers.to_vec(),
            descriptors: taken,
        };
        assert!(self.out.insert(id, out).is_none(), "an id twice");
        id
    }

    fn put_split(&mut self, taken: &[u16], entries: &[(u64, u32, u16)], sys: &mut System) {
        for (i, (addr, len, flags)) in entries.iter().enumerate() {
            let next = taken.get(i + 1).copied();
            let flags = flags | if next.is_some() { ring::NEXT } else { 0 };
            let at = self.desc + 16 * u64::from(taken[i]);
            Self::write_descriptor(sys, at, *addr, *len, (flags, next.unwrap_or(0)));
        }
        let slot = self.driver + 4 + 2 * u64::from(self.avail % self.size);
        set_u16(sys, slot, taken[0]);
        self.avail = self.avail.wrapping_add(1);
        set_u16(sys, self.driver + 2, self.avail);
    }

    fn put_packed(&mut self, id: u16, entries: &[(u64, u32, u16)], sys: &mut System) {
        let (first, first_wrap) = (self.avail, self.avail_wrap);
        let mut first_flags = 0;
        for (i, (addr, len, flags)) in entries.iter().enumerate() {
            let mark = if self.avail_wrap { ring::AVAIL } else { ring::USED };
            let next = if i + 1 < entries.len() { ring::NEXT } else { 0 };
            let flags = flags | mark | next;
            let at = self.desc + 16 * u64::from(self.avail);
            // The first descriptor gets its flags last.
            let now = if i == 0 {
                first_flags = flags;
                if first_wrap { 0 } else { ring::AVAIL | ring::USED }
            } else {
                flags
            };
            Self::write_descriptor(sys, at, *addr, *len, (id, now));
            self.avail += 1;
            if self.avail == self.size {
                self.avail = 0;
                self.avail_wrap = !self.avail_wrap;
            }
        }
        self.added += entries.len() as u16;
        set_u16(sys, self.desc + 16 * u64::from(first) + 14, first_flags);
    }

    pub(super) fn wants_kick(&mut self, sys: &mut System) -> bool {
        if self.packed {
            let added = std::mem::take(&mut self.added);
            let place = u16_at(sys, self.device);
            match u16_at(sys, self.device + 2) & 3 {
                ring::EVENT_DISABLE => false,
                ring::EVENT_DESC => {
                    let mut event = place & 0x7fff;
                    if (place >> 15 != 0) != self.avail_wrap {
                        event = event.wrapping_sub(self.size);
                    }
                    self.avail.wrapping_sub(event).wrapping_sub(1) < added
                }
                _ => true,
            }
        } else {
            let before = std::mem::replace(&mut self.told, self.avail);
            if self.event_idx {
                let event = u16_at(sys, self.device + 4 + 8 * u64::from(self.size));
                self.avail.wrapping_sub(event).wrapping_sub(1) < self.avail.wrapping_sub(before)
            } else {
                u16_at(sys, self.device) & ring::NO_NOTIFY == 0
            }
        }
    }

    /// Says at which used index (split) or entry with wrap counter in bit 15 (packed) the driver wants its next interrupt.
    pub fn want_interrupt_at(&self, sys: &mut System, at: u16) {
        if self.packed {
            set_u16(sys, self.driver, at);
            set_u16(sys, self.driver + 2, ring::EVENT_DESC);
        } else {
            set_u16(sys, self.driver + 4 + 2 * u64::from(self.size), at);
        }
    }

    /// Switches interrupts off or on, without event index.
    pub fn set_interrupts(&self, sys: &mut System, on: bool) {
        let at = if self.packed { self.driver + 2 } else { self.driver };
        set_u16(sys, at, u16::from(!on));
    }

    pub(super) fn used(&mut self, sys: &mut System) -> Option<Used> {
        let (id, len) = if self.packed {
            self.used_packed(sys)?
        } else {
            self.used_split(sys)?
        };
        let out = self.out.remove(&id).expect("a chain that is with the device");
        if self.packed {
            self.used += out.descriptors.len() as u16;
            if self.used >= self.size {
                self.used -= self.size;
                self.used_wrap = !self.used_wrap;
            }
        }
        self.free.extend(out.descriptors);
        let mut data = Vec::new();
        for b in out.buffers.iter().filter(|b| b.write) {
            let n = (len as usize - data.len()).min(b.len as usize);
            let mut piece = vec![0; n];
            // A test may give the device addresses without memory.
            if sys.read_bytes(b.addr, &mut piece).is_ok() {
                data.extend(piece);
            }
        }
        Some(Used { id, len, data })
    }

    fn used_split(&mut self, sys: &mut System) -> Option<(u16, u32)> {
        if u16_at(sys, self.device + 2) == self.used {
            return None;
        }
        let element = self.device + 4 + 8 * u64::from(self.used % self.size);
        self.used = self.used.wrapping_add(1);
        let id = sys.read(element, 4).expect("memory");
        let len = sys.read(element + 4, 4).expect("memory");
        Some((id as u16, len as u32))
    }

    fn used_packed(&self, sys: &mut System) -> Option<(u16, u32)> {
        let at = self.desc + 16 * u64::from(self.used);
        let flags = u16_at(sys, at + 14);
        let (avail, used) = (flags & ring::AVAIL != 0, flags & ring::USED != 0);
        if avail != used || used != self.used_wrap {
            return None;
        }
        let len = sys.read(at + 8, 4).expect("memory") as u32;
        // Without this bit the length means nothing.
        let len = if flags & ring::WRITE != 0 { len } else { 0 };
        Some((u16_at(sys, at + 12), len))
    }
}
