//! The register machine of the 16550A: no host, no time.
//!
//! The transmitter is the holding register or FIFO and one shift register behind it. "Empty" speaks of the former: what the host does not
//! take waits in the latter, and only ALL_EMPTY tells.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;
use std::collections::VecDeque;

use super::regs::{self, Enable, FIFO_DEPTH, FifoControl, LineControl, LineStatus, ModemControl, ModemStatus};

/// What an access asks of the world outside, beyond what `sync` derives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// The wait for silence starts anew, or ends.
    RestartTimeout,
    /// The line goes to break.
    Break,
}

/// All that the guest can see or influence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    // Receiver.
    rx: VecDeque<u8>,
    /// The character last read, which a receiver without FIFO goes on to show.
    rbr: u8,
    /// Bits of LSR that a read takes back.
    events: u8,
    timeout: bool,
    // Transmitter.
    tx: VecDeque<u8>,
    shift: Option<u8>,
    /// The transmitter interrupt, which is an event: reading IIR takes it back.
    transmit_event: bool,
    // Registers.
    divisor: u16,
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    scr: u8,
}

impl State {
    /// Values after reset: those of the data sheet, and where it leaves them open those of PC firmware (9600 baud).
    pub(crate) fn new() -> Self {
        Self {
            rx: VecDeque::with_capacity(FIFO_DEPTH),
            rbr: 0,
            events: 0,
            timeout: false,
            tx: VecDeque::with_capacity(FIFO_DEPTH),
            shift: None,
            transmit_event: false,
            divisor: 12,
            ier: 0,
            fcr: 0,
            lcr: 0,
            mcr: ModemControl::OUT2.bits(),
            scr: 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let fits = self.rx.len() <= FIFO_DEPTH
            && self.tx.len() <= FIFO_DEPTH
            && (self.fifos() || self.rx.len() <= 1 && self.tx.len() <= 1)
            && (self.shift.is_some() || self.tx.is_empty());
        let registers = [
            (self.events, LineStatus::EVENTS.bits()),
            (self.ier, Enable::all().bits()),
            (self.fcr, FifoControl::KEPT.bits()),
            (self.mcr, ModemControl::ALL.bits()),
        ];
        match fits && registers.iter().all(|(value, mask)| value & !mask == 0) {
            true => Ok(()),
            false => Err(LoadError::Impossible("serial registers")),
        }
    }

    pub(crate) fn read(&mut self, register: u8) -> (u8, Effect) {
        let value = match register {
            regs::DATA if self.dlab() => self.divisor as u8,
            regs::IER if self.dlab() => (self.divisor >> 8) as u8,
            regs::DATA => return (self.take_received(), Effect::RestartTimeout),
            regs::IER => self.ier,
            regs::IIR_FCR => self.identify(),
            regs::LCR => self.lcr,
            regs::MCR => self.mcr,
            regs::LSR => {
                let status = self.line_status();
                self.events = 0;
                status
            }
            regs::MSR => self.modem_status().bits(),
            regs::SCR => self.scr,
            _ => 0,
        };
        (value, Effect::None)
    }

    pub(crate) fn write(&mut self, register: u8, value: u8) -> Effect {
        match register {
            regs::DATA if self.dlab() => self.divisor = self.divisor & 0xff00 | u16::from(value),
            regs::IER if self.dlab() => self.divisor = self.divisor & 0xff | u16::from(value) << 8,
            regs::DATA => return self.put(value),
            regs::IER => self.set_enable(value & Enable::all().bits()),
            regs::IIR_FCR => return self.set_fifo_control(value),
            regs::LCR => {
                let before = std::mem::replace(&mut self.lcr, value);
                if value & !before & LineControl::BREAK.bits() != 0 {
                    return Effect::Break;
                }
            }
            regs::MCR => self.mcr = value & ModemControl::ALL.bits(),
            regs::SCR => self.scr = value,
            _ => {}
        }
        Effect::None
    }

    // ----- receiver ------------------------------------------------------------------------------------------------------------

    /// A character arrives. A full FIFO keeps what it has; the single register does not.
    pub(crate) fn receive(&mut self, character: u8) {
        if self.rx.len() >= self.depth() {
            self.events |= LineStatus::OVERRUN.bits();
            if self.fifos() {
                return;
            }
            self.rx.clear();
        }
        self.rx.push_back(character);
    }

    /// The wire was at break for longer than a character.
    pub(crate) fn receive_break(&mut self) {
        self.receive(0);
        self.events |= LineStatus::BREAK.bits();
    }

    fn take_received(&mut self) -> u8 {
        self.timeout = false;
        match self.rx.pop_front() {
            Some(c) => self.rbr = c,
            None if self.fifos() => return 0,
            None => {}
        }
        if self.rx.is_empty() {
            self.events &= !LineStatus::BREAK.bits();
        }
        self.rbr
    }

    /// Nothing has arrived or been read for the time of [`regs::TIMEOUT_CHARACTERS`].
    pub(crate) fn receive_timeout(&mut self) {
        self.timeout = self.fifos() && !self.rx.is_empty();
    }

    /// Whether silence is worth waiting for.
    pub(crate) fn awaits_timeout(&self) -> bool {
        self.fifos() && !self.rx.is_empty()
    }

    /// Characters that the receiver can take without passing the level at which the guest wants to hear of them.
    pub(crate) fn room(&self) -> usize {
        self.trigger().saturating_sub(self.rx.len())
    }

    // ----- transmitter ---------------------------------------------------------------------------------------------------------

    fn put(&mut self, character: u8) -> Effect {
        if self.tx.len() >= self.depth() {
            // As on the part, what was written too early is overwritten.
            self.tx.pop_front();
        }
        self.tx.push_back(character);
        self.transmit_event = false;
        self.shift_on();
        if !self.mcr().contains(ModemControl::LOOP) {
            return Effect::None;
        }
        while let Some(c) = self.shift {
            self.receive(c);
            self.sent(1);
        }
        Effect::RestartTimeout
    }

    /// The shift register takes the next character when it is free.
    fn shift_on(&mut self) {
        if self.shift.is_none()
            && let Some(c) = self.tx.pop_front()
        {
            self.shift = Some(c);
            if self.tx.is_empty() {
                self.transmit_event = true;
            }
        }
    }

    /// What is to be sent, in order. Call [`State::sent`] with how much of it went out.
    pub(crate) fn pending(&self) -> Vec<u8> {
        self.shift.iter().chain(&self.tx).copied().collect()
    }

    pub(crate) fn sent(&mut self, count: usize) {
        for _ in 0..count {
            self.shift = None;
            self.shift_on();
        }
    }

    // ----- the rest ------------------------------------------------------------------------------------------------------------

    /// Enabling the transmitter interrupt while there is room raises it, even if it was taken back before: drivers rely on it.
    fn set_enable(&mut self, value: u8) {
        let changed = Enable::from_bits_retain(self.ier ^ value);
        self.ier = value;
        if changed.contains(Enable::TRANSMIT_EMPTY) {
            self.transmit_event = self.enabled(Enable::TRANSMIT_EMPTY) && self.tx.is_empty();
        }
    }

    fn set_fifo_control(&mut self, value: u8) -> Effect {
        let mut control = FifoControl::from_bits_retain(value);
        if (value ^ self.fcr) & FifoControl::ENABLE.bits() != 0 {
            control |= FifoControl::CLEAR_RECEIVER | FifoControl::CLEAR_TRANSMITTER;
        }
        if control.contains(FifoControl::CLEAR_RECEIVER) {
            self.rx.clear();
            self.timeout = false;
            self.events &= !LineStatus::BREAK.bits();
        }
        if control.contains(FifoControl::CLEAR_TRANSMITTER) {
            self.tx.clear();
            self.transmit_event = true;
        }
        self.fcr = value & FifoControl::KEPT.bits();
        Effect::RestartTimeout
    }

    /// The most urgent enabled interrupt, as IIR's low bits say it.
    fn cause(&self) -> u8 {
        if self.enabled(Enable::LINE_STATUS) && self.events != 0 {
            regs::IIR_LINE_STATUS
        } else if self.enabled(Enable::RECEIVED) && self.timeout {
            regs::IIR_TIMEOUT
        } else if self.enabled(Enable::RECEIVED) && self.rx.len() >= self.trigger() {
            regs::IIR_RECEIVED
        } else if self.enabled(Enable::TRANSMIT_EMPTY) && self.transmit_event {
            regs::IIR_TRANSMIT_EMPTY
        } else {
            regs::IIR_NONE
        }
    }

    fn identify(&mut self) -> u8 {
        let cause = self.cause();
        if cause == regs::IIR_TRANSMIT_EMPTY {
            self.transmit_event = false;
        }
        cause | if self.fifos() { regs::IIR_FIFOS } else { 0 }
    }

    /// The interrupt output.
    pub(crate) fn interrupt(&self) -> bool {
        self.cause() != regs::IIR_NONE
    }

    fn line_status(&self) -> u8 {
        let mut s = LineStatus::from_bits_retain(self.events);
        s.set(LineStatus::DATA_READY, !self.rx.is_empty());
        s.set(LineStatus::HOLDING_EMPTY, self.tx.is_empty());
        s.set(LineStatus::ALL_EMPTY, self.shift.is_none() && self.tx.is_empty());
        s.bits()
    }

    /// A peer that is always ready; in loopback the outputs (section 8.8).
    fn modem_status(&self) -> ModemStatus {
        let mcr = self.mcr();
        if !mcr.contains(ModemControl::LOOP) {
            return ModemStatus::CTS | ModemStatus::DSR | ModemStatus::DCD;
        }
        let mut s = ModemStatus::empty();
        s.set(ModemStatus::DSR, mcr.contains(ModemControl::DTR));
        s.set(ModemStatus::CTS, mcr.contains(ModemControl::RTS));
        s.set(ModemStatus::RI, mcr.contains(ModemControl::OUT1));
        s.set(ModemStatus::DCD, mcr.contains(ModemControl::OUT2));
        s
    }

    /// How long the wire is busy with a character, in nanoseconds. Without a divisor the part would run at some 3500 baud.
    pub(crate) fn character_ns(&self, baud_base: u32) -> u64 {
        let lcr = LineControl::from_bits_retain(self.lcr);
        let bits = 7
            + u64::from(self.lcr & LineControl::WORD_LENGTH.bits())
            + u64::from(lcr.contains(LineControl::PARITY))
            + u64::from(lcr.contains(LineControl::STOP));
        match (self.divisor, baud_base) {
            (0, _) | (_, 0) => bits * 1_000_000_000 / 3500,
            (divisor, base) => bits * 1_000_000_000 * u64::from(divisor) / u64::from(base),
        }
    }

    pub(crate) fn loopback(&self) -> bool {
        self.mcr().contains(ModemControl::LOOP)
    }

    fn mcr(&self) -> ModemControl {
        ModemControl::from_bits_retain(self.mcr)
    }

    fn dlab(&self) -> bool {
        self.lcr & LineControl::DLAB.bits() != 0
    }

    fn enabled(&self, which: Enable) -> bool {
        self.ier & which.bits() != 0
    }

    fn fifos(&self) -> bool {
        self.fcr & FifoControl::ENABLE.bits() != 0
    }

    fn depth(&self) -> usize {
        if self.fifos() { FIFO_DEPTH } else { 1 }
    }

    fn trigger(&self) -> usize {
        match self.fifos() {
            true => regs::TRIGGERS[usize::from(self.fcr >> 6)],
            false => 1,
        }
    }
}
