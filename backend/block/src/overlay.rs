//! `snapshot=on`: what is written goes to a file without a name, which is gone when the disk is; the image below stays as it is.
//!
//! The file is sparse and as long as the disk; a bit for each cluster says whether the file or the image has it. A cluster that is
//! written in part is copied first. Why not a format like QEMU's own temporary images: nobody but us ever reads it.

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::file::read_all;
use crate::image::Image;
use crate::node::{Node, Use};

/// Bytes that come over in one go.
const CLUSTER: u64 = 64 << 10;

/// Changes over a node that stays as it is.
pub(crate) struct Overlay {
    below: Arc<Node>,
    /// Length of what is below; it does not change.
    below_len: u64,
    file: File,
    /// A bit for each cluster that the file has.
    ours: RwLock<Vec<u64>>,
    len: AtomicU64,
}

/// Where temporary files of disks are: they may be large, and memory is not the place for them.
fn folder() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

/// A file without a name.
fn nameless() -> io::Result<File> {
    let folder = folder();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match open(&folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => Ok(File::from(fd)),
        // A file system without such files: one with a name, for a moment.
        Err(_) => {
            let path = folder.join(format!(".southbridge-disk-{}", std::process::id()));
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
    }
}

fn is_ours(map: &[u64], cluster: u64) -> bool {
    let word = usize::try_from(cluster / 64).ok().and_then(|i| map.get(i));
    word.is_some_and(|w| w >> (cluster % 64) & 1 != 0)
}

fn take_over(map: &mut Vec<u64>, cluster: u64) {
    let Ok(word) = usize::try_from(cluster / 64) else {
        return;
    };
    if map.len() <= word {
        map.resize(word + 1, 0);
    }
    map[word] |= 1 << (cluster % 64);
}

/// The clusters of a stretch: number, first byte, bytes of the stretch in it.
fn clusters(offset: u64, len: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    let end = offset.saturating_add(len);
    let mut at = offset;
    std::iter::from_fn(move || {
        let n = at / CLUSTER;
        let here = (at, end.min((n + 1).saturating_mul(CLUSTER)).saturating_sub(at));
        at += here.1;
        (here.1 > 0).then_some((n, here.0, here.1))
    })
}

impl Overlay {
    /// Changes over `below`, none at first.
    pub(crate) fn over(below: Arc<Node>) -> io::Result<Self> {
        let len = below.len();
        Ok(Self {
            below,
            below_len: len,
            file: nameless()?,
            ours: RwLock::default(),
            len: AtomicU64::new(len),
        })
    }

    /// Zeros where what is below has ended, or was cut off.
    fn read_below(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.below_len.saturating_sub(offset).min(out.len() as u64) as usize;
        let (there, behind) = out.split_at_mut(there);
        behind.fill(0);
        match there {
            [] => Ok(()),
            there => self.below.image().read(offset, there),
        }
    }

    /// Has the file have a cluster, of which `part` is about to be overwritten.
    fn bring_over(&self, map: &[u64], cluster: u64, part: u64) -> io::Result<()> {
        if is_ours(map, cluster) {
            return Ok(());
        }
        if part < CLUSTER {
            let mut old = vec![0; CLUSTER as usize];
            self.read_below(cluster * CLUSTER, &mut old)?;
            self.file.write_all_at(&old, cluster * CLUSTER)?;
        }
        Ok(())
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if fallocate(&self.file, hole, offset, len).is_err() {
            let zeroes = vec![0; CLUSTER as usize];
            for (_, at, n) in clusters(offset, len) {
                self.file.write_all_at(&zeroes[..n as usize], at)?;
            }
        }
        Ok(())
    }
}

impl Image for Overlay {
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let map = self.ours.read().unwrap_or_else(PoisonError::into_inner);
        let mut rest = out;
        for (n, at, len) in clusters(offset, rest.len() as u64) {
            let (here, after) = rest.split_at_mut(len as usize);
            match is_ours(&map, n) {
                true => read_all(&self.file, at, here)?,
                false => self.read_below(at, here)?,
            }
            rest = after;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut map = self.ours.write().unwrap_or_else(PoisonError::into_inner);
        let mut rest = data;
        for (n, at, len) in clusters(offset, data.len() as u64) {
            let (here, after) = rest.split_at(len as usize);
            self.bring_over(&map, n, len)?;
            self.file.write_all_at(here, at)?;
            take_over(&mut map, n);
            rest = after;
        }
        let end = offset.saturating_add(data.len() as u64);
        self.len.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }

    /// Nothing has to survive this process.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let map = self.ours.read().unwrap_or_else(PoisonError::into_inner);
        let whole = |(n, at, len): &(u64, u64, u64)| *len == CLUSTER && is_ours(&map, *n) && at % CLUSTER == 0;
        for (_, at, len) in clusters(offset, len).filter(whole) {
            self.punch(at, len)?;
        }
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, len: u64, _unmap: bool) -> io::Result<()> {
        let mut map = self.ours.write().unwrap_or_else(PoisonError::into_inner);
        for (n, at, len) in clusters(offset, len) {
            self.bring_over(&map, n, len)?;
            self.punch(at, len)?;
            take_over(&mut map, n);
        }
        self.len.fetch_max(offset.saturating_add(len), Ordering::Relaxed);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// What is cut off is gone, also if the disk grows again.
    fn resize(&self, len: u64) -> io::Result<()> {
        let mut map = self.ours.write().unwrap_or_else(PoisonError::into_inner);
        let before = self.len();
        if len < before {
            for (n, at, part) in clusters(len, before - len) {
                self.bring_over(&map, n, part)?;
                take_over(&mut map, n);
                self.punch(at, part)?;
            }
        }
        self.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn below_use(&self, _: Use) -> Use {
        // It must stay as it is.
        Use {
            write: false,
            share_write: false,
        }
    }

    fn is_temporary(&self) -> bool {
        true
    }

    fn read_only(&self) -> bool {
        false
    }

    fn filename(&self) -> String {
        self.below.image().filename()
    }

    fn allocated(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        Some(self.file.metadata().ok()?.blocks().saturating_mul(512))
    }
}
