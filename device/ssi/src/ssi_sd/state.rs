//! The framing of SPI mode: bytes on the wire become commands, responses, tokens and data blocks.
//!
//! Source: SD Physical Layer Simplified Specification 6.00, sections 7.2 (protocol) and 7.3 (commands, responses, tokens).

use serde::{Deserialize, Serialize};
use southbridge_bus_sd::SdResponse;
use southbridge_core::LoadError;

use crate::crc::{crc7, crc16};
use crate::sd_card::{BLOCK, STATE_SHIFT, STATE_TRANSFER, Status};

/// The wire at rest.
pub(crate) const REST: u8 = 0xff;
/// Begins every command; the lower bits are its number.
const COMMAND: u8 = 0x40;
/// Begins a block of a multiple-block write.
const TOKEN_MULTIPLE: u8 = 0xfc;
/// Ends a multiple-block write.
const TOKEN_STOP: u8 = 0xfd;
/// Begins any other block.
const TOKEN_BLOCK: u8 = 0xfe;
/// Data response: accepted.
const ACCEPTED: u8 = 0x05;
/// Data response: write error.
const WRITE_ERROR: u8 = 0x0d;

/// R1 bits (section 7.3.2.1).
const R1_IDLE: u8 = 0x01;
const R1_ILLEGAL: u8 = 0x04;
const R1_CRC: u8 = 0x08;

/// Status bits of a card and the bit of R2 that shows each; the upper byte is R1 (sections 7.3.2.1 and 7.3.2.3).
const R2: &[(Status, u16)] = &[
    (Status::COM_CRC_ERROR, 0x0800),
    (Status::ERASE_SEQ_ERROR, 0x1000),
    (Status::ADDRESS_ERROR, 0x2000),
    (Status::BLOCK_LEN_ERROR, 0x4000),
    (Status::ERROR, 0x0004),
    (Status::WP_VIOLATION, 0x0020),
    (Status::ERASE_PARAM, 0x0040),
    (Status::OUT_OF_RANGE.union(Status::CSD_OVERWRITE), 0x0080),
];

/// The card, as far as the framing needs it.
pub(crate) trait Card {
    fn command(&mut self, index: u8, argument: u32) -> SdResponse;
    fn read_byte(&mut self) -> u8;
    fn write_byte(&mut self, byte: u8);
    fn data_ready(&mut self) -> bool;
    fn receive_ready(&mut self) -> bool;
}

/// Where in the conversation we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Waiting for a command or a token.
    Command,
    /// Collecting argument and checksum.
    Argument { got: u8 },
    /// One byte of delay before the response.
    Delay,
    /// Sending the response.
    Response { at: u8 },
    /// One byte of delay before the next block.
    BlockDelay,
    /// Sending the token of a block.
    BlockStart,
    /// Sending the block.
    Block,
    /// Sending its checksum.
    BlockCrc { at: u8 },
    /// Receiving a block.
    Write,
    /// Receiving its checksum, which is not verified: the card has the data already.
    WriteCrc { got: u8 },
}

