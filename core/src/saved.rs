//! The saved form of one device, CPU or part of a machine: versioned, self-describing, hostile on the way in.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// A part's state as CBOR, with the version of its layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SavedState {
    /// Layout version of the part that wrote it; bumped when a field changes meaning.
    pub version: u32,
    /// CBOR (RFC 8949) of the part's `State`.
    pub cbor: Vec<u8>,
}

/// Why a saved state was not taken. The part that refused is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// Written by another layout version.
    #[error("the state has layout version {found}, this program reads {expected}")]
    Version {
        /// Version in the stream.
        found: u32,
        /// Version that this program reads.
        expected: u32,
    },
    /// Not the expected structure.
    #[error("the state is damaged: {0}")]
    Damaged(String),
    /// Well-formed, but a value that the device cannot have.
    #[error("the state has an impossible value: {0}")]
    Impossible(&'static str),
}

impl SavedState {
    /// Saves `state` as layout `version`.
    pub fn of<T: Serialize>(version: u32, state: &T) -> Self {
        let mut cbor = Vec::new();
        // Writing to a Vec cannot fail and our states have no maps with non-string keys that CBOR could refuse.
        if ciborium::into_writer(state, &mut cbor).is_err() {
            cbor.clear();
        }
        Self { version, cbor }
    }

    /// Reads it back, if it was written as layout `version`.
    pub fn read<T: DeserializeOwned>(&self, version: u32) -> Result<T, LoadError> {
        if self.version != version {
            return Err(LoadError::Version {
                found: self.version,
                expected: version,
            });
        }
        ciborium::from_reader(self.cbor.as_slice()).map_err(|e| LoadError::Damaged(e.to_string()))
    }
}
