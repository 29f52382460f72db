//! `-fsdev local`: a directory of the host.
//!
//! No path leads out of it: every request opens the directory that it works in below the root's own descriptor, with no symbolic
//! link on the way, and then names one entry there, which no call follows. A guest, or somebody on the host at the same time, may
//! change the tree as fast as he likes: what is opened is what is used.

mod creds;
mod metadata;
mod place;
#[cfg(test)]
mod tests;
mod xattr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom, Timespec, Timestamps};
use rustix::io::Errno;
use southbridge_protocol_p9::Statfs;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};

use crate::fs::{
    Change, Credentials, DIRECTORY, Entry, FileStat, FileSystem, New, OpenFile, Opened, PERMISSION_BITS, REGULAR,
    Result, SYMLINK, SetTime, Spot, TYPE_BITS,
};
use creds::Mapped;
use place::Place;

/// Where owners, permissions and special files of the guest are kept (`security_model`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// In extended attributes.
    MappedXattr,
    /// In files of `.virtfs_metadata` folders.
    MappedFile,
    /// In the files themselves, as far as this process may.
    Passthrough,
    /// The same, and it does not matter if it may not.
    None,
}

impl Model {
    pub(crate) const fn is_mapped(self) -> bool {
        matches!(self, Self::MappedXattr | Self::MappedFile)
    }
}

/// A directory of the host.
pub(crate) struct Local {
    pub(crate) root: OwnedFd,
    pub(crate) model: Model,
    /// Permissions on the host of files that the guest makes, under mapped models.
    pub(crate) fmode: u32,
    /// The same of directories.
    pub(crate) dmode: u32,
    /// The kernel has `openat2`.
    pub(crate) openat2: bool,
    /// What is written goes to the disk before it is answered (`writeout=immediate`).
    pub(crate) write_through: bool,
}

impl Local {
    pub(crate) fn new(root: OwnedFd, model: Model, fmode: u32, dmode: u32) -> Self {
        let openat2 = place::have_openat2(root.as_fd());
        Self {
            root,
            model,
            fmode,
            dmode,
            openat2,
            write_through: false,
        }
    }

    /// Opens what is at a place, if it is a file or a directory: opening anything else can do things, or wait.
    fn open_at(&self, place: &Place<'_>, flags: OFlags) -> Result<Arc<LocalFile>> {
        check_kind(place.host_stat()?.mode)?;
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | place.no_follow();
        let fd = fs::openat(&place.dir, &*place.name, flags, Mode::empty())?;
        // Looked at again: what is there now may be another.
        check_kind(fs::fstat(&fd)?.st_mode)?;
        Ok(self.opened(fd))
    }

    fn opened(&self, fd: OwnedFd) -> Arc<LocalFile> {
        Arc::new(LocalFile {
            fd,
            model: self.model,
            write_through: self.write_through,
            listing: Mutex::new(()),
        })
    }

    fn mapped_stat(&self, place: &Place<'_>) -> Result<FileStat> {
        let mut stat = place.host_stat()?;
        let mapped = match self.model {
            Model::MappedXattr => xattr::mapped(place),
            Model::MappedFile => metadata::mapped(place),
            Model::Passthrough | Model::None => return Ok(stat),
        };
        mapped.apply(&mut stat);
        Ok(stat)
    }

    /// What the guest believes of a file, written where the model keeps it.
    fn map(&self, place: &Place<'_>, mapped: &Mapped) -> Result<()> {
        match self.model {
            Model::MappedXattr => xattr::map(place, mapped),
            Model::MappedFile => metadata::map(place, mapped),
            Model::Passthrough | Model::None => Ok(()),
        }
    }

    /// Names that are the host's own business.
    fn check_name(&self, name: &[u8]) -> Result<()> {
        let hidden = self.model == Model::MappedFile && metadata::is_ours(name);
        if hidden { Err(Errno::INVAL) } else { Ok(()) }
    }

