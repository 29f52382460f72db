//! Where a guest's connection to a forwarded address goes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A byte stream of the owner's, usually a chardev. It never blocks and never calls back into the engine.
pub trait Channel: Send {
    /// Takes bytes from the guest; returns how many. When fewer than given were taken, the owner calls
    /// [`crate::UserNet::channel_writable`] once there is room again.
    fn write(&mut self, data: &[u8]) -> usize;

    /// The guest has connected. A later connection takes the channel over from an earlier one.
    fn opened(&mut self) {}

    /// The guest's connection has ended.
    fn closed(&mut self) {}
}

/// Names a [`Channel`] of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u32);

/// Where a guest's connection to a forwarded address goes.
pub enum GuestTarget {
    /// A TCP connection of its own for each of the guest's.
    Address(SocketAddr),
    /// The same over a unix stream socket.
    Unix(PathBuf),
    /// The owner's stream, shared by all connections, the newest of which has it.
    Channel(Box<dyn Channel>),
    /// A process for each connection, which has it as its standard input and output.
    Command(String),
}

impl fmt::Debug for GuestTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(a) => write!(f, "Address({a})"),
            Self::Unix(p) => write!(f, "Unix({})", p.display()),
            Self::Channel(_) => f.write_str("Channel"),
            Self::Command(c) => write!(f, "Command({c})"),
        }
    }
}
