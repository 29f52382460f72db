//! The requests that are 9P2000.u's own: files are made, opened, listed and changed by stat records.

use rustix::fs::{OFlags, major, minor};
use rustix::io::Errno;
use southbridge_protocol_p9::message::DATA_HEADER_LEN;
use southbridge_protocol_p9::record::Counted;
use southbridge_protocol_p9::{Data, Qid, Reply, Request, Stat, Text, mode_u};
use std::sync::Arc;

use super::fid::{Fid, Open};
use super::{Call, Session, lock};
use crate::fs::{
    BLOCK, CHARACTER, Change, Credentials, DIRECTORY, FIFO, FileStat, New, Result, SOCKET, SYMLINK, SetTime, Spot,
    TYPE_BITS,
};

/// A stat record's texts, which it borrows.
struct Words {
    name: Vec<u8>,
    uid: String,
    gid: String,
    extension: Vec<u8>,
}

impl Session {
    pub(super) fn unix(&self, request: Request<'_>, call: Call) -> Result<Vec<u8>> {
        use Request as R;
        let reply = match request {
            R::Open { fid, mode } => {
                let (qid, iounit) = self.open(fid, open_mode(mode))?;
                Reply::Open { qid, iounit }
            }
            R::Create {
                fid,
                name,
                permissions,
                mode,
                extension,
            } => {
                let (qid, iounit) = self.create_u(fid, name.0, permissions, mode, extension.0)?;
                Reply::Create { qid, iounit }
            }
            R::Stat { fid } => {
                let fid = self.fid(fid)?;
                let (at, stat) = (fid.node.spot()?, self.stat(&fid)?);
                let words = self.words(&at, &stat);
                let stat = Counted(record(&words, &stat, self.qid(&stat)?));
                return Ok(Reply::Stat { stat }.to_bytes(call.tag));
            }
            R::Wstat { fid, stat } => {
                self.wstat(&*self.fid(fid)?, &stat.0)?;
                Reply::Wstat {}
            }
            R::Lopen { .. }
            | R::Lcreate { .. }
            | R::Symlink { .. }
            | R::Mknod { .. }
            | R::Mkdir { .. }
            | R::Getattr { .. }
            | R::Setattr { .. }
            | R::Readdir { .. }
            | R::Lock { .. }
            | R::Getlock { .. }
            | R::Xattrwalk { .. }
            | R::Xattrcreate { .. } => return Err(Errno::OPNOTSUPP),
            other => return self.common(other, call),
        };
        Ok(reply.to_bytes(call.tag))
    }

    fn words(&self, at: &Spot, stat: &FileStat) -> Words {
        let extension = match stat.mode & TYPE_BITS {
            SYMLINK => self.export.fs.read_link(at).unwrap_or_default(),
            CHARACTER => format!("c {} {}", major(stat.rdev), minor(stat.rdev)).into_bytes(),
            BLOCK => format!("b {} {}", major(stat.rdev), minor(stat.rdev)).into_bytes(),
            _ => Vec::new(),
        };
        Words {
            name: at.path.last().map_or_else(|| b"/".to_vec(), |n| n.to_vec()),
            uid: stat.uid.to_string(),
            gid: stat.gid.to_string(),
            extension,
        }
    }

    /// Stat records of the entries of a directory. The offset counts bytes and is 0 or where the last reply ended (read(5)).
    pub(super) fn read_directory(&self, fid: &Arc<Fid>, offset: u64, count: u32, call: Call) -> Result<Vec<u8>> {
        if lock(&self.state).dialect != Some(super::Dialect::Unix) {
            return Err(Errno::ISDIR);
        }
        let (file, next) = match &*lock(&fid.open) {
            Open::Directory { file, next, .. } => (file.clone(), *next),
            _ => return Err(Errno::INVAL),
        };
        let mut cookie = match offset {
            0 => 0,
            _ if offset == next.0 => next.1,
            _ => return Err(Errno::INVAL),
        };
        let dir = fid.node.spot()?;
        let most = call.most.saturating_sub(DATA_HEADER_LEN).min(count as usize);
        let (mut data, mut full) = (Vec::new(), false);
        file.entries(cookie, &mut |entry| {
            if !matches!(entry.name, b"." | b"..") {
                let at = dir.child(entry.name);
                let before = data.len();
                if let Ok(stat) = self.export.fs.stat(&at)
                    && let Ok(qid) = self.qid(&stat)
                {
                    record(&self.words(&at, &stat), &stat, qid).append(&mut data);
                }
                if data.len() > most {
                    data.truncate(before);
                    full = true;
                    return false;
                }
            }
            cookie = entry.next;
            true
        })?;
        if full && data.is_empty() {
            return Err(Errno::INVAL);
        }
        if let Open::Directory { next, .. } = &mut *lock(&fid.open) {
            *next = (offset.wrapping_add(data.len() as u64), cookie);
        }
        Ok(Reply::Read { data: Data(&data) }.to_bytes(call.tag))
    }

