//! What the chips say about themselves: the CFI query table (JEDEC JESD68.01, Intel's primary command set in JEP137), and how the
//! answers of chips side by side make up one word.

/// Chips and how they are wired up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bank {
    /// Bytes of the bus.
    pub(crate) width: u32,
    /// Bytes of the bus that one chip drives.
    pub(crate) device_width: u32,
    /// Bytes that a chip could drive.
    pub(crate) max_device_width: u32,
    pub(crate) blocks: u32,
    pub(crate) sector: u64,
    /// Chips count as one behind the other instead of side by side.
    pub(crate) old_multiple_chips: bool,
    /// Manufacturer and device.
    pub(crate) ids: [u16; 2],
}

/// Bytes of the query table.
const TABLE: usize = 0x52;
/// log2 of the write buffer's bytes in one chip.
const BUFFER_BYTE: u8 = 8;
const BUFFER_WIDE: u8 = 11;

impl Bank {
    pub(crate) fn size(&self) -> u64 {
        u64::from(self.blocks) * self.sector
    }

    fn chips(&self) -> u32 {
        (self.width / self.device_width).max(1)
    }

    fn buffer_log2(&self) -> u8 {
        if self.width == 1 { BUFFER_BYTE } else { BUFFER_WIDE }
    }

    /// Bytes of the write buffers of all chips.
    pub(crate) fn buffer(&self) -> usize {
        let one = 1 << self.buffer_log2();
        if self.old_multiple_chips {
            one
        } else {
            one * self.chips() as usize
        }
    }

    /// Sectors and bytes of a sector in one chip.
    fn geometry(&self) -> (u32, u64) {
        match self.old_multiple_chips {
            true => (self.blocks / self.chips(), self.sector),
            false => (self.blocks, self.sector / u64::from(self.chips())),
        }
    }

    fn table(&self) -> [u8; TABLE] {
        let mut t = [0; TABLE];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(to) = t.get_mut(at..at + bytes.len()) {
                to.copy_from_slice(bytes);
            }
        };
        let (blocks, sector) = self.geometry();
        let size = (u64::from(blocks) * sector).max(1).ilog2() as u8;
        put(0x10, b"QRY");
        // Intel's command set; its extended table stands at 0x31; no alternative.
        put(0x13, &[1, 0, 0x31, 0]);
        // 4.5 V to 5.5 V, no Vpp pin.
        put(0x1b, &[0x45, 0x55]);
        // Typical and greatest times, as powers of two: word, buffer, block, chip.
        put(0x1f, &[7, 7, 10, 0, 4, 4, 4, 0]);
        // Size, x8/x16 interface, write buffer.
        put(0x27, &[size, 2, 0, self.buffer_log2(), 0]);
        // One region of equal blocks: their number less one, their size in 256 bytes.
        let [b0, b1, ..] = blocks.wrapping_sub(1).to_le_bytes();
        let [_, s1, s2, ..] = sector.to_le_bytes();
        put(0x2c, &[1, b0, b1, s1, s2]);
        put(0x31, b"PRI10");
        put(0x3f, &[1]);
        t
    }

    /// A chip's register number at an offset of the bank.
    fn index(&self, offset: u64) -> u64 {
        let log2 = |n: u32| n.max(1).trailing_zeros();
        offset >> (log2(self.width) + log2(self.max_device_width) - log2(self.device_width))
    }

    /// The same answer of every chip.
    fn side_by_side(&self, one: u32) -> u32 {
        let bits = 8 * self.device_width.min(4);
        let one = u64::from(one) & ((1 << bits) - 1);
        let all = (0..self.chips().min(4)).fold(0u64, |w, i| w | one << (i * bits).min(63));
        all as u32
    }

    /// A word of the query table.
    pub(crate) fn query(&self, offset: u64) -> u32 {
        let Some(byte) = usize::try_from(self.index(offset))
            .ok()
            .and_then(|i| self.table().get(i).copied())
        else {
            return 0;
        };
        let mut one = u32::from(byte);
        // A wider chip with few wires repeats what it would pad.
        if self.device_width == 1 {
            for i in 1..self.max_device_width.min(4) {
                one |= u32::from(byte) << (8 * i);
            }
        }
        self.side_by_side(one)
    }

    /// A word of the identification.
    pub(crate) fn identification(&self, offset: u64) -> u32 {
        let id = self.ids.get((self.index(offset) & 0xff) as usize);
        id.map_or(0, |id| self.side_by_side((*id).into()))
    }

    /// A read of `size` bytes, which may be wider than the bank.
    pub(crate) fn wide(&self, offset: u64, size: u8, word: impl Fn(&Self, u64) -> u32) -> u32 {
        let width = self.width.min(4);
        let mut value = 0u64;
        for i in (0..u32::from(size.min(4))).step_by(width as usize) {
            // As QEMU has it: each word of a wide read is the next register.
            let at = offset + u64::from(i) * u64::from(width);
            value |= u64::from(word(self, at)) << (8 * i);
        }
        value as u32
    }

    /// The status register of every chip that a read of `size` bytes reaches.
    pub(crate) fn status(&self, status: u8, size: u8) -> u32 {
        let step = 8 * self.device_width.min(4);
        let end = 8 * u32::from(size.min(4));
        let mut value = u32::from(status);
        let mut shift = step;
        while shift + step <= end {
            value |= u32::from(status) << shift;
            shift += step;
        }
        value
    }
}
