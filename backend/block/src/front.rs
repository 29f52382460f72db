//! The device's side: what a disk keeps of its back end.

use southbridge_core::{BackendId, Build, CreateError, Ctx, PropValue, Properties};
use std::sync::Arc;

use crate::backend::{BlockBackend, Habits};
use crate::iothread::IoThread;
use crate::node::Use;
use crate::request::{NEVER, Request};
use crate::stats::Kind;
use crate::worker::Worker;

/// What a disk keeps of its back end. Dropping it (the device is unplugged) makes the back end free for another, as soon as what was
/// asked for is done.
#[derive(Debug)]
pub struct BlockFront {
    backend: BackendId,
    front: u32,
    _alive: Arc<()>,
}

/// What a device learns of its back end when it attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Medium {
    /// Bytes.
    pub len: u64,
    /// It can only be read.
    pub read_only: bool,
    /// What the user said about it apart from the device.
    pub habits: Habits,
}

impl BlockFront {
    /// Attaches to the back end that the `Backend("drive")` property `property` names. Completions come with `port`. A device that does
    /// not `share_write` allows nobody else to write; one that cannot write to its back end attaches for reading.
    ///
    /// # Errors
    /// The property is not set; the back end is gone, is none for blocks, or is used by somebody who does not go with this.
    pub fn attach(
        props: &Properties,
        property: &'static str,
        port: u32,
        share_write: bool,
        build: &mut Build<'_>,
    ) -> Result<(Self, Medium), CreateError> {
        let Some(PropValue::Backend(name, id)) = props.get(property) else {
            return Err(CreateError::Missing {
                property,
                expected: "NAME, the node-name of a -blockdev or the id of a -drive".into(),
            });
        };
        let (name, id) = (name.clone(), *id);
        let device = build.me();
        let Some((backend, _)) = build.backend::<BlockBackend>(id) else {
            return Err(CreateError::BadValue {
                property,
                value: name,
                expected: "a block node or drive, and this is none (or no longer one)".into(),
            });
        };
        let medium = Medium {
            len: backend.node().len(),
            read_only: backend.node().is_read_only(),
            habits: backend.habits(),
        };
        let wants = Use {
            write: !medium.read_only,
            share_write,
        };
        let alive = Arc::new(());
        let front = backend
            .attach(device, port, &alive, wants)
            .map_err(|e| CreateError::Host(e.to_string()))?;
        build.name_port(port, &name, NEVER);
        let this = Self {
            backend: id,
            front,
            _alive: alive,
        };
        Ok((this, medium))
    }

    /// What a thread needs to serve queues of the disk. `None` where it cannot: the node's answers take a time of their own
    /// (`latency-ns`), or it is gone.
    pub fn worker(&self, thread: Arc<IoThread>, build: &mut Build<'_>) -> Option<Worker> {
        let (backend, _) = build.backend::<BlockBackend>(self.backend)?;
        backend.worker(self.front, thread)
    }

    /// Asks for something. [`crate::BlockEvent::Done`] with `token` follows, which must be below 2^63. How much is under way at a time is
    /// for the device to bound. While the machine runs through its past nothing is asked for: what came of it then comes again.
    pub fn submit(&self, token: u64, request: Request, cx: &mut Ctx<'_>) {
        if cx.is_replaying() {
            return;
        }
        if let Some((backend, mut host)) = cx.backend::<BlockBackend>(self.backend) {
            backend.submit(self.front, token, request, &mut host);
        }
    }

    /// Forgets what was asked for, also by threads: it is done all the same, and nothing that is asked for later begins before that.
    pub fn forget(&self, cx: &mut Ctx<'_>) {
        if cx.is_replaying() {
            return;
        }
        if let Some((backend, _)) = cx.backend::<BlockBackend>(self.backend) {
            backend.forget(self.front);
        }
    }

    /// Length of the disk now, in bytes; `None` while the machine runs through its past.
    pub fn len(&self, cx: &mut Ctx<'_>) -> Option<u64> {
        if cx.is_replaying() {
            return None;
        }
        let (backend, _) = cx.backend::<BlockBackend>(self.backend)?;
        Some(backend.node().len())
    }

    /// Counts a request that made no sense.
    pub fn count_invalid(&self, kind: Kind, cx: &mut Ctx<'_>) {
        if let Some((backend, _)) = cx.backend::<BlockBackend>(self.backend) {
            backend.count_invalid(kind);
        }
    }

    /// The id of the drive, which is empty where there is none, and the name of the node.
    pub fn names(&self, cx: &mut Ctx<'_>) -> (String, String) {
        let Some((backend, _)) = cx.backend::<BlockBackend>(self.backend) else {
            return (String::new(), String::new());
        };
        let drive = if backend.is_drive() { backend.name() } else { "" };
        (drive.to_owned(), backend.node().name().to_owned())
    }
}
