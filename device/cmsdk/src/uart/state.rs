//! The APB UART as a pure machine. Bytes leave through [`State::pending`] and [`State::sent`], and come in through
//! [`State::received`].

use serde::{Deserialize, Serialize};

use super::regs::{self, ctrl, interrupt, state};
use crate::id;

/// All that the guest can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    state: u32,
    ctrl: u32,
    /// TX and RX; the overrun bits follow from `state` and `ctrl`.
    latched: u32,
    bauddiv: u32,
    tx: u8,
    rx: u8,
}

impl State {
    pub(super) const fn new() -> Self {
        Self {
            state: 0,
            ctrl: 0,
            latched: 0,
            bauddiv: 0,
            tx: 0,
            rx: 0,
        }
    }

    pub(super) fn valid(&self) -> bool {
        self.state & !state::ALL == 0
            && self.ctrl & !ctrl::ALL == 0
            && self.latched & !(interrupt::TX | interrupt::RX) == 0
            && self.bauddiv & !regs::BAUDDIV_MASK == 0
    }

    pub(super) fn read(&mut self, offset: u64) -> u32 {
        match offset {
            regs::DATA => {
                self.state &= !state::RXFULL;
                self.rx.into()
            }
            regs::STATE => self.state,
            regs::CTRL => self.ctrl,
            regs::INTSTATUS => self.interrupts(),
            regs::BAUDDIV => self.bauddiv,
            _ => id::read(&id::cmsdk(regs::PART), offset),
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32) {
        const OVERRUNS: u32 = state::TXOVERRUN | state::RXOVERRUN;
        match offset {
            regs::DATA => {
                if self.state & state::TXFULL != 0 {
                    self.state |= state::TXOVERRUN;
                }
                self.state |= state::TXFULL;
                self.tx = value as u8;
            }
            regs::STATE => self.state &= !(value & OVERRUNS),
            regs::CTRL => self.ctrl = value & ctrl::ALL,
            regs::INTSTATUS => {
                self.state &= !(value & OVERRUNS);
                self.latched &= !value;
            }
            regs::BAUDDIV => self.bauddiv = value & regs::BAUDDIV_MASK,
            _ => {}
        }
    }

    /// The byte that waits to be transmitted, if the transmitter is on.
    pub(super) fn pending(&self) -> Option<u8> {
        (self.state & state::TXFULL != 0 && self.ctrl & ctrl::TX_EN != 0).then_some(self.tx)
    }

    /// The pending byte is gone.
    pub(super) fn sent(&mut self) {
        self.state &= !state::TXFULL;
        if self.ctrl & ctrl::TX_INTEN != 0 {
            self.latched |= interrupt::TX;
        }
    }

    /// Whether a byte can come in without harm.
    pub(super) fn has_room(&self) -> bool {
        self.ctrl & ctrl::RX_EN != 0 && self.state & state::RXFULL == 0
    }

    /// A byte came in.
    pub(super) fn received(&mut self, byte: u8) {
        if self.ctrl & ctrl::RX_EN == 0 {
            return;
        }
        if self.state & state::RXFULL != 0 {
            self.state |= state::RXOVERRUN;
        }
        self.state |= state::RXFULL;
        self.rx = byte;
        if self.ctrl & ctrl::RX_INTEN != 0 {
            self.latched |= interrupt::RX;
        }
    }

    /// INTSTATUS.
    pub(super) fn interrupts(&self) -> u32 {
        let overruns = self.state & self.ctrl >> ctrl::OVERRUN_INTEN_SHIFT & (interrupt::TXO | interrupt::RXO);
        self.latched | overruns
    }

    /// Clock ticks that a byte takes on the wire: ten bits.
    pub(super) fn ticks_per_byte(&self) -> u64 {
        10 * u64::from(self.bauddiv.max(regs::BAUDDIV_MIN))
    }

    /// Whether the transmitter is on with a divisor that the hardware could not work with at a clock of `hz`.
    pub(super) fn transmits_at_bad_rate(&self, hz: u64) -> bool {
        let good = self.bauddiv >= regs::BAUDDIV_MIN && u64::from(self.bauddiv) <= hz;
        self.ctrl & ctrl::TX_EN != 0 && !good
    }
}
