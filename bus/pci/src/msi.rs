//! Message-signalled interrupts: MSI (PCI 3.0, section 6.8.1) and MSI-X (section 6.8.2).
//!
//! A message is an ordinary write of the function to whatever address the guest chose; who answers there is not this module's affair.
//! What is masked becomes pending and is sent when the mask falls. Nothing here sends: callers get the message and send it by DMA.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

use crate::caps::Capability;
use crate::config::ConfigSpace;
use crate::regs::cap;

/// What a function writes, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Address on the bus.
    pub address: u64,
    /// 32 bits, little-endian.
    pub data: u32,
}

/// An MSI capability.
#[derive(Debug, Clone, Copy)]
pub struct Msi {
    /// Vectors, a power of two from 1 to 32.
    pub vectors: u8,
    /// Addresses of 64 bits.
    pub wide: bool,
    /// Masks and pending bits for each vector.
    pub maskable: bool,
}

const MSI_FLAGS: u16 = 2;
const MSI_ENABLE: u16 = 1;

impl Msi {
    const fn data_at(self) -> u16 {
        if self.wide { 12 } else { 8 }
    }

    const fn mask_at(self) -> u16 {
        if self.wide { 16 } else { 12 }
    }

    const fn log2(self) -> u16 {
        let n = if self.vectors > 32 { 32 } else { self.vectors };
        match n {
            0 => 0,
            n => n.ilog2() as u16,
        }
    }

    fn all(self) -> u32 {
        u32::MAX >> (32 - (1u32 << self.log2()))
    }

    pub(crate) fn enabled(config: &ConfigSpace, at: u16) -> bool {
        config.u16(at + MSI_FLAGS) & MSI_ENABLE != 0
    }

    /// Vectors that software left the function: the lower bits of the message's data are the function's.
    fn granted(self, config: &ConfigSpace, at: u16) -> u32 {
        1 << (config.u16(at + MSI_FLAGS) >> 4 & 7).min(self.log2())
    }

    /// Vector `n` happened: the message to send now, if it is neither off nor masked.
    pub(crate) fn notify(self, config: &mut ConfigSpace, at: u16, vector: u32) -> Option<Message> {
        let granted = self.granted(config, at);
        let vector = if vector < granted { vector } else { 0 };
        if self.maskable && config.u32(at + self.mask_at()) >> vector & 1 != 0 {
            let pending = config.u32(at + self.mask_at() + 4) | 1 << vector;
            config.set_u32(at + self.mask_at() + 4, pending);
            return None;
        }
        Some(self.message(config, at, vector))
    }

    fn message(self, config: &ConfigSpace, at: u16, vector: u32) -> Message {
        let granted = self.granted(config, at);
        let high = if self.wide {
            u64::from(config.u32(at + 8)) << 32
        } else {
            0
        };
        Message {
            address: high | u64::from(config.u32(at + 4) & !3),
            data: u32::from(config.u16(at + self.data_at())) & !(granted - 1) | (vector & (granted - 1)),
        }
    }

    /// Messages that a write to the capability set free.
    pub(crate) fn released(self, config: &mut ConfigSpace, at: u16) -> Vec<Message> {
        if !self.maskable || !Self::enabled(config, at) {
            return Vec::new();
        }
        let granted = self.granted(config, at);
        let usable = u32::MAX >> (32 - granted);
        let pending = config.u32(at + self.mask_at() + 4) & usable;
        let free = pending & !config.u32(at + self.mask_at());
        config.set_u32(at + self.mask_at() + 4, pending & !free);
        (0..granted)
            .filter(|v| free >> v & 1 != 0)
            .map(|v| self.message(config, at, v))
            .collect()
    }
}

impl Capability for Msi {
    const ID: u8 = cap::MSI;

    fn size(&self) -> u8 {
        (if self.wide { 14 } else { 10 }) + if self.maskable { 10 } else { 0 }
    }

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        let flags = self.log2() << 1 | u16::from(self.wide) << 7 | u16::from(self.maskable) << 8;
        config.declare(at + MSI_FLAGS, 2, flags.into(), 0x71, 0);
        config.declare(at + 4, 4, 0, !3, 0);
        if self.wide {
            config.declare(at + 8, 4, 0, !0, 0);
        }
        config.declare(at + self.data_at(), 2, 0, 0xffff, 0);
        if self.maskable {
            config.declare(at + self.mask_at(), 4, 0, self.all(), 0);
            config.declare(at + self.mask_at() + 4, 4, 0, 0, 0);
        }
    }
}

