//! `file` and `host_device`: a regular file or a block device of the host.
//!
//! Worker threads call `pread` and `pwrite`. Why not `io_uring`: its submission is unsafe in every crate there is, many hosts forbid it
//! to programs in a sandbox, and what counts here is bounded by the copy into guest memory; a read of what the host has in memory
//! already takes no other thread at all (`RWF_NOWAIT`).

use rustix::fs::{FallocateFlags, FileType, OFlags, fallocate};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::{self, IoSliceMut, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::direct::Direct;
use crate::image::Image;
use crate::lock::{FileLocks, Locks, Share};

/// Largest read that is tried at once, in bytes: copying more than this takes longer than asking another thread.
const AT_ONCE: usize = 256 << 10;
/// Bytes written in one go where zeros have to be written out.
const ZEROES: usize = 1 << 20;

/// How to open a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) path: String,
    pub(crate) read_only: bool,
    /// Falls back to reading where the host allows no more.
    pub(crate) auto_read_only: bool,
    /// Past the host's cache.
    pub(crate) direct: bool,
    /// A block device rather than a file.
    pub(crate) device: bool,
    /// Locks it against other processes.
    pub(crate) locking: bool,
    /// Whoever else uses it may do anything.
    pub(crate) force_share: bool,
}

/// An open file.
pub(crate) struct FileImage {
    file: File,
    options: Options,
    read_only: bool,
    len: AtomicU64,
    direct: Option<Direct>,
    /// The host can tell what it has in memory.
    can_peek: AtomicBool,
    locks: FileLocks,
    /// Writes past the cache that are read, changed and written again, one at a time.
    turns: RwLock<()>,
}

impl FileImage {
    /// Opens it.
    pub(crate) fn open(options: Options) -> io::Result<Self> {
        let open = |write: bool| {
            let mut flags = OFlags::CLOEXEC;
            flags.set(OFlags::DIRECT, options.direct);
            let mut o = File::options();
            o.read(true).write(write).custom_flags(flags.bits() as i32);
            o.open(&options.path)
        };
        let (mut file, read_only) = match open(!options.read_only) {
            Ok(file) => (file, options.read_only),
            Err(e) if options.auto_read_only && !options.read_only && may_only_read(&e) => (open(false)?, true),
            Err(e) => return Err(e),
        };
        let kind = FileType::from_raw_mode(file.metadata()?.mode());
        let fits = match kind {
            FileType::RegularFile => !options.device,
            FileType::BlockDevice => options.device,
            _ => false,
        };
        if !fits {
            let what = if options.device {
                "a block device"
            } else {
                "a regular file"
            };
            let text = format!("it is not {what}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let len = file.seek(SeekFrom::End(0))?;
        let direct = options.direct.then(|| Direct::probe(&file));
        Ok(Self {
            file,
            read_only,
            len: AtomicU64::new(len),
            direct,
            can_peek: AtomicBool::new(!options.direct),
            locks: FileLocks::default(),
            turns: RwLock::new(()),
            options,
        })
    }

    fn zero_by_hand(&self, offset: u64, len: u64) -> io::Result<()> {
        let zeroes = vec![0; ZEROES.min(usize::try_from(len).unwrap_or(ZEROES))];
        let mut done = 0;
        while done < len {
            let n = (len - done).min(zeroes.len() as u64);
            self.write(offset + done, &zeroes[..n as usize])?;
            done += n;
        }
        Ok(())
    }
}

fn may_only_read(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::ACCESS | Errno::PERM | Errno::ROFS))
}

/// What a file system says that has no such call.
fn is_unable(e: Errno) -> bool {
    matches!(e, Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV)
}

impl Image for FileImage {
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if let Some(direct) = &self.direct {
            return direct.read(&self.file, offset, out);
        }
        read_all(&self.file, offset, out)
    }

    fn read_now(&self, offset: u64, out: &mut [u8]) -> Option<io::Result<()>> {
        if out.len() > AT_ONCE || !self.can_peek.load(Ordering::Relaxed) {
            return None;
        }
        let all = out.len();
        match rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(out)], offset, ReadWriteFlags::NOWAIT) {
            Ok(n) if n == all => Some(Ok(())),
            // A part of it, or the end of the file: the long way knows what to do.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                self.can_peek.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &self.direct {
            Some(direct) => direct.write(&self.file, offset, data, &self.turns)?,
            None => self.file.write_all_at(data, offset)?,
        }
        let end = offset.saturating_add(data.len() as u64);
        self.len.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        if self.read_only {
            return Ok(());
        }
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, len) {
            // It was a hint.
            Err(e) if is_unable(e) => Ok(()),
            other => Ok(other?),
        }
    }

    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let inside = offset.saturating_add(len) <= self.len();
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let ways = [(hole, unmap && inside), (FallocateFlags::ZERO_RANGE, true)];
        for (flags, _) in ways.into_iter().filter(|(_, on)| *on) {
            match fallocate(&self.file, flags, offset, len) {
                Ok(()) => {
                    self.len.fetch_max(offset.saturating_add(len), Ordering::Relaxed);
                    return Ok(());
                }
                Err(e) if is_unable(e) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.zero_by_hand(offset, len)
    }

    fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    fn resize(&self, len: u64) -> io::Result<()> {
        if self.options.device {
            // The length is the device's; what can be done is to look again.
            let now = (&self.file).seek(SeekFrom::End(0))?;
            self.len.store(now, Ordering::Relaxed);
            return if len <= now {
                Ok(())
            } else {
                Err(io::ErrorKind::Unsupported.into())
            };
        }
        self.file.set_len(len)?;
        self.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn lock(&self, locks: Locks) -> Result<(), Share> {
        if !self.options.locking || self.options.force_share {
            return Ok(());
        }
        self.locks.set(&self.file, locks)
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn filename(&self) -> String {
        self.options.path.clone()
    }

    fn allocated(&self) -> Option<u64> {
        Some(self.file.metadata().ok()?.blocks().saturating_mul(512))
    }
}

/// Fills `out`; zeros behind the end.
pub(crate) fn read_all(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < out.len() {
        match file.read_at(&mut out[done..], offset.saturating_add(done as u64)) {
            Ok(0) => {
                out[done..].fill(0);
                break;
            }
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
