//! Little-endian fields, one after the other.

/// Bytes that grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Zeros up to an offset.
    pub(crate) fn up_to(mut self, offset: usize) -> Self {
        self.0.resize(self.0.len().max(offset), 0);
        self
    }
}

/// A GUID as its 16 bytes stand in memory, from its usual writing: the first three groups are little-endian numbers.
pub(crate) fn guid(a: u32, b: u16, c: u16, rest: [u8; 8]) -> [u8; 16] {
    let bytes = Bytes::new().u32(a).u16(b).u16(c).bytes(&rest);
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes.0);
    guid
}

/// A text of 16-bit characters with a zero at its end.
pub(crate) fn wide_text(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}