    /// The place of an entry of a directory.
    fn inside(&self, dir: &Spot, name: &[u8]) -> Result<Place<'_>> {
        self.check_name(name)?;
        if dir.kept.is_some() {
            return Err(Errno::NOENT);
        }
        Place::new(self.directory(&dir.path)?, name)
    }

    fn place(&self, at: &Spot) -> Result<Place<'_>> {
        if let Some(kept) = &at.kept {
            return Place::kept(kept);
        }
        match at.path.split_last() {
            None => Place::new(self.directory(&[])?, b"."),
            Some((name, parents)) => {
                self.check_name(name)?;
                Place::new(self.directory(parents)?, name)
            }
        }
    }

    /// Makes the host's side of something new, under a mapped model.
    fn make_mapped(&self, place: &Place<'_>, what: New<'_>, creds: Credentials) -> Result<Mapped> {
        let kind = match what {
            New::Directory => DIRECTORY,
            New::Node { .. } => creds.mode & TYPE_BITS,
            New::Symlink { .. } => SYMLINK,
        };
        match what {
            New::Directory => fs::mkdirat(&place.dir, &*place.name, Mode::from_raw_mode(self.dmode))?,
            New::Node { .. } | New::Symlink { .. } => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let fd = fs::openat(&place.dir, &*place.name, flags, Mode::from_raw_mode(self.fmode))?;
                if let New::Symlink { target } = what {
                    write_all(&fd, target).inspect_err(|_| place.undo(false))?;
                }
            }
        }
        let rdev = match what {
            New::Node { rdev } => Some(rdev),
            _ => None,
        };
        Ok(Mapped {
            uid: given(creds.uid),
            gid: given(creds.gid),
            mode: Some(kind | creds.mode & PERMISSION_BITS),
            rdev,
        })
    }

    /// The same as what it is.
    fn make_real(&self, place: &Place<'_>, what: New<'_>, creds: Credentials) -> Result<()> {
        let mode = Mode::from_raw_mode(creds.mode & PERMISSION_BITS);
        match what {
            New::Directory => fs::mkdirat(&place.dir, &*place.name, mode)?,
            New::Symlink { target } => fs::symlinkat(target, &place.dir, &*place.name)?,
            New::Node { rdev } => {
                let kind = FileType::from_raw_mode(creds.mode);
                fs::mknodat(&place.dir, &*place.name, kind, mode, rdev)?;
            }
        }
        let is_link = matches!(what, New::Symlink { .. });
        self.give_away(place, creds, is_link)
            .inspect_err(|_| place.undo(matches!(what, New::Directory)))
    }

    /// Owner and permissions of something that was just made, on the host.
    fn give_away(&self, place: &Place<'_>, creds: Credentials, is_link: bool) -> Result<()> {
        match place.chown(given(creds.uid), given(creds.gid)) {
            Err(e) if self.model != Model::None => return Err(e),
            _ => {}
        }
        if is_link {
            return Ok(());
        }
        place.chmod(creds.mode & PERMISSION_BITS)
    }

    fn change_owner_and_mode(&self, place: &Place<'_>, change: &Change) -> Result<()> {
        if !self.model.is_mapped() {
            if let Some(mode) = change.mode {
                place.chmod(mode & PERMISSION_BITS)?;
            }
            if change.uid.is_some() || change.gid.is_some() {
                place.chown(change.uid, change.gid)?;
            }
            return Ok(());
        }
        let kind = match change.mode {
            Some(_) => self.mapped_stat(place)?.mode & TYPE_BITS,
            None => 0,
        };
        let mapped = Mapped {
            uid: change.uid,
            gid: change.gid,
            mode: change.mode.map(|m| kind | m & PERMISSION_BITS),
            rdev: None,
        };
        if mapped == Mapped::default() {
            return Ok(());
        }
        self.map(place, &mapped)
    }
}

/// Files and directories may be opened; nothing else.
fn check_kind(mode: u32) -> Result<()> {
    match mode & TYPE_BITS {
        REGULAR | DIRECTORY => Ok(()),
        SYMLINK => Err(Errno::LOOP),
        _ => Err(Errno::NXIO),
    }
}

/// An owner, unless it is none.
fn given(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

fn write_all(fd: &OwnedFd, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        match rustix::io::write(fd, data)? {
            0 => return Err(Errno::IO),
            n => data = data.get(n..).unwrap_or_default(),
        }
    }
    Ok(())
}

impl FileSystem for Local {
    fn stat(&self, at: &Spot) -> Result<FileStat> {
        self.mapped_stat(&self.place(at)?)
    }

    fn statfs(&self, at: &Spot) -> Result<Statfs> {
        let place = self.place(at)?;
        let fd = fs::openat(
            &place.dir,
            &*place.name,
            OFlags::PATH | OFlags::CLOEXEC | place.no_follow(),
            Mode::empty(),
        )?;
        let s = fs::fstatfs(&fd)?;
        let v = fs::fstatvfs(&fd)?;
        let number = |n: i64| u32::try_from(n).unwrap_or(0);
        Ok(Statfs {
            kind: number(s.f_type as i64),
            block_size: number(s.f_bsize as i64),
            blocks: s.f_blocks as u64,
            free: s.f_bfree as u64,
            available: s.f_bavail as u64,
            files: s.f_files as u64,
            files_free: s.f_ffree as u64,
            fsid: v.f_fsid,
            // The names of metadata files are no longer than those of what they describe.
            name_max: u32::try_from(v.f_namemax).unwrap_or(255),
        })
    }

