//! Facts of QEMU's firmware configuration device (docs/specs/fw_cfg in QEMU's manual).
#![allow(missing_docs, reason = "the names are the specification's")]

use bitflags::bitflags;

/// Selectors with a fixed meaning. Numbers in the items are little-endian.
pub mod key {
    pub const SIGNATURE: u16 = 0x00;
    pub const ID: u16 = 0x01;
    pub const UUID: u16 = 0x02;
    pub const RAM_SIZE: u16 = 0x03;
    pub const NOGRAPHIC: u16 = 0x04;
    pub const NB_CPUS: u16 = 0x05;
    pub const MACHINE_ID: u16 = 0x06;
    pub const KERNEL_ADDR: u16 = 0x07;
    pub const KERNEL_SIZE: u16 = 0x08;
    pub const KERNEL_CMDLINE: u16 = 0x09;
    pub const INITRD_ADDR: u16 = 0x0a;
    pub const INITRD_SIZE: u16 = 0x0b;
    pub const BOOT_DEVICE: u16 = 0x0c;
    pub const NUMA: u16 = 0x0d;
    pub const BOOT_MENU: u16 = 0x0e;
    pub const MAX_CPUS: u16 = 0x0f;
    pub const KERNEL_ENTRY: u16 = 0x10;
    pub const KERNEL_DATA: u16 = 0x11;
    pub const INITRD_DATA: u16 = 0x12;
    pub const CMDLINE_ADDR: u16 = 0x13;
    pub const CMDLINE_SIZE: u16 = 0x14;
    pub const CMDLINE_DATA: u16 = 0x15;
    pub const SETUP_ADDR: u16 = 0x16;
    pub const SETUP_SIZE: u16 = 0x17;
    pub const SETUP_DATA: u16 = 0x18;
    pub const FILE_DIR: u16 = 0x19;
    /// Of the first named file; the rest follow, by name.
    pub const FILE_FIRST: u16 = 0x20;
    /// Items of one architecture only.
    pub const ARCH_LOCAL: u16 = 0x8000;
    /// Once the way to write; means nothing.
    pub const WRITE_CHANNEL: u16 = 0x4000;
}

pub(crate) const SIGNATURE: &[u8; 4] = b"QEMU";
/// What the DMA register reads as, big-endian.
pub(crate) const DMA_SIGNATURE: u64 = u64::from_be_bytes(*b"QEMU CFG");

bitflags! {
    /// The item ID.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Features: u32 {
        const TRADITIONAL = 1;
        const DMA = 2;
    }

    /// Control of a DMA request; all bits clear but an error when it is done.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Control: u32 {
        const ERROR = 1;
        const READ = 2;
        const SKIP = 4;
        const SELECT = 8;
        const WRITE = 16;
    }
}

/// Bytes of an entry of the directory: size, selector, reserved, name.
pub(crate) const FILE_ENTRY: usize = 64;
/// Bytes of a name with the zero at its end.
pub(crate) const FILE_NAME: usize = 56;
/// Least number of files.
pub(crate) const SLOTS_MIN: u64 = 0x10;
/// Bytes of a DMA request: control, length, address, all big-endian.
pub(crate) const REQUEST: usize = 16;
