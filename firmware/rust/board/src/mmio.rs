//! The one place where addresses become accesses.
//!
//! A [`Block`] is a range of the board's memory map that is no Rust object. Only this crate makes one, from the board
//! modules' tables, and each access is checked against its size; so the rest of the firmware needs no `unsafe` to use it.

#[cfg(not(feature = "virt"))]
use core::arch::asm;
use core::ptr;

/// A register file, or a window of shared memory: 32-bit words that others change as well.
#[derive(Clone, Copy)]
pub struct Block {
    base: usize,
    size: usize,
}

impl Block {
    /// `size` bytes from `base`: must be mapped on this board and belong to no Rust object.
    pub(crate) const fn new(base: usize, size: usize) -> Self {
        Self { base, size }
    }

    /// The `size` bytes at `offset`. Panics where they lie outside.
    pub fn part(self, offset: usize, size: usize) -> Self {
        assert!(offset <= self.size && size <= self.size - offset);
        Self {
            base: self.base + offset,
            size,
        }
    }

    /// Reads the word at byte `offset`. Panics outside the block.
    pub fn read(self, offset: usize) -> u32 {
        // SAFETY: `at` keeps within the block, which by `new`'s contract is device or shared memory, valid for any word.
        unsafe { ptr::read_volatile(self.at(offset)) }
    }

    /// Writes the word at byte `offset`. Panics outside the block.
    pub fn write(self, offset: usize, value: u32) {
        // SAFETY: as in `read`; nothing in a block is a Rust object, so no reference can see it change.
        unsafe { ptr::write_volatile(self.at(offset), value) }
    }

    fn at(self, offset: usize) -> *mut u32 {
        assert!(offset.is_multiple_of(4) && offset < self.size);
        ptr::with_exposed_provenance_mut(self.base + offset)
    }
}

/// Orders all accesses before it before all after it, as the other board sees them.
pub fn barrier() {
    #[cfg(feature = "virt")]
    crate::this::barrier();
    #[cfg(not(feature = "virt"))]
    // SAFETY: DMB changes nothing but the order of accesses; without `nomem` the compiler keeps that order too.
    unsafe {
        asm!("dmb", options(nostack, preserves_flags))
    }
}

/// Sleeps until an interrupt is pending.
#[cfg(not(feature = "virt"))]
pub fn wait_for_interrupt() {
    // SAFETY: WFI only waits; handlers that run meanwhile are ordinary code to the compiler (no `nomem`).
    unsafe { asm!("wfi", options(nostack, preserves_flags)) }
}
