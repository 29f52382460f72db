//! Block back ends: what is behind the disks of a machine.
//!
//! A [`Node`] is an image with a name (`-blockdev`): a driver, perhaps over another node. A [`BlockBackend`] stands among the machine's back
//! ends, one for each node that devices can name and one for each `-drive`; it has worker threads do what devices ask for and posts
//! what came of it, so that nothing here blocks the machine. A device holds a [`BlockFront`]. [`Blocks`] knows them all by name.
//!
//! Images are locked against other processes in the way that QEMU locks them, as long as a device uses them.
//!
//! What it is not: formats. `raw` is the only one; the others say so. A driver's code may block, and is called on many threads at once.

mod backend;
mod blocks;
mod direct;
mod drive;
mod drivers;
mod error;
mod file;
mod front;
mod image;
mod iothread;
mod lock;
mod node;
mod null;
mod overlay;
mod pool;
mod raw;
mod request;
mod share;
mod stats;
#[cfg(test)]
mod tests;
mod worker;

pub use backend::{BlockBackend, Habits, OnError};
pub use blocks::{Blocks, Pairs};
pub use drive::{Drive, INTERFACES};
pub use drivers::{COMMON, DRIVERS, Driver, driver_help, find, help};
pub use error::BlockError;
pub use front::{BlockFront, Medium};
pub use iothread::IoThread;
pub use node::{Node, Use};
pub use request::{BlockEvent, EIO, ENOSPC, Request};
pub use stats::{Count, Kind, Stats};
pub use worker::{Pass, Worker};
