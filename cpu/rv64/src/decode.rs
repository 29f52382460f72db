//! From bits to rows of the instruction table.

use crate::compressed;
use crate::exec::TABLES;
use crate::ext::Extensions;
use crate::insn::{Entry, Insn};

/// The rows of the extensions that a hart has, by major opcode and funct3.
pub(crate) struct Decoder {
    buckets: Vec<Vec<&'static Entry>>,
    compressed: bool,
    double: bool,
}

fn bucket(raw: u32) -> usize {
    (raw >> 2 & 31 | (raw >> 12 & 7) << 5) as usize
}

impl Decoder {
    pub(crate) fn new(ext: Extensions) -> Self {
        let mut buckets = vec![Vec::new(); 256];
        let rows = TABLES.iter().flat_map(|t| t.iter()).filter(|e| ext.contains(e.ext));
        for entry in rows {
            for (i, bucket) in buckets.iter_mut().enumerate() {
                let raw = 3 | (i as u32 & 31) << 2 | (i as u32 >> 5) << 12;
                let mask = entry.mask & 0x707f;
                if raw & mask == entry.bits & mask {
                    bucket.push(entry);
                }
            }
        }
        Self {
            buckets,
            compressed: ext.contains(Extensions::C),
            double: ext.contains(Extensions::D),
        }
    }

    /// Length in bytes of the instruction that begins with this halfword.
    pub(crate) fn length(first: u16) -> u8 {
        if first & 3 == 3 { 4 } else { 2 }
    }

    /// Decodes an instruction of 2 or 4 bytes; `None` if it is illegal.
    pub(crate) fn decode(&self, raw: u32) -> Option<Insn> {
        let wide = match raw & 3 {
            3 => raw,
            _ if self.compressed => compressed::expand(raw as u16, self.double)?,
            _ => return None,
        };
        let rows = self.buckets.get(bucket(wide))?;
        let entry = rows.iter().find(|e| wide & e.mask == e.bits)?;
        Some(Insn::of(entry, wide))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_bits() {
        let all = Decoder::new(Extensions::all());
        let rows: Vec<_> = TABLES.iter().flat_map(|t| t.iter()).collect();
        assert!(rows.len() > 150);
        for row in rows {
            assert_eq!(row.bits & !row.mask, 0, "{}", row.name);
            let found = all.decode(row.bits).map(|i| i.entry.name);
            // Rows of more bits stand before those that contain them.
            assert_eq!(found, Some(row.name));
        }
    }

    #[test]
    fn nothing_is_found_without_its_extension() {
        let none = Decoder::new(Extensions::I);
        for row in TABLES.iter().flat_map(|t| t.iter()).filter(|r| r.ext != Extensions::I) {
            let found = none.decode(row.bits);
            assert!(found.is_none_or(|i| i.entry.ext == Extensions::I), "{}", row.name);
        }
        assert!(none.decode(0x4505).is_none());
    }
}
