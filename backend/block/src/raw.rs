//! `raw`: another node's blocks as they are, or a stretch of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::image::Image;
use crate::node::Node;

/// A stretch of another node.
pub(crate) struct Raw {
    below: Arc<Node>,
    offset: u64,
    /// Bytes, if the user said so; otherwise up to the end.
    size: Option<AtomicU64>,
    read_only: bool,
}

impl Raw {
    /// `offset` and `size` must lie in `below`.
    pub(crate) fn new(below: Arc<Node>, offset: u64, size: Option<u64>, read_only: bool) -> Self {
        Self {
            below,
            offset,
            size: size.map(AtomicU64::new),
            read_only,
        }
    }

    fn at(&self, offset: u64) -> io::Result<u64> {
        self.offset
            .checked_add(offset)
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl Image for Raw {
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.below.image().read(self.at(offset)?, out)
    }

    fn read_now(&self, offset: u64, out: &mut [u8]) -> Option<io::Result<()>> {
        self.below.image().read_now(self.at(offset).ok()?, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.below.image().write(self.at(offset)?, data)
    }

    fn flush(&self) -> io::Result<()> {
        self.below.flush()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.below.discard(self.at(offset)?, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        self.below.image().write_zeroes(self.at(offset)?, len, unmap)
    }

    fn len(&self) -> u64 {
        let all = self.below.image().len().saturating_sub(self.offset);
        self.size.as_ref().map_or(all, |s| s.load(Ordering::Relaxed).min(all))
    }

    fn resize(&self, len: u64) -> io::Result<()> {
        if self.size.is_some() {
            // A stretch that was named is as long as it was named.
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.below.image().resize(self.at(len)?)
    }

    fn instant(&self) -> Option<Duration> {
        self.below.image().instant()
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn filename(&self) -> String {
        self.below.image().filename()
    }

    fn allocated(&self) -> Option<u64> {
        self.below.image().allocated()
    }
}
