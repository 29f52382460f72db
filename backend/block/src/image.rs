//! What a driver makes: blocks that can be read and written. Called on worker threads, where it may block.

use std::io;
use std::time::Duration;

use crate::lock::{Locks, Share};
use crate::node::Use;

/// Blocks behind a node. Offsets and lengths are bytes; who calls has checked them against [`Image::len`].
pub(crate) trait Image: Send + Sync {
    /// Fills `out`. What lies behind the end of the host's file is zero.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// The same, if the host has it at hand: `None` if this thread would have to wait.
    fn read_now(&self, _offset: u64, _out: &mut [u8]) -> Option<io::Result<()>> {
        None
    }

    /// Writes all of `data`.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// What was written survives a crash of the host when this returns.
    fn flush(&self) -> io::Result<()>;

    /// The contents are of no use any more. May do nothing.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes the contents zero; `unmap`: giving space back is welcome.
    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()>;

    /// Bytes.
    fn len(&self) -> u64;

    /// Gives it another length.
    fn resize(&self, len: u64) -> io::Result<()>;

    /// Never waits for anything: requests are done where they are made, and are answered after this long.
    fn instant(&self) -> Option<Duration> {
        None
    }

    /// Locks against other processes as the users of the node need it together.
    fn lock(&self, _locks: Locks) -> Result<(), Share> {
        Ok(())
    }

    /// How the node below is used where this one is used so.
    fn below_use(&self, wants: Use) -> Use {
        wants
    }

    /// Whether what is written is gone with the disk.
    fn is_temporary(&self) -> bool {
        false
    }

    /// Why it cannot be written, if so.
    fn read_only(&self) -> bool;

    /// What `info block` shows.
    fn filename(&self) -> String;

    /// Bytes that the host really keeps for it.
    fn allocated(&self) -> Option<u64> {
        None
    }
}
