//! What a server can do wrong, in words that name the message and what should have stood there.

use std::fmt;

use thiserror::Error;

/// A server broke the protocol. Fatal to the connection, and to nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("ivshmem server: message {message} {fault}, expected {expected}")]
pub struct Violation {
    /// Which message of the connection, counted from 0.
    pub message: u64,
    /// What should have come.
    pub expected: Expected,
    /// What came instead.
    pub fault: Fault,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The number 0, alone.
    Version,
    /// A number from 0 to 65535, alone.
    OwnId,
    /// The number -1 with a descriptor.
    SharedMemory,
    /// A number from 0 to 65535, with a descriptor or (not for the own id) alone.
    Peer,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "protocol version 0 without a descriptor",
            Self::OwnId => "this client's id (0 to 65535) without a descriptor",
            Self::SharedMemory => "-1 with the descriptor of the shared memory",
            Self::Peer => "a peer's id (0 to 65535), with a descriptor when it connects",
        })
    }
}

/// What was wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A number that does not fit here.
    Value(i64),
    /// The number is right, the descriptor beside it is too much.
    UnwantedDescriptor,
    /// The number is right, its descriptor is missing.
    NoDescriptor,
    /// More than one descriptor came with one message.
    SecondDescriptor,
    /// The host had no room for a descriptor that was sent.
    DescriptorLost,
    /// The server says that this very client is gone.
    OwnIdGone,
    /// More peers than [`super::Limits::peers`], which is given.
    TooManyPeers(usize),
    /// More vectors than [`super::Limits::descriptors`], which is given.
    TooManyDescriptors(usize),
    /// The server closed the connection after so many bytes of this message.
    Closed {
        /// Bytes of the message that had come, 0 to 7.
        bytes: usize,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "is {value}"),
            Self::UnwantedDescriptor => f.write_str("carries a descriptor"),
            Self::NoDescriptor => f.write_str("carries no descriptor"),
            Self::SecondDescriptor => f.write_str("carries more than one descriptor"),
            Self::DescriptorLost => f.write_str("carries a descriptor for which this process has no room"),
            Self::OwnIdGone => f.write_str("says that this client itself is gone"),
            Self::TooManyPeers(limit) => write!(f, "introduces one peer more than the {limit} allowed"),
            Self::TooManyDescriptors(limit) => write!(f, "brings one vector more than the {limit} allowed"),
            Self::Closed { bytes } => write!(f, "never came (connection closed after {bytes} of its 8 bytes)"),
        }
    }
}
