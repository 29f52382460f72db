//! Shared folders: what stands on the host's side of a 9P device (`-fsdev`).
//!
//! What it is: a 9P server. Messages of a guest go in whole, worker threads carry them out on a folder of the host (`local`) or a
//! made-up tree (`synth`), and replies come back as completions; so the machine never waits for a disk, and what a guest was
//! answered can be recorded and played again. What it is not: a device. [`FsFront`] is all that one keeps.
//!
//! A guest cannot leave the folder: see `local`. It can make nothing grow without bound: see `session`.

mod error;
mod front;
mod fs;
mod fsdev;
pub mod fuzzing;
mod kind;
mod local;
mod pool;
mod qid;
mod session;
mod synth;
mod throttle;

pub use error::FsError;
pub use front::{FsFront, SavedFs};
pub use fsdev::{Fsdev, Fsdevs};
pub use kind::{KINDS, Kind, find, help, kind_help, parse};
