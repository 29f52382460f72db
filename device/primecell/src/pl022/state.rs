//! The register machine of the PL022: no bus, no time.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;
use std::collections::VecDeque;

use super::regs::{self, Control, FIFO_DEPTH, HALF, Interrupts, Status};

/// What a register write asks of the world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// A word was lost: the transmit FIFO was full.
    Lost,
    /// The port was enabled as a slave.
    Slave,
    /// DMA was enabled.
    Dma,
}

/// All that the guest can see or influence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    rx: VecDeque<u16>,
    tx: VecDeque<u16>,
    cr0: u32,
    cr1: u32,
    cpsr: u32,
    imsc: u32,
    dmacr: u32,
    timeout: bool,
}

impl State {
    /// Values after reset (DDI 0194H, table 3-1).
    pub(crate) fn new() -> Self {
        Self {
            rx: VecDeque::with_capacity(FIFO_DEPTH),
            tx: VecDeque::with_capacity(FIFO_DEPTH),
            cr0: 0,
            cr1: 0,
            cpsr: 0,
            imsc: 0,
            dmacr: 0,
            timeout: false,
        }
    }

    /// Whether a loaded state is one that this machine can reach.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        if self.rx.len() > FIFO_DEPTH || self.tx.len() > FIFO_DEPTH {
            return Err(LoadError::Impossible("pl022 FIFO"));
        }
        let registers = [
            (self.cr0, 0xffff),
            (self.cr1, Control::all().bits()),
            (self.cpsr, 0xfe),
            (self.imsc, Interrupts::all().bits()),
            (self.dmacr, 3),
        ];
        match registers.iter().all(|(value, mask)| value & !mask == 0) {
            true => Ok(()),
            false => Err(LoadError::Impossible("pl022 register")),
        }
    }

    pub(crate) fn read(&mut self, offset: u64) -> u32 {
        match offset {
            regs::CR0 => self.cr0,
            regs::CR1 => self.cr1,
            regs::DR => self.take(),
            regs::SR => self.status().bits(),
            regs::CPSR => self.cpsr,
            regs::IMSC => self.imsc,
            regs::RIS => self.raw().bits(),
            regs::MIS => self.raw().bits() & self.imsc,
            regs::DMACR => self.dmacr,
            _ => 0,
        }
    }

    pub(crate) fn write(&mut self, offset: u64, value: u32) -> Effect {
        match offset {
            regs::CR0 => self.cr0 = value & 0xffff,
            regs::CR1 => {
                self.cr1 = value & Control::all().bits();
                if self.control().contains(Control::SSE | Control::MS) {
                    return Effect::Slave;
                }
            }
            regs::DR if self.tx.len() >= FIFO_DEPTH => return Effect::Lost,
            regs::DR => self.tx.push_back(value as u16 & self.frame_mask()),
            regs::CPSR => self.cpsr = value & 0xfe,
            regs::IMSC => self.imsc = value & Interrupts::all().bits(),
            regs::ICR if value & Interrupts::RT.bits() != 0 => self.timeout = false,
            regs::DMACR => {
                self.dmacr = value & 3;
                if self.dmacr != 0 {
                    return Effect::Dma;
                }
            }
            _ => {}
        }
        Effect::None
    }

    fn take(&mut self) -> u32 {
        let word = self.rx.pop_front().unwrap_or(0);
        self.timeout &= !self.rx.is_empty();
        word.into()
    }

    /// The next word for the wire, if the port may send one now. The transmitter waits while the receive FIFO is full: a wire has a
    /// speed at which a driver can empty it in time, and this model has none. So an overrun never happens.
    pub(crate) fn next(&mut self) -> Option<u16> {
        let on = self.control() & (Control::SSE | Control::MS) == Control::SSE;
        if on && self.rx.len() < FIFO_DEPTH {
            self.tx.pop_front()
        } else {
            None
        }
    }

    /// What came back for it.
    pub(crate) fn receive(&mut self, word: u32) {
        self.rx.push_back(word as u16 & self.frame_mask());
        self.timeout = false;
    }

    /// Received data was left lying for [`regs::TIMEOUT_BITS`].
    pub(crate) fn receive_timeout(&mut self) {
        self.timeout = !self.rx.is_empty();
    }

    pub(crate) fn received(&self) -> usize {
        self.rx.len()
    }

    pub(crate) fn loopback(&self) -> bool {
        self.control().contains(Control::LBM)
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.raw().bits() & self.imsc != 0
    }

    /// Ticks of SSPCLK in a bit; `None` without a prescaler. Section 3.3.5: CPSDVSR * (1 + SCR).
    pub(crate) fn bit_ticks(&self) -> Option<u64> {
        (self.cpsr != 0).then(|| u64::from(self.cpsr * (1 + (self.cr0 >> 8))))
    }

    fn raw(&self) -> Interrupts {
        let mut i = Interrupts::empty();
        i.set(Interrupts::RT, self.timeout);
        i.set(Interrupts::RX, self.rx.len() >= HALF);
        i.set(Interrupts::TX, self.tx.len() <= HALF);
        i
    }

    fn status(&self) -> Status {
        let mut s = Status::empty();
        s.set(Status::TFE, self.tx.is_empty());
        s.set(Status::TNF, self.tx.len() < FIFO_DEPTH);
        s.set(Status::RNE, !self.rx.is_empty());
        s.set(Status::RFF, self.rx.len() >= FIFO_DEPTH);
        s.set(Status::BSY, !self.tx.is_empty());
        s
    }

    /// CR0.DSS is the frame's size less one; sizes below 4 are reserved and taken as they are.
    fn frame_mask(&self) -> u16 {
        (u32::from(u16::MAX) >> (15 - (self.cr0 & 15))) as u16
    }

    fn control(&self) -> Control {
        Control::from_bits_retain(self.cr1)
    }
}
