//! Configuration space as bytes with a rule for each bit: fixed, writable, or cleared by writing a 1.
//!
//! It knows nothing of what the bits mean. Every offset and size is taken: what lies beyond the space reads as ones and takes no
//! writes, as on a bus where nobody answers.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

use crate::regs::{CONVENTIONAL_LEN, EXPRESS_LEN};

/// Configuration space of one function.
#[derive(Debug, Clone)]
pub struct ConfigSpace {
    bytes: Box<[u8]>,
    writable: Box<[u8]>,
    clears: Box<[u8]>,
    /// What reset brings back.
    initial: Box<[u8]>,
    /// Bits that reset leaves alone (sticky, or set by the board).
    sticky: Box<[u8]>,
}

/// The saved form: the bytes alone, as the rules are the type's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SavedConfig(Vec<u8>);

impl ConfigSpace {
    /// 256 bytes, or 4096 for PCI Express; all 0 and read-only.
    pub fn new(express: bool) -> Self {
        let len = if express { EXPRESS_LEN } else { CONVENTIONAL_LEN };
        let zeros = || vec![0; len].into_boxed_slice();
        Self {
            bytes: zeros(),
            writable: zeros(),
            clears: zeros(),
            initial: zeros(),
            sticky: zeros(),
        }
    }

    /// Bytes of the space: 256 or 4096.
    #[expect(clippy::len_without_is_empty, reason = "a configuration space is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// 1, 2 or 4 bytes as software reads them; ones for bytes that are not there.
    pub fn read(&self, offset: u16, size: u8) -> u32 {
        (0..u32::from(size.min(4))).fold(0, |value, i| {
            let byte = self.bytes.get(usize::from(offset) + i as usize).copied();
            value | u32::from(byte.unwrap_or(0xff)) << (8 * i)
        })
    }

    /// 1, 2 or 4 bytes as software writes them.
    pub fn write(&mut self, offset: u16, size: u8, value: u32) {
        for i in 0..usize::from(size.min(4)) {
            let at = usize::from(offset) + i;
            let new = (value >> (8 * i)) as u8;
            let (Some(byte), Some(w), Some(c)) = (self.bytes.get_mut(at), self.writable.get(at), self.clears.get(at))
            else {
                return;
            };
            *byte = ((*byte & !w) | (new & w)) & !(new & c);
        }
    }

    /// Whether an access of software touches `at..at + len`.
    pub const fn touches(offset: u16, size: u8, at: u16, len: u16) -> bool {
        (offset as u32) < at as u32 + len as u32 && (at as u32) < offset as u32 + size as u32
    }

    /// A byte, whatever the rules.
    pub fn u8(&self, at: u16) -> u8 {
        self.bytes.get(usize::from(at)).copied().unwrap_or(0)
    }

    /// A word, whatever the rules.
    pub fn u16(&self, at: u16) -> u16 {
        u16::from(self.u8(at)) | u16::from(self.u8(at.wrapping_add(1))) << 8
    }

    /// A double word, whatever the rules.
    pub fn u32(&self, at: u16) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at.wrapping_add(2))) << 16
    }

    /// Sets a byte while the machine runs, whatever the rules.
    pub fn set_u8(&mut self, at: u16, value: u8) {
        if let Some(b) = self.bytes.get_mut(usize::from(at)) {
            *b = value;
        }
    }

    /// Sets a word while the machine runs.
    pub fn set_u16(&mut self, at: u16, value: u16) {
        self.set_u8(at, value as u8);
        self.set_u8(at.wrapping_add(1), (value >> 8) as u8);
    }

    /// Sets a double word while the machine runs.
    pub fn set_u32(&mut self, at: u16, value: u32) {
        self.set_u16(at, value as u16);
        self.set_u16(at.wrapping_add(2), (value >> 16) as u16);
    }

    /// Sets or clears bits of a word while the machine runs.
    pub fn set_bits16(&mut self, at: u16, bits: u16, on: bool) {
        let old = self.u16(at);
        self.set_u16(at, if on { old | bits } else { old & !bits });
    }

    /// Declares a field of `len` bytes: its value at reset, the bits that software may change and those that a written 1 clears.
    pub fn declare(&mut self, at: u16, len: u8, value: u32, writable: u32, clears: u32) {
        for i in 0..usize::from(len.min(4)) {
            let k = usize::from(at) + i;
            let byte = |v: u32| (v >> (8 * i)) as u8;
            if k < self.bytes.len() {
                self.bytes[k] = byte(value);
                self.initial[k] = byte(value);
                self.writable[k] = byte(writable);
                self.clears[k] = byte(clears);
            }
        }
    }

    /// Declares bits that no reset of the function changes (PCI Express: sticky registers).
    pub fn declare_sticky(&mut self, at: u16, len: u8, bits: u32) {
        for i in 0..usize::from(len.min(4)) {
            if let Some(s) = self.sticky.get_mut(usize::from(at) + i) {
                *s = (bits >> (8 * i)) as u8;
            }
        }
    }

    /// Back to what was declared; `all` takes the sticky bits too (power-on).
    pub fn reset(&mut self, all: bool) {
        for (i, b) in self.bytes.iter_mut().enumerate() {
            let keep = if all { 0 } else { self.sticky[i] };
            *b = (*b & keep) | (self.initial[i] & !keep);
        }
    }

    /// The bytes.
    pub fn save(&self) -> SavedConfig {
        SavedConfig(self.bytes.to_vec())
    }

    /// Whether saved bytes are of a space of this size.
    pub fn check(&self, saved: &SavedConfig) -> Result<(), LoadError> {
        let fits = saved.0.len() == self.bytes.len();
        fits.then_some(())
            .ok_or(LoadError::Impossible("the size of a configuration space"))
    }

    /// Takes bytes back. Bits that software can neither write nor clear and that the machine does not set stay as they are:
    /// a hostile state cannot give a function another identity.
    pub fn load(&mut self, saved: &SavedConfig) -> Result<(), LoadError> {
        self.check(saved)?;
        let identity = |at: usize| matches!(at, 0..=3 | 8..=0xb | 0xe | 0x2c..=0x2f | 0x34 | 0x3d);
        for (at, (b, new)) in self.bytes.iter_mut().zip(&saved.0).enumerate() {
            if !identity(at) || self.writable[at] != 0 {
                *b = *new;
            }
        }
        Ok(())
    }
}
