//! Thumb decoding, driven by one table of encodings per length (`t16`, `t32`).
//!
//! Each row is a picture of the encoding as the ARM ARM draws it (chapter A5 to A7): `0` and `1` must match, a letter names a
//! field (its bits are gathered from the top, wherever they stand), `-` is ignored. The first row that matches wins.
//! Decoding is total: whatever matches no row is [`Kind::Udf`].

mod t16;
mod t32;

use crate::insn::{Insn, Kind};

/// Bits of one encoding together with its picture.
pub(crate) struct Fields {
    picture: &'static [u8],
    raw: u32,
    /// Address of the instruction.
    pc: u32,
    /// Inside an IT block: most 16-bit forms then leave the flags alone.
    in_it: bool,
}

impl Fields {
    /// The field named by `letter`, gathered from the most significant bit down.
    fn get(&self, letter: u8) -> u32 {
        let mut value = 0;
        let mut bit = self.picture.iter().filter(|c| **c != b' ').count();
        for c in self.picture.iter().filter(|c| **c != b' ') {
            bit -= 1;
            if *c == letter {
                value = value << 1 | (self.raw >> bit) & 1;
            }
        }
        value
    }
    /// The value that reading the PC yields (ARM ARM A5.1.2).
    fn pc4(&self) -> u32 {
        self.pc.wrapping_add(4)
    }
}

/// One row of an encoding table.
pub struct Encoding {
    /// The ARM ARM's name of the encoding.
    pub name: &'static str,
    picture: &'static str,
    mask: u32,
    value: u32,
    build: fn(&Fields) -> Insn,
}

impl Encoding {
    const fn new(name: &'static str, picture: &'static str, build: fn(&Fields) -> Insn) -> Self {
        let bytes = picture.as_bytes();
        let (mut mask, mut value, mut i) = (0u32, 0u32, 0);
        while i < bytes.len() {
            if bytes[i] != b' ' {
                mask = mask << 1 | (bytes[i] == b'0' || bytes[i] == b'1') as u32;
                value = value << 1 | (bytes[i] == b'1') as u32;
            }
            i += 1;
        }
        Encoding {
            name,
            picture,
            mask,
            value,
            build,
        }
    }
    fn matches(&self, raw: u32) -> bool {
        raw & self.mask == self.value
    }
}

/// True when `hw` is the first half of a 32-bit instruction (ARM ARM A5.1).
pub const fn is_wide(hw: u16) -> bool {
    hw >> 11 >= 0b11101
}

/// The table row that a raw instruction matches. A 32-bit instruction has its first halfword on top.
pub fn find(raw: u32, wide: bool) -> Option<&'static Encoding> {
    let table: &[Encoding] = if wide { t32::TABLE } else { t16::TABLE };
    table.iter().find(|e| e.matches(raw))
}

/// Decodes the instruction `raw` that stands at `pc`.
///
/// `wide` tells a 32-bit instruction (first halfword on top), `in_it` that an IT block covers it.
pub fn decode(raw: u32, wide: bool, pc: u32, in_it: bool) -> Insn {
    let size = if wide { 4 } else { 2 };
    let mut insn = match find(raw, wide) {
        Some(e) => (e.build)(&Fields {
            picture: e.picture.as_bytes(),
            raw,
            pc,
            in_it,
        }),
        None => Insn::new(Kind::Udf),
    };
    insn.size = size;
    insn
}

#[cfg(test)]
mod tests;
