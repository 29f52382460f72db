//! Sources of entropy. A device asks for bytes by its [`RngFront`] and gets them as completions, so that a recorded run has the same ones
//! when it is played again.
//!
//! [`RngBackend`] stands among a machine's back ends, so that a device's property `rng=` names it. A source behind a character device
//! (the protocol of entropy gathering daemons) is spoken to by the device's front, which is the user of that character device.

mod front;
mod source;

pub use front::RngFront;
pub use source::{Config, RngBackend, RngError};

/// Bytes that one request can ask for at most; who wants more asks again.
pub const MAX_REQUEST: usize = 1 << 16;
