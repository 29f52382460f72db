//! What a disk asks of its back end, and what it hears.

use southbridge_core::Completion;
use std::io;

use crate::node::Node;
use crate::stats::Kind;

/// A request. Offsets and lengths are bytes; the device has checked them against the length of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Reads so many bytes.
    Read {
        /// Where.
        offset: u64,
        /// How many; what a device may allocate.
        len: usize,
    },
    /// Writes.
    Write {
        /// Where.
        offset: u64,
        /// What.
        data: Vec<u8>,
        /// It survives a crash of the host when it is done.
        durable: bool,
    },
    /// All writes that are done survive a crash of the host when this is done.
    Flush,
    /// These contents are of no use any more.
    Discard {
        /// Where.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// Makes contents zero.
    WriteZeroes {
        /// Where.
        offset: u64,
        /// How many.
        len: u64,
        /// Space may be given back.
        unmap: bool,
        /// As with [`Request::Write`].
        durable: bool,
    },
}

impl Request {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } => Kind::Read,
            Self::Write { .. } | Self::WriteZeroes { .. } => Kind::Write,
            Self::Flush => Kind::Flush,
            Self::Discard { .. } => Kind::Discard,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Read { len, .. } => *len as u64,
            Self::Write { data, .. } => data.len() as u64,
            Self::Flush => 0,
            Self::Discard { len, .. } | Self::WriteZeroes { len, .. } => *len,
        }
    }

    /// First byte behind it, if it writes.
    pub(crate) fn writes_to(&self) -> Option<u64> {
        match self {
            Self::Write { offset, .. } | Self::WriteZeroes { offset, .. } => Some(offset.saturating_add(self.bytes())),
            _ => None,
        }
    }

    /// Does it, and waits for the host. Gives what was read.
    pub(crate) fn perform(&self, node: &Node) -> io::Result<Vec<u8>> {
        let image = node.image();
        let durable = match self {
            Self::Read { offset, len } => {
                let mut data = vec![0; *len];
                image.read(*offset, &mut data)?;
                return Ok(data);
            }
            Self::Write { offset, data, durable } => {
                image.write(*offset, data)?;
                *durable
            }
            Self::Flush => true,
            Self::Discard { offset, len } => {
                node.discard(*offset, *len)?;
                false
            }
            Self::WriteZeroes {
                offset,
                len,
                unmap,
                durable,
            } => {
                node.write_zeroes(*offset, *len, *unmap)?;
                *durable
            }
        };
        if durable {
            node.flush()?;
        }
        Ok(Vec::new())
    }
}

/// What a completion of a block back end means.
#[derive(Debug, PartialEq, Eq)]
pub enum BlockEvent {
    /// A request is done.
    Done {
        /// As given with the request.
        token: u64,
        /// What was read, or a number of errno.
        result: Result<Vec<u8>, i32>,
    },
    /// The disk has another length now, in bytes.
    Resized(u64),
    /// What a thread has to say that serves queues of the disk; see [`crate::Worker::tell`].
    Note(u32),
}

/// Tokens from here on are ours.
pub(crate) const RESIZED: u64 = 1 << 63;
/// No token of anything that happens.
pub(crate) const NEVER: u64 = RESIZED + 1;
/// Notes from here on.
pub(crate) const NOTE: u64 = RESIZED | 1 << 62;

/// `EIO`, where the host says nothing better.
pub const EIO: i32 = 5;
/// `ENOSPC`: the host's disk is full.
pub const ENOSPC: i32 = 28;

impl BlockEvent {
    /// Reads a completion. `None` if it is not of a block back end.
    pub fn from_completion(done: Completion) -> Option<Self> {
        match done.token {
            RESIZED => Some(Self::Resized(done.result.unsigned_abs())),
            note if note >= NOTE => u32::try_from(note - NOTE).ok().map(Self::Note),
            token if token < RESIZED => Some(Self::Done {
                token,
                result: match i32::try_from(done.result) {
                    Ok(n) if n < 0 => Err(n.saturating_neg()),
                    _ if done.result < 0 => Err(EIO),
                    _ => Ok(done.data),
                },
            }),
            _ => None,
        }
    }

    /// The completion that says this.
    pub fn into_completion(self, port: u32) -> Completion {
        match self {
            Self::Done {
                token,
                result: Ok(data),
            } => Completion {
                port,
                token,
                result: data.len() as i64,
                data,
                fds: Vec::new(),
            },
            Self::Done { token, result: Err(e) } => Completion::plain(port, token, -i64::from(e)),
            Self::Note(note) => Completion::plain(port, NOTE | u64::from(note), 0),
            Self::Resized(len) => Completion::plain(port, RESIZED, i64::try_from(len).unwrap_or(i64::MAX)),
        }
    }
}