/// Where an MSI-X table and its pending bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsixLayout {
    /// Vectors, 1 to 2048.
    pub vectors: u16,
    /// BAR of the table.
    pub table_bar: u8,
    /// Offset of the table in it, a multiple of 8.
    pub table: u32,
    /// BAR of the pending bits.
    pub pba_bar: u8,
    /// Offset of the pending bits in it, a multiple of 8.
    pub pba: u32,
}

impl MsixLayout {
    /// A BAR of its own as QEMU lays it out: table at 0, pending bits at 2048 or, if the table is longer, right behind it.
    pub const fn exclusive(bar: u8, vectors: u16) -> Self {
        Self {
            vectors,
            table_bar: bar,
            table: 0,
            pba_bar: bar,
            pba: Self::exclusive_pba(vectors),
        }
    }

    const fn exclusive_pba(vectors: u16) -> u32 {
        let table = vectors as u32 * 16;
        if table > 2048 { table } else { 2048 }
    }

    /// Bytes of such a BAR.
    pub const fn exclusive_size(vectors: u16) -> u64 {
        let end = Self::exclusive_pba(vectors) as u64 + (vectors as u64).div_ceil(64) * 8;
        if end > 4096 { end.next_power_of_two() } else { 4096 }
    }
}

const MSIX_FLAGS: u16 = 2;
const MSIX_ENABLE: u16 = 1 << 15;
const MSIX_MASK_ALL: u16 = 1 << 14;
/// Bytes of a table entry.
const ENTRY: u64 = 16;

impl Capability for MsixLayout {
    const ID: u8 = cap::MSIX;

    fn size(&self) -> u8 {
        12
    }

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        let size = self.vectors.clamp(1, 2048) - 1;
        config.declare(at + MSIX_FLAGS, 2, size.into(), (MSIX_ENABLE | MSIX_MASK_ALL).into(), 0);
        config.declare(at + 4, 4, self.table & !7 | u32::from(self.table_bar & 7), 0, 0);
        config.declare(at + 8, 4, self.pba & !7 | u32::from(self.pba_bar & 7), 0, 0);
    }
}

/// The table and pending bits of a function.
#[derive(Debug, Clone)]
pub(crate) struct Msix {
    pub(crate) at: u16,
    pub(crate) layout: MsixLayout,
    table: Vec<[u32; 4]>,
    pending: Vec<u64>,
}

/// The saved form.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedMsix {
    table: Vec<[u32; 4]>,
    pending: Vec<u64>,
}

impl Msix {
    pub(crate) fn new(at: u16, layout: MsixLayout) -> Self {
        let mut m = Self {
            at,
            layout,
            table: Vec::new(),
            pending: Vec::new(),
        };
        m.reset();
        m
    }

    fn vectors(&self) -> usize {
        usize::from(self.layout.vectors.clamp(1, 2048))
    }

    /// All vectors masked, none pending.
    pub(crate) fn reset(&mut self) {
        let n = self.vectors();
        self.table = vec![[0, 0, 0, 1]; n];
        self.pending = vec![0; n.div_ceil(64)];
    }

    pub(crate) fn enabled(&self, config: &ConfigSpace) -> bool {
        config.u16(self.at + MSIX_FLAGS) & MSIX_ENABLE != 0
    }

    fn mask_all(&self, config: &ConfigSpace) -> bool {
        config.u16(self.at + MSIX_FLAGS) & MSIX_MASK_ALL != 0
    }

    /// Vector `n` happened. Vectors that do not exist are ignored.
    pub(crate) fn notify(&mut self, config: &ConfigSpace, vector: usize) -> Option<Message> {
        let masked = self.mask_all(config) || self.table.get(vector)?[3] & 1 != 0;
        if masked {
            self.set_pending(vector, true);
            return None;
        }
        self.message(vector)
    }

    fn message(&self, vector: usize) -> Option<Message> {
        let [low, high, data, _] = *self.table.get(vector)?;
        let address = u64::from(high) << 32 | u64::from(low & !3);
        Some(Message { address, data })
    }