    fn read_link(&self, at: &Spot) -> Result<Vec<u8>> {
        let place = self.place(at)?;
        if place.host_stat()?.is(SYMLINK) {
            return match place.kept {
                // The place's own link must be followed, the file's own not: an empty name is the file itself.
                true => Ok(fs::readlinkat(place.open_path()?, "", Vec::new())?.into_bytes()),
                false => Ok(fs::readlinkat(&place.dir, &*place.name, Vec::new())?.into_bytes()),
            };
        }
        if !self.model.is_mapped() || !self.mapped_stat(&place)?.is(SYMLINK) {
            return Err(Errno::INVAL);
        }
        let file = self.open_at(&place, OFlags::RDONLY)?;
        let mut target = vec![0; LONGEST_TARGET];
        let n = file.read(0, &mut target)?;
        target.truncate(n);
        Ok(target)
    }

    fn open(&self, at: &Spot, flags: OFlags) -> Result<Opened> {
        let place = self.place(at)?;
        let access = flags
            & (OFlags::ACCMODE | OFlags::APPEND | OFlags::TRUNC | OFlags::DSYNC | OFlags::SYNC | OFlags::DIRECTORY);
        if self.model.is_mapped() {
            check_kind(self.mapped_stat(&place)?.mode)?;
        }
        Ok(self.open_at(&place, access)?)
    }

    fn create(&self, dir: &Spot, name: &[u8], flags: OFlags, creds: Credentials) -> Result<Opened> {
        let place = self.inside(dir, name)?;
        if let Ok(there) = self.mapped_stat(&place)
            && !flags.contains(OFlags::EXCL)
        {
            check_kind(there.mode)?;
            return Ok(self.open_at(&place, flags - OFlags::CREATE)?);
        }
        let flags = flags
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC
            | OFlags::NOFOLLOW;
        let mode = if self.model.is_mapped() {
            self.fmode
        } else {
            creds.mode & PERMISSION_BITS
        };
        let fd = fs::openat(&place.dir, &*place.name, flags, Mode::from_raw_mode(mode))?;
        let given = if self.model.is_mapped() {
            let mapped = Mapped {
                uid: given(creds.uid),
                gid: given(creds.gid),
                mode: Some(REGULAR | creds.mode & PERMISSION_BITS),
                rdev: None,
            };
            self.map(&place, &mapped)
        } else {
            self.give_away(&place, creds, false)
        };
        given.inspect_err(|_| place.undo(false))?;
        Ok(self.opened(fd))
    }

    fn make(&self, dir: &Spot, name: &[u8], what: New<'_>, creds: Credentials) -> Result<()> {
        let place = self.inside(dir, name)?;
        if !self.model.is_mapped() {
            return self.make_real(&place, what, creds);
        }
        let mapped = self.make_mapped(&place, what, creds)?;
        self.map(&place, &mapped)
            .inspect_err(|_| place.undo(matches!(what, New::Directory)))
    }

    fn link(&self, target: &Spot, dir: &Spot, name: &[u8]) -> Result<()> {
        let to = self.inside(dir, name)?;
        let from = self.place(target)?;
        let follow = if from.kept {
            AtFlags::SYMLINK_FOLLOW
        } else {
            AtFlags::empty()
        };
        fs::linkat(&from.dir, &*from.name, &to.dir, &*to.name, follow)?;
        if self.model == Model::MappedFile {
            metadata::link(&from, &to).inspect_err(|_| to.undo(false))?;
        }
        Ok(())
    }

    fn rename(&self, from: (&Spot, &[u8]), to: (&Spot, &[u8])) -> Result<()> {
        let from = self.inside(from.0, from.1)?;
        let to = self.inside(to.0, to.1)?;
        if self.model == Model::MappedFile {
            // What is replaced takes its metadata folder along, or it would seem not to be empty.
            metadata::forget_inside(&to)?;
        }
        fs::renameat(&from.dir, &*from.name, &to.dir, &*to.name)?;
        if self.model == Model::MappedFile {
            metadata::rename(&from, &to)?;
        }
        Ok(())
    }

    fn remove(&self, dir: &Spot, name: &[u8], directory: bool) -> Result<()> {
        let place = self.inside(dir, name)?;
        if directory && self.model == Model::MappedFile {
            metadata::forget_inside(&place)?;
        }
        let flags = if directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        fs::unlinkat(&place.dir, &*place.name, flags)?;
        if self.model == Model::MappedFile {
            metadata::forget(&place);
        }
        Ok(())
    }

