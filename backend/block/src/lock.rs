//! Locks of an image against other processes: the bytes of the file that QEMU 10 locks (block/file-posix.c), so that neither program
//! writes to what the other uses.
//!
//! Each right has a byte in each of two rows. Who has the right holds a read lock on its byte of the first row; who does not let others
//! have it holds one on its byte of the second. Whoever wants to know tests for a write lock. The locks belong to the open file and end
//! with it, whatever becomes of the process.

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

/// First byte of the rights that are held.
const HELD: i64 = 100;
/// First byte of the rights that are kept from others.
const KEPT: i64 = 200;

/// Right to read what stays as it is.
const READ: i64 = 0;
/// Right to write.
const WRITE: i64 = 1;
/// Right to change the length.
const RESIZE: i64 = 3;

/// What all users of an image need together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Locks {
    /// Somebody reads.
    pub(crate) read: bool,
    /// Somebody writes.
    pub(crate) write: bool,
    /// Somebody changes the length as it likes.
    pub(crate) resize: bool,
    /// Nobody else may write.
    pub(crate) keep_write: bool,
}

impl Locks {
    /// Both at once.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            read: self.read || other.read,
            write: self.write || other.write,
            resize: self.resize || other.resize,
            keep_write: self.keep_write || other.keep_write,
        }
    }

    fn bytes(self) -> [(i64, bool); 4] {
        [
            (HELD + READ, self.read),
            (HELD + WRITE, self.write),
            (HELD + RESIZE, self.resize),
            (KEPT + WRITE, self.keep_write),
        ]
    }

    /// Bytes on which another process must hold nothing, with the right that is meant.
    fn forbidden(self) -> [(i64, bool, &'static str); 4] {
        [
            (KEPT + READ, self.read, "consistent read"),
            (KEPT + WRITE, self.write, "write"),
            (KEPT + RESIZE, self.resize, "resize"),
            (HELD + WRITE, self.keep_write, "shared \"write\""),
        ]
    }
}

/// Why an image could not be locked.
#[derive(Debug)]
pub(crate) enum Share {
    /// Another process has or keeps this right.
    Taken(&'static str),
    /// The host cannot lock it.
    Host(io::Error),
}

/// The locks on one open file.
#[derive(Debug, Default)]
pub(crate) struct FileLocks(Mutex<Locks>);

impl FileLocks {
    /// Moves from what is locked to `wanted`; on an error all is as before.
    pub(crate) fn set(&self, file: &File, wanted: Locks) -> Result<(), Share> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let back = *now;
        // First hold, then look: of two that come at once at least one sees the other.
        let result = Self::apply(file, wanted.and(back)).and_then(|()| Self::test(file, wanted));
        match result {
            Ok(()) => {
                *now = wanted;
                Self::apply(file, wanted)
            }
            Err(e) => {
                let _ = Self::apply(file, back);
                Err(e)
            }
        }
    }

    fn apply(file: &File, locks: Locks) -> Result<(), Share> {
        for (byte, on) in locks.bytes() {
            let kind = if on { libc::F_RDLCK } else { libc::F_UNLCK };
            let lock = request(kind, byte);
            fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).map_err(|e| Share::Host(e.into()))?;
        }
        Ok(())
    }

    fn test(file: &File, locks: Locks) -> Result<(), Share> {
        for (byte, _, right) in locks.forbidden().into_iter().filter(|(_, on, _)| *on) {
            let mut lock = request(libc::F_WRLCK, byte);
            fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)).map_err(|e| Share::Host(e.into()))?;
            if i32::from(lock.l_type) != libc::F_UNLCK {
                return Err(Share::Taken(right));
            }
        }
        Ok(())
    }
}

fn request(kind: i32, byte: i64) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: byte,
        l_len: 1,
        // Must be 0 for locks of open files (fcntl(2)).
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: Locks = Locks {
        read: true,
        write: false,
        resize: false,
        keep_write: true,
    };
    const WRITER: Locks = Locks { write: true, ..READER };

    #[test]
    fn one_writes_or_many_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, [0; 512]).unwrap();
        // Locks are of the open file, so that two of them in one process are as good as two processes.
        let open = || File::options().read(true).write(true).open(&path).unwrap();
        let (a, b, c) = (open(), open(), open());
        let (la, lb, lc) = (FileLocks::default(), FileLocks::default(), FileLocks::default());
        la.set(&a, READER).unwrap();
        lb.set(&b, READER).unwrap();
        assert!(matches!(lc.set(&c, WRITER), Err(Share::Taken("write"))));
        la.set(&a, Locks::default()).unwrap();
        lb.set(&b, Locks::default()).unwrap();
        lc.set(&c, WRITER).unwrap();
        assert!(matches!(la.set(&a, READER), Err(Share::Taken("shared \"write\""))));
        lc.set(&c, READER).unwrap();
        la.set(&a, READER).unwrap();
        drop(c);
        assert!(matches!(la.set(&a, WRITER), Ok(())));
    }
}
