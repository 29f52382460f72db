//! Registers of the PL022.
//!
//! Source: Arm DDI 0194H, "PrimeCell Synchronous Serial Port (PL022) Technical Reference Manual", chapter 3.

use southbridge_core::Register;

/// Control 0: frame size and format, clock phase and polarity, serial clock rate. Section 3.3.1.
pub(crate) const CR0: u64 = 0x00;
/// Control 1. Section 3.3.2.
pub(crate) const CR1: u64 = 0x04;
/// Data. Section 3.3.3.
pub(crate) const DR: u64 = 0x08;
/// Status. Section 3.3.4.
pub(crate) const SR: u64 = 0x0c;
/// Clock prescaler, even. Section 3.3.5.
pub(crate) const CPSR: u64 = 0x10;
/// Interrupt mask, 1 lets it through. Section 3.3.6.
pub(crate) const IMSC: u64 = 0x14;
/// Raw interrupt status. Section 3.3.7.
pub(crate) const RIS: u64 = 0x18;
/// Masked interrupt status. Section 3.3.8.
pub(crate) const MIS: u64 = 0x1c;
/// Interrupt clear. Section 3.3.9.
pub(crate) const ICR: u64 = 0x20;
/// DMA control. Section 3.3.10.
pub(crate) const DMACR: u64 = 0x24;
/// First of the eight identification registers. Sections 3.3.11 and 3.3.12.
pub(crate) const PERIPH_ID0: u64 = 0xfe0;

/// The register table.
pub(crate) const TABLE: &[Register] = &[
    Register::rw(CR0, "SSPCR0"),
    Register::rw(CR1, "SSPCR1"),
    Register::rw(DR, "SSPDR"),
    Register::ro(SR, "SSPSR"),
    Register::rw(CPSR, "SSPCPSR"),
    Register::rw(IMSC, "SSPIMSC"),
    Register::ro(RIS, "SSPRIS"),
    Register::ro(MIS, "SSPMIS"),
    Register::wo(ICR, "SSPICR"),
    Register::rw(DMACR, "SSPDMACR"),
    Register::ro(PERIPH_ID0, "SSPPeriphID/SSPPCellID").times(8, 4),
];

/// Identification.
pub(crate) const ID: [u8; 8] = [0x22, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// Entries of each FIFO. Section 2.3.
pub(crate) const FIFO_DEPTH: usize = 8;
/// Half of it: the fill at which the receive and transmit interrupts change. Section 2.5.
pub(crate) const HALF: usize = 4;
/// Bit periods after which unread data times out. Section 2.5.3.
pub(crate) const TIMEOUT_BITS: u64 = 32;

bitflags::bitflags! {
    /// CR1.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Control: u32 {
        /// Loopback.
        const LBM = 1 << 0;
        /// Enable.
        const SSE = 1 << 1;
        /// Slave.
        const MS = 1 << 2;
        /// Slave output disable.
        const SOD = 1 << 3;
    }

    /// SR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Status: u32 {
        const TFE = 1 << 0;
        const TNF = 1 << 1;
        const RNE = 1 << 2;
        const RFF = 1 << 3;
        const BSY = 1 << 4;
    }

    /// IMSC, RIS, MIS and ICR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Interrupts: u32 {
        /// Receive overrun.
        const ROR = 1 << 0;
        /// Receive timeout.
        const RT = 1 << 1;
        /// Receive FIFO half full or more.
        const RX = 1 << 2;
        /// Transmit FIFO half empty or more.
        const TX = 1 << 3;
    }
}
