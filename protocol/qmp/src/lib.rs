//! QMP, the machine-readable monitor, as a wire format: bytes in, requests out; answers and events in, text out.
//!
//! Nothing here knows a command or owns a socket. A [`Session`] is one connection: it reads JSON in any chunking ([`Stream`]), checks
//! the envelope of each request, negotiates capabilities and prints answers. Format: QEMU's "QMP Protocol Specification"
//! (`docs/interop/qmp-spec.rst` of QEMU 10).

pub mod fuzzing;
mod json;
mod print;
mod request;
mod session;

pub use json::{MAX_DEPTH, MAX_MESSAGE, MAX_TOKENS, Stream};
pub use print::{compact, pretty};
pub use request::{Call, Envelope};
pub use session::{Incoming, Session, event};

use serde::Serialize;

/// The kind of an error, for programs. All but the first are exceptions that clients rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ErrorClass {
    /// Anything: read the text.
    GenericError,
    /// There is no such command (now).
    CommandNotFound,
    /// The device is there and is not at work.
    DeviceNotActive,
    /// There is no such device.
    DeviceNotFound,
    /// KVM lacks something.
    KVMMissingCap,
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{desc}")]
pub struct Error {
    /// For programs.
    pub class: ErrorClass,
    /// For people.
    pub desc: String,
}

impl Error {
    /// An error without a class of its own.
    pub fn generic(desc: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::GenericError,
            desc: desc.into(),
        }
    }

    /// There is no such command.
    pub fn no_command(desc: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::CommandNotFound,
            desc: desc.into(),
        }
    }

    /// There is no such device.
    pub fn no_device(desc: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::DeviceNotFound,
            desc: desc.into(),
        }
    }
}

#[cfg(test)]
mod tests;
