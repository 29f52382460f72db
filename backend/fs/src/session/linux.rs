//! The requests of 9P2000.L.

use rustix::fs::OFlags;
use rustix::io::Errno;
use southbridge_protocol_p9::{Attributes, Lock, LockType, Reply, Request, SetAttributes, SetMask, Text};

use super::fid::{Fid, Open};
use super::{Call, Session, lock};
use crate::fs::{Change, Credentials, DIRECTORY, FileStat, New, PERMISSION_BITS, REGULAR, Result, SetTime, TYPE_BITS};

/// `P9_LOCK_SUCCESS`.
const LOCKED: u8 = 0;
/// `P9_LOCK_FLAGS_BLOCK` and `P9_LOCK_FLAGS_RECLAIM`.
const LOCK_FLAGS: u32 = 3;

impl Session {
    pub(super) fn linux(&self, request: Request<'_>, call: Call) -> Result<Vec<u8>> {
        use Request as R;
        let reply = match request {
            R::Lopen { fid, flags } => {
                let (qid, iounit) = self.open(fid, open_flags(flags))?;
                Reply::Lopen { qid, iounit }
            }
            R::Lcreate {
                fid,
                name,
                flags,
                mode,
                gid,
            } => {
                let dir = self.fid(fid)?;
                let creds = Credentials {
                    uid: dir.uid,
                    gid,
                    mode,
                };
                let flags = open_flags(flags) | OFlags::from_bits_retain(flags) & OFlags::EXCL;
                let (qid, iounit) = self.create(fid, &dir, name.0, flags, creds)?;
                Reply::Lcreate { qid, iounit }
            }
            R::Symlink { fid, name, target, gid } => {
                let qid = self.make(fid, name.0, New::Symlink { target: target.0 }, 0o777, gid)?;
                Reply::Symlink { qid }
            }
            R::Mknod {
                fid,
                name,
                mode,
                major,
                minor,
                gid,
            } => {
                let rdev = rustix::fs::makedev(major, minor);
                // A node without a type is a file (mknod(2)).
                let mode = if mode & TYPE_BITS == 0 { mode | REGULAR } else { mode };
                let qid = self.make(fid, name.0, New::Node { rdev }, mode, gid)?;
                Reply::Mknod { qid }
            }
            R::Mkdir { fid, name, mode, gid } => {
                let mode = mode & PERMISSION_BITS | DIRECTORY;
                let qid = self.make(fid, name.0, New::Directory, mode, gid)?;
                Reply::Mkdir { qid }
            }
            R::Getattr { fid, .. } => {
                let stat = self.stat(&*self.fid(fid)?)?;
                let attributes = self.attributes(&stat)?;
                Reply::Getattr { attributes }
            }
            R::Setattr { fid, set } => {
                self.change(&*self.fid(fid)?, &change(&set))?;
                Reply::Setattr {}
            }
            R::Lock { fid, flags, .. } => {
                // The guest's kernel has granted the lock among its own processes; nobody else is asked.
                self.fid(fid)?;
                if flags & !LOCK_FLAGS != 0 {
                    return Err(Errno::INVAL);
                }
                Reply::Lock { status: LOCKED }
            }
            R::Getlock { fid, lock } => {
                self.fid(fid)?;
                let free = Lock {
                    kind: LockType::UNLOCK,
                    ..lock
                };
                return Ok(Reply::Getlock { lock: free }.to_bytes(call.tag));
            }
            R::Readdir { fid, offset, count } => return self.readdir(fid, offset, count, call),
            R::Xattrwalk { fid, new_fid, name } => {
                let size = self.xattr_walk(fid, new_fid, name.0)?;
                Reply::Xattrwalk { size }
            }
            R::Xattrcreate { fid, name, size, flags } => {
                self.xattr_create(fid, name.0, size, flags)?;
                Reply::Xattrcreate {}
            }
            R::Open { .. } | R::Create { .. } | R::Stat { .. } | R::Wstat { .. } => return Err(Errno::OPNOTSUPP),
            other => return self.common(other, call),
        };
        Ok(reply.to_bytes(call.tag))
    }

    /// Requests that both dialects have, or that do no harm in the other.
    pub(super) fn common(&self, request: Request<'_>, call: Call) -> Result<Vec<u8>> {
        use Request as R;
        let reply = match request {
            R::Attach { fid, n_uname, .. } => return self.attach(fid, n_uname, call),
            R::Walk { fid, new_fid, names } => Reply::Walk {
                qids: self.walk(fid, new_fid, &names)?,
            },
            R::Read { fid, offset, count } => return self.read(fid, offset, count, call),
            R::Write { fid, offset, data } => Reply::Write {
                count: self.write(fid, offset, data.0)?,
            },
            R::Clunk { fid } => {
                self.clunk(fid)?;
                Reply::Clunk {}
            }
            R::Remove { fid } => {
                self.remove_fid(fid)?;
                Reply::Remove {}
            }
            R::Fsync { fid, data_only } => {
                self.fid(fid)?.file().ok_or(Errno::INVAL)?.sync(data_only != 0)?;
                Reply::Fsync {}
            }
            R::Statfs { fid } => {
                let at = self.fid(fid)?.node.spot()?;
                let statfs = self.export.fs.statfs(&at)?;
                Reply::Statfs { statfs }
            }
            R::Readlink { fid } => {
                let target = self.export.fs.read_link(&self.fid(fid)?.node.spot()?)?;
                let target = Text(&target);
                return Ok(Reply::Readlink { target }.to_bytes(call.tag));
            }
            R::Link { directory, fid, name } => {
                self.link(directory, fid, name.0)?;
                Reply::Link {}
            }
            R::Rename { fid, directory, name } => {
                self.rename_fid(fid, directory, name.0)?;
                Reply::Rename {}
            }
            R::Renameat {
                old_directory,
                old_name,
                new_directory,
                new_name,
            } => {
                self.rename_at((old_directory, old_name.0), (new_directory, new_name.0))?;
                Reply::Renameat {}
            }
            R::Unlinkat { directory, name, flags } => {
                self.unlink_at(directory, name.0, flags)?;
                Reply::Unlinkat {}
            }
            // Nobody is asked who he is.
            _ => return Err(Errno::OPNOTSUPP),
        };
        Ok(reply.to_bytes(call.tag))
    }

