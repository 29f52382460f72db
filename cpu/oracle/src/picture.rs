//! Encodings drawn as pictures, as the ARM ARM does: `0` and `1` are fixed, a letter names a field, blanks do not count.
//!
//! These are this crate's own pictures, written down from the manual apart from the engine's, so that a slip there shows here.

/// One picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture(pub &'static str);

impl Picture {
    fn bits(self) -> impl Iterator<Item = u8> {
        self.0.bytes().filter(|b| *b != b' ')
    }
    /// 16 or 32.
    pub fn len(self) -> usize {
        self.bits().count()
    }
    /// Never: a picture has bits.
    pub fn is_empty(self) -> bool {
        false
    }
    /// Whether `raw` has the fixed bits.
    pub fn matches(self, raw: u32) -> bool {
        let n = self.len();
        self.bits().enumerate().all(|(i, b)| match b {
            b'0' | b'1' => raw >> (n - 1 - i) & 1 == u32::from(b - b'0'),
            _ => true,
        })
    }
    /// The field of that letter, gathered from the top.
    pub fn get(self, raw: u32, letter: u8) -> u32 {
        let n = self.len();
        self.bits()
            .enumerate()
            .filter(|(_, b)| *b == letter)
            .fold(0, |v, (i, _)| v << 1 | raw >> (n - 1 - i) & 1)
    }
    /// `raw` with the field of that letter set.
    pub fn put(self, raw: u32, letter: u8, value: u32) -> u32 {
        let n = self.len();
        let mut left = self.width(letter);
        let mut out = raw;
        for (i, b) in self.bits().enumerate() {
            if b == letter {
                left -= 1;
                let at = n - 1 - i;
                out = out & !(1 << at) | (value >> left & 1) << at;
            }
        }
        out
    }
    /// Bits of the field of that letter.
    pub fn width(self, letter: u8) -> u32 {
        self.bits().filter(|b| *b == letter).count() as u32
    }
    /// The fixed bits, all fields zero.
    pub fn blank(self) -> u32 {
        self.bits().fold(0, |v, b| v << 1 | u32::from(b == b'1'))
    }
    /// The letters in it, each once.
    pub fn letters(self) -> Vec<u8> {
        let mut out: Vec<u8> = self.bits().filter(u8::is_ascii_alphabetic).collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_gathered_and_scattered() {
        let p = Picture("11110 i 000001 nnnn 0 iii 1111 iiiiiiii");
        let raw = p.put(p.put(p.blank(), b'i', 0x8a5), b'n', 7);
        assert!(p.matches(raw));
        assert_eq!((p.get(raw, b'i'), p.get(raw, b'n'), raw), (0x8a5, 7, 0xf417_0fa5));
        assert_eq!(p.letters(), b"in");
        assert!(!p.matches(raw ^ 0x8000));
    }
}
