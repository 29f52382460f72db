//! The register machine of the PL011: no host, no time.
//!
//! Where Arm's manual and what guests rely on differ, guests win, and the place says so.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;
use std::collections::VecDeque;

use super::regs::{self, Control, FIFO_DEPTH, Flags, Interrupts, LineControl, RxError};

/// What a register write asks of the world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// A character waits in the transmit FIFO.
    Transmit,
    /// The same, but the guest did not enable the transmitter.
    TransmitDisabled,
    /// A character was lost: the transmit FIFO was full.
    TransmitLost,
    /// The line goes to break.
    Break,
    /// DMA was enabled.
    Dma,
}

/// All that the guest can see or influence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    // FIFOs.
    rx: VecDeque<u16>,
    tx: VecDeque<u8>,
    overrun: bool,
    // Registers.
    rsr: u32,
    ilpr: u32,
    ibrd: u32,
    fbrd: u32,
    lcr_h: u32,
    cr: u32,
    ifls: u32,
    imsc: u32,
    ris: u32,
    dmacr: u32,
}

impl State {
    /// Values after reset (DDI 0183G, table 3-1).
    pub(crate) fn new() -> Self {
        Self {
            rx: VecDeque::with_capacity(FIFO_DEPTH),
            tx: VecDeque::with_capacity(FIFO_DEPTH),
            overrun: false,
            rsr: 0,
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            lcr_h: 0,
            cr: (Control::TXE | Control::RXE).bits(),
            ifls: 0x12,
            imsc: 0,
            ris: 0,
            dmacr: 0,
        }
    }

