//! RAM that compiled code may access directly, one window for each stretch of 16 MiB.
//!
//! Not the translations of the interpreter: those share few places by a longer sum, which compiled code would have to work out each time.

use southbridge_cpu_jit::Window;

use crate::bus;

/// log2 of the bytes that have one window.
pub(crate) const SHIFT: u8 = 24;
pub(crate) const COUNT: usize = 1 << (32 - SHIFT);

/// The number of the window that an address is in, if any has it.
pub(crate) fn slot(addr: u32) -> usize {
    (addr >> SHIFT) as usize % COUNT
}

/// The windows.
pub(crate) struct Windows<W> {
    pub(crate) all: [Window; COUNT],
    /// What keeps the memory of each mapped.
    holders: Vec<(usize, W)>,
}

impl<W: bus::Window> Windows<W> {
    pub(crate) fn new() -> Self {
        Self {
            all: [Window::NONE; COUNT],
            holders: Vec::new(),
        }
    }

    /// The window that has an address, if any has.
    pub(crate) fn around(&self, addr: u32) -> &Window {
        &self.all[slot(addr)]
    }

    /// All memory that any of them has.
    pub(crate) fn holders(&self) -> impl Iterator<Item = &W> {
        self.holders.iter().map(|(_, w)| w)
    }

    /// The memory that compiled code reaches at `addr`.
    pub(crate) fn holder(&self, addr: u32) -> Option<&W> {
        self.in_slot(slot(addr))
    }

    /// The memory of a window.
    pub(crate) fn in_slot(&self, slot: usize) -> Option<&W> {
        self.holders.iter().find(|(s, _)| *s == slot).map(|(_, w)| w)
    }

    pub(crate) fn clear(&mut self) {
        for (slot, _) in self.holders.drain(..) {
            self.all[slot % COUNT] = Window::NONE;
        }
    }

    /// From now on `window` serves what is around `addr`.
    pub(crate) fn keep(&mut self, addr: u32, window: &W) {
        let slot = slot(addr);
        let there = window
            .host()
            .and_then(|(first, there)| Window::new(first, false, there));
        self.all[slot] = there.unwrap_or(Window::NONE);
        self.holders.retain(|(s, _)| *s != slot);
        if there.is_some() {
            self.holders.push((slot, window.clone()));
        }
    }
}
