//! The transmit side: command words, data words, status FIFO (data sheet 3.12).

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use super::regs::tx_cmd;

/// Words in the status FIFO.
const STATUS_ROOM: usize = 128;
/// Bytes of the part of the FIFO RAM that holds status words.
const STATUS_BYTES: u32 = 512;
/// Longest frame that the transmitter can hold.
pub(super) const MAX_FRAME: usize = 2048;

/// What the next word in the data FIFO is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Expect {
    CommandA,
    CommandB { a: u32 },
    Data { a: u32, skip: u8, bytes: u16, words: u16 },
}

/// The data FIFO as far as the guest sees it, the frame that builds up, and the status FIFO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tx {
    expect: Expect,
    tag: u32,
    frame: Vec<u8>,
    used: u32,
    status: VecDeque<u32>,
}

/// What came of a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// There was no room for the word.
    pub(super) overrun: bool,
    /// The frame became too long; the rest is cut off.
    pub(super) too_long: bool,
    /// A buffer that asks for an interrupt is complete.
    pub(super) completed: bool,
    /// The frame in [`Tx::frame`] is complete and leaves.
    pub(super) send: bool,
}

impl Tx {
    pub(super) const fn new() -> Self {
        Self {
            expect: Expect::CommandA,
            tag: 0,
            frame: Vec::new(),
            used: 0,
            status: VecDeque::new(),
        }
    }

    pub(super) fn valid(&self) -> bool {
        self.frame.len() <= MAX_FRAME && self.status.len() <= STATUS_ROOM && self.used <= 4096
    }

    /// Bytes of data that `kib` KiB of FIFO RAM hold.
    pub(super) const fn room(kib: u32) -> u32 {
        (1024 * kib).saturating_sub(STATUS_BYTES)
    }

    /// The next word of the data FIFO.
    pub(super) fn push(&mut self, word: u32, kib: u32) -> Outcome {
        if 4 * (self.used + 1) > Self::room(kib) {
            return Outcome {
                overrun: true,
                ..Outcome::default()
            };
        }
        self.used += 1;
        match self.expect {
            Expect::CommandA => {
                self.expect = Expect::CommandB { a: word };
                Outcome::default()
            }
            Expect::CommandB { a } => self.command(a, word),
            Expect::Data { a, skip, bytes, words } => self.data(word, a, skip, bytes, words),
        }
    }

    /// The frame that `Outcome::send` speaks of; its place in the FIFO becomes free.
    pub(super) fn take_frame(&mut self) -> Vec<u8> {
        self.used = 0;
        std::mem::take(&mut self.frame)
    }

    /// Adds the status word of the frame that just left; false if there is no room for it.
    pub(super) fn push_status(&mut self) -> bool {
        let room = self.status.len() < STATUS_ROOM;
        if room {
            self.status.push_back(self.tag);
        }
        room
    }

    pub(super) fn pop_status(&mut self) -> u32 {
        self.status.pop_front().unwrap_or(0)
    }

    pub(super) fn peek_status(&self) -> u32 {
        self.status.front().copied().unwrap_or(0)
    }

    pub(super) fn status_used(&self) -> usize {
        self.status.len()
    }

    pub(super) fn status_full(&self) -> bool {
        self.status.len() >= STATUS_ROOM
    }

    pub(super) fn dump_status(&mut self) {
        self.status.clear();
    }

    pub(super) fn dump_data(&mut self) {
        self.expect = Expect::CommandA;
        self.frame.clear();
        self.used = 0;
    }

    /// TX_FIFO_INF.
    pub(super) fn info(&self, kib: u32) -> u32 {
        (self.status.len() as u32) << 16 | Self::room(kib).saturating_sub(4 * self.used)
    }

    fn command(&mut self, a: u32, b: u32) -> Outcome {
        if a & tx_cmd::A_FIRST != 0 {
            self.tag = b & tx_cmd::B_TAG;
            self.frame.clear();
        }
        let (skip, bytes) = (tx_cmd::offset(a), tx_cmd::size(a));
        let words = (skip + bytes).div_ceil(4).next_multiple_of(tx_cmd::alignment(a));
        if words == 0 {
            return self.end_of_buffer(a, false);
        }
        self.expect = Expect::Data {
            a,
            skip: skip as u8,
            bytes: bytes as u16,
            words: words as u16,
        };
        Outcome::default()
    }

    fn data(&mut self, word: u32, a: u32, mut skip: u8, mut bytes: u16, words: u16) -> Outcome {
        let mut too_long = false;
        for byte in word.to_le_bytes() {
            if skip > 0 {
                skip -= 1;
            } else if bytes > 0 {
                bytes -= 1;
                if self.frame.len() < MAX_FRAME {
                    self.frame.push(byte);
                } else {
                    too_long = true;
                }
            }
        }
        let words = words.saturating_sub(1);
        if words == 0 {
            return self.end_of_buffer(a, too_long);
        }
        self.expect = Expect::Data { a, skip, bytes, words };
        Outcome {
            too_long,
            ..Outcome::default()
        }
    }

    fn end_of_buffer(&mut self, a: u32, too_long: bool) -> Outcome {
        self.expect = Expect::CommandA;
        Outcome {
            overrun: false,
            too_long,
            completed: a & tx_cmd::A_IOC != 0,
            send: a & tx_cmd::A_LAST != 0,
        }
    }
}
