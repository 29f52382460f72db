//! What a card stores its blocks on. A block back end will be one of these; until then there is memory.

/// A medium of whole bytes.
pub trait Medium: Send {
    /// Bytes.
    fn size(&self) -> u64;
    /// Whether it can only be read.
    fn read_only(&self) -> bool;
    /// Copies out; false if the host cannot.
    fn read(&mut self, at: u64, out: &mut [u8]) -> bool;
    /// Copies in; false if the host cannot.
    fn write(&mut self, at: u64, data: &[u8]) -> bool;
}

/// A medium in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryMedium {
    /// The contents.
    pub bytes: Vec<u8>,
    /// Whether it can only be read.
    pub read_only: bool,
}

fn range(at: u64, len: usize) -> Option<std::ops::Range<usize>> {
    let at = usize::try_from(at).ok()?;
    Some(at..at.checked_add(len)?)
}

impl Medium for MemoryMedium {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, at: u64, out: &mut [u8]) -> bool {
        let from = range(at, out.len()).and_then(|r| self.bytes.get(r));
        from.map(|from| out.copy_from_slice(from)).is_some()
    }

    fn write(&mut self, at: u64, data: &[u8]) -> bool {
        let to = range(at, data.len()).and_then(|r| self.bytes.get_mut(r));
        to.map(|to| to.copy_from_slice(data)).is_some()
    }
}
