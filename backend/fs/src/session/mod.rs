//! A 9P session: fids, and what each request does to them and to the tree.
//!
//! Requests of one session may be worked on by several threads at once. Those that change names wait until they are alone
//! ([`Session::gate`]), so that a path that was made out of nodes stays true while it is used; all others run side by side.
//!
//! Everything that a client can make grow is bounded: fids, open files, paths, extended attributes, messages.

mod fid;
mod linux;
mod names;
mod save;
#[cfg(test)]
mod tests;
mod transfer;
mod tree;
mod unix;

use rustix::io::Errno;
use southbridge_protocol_p9::{
    HEADER_LEN, Header, Malformed, NO_FID, Qid, Reply, Request, Text, VERSION_L, VERSION_U, VERSION_UNKNOWN, code,
};
use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::fs::{FileStat, FileSystem, Result, Spot};
use crate::qid::{MultiDevices, Qids};
use crate::throttle::Way;
use fid::{Count, Fid, NodeRef};
pub(crate) use save::SavedSession;
use tree::{ROOT, Tree};

/// Most fids of a session.
const MOST_FIDS: usize = 1 << 18;
/// Most bytes of extended attributes in the hands of all fids.
const MOST_XATTR: usize = 16 << 20;
/// Largest extended attribute, in bytes (`XATTR_SIZE_MAX`).
const LARGEST_XATTR: usize = 65536;
/// Smallest message size that a client may want, as QEMU's.
const LEAST_MSIZE: u32 = 4096;
/// Largest that it gets: bounds what a request can make us allocate.
pub(crate) const MOST_MSIZE: u32 = 1 << 20;

/// What is exported, and how.
pub(crate) struct Export {
    pub(crate) fs: Box<dyn FileSystem>,
    pub(crate) readonly: bool,
    pub(crate) multidevs: MultiDevices,
    /// Most files that are open at once.
    pub(crate) most_open: usize,
}

/// The dialect that was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Linux,
    Unix,
}

#[derive(Default)]
struct State {
    dialect: Option<Dialect>,
    msize: u32,
    fids: HashMap<u32, Arc<Fid>>,
}

/// A session.
pub(crate) struct Session {
    export: Arc<Export>,
    /// Held by all that work on requests; alone by those that change names, and to save.
    gate: RwLock<()>,
    state: Mutex<State>,
    tree: Arc<Mutex<Tree>>,
    qids: Mutex<Qids>,
    open_files: Arc<AtomicUsize>,
    xattr_bytes: Arc<AtomicUsize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request while it is worked on.
#[derive(Debug, Clone, Copy)]
struct Call {
    tag: u16,
    /// Most bytes of the reply.
    most: usize,
}

impl Session {
    pub(crate) fn new(export: Arc<Export>) -> Self {
        let root = Spot {
            path: Vec::new(),
            kept: None,
        };
        let dev = export.fs.stat(&root).map_or(0, |s| s.dev);
        Self {
            qids: Mutex::new(Qids::new(export.multidevs, dev)),
            export,
            gate: RwLock::new(()),
            state: Mutex::default(),
            tree: Arc::new(Mutex::new(Tree::new())),
            open_files: Arc::default(),
            xattr_bytes: Arc::default(),
        }
    }

    /// Answers a request; never Tflush, which is about other requests. The reply may be longer than `room` only if `room` is less
    /// than what an error needs.
    pub(crate) fn answer(&self, message: &[u8], room: usize) -> Vec<u8> {
        let Ok(header) = Header::read(message) else {
            return error(None, southbridge_protocol_p9::NO_TAG, Errno::INVAL);
        };
        let answered = Header::split(message)
            .and_then(|(_, fields)| Request::read_fields(header.kind, fields))
            .map_err(|malformed| match malformed {
                Malformed::Type(_) => Errno::OPNOTSUPP,
                _ => Errno::INVAL,
            })
            .and_then(|request| self.answer_to(request, header.tag, room));
        // The target of a link may be longer than a message.
        let answered = answered.and_then(|reply| {
            if reply.len() <= room {
                Ok(reply)
            } else {
                Err(Errno::MSGSIZE)
            }
        });
        answered.unwrap_or_else(|e| error(lock(&self.state).dialect, header.tag, e))
    }

    fn answer_to(&self, request: Request<'_>, tag: u16, room: usize) -> Result<Vec<u8>> {
        if let Request::Version { msize, version } = request {
            let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            return self.version(msize, version.0, tag);
        }
        let alone = changes_names(&request);
        let _alone = alone.then(|| self.gate.write().unwrap_or_else(PoisonError::into_inner));
        let _beside = (!alone).then(|| self.gate.read().unwrap_or_else(PoisonError::into_inner));
        let (dialect, msize) = {
            let state = lock(&self.state);
            (state.dialect.ok_or(Errno::PROTO)?, state.msize)
        };
        if self.export.readonly && !is_harmless(&request) {
            return Err(Errno::ROFS);
        }
        let call = Call {
            tag,
            most: room.min(msize as usize),
        };
        match dialect {
            Dialect::Linux => self.linux(request, call),
            Dialect::Unix => self.unix(request, call),
        }
    }

