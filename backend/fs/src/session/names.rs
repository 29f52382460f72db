//! Requests about names: walks, making, linking, renaming, removing.

use rustix::fs::OFlags;
use rustix::io::Errno;
use southbridge_protocol_p9::{Qid, Text};
use std::sync::Arc;

use super::fid::{Fid, NodeRef, Open};
use super::tree::ROOT;
use super::{Session, lock};
use crate::fs::{Credentials, DIRECTORY, New, Result};

/// `AT_REMOVEDIR` on the wire (`P9_DOTL_AT_REMOVEDIR`).
const REMOVE_DIRECTORY: u32 = 0x200;

/// A name that can stand in a directory and is none that means another.
fn check(name: &[u8], dots: Errno) -> Result<()> {
    match name {
        b"." | b".." => Err(dots),
        _ if name.is_empty() || name.contains(&b'/') || name.contains(&0) => Err(Errno::NOENT),
        _ if name.len() > 255 => Err(Errno::NAMETOOLONG),
        _ => Ok(()),
    }
}

impl Session {
    pub(super) fn walk(&self, number: u32, new: u32, names: &[Text<'_>]) -> Result<Vec<Qid>> {
        let fid = self.fid(number)?;
        if matches!(*lock(&fid.open), Open::Attribute { .. } | Open::NewAttribute { .. }) {
            return Err(Errno::INVAL);
        }
        // From an open fid nothing leads on; but it can be had a second time, not open.
        if fid.is_open() && (!names.is_empty() || new == number) {
            return Err(Errno::INVAL);
        }
        let mut here = fid.node.another();
        let mut qids = Vec::with_capacity(names.len());
        for name in names {
            match self.step(&here, name.0) {
                Ok((node, qid)) => {
                    qids.push(qid);
                    here = node;
                }
                Err(e) if qids.is_empty() => return Err(e),
                // The client sees by their number where it went no further; the fid stays what it was.
                Err(_) => return Ok(qids),
            }
        }
        let walked = Fid::new(here, fid.uid);
        if new == number {
            lock(&self.state).fids.insert(number, Arc::new(walked));
        } else {
            self.add_fid(new, walked)?;
        }
        Ok(qids)
    }

    fn step(&self, here: &NodeRef, name: &[u8]) -> Result<(NodeRef, Qid)> {
        let node = match name {
            b"." => here.another(),
            b".." => here.parent()?,
            _ => {
                check(name, Errno::NOENT)?;
                here.child(name)?
            }
        };
        let stat = self.export.fs.stat(&node.spot()?)?;
        let qid = self.qid(&stat)?;
        Ok((node, qid))
    }

    /// Makes a regular file and turns the fid of its directory into it.
    pub(super) fn create(
        &self,
        number: u32,
        dir: &Arc<Fid>,
        name: &[u8],
        flags: OFlags,
        creds: Credentials,
    ) -> Result<(Qid, u32)> {
        check(name, Errno::EXIST)?;
        let count = self.count_open()?;
        if dir.is_open() {
            return Err(Errno::INVAL);
        }
        let at = dir.node.spot()?;
        let node = dir.node.child(name)?;
        let file = self.export.fs.create(&at, name, flags, creds)?;
        let qid = self.qid(&file.stat()?)?;
        let created = Fid::new(node, dir.uid);
        *lock(&created.open) = Open::File {
            file,
            flags,
            _count: count,
        };
        self.replace(number, dir, created)?;
        Ok((qid, self.iounit()))
    }

    /// Puts another fid in the place of one.
    fn replace(&self, number: u32, old: &Arc<Fid>, new: Fid) -> Result<()> {
        let mut state = lock(&self.state);
        let slot = state.fids.get_mut(&number).filter(|f| Arc::ptr_eq(f, old));
        // Somebody else has clunked it meanwhile.
        *slot.ok_or(Errno::BADF)? = Arc::new(new);
        Ok(())
    }

    pub(super) fn make(&self, dir: u32, name: &[u8], what: New<'_>, mode: u32, gid: u32) -> Result<Qid> {
        check(name, Errno::EXIST)?;
        let dir = self.fid(dir)?;
        let at = dir.node.spot()?;
        let creds = Credentials {
            uid: dir.uid,
            gid,
            mode,
        };
        if let New::Symlink { target } = what
            && (target.is_empty() || target.contains(&0))
        {
            return Err(Errno::INVAL);
        }
        self.export.fs.make(&at, name, what, creds)?;
        self.qid(&self.export.fs.stat(&at.child(name))?)
    }

    pub(super) fn link(&self, directory: u32, fid: u32, name: &[u8]) -> Result<()> {
        check(name, Errno::EXIST)?;
        let (directory, fid) = (self.fid(directory)?, self.fid(fid)?);
        self.export.fs.link(&fid.node.spot()?, &directory.node.spot()?, name)
    }

    pub(super) fn rename_fid(&self, fid: u32, directory: u32, name: &[u8]) -> Result<()> {
        let (fid, directory) = (self.fid(fid)?, self.fid(directory)?);
        let (parent, old) = self.place_of(&fid)?;
        self.rename((&parent, &old), (&directory.node, name))
    }

    pub(super) fn rename_at(&self, from: (u32, &[u8]), to: (u32, &[u8])) -> Result<()> {
        check(from.1, Errno::EXIST)?;
        let (old, new) = (self.fid(from.0)?, self.fid(to.0)?);
        self.rename((&old.node, from.1), (&new.node, to.1))
    }

    /// The directory of a fid's file, and its name there.
    fn place_of(&self, fid: &Fid) -> Result<(NodeRef, Vec<u8>)> {
        if fid.node.id == ROOT {
            return Err(Errno::BUSY);
        }
        let name = lock(&self.tree).name(fid.node.id).ok_or(Errno::NOENT)?;
        Ok((fid.node.parent()?, name.to_vec()))
    }

    fn rename(&self, from: (&NodeRef, &[u8]), to: (&NodeRef, &[u8])) -> Result<()> {
        check(to.1, Errno::EXIST)?;
        let (old, new) = (from.0.spot()?, to.0.spot()?);
        let kept = self.keep(to.0, to.1);
        self.export.fs.rename((&old, from.1), (&new, to.1))?;
        // Of two names of one file, rename(2) leaves both.
        let both = self.export.fs.stat(&old.child(from.1)).is_ok();
        if !both {
            lock(&self.tree).renamed((from.0.id, from.1), (to.0.id, to.1), kept);
        }
        Ok(())
    }

    /// Keeps the file of a name for those who have a fid of it.
    fn keep(&self, dir: &NodeRef, name: &[u8]) -> Option<Arc<rustix::fd::OwnedFd>> {
        let tree = lock(&self.tree);
        tree.known(dir.id, name)?;
        let at = tree.spot(dir.id).ok()?;
        drop(tree);
        self.export.fs.keep(&at.child(name))
    }

    pub(super) fn unlink_at(&self, directory: u32, name: &[u8], flags: u32) -> Result<()> {
        if flags & !REMOVE_DIRECTORY != 0 {
            return Err(Errno::INVAL);
        }
        check(name, if name == b"." { Errno::INVAL } else { Errno::NOTEMPTY })?;
        let directory = self.fid(directory)?;
        self.remove(&directory.node, name, flags != 0)
    }

    fn remove(&self, dir: &NodeRef, name: &[u8], directory: bool) -> Result<()> {
        let at = dir.spot()?;
        let kept = self.keep(dir, name);
        self.export.fs.remove(&at, name, directory)?;
        lock(&self.tree).removed(dir.id, name, kept);
        Ok(())
    }

    /// Removes a file; its fid is gone whether that succeeds or not (remove(5)).
    pub(super) fn remove_fid(&self, number: u32) -> Result<()> {
        let fid = lock(&self.state).fids.remove(&number).ok_or(Errno::BADF)?;
        let (parent, name) = self.place_of(&fid)?;
        let stat = self.export.fs.stat(&fid.node.spot()?)?;
        self.remove(&parent, &name, stat.is(DIRECTORY))
    }

    /// Gives the file of a fid another name in its directory (Twstat).
    pub(super) fn rename_in_place(&self, fid: &Fid, name: &[u8]) -> Result<()> {
        let (parent, old) = self.place_of(fid)?;
        self.rename((&parent, &old), (&parent, name))
    }
}
