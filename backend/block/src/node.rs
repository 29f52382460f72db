//! A node: an image with a name, and who uses it for what.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::BlockError;
use crate::image::Image;
use crate::lock::{Locks, Share};

/// What a user of a node does with it, and what it lets others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// It writes.
    pub write: bool,
    /// Others may write, too.
    pub share_write: bool,
}

impl Use {
    fn locks(self) -> Locks {
        Locks {
            read: true,
            write: self.write,
            resize: false,
            keep_write: !self.share_write,
        }
    }

    fn forbids(self, other: Self) -> bool {
        other.write && !self.share_write
    }
}

/// What is said about every node, whatever its driver.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    pub(crate) driver: &'static str,
    /// Space is given back when the guest says that it may be.
    pub(crate) unmap: bool,
    /// Past the host's cache.
    pub(crate) direct: bool,
    /// Nothing has to survive a crash of the host.
    pub(crate) no_flush: bool,
}

/// An image with a name.
pub struct Node {
    name: String,
    /// Made for a drive or below another node, rather than by somebody who named it.
    implicit: bool,
    common: Common,
    image: Box<dyn Image>,
    below: Option<Arc<Node>>,
    uses: Mutex<Vec<(u64, Use)>>,
    /// The machine is elsewhere, or not here yet: images are not locked.
    elsewhere: Arc<AtomicBool>,
}

/// The right to use a node; its drop gives that back.
pub(crate) struct Hold {
    node: Arc<Node>,
    number: u64,
    _below: Option<Box<Hold>>,
}

impl Node {
    pub(crate) fn new(
        name: &str,
        implicit: bool,
        common: Common,
        image: Box<dyn Image>,
        below: Option<Arc<Self>>,
        elsewhere: Arc<AtomicBool>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            implicit,
            common,
            image,
            below,
            uses: Mutex::default(),
            elsewhere,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether nobody gave it its name.
    pub fn is_implicit(&self) -> bool {
        self.implicit
    }

    /// Its driver.
    pub fn driver(&self) -> &'static str {
        self.common.driver
    }

    /// The node that it stands on.
    pub fn below(&self) -> Option<&Arc<Self>> {
        self.below.as_ref()
    }

    /// Bytes.
    #[allow(clippy::len_without_is_empty, reason = "a disk of no bytes is a disk")]
    pub fn len(&self) -> u64 {
        self.image.len()
    }

    /// Whether it can only be read.
    pub fn is_read_only(&self) -> bool {
        self.image.read_only()
    }

    /// Whether what is written is gone with the disk.
    pub fn is_temporary(&self) -> bool {
        self.image.is_temporary()
    }

    /// What `info block` shows.
    pub fn filename(&self) -> String {
        self.image.filename()
    }

    /// Bytes that the host really keeps for it.
    pub fn allocated(&self) -> Option<u64> {
        self.image.allocated()
    }

    /// `cache.direct`.
    pub fn is_direct(&self) -> bool {
        self.common.direct
    }

    /// `cache.no-flush`.
    pub fn is_no_flush(&self) -> bool {
        self.common.no_flush
    }

    /// `discard=unmap`.
    pub fn unmaps(&self) -> bool {
        self.common.unmap
    }

    /// Whether somebody uses it.
    pub fn is_used(&self) -> bool {
        !self.lock_uses().is_empty()
    }

    pub(crate) fn image(&self) -> &dyn Image {
        &*self.image
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        if self.common.no_flush {
            return Ok(());
        }
        self.image.flush()
    }

    pub(crate) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        if !self.common.unmap {
            return Ok(());
        }
        self.image.discard(offset, len)
    }

    pub(crate) fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        self.image.write_zeroes(offset, len, unmap && self.common.unmap)
    }

    fn lock_uses(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Use)>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to use it, and what is below it.
    pub(crate) fn hold(self: &Arc<Self>, wants: Use) -> Result<Hold, BlockError> {
        if wants.write && self.is_read_only() {
            return Err(BlockError::ReadOnly(self.name.clone()));
        }
        let below = match &self.below {
            Some(below) => Some(Box::new(below.hold(self.image.below_use(wants))?)),
            None => None,
        };
        let mut uses = self.lock_uses();
        if uses.iter().any(|(_, u)| u.forbids(wants) || wants.forbids(*u)) {
            return Err(BlockError::InUse {
                node: self.name.clone(),
                why: "is used by another device, and one of the two does not share what is written (share-rw)".into(),
            });
        }
        let number = uses.last().map_or(0, |(n, _)| n.wrapping_add(1));
        uses.push((number, wants));
        if let Err(e) = self.lock(&uses) {
            uses.pop();
            return Err(self.not_locked(e));
        }
        drop(uses);
        Ok(Hold {
            node: self.clone(),
            number,
            _below: below,
        })
    }

    fn lock(&self, uses: &[(u64, Use)]) -> Result<(), Share> {
        match self.elsewhere.load(Ordering::Relaxed) {
            true => self.image.lock(Locks::default()),
            false => self.image.lock(together(uses)),
        }
    }

    /// Locks it anew, when the machine has come or gone.
    pub(crate) fn relock(&self) -> Result<(), BlockError> {
        self.lock(&self.lock_uses()).map_err(|e| self.not_locked(e))
    }

    fn not_locked(&self, e: Share) -> BlockError {
        match e {
            Share::Taken(right) => BlockError::Locked {
                path: self.filename(),
                right,
            },
            Share::Host(source) => BlockError::Host {
                option: None,
                what: format!("cannot lock '{}'", self.filename()),
                source,
            },
        }
    }
}

fn together(uses: &[(u64, Use)]) -> Locks {
    uses.iter().fold(Locks::default(), |all, (_, u)| all.and(u.locks()))
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut uses = self.node.lock_uses();
        uses.retain(|(n, _)| *n != self.number);
        // To need less cannot fail for want of a right.
        let _ = self.node.lock(&uses);
    }
}