    /// Whether a loaded state is one that this machine can reach.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        if self.rx.len() > self.depth() || self.rx.iter().any(|c| *c >> 12 != 0) {
            return Err(LoadError::Impossible("pl011 receive FIFO"));
        }
        if self.tx.len() > FIFO_DEPTH {
            return Err(LoadError::Impossible("pl011 transmit FIFO"));
        }
        let registers = [
            (self.rsr, 0xf),
            (self.ilpr, 0xff),
            (self.ibrd, 0xffff),
            (self.fbrd, 0x3f),
            (self.lcr_h, LineControl::ALL.bits()),
            (self.cr, Control::ALL.bits()),
            (self.ifls, 0x3f),
            (self.imsc, Interrupts::all().bits()),
            (self.ris, Interrupts::all().bits()),
            (self.dmacr, 7),
        ];
        match registers.iter().all(|(value, mask)| value & !mask == 0) {
            true => Ok(()),
            false => Err(LoadError::Impossible("pl011 register")),
        }
    }

    pub(crate) fn read(&mut self, offset: u64) -> u32 {
        match offset {
            regs::DR => self.take_received(),
            regs::RSR => self.rsr,
            regs::FR => self.flags().bits(),
            regs::ILPR => self.ilpr,
            regs::IBRD => self.ibrd,
            regs::FBRD => self.fbrd,
            regs::LCR_H => self.lcr_h,
            regs::CR => self.cr,
            regs::IFLS => self.ifls,
            regs::IMSC => self.imsc,
            regs::RIS => self.ris,
            regs::MIS => self.ris & self.imsc,
            regs::DMACR => self.dmacr,
            _ => 0,
        }
    }

    pub(crate) fn write(&mut self, offset: u64, value: u32) -> Effect {
        match offset {
            regs::DR => return self.put_transmit(value as u8),
            regs::RSR => self.rsr = 0,
            regs::ILPR => self.ilpr = value & 0xff,
            regs::IBRD => self.ibrd = value & 0xffff,
            regs::FBRD => self.fbrd = value & 0x3f,
            regs::LCR_H => return self.set_line_control(value & LineControl::ALL.bits()),
            regs::CR => self.set_control(value & Control::ALL.bits()),
            regs::IFLS => self.ifls = value & 0x3f,
            regs::IMSC => self.imsc = value & Interrupts::all().bits(),
            regs::ICR => self.ris &= !value,
            regs::DMACR => {
                self.dmacr = value & 7;
                if value & 3 != 0 {
                    return Effect::Dma;
                }
            }
            _ => {}
        }
        Effect::None
    }

    // ----- receiver -----------------------------------------------------------------------------------------------------------

    /// A character or break arrives on the line. In loopback the line is not connected to the receiver.
    pub(crate) fn arrive(&mut self, character: u16) {
        if !self.loopback() {
            self.receive(character);
        }
    }

    /// The interrupt comes with the first character, whatever IFLS says: real parts wait for the level (and then for the timeout, which
    /// covers the rest), but guests written against QEMU unmask RX alone and expect to hear of each character.
    fn receive(&mut self, character: u16) {
        if self.rx.len() >= self.depth() {
            self.overrun = true;
            self.ris |= Interrupts::OE.bits();
            return;
        }
        self.rx.push_back(character);
        if self.rx.len() == 1 {
            self.ris |= Interrupts::RX.bits();
        }
        if character & RxError::BREAK.bits() != 0 {
            self.ris |= Interrupts::BE.bits();
        }
    }

    fn take_received(&mut self) -> u32 {
        let mut character = self.rx.pop_front().unwrap_or(0);
        if std::mem::take(&mut self.overrun) {
            character |= RxError::OVERRUN.bits();
        }
        if self.rx.is_empty() {
            self.ris &= !(Interrupts::RX | Interrupts::RT).bits();
        }
        self.rsr = u32::from(character >> 8);
        character.into()
    }

    /// Nothing has arrived for the time of [`regs::TIMEOUT_BITS`] bits.
    pub(crate) fn receive_timeout(&mut self) {
        if !self.rx.is_empty() {
            self.ris |= Interrupts::RT.bits();
        }
    }

    pub(crate) fn received(&self) -> usize {
        self.rx.len()
    }

    /// Characters that the receiver can still take.
    pub(crate) fn room(&self) -> usize {
        self.depth().saturating_sub(self.rx.len())
    }

    // ----- transmitter ---------------------------------------------------------------------------------------------------------

    fn put_transmit(&mut self, character: u8) -> Effect {
        if self.tx.len() >= self.depth() {
            return Effect::TransmitLost;
        }
        self.tx.push_back(character);
        if self.loopback() {
            self.receive(character.into());
        }
        let on = Control::UARTEN | Control::TXE;
        match self.control().contains(on) {
            true => Effect::Transmit,
            false => Effect::TransmitDisabled,
        }
    }

    /// What waits to be sent, in order. Call [`State::sent`] with how much of it went out.
    pub(crate) fn pending(&mut self) -> &[u8] {
        self.tx.make_contiguous()
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.tx.drain(..count.min(self.tx.len()));
        self.set_interrupt(Interrupts::TX, self.tx.len() <= self.transmit_level());
    }

    /// The transmit interrupt's level (DDI 0183G, section 3.3.9); reserved encodings count as the highest.
    fn transmit_level(&self) -> usize {
        match (self.depth(), self.ifls & 7) {
            (1, _) => 0,
            (_, 0) => 2,
            (_, 1) => 4,
            (_, 2) => 8,
            (_, 3) => 12,
            _ => 14,
        }
    }

    // ----- the rest ------------------------------------------------------------------------------------------------------------

    fn set_line_control(&mut self, value: u32) -> Effect {
        let changed = LineControl::from_bits_retain(self.lcr_h ^ value);
        self.lcr_h = value;
        if changed.contains(LineControl::FEN) {
            // What waits for the host stays: the guest cannot know that the host is slower than the wire would be.
            self.rx.clear();
            self.overrun = false;
        }
        if !changed.contains(LineControl::BRK) || value & LineControl::BRK.bits() == 0 {
            return Effect::None;
        }
        if self.loopback() {
            self.receive(RxError::BREAK.bits());
        }
        Effect::Break
    }

    fn set_control(&mut self, value: u32) {
        let before = self.modem();
        self.cr = value;
        let changed = before ^ self.modem();
        for (flag, interrupt) in [
            (Flags::RI, Interrupts::RI),
            (Flags::CTS, Interrupts::CTS),
            (Flags::DCD, Interrupts::DCD),
            (Flags::DSR, Interrupts::DSR),
        ] {
            if changed.contains(flag) {
                self.ris |= interrupt.bits();
            }
        }
    }

    /// Modem status: nothing is connected, but loopback feeds the outputs back (DDI 0183G, section 2.7.3).
    fn modem(&self) -> Flags {
        let cr = self.control();
        let mut f = Flags::empty();
        if cr.contains(Control::LBE) {
            f.set(Flags::RI, cr.contains(Control::OUT2));
            f.set(Flags::DCD, cr.contains(Control::OUT1));
            f.set(Flags::CTS, cr.contains(Control::RTS));
            f.set(Flags::DSR, cr.contains(Control::DTR));
        }
        f
    }

    fn flags(&self) -> Flags {
        let mut f = self.modem();
        f.set(Flags::RXFE, self.rx.is_empty());
        f.set(Flags::RXFF, self.rx.len() >= self.depth());
        f.set(Flags::TXFE, self.tx.is_empty());
        f.set(Flags::TXFF, self.tx.len() >= self.depth());
        f.set(Flags::BUSY, !self.tx.is_empty());
        f
    }

    /// The six interrupt outputs: combined, receive, transmit, timeout, modem, error.
    pub(crate) fn outputs(&self) -> [bool; 6] {
        let on = Interrupts::from_bits_retain(self.ris & self.imsc);
        [
            Interrupts::all(),
            Interrupts::RX,
            Interrupts::TX,
            Interrupts::RT,
            Interrupts::MODEM,
            Interrupts::ERROR,
        ]
        .map(|sources| on.intersects(sources))
    }

    /// Ticks of the UART's clock in which one bit passes, times 4; `None` without a divisor. (A bit takes 16 * (IBRD + FBRD/64) ticks;
    /// section 3.3.6.)
    pub(crate) fn bit_quarter_ticks(&self) -> Option<u64> {
        (self.ibrd != 0).then(|| u64::from(self.ibrd * 64 + self.fbrd))
    }

    fn set_interrupt(&mut self, which: Interrupts, on: bool) {
        self.ris = if on {
            self.ris | which.bits()
        } else {
            self.ris & !which.bits()
        };
    }

    fn control(&self) -> Control {
        Control::from_bits_retain(self.cr)
    }

    fn loopback(&self) -> bool {
        self.control().contains(Control::LBE)
    }

    fn depth(&self) -> usize {
        if self.lcr_h & LineControl::FEN.bits() != 0 {
            FIFO_DEPTH
        } else {
            1
        }
    }
}
