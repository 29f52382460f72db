//! Registers of the PL011.
//!
//! Source: Arm DDI 0183G, "PrimeCell UART (PL011) Technical Reference Manual", chapter 3. The identification of the Luminary variant:
//! LM3S6965 data sheet, chapter 12 (UART), registers UARTPeriphID0 to UARTPCellID3.

use southbridge_core::Register;

/// Data; section 3.3.1.
pub(crate) const DR: u64 = 0x000;
/// Receive status (read), error clear (write); section 3.3.2.
pub(crate) const RSR: u64 = 0x004;
/// Flags; section 3.3.3.
pub(crate) const FR: u64 = 0x018;
/// IrDA low-power counter; section 3.3.4.
pub(crate) const ILPR: u64 = 0x020;
/// Integer part of the baud rate divisor; section 3.3.5.
pub(crate) const IBRD: u64 = 0x024;
/// Fractional part of the baud rate divisor, in 64ths; section 3.3.6.
pub(crate) const FBRD: u64 = 0x028;
/// Line control; section 3.3.7.
pub(crate) const LCR_H: u64 = 0x02c;
/// Control; section 3.3.8.
pub(crate) const CR: u64 = 0x030;
/// Interrupt FIFO level select; section 3.3.9.
pub(crate) const IFLS: u64 = 0x034;
/// Interrupt mask; section 3.3.10.
pub(crate) const IMSC: u64 = 0x038;
/// Raw interrupt status; section 3.3.11.
pub(crate) const RIS: u64 = 0x03c;
/// Masked interrupt status; section 3.3.12.
pub(crate) const MIS: u64 = 0x040;
/// Interrupt clear; section 3.3.13.
pub(crate) const ICR: u64 = 0x044;
/// DMA control; section 3.3.14.
pub(crate) const DMACR: u64 = 0x048;
/// First of the eight identification registers; sections 3.3.15 and 3.3.16.
pub(crate) const PERIPH_ID0: u64 = 0xfe0;

/// The register table.
pub(crate) const TABLE: &[Register] = &[
    Register::rw(DR, "UARTDR"),
    Register::rw(RSR, "UARTRSR/UARTECR"),
    Register::ro(FR, "UARTFR"),
    Register::rw(ILPR, "UARTILPR"),
    Register::rw(IBRD, "UARTIBRD"),
    Register::rw(FBRD, "UARTFBRD"),
    Register::rw(LCR_H, "UARTLCR_H"),
    Register::rw(CR, "UARTCR"),
    Register::rw(IFLS, "UARTIFLS"),
    Register::rw(IMSC, "UARTIMSC"),
    Register::ro(RIS, "UARTRIS"),
    Register::ro(MIS, "UARTMIS"),
    Register::wo(ICR, "UARTICR"),
    Register::rw(DMACR, "UARTDMACR"),
    Register::ro(PERIPH_ID0, "UARTPeriphID/UARTPCellID").times(8, 4),
];

/// Identification of Arm's part, revision r1p3.
pub(crate) const ID_ARM: [u8; 8] = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
/// Identification in Stellaris chips.
pub(crate) const ID_LUMINARY: [u8; 8] = [0x11, 0x00, 0x18, 0x01, 0x0d, 0xf0, 0x05, 0xb1];

/// Entries of each FIFO while LCR_H.FEN is set; 1 otherwise. Section 2.4.
pub(crate) const FIFO_DEPTH: usize = 16;
/// Bit periods without a new character after which the receive timeout fires; section 2.8.4.
pub(crate) const TIMEOUT_BITS: u64 = 32;

bitflags::bitflags! {
    /// A received character's error bits as DR shows them; RSR has them shifted down by 8.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct RxError: u16 {
        const FRAMING = 1 << 8;
        const PARITY = 1 << 9;
        const BREAK = 1 << 10;
        const OVERRUN = 1 << 11;
    }

    /// FR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Flags: u32 {
        const CTS = 1 << 0;
        const DSR = 1 << 1;
        const DCD = 1 << 2;
        const BUSY = 1 << 3;
        const RXFE = 1 << 4;
        const TXFF = 1 << 5;
        const RXFF = 1 << 6;
        const TXFE = 1 << 7;
        const RI = 1 << 8;
    }

    /// Parts of LCR_H that this model looks at.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct LineControl: u32 {
        const BRK = 1 << 0;
        const FEN = 1 << 4;
        const ALL = 0xff;
    }

    /// CR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Control: u32 {
        const UARTEN = 1 << 0;
        const LBE = 1 << 7;
        const TXE = 1 << 8;
        const RXE = 1 << 9;
        const DTR = 1 << 10;
        const RTS = 1 << 11;
        const OUT1 = 1 << 12;
        const OUT2 = 1 << 13;
        const ALL = 0xff87;
    }

    /// IMSC, RIS, MIS and ICR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Interrupts: u32 {
        const RI = 1 << 0;
        const CTS = 1 << 1;
        const DCD = 1 << 2;
        const DSR = 1 << 3;
        const RX = 1 << 4;
        const TX = 1 << 5;
        const RT = 1 << 6;
        const FE = 1 << 7;
        const PE = 1 << 8;
        const BE = 1 << 9;
        const OE = 1 << 10;
        /// UARTMSINTR.
        const MODEM = Self::RI.bits() | Self::CTS.bits() | Self::DCD.bits() | Self::DSR.bits();
        /// UARTEINTR.
        const ERROR = Self::FE.bits() | Self::PE.bits() | Self::BE.bits() | Self::OE.bits();
    }
}
