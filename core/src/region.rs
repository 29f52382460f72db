//! Memory-mapped regions of devices, as declared data: the bus decides width, alignment, endianness and unknown registers once, from
//! here, and a device sees only whole accesses of its native width to registers that it has.

/// Byte order of a region's registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// Which way a register can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterAccess {
    /// Read and write.
    ReadWrite,
    /// A write is a guest error and has no effect.
    ReadOnly,
    /// A read is a guest error and gives 0.
    WriteOnly,
}

/// One register, or `count` of them `stride` bytes apart.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// Byte offset from the region's start.
    pub offset: u64,
    /// Name in the data sheet.
    pub name: &'static str,
    /// Use.
    pub access: RegisterAccess,
    /// How many.
    pub count: u32,
    /// Bytes from one to the next.
    pub stride: u32,
}

impl Register {
    /// A read-write register.
    pub const fn rw(offset: u64, name: &'static str) -> Self {
        Self {
            offset,
            name,
            access: RegisterAccess::ReadWrite,
            count: 1,
            stride: 4,
        }
    }

    /// A read-only register.
    pub const fn ro(offset: u64, name: &'static str) -> Self {
        Self {
            offset,
            name,
            access: RegisterAccess::ReadOnly,
            count: 1,
            stride: 4,
        }
    }

    /// A write-only register.
    pub const fn wo(offset: u64, name: &'static str) -> Self {
        Self {
            offset,
            name,
            access: RegisterAccess::WriteOnly,
            count: 1,
            stride: 4,
        }
    }

    /// The same, `count` times, `stride` bytes apart.
    #[must_use]
    pub const fn times(mut self, count: u32, stride: u32) -> Self {
        self.count = count;
        self.stride = stride;
        self
    }
}

/// What is behind a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// Registers: accesses go to the device's [`crate::Mmio`] role.
    Mmio,
    /// Memory that the device provides, perhaps later and perhaps several times (`Ctx::back_region`). Reads as 0 until then.
    Ram,
}

/// A window of a device into an address space.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// Name in `info mtree` and in address properties.
    pub name: &'static str,
    /// Registers or memory.
    pub kind: RegionKind,
    /// Bytes. `create` may choose another size (`Build::region_size`).
    pub size: u64,
    /// Widths in bytes (1, 2, 4 or 8) that the bus lets through, least and most. Others are bus errors.
    pub valid: (u8, u8),
    /// Widths in bytes that the device implements. The bus widens, narrows and splits to these.
    pub native: (u8, u8),
    /// Byte order.
    pub endian: Endian,
    /// The register table. If empty, the device decodes offsets itself; otherwise the device is never called for an offset that is not
    /// in the table or for a direction that the register does not have.
    pub registers: &'static [Register],
}

impl Region {
    /// Registers of 32 bits, reached by 1-, 2- and 4-byte accesses, little-endian: what most devices of microcontrollers are.
    pub const fn mmio32(name: &'static str, size: u64, registers: &'static [Register]) -> Self {
        Self {
            name,
            kind: RegionKind::Mmio,
            size,
            valid: (1, 4),
            native: (4, 4),
            endian: Endian::Little,
            registers,
        }
    }

    /// Memory.
    pub const fn ram(name: &'static str, size: u64) -> Self {
        Self {
            name,
            kind: RegionKind::Ram,
            size,
            valid: (1, 8),
            native: (1, 8),
            endian: Endian::Little,
            registers: &[],
        }
    }
}

/// One access as a device sees it: of a native width, aligned to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Which of the type's regions.
    pub region: usize,
    /// Byte offset in it.
    pub offset: u64,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Which bytes of the native access the bus access really covered, one bit each from the lowest address; a device whose
    /// registers have side effects per byte may look, others need not.
    pub lanes: u8,
}

/// Finds a register by offset without a search: one byte for each word of the region.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegisterIndex {
    by_slot: Vec<u8>,
    shift: u32,
}

impl RegisterIndex {
    pub(crate) fn of(region: &Region) -> Self {
        let shift = u32::from(region.native.0.max(1)).trailing_zeros();
        let mut by_slot = Vec::new();
        for (i, r) in region.registers.iter().enumerate() {
            for k in 0..u64::from(r.count) {
                let slot = ((r.offset + k * u64::from(r.stride)) >> shift) as usize;
                if slot >= by_slot.len() {
                    by_slot.resize(slot + 1, 0);
                }
                by_slot[slot] = (i + 1) as u8;
            }
        }
        Self { by_slot, shift }
    }

    /// `None`: no table, anything goes.
    #[inline]
    pub(crate) fn find<'r>(&self, region: &'r Region, offset: u64) -> Option<Option<&'r Register>> {
        if region.registers.is_empty() {
            return None;
        }
        let i = self.by_slot.get((offset >> self.shift) as usize).copied().unwrap_or(0);
        Some(usize::from(i).checked_sub(1).and_then(|i| region.registers.get(i)))
    }
}
