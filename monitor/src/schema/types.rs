//! The schema as Rust types, generated.

use serde::{Deserialize, Serialize};

/// An event with its data.
pub trait Event: Serialize {
    /// Its name.
    const NAME: &'static str;
}

include!(concat!(env!("OUT_DIR"), "/types.rs"));
