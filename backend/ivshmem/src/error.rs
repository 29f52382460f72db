//! Why a server could not start, in words for the person who started it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A server could not start. Nothing is left behind: no socket, no shared memory.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Size 0.
    #[error("shared memory of 0 bytes is of no use")]
    NoSize,
    /// No power of two is large enough.
    #[error("shared memory of {0} bytes is more than any host has")]
    TooLarge(u64),
    /// More vectors than a peer can take.
    #[error("{asked} vectors asked for, at most {most} are possible")]
    Vectors {
        /// What was asked for.
        asked: u16,
        /// What is possible.
        most: u16,
    },
    /// The shared memory cannot be created or opened.
    #[error("cannot create {what}: {source}")]
    Memory {
        /// Which memory.
        what: String,
        /// What the host says.
        source: io::Error,
    },
    /// The shared memory cannot get its size.
    #[error("cannot give {what} a size of {size} bytes: {source}")]
    Resize {
        /// Which memory.
        what: String,
        /// Bytes, rounded up to a power of two.
        size: u64,
        /// What the host says.
        source: io::Error,
    },
    /// Somebody accepts connections there.
    #[error("cannot listen on '{}': another server does", .0.display())]
    InUse(PathBuf),
    /// Something else has that name.
    #[error("cannot listen on '{}': it exists and is no socket", .0.display())]
    NotASocket(PathBuf),
    /// The host refuses to listen there.
    #[error("cannot listen on '{}': {source}", .path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the host says.
        source: io::Error,
    },
    /// The host lacks something that every server needs.
    #[error("cannot {what}: {source}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// What the host says.
        source: io::Error,
    },
}

impl ServerError {
    /// For `map_err`: names what was tried.
    pub(crate) fn host<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::Host {
            what,
            source: source.into(),
        }
    }
}
