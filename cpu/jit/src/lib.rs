//! The fast tier of the CPU engines: regions of guest code become host code.
//!
//! An engine lowers hot guest code into [`ir`]; where it writes down what an instruction computes over [`Word`], that is the same text
//! that its interpreter runs. Cranelift, behind [`Jit`], does the rest. The code knows the engine's state by a [`Layout`] and memory by
//! arrays of [`Page`]s or [`Window`]s that the engine keeps. What it cannot do itself, it has the engine do, instruction by
//! instruction.
//!
//! A guest cannot tell: instructions are counted before each block and the run ends before the one that would go over the limit.

mod code;
mod compile;
mod emit;
pub mod ir;
mod jit;
mod layout;
mod perf;
mod quick;
mod word;

pub use jit::{Busy, CallFn, Code, Exit, Jit, Options, Ready, Statistics, is_available, show};
pub use layout::{Chain, Layout, Memory, NOTE, Page, Pages, Reach, Slot, SlotType, Window, WindowsAt};
pub use word::{Traced, Tracer, Word};