    /// Begins anew: all fids are gone.
    fn version(&self, msize: u32, version: &[u8], tag: u16) -> Result<Vec<u8>> {
        let mut state = lock(&self.state);
        let fids = std::mem::take(&mut *state).fids;
        let dialect = match version {
            VERSION_L => Some(Dialect::Linux),
            VERSION_U => Some(Dialect::Unix),
            _ => None,
        };
        let msize = msize.min(MOST_MSIZE);
        if dialect.is_some() && msize < LEAST_MSIZE {
            return Err(Errno::MSGSIZE);
        }
        state.dialect = dialect;
        state.msize = msize;
        drop(state);
        // Files close when nobody holds the lock.
        drop(fids);
        let version = Text(if dialect.is_some() { version } else { VERSION_UNKNOWN });
        Ok(Reply::Version { msize, version }.to_bytes(tag))
    }

    fn attach(&self, fid: u32, uid: u32, call: Call) -> Result<Vec<u8>> {
        let root = NodeRef::hold(&self.tree, ROOT);
        let qid = self.qid(&self.export.fs.stat(&root.spot()?)?)?;
        self.add_fid(fid, Fid::new(root, uid))?;
        Ok(Reply::Attach { qid }.to_bytes(call.tag))
    }

    fn fid(&self, fid: u32) -> Result<Arc<Fid>> {
        let state = lock(&self.state);
        state.fids.get(&fid).cloned().ok_or(Errno::BADF)
    }

    /// Gives a number to a fid; it must be free.
    fn add_fid(&self, number: u32, fid: Fid) -> Result<()> {
        let mut state = lock(&self.state);
        if number == NO_FID || state.fids.contains_key(&number) {
            return Err(Errno::INVAL);
        }
        if state.fids.len() >= MOST_FIDS {
            return Err(Errno::NFILE);
        }
        state.fids.insert(number, Arc::new(fid));
        Ok(())
    }

    fn qid(&self, stat: &FileStat) -> Result<Qid> {
        lock(&self.qids).qid(stat)
    }

    /// What is known of the file of a fid. If its name is gone and nothing was kept, an open file still knows.
    fn stat(&self, fid: &Fid) -> Result<FileStat> {
        let by_name = fid.node.spot().and_then(|at| self.export.fs.stat(&at));
        match (by_name, fid.file()) {
            (Err(Errno::NOENT), Some(file)) => file.stat(),
            (by_name, _) => by_name,
        }
    }

    fn count_open(&self) -> Result<Count> {
        Count::up(&self.open_files, 1, self.export.most_open).ok_or(Errno::NFILE)
    }

    fn count_xattr(&self, bytes: usize) -> Result<Count> {
        Count::up(&self.xattr_bytes, bytes, MOST_XATTR).ok_or(Errno::NOMEM)
    }

    /// Bytes that a file's reads and writes best have.
    fn iounit(&self) -> u32 {
        let most = lock(&self.state)
            .msize
            .saturating_sub(southbridge_protocol_p9::IO_HEADER_LEN);
        if most >= 4096 { most & !4095 } else { most }
    }

    pub(crate) fn export(&self) -> Arc<Export> {
        self.export.clone()
    }

    /// How many files the session has open, and how many fids; for tests.
    #[cfg(test)]
    fn load(&self) -> (usize, usize) {
        (
            self.open_files.load(std::sync::atomic::Ordering::Relaxed),
            lock(&self.state).fids.len(),
        )
    }
}

/// Requests after which a name means another file, or none.
fn changes_names(request: &Request<'_>) -> bool {
    use Request::{Remove, Rename, Renameat, Unlinkat, Wstat};
    matches!(
        request,
        Remove { .. } | Rename { .. } | Renameat { .. } | Unlinkat { .. } | Wstat { .. }
    )
}

/// Requests that an export that is read-only carries out. Opening for writing is refused where it is opened.
fn is_harmless(request: &Request<'_>) -> bool {
    matches!(
        request.code(),
        code::TREADDIR
            | code::TSTATFS
            | code::TGETATTR
            | code::TXATTRWALK
            | code::TLOCK
            | code::TGETLOCK
            | code::TREADLINK
            | code::TLOPEN
            | code::TATTACH
            | code::TSTAT
            | code::TWALK
            | code::TCLUNK
            | code::TFSYNC
            | code::TOPEN
            | code::TREAD
            | code::TAUTH
    )
}

/// The reply to a request that failed.
fn error(dialect: Option<Dialect>, tag: u16, errno: Errno) -> Vec<u8> {
    let number = errno.raw_os_error().unsigned_abs();
    if dialect != Some(Dialect::Unix) {
        return Reply::Lerror { errno: number }.to_bytes(tag);
    }
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let text = Text(text.as_bytes());
    Reply::Error { text, errno: number }.to_bytes(tag)
}

/// The tag of a message, if it is one.
pub(crate) fn tag_of(message: &[u8]) -> Option<u16> {
    Header::read(message).ok().map(|h| h.tag)
}

/// The request that a Tflush takes back.
pub(crate) fn flushes(message: &[u8]) -> Option<u16> {
    match Request::read(message) {
        Ok((_, Request::Flush { old_tag })) => Some(old_tag),
        _ => None,
    }
}

/// Which way a request moves how many bytes of a file, if it does.
pub(crate) fn moves(message: &[u8]) -> Option<(Way, u64)> {
    match Request::read(message) {
        Ok((_, Request::Read { count, .. })) => Some((Way::Read, count.into())),
        Ok((_, Request::Write { data, .. })) => Some((Way::Write, data.0.len() as u64)),
        _ => None,
    }
}

/// The reply to a Tflush.
pub(crate) fn flushed(tag: u16) -> Vec<u8> {
    Reply::Flush {}.to_bytes(tag)
}

/// Whether a message may at all be looked at: a header, and a size that is not beyond it.
pub(crate) const LEAST_MESSAGE: usize = HEADER_LEN;