/// The adapter's whole state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    phase: Phase,
    /// Command byte, argument, checksum.
    frame: [u8; 6],
    response: Vec<u8>,
    /// Bytes of the current block so far, and their checksum.
    block: u16,
    crc: u16,
    /// The response is to be followed by the end of the command, not by data.
    ends: bool,
    /// The card did not expect the block that comes.
    unwanted: bool,
    /// CMD59 has switched checksums on.
    checked: bool,
    /// What the card said last (R3 and R7 do not say it): it is not initialised.
    idle: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Command,
            frame: [0; 6],
            response: Vec::with_capacity(5),
            block: 0,
            crc: 0,
            ends: false,
            unwanted: false,
            checked: false,
            idle: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let fits = match self.phase {
            Phase::Argument { got } => got < 5,
            Phase::BlockCrc { at } => at < 2,
            Phase::WriteCrc { got } => got < 2,
            Phase::Response { at } => usize::from(at) <= self.response.len(),
            _ => true,
        };
        match fits && self.response.len() <= 5 && u64::from(self.block) < BLOCK + 1 {
            true => Ok(()),
            false => Err(LoadError::Impossible("SD adapter")),
        }
    }

    /// One byte each way.
    pub(crate) fn transfer(&mut self, byte: u8, card: &mut dyn Card) -> u8 {
        let reading = matches!(
            self.phase,
            Phase::BlockDelay | Phase::BlockStart | Phase::Block | Phase::BlockCrc { .. }
        );
        // CMD12 may come at any moment of a read (section 7.2.3).
        if reading && byte == COMMAND | 12 {
            self.phase = Phase::Command;
            self.ends = true;
        }
        match self.phase {
            Phase::Command => self.begin(byte, card),
            Phase::Argument { got } => self.argument(got, byte, card),
            Phase::Delay => self.go(Phase::Response { at: 0 }, REST),
            Phase::Response { at } => self.respond(at, byte, card),
            Phase::BlockDelay => self.go(Phase::BlockStart, REST),
            Phase::BlockStart => {
                (self.block, self.crc) = (0, 0);
                self.go(Phase::Block, TOKEN_BLOCK)
            }
            Phase::Block => self.send(card),
            Phase::BlockCrc { at } => self.send_crc(at, card),
            Phase::Write => self.receive(byte, card),
            Phase::WriteCrc { got } => self.receive_crc(got),
        }
    }

    fn go(&mut self, phase: Phase, answer: u8) -> u8 {
        self.phase = phase;
        answer
    }

    fn begin(&mut self, byte: u8, card: &mut dyn Card) -> u8 {
        match byte {
            TOKEN_BLOCK | TOKEN_MULTIPLE => {
                self.block = 0;
                self.unwanted = !card.receive_ready();
                self.phase = Phase::Write;
            }
            TOKEN_STOP => {
                card.command(12, 0);
            }
            _ if byte >> 6 == COMMAND >> 6 => {
                self.frame[0] = byte;
                self.phase = Phase::Argument { got: 0 };
            }
            _ => {}
        }
        REST
    }

    fn argument(&mut self, got: u8, byte: u8, card: &mut dyn Card) -> u8 {
        if let Some(place) = self.frame.get_mut(1 + usize::from(got)) {
            *place = byte;
        }
        if got < 4 {
            return self.go(Phase::Argument { got: got + 1 }, REST);
        }
        self.execute(card);
        self.go(Phase::Delay, REST)
    }

    fn execute(&mut self, card: &mut dyn Card) {
        let [first, a, b, c, d, crc] = self.frame;
        let (index, argument) = (first & 0x3f, u32::from_be_bytes([a, b, c, d]));
        self.response.clear();
        if self.checked && crc7(&self.frame[..5]) << 1 | 1 != crc {
            self.response.push(R1_CRC | u8::from(self.idle));
            return;
        }
        let SdResponse::Short(word) = card.command(index, argument) else {
            self.response.push(R1_ILLEGAL | u8::from(self.idle));
            return;
        };
        if matches!(index, 8 | 58) {
            self.response.push(u8::from(self.idle));
            self.response.extend(word.to_be_bytes());
            return;
        }
        let [r1, r2] = self.status(word);
        self.response.push(r1);
        match index {
            13 => self.response.push(r2),
            // Busy for a byte (R1b).
            28 | 29 | 38 => self.ends = true,
            0 => self.checked = false,
            59 if r1 & !R1_IDLE == 0 => self.checked = argument & 1 != 0,
            _ => {}
        }
    }

    fn status(&mut self, word: u32) -> [u8; 2] {
        self.idle = word >> STATE_SHIFT & 0xf < STATE_TRANSFER;
        let mut r2 = u16::from(self.idle) << 8;
        for (from, to) in R2 {
            if word & from.bits() != 0 {
                r2 |= to;
            }
        }
        r2.to_be_bytes()
    }

    fn respond(&mut self, at: u8, byte: u8, card: &mut dyn Card) -> u8 {
        if let Some(byte) = self.response.get(usize::from(at)).copied() {
            return self.go(Phase::Response { at: at + 1 }, byte);
        }
        if !std::mem::take(&mut self.ends) && card.data_ready() {
            return self.go(Phase::BlockStart, REST);
        }
        // The next command may follow a response at once (N_RC may be 0; section 7.5.1).
        self.phase = Phase::Command;
        self.begin(byte, card)
    }

    fn send(&mut self, card: &mut dyn Card) -> u8 {
        let byte = card.read_byte();
        self.block += 1;
        self.crc = crc16(self.crc, byte);
        if u64::from(self.block) >= BLOCK || !card.data_ready() {
            self.phase = Phase::BlockCrc { at: 0 };
        }
        byte
    }

    fn send_crc(&mut self, at: u8, card: &mut dyn Card) -> u8 {
        let [high, low] = self.crc.to_be_bytes();
        if at == 0 {
            return self.go(Phase::BlockCrc { at: 1 }, high);
        }
        let more = card.data_ready();
        self.go(if more { Phase::BlockDelay } else { Phase::Command }, low)
    }

    fn receive(&mut self, byte: u8, card: &mut dyn Card) -> u8 {
        card.write_byte(byte);
        self.block += 1;
        if u64::from(self.block) >= BLOCK || !card.receive_ready() && !self.unwanted {
            self.phase = Phase::WriteCrc { got: 0 };
        }
        REST
    }

    fn receive_crc(&mut self, got: u8) -> u8 {
        if got == 0 {
            return self.go(Phase::WriteCrc { got: 1 }, REST);
        }
        let unwanted = std::mem::take(&mut self.unwanted);
        self.response.clear();
        self.response.push(if unwanted { WRITE_ERROR } else { ACCEPTED });
        self.ends = true;
        self.go(Phase::Response { at: 0 }, REST)
    }
}
