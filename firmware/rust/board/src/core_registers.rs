//! The tick, and interrupts: SysTick and NVIC of the core (ARMv7-M Architecture Reference Manual, B3.3 and B3.4), or what a
//! process of Linux has instead.

#[cfg(feature = "virt")]
pub use linux::{start_tick, stop_tick};
#[cfg(not(feature = "virt"))]
pub use v7m::{enable_interrupt, start_tick, stop_tick};

#[cfg(feature = "virt")]
mod linux {
    /// Calls `SysTick_Handler` every `period` ticks of [`crate::CLOCK_HZ`] without an interrupt.
    pub fn start_tick(period: u32) {
        crate::this::start_tick(period);
    }

    /// Stops the tick: from here on only interrupts wake the program.
    pub fn stop_tick() {
        crate::this::stop_tick();
    }
}

#[cfg(not(feature = "virt"))]
mod v7m {
    use crate::mmio::Block;

    const SYSTICK: Block = Block::new(0xe000_e010, 0x10);
    const NVIC_ISER: Block = Block::new(0xe000_e100, 0x20);

    const SYST_CSR: usize = 0x0;
    const SYST_RVR: usize = 0x4;
    const SYST_CVR: usize = 0x8;

    /// Lets external interrupt `number` through. It keeps priority 0, the same as SysTick: handlers never nest.
    pub fn enable_interrupt(number: u32) {
        NVIC_ISER.write((number / 32 * 4) as usize, 1 << (number % 32));
    }

    /// Calls `SysTick_Handler` every `period` CPU cycles (at most 2^24).
    pub fn start_tick(period: u32) {
        SYSTICK.write(SYST_RVR, (period - 1) & 0x00ff_ffff);
        SYSTICK.write(SYST_CVR, 0);
        SYSTICK.write(SYST_CSR, 7);
    }

    /// Stops the tick: from here on only other interrupts wake the board.
    pub fn stop_tick() {
        SYSTICK.write(SYST_CSR, 0);
    }
}
