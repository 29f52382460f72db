//! The host's side: descriptors, wall-clock wake-ups and worker threads become completions.
//!
//! A [`Backend`] owns something of the host and never calls a device: it posts completions, which the machine delivers in order. One
//! thread, the machine's, runs back ends; it waits in epoll itself while the guest is idle, and while the guest is busy a watcher
//! thread only raises a flag that CPUs see at the next block. That keeps a doorbell from one process to another down to one wake-up.
//!
//! Why not `calloop`: its wait re-arms a timer and a notifier descriptor on each turn, three system calls where the latency goal for
//! doorbells allows one.

mod backends;
mod reactor;
mod wake;
mod watch;
mod watcher;

use rustix::fd::OwnedFd;
use std::any::Any;

pub use self::backends::{Host, HostCx};
pub use self::reactor::{Reactor, WatchId};
pub use self::wake::{AttentionFlag, Kick, Waker};
pub use self::watch::{Ready, Watch};

/// A back end of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub(crate) u32);

/// Something the host did, for one device. Everything from outside enters a machine as one of these.
#[derive(Debug)]
pub struct Completion {
    /// Which of the device's connections: the device's own numbering, given when it attached.
    pub port: u32,
    /// What happened, in the terms of the kind of back end.
    pub token: u64,
    /// A count, or a negative errno.
    pub result: i64,
    /// Bytes.
    pub data: Vec<u8>,
    /// Descriptors that came along.
    pub fds: Vec<OwnedFd>,
}

impl Completion {
    /// One without data.
    pub fn plain(port: u32, token: u64, result: i64) -> Self {
        Self {
            port,
            token,
            result,
            data: Vec::new(),
            fds: Vec::new(),
        }
    }
}

/// What a back end can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostEvent {
    /// A watched descriptor is ready.
    Ready {
        /// As given to `watch`.
        token: u64,
        /// There is something to read, or the other side is gone.
        readable: bool,
        /// There is room to write.
        writable: bool,
        /// The other side hung up or the descriptor failed.
        hangup: bool,
    },
    /// A wake-up by the wall clock is due.
    WakeUp {
        /// As given to `wake_after`.
        token: u64,
    },
    /// A worker thread called [`Waker::wake`].
    Woken,
}

/// The host's half of a connection. Lives on the machine's thread; must never block.
pub trait Backend: Any + Send {
    /// Something happened.
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>);

    /// The machine is about to be saved: what is under way is finished, and its completions are posted. The one call that may wait.
    fn drain(&mut self, _cx: &mut HostCx<'_>) {}

    /// The machine ends or the back end is removed: flush, unlink, stop threads.
    fn close(&mut self, _cx: &mut HostCx<'_>) {}
}

bitflags::bitflags! {
    /// What to be told of a descriptor.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Interest: u8 {
        /// Readable (and hang-up).
        const READ = 1;
        /// Writable.
        const WRITE = 2;
        /// Only on changes, so that the descriptor need not be drained.
        const EDGE = 4;
    }
}
