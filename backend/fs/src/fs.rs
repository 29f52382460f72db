//! What every exported tree can do. The callee may rely on this: names are single components without `/` and NUL, neither empty nor
//! `.` nor `..`; nothing is changed on an export that is read-only. It must see to it itself that no path leads out of its tree.

use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use southbridge_protocol_p9::Statfs;
use std::sync::Arc;

/// A component of a path.
pub(crate) type Name = Arc<[u8]>;
/// Failures are errnos of Linux, as 9P2000.L says them to the client.
pub(crate) type Result<T> = std::result::Result<T, Errno>;

/// Where a file is: by its path from the root, or, once its name is gone, by what was kept of it.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub(crate) path: Vec<Name>,
    pub(crate) kept: Option<Arc<OwnedFd>>,
}

impl Spot {
    /// The place of an entry, of a directory.
    pub(crate) fn child(&self, name: &[u8]) -> Self {
        let mut path = self.path.clone();
        path.push(Arc::from(name));
        Self {
            path,
            kept: self.kept.clone(),
        }
    }
}

/// A moment: seconds since 1970, and nanoseconds.
pub(crate) type Moment = (i64, u32);

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileStat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    /// Type and permissions, as `st_mode`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u64,
    pub(crate) rdev: u64,
    pub(crate) size: u64,
    pub(crate) block_size: u64,
    pub(crate) blocks: u64,
    pub(crate) atime: Moment,
    pub(crate) mtime: Moment,
    pub(crate) ctime: Moment,
}

/// The bits of a mode that say what a file is.
pub(crate) const TYPE_BITS: u32 = 0o170_000;
pub(crate) const REGULAR: u32 = 0o100_000;
pub(crate) const DIRECTORY: u32 = 0o040_000;
pub(crate) const SYMLINK: u32 = 0o120_000;
pub(crate) const CHARACTER: u32 = 0o020_000;
pub(crate) const BLOCK: u32 = 0o060_000;
pub(crate) const FIFO: u32 = 0o010_000;
pub(crate) const SOCKET: u32 = 0o140_000;
/// The bits that `chmod` sets.
pub(crate) const PERMISSION_BITS: u32 = 0o7777;

impl FileStat {
    pub(crate) fn is(&self, kind: u32) -> bool {
        self.mode & TYPE_BITS == kind
    }
}

/// A time to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetTime {
    Now,
    To(Moment),
}

/// What to change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Change {
    /// Permissions; bits of the type do not count.
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) atime: Option<SetTime>,
    pub(crate) mtime: Option<SetTime>,
}

/// What to make.
#[derive(Debug, Clone, Copy)]
pub(crate) enum New<'a> {
    Directory,
    /// The type is in the mode.
    Node {
        rdev: u64,
    },
    Symlink {
        target: &'a [u8],
    },
}

/// Whose it will be (all ones: whose the process is), and with which permissions (and type, for nodes).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    /// Where the next one is.
    pub(crate) next: u64,
    /// `d_type`, 0 if unknown.
    pub(crate) kind: u8,
    pub(crate) ino: u64,
}

/// A file or directory that is open.
pub(crate) trait OpenFile: Send + Sync {
    /// Reads at an offset; 0 at the end.
    fn read(&self, offset: u64, to: &mut [u8]) -> Result<usize>;
    /// Writes at an offset; may write less.
    fn write(&self, offset: u64, data: &[u8]) -> Result<usize>;
    /// The entries of a directory from `offset` on (0, or what [`Entry::next`] was) until `take` refuses one.
    fn entries(&self, offset: u64, take: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()>;
    fn stat(&self) -> Result<FileStat>;
    /// What the host knows of an entry of a directory, for its identity.
    fn stat_in(&self, name: &[u8]) -> Result<FileStat>;
    fn truncate(&self, len: u64) -> Result<()>;
    fn sync(&self, data_only: bool) -> Result<()>;
}

pub(crate) type Opened = Arc<dyn OpenFile>;

/// A tree of files that is exported.
pub(crate) trait FileSystem: Send + Sync {
    fn stat(&self, at: &Spot) -> Result<FileStat>;
    fn statfs(&self, at: &Spot) -> Result<Statfs>;
    fn read_link(&self, at: &Spot) -> Result<Vec<u8>>;
    /// Opens a file or directory that is there. Of special files only the attributes can be had.
    fn open(&self, at: &Spot, flags: OFlags) -> Result<Opened>;
    fn create(&self, dir: &Spot, name: &[u8], flags: OFlags, creds: Credentials) -> Result<Opened>;
    fn make(&self, dir: &Spot, name: &[u8], what: New<'_>, creds: Credentials) -> Result<()>;
    fn link(&self, target: &Spot, dir: &Spot, name: &[u8]) -> Result<()>;
    fn rename(&self, from: (&Spot, &[u8]), to: (&Spot, &[u8])) -> Result<()>;
    fn remove(&self, dir: &Spot, name: &[u8], directory: bool) -> Result<()>;
    fn change(&self, at: &Spot, change: &Change) -> Result<()>;
    fn get_xattr(&self, at: &Spot, name: &[u8]) -> Result<Vec<u8>>;
    /// All names, each with a NUL behind it.
    fn list_xattrs(&self, at: &Spot) -> Result<Vec<u8>>;
    fn set_xattr(&self, at: &Spot, name: &[u8], value: &[u8], flags: u32) -> Result<()>;
    fn remove_xattr(&self, at: &Spot, name: &[u8]) -> Result<()>;
    /// Keeps a file whose name is about to go, for those who still refer to it.
    fn keep(&self, at: &Spot) -> Option<Arc<OwnedFd>>;
}
