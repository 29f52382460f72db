//! Requests that move bytes: reading and writing files, listing directories, extended attributes.

use rustix::io::Errno;
use southbridge_protocol_p9::message::{DATA_HEADER_LEN, data_reply};
use southbridge_protocol_p9::{Data, DirEntry, NO_FID, Qid, QidType, Reply, Text, code};

use super::fid::{Fid, NodeRef, Open};
use super::{Call, LARGEST_XATTR, Session, lock};
use crate::fs::{DIRECTORY, Entry, FileStat, OpenFile, Result, SYMLINK};

impl Call {
    /// Most bytes of data in the reply, of so many that the client wants.
    pub(super) fn room(self, count: u32) -> usize {
        self.most.saturating_sub(DATA_HEADER_LEN).min(count as usize)
    }
}

impl Session {
    pub(super) fn read(&self, fid: u32, offset: u64, count: u32, call: Call) -> Result<Vec<u8>> {
        let fid = self.fid(fid)?;
        let open = lock(&fid.open);
        let file = match &*open {
            Open::File { file, .. } => file.clone(),
            Open::Attribute { value, .. } => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = value.get(at..).unwrap_or_default();
                let data = Data(&rest[..rest.len().min(call.room(count))]);
                return Ok(Reply::Read { data }.to_bytes(call.tag));
            }
            Open::Directory { .. } => {
                drop(open);
                return self.read_directory(&fid, offset, count, call);
            }
            Open::Lost => return Err(Errno::STALE),
            Open::No | Open::NewAttribute { .. } => return Err(Errno::INVAL),
        };
        drop(open);
        data_reply(code::TREAD + 1, call.tag, call.room(count), |to| file.read(offset, to))
    }

    pub(super) fn write(&self, fid: u32, offset: u64, data: &[u8]) -> Result<u32> {
        let fid = self.fid(fid)?;
        let mut open = lock(&fid.open);
        let file = match &mut *open {
            Open::File { file, .. } => file.clone(),
            Open::NewAttribute { size, value, .. } => {
                // In order, as clients do: an attribute is small and written once.
                let end = value.len().checked_add(data.len()).ok_or(Errno::NOSPC)?;
                if offset != value.len() as u64 || end > *size {
                    return Err(Errno::NOSPC);
                }
                value.extend_from_slice(data);
                return u32::try_from(data.len()).map_err(|_| Errno::INVAL);
            }
            Open::Lost => return Err(Errno::STALE),
            _ => return Err(Errno::INVAL),
        };
        drop(open);
        write_all(&*file, offset, data)
    }

    pub(super) fn readdir(&self, fid: u32, offset: u64, count: u32, call: Call) -> Result<Vec<u8>> {
        let fid = self.fid(fid)?;
        let file = match &*lock(&fid.open) {
            Open::Directory { file, .. } => file.clone(),
            Open::Lost => return Err(Errno::STALE),
            _ => return Err(Errno::INVAL),
        };
        let most = call.room(count);
        let mut data = Vec::with_capacity(most);
        let mut full = false;
        let dev = file.stat().map_or(0, |s| s.dev);
        file.entries(offset, &mut |entry| {
            full = data.len() + DirEntry::wire_len(entry.name.len()) > most;
            if full {
                return false;
            }
            if let Some(qid) = self.entry_qid(&fid.node, &*file, &entry, dev) {
                let entry = DirEntry {
                    qid,
                    offset: entry.next,
                    kind: entry.kind,
                    name: Text(entry.name),
                };
                entry.append(&mut data);
            }
            true
        })?;
        if full && data.is_empty() {
            // Not even one: an empty reply would mean the end.
            return Err(Errno::INVAL);
        }
        Ok(Reply::Readdir { data: Data(&data) }.to_bytes(call.tag))
    }

    /// The identity of an entry. `None` for one that has none: another device's under `multidevs=forbid`.
    fn entry_qid(&self, dir: &NodeRef, file: &dyn OpenFile, entry: &Entry<'_>, dev: u64) -> Option<Qid> {
        let stat = match entry.name {
            // Above the root is the root.
            b".." => dir.parent().and_then(|p| self.export.fs.stat(&p.spot()?)),
            name => file.stat_in(name),
        };
        let gone = FileStat {
            dev,
            ino: entry.ino,
            ..FileStat::default()
        };
        let mut qid = self.qid(&stat.unwrap_or(gone)).ok()?;
        // As it is known without a look at what the guest believes of it.
        qid.kind
            .set(QidType::DIRECTORY, u32::from(entry.kind) << 12 == DIRECTORY);
        qid.kind.set(QidType::SYMLINK, u32::from(entry.kind) << 12 == SYMLINK);
        Some(qid)
    }

    /// Makes `new` an attribute of the file of `fid`, or the list of all; its size in bytes.
    pub(super) fn xattr_walk(&self, fid: u32, new: u32, name: &[u8]) -> Result<u64> {
        let fid = self.fid(fid)?;
        if new == NO_FID || name.contains(&0) {
            return Err(Errno::INVAL);
        }
        let at = fid.node.spot()?;
        let value = match name {
            b"" => self.export.fs.list_xattrs(&at)?,
            name => self.export.fs.get_xattr(&at, name)?,
        };
        let size = value.len() as u64;
        let _count = self.count_xattr(value.len())?;
        let attribute = Fid::new(fid.node.another(), fid.uid);
        *lock(&attribute.open) = Open::Attribute { value, _count };
        self.add_fid(new, attribute)?;
        Ok(size)
    }

    pub(super) fn xattr_create(&self, fid: u32, name: &[u8], size: u64, flags: u32) -> Result<()> {
        let fid = self.fid(fid)?;
        let size = usize::try_from(size)
            .ok()
            .filter(|s| *s <= LARGEST_XATTR)
            .ok_or(Errno::TOOBIG)?;
        if name.is_empty() || name.contains(&0) || flags > 3 {
            return Err(Errno::INVAL);
        }
        let mut open = lock(&fid.open);
        if !matches!(*open, Open::No) {
            return Err(Errno::INVAL);
        }
        let _count = self.count_xattr(size + name.len())?;
        *open = Open::NewAttribute {
            name: name.to_vec(),
            flags,
            size,
            value: Vec::new(),
            _count,
        };
        Ok(())
    }

    /// Forgets a fid. An attribute that was written through it takes effect now.
    pub(super) fn clunk(&self, number: u32) -> Result<()> {
        let fid = lock(&self.state).fids.remove(&number).ok_or(Errno::BADF)?;
        let open = std::mem::replace(&mut *lock(&fid.open), Open::No);
        let Open::NewAttribute {
            name,
            flags,
            size,
            value,
            ..
        } = open
        else {
            return Ok(());
        };
        let at = fid.node.spot()?;
        match size {
            _ if value.len() != size => Err(Errno::INVAL),
            // As the Linux client says that one is to be removed.
            0 => self.export.fs.remove_xattr(&at, &name),
            _ => self.export.fs.set_xattr(&at, &name, &value, flags),
        }
    }
}

/// Writes all, or what can be written before something fails.
fn write_all(file: &dyn OpenFile, offset: u64, data: &[u8]) -> Result<u32> {
    let mut done = 0;
    while let Some(rest) = data.get(done..).filter(|r| !r.is_empty() || data.is_empty()) {
        let at = offset.checked_add(done as u64).ok_or(Errno::FBIG)?;
        match file.write(at, rest) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
    }
    u32::try_from(done).map_err(|_| Errno::INVAL)
}
