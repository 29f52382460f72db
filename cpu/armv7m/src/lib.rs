//! The Cortex-M (ARMv7-M) engine: an interpreter over pre-decoded blocks, with the core's own System Control Space.
//!
//! It knows nothing of boards: memory is reached through the small [`Bus`] trait, interrupts come in as line levels.
//! One instruction is one cycle, and a run never goes past its budget, so that virtual time is a count of instructions.
//!
//! Facts are from the ARMv7-M Architecture Reference Manual, DDI 0403 ("ARM ARM" below), and the Cortex-M3 TRM, DDI 0337.

mod block;
mod bus;
mod check;
mod core;
mod cpu;
mod debug;
mod debugger;
pub mod decode;
pub mod disasm;
mod engine;
mod exception;
mod exec;
mod fast;
mod flat;
mod insn;
mod lift;
mod meaning;
mod mem;
mod observe;
pub mod scs;
mod state;
mod variant;
mod windows;

/// How hot code is compiled.
pub use southbridge_cpu_jit as jit;

pub use bus::{Bus, BusFault, CODE_GRANULE, Window};
pub use cpu::CortexM;
pub use debug::REGISTERS;
pub use engine::{Engine, Exit, NMI_LINE};
pub use flat::{FlatBus, FlatWindow};
pub use insn::{Alu, Insn, Kind, Mode, Shift, Src, Width};
pub use observe::{Line, Observation, Observe, exception_name};
pub use state::State;
pub use variant::{CORTEX_M3, Config, Features, Variant};
