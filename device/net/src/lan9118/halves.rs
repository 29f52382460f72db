//! How a host with a 16-bit bus reaches 32-bit registers: two halfwords, in either order. The first read of a pair reads the register
//! and the second gets the rest of it; the second write of a pair writes it (data sheet 3.6).

use serde::{Deserialize, Serialize};

/// Pairs that are half done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Halves {
    read: Option<(u64, u32)>,
    write: Option<(u64, u16)>,
}

fn half(word: u32, upper: bool) -> u16 {
    (if upper { word >> 16 } else { word }) as u16
}

impl Halves {
    /// A read of one half of the register at `offset`; `register` reads the whole one.
    pub(super) fn read(&mut self, offset: u64, upper: bool, register: impl FnOnce() -> u32) -> u16 {
        match self.read.take() {
            Some((first, word)) if first == offset => half(word, upper),
            _ => {
                let word = register();
                self.read = Some((offset, word));
                half(word, upper)
            }
        }
    }

    /// A write of one half; gives the whole word when both are there.
    pub(super) fn write(&mut self, offset: u64, upper: bool, value: u16) -> Option<u32> {
        match self.write.take() {
            Some((first, other)) if first == offset => Some(if upper {
                u32::from(value) << 16 | u32::from(other)
            } else {
                u32::from(other) << 16 | u32::from(value)
            }),
            _ => {
                self.write = Some((offset, value));
                None
            }
        }
    }
}