    pub(super) fn attributes(&self, stat: &FileStat) -> Result<Attributes> {
        let seconds = |(s, _): (i64, u32)| s as u64;
        Ok(Attributes {
            valid: Attributes::BASIC,
            qid: self.qid(stat)?,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            links: stat.links,
            rdev: stat.rdev,
            size: stat.size,
            block_size: self.block_size(stat),
            blocks: stat.blocks,
            atime: seconds(stat.atime),
            atime_ns: stat.atime.1.into(),
            mtime: seconds(stat.mtime),
            mtime_ns: stat.mtime.1.into(),
            ctime: seconds(stat.ctime),
            ctime_ns: stat.ctime.1.into(),
            ..Attributes::default()
        })
    }

    /// The guest's programs read in such blocks: what fits into a message rather than what suits the host.
    fn block_size(&self, stat: &FileStat) -> u64 {
        u64::from(self.iounit()).max(stat.block_size.min(4096))
    }

    pub(super) fn change(&self, fid: &Fid, change: &Change) -> Result<()> {
        let mut change = *change;
        if let (Some(size), Some(file)) = (change.size, fid.writable()) {
            file.truncate(size)?;
            change.size = None;
        }
        if change == Change::default() {
            return Ok(());
        }
        self.export.fs.change(&fid.node.spot()?, &change)
    }

    /// Opens a fid; its identity and the iounit.
    pub(super) fn open(&self, number: u32, flags: OFlags) -> Result<(southbridge_protocol_p9::Qid, u32)> {
        let fid = self.fid(number)?;
        let mut open = lock(&fid.open);
        if !matches!(*open, Open::No) {
            return Err(Errno::INVAL);
        }
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC);
        if writes && self.export.readonly {
            return Err(Errno::ROFS);
        }
        let at = fid.node.spot()?;
        let stat = self.export.fs.stat(&at)?;
        let qid = self.qid(&stat)?;
        let _count = self.count_open()?;
        if stat.is(DIRECTORY) {
            if writes {
                return Err(Errno::ISDIR);
            }
            let file = self.export.fs.open(&at, OFlags::RDONLY | OFlags::DIRECTORY)?;
            *open = Open::Directory {
                file,
                next: (0, 0),
                _count,
            };
            return Ok((qid, 0));
        }
        let file = self.export.fs.open(&at, flags)?;
        *open = Open::File { file, flags, _count };
        drop(open);
        Ok((qid, self.iounit()))
    }
}

/// The flags of Tlopen and Tlcreate that count here; their numbers are those of most Linux machines (`P9_DOTL_…`).
fn open_flags(wire: u32) -> OFlags {
    const NAMES: [(u32, OFlags); 6] = [
        (0o1000, OFlags::TRUNC),
        (0o2000, OFlags::APPEND),
        (0o10000, OFlags::DSYNC),
        (0o4010000, OFlags::SYNC),
        (0o200000, OFlags::DIRECTORY),
        (0o400000, OFlags::NOFOLLOW),
    ];
    let access = match wire & 3 {
        0 => OFlags::RDONLY,
        1 => OFlags::WRONLY,
        _ => OFlags::RDWR,
    };
    let set = NAMES.iter().filter(|(bits, _)| wire & bits == *bits);
    set.fold(access, |flags, (_, flag)| flags | *flag)
}

fn change(set: &SetAttributes) -> Change {
    let has = |bit| set.valid.contains(bit);
    let time = |change: SetMask, given: SetMask, seconds: u64, ns: u64| {
        let to = (seconds as i64, u32::try_from(ns).unwrap_or(u32::MAX));
        let time = if has(given) { SetTime::To(to) } else { SetTime::Now };
        has(change).then_some(time)
    };
    Change {
        mode: has(SetMask::MODE).then_some(set.mode),
        uid: has(SetMask::UID).then_some(set.uid),
        gid: has(SetMask::GID).then_some(set.gid),
        size: has(SetMask::SIZE).then_some(set.size),
        atime: time(SetMask::ATIME, SetMask::ATIME_SET, set.atime, set.atime_ns),
        mtime: time(SetMask::MTIME, SetMask::MTIME_SET, set.mtime, set.mtime_ns),
    }
}
