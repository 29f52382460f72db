//! What the shared memory holds, as the one device of a group that is its master takes it along to another host.

use std::ops::ControlFlow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error, de::Visitor};
use southbridge_core::{LoadError, RamBlock};

/// Most that is saved, in bytes that are in pages with something in them.
pub(super) const LIMIT: u64 = 64 << 20;
const PAGE: usize = 4096;
/// Bytes that are read at a time.
const CHUNK: u64 = 64 << 10;
const ZEROS: [u8; PAGE] = [0; PAGE];

/// Contents of shared memory: its pages that are not all zero.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Offset and bytes; neighbours are one entry.
    runs: Vec<(u64, Bytes)>,
}

impl Contents {
    /// Takes them; `None` if they are more than [`LIMIT`].
    pub(super) fn of(block: &RamBlock) -> Option<Self> {
        let mut runs: Vec<(u64, Bytes)> = Vec::new();
        let mut total = 0;
        let flow = each_page(block, |offset, page| {
            total += page.len() as u64;
            if total > LIMIT {
                return ControlFlow::Break(());
            }
            match runs.last_mut() {
                Some((start, bytes)) if *start + bytes.0.len() as u64 == offset => bytes.0.extend_from_slice(page),
                _ => runs.push((offset, Bytes(page.to_vec()))),
            }
            ControlFlow::Continue(())
        });
        flow.is_continue().then_some(Self { runs })
    }

    /// Whether the contents of a block are more than [`LIMIT`].
    pub(super) fn exceed(block: &RamBlock) -> bool {
        let mut total = 0;
        let flow = each_page(block, |_, page| {
            total += page.len() as u64;
            if total > LIMIT {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        flow.is_break()
    }

    /// Whether they are of memory of `size` bytes.
    pub(super) fn check(&self, size: u64) -> Result<(), LoadError> {
        let fits = |(start, bytes): &(u64, Bytes)| {
            let end = start.checked_add(bytes.0.len() as u64);
            end.is_some_and(|e| e <= size)
        };
        let all = self.runs.iter().all(fits);
        all.then_some(())
            .ok_or(LoadError::Impossible("contents beyond the end of the shared memory"))
    }

    /// Lets a block hold exactly these; what does not fit is left out. Pages that are zero and stay so are not touched.
    pub(super) fn put(&self, block: &RamBlock) {
        let _ = each_page(block, |offset, page| {
            let _ = block.write(offset, &ZEROS[..page.len()]);
            ControlFlow::Continue(())
        });
        for (offset, bytes) in &self.runs {
            let _ = block.write(*offset, &bytes.0);
        }
    }
}

/// Calls `f` for each page that is not all zero.
fn each_page(block: &RamBlock, mut f: impl FnMut(u64, &[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut buffer = vec![0; CHUNK as usize];
    let mut at = 0;
    while at < block.len() {
        let len = CHUNK.min(block.len() - at) as usize;
        read(block, at, &mut buffer[..len]);
        for (i, page) in buffer[..len].chunks(PAGE).enumerate() {
            if *page != ZEROS[..page.len()] {
                f(at + (i * PAGE) as u64, page)?;
            }
        }
        at += CHUNK;
    }
    ControlFlow::Continue(())
}

/// Reads by the descriptor where that works: looking at a page that nobody has touched through the mapping would allocate it.
fn read(block: &RamBlock, at: u64, out: &mut [u8]) {
    let n = rustix::io::pread(block.fd(), &mut *out, at).unwrap_or(0);
    if n < out.len() && !block.read(at, out) {
        out.fill(0);
    }
}

/// Bytes that are saved as a string of bytes and not as a list of numbers.
#[derive(Clone, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string of bytes")
            }
            fn visit_bytes<E: Error>(self, v: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(v.to_vec()))
            }
            fn visit_byte_buf<E: Error>(self, v: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(v))
            }
        }
        d.deserialize_byte_buf(Reader)
    }
}
