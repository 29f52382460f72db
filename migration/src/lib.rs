//! Saved machines: a checked stream, migration in and out, snapshots by name, record and replay.
//!
//! [`stream`] is the format, [`Migration`] moves a machine between processes, [`Snapshots`] keeps states by name, [`replay`] records what
//! comes from outside and plays it again. All of them stand on [`southbridge_core::machine::Whole`]: a state is read and checked as a whole
//! before the machine that shall take it is touched.
//!
//! What it is not: a monitor. Commands and their words are [`Migration`]'s and [`Snapshots`]' callers' business.

mod channel;
mod date;
pub mod fuzzing;
mod migrate;
pub mod replay;
mod snapshots;
pub mod stream;
mod uri;

pub use migrate::{Capability, Info, MigrateError, Migration, RamInfo, Status, Step};
pub use snapshots::{SnapshotError, SnapshotInfo, Snapshots};
pub use uri::{Uri, UriError};
