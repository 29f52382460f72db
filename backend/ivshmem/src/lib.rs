//! The host's side of ivshmem: sockets, shared memory and eventfds around the state machines of `protocol/ivshmem`.
//!
//! - [`Server`] is driven by whoever polls it; [`Server::spawn`] gives it a thread of its own, which is what
//!   `-object ivshmem-server` wants; [`server_main`] is the program.
//! - [`Client`] is a peer without a guest: tests and [`client_main`] use it.
//!
//! It is not the device: that one speaks through a chardev and uses the protocol machine directly.
//! Every socket is non-blocking, and what one client does costs no other client anything but its place in line.

mod cli;
mod client;
mod connection;
pub mod doorbell;
mod error;
mod listener;
mod memory;
mod server;
mod thread;
mod transfer;

pub use cli::{client_main, server_main};
pub use client::{Client, ClientError, Notice, RingError};
pub use error::ServerError;
pub use memory::Memory;
pub use server::{Server, ServerConfig, ServerNotice};
pub use thread::ServerHandle;
