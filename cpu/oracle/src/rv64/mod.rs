//! The differential test of the RV64 engine: the same random cases on it and on QEMU's `virt`, compared to the last CSR.
//!
//! A case is 64 KiB of memory of its own: registers and CSRs to begin with, code, data, page tables. A small guest program
//! (`harness/rv64.s`) runs a whole batch of them, logs each trap, steps over it, and stores what came out; it is the same on both sides.
//! Our engine goes first, and what sleeps, does not end, or reaches memory of others is not compared ([`ours::Ran`]).
//!
//! What the architecture leaves open, and where QEMU is known to differ, stands in one table with reasons: [`exclude`].

pub mod asm;
pub mod campaign;
pub mod case;
pub mod exclude;
pub mod forms;
pub mod layout;
pub mod ours;
pub mod pages;
pub mod qemu;
pub mod record;
pub mod stream;
pub mod values;
