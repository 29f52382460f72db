//! Registers of the 16550A (National Semiconductor PC16550D data sheet, section 8).
#![allow(dead_code, reason = "a list of facts, used or not")]

use bitflags::bitflags;

/// Receiver buffer (read), transmitter holding (write), or the divisor's low byte under DLAB.
pub(crate) const DATA: u8 = 0;
/// Interrupt enable, or the divisor's high byte under DLAB.
pub(crate) const IER: u8 = 1;
/// Interrupt identification (read), FIFO control (write).
pub(crate) const IIR_FCR: u8 = 2;
/// Line control.
pub(crate) const LCR: u8 = 3;
/// Modem control.
pub(crate) const MCR: u8 = 4;
/// Line status.
pub(crate) const LSR: u8 = 5;
/// Modem status.
pub(crate) const MSR: u8 = 6;
/// Scratch.
pub(crate) const SCR: u8 = 7;

/// Places in each FIFO.
pub(crate) const FIFO_DEPTH: usize = 16;
/// Characters of silence until the receive timeout (section 8.6, "FIFO timeout").
pub(crate) const TIMEOUT_CHARACTERS: u64 = 4;

bitflags! {
    /// IER.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Enable: u8 {
        const RECEIVED = 1;
        const TRANSMIT_EMPTY = 2;
        const LINE_STATUS = 4;
        const MODEM_STATUS = 8;
    }
}

/// IIR: what is reported, most urgent first.
pub(crate) const IIR_LINE_STATUS: u8 = 6;
pub(crate) const IIR_TIMEOUT: u8 = 12;
pub(crate) const IIR_RECEIVED: u8 = 4;
pub(crate) const IIR_TRANSMIT_EMPTY: u8 = 2;
pub(crate) const IIR_MODEM_STATUS: u8 = 0;
pub(crate) const IIR_NONE: u8 = 1;
pub(crate) const IIR_FIFOS: u8 = 0xc0;

bitflags! {
    /// FCR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct FifoControl: u8 {
        const ENABLE = 1;
        const CLEAR_RECEIVER = 2;
        const CLEAR_TRANSMITTER = 4;
        const DMA_MODE = 8;
        const TRIGGER = 0xc0;
        /// What stays in the register.
        const KEPT = 0xc9;
    }
}

/// Fill levels of the receive FIFO that raise the interrupt, by the two highest bits of FCR.
pub(crate) const TRIGGERS: [usize; 4] = [1, 4, 8, 14];

bitflags! {
    /// LCR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct LineControl: u8 {
        const WORD_LENGTH = 3;
        const STOP = 4;
        const PARITY = 8;
        const BREAK = 0x40;
        const DLAB = 0x80;
    }

    /// MCR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct ModemControl: u8 {
        const DTR = 1;
        const RTS = 2;
        const OUT1 = 4;
        const OUT2 = 8;
        const LOOP = 0x10;
        const ALL = 0x1f;
    }

    /// LSR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct LineStatus: u8 {
        const DATA_READY = 1;
        const OVERRUN = 2;
        const PARITY_ERROR = 4;
        const FRAMING_ERROR = 8;
        const BREAK = 0x10;
        const HOLDING_EMPTY = 0x20;
        const ALL_EMPTY = 0x40;
        /// What a read takes back, and what raises the line status interrupt.
        const EVENTS = 0x1e;
    }

    /// MSR.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct ModemStatus: u8 {
        const CTS = 0x10;
        const DSR = 0x20;
        const RI = 0x40;
        const DCD = 0x80;
    }
}