    fn set_pending(&mut self, vector: usize, on: bool) {
        if let Some(word) = self.pending.get_mut(vector / 64) {
            let bit = 1 << (vector % 64);
            *word = if on { *word | bit } else { *word & !bit };
        }
    }

    pub(crate) fn is_pending(&self, vector: usize) -> bool {
        self.pending
            .get(vector / 64)
            .is_some_and(|w| w >> (vector % 64) & 1 != 0)
    }

    pub(crate) fn clear_pending(&mut self, vector: usize) {
        self.set_pending(vector, false);
    }

    /// Whether software could get the vector now.
    pub(crate) fn is_masked(&self, config: &ConfigSpace, vector: usize) -> bool {
        self.mask_all(config) || self.table.get(vector).is_none_or(|e| e[3] & 1 != 0)
    }

    /// Messages that pend and may go.
    pub(crate) fn released(&mut self, config: &ConfigSpace) -> Vec<Message> {
        if !self.enabled(config) || self.mask_all(config) || self.pending.iter().all(|w| *w == 0) {
            return Vec::new();
        }
        let free: Vec<usize> = (0..self.table.len())
            .filter(|v| self.is_pending(*v) && self.table[*v][3] & 1 == 0)
            .collect();
        for v in &free {
            self.set_pending(*v, false);
        }
        free.into_iter().filter_map(|v| self.message(v)).collect()
    }

    /// Which part of the table or pending bits an offset of a BAR leads to.
    pub(crate) fn find(&self, bar: u8, offset: u64) -> Option<MsixPart> {
        let inside = |b: u8, start: u32, len: u64| {
            let at = offset.checked_sub(start.into())?;
            (b == bar && at < len).then_some(at)
        };
        let l = &self.layout;
        let table = inside(l.table_bar, l.table & !7, self.table.len() as u64 * ENTRY).map(MsixPart::Table);
        table.or_else(|| inside(l.pba_bar, l.pba & !7, self.pending.len() as u64 * 8).map(MsixPart::Pending))
    }

    pub(crate) fn read(&self, part: MsixPart, size: u8) -> u64 {
        let word = |at: u64| -> u32 {
            match part {
                MsixPart::Table(_) => self
                    .table
                    .get((at / ENTRY) as usize)
                    .map_or(0, |e| e[(at % ENTRY / 4) as usize]),
                MsixPart::Pending(_) => {
                    let w = self.pending.get((at / 8) as usize).copied().unwrap_or(0);
                    (w >> (at % 8 / 4 * 32)) as u32
                }
            }
        };
        let at = part.offset();
        let both = u64::from(word(at & !3)) | u64::from(word((at & !3) + 4)) << 32;
        let value = both >> (8 * (at & 3));
        if size >= 8 {
            value
        } else {
            value & ((1 << (8 * size)) - 1)
        }
    }

    pub(crate) fn write(&mut self, part: MsixPart, size: u8, value: u64) {
        let MsixPart::Table(at) = part else { return };
        // Software must write whole double words; narrower writes change their bytes alone.
        for i in 0..u64::from(size.min(8)) {
            let k = at + i;
            if let Some(entry) = self.table.get_mut((k / ENTRY) as usize) {
                let word = &mut entry[(k % ENTRY / 4) as usize];
                let shift = 8 * (k % 4);
                *word = *word & !(0xff << shift) | (((value >> (8 * i)) & 0xff) as u32) << shift;
            }
        }
    }

    pub(crate) fn save(&self) -> SavedMsix {
        SavedMsix {
            table: self.table.clone(),
            pending: self.pending.clone(),
        }
    }

    pub(crate) fn fits(&self, saved: &SavedMsix) -> Result<(), LoadError> {
        let ok = saved.table.len() == self.table.len() && saved.pending.len() == self.pending.len();
        ok.then_some(())
            .ok_or(LoadError::Impossible("the size of an MSI-X table"))
    }

    pub(crate) fn load(&mut self, saved: SavedMsix) {
        self.table = saved.table;
        self.pending = saved.pending;
    }
}

/// A place in the table or the pending bits, as a byte offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MsixPart {
    Table(u64),
    Pending(u64),
}

impl MsixPart {
    const fn offset(self) -> u64 {
        match self {
            Self::Table(at) | Self::Pending(at) => at,
        }
    }
}
