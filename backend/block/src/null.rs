//! `null-co` and `null-aio`: blocks of which nobody keeps anything. For measuring what stands before them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::image::Image;

/// Nothing, of a length.
pub(crate) struct Null {
    len: AtomicU64,
    latency: Duration,
    /// Reads give zeros. Otherwise they give whatever the reader's memory had, which is zeros here, too: memory of ours that is handed
    /// on has to be in a known state, and unlike in C that costs nothing.
    zeroes: bool,
    read_only: bool,
}

impl Null {
    pub(crate) fn new(len: u64, latency: Duration, zeroes: bool, read_only: bool) -> Self {
        Self {
            len: AtomicU64::new(len),
            latency,
            zeroes,
            read_only,
        }
    }
}

impl Image for Null {
    fn read(&self, _: u64, out: &mut [u8]) -> io::Result<()> {
        if self.zeroes {
            out.fill(0);
        }
        Ok(())
    }

    fn read_now(&self, offset: u64, out: &mut [u8]) -> Option<io::Result<()>> {
        Some(self.read(offset, out))
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn write_zeroes(&self, _: u64, _: u64, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    fn resize(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn instant(&self) -> Option<Duration> {
        Some(self.latency)
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn filename(&self) -> String {
        "null-co://".into()
    }

    fn allocated(&self) -> Option<u64> {
        Some(0)
    }
}
