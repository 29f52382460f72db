//! Which host descriptors the owner watches for the engine.

use rustix::fd::{BorrowedFd, OwnedFd};

/// Names a watched descriptor. Never used again within the life of an engine; below 2^63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// Something can be read, or the other side is gone (hang-up and error count as readable and writable).
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// A change of what to watch. Apply all of them, in order, after each call of [`crate::UserNet::run`] and of the functions that add
/// or remove forwarding rules.
#[derive(Debug)]
pub enum WatchChange<'a> {
    /// Watch this descriptor, *edge triggered*: tell [`crate::UserNet::host_ready`] whenever readiness arises, and once at the start.
    /// The engine remembers it. Telling more often than needed is harmless.
    Add {
        /// Name it by this.
        token: Token,
        /// Stays open until its `Remove` has been taken.
        fd: BorrowedFd<'a>,
        /// Whether readiness to write matters too; to read always does.
        write: bool,
    },
    /// Watch it no longer; dropping the descriptor closes it.
    Remove {
        /// As given.
        token: Token,
        /// The descriptor.
        fd: OwnedFd,
    },
}
