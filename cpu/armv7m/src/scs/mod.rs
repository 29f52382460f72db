//! The System Control Space and its neighbours on the private peripheral bus (ARM ARM B3): NVIC, SCB, SysTick, MPU, DWT.
//!
//! Each is a pure machine: state, register read and write, and nothing that reaches outside. `regs` joins them to addresses.

pub mod dwt;
pub mod mpu;
pub mod nvic;
pub(crate) mod regs;
pub mod scb;
pub mod systick;

#[cfg(test)]
mod tests;
