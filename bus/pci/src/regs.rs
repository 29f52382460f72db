//! Offsets and bits of configuration space.
//!
//! Sources: PCI Local Bus Specification 3.0 chapter 6 (headers, MSI, MSI-X), PCI-to-PCI Bridge Architecture 1.2 chapter 3 (type 1
//! headers), PCI Bus Power Management Interface 1.2 chapter 3, PCI Express Base Specification 6.0 chapter 7.

/// Bytes of a conventional configuration space.
pub const CONVENTIONAL_LEN: usize = 256;
/// Bytes of a PCI Express configuration space.
pub const EXPRESS_LEN: usize = 4096;

/// Vendor identification, 16 bits.
pub const VENDOR_ID: u16 = 0x00;
/// Device identification, 16 bits.
pub const DEVICE_ID: u16 = 0x02;
/// Command register, 16 bits.
pub const COMMAND: u16 = 0x04;
/// Status register, 16 bits.
pub const STATUS: u16 = 0x06;
/// Revision, 8 bits.
pub const REVISION: u16 = 0x08;
/// Programming interface, 8 bits; sub-class and base class follow.
pub const CLASS_PROG: u16 = 0x09;
/// Sub-class (low byte) and base class (high byte).
pub const CLASS: u16 = 0x0a;
/// Cache line size, 8 bits.
pub const CACHE_LINE: u16 = 0x0c;
/// Latency timer, 8 bits.
pub const LATENCY: u16 = 0x0d;
/// Header type; bit 7 says that there are more functions.
pub const HEADER_TYPE: u16 = 0x0e;
/// First base address register.
pub const BAR0: u16 = 0x10;
/// Subsystem vendor, type 0 headers.
pub const SUBSYSTEM_VENDOR: u16 = 0x2c;
/// Subsystem, type 0 headers.
pub const SUBSYSTEM: u16 = 0x2e;
/// Expansion ROM base address, type 0 headers.
pub const ROM: u16 = 0x30;
/// Offset of the first capability.
pub const CAPABILITIES: u16 = 0x34;
/// Interrupt line, 8 bits, software's own.
pub const INTERRUPT_LINE: u16 = 0x3c;
/// Interrupt pin: 0 none, 1 to 4 for A to D.
pub const INTERRUPT_PIN: u16 = 0x3d;

/// Type 1 headers: bus on the upper side.
pub const PRIMARY_BUS: u16 = 0x18;
/// Type 1: bus on the lower side.
pub const SECONDARY_BUS: u16 = 0x19;
/// Type 1: highest bus below.
pub const SUBORDINATE_BUS: u16 = 0x1a;
/// Type 1: I/O window, base; limit follows.
pub const IO_BASE: u16 = 0x1c;
/// Type 1: I/O window, limit.
pub const IO_LIMIT: u16 = 0x1d;
/// Type 1: status of the lower side.
pub const SECONDARY_STATUS: u16 = 0x1e;
/// Type 1: memory window, base.
pub const MEMORY_BASE: u16 = 0x20;
/// Type 1: memory window, limit.
pub const MEMORY_LIMIT: u16 = 0x22;
/// Type 1: prefetchable window, base.
pub const PREF_BASE: u16 = 0x24;
/// Type 1: prefetchable window, limit.
pub const PREF_LIMIT: u16 = 0x26;
/// Type 1: bits 63:32 of the prefetchable base.
pub const PREF_BASE_HIGH: u16 = 0x28;
/// Type 1: bits 63:32 of the prefetchable limit.
pub const PREF_LIMIT_HIGH: u16 = 0x2c;
/// Type 1: bits 31:16 of the I/O base.
pub const IO_BASE_HIGH: u16 = 0x30;
/// Type 1: bits 31:16 of the I/O limit.
pub const IO_LIMIT_HIGH: u16 = 0x32;
/// Type 1: expansion ROM base address.
pub const BRIDGE_ROM: u16 = 0x38;
/// Type 1: bridge control.
pub const BRIDGE_CONTROL: u16 = 0x3e;

bitflags::bitflags! {
    /// The command register.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Command: u16 {
        /// I/O BARs answer.
        const IO = 1;
        /// Memory BARs answer.
        const MEMORY = 2;
        /// The function may do DMA and send messages.
        const BUS_MASTER = 4;
        /// Reports parity errors.
        const PARITY = 1 << 6;
        /// Reports system errors.
        const SERR = 1 << 8;
        /// Keeps INTx low.
        const INTX_DISABLE = 1 << 10;
    }
}

/// Command bits that software may change in every function.
pub const COMMAND_WRITABLE: u16 = 0x0547;
/// Status: INTx would be asserted.
pub const STATUS_INTX: u16 = 1 << 3;
/// Status: there is a capability list.
pub const STATUS_CAPABILITIES: u16 = 1 << 4;
/// Status bits that a 1 clears.
pub const STATUS_W1C: u16 = 0xf900;
/// Header type: more functions.
pub const MULTI_FUNCTION: u8 = 0x80;
/// BAR bit 0: I/O.
pub const BAR_IO: u32 = 1;
/// BAR bits 2:1: 64 bits wide.
pub const BAR_64: u32 = 4;
/// BAR bit 3: prefetchable.
pub const BAR_PREFETCH: u32 = 8;
/// ROM enable.
pub const ROM_ENABLE: u32 = 1;
/// Bridge control: reset of everything below.
pub const BRIDGE_RESET: u16 = 1 << 6;

/// Red Hat's vendor id, under which QEMU's own functions are.
pub const VENDOR_REDHAT: u16 = 0x1b36;
/// The subsystem vendor of devices of virtual machines.
pub const VENDOR_QUMRANET: u16 = 0x1af4;
/// Their subsystem.
pub const SUBSYSTEM_QEMU: u16 = 0x1100;

/// Capability ids (PCI Code and ID Assignment Specification 1.16, chapter 2).
pub mod cap {
    /// Power management.
    pub const PM: u8 = 0x01;
    /// Slot identification.
    pub const SLOT_ID: u8 = 0x04;
    /// MSI.
    pub const MSI: u8 = 0x05;
    /// Vendor specific.
    pub const VENDOR: u8 = 0x09;
    /// Standard hot-plug controller.
    pub const SHPC: u8 = 0x0c;
    /// Subsystem ids of a bridge.
    pub const SSVID: u8 = 0x0d;
    /// PCI Express.
    pub const EXPRESS: u8 = 0x10;
    /// MSI-X.
    pub const MSIX: u8 = 0x11;
}

/// Extended capability ids (PCI Code and ID Assignment Specification 1.16, chapter 3).
pub mod ext {
    /// Advanced error reporting.
    pub const AER: u16 = 0x01;
    /// Device serial number.
    pub const SERIAL: u16 = 0x03;
    /// Access control services.
    pub const ACS: u16 = 0x0d;
    /// Alternative routing-id interpretation.
    pub const ARI: u16 = 0x0e;
    /// Address translation services.
    pub const ATS: u16 = 0x0f;
    /// Single-root I/O virtualization.
    pub const SRIOV: u16 = 0x10;
    /// Data object exchange.
    pub const DOE: u16 = 0x2e;
}