    fn change(&self, at: &Spot, change: &Change) -> Result<()> {
        let place = self.place(at)?;
        self.change_owner_and_mode(&place, change)?;
        if let Some(size) = change.size {
            self.open_at(&place, OFlags::WRONLY)?.truncate(size)?;
        }
        if change.atime.is_some() || change.mtime.is_some() {
            let times = Timestamps {
                last_access: timespec(change.atime),
                last_modification: timespec(change.mtime),
            };
            fs::utimensat(&place.dir, &*place.name, &times, place.at_flags())?;
        }
        Ok(())
    }

    fn get_xattr(&self, at: &Spot, name: &[u8]) -> Result<Vec<u8>> {
        xattr::get(self.model, &self.place(at)?, name)
    }

    fn list_xattrs(&self, at: &Spot) -> Result<Vec<u8>> {
        xattr::list(self.model, &self.place(at)?)
    }

    fn set_xattr(&self, at: &Spot, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        xattr::set(self.model, &self.place(at)?, name, value, flags)
    }

    fn remove_xattr(&self, at: &Spot, name: &[u8]) -> Result<()> {
        xattr::remove(self.model, &self.place(at)?, name)
    }

    fn keep(&self, at: &Spot) -> Option<Arc<OwnedFd>> {
        self.place(at).ok()?.open_path().ok().map(Arc::new)
    }
}

/// Longest target of a symbolic link, in bytes (`PATH_MAX`).
const LONGEST_TARGET: usize = 4096;

fn timespec(time: Option<SetTime>) -> Timespec {
    let (tv_sec, tv_nsec) = match time {
        None => (0, fs::UTIME_OMIT),
        Some(SetTime::Now) => (0, fs::UTIME_NOW),
        // A nanosecond count that is none is refused by the kernel, unless it means something special to it.
        Some(SetTime::To((seconds, ns))) => (seconds, i64::from(ns.min(1_000_000_000)) as _),
    };
    Timespec { tv_sec, tv_nsec }
}

/// An open file or directory.
struct LocalFile {
    fd: OwnedFd,
    model: Model,
    write_through: bool,
    /// Who lists a directory moves its place, which all who have it open share.
    listing: Mutex<()>,
}

impl OpenFile for LocalFile {
    fn read(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        rustix::io::pread(&self.fd, to, offset)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<usize> {
        let n = rustix::io::pwrite(&self.fd, data, offset)?;
        if self.write_through {
            fs::fdatasync(&self.fd)?;
        }
        Ok(n)
    }

    fn entries(&self, offset: u64, take: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        let _listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        if i64::try_from(offset).is_err() {
            return Err(Errno::INVAL);
        }
        fs::seek(&self.fd, SeekFrom::Start(offset))?;
        let mut buffer = vec![MaybeUninit::uninit(); LISTING_BUFFER];
        let mut dir = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = dir.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if self.model == Model::MappedFile && metadata::is_ours(name) {
                continue;
            }
            let kind = match self.model.is_mapped() {
                // What it is for the guest stands elsewhere.
                true if entry.file_type() == FileType::RegularFile => 0,
                _ => (entry.file_type().as_raw_mode() >> 12) as u8,
            };
            let entry = Entry {
                name,
                next: entry.next_entry_cookie(),
                kind,
                ino: entry.ino(),
            };
            if !take(entry) {
                break;
            }
        }
        Ok(())
    }

    fn stat(&self) -> Result<FileStat> {
        let mut stat = place::stat_of(&fs::fstat(&self.fd)?);
        if self.model == Model::MappedXattr {
            xattr::mapped_of(&self.fd).apply(&mut stat);
        }
        Ok(stat)
    }

    fn stat_in(&self, name: &[u8]) -> Result<FileStat> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        fs::statat(&self.fd, &*name, AtFlags::SYMLINK_NOFOLLOW).map(|s| place::stat_of(&s))
    }

    fn truncate(&self, len: u64) -> Result<()> {
        if i64::try_from(len).is_err() {
            return Err(Errno::FBIG);
        }
        fs::ftruncate(&self.fd, len)
    }

    fn sync(&self, data_only: bool) -> Result<()> {
        if data_only {
            fs::fdatasync(&self.fd)
        } else {
            fs::fsync(&self.fd)
        }
    }
}

/// Bytes of directory entries that are taken from the kernel at once.
const LISTING_BUFFER: usize = 16 << 10;
