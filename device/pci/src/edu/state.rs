//! The registers of `edu` (QEMU `docs/specs/edu`, "MMIO area spec"), without the bus.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

/// Bytes of the DMA buffer.
pub(super) const BUFFER: usize = 4096;
/// Where engines see it.
const BUFFER_AT: u64 = 0x40000;
const IDENTITY: u64 = 0x0100_00ed;

const COMPUTING: u32 = 1;
const FACTORIAL_INTERRUPT: u32 = 0x80;
const FACTORIAL_DONE: u32 = 1;
const DMA_DONE: u32 = 0x100;
const RUN: u64 = 1;
const TO_MEMORY: u64 = 2;
const DMA_INTERRUPT: u64 = 4;

/// Registers and buffer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    liveness: u32,
    factorial: u32,
    status: u32,
    interrupts: u32,
    source: u64,
    target: u64,
    count: u64,
    command: u64,
    buffer: Vec<u8>,
}

/// What a write asks of the device.
pub(super) enum Wish {
    Nothing,
    Factorial(u32),
    Dma,
    Raise(u32),
    Sync,
}

/// Which way a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToDevice,
    ToMemory,
}

/// A transfer as programmed.
pub(super) struct Transfer {
    pub(super) direction: Direction,
    /// Address on the bus.
    pub(super) memory: u64,
    /// Offset in the buffer; wraps if the guest's address lies before it.
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            liveness: 0,
            factorial: 0,
            status: 0,
            interrupts: 0,
            source: 0,
            target: 0,
            count: 0,
            command: 0,
            buffer: vec![0; BUFFER],
        }
    }

    pub(super) fn check(&self) -> Result<(), LoadError> {
        let fits = self.buffer.len() == BUFFER;
        fits.then_some(())
            .ok_or(LoadError::Impossible("the size of a DMA buffer"))
    }

    /// Registers below 0x80 take double words, those from there on also quad words; others read as ones.
    fn takes(offset: u64, size: u8) -> bool {
        size == 4 || (size == 8 && offset >= 0x80)
    }

    pub(super) fn read(&self, offset: u64, size: u8) -> u64 {
        if !Self::takes(offset, size) {
            return u64::MAX;
        }
        match offset {
            0x00 => IDENTITY,
            0x04 => self.liveness.into(),
            0x08 => self.factorial.into(),
            0x20 => self.status.into(),
            0x24 => self.interrupts.into(),
            0x80 => self.source,
            0x88 => self.target,
            0x90 => self.count,
            0x98 => self.command,
            _ => u64::MAX,
        }
    }

    pub(super) fn write(&mut self, offset: u64, size: u8, value: u64) -> Wish {
        if !Self::takes(offset, size) {
            return Wish::Nothing;
        }
        let word = value as u32;
        let idle = self.command & RUN == 0;
        match offset {
            0x04 => self.liveness = !word,
            0x08 if self.status & COMPUTING == 0 => {
                self.factorial = word;
                self.status |= COMPUTING;
                return Wish::Factorial(word);
            }
            0x20 => self.status = self.status & !FACTORIAL_INTERRUPT | word & FACTORIAL_INTERRUPT,
            0x60 => return Wish::Raise(word),
            0x64 => {
                self.interrupts &= !word;
                return Wish::Sync;
            }
            0x80 if idle => self.source = value,
            0x88 if idle => self.target = value,
            0x90 if idle => self.count = value,
            0x98 if idle && value & RUN != 0 => {
                self.command = value;
                return Wish::Dma;
            }
            _ => {}
        }
        Wish::Nothing
    }

    pub(super) fn raise(&mut self, cause: u32) {
        self.interrupts |= cause;
    }

    pub(super) fn interrupts(&self) -> u32 {
        self.interrupts
    }

    /// The product is there; the cause of an interrupt, if one is wanted.
    pub(super) fn finish_factorial(&mut self) -> Option<u32> {
        if self.status & COMPUTING == 0 {
            return None;
        }
        self.factorial = factorial(self.factorial);
        self.status &= !COMPUTING;
        (self.status & FACTORIAL_INTERRUPT != 0).then_some(FACTORIAL_DONE)
    }

    /// The transfer under way.
    pub(super) fn transfer(&self) -> Option<Transfer> {
        if self.command & RUN == 0 {
            return None;
        }
        let (direction, memory, buffer) = match self.command & TO_MEMORY {
            0 => (Direction::ToDevice, self.source, self.target),
            _ => (Direction::ToMemory, self.target, self.source),
        };
        Some(Transfer {
            direction,
            memory,
            offset: buffer.wrapping_sub(BUFFER_AT),
            len: self.count,
        })
    }

    /// A part of the buffer, if there is such a part.
    pub(super) fn buffer_mut(&mut self, offset: u64, len: u64) -> Option<&mut [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.buffer.get_mut(start..end)
    }

    /// The transfer is over; the cause of an interrupt, if one is wanted.
    pub(super) fn finish_dma(&mut self) -> Option<u32> {
        let ran = self.command & RUN != 0;
        self.command &= !RUN;
        (ran && self.command & DMA_INTERRUPT != 0).then_some(DMA_DONE)
    }
}

/// Modulo 2^32. From 34 on two to the power of 32 is among the factors, so that no guest makes this loop long.
fn factorial(n: u32) -> u32 {
    if n >= 34 {
        return 0;
    }
    (1..=n).fold(1, u32::wrapping_mul)
}
