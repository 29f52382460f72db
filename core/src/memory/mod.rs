//! Address spaces: what an address means.
//!
//! Boards and buses map RAM, device regions, unimplemented regions and aliases at addresses with a priority; the flat view, made anew
//! on each change, has the winner for every address, so that a look-up is one search in a sorted list.

mod guard;
mod ram;
mod view;

pub use ram::{CODE_GRANULE, HostSpan, RamBlock, RamWindow};
pub use view::RamView;

use crate::device::DeviceId;

/// What an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// RAM or ROM.
    Ram {
        /// The memory.
        block: RamBlock,
        /// Where in it the mapping starts.
        offset: u64,
        /// ROM: writes have no effect and are logged.
        readonly: bool,
    },
    /// A region of a device, from `offset` in it.
    Device {
        /// The device.
        device: DeviceId,
        /// Which of its regions.
        region: usize,
        /// Where in the region the mapping starts.
        offset: u64,
    },
    /// A part of the board that is not modelled: reads as 0, and every access is logged under `-d unimp`.
    Unimplemented,
    /// Reads as 0, ignores writes, silently: memory of a device that has none behind it yet.
    Empty,
}

impl Target {
    /// Where in the memory or region it starts; `None` where that makes no difference.
    pub(crate) fn offset(&self) -> Option<u64> {
        match self {
            Self::Ram { offset, .. } | Self::Device { offset, .. } => Some(*offset),
            Self::Unimplemented | Self::Empty => None,
        }
    }

    pub(crate) fn advanced(&self, by: u64) -> Self {
        let mut t = self.clone();
        match &mut t {
            Self::Ram { offset, .. } | Self::Device { offset, .. } => *offset += by,
            Self::Unimplemented | Self::Empty => {}
        }
        t
    }
}

/// Handle of one mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MappingId(u32);

/// A mapping as it was asked for.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// The higher wins where mappings overlap; among equals the later.
    pub priority: i32,
    /// Name in `info mtree`.
    pub name: String,
    /// What is there.
    pub target: Target,
}

/// A stretch of the flat view. `last` is inclusive, so that the end of the space is expressible.
#[derive(Debug, Clone)]
pub struct FlatRange {
    /// First address.
    pub start: u64,
    /// Last address.
    pub last: u64,
    /// What is there, from `start` on.
    pub target: Target,
    /// The mapping that won.
    pub mapping: MappingId,
}

/// One address space.
#[derive(Debug, Default)]
pub struct AddressSpace {
    mappings: Vec<Option<Mapping>>,
    flat: Vec<FlatRange>,
    generation: u64,
    hint: usize,
}

impl AddressSpace {
    /// Maps something. Empty mappings and those that wrap around the end are cut.
    pub fn map(&mut self, mapping: Mapping) -> MappingId {
        self.mappings.push(Some(mapping));
        self.rebuild();
        MappingId(self.mappings.len() as u32 - 1)
    }

    /// Takes a mapping away.
    pub fn unmap(&mut self, id: MappingId) {
        if let Some(m) = self.mappings.get_mut(id.0 as usize) {
            *m = None;
            while self.mappings.last().is_some_and(Option::is_none) {
                self.mappings.pop();
            }
            self.rebuild();
        }
    }

    /// Changes what is behind a mapping.
    pub fn retarget(&mut self, id: MappingId, target: Target) {
        if let Some(Some(m)) = self.mappings.get_mut(id.0 as usize) {
            m.target = target;
            self.rebuild();
        }
    }

    /// The mapping as asked for.
    pub fn mapping(&self, id: MappingId) -> Option<&Mapping> {
        self.mappings.get(id.0 as usize)?.as_ref()
    }

    /// All mappings in the order in which they were made.
    pub fn mappings(&self) -> impl Iterator<Item = (MappingId, &Mapping)> {
        self.mappings
            .iter()
            .enumerate()
            .filter_map(|(i, m)| Some((MappingId(i as u32), m.as_ref()?)))
    }

    /// The winners, by address.
    pub fn flat(&self) -> &[FlatRange] {
        &self.flat
    }

    /// Changes whenever the meaning of any address may have changed.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What `address` leads to.
    #[inline]
    pub fn find(&mut self, address: u64) -> Option<&FlatRange> {
        let hit = |r: &FlatRange| r.start <= address && address <= r.last;
        if !self.flat.get(self.hint).is_some_and(hit) {
            let i = self.flat.partition_point(|r| r.last < address);
            if !self.flat.get(i).is_some_and(hit) {
                return None;
            }
            self.hint = i;
        }
        self.flat.get(self.hint)
    }

    /// Whether `start..start+len` is free of mappings.
    pub fn is_free(&self, start: u64, len: u64) -> bool {
        let last = start.saturating_add(len.saturating_sub(1));
        self.flat.iter().all(|r| r.last < start || r.start > last)
    }

    /// Splits the line at every edge, lets the highest mapping win each piece and joins pieces that continue each other.
    fn rebuild(&mut self) {
        self.generation += 1;
        self.hint = 0;
        let live: Vec<(usize, &Mapping, u64)> = self
            .mappings
            .iter()
            .enumerate()
            .filter_map(|(i, m)| {
                m.as_ref()
                    .filter(|m| m.len > 0)
                    .map(|m| (i, m, m.start.saturating_add(m.len - 1)))
            })
            .collect();
        let mut edges: Vec<u64> = live
            .iter()
            .flat_map(|(_, m, last)| [Some(m.start), last.checked_add(1)])
            .flatten()
            .collect();
        edges.sort_unstable();
        edges.dedup();
        let mut flat: Vec<FlatRange> = Vec::new();
        for (k, &start) in edges.iter().enumerate() {
            let covering = live.iter().filter(|(_, m, last)| m.start <= start && start <= *last);
            let Some(&(i, m, m_last)) = covering.max_by_key(|(i, m, _)| (m.priority, *i)) else {
                continue;
            };
            let last = edges.get(k + 1).map_or(m_last, |e| e - 1);
            let mapping = MappingId(i as u32);
            match flat.last_mut() {
                Some(f) if f.mapping == mapping && f.last.checked_add(1) == Some(start) => f.last = last,
                _ => flat.push(FlatRange {
                    start,
                    last,
                    target: m.target.advanced(start - m.start),
                    mapping,
                }),
            }
        }
        self.flat = flat;
    }
}

#[cfg(test)]
mod tests;
