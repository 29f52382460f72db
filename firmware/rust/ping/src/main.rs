//! Two boards exchange numbered messages through shared memory, each announced by a doorbell.
//!
//! The leader sends message n and rings; the follower's interrupt handler takes it, checks number and checksum, answers
//! with n+1 and rings back. After `rounds=` rounds (default 1000, from the leader's semihosting command line) both count
//! up and end their machine: status 0 if nothing was lost, doubled or damaged.
//!
//! All work is done in the handlers. `main` sleeps, and no timer runs while the boards talk (see `board::link`).
#![no_std]
#![no_main]

mod message;
mod talk;

use board::{CLOCK_HZ, HandlerCell, NAME, ROLE, console, core_registers, ivshmem, println, semihosting};
use core::sync::atomic::{AtomicI32, Ordering};
use talk::Talk;

/// 10 ms. Only while the boards meet and part.
pub(crate) const TICK: u32 = CLOCK_HZ / 100;

const RUNNING: i32 = -1;
static STATUS: AtomicI32 = AtomicI32::new(RUNNING);
static TALK: HandlerCell<Option<Talk>> = HandlerCell::new(None);

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    console::init();
    println!("{NAME}: ping, {ROLE:?}");
    ivshmem::listen();
    core_registers::start_tick(TICK);
    loop {
        let status = STATUS.load(Ordering::Relaxed);
        if status != RUNNING {
            return status;
        }
        // A handler that ends the run between the test and the sleep rings no more: but the tick is on by then.
        board::wait_for_interrupt();
    }
}

#[unsafe(no_mangle)]
extern "C" fn irq(_number: u32) {
    ivshmem::acknowledge();
    step(true);
}

#[unsafe(no_mangle)]
extern "C" fn SysTick_Handler() {
    step(false);
}

fn step(bell: bool) {
    if STATUS.load(Ordering::Relaxed) != RUNNING {
        return;
    }
    let end = TALK.with(|talk| {
        if talk.is_none() {
            *talk = Talk::open(ROLE, semihosting::option("rounds").unwrap_or(1000).max(1));
        }
        talk.as_mut().and_then(|talk| talk.step(bell))
    });
    if let Some(status) = end {
        core_registers::start_tick(TICK);
        STATUS.store(status, Ordering::Relaxed);
    }
}
