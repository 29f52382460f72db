//! A message as it lies in a record of the ring: number, session, length, checksum, text.

use board::{Block, link::RECORD_SIZE};
use core::fmt;

const NUMBER: usize = 0;
const SESSION: usize = 4;
const LENGTH: usize = 8;
const CHECKSUM: usize = 12;
const TEXT: usize = 16;
const TEXT_SIZE: usize = RECORD_SIZE - TEXT;

/// What is wrong with a record.
#[derive(Debug)]
pub(crate) enum Bad {
    Checksum { says: u32, is: u32 },
    Length(u32),
    Session { says: u32, is: u32 },
    Text,
}

/// A numbered text of at most 48 bytes.
pub(crate) struct Message {
    pub(crate) number: u32,
    pub(crate) session: u32,
    length: usize,
    text: [u8; TEXT_SIZE],
}

impl Message {
    pub(crate) fn new(number: u32, session: u32, text: fmt::Arguments<'_>) -> Self {
        let mut message = Self {
            number,
            session,
            length: 0,
            text: [0; TEXT_SIZE],
        };
        // A text that is too long is cut.
        let _ = fmt::Write::write_fmt(&mut message, text);
        message
    }

    /// Copies it out of the ring first and checks the copy, since the other board could write meanwhile.
    pub(crate) fn read(record: Block, session: u32) -> Result<Self, Bad> {
        let length = record.read(LENGTH);
        let mut message = Self {
            number: record.read(NUMBER),
            session: record.read(SESSION),
            length: length as usize,
            text: [0; TEXT_SIZE],
        };
        for (i, word) in message.text.chunks_exact_mut(4).enumerate() {
            word.copy_from_slice(&record.read(TEXT + 4 * i).to_le_bytes());
        }
        if message.length > TEXT_SIZE {
            return Err(Bad::Length(length));
        }
        let (says, is) = (record.read(CHECKSUM), message.checksum());
        if says != is {
            return Err(Bad::Checksum { says, is });
        }
        if message.session != session {
            return Err(Bad::Session {
                says: message.session,
                is: session,
            });
        }
        if core::str::from_utf8(&message.text[..message.length]).is_err() {
            return Err(Bad::Text);
        }
        Ok(message)
    }

    pub(crate) fn write(&self, record: Block) {
        record.write(NUMBER, self.number);
        record.write(SESSION, self.session);
        record.write(LENGTH, self.length as u32);
        record.write(CHECKSUM, self.checksum());
        for (i, word) in self.text.chunks_exact(4).enumerate() {
            let word = word.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
            record.write(TEXT + 4 * i, word);
        }
    }

    pub(crate) fn text(&self) -> &str {
        core::str::from_utf8(&self.text[..self.length]).unwrap_or("?")
    }

    /// CRC-32 (IEEE 802.3) over all but itself.
    fn checksum(&self) -> u32 {
        let head = [self.number, self.session, self.length as u32];
        let bytes = head.iter().flat_map(|word| word.to_le_bytes()).chain(self.text);
        !bytes.fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}

impl fmt::Write for Message {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for byte in s.bytes() {
            *self.text.get_mut(self.length).ok_or(fmt::Error)? = byte;
            self.length += 1;
        }
        Ok(())
    }
}
