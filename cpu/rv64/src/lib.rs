//! The RISC-V (RV64GC) engine: an interpreter over pre-decoded blocks, with privilege modes, translation, PMP and the hart's own
//! interrupt files.
//!
//! Instructions are rows of a table; decoder and disassembler know nothing else, and each extension's semantics stand in one file
//! under `exec/`. One instruction is one tick, and a run never goes past its budget, so that virtual time is a count of instructions.
//!
//! Facts are from the RISC-V ISA manuals ("Unprivileged ISA" 20240411, "Privileged ISA" 20240411), the Advanced Interrupt
//! Architecture 1.0 and the RISC-V Debug Specification 1.0; names of `-cpu` properties and reset values that the architecture leaves
//! open are those of QEMU 10.

mod block;
mod check;
mod compressed;
mod config;
mod cpu;
pub mod csr;
mod debug;
mod decode;
pub mod disasm;
mod engine;
mod exec;
mod ext;
mod fast;
#[cfg(test)]
mod golden;
mod hart;
mod imsic;
mod insn;
mod lift;
mod mem;
mod mmu;
mod observe;
mod pmp;
mod state;
mod tlb;
mod trap;
mod trigger;

pub use config::{CACHE_BLOCK, Config, Mmu};
pub use cpu::Rv64;
pub use debug::{F_NAMES, X_NAMES};
pub use ext::{Extensions, NAMES};
pub use southbridge_cpu_jit as jit;
