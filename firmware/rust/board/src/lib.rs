//! What every Rust program here stands on: start-up, console, timer tick, doorbell device, and the meeting of two boards.
//!
//! It is no general support package: it drives what these programs need and nothing more. The board is chosen by a cargo
//! feature, so that one source gives one binary per board; a process of Linux counts as one.
#![no_std]

mod cell;
pub mod console;
pub mod core_registers;
pub mod ivshmem;
pub mod link;
mod mmio;
pub mod semihosting;

#[cfg_attr(feature = "lm3s6965evb", path = "lm3s6965evb.rs")]
#[cfg_attr(feature = "mps2-an385", path = "mps2_an385.rs")]
#[cfg_attr(feature = "virt", path = "linux/mod.rs")]
mod this;

#[cfg(not(any(feature = "lm3s6965evb", feature = "mps2-an385", feature = "virt")))]
compile_error!("choose a board: --features lm3s6965evb, mps2-an385 or virt");

pub use cell::HandlerCell;
pub use mmio::Block;
#[cfg(not(feature = "virt"))]
pub use mmio::wait_for_interrupt;
#[cfg(feature = "virt")]
pub use this::wait_for_interrupt;
pub use this::{CLOCK_HZ, NAME, ROLE};

#[cfg(not(feature = "virt"))]
core::arch::global_asm!(include_str!("../../../common/start.s"));

/// Where the two boards differ in the protocols spoken here: the leader speaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Slot 0 of the shared memory; says how many rounds there are.
    Leader,
    /// Slot 1; answers.
    Follower,
}

/// An exception that nobody expects: says which and where, then ends the machine with status 3.
///
/// `frame` is the stack frame of the exception: r0-r3, r12, lr, pc, xpsr.
#[cfg(not(feature = "virt"))]
#[unsafe(no_mangle)]
extern "C" fn fault(number: u32, frame: &[u32; 8]) -> ! {
    println!("{NAME}: unexpected exception {number} at {:#010x}", frame[6]);
    semihosting::exit(3)
}

/// The end of `main`, called by the start-up code.
#[cfg(not(feature = "virt"))]
#[unsafe(no_mangle)]
extern "C" fn quit(status: i32) -> ! {
    semihosting::exit(status)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{NAME}: {info}");
    semihosting::exit(4)
}
