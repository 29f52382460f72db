//! The command machine of the flash: what a write means, and what a read shows. Contents are elsewhere.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

/// Status register of Intel's command set.
pub(crate) const READY: u8 = 0x80;
pub(crate) const ERASE_ERROR: u8 = 0x20;
pub(crate) const PROGRAM_ERROR: u8 = 0x10;

/// Where in a sequence of commands the flash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// It is memory.
    Array,
    Status,
    Identification,
    Query,
    /// The next write is a datum.
    Program,
    /// The next write confirms.
    Erase,
    Lock,
    /// The next write says how many data follow, less one.
    BufferCount,
    /// So many data follow.
    BufferData(u32),
    BufferConfirm,
}

/// What a write asks for beyond a change of mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    None,
    /// Write this datum.
    Program,
    /// Erase the block at this address.
    Erase,
    /// Put this datum into the buffer.
    Buffer,
    /// Write the buffer.
    Flush,
    /// The sequence makes no sense; back to memory.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) mode: Mode,
    pub(crate) status: u8,
    /// The write buffer, and where its block stands; empty if none is open.
    pub(crate) buffer: Vec<u8>,
    pub(crate) buffer_at: u64,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            mode: Mode::Array,
            status: READY,
            buffer: Vec::new(),
            buffer_at: 0,
        }
    }

    pub(crate) fn check(&self, buffer: usize, size: u64) -> Result<(), LoadError> {
        let open = self.buffer.len() == buffer;
        let placed = self.buffer_at.is_multiple_of(buffer.max(1) as u64) && self.buffer_at < size;
        let good = match self.mode {
            Mode::BufferData(left) => (1..=0x1_0000).contains(&left) && (self.buffer.is_empty() || open),
            Mode::BufferConfirm => self.buffer.is_empty() || open,
            _ => self.buffer.is_empty(),
        };
        if good && placed && self.status & !(READY | ERASE_ERROR | PROGRAM_ERROR) == 0 {
            return Ok(());
        }
        Err(LoadError::Impossible("flash command"))
    }

    /// A write to the bank. `count_mask` are the bits of a datum that one chip sees.
    pub(crate) fn write(&mut self, value: u32, count_mask: u32) -> Action {
        match self.mode {
            Mode::Array | Mode::Status | Mode::Identification | Mode::Query => self.command(value as u8),
            Mode::Program => {
                self.mode = Mode::Status;
                Action::Program
            }
            Mode::Erase => self.confirm(value as u8, Action::Erase),
            Mode::Lock => match value as u8 {
                // Blocks are never locked; setting and clearing it is accepted.
                0x01 | 0xd0 => {
                    self.mode = Mode::Status;
                    Action::None
                }
                _ => self.back_to_array(Action::None),
            },
            Mode::BufferCount => {
                self.mode = Mode::BufferData((value & count_mask).min(0xffff) + 1);
                Action::None
            }
            Mode::BufferData(left) => {
                self.mode = match left {
                    0 | 1 => Mode::BufferConfirm,
                    _ => Mode::BufferData(left - 1),
                };
                Action::Buffer
            }
            Mode::BufferConfirm if self.status & PROGRAM_ERROR != 0 => self.back_to_array(Action::None),
            Mode::BufferConfirm => self.confirm(value as u8, Action::Flush),
        }
    }

    fn command(&mut self, command: u8) -> Action {
        self.mode = match command {
            0x10 | 0x40 => Mode::Program,
            0x20 => Mode::Erase,
            0x50 => {
                self.status = READY;
                Mode::Array
            }
            0x60 => Mode::Lock,
            0x70 => Mode::Status,
            0x90 => Mode::Identification,
            0x98 => Mode::Query,
            0xe8 => Mode::BufferCount,
            // 0xf0 is AMD's: drivers probe with it. 0 is not assigned; QEMU takes it as 0xff.
            0x00 | 0xf0 | 0xff => Mode::Array,
            _ => return self.back_to_array(Action::Unknown),
        };
        Action::None
    }

    fn confirm(&mut self, value: u8, action: Action) -> Action {
        match value {
            0xd0 => {
                self.mode = Mode::Status;
                action
            }
            0xff => self.back_to_array(Action::None),
            _ => self.back_to_array(Action::Unknown),
        }
    }

    /// Back to being memory. What is in the buffer is lost.
    fn back_to_array(&mut self, action: Action) -> Action {
        self.mode = Mode::Array;
        self.buffer.clear();
        action
    }
}
