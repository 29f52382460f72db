//! Capabilities of extended configuration space (PCI Express Base 6.0, sections 7.7 to 7.9; SR-IOV 1.1 chapter 3).

use super::ExtendedCapability;
use crate::config::ConfigSpace;
use crate::regs::ext;

/// Offsets in advanced error reporting.
pub mod aer {
    /// Uncorrectable error status.
    pub const UNCORRECTABLE_STATUS: u16 = 0x04;
    /// Uncorrectable error mask.
    pub const UNCORRECTABLE_MASK: u16 = 0x08;
    /// Uncorrectable error severity.
    pub const UNCORRECTABLE_SEVERITY: u16 = 0x0c;
    /// Correctable error status.
    pub const CORRECTABLE_STATUS: u16 = 0x10;
    /// Correctable error mask.
    pub const CORRECTABLE_MASK: u16 = 0x14;
    /// Capabilities and control.
    pub const CONTROL: u16 = 0x18;
    /// Header of the transaction that had the first error, 16 bytes.
    pub const HEADER_LOG: u16 = 0x1c;
    /// Root ports: which errors interrupt.
    pub const ROOT_COMMAND: u16 = 0x2c;
    /// Root ports: which errors came.
    pub const ROOT_STATUS: u16 = 0x30;
    /// Root ports: who sent the first correctable error, and the first other.
    pub const ROOT_SOURCE: u16 = 0x34;
    /// Prefix of that transaction, 16 bytes.
    pub const PREFIX_LOG: u16 = 0x38;
    /// Uncorrectable errors that the model knows.
    pub const UNCORRECTABLE: u32 = 0x03ff_f030;
    /// Correctable errors that the model knows.
    pub const CORRECTABLE: u32 = 0x0000_f1c1;
}

/// Advanced error reporting (7.8.4).
#[derive(Debug, Clone, Copy)]
pub struct Aer {
    /// A root port, which collects the messages of others.
    pub root: bool,
    /// Keeps several headers.
    pub multi_header: bool,
    /// Masks uncorrectable internal errors at power-on.
    pub mask_internal: bool,
}

impl ExtendedCapability for Aer {
    const ID: u16 = ext::AER;
    const VERSION: u8 = 2;

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        let sticky = |config: &mut ConfigSpace, offset: u16, value: u32, writable: u32, clears: u32| {
            config.declare(at + offset, 4, value, writable, clears);
            config.declare_sticky(at + offset, 4, writable | clears);
        };
        let internal = if self.mask_internal { 1 << 22 } else { 0 };
        sticky(config, aer::UNCORRECTABLE_STATUS, 0, 0, aer::UNCORRECTABLE);
        sticky(
            config,
            aer::UNCORRECTABLE_MASK,
            internal | AER_MASKED,
            aer::UNCORRECTABLE,
            0,
        );
        sticky(config, aer::UNCORRECTABLE_SEVERITY, AER_FATAL, aer::UNCORRECTABLE, 0);
        sticky(config, aer::CORRECTABLE_STATUS, 0, 0, aer::CORRECTABLE);
        sticky(config, aer::CORRECTABLE_MASK, 0xe000, aer::CORRECTABLE, 0);
        // ECRC generation and checking exist, several headers and prefixes perhaps.
        let fixed = 0xa0 | u32::from(self.multi_header) << 9;
        let enable = 0x140 | u32::from(self.multi_header) << 10;
        sticky(config, aer::CONTROL, fixed, enable, 0);
        // First error pointer, and whether its prefix is there; the log.
        config.declare_sticky(at + aer::CONTROL, 4, u32::MAX);
        for word in 0..4 {
            config.declare_sticky(at + aer::HEADER_LOG + 4 * word, 4, u32::MAX);
            config.declare_sticky(at + aer::PREFIX_LOG + 4 * word, 4, u32::MAX);
        }
        if self.root {
            config.declare(at + aer::ROOT_COMMAND, 4, 0, 7, 0);
            sticky(config, aer::ROOT_STATUS, 0, 0, 0x7f);
            config.declare_sticky(at + aer::ROOT_SOURCE, 4, u32::MAX);
        }
    }
}

/// Errors that are masked, and those that are fatal, at power-on.
const AER_MASKED: u32 = 0x0200_0000;
const AER_FATAL: u32 = 0x0046_2030;

/// Device serial number (7.9.3).
#[derive(Debug, Clone, Copy)]
pub struct SerialNumber(pub u64);

impl ExtendedCapability for SerialNumber {
    const ID: u16 = ext::SERIAL;
    const VERSION: u8 = 1;

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        config.declare(at + 4, 4, self.0 as u32, 0, 0);
        config.declare(at + 8, 4, (self.0 >> 32) as u32, 0, 0);
    }
}

