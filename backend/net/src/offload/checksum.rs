//! The checksum of the Internet (RFC 1071).

/// A sum that is not folded yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds bytes, of which all but the last piece must be an even number.
    pub(crate) fn add(mut self, data: &[u8]) -> Self {
        let (words, rest) = data.as_chunks::<4>();
        for w in words {
            self.0 += u64::from(u32::from_be_bytes(*w));
        }
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        self.0 += u64::from(u32::from_be_bytes(last));
        self
    }

    pub(crate) fn add_word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }
}

/// What stands in the field.
pub(crate) fn finish(sum: Sum) -> u16 {
    let mut s = sum.0;
    while s >> 16 != 0 {
        s = (s & 0xffff) + (s >> 16);
    }
    !(s as u16)
}
