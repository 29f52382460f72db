//! The serial EEPROM beside the chip, a 93C46 of 128 bytes, and the commands that reach it (data sheet 3.10 and 5.3.23).

use serde::{Deserialize, Serialize};

/// Bytes.
pub(super) const SIZE: usize = 128;
/// First byte of an EEPROM that holds a MAC address.
const PROGRAMMED: u8 = 0xa5;

/// What the guest can do with it: E2P_CMD 30:28.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Read,
    /// Writes and erasures have no effect from now on.
    Disable,
    Enable,
    Write,
    WriteAll,
    Erase,
    EraseAll,
    /// Loads the MAC address again.
    Reload,
}

impl Command {
    pub(super) const fn of(field: u32) -> Self {
        match field & 7 {
            0 => Self::Read,
            1 => Self::Disable,
            2 => Self::Enable,
            3 => Self::Write,
            4 => Self::WriteAll,
            5 => Self::Erase,
            6 => Self::EraseAll,
            _ => Self::Reload,
        }
    }
}

/// Its contents; they outlive reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Eeprom {
    bytes: Vec<u8>,
    writable: bool,
}

impl Eeprom {
    /// One that holds a MAC address and is blank otherwise.
    pub(super) fn new(mac: [u8; 6]) -> Self {
        let mut bytes = vec![0xff; SIZE];
        bytes[0] = PROGRAMMED;
        bytes[1..7].copy_from_slice(&mac);
        Self { bytes, writable: false }
    }

    pub(super) fn valid(&self) -> bool {
        self.bytes.len() == SIZE
    }

    /// The latch that allows writing closes at reset.
    pub(super) fn reset(&mut self) {
        self.writable = false;
    }

    /// The MAC address, if there is one.
    pub(super) fn mac(&self) -> Option<[u8; 6]> {
        match self.bytes.as_slice() {
            [PROGRAMMED, mac @ ..] => mac.first_chunk().copied(),
            _ => None,
        }
    }

    /// Does what a command says, but for `Reload`, which is the chip's affair. `data` is E2P_DATA both ways.
    pub(super) fn run(&mut self, command: Command, address: u32, data: &mut u8) {
        let writable = self.writable;
        let cell = self.bytes.get_mut(address as usize);
        match (command, cell) {
            (Command::Read, Some(cell)) => *data = *cell,
            (Command::Disable, _) => self.writable = false,
            (Command::Enable, _) => self.writable = true,
            // Programming only clears bits.
            (Command::Write, Some(cell)) if writable => *cell &= *data,
            (Command::WriteAll, _) if writable => self.bytes.iter_mut().for_each(|b| *b &= *data),
            (Command::Erase, Some(cell)) if writable => *cell = 0xff,
            (Command::EraseAll, _) if writable => self.bytes.fill(0xff),
            _ => {}
        }
    }
}
