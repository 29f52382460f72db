//! The driver's side of one split ring (virtio 1.3, section 2.7), with a page of memory for each descriptor. The other side is another
//! process: what it writes is doubted.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use southbridge_core::host::{HostCx, HostEvent, Watch};
use southbridge_core::memory::{RamBlock, RamWindow};
use std::sync::atomic::{Ordering, fence};

use crate::packet::{MAX_FRAME, VnetHeader};

/// Descriptors of a ring.
pub(super) const SIZE: u16 = 256;
/// Bytes behind each.
const BUFFER: usize = 4096;
/// The header before each frame, with the count of buffers that it goes over.
const HEADER: usize = 12;

const DESCRIPTORS: u64 = 0;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x2000;
const BUFFERS: u64 = 0x3000;
/// Bytes of a ring and all its buffers.
pub(super) const BYTES: u64 = BUFFERS + SIZE as u64 * BUFFER as u64;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// In `flags` of the available ring: no interrupt; of the used ring: no notification.
const QUIET: u16 = 1;

/// The other side has broken the rules of rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

/// A ring, in a part of the memory that both sides see.
pub(super) struct Ring {
    memory: RamWindow,
    /// Where the part begins, as descriptors say it.
    base: u64,
    kick: OwnedFd,
    call: OwnedFd,
    watch: Watch,
    available: u16,
    used: u16,
    /// Descriptors that are ours.
    free: Vec<u16>,
    /// Those that belong to a chain which the other side has, by its head.
    chains: Vec<Vec<u16>>,
}

impl Ring {
    /// `number` is its place in `memory`, and the token of its watch.
    pub(super) fn new(memory: &RamBlock, number: u64) -> Result<Self, Errno> {
        let base = number * BYTES;
        let event = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Self {
            memory: RamWindow::new(0, BYTES, false, memory, base).ok_or(Errno::INVAL)?,
            base,
            kick: event()?,
            call: event()?,
            watch: Watch::new(number),
            available: 0,
            used: 0,
            free: (0..SIZE).rev().collect(),
            chains: vec![Vec::new(); usize::from(SIZE)],
        })
    }

    /// Where descriptors, used and available ring are.
    pub(super) const fn addresses(&self) -> (u64, u64, u64) {
        (self.base + DESCRIPTORS, self.base + USED, self.base + AVAILABLE)
    }

    /// Copies of the descriptors for the other side: to be notified by, and to interrupt by.
    pub(super) fn events(&self) -> Result<(OwnedFd, OwnedFd), Errno> {
        Ok((fcntl_dupfd_cloexec(&self.kick, 0)?, fcntl_dupfd_cloexec(&self.call, 0)?))
    }

    pub(super) fn watch(&mut self, on: bool, host: &mut HostCx<'_>) {
        match on {
            true => self.watch.want_read(true, &self.call, host),
            false => self.watch.stop(&self.call, host),
        }
    }

    /// Whether an event is the other side's interrupt.
    pub(super) fn is_called(&self, event: HostEvent) -> bool {
        let called = self.watch.ready(event).is_some();
        if called {
            let _ = rustix::io::read(self.call.as_fd(), &mut [0; 8]);
        }
        called
    }

    /// Whether the other side should interrupt.
    pub(super) fn want_interrupts(&self, on: bool) {
        self.memory.write_u16(AVAILABLE, if on { 0 } else { QUIET });
        // What it has used just before it saw this is looked for after this.
        fence(Ordering::SeqCst);
    }

    fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.memory.read_u16(USED).unwrap_or(0) & QUIET == 0 {
            // A counter that is full is seen as well.
            let _ = rustix::io::write(&self.kick, &1u64.to_ne_bytes());
        }
    }

    fn describe(&self, d: u16, len: usize, flags: u16, next: u16) {
        let at = DESCRIPTORS + u64::from(d) * 16;
        self.memory.write_u64(at, self.base + place(d));
        self.memory.write_u32(at + 8, len as u32);
        self.memory.write_u16(at + 12, flags);
        self.memory.write_u16(at + 14, next);
    }

    /// Makes a chain available; the other side sees it at [`Ring::publish`].
    fn offer(&mut self, head: u16) {
        let slot = u64::from(self.available % SIZE);
        self.memory.write_u16(AVAILABLE + 4 + slot * 2, head);
        self.available = self.available.wrapping_add(1);
    }

    fn publish(&self) {
        fence(Ordering::SeqCst);
        self.memory.write_u16(AVAILABLE + 2, self.available);
        self.notify();
    }

    /// How many chains the other side has used and we have not looked at.
    fn waiting(&self) -> Result<u16, Broken> {
        let index = self.memory.read_u16(USED + 2).unwrap_or(0);
        fence(Ordering::SeqCst);
        let n = index.wrapping_sub(self.used);
        if n > self.available.wrapping_sub(self.used) {
            return Err(Broken("it has used buffers that it was not given"));
        }
        Ok(n)
    }

    /// The `n`th of them: head and bytes written.
    fn used(&self, n: u16) -> (u32, u32) {
        let at = USED + 4 + u64::from(self.used.wrapping_add(n) % SIZE) * 8;
        let word = |at| self.memory.read_u32(at).unwrap_or(u32::MAX);
        (word(at), word(at + 4))
    }

    /// Takes a chain back from the other side.
    fn taken(&mut self, head: u32) -> Result<Vec<u16>, Broken> {
        let chain = usize::try_from(head).ok().and_then(|h| self.chains.get_mut(h));
        let chain = chain.map(std::mem::take).filter(|c| !c.is_empty());
        chain.ok_or(Broken("it has used a buffer that is none"))
    }

    fn read(&self, d: u16, offset: usize, out: &mut [u8]) {
        let at = self.memory.block_offset() + place(d) + offset as u64;
        let _ = self.memory.block().read(at, out);
    }

    fn write(&self, d: u16, offset: usize, data: &[u8]) {
        let at = self.memory.block_offset() + place(d) + offset as u64;
        let _ = self.memory.block().write(at, data);
    }
}

