//! The differential test of the ARMv7-M engine: the same random instruction streams on it and on QEMU, compared to the last register.
//!
//! It is a development tool and no part of the product. A stream is 512 bytes of code at most with 1 KiB of memory of its own; a small
//! guest program (`harness/harness.s`) starts it through an exception return and collects what it came to in the handler of the fault
//! that ends it, so that one exchange over gdb's protocol runs a whole stream. Our engine goes first: a stream that leaves its memory,
//! sleeps, or does not end is not compared ([`ours::Why`]).
//!
//! What the architecture leaves open, and where QEMU is known to differ, stands in one table with reasons: [`exclude`].
//!
//! The same for RV64, with page tables besides, is [`rv64`].

pub mod campaign;
pub mod exclude;
pub mod gdb;
pub mod generate;
pub mod layout;
pub mod ours;
pub mod picture;
pub mod qemu;
pub mod record;
pub mod report;
pub mod rng;
pub mod rv64;
pub mod stream;
