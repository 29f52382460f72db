//! Where things stand on `virt`: addresses, sizes and interrupt numbers, those of QEMU 10's machine of that name.

/// A stretch of the address space: first address, bytes.
pub(crate) type Span = (u64, u64);

/// ROM with the first instructions.
pub(crate) const MROM: Span = (0x1000, 0xf000);
pub(crate) const TEST: Span = (0x10_0000, 0x1000);
pub(crate) const RTC: Span = (0x10_1000, 0x1000);
/// Machine-mode software interrupts and timer; with `aclint` they are told apart.
pub(crate) const CLINT: Span = (0x200_0000, 0x1_0000);
/// Bytes of a block of software interrupts.
pub(crate) const SWI_SIZE: u64 = 0x4000;
pub(crate) const MTIMER_SIZE: u64 = 0x8000;
/// Offset of `mtime` in a timer; the comparators stand before it.
pub(crate) const MTIME: u64 = 0x7ff8;
pub(crate) const SSWI: Span = (0x2f0_0000, 0x4000);
pub(crate) const PCIE_PIO: Span = (0x300_0000, 0x1_0000);
pub(crate) const PLATFORM_BUS: Span = (0x400_0000, 0x200_0000);
pub(crate) const PLIC: Span = (0xc00_0000, 0x60_0000);
pub(crate) const APLIC_M: Span = (0xc00_0000, 0x8000);
pub(crate) const APLIC_S: Span = (0xd00_0000, 0x8000);
pub(crate) const UART0: Span = (0x1000_0000, 0x100);
pub(crate) const VIRTIO: Span = (0x1000_1000, 0x1000);
pub(crate) const FW_CFG: Span = (0x1010_0000, 0x18);
/// One of the two banks.
pub(crate) const FLASH: Span = (0x2000_0000, 0x200_0000);
/// Bytes of an erase block.
pub(crate) const FLASH_SECTOR: u64 = 256 << 10;
pub(crate) const IMSIC_M: u64 = 0x2400_0000;
pub(crate) const IMSIC_S: u64 = 0x2800_0000;
/// Bytes of an interrupt file.
pub(crate) const IMSIC_PAGE: u64 = 0x1000;
pub(crate) const PCIE_ECAM: Span = (0x3000_0000, 0x1000_0000);
pub(crate) const PCIE_MMIO: Span = (0x4000_0000, 0x4000_0000);
pub(crate) const PCIE_HIGH_SIZE: u64 = 16 << 30;
pub(crate) const DRAM: u64 = 0x8000_0000;

/// Interrupt sources, with source 0, which does not exist.
pub(crate) const SOURCES: u16 = 96;
/// Message identities of a hart's interrupt file.
pub(crate) const MESSAGES: u32 = 255;
pub(crate) const VIRTIO_IRQ: u16 = 1;
pub(crate) const UART0_IRQ: u16 = 10;
pub(crate) const RTC_IRQ: u16 = 11;
/// First of four.
pub(crate) const PCIE_IRQ: u16 = 32;

/// The window for 64-bit BARs: behind the memory, on a boundary of its own size.
pub(crate) const fn pcie_high(ram: u64) -> Span {
    ((DRAM + ram).next_multiple_of(PCIE_HIGH_SIZE), PCIE_HIGH_SIZE)
}

/// Bits that tell `count` things apart.
pub(crate) const fn index_bits(count: u64) -> u32 {
    count.next_power_of_two().trailing_zeros()
}
