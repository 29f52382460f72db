//! A fid: a file, whose it is, and what it is open for.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use super::tree::{NodeId, Tree};
use crate::fs::{Opened, Result, Spot};

/// A node, held.
pub(super) struct NodeRef {
    tree: Arc<Mutex<Tree>>,
    pub(super) id: NodeId,
}

impl NodeRef {
    pub(super) fn hold(tree: &Arc<Mutex<Tree>>, id: NodeId) -> Self {
        lock(tree).hold(id);
        Self { tree: tree.clone(), id }
    }

    /// The node of a name in this directory.
    pub(super) fn child(&self, name: &[u8]) -> Result<Self> {
        let id = lock(&self.tree).child(self.id, name)?;
        Ok(Self {
            tree: self.tree.clone(),
            id,
        })
    }

    pub(super) fn parent(&self) -> Result<Self> {
        let mut tree = lock(&self.tree);
        if tree.is_removed(self.id) {
            return Err(Errno::NOENT);
        }
        let id = tree.parent(self.id);
        let id = tree.hold(id);
        drop(tree);
        Ok(Self {
            tree: self.tree.clone(),
            id,
        })
    }

    pub(super) fn spot(&self) -> Result<Spot> {
        lock(&self.tree).spot(self.id)
    }

    pub(super) fn another(&self) -> Self {
        Self::hold(&self.tree, self.id)
    }
}

impl Drop for NodeRef {
    fn drop(&mut self) {
        lock(&self.tree).release(self.id);
    }
}

/// A share of something bounded, given back when it is dropped.
pub(super) struct Count(Arc<AtomicUsize>, usize);

impl Count {
    /// `None` if it would be more than `most`.
    pub(super) fn up(counter: &Arc<AtomicUsize>, by: usize, most: usize) -> Option<Self> {
        let more = |now: usize| now.checked_add(by).filter(|n| *n <= most);
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(counter.clone(), by))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// What a fid is open for.
pub(super) enum Open {
    /// Nothing yet.
    No,
    /// A file.
    File {
        file: Opened,
        /// How it was opened.
        flags: OFlags,
        _count: Count,
    },
    /// A directory.
    Directory {
        file: Opened,
        /// For 9P2000.u, which counts bytes: the next byte, and where the entry is that begins there.
        next: (u64, u64),
        _count: Count,
    },
    /// An extended attribute, or the list of all, to be read.
    Attribute { value: Vec<u8>, _count: Count },
    /// An extended attribute that is being written; it takes effect when the fid is clunked.
    NewAttribute {
        name: Vec<u8>,
        flags: u32,
        /// Bytes that it will have.
        size: usize,
        value: Vec<u8>,
        _count: Count,
    },
    /// It was open where the machine came from, and could not be opened here.
    Lost,
}

/// A fid.
pub(super) struct Fid {
    pub(super) node: NodeRef,
    /// Whose files it makes.
    pub(super) uid: u32,
    pub(super) open: Mutex<Open>,
}

impl Fid {
    pub(super) fn new(node: NodeRef, uid: u32) -> Self {
        Self {
            node,
            uid,
            open: Mutex::new(Open::No),
        }
    }

    /// The file or directory, if it is open.
    pub(super) fn file(&self) -> Option<Opened> {
        match &*lock(&self.open) {
            Open::File { file, .. } | Open::Directory { file, .. } => Some(file.clone()),
            _ => None,
        }
    }

    /// The file, if it is open for writing.
    pub(super) fn writable(&self) -> Option<Opened> {
        match &*lock(&self.open) {
            Open::File { file, flags, .. } if flags.intersects(OFlags::WRONLY | OFlags::RDWR) => Some(file.clone()),
            _ => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(*lock(&self.open), Open::No)
    }
}
