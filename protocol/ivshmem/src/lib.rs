//! The ivshmem client-server protocol, version 0: bytes and descriptors in, events out.
//!
//! What it is: [`client::Client`] understands what a server says, [`server::Server`] decides what a server has to say to
//! whom, and [`regs`] names the registers that a guest sees. What it is not: anything that touches a socket, a file or a
//! device. The same machines therefore serve our server, our client, the device, the tests and the fuzzer, and a fault
//! found in one is found for all.
//!
//! Source: QEMU 10.0, `docs/specs/ivshmem-spec.rst`, section "The ivshmem Client-Server Protocol".

pub mod client;
pub mod fuzzing;
pub mod regs;
pub mod server;
pub mod wire;

pub use client::{Client, Event, Limits, Phase, Violation};
pub use server::{Descriptor, Outgoing, Server};
pub use wire::PeerId;