    fn create_u(&self, fid: u32, name: &[u8], permissions: u32, mode: u8, extension: &[u8]) -> Result<(Qid, u32)> {
        let dir = self.fid(fid)?;
        if dir.is_open() {
            return Err(Errno::INVAL);
        }
        let mut bits = permissions & 0o777;
        bits |= if permissions & mode_u::SETUID != 0 { 0o4000 } else { 0 };
        bits |= if permissions & mode_u::SETGID != 0 { 0o2000 } else { 0 };
        bits |= if permissions & mode_u::STICKY != 0 { 0o1000 } else { 0 };
        let none = u32::MAX;
        let special = |kind, rdev| self.make(fid, name, New::Node { rdev }, kind | bits, none);
        if permissions & mode_u::LINK != 0 {
            let target = std::str::from_utf8(extension).ok().and_then(|t| t.parse().ok());
            self.link(fid, target.ok_or(Errno::INVAL)?, name)?;
            let stat = self.export.fs.stat(&dir.node.spot()?.child(name))?;
            self.qid(&stat)?;
        } else if permissions & mode_u::DIRECTORY != 0 {
            self.make(fid, name, New::Directory, DIRECTORY | bits, none)?;
        } else if permissions & mode_u::SYMLINK != 0 {
            self.make(fid, name, New::Symlink { target: extension }, 0o777, none)?;
        } else if permissions & mode_u::DEVICE != 0 {
            let (kind, rdev) = device(extension).ok_or(Errno::INVAL)?;
            special(kind, rdev)?;
        } else if permissions & mode_u::PIPE != 0 {
            special(FIFO, 0)?;
        } else if permissions & mode_u::SOCKET != 0 {
            special(SOCKET, 0)?;
        } else {
            let creds = Credentials {
                uid: dir.uid,
                gid: none,
                mode: bits,
            };
            return self.create(fid, &dir, name, open_mode(mode) | OFlags::EXCL, creds);
        }
        // The fid becomes what was made; only a directory is opened with it.
        self.walk(fid, fid, &[Text(name)])?;
        if permissions & mode_u::DIRECTORY != 0 {
            return self.open(fid, OFlags::RDONLY);
        }
        let stat = self.stat(&*self.fid(fid)?)?;
        Ok((self.qid(&stat)?, self.iounit()))
    }

    /// Changes what is not marked as "leave it": all ones in numbers, nothing in texts (wstat(5)).
    fn wstat(&self, fid: &Fid, stat: &Stat<'_>) -> Result<()> {
        let given = |n: u32| (n != u32::MAX).then_some(n);
        let time = |t| given(t).map(|t| SetTime::To((t.into(), 0)));
        let everything_left = given(stat.mode).is_none()
            && [stat.atime, stat.mtime, stat.n_uid, stat.n_gid]
                .into_iter()
                .all(|n| given(n).is_none())
            && stat.length == u64::MAX
            && stat.name.0.is_empty();
        if everything_left {
            // Says that the file be brought to the disk.
            return fid.file().map_or(Ok(()), |f| f.sync(false));
        }
        if let Some(mode) = given(stat.mode) {
            let now = self.stat(fid)?;
            if (mode & mode_u::DIRECTORY != 0) != now.is(DIRECTORY) {
                return Err(Errno::INVAL);
            }
        }
        if !stat.name.0.is_empty() {
            self.rename_in_place(fid, stat.name.0)?;
        }
        let change = Change {
            mode: given(stat.mode).map(permissions),
            uid: given(stat.n_uid),
            gid: given(stat.n_gid),
            size: (stat.length != u64::MAX).then_some(stat.length),
            atime: time(stat.atime),
            mtime: time(stat.mtime),
        };
        self.change(fid, &change)
    }
}

fn permissions(mode: u32) -> u32 {
    let bit = |from, to| if mode & from != 0 { to } else { 0 };
    mode & 0o777 | bit(mode_u::SETUID, 0o4000) | bit(mode_u::SETGID, 0o2000) | bit(mode_u::STICKY, 0o1000)
}

/// The mode of Topen and Tcreate (open(5)).
fn open_mode(mode: u8) -> OFlags {
    let access = match mode & 3 {
        1 => OFlags::WRONLY,
        2 => OFlags::RDWR,
        // To execute is to read.
        _ => OFlags::RDONLY,
    };
    if mode & 0x10 != 0 {
        access | OFlags::TRUNC
    } else {
        access
    }
}

/// `b MAJOR MINOR` or `c MAJOR MINOR`.
fn device(text: &[u8]) -> Option<(u32, u64)> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let kind = match words.next()? {
        "b" => BLOCK,
        "c" => CHARACTER,
        _ => return None,
    };
    let (major, minor) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((kind, rustix::fs::makedev(major, minor)))
}

fn record<'w>(words: &'w Words, stat: &FileStat, qid: Qid) -> Stat<'w> {
    let kind = match stat.mode & TYPE_BITS {
        DIRECTORY => mode_u::DIRECTORY,
        SYMLINK => mode_u::SYMLINK,
        CHARACTER | BLOCK => mode_u::DEVICE,
        FIFO => mode_u::PIPE,
        SOCKET => mode_u::SOCKET,
        _ => 0,
    };
    let bit = |from, to| if stat.mode & from != 0 { to } else { 0 };
    let special = bit(0o4000, mode_u::SETUID) | bit(0o2000, mode_u::SETGID) | bit(0o1000, mode_u::STICKY);
    let seconds = |(s, _): (i64, u32)| u32::try_from(s).unwrap_or(0);
    Stat {
        kind: 0,
        device: 0,
        qid,
        mode: kind | special | stat.mode & 0o777,
        atime: seconds(stat.atime),
        mtime: seconds(stat.mtime),
        length: if stat.is(DIRECTORY) { 0 } else { stat.size },
        name: Text(&words.name),
        uid: Text(words.uid.as_bytes()),
        gid: Text(words.gid.as_bytes()),
        muid: Text(b""),
        extension: Text(&words.extension),
        n_uid: stat.uid,
        n_gid: stat.gid,
        n_muid: 0,
    }
}