const fn place(descriptor: u16) -> u64 {
    BUFFERS + descriptor as u64 * BUFFER as u64
}

/// Frames to the other side.
impl Ring {
    /// Takes back what the other side is done with.
    pub(super) fn reclaim(&mut self) -> Result<(), Broken> {
        for _ in 0..self.waiting()? {
            let (head, _) = self.used(0);
            let chain = self.taken(head)?;
            self.free.extend(chain);
            self.used = self.used.wrapping_add(1);
        }
        Ok(())
    }

    /// Whether the other side still has frames to take.
    pub(super) fn is_sending(&mut self) -> bool {
        self.reclaim().is_ok() && self.free.len() < usize::from(SIZE)
    }

    /// Whether a frame of that length fits now. If not, the other side will interrupt when it has used something.
    pub(super) fn has_room(&mut self, len: usize) -> Result<bool, Broken> {
        let need = (HEADER + len).div_ceil(BUFFER);
        // Once without and once with the wish, which must be there before the last look.
        for ask in [false, true] {
            if self.free.len() >= need {
                return Ok(true);
            }
            self.want_interrupts(ask);
            self.reclaim()?;
        }
        Ok(self.free.len() >= need)
    }

    /// Sends a frame for which there is room.
    pub(super) fn send(&mut self, vnet: VnetHeader, frame: &[u8]) {
        let need = (HEADER + frame.len()).div_ceil(BUFFER);
        let Some(first) = self.free.len().checked_sub(need) else {
            return;
        };
        let chain = self.free.split_off(first);
        let mut header = [0; HEADER];
        header[..VnetHeader::LEN].copy_from_slice(&vnet.to_bytes());
        let (mut rest, mut offset) = (frame, HEADER);
        for (i, d) in chain.iter().enumerate() {
            let (here, behind) = rest.split_at(rest.len().min(BUFFER - offset));
            if i == 0 {
                self.write(*d, 0, &header);
            }
            self.write(*d, offset, here);
            match chain.get(i + 1) {
                Some(next) => self.describe(*d, offset + here.len(), NEXT, *next),
                None => self.describe(*d, offset + here.len(), 0, 0),
            }
            (rest, offset) = (behind, 0);
        }
        if let Some(head) = chain.first().copied() {
            self.chains[usize::from(head)] = chain;
            self.offer(head);
            self.publish();
        }
    }
}

/// Frames from the other side.
impl Ring {
    /// Gives the other side all buffers that are ours.
    pub(super) fn fill(&mut self) {
        if self.free.is_empty() {
            return;
        }
        for d in std::mem::take(&mut self.free) {
            self.describe(d, BUFFER, WRITE, 0);
            self.chains[usize::from(d)] = vec![d];
            self.offer(d);
        }
        self.publish();
    }

    /// The next frame, if there is a whole one.
    pub(super) fn receive(&mut self) -> Result<Option<(VnetHeader, Vec<u8>)>, Broken> {
        let waiting = self.waiting()?;
        if waiting == 0 {
            return Ok(None);
        }
        let (head, len) = self.used(0);
        let first = u16::try_from(head).map_err(|_| Broken("it has used a buffer that is none"))?;
        if (len as usize) < HEADER {
            return Err(Broken("it has given a frame without its header"));
        }
        let mut header = [0; HEADER];
        if first >= SIZE {
            return Err(Broken("it has used a buffer that is none"));
        }
        self.read(first, 0, &mut header);
        let count = u16::from_le_bytes([header[10], header[11]]).max(1);
        if count > SIZE {
            return Err(Broken("it has given a frame over more buffers than there are"));
        }
        if count > waiting {
            return Ok(None);
        }
        let mut frame = Vec::new();
        for i in 0..count {
            let (head, len) = self.used(0);
            let chain = self.taken(head)?;
            self.used = self.used.wrapping_add(1);
            let skip = if i == 0 { HEADER } else { 0 };
            let len = (len as usize).min(BUFFER).saturating_sub(skip);
            if let Some(d) = chain.first()
                && frame.len() + len <= MAX_FRAME
            {
                let at = frame.len();
                frame.resize(at + len, 0);
                self.read(*d, skip, &mut frame[at..]);
            }
            self.free.extend(chain);
        }
        let vnet = header.first_chunk().map_or(VnetHeader::NONE, VnetHeader::from_bytes);
        Ok(Some((vnet, frame)))
    }
}
