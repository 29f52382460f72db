//! Base address registers: what windows a function wants, of what kind and size.

use serde::{Deserialize, Serialize};

use crate::regs::{BAR_64, BAR_IO, BAR_PREFETCH};

/// The space in which a BAR asks for addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory32 {
        /// Reads have no side effects.
        prefetch: bool,
    },
    /// Memory anywhere; takes two registers.
    Memory64 {
        /// Reads have no side effects.
        prefetch: bool,
    },
}

impl BarKind {
    /// Bits of the register that tell the kind.
    pub const fn type_bits(self) -> u32 {
        match self {
            Self::Io => BAR_IO,
            Self::Memory32 { prefetch } => prefetch as u32 * BAR_PREFETCH,
            Self::Memory64 { prefetch } => BAR_64 | (prefetch as u32 * BAR_PREFETCH),
        }
    }

    /// Whether it asks for I/O ports.
    pub const fn is_io(self) -> bool {
        matches!(self, Self::Io)
    }

    /// Whether it is prefetchable.
    pub const fn is_prefetchable(self) -> bool {
        matches!(
            self,
            Self::Memory32 { prefetch: true } | Self::Memory64 { prefetch: true }
        )
    }

    /// Whether it takes two registers.
    pub const fn is_64(self) -> bool {
        matches!(self, Self::Memory64 { .. })
    }

    /// The least size that a BAR of the kind can have.
    const fn least(self) -> u64 {
        if self.is_io() { 4 } else { 16 }
    }
}

/// A BAR, and the region of the device type that stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Kind.
    pub kind: BarKind,
    /// Bytes, a power of two.
    pub size: u64,
    /// Number of the region in the device type.
    pub region: usize,
}

impl Bar {
    /// A BAR for a region of `size` bytes, rounded up to what a BAR can express.
    pub const fn new(kind: BarKind, region: usize, size: u64) -> Self {
        let size = if size < kind.least() { kind.least() } else { size };
        // What is larger than half the address space is no region of ours.
        let size = match size.checked_next_power_of_two() {
            Some(n) => n,
            None => 1 << 63,
        };
        Self { kind, size, region }
    }

    /// I/O ports.
    pub const fn io(region: usize, size: u64) -> Self {
        Self::new(BarKind::Io, region, size)
    }

    /// Memory below 4 GiB, not prefetchable.
    pub const fn mem32(region: usize, size: u64) -> Self {
        Self::new(BarKind::Memory32 { prefetch: false }, region, size)
    }

    /// Memory anywhere, not prefetchable.
    pub const fn mem64(region: usize, size: u64) -> Self {
        Self::new(BarKind::Memory64 { prefetch: false }, region, size)
    }

    /// Memory anywhere, prefetchable.
    pub const fn mem64_prefetch(region: usize, size: u64) -> Self {
        Self::new(BarKind::Memory64 { prefetch: true }, region, size)
    }

    /// The address that a register value (both halves) asks for; `None` where no such window can be.
    pub const fn address(&self, value: u64) -> Option<u64> {
        let start = value & !(self.size - 1);
        let Some(last) = start.checked_add(self.size - 1) else {
            return None;
        };
        let beyond = match self.kind {
            BarKind::Io | BarKind::Memory32 { .. } => last >= u32::MAX as u64,
            BarKind::Memory64 { .. } => last == u64::MAX,
        };
        if start == 0 || beyond { None } else { Some(start) }
    }
}
