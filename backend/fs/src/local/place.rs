//! A place in the tree: the descriptor of a directory, and a name in it that is never followed.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use std::ffi::{CStr, CString};

use super::Local;
use crate::fs::{FileStat, Name, Result, SYMLINK};

/// The descriptor of a directory.
pub(super) enum Dir<'a> {
    /// The root of the tree (or the working directory, where a name is absolute).
    Lent(BorrowedFd<'a>),
    Own(OwnedFd),
}

impl AsFd for Dir<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Lent(fd) => *fd,
            Self::Own(fd) => fd.as_fd(),
        }
    }
}

/// A directory and a name in it.
pub(super) struct Place<'a> {
    pub(super) dir: Dir<'a>,
    pub(super) name: CString,
    /// It has no name any more: `name` is the kernel's way back to a descriptor, which must be followed.
    pub(super) kept: bool,
}

const DIRECTORY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Never above the root, never over a symbolic link, neither a file's nor one of `/proc`.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_SYMLINKS);

/// Whether the kernel has `openat2` (Linux 5.6), and the sandbox around us lets us use it.
pub(super) fn have_openat2(root: BorrowedFd<'_>) -> bool {
    fs::openat2(root, c".", DIRECTORY, Mode::empty(), BENEATH).is_ok()
}

impl Local {
    /// The directory at a path from the root.
    pub(super) fn directory(&self, path: &[Name]) -> Result<Dir<'_>> {
        if path.is_empty() {
            return Ok(Dir::Lent(self.root.as_fd()));
        }
        if !self.openat2 {
            return self.directory_by_steps(path);
        }
        let text = CString::new(path.join(&b'/')).map_err(|_| Errno::INVAL)?;
        loop {
            match fs::openat2(&self.root, &*text, DIRECTORY, Mode::empty(), BENEATH) {
                Ok(fd) => return Ok(Dir::Own(fd)),
                // Somebody moved something meanwhile, and the kernel could not tell whether it stayed below. It says so rarely.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The same for kernels before 5.6: each component by itself.
    pub(super) fn directory_by_steps(&self, path: &[Name]) -> Result<Dir<'_>> {
        let mut dir = Dir::Lent(self.root.as_fd());
        for name in path {
            let name = CString::new(&**name).map_err(|_| Errno::INVAL)?;
            dir = Dir::Own(fs::openat(&dir, &*name, DIRECTORY, Mode::empty())?);
        }
        Ok(dir)
    }
}

impl<'a> Place<'a> {
    pub(super) fn new(dir: Dir<'a>, name: &[u8]) -> Result<Self> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        Ok(Self { dir, name, kept: false })
    }

    pub(super) fn kept(fd: &OwnedFd) -> Result<Self> {
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        Ok(Self {
            dir: Dir::Lent(CWD),
            name: CString::new(name).map_err(|_| Errno::INVAL)?,
            kept: true,
        })
    }

    pub(super) fn no_follow(&self) -> OFlags {
        if self.kept { OFlags::empty() } else { OFlags::NOFOLLOW }
    }

    pub(super) fn at_flags(&self) -> AtFlags {
        if self.kept {
            AtFlags::empty()
        } else {
            AtFlags::SYMLINK_NOFOLLOW
        }
    }

    /// A descriptor of the file itself, whatever it is, that gives no access.
    pub(super) fn open_path(&self) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | self.no_follow();
        fs::openat(&self.dir, &*self.name, flags, Mode::empty())
    }

    /// The absolute name by which calls that know no descriptors reach the file, and whether they must follow it.
    pub(super) fn by_proc(&self) -> (CString, bool) {
        if self.kept {
            return (self.name.clone(), true);
        }
        let mut text = format!("/proc/self/fd/{}/", self.dir.as_fd().as_raw_fd()).into_bytes();
        text.extend_from_slice(self.name.to_bytes());
        // It is made of a text without NUL and another.
        (CString::new(text).unwrap_or_default(), false)
    }

    pub(super) fn host_stat(&self) -> Result<FileStat> {
        fs::statat(&self.dir, &*self.name, self.at_flags()).map(|s| stat_of(&s))
    }

    pub(super) fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        // All ones means none to the kernel.
        let uid = uid.filter(|u| *u != u32::MAX).map(Uid::from_raw);
        let gid = gid.filter(|g| *g != u32::MAX).map(Gid::from_raw);
        fs::chownat(&self.dir, &*self.name, uid, gid, self.at_flags())
    }

    /// Kernels before 6.6 follow links when they set permissions, so the file is opened first.
    pub(super) fn chmod(&self, mode: u32) -> Result<()> {
        let file = self.open_path()?;
        if stat_of(&fs::fstat(&file)?).is(SYMLINK) {
            return Err(Errno::LOOP);
        }
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::chmod(name, Mode::from_raw_mode(mode))
    }

    /// Removes what was just made.
    pub(super) fn undo(&self, directory: bool) {
        let flags = if directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        let _ = fs::unlinkat(&self.dir, &*self.name, flags);
    }

    pub(super) fn name(&self) -> &CStr {
        &self.name
    }
}

#[allow(
    clippy::unnecessary_cast,
    reason = "types of the fields differ between kinds of hosts"
)]
pub(super) fn stat_of(s: &fs::Stat) -> FileStat {
    let ns = |n| u32::try_from(n).unwrap_or(0);
    FileStat {
        dev: s.st_dev,
        ino: s.st_ino,
        mode: s.st_mode,
        uid: s.st_uid,
        gid: s.st_gid,
        links: s.st_nlink as u64,
        rdev: s.st_rdev,
        size: u64::try_from(s.st_size).unwrap_or(0),
        block_size: u64::try_from(s.st_blksize).unwrap_or(0),
        blocks: u64::try_from(s.st_blocks).unwrap_or(0),
        atime: (s.st_atime, ns(s.st_atime_nsec)),
        mtime: (s.st_mtime, ns(s.st_mtime_nsec)),
        ctime: (s.st_ctime, ns(s.st_ctime_nsec)),
    }
}
