//! The two programs as functions: `ivshmem-server` and `ivshmem-client` with the options of QEMU's.

mod client;
mod daemon;
mod options;
mod server;
mod size;

pub use client::client_main;
pub use server::server_main;