/// Access control services of a downstream port (7.7.11): which peer-to-peer traffic goes up.
#[derive(Debug, Clone, Copy)]
pub struct Acs {
    /// Services that the port has; a downstream port has 0x5f.
    pub services: u8,
}

impl ExtendedCapability for Acs {
    const ID: u16 = ext::ACS;
    const VERSION: u8 = 1;

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        config.declare(at + 4, 2, self.services.into(), 0, 0);
        config.declare(at + 6, 2, 0, self.services.into(), 0);
    }
}

/// Alternative routing-id interpretation (7.8.8): 256 functions and no slot numbers.
#[derive(Debug, Clone, Copy)]
pub struct Ari {
    /// The next function of the device; 0 ends the chain.
    pub next_function: u8,
}

impl ExtendedCapability for Ari {
    const ID: u16 = ext::ARI;
    const VERSION: u8 = 1;

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        config.declare(at + 4, 2, u32::from(self.next_function) << 8, 0, 0);
        config.declare(at + 6, 2, 0, 0, 0);
    }
}

/// Address translation services (10.5.1).
#[derive(Debug, Clone, Copy)]
pub struct Ats {
    /// Untranslated addresses are page-aligned.
    pub page_aligned: bool,
}

impl ExtendedCapability for Ats {
    const ID: u16 = ext::ATS;
    const VERSION: u8 = 1;

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        config.declare(at + 4, 2, u32::from(self.page_aligned) << 5, 0, 0);
        // Smallest translation unit, and the enable bit.
        config.declare(at + 6, 2, 0, 0x801f, 0);
    }
}

/// Data object exchange (7.9.24): the layout of the mailbox's registers; see [`crate::doe`] for the mailbox.
#[derive(Debug, Clone, Copy, Default)]
pub struct DataObjectExchange {
    /// MSI or MSI-X vector that tells of an answer, if any.
    pub vector: Option<u16>,
}

impl ExtendedCapability for DataObjectExchange {
    const ID: u16 = ext::DOE;
    const VERSION: u8 = 1;

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        let interrupt = self.vector.map_or(0, |v| 1 | u32::from(v & 0x7ff) << 1);
        config.declare(at + 4, 4, interrupt, 0, 0);
        for register in [8, 12, 16, 20] {
            config.declare(at + register, 4, 0, 0, 0);
        }
    }
}

/// Offsets and bits of single-root I/O virtualization.
pub mod sriov {
    /// Control.
    pub const CONTROL: u16 = 0x08;
    /// Number of functions to switch on.
    pub const COUNT: u16 = 0x10;
    /// System page size.
    pub const PAGE_SIZE: u16 = 0x20;
    /// BARs of virtual functions.
    pub const BARS: u16 = 0x24;
    /// Bytes of the capability.
    pub const LEN: u16 = 0x40;
    /// Control: virtual functions exist.
    pub const ENABLE: u16 = 1;
    /// Control: their memory BARs answer.
    pub const MEMORY: u16 = 1 << 3;
    /// Control: the ports above route by ARI.
    pub const ARI: u16 = 1 << 4;
    /// Page sizes that every device has: 4, 8, 64 and 256 KiB, 1 and 4 MiB.
    pub const PAGE_SIZES: u32 = 0x553;
}

/// Single-root I/O virtualization (SR-IOV 1.1, section 3.3): the layout of its registers; see [`crate::sriov`] for what they do.
#[derive(Debug, Clone, Copy)]
pub struct Sriov {
    /// Device id of virtual functions.
    pub device: u16,
    /// How many there can be.
    pub total: u16,
    /// Routing-id distance from the physical function to the first.
    pub offset: u16,
    /// And from one to the next.
    pub stride: u16,
}

impl ExtendedCapability for Sriov {
    const ID: u16 = ext::SRIOV;
    const VERSION: u8 = 1;

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        let control = sriov::ENABLE | sriov::MEMORY | sriov::ARI;
        config.declare(at + sriov::CONTROL, 2, 0, control.into(), 0);
        config.declare(at + 0x0c, 2, self.total.into(), 0, 0);
        config.declare(at + 0x0e, 2, self.total.into(), 0, 0);
        config.declare(at + sriov::COUNT, 2, 0, 0xffff, 0);
        config.declare(at + 0x14, 2, self.offset.into(), 0, 0);
        config.declare(at + 0x16, 2, self.stride.into(), 0, 0);
        config.declare(at + 0x1a, 2, self.device.into(), 0, 0);
        config.declare(at + 0x1c, 4, sriov::PAGE_SIZES, 0, 0);
        config.declare(at + sriov::PAGE_SIZE, 4, 1, sriov::PAGE_SIZES, 0);
    }
}
