//! The Advanced Core Local Interruptor (RISC-V ACLINT specification 1.0): the timer, and software interrupts between harts. One of
//! each at neighbouring addresses is what older platforms call a CLINT.

pub mod mtimer;
pub mod swi;
#[cfg(test)]
mod tests;
