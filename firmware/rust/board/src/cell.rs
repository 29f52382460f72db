//! State that interrupt handlers share.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering},
};

/// A value that handlers take turns with.
///
/// All our handlers have one priority, so none interrupts another and [`HandlerCell::with`] always finds the cell free.
/// Should that ever be broken it panics rather than giving the value out twice.
pub struct HandlerCell<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` hands out the value only while `taken` was won, to one caller at a time; there is one core.
unsafe impl<T: Send> Sync for HandlerCell<T> {}

impl<T> HandlerCell<T> {
    /// A cell with a first value.
    pub const fn new(value: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `f` on the value. Panics if the cell is in use.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        assert!(!self.taken.swap(true, Ordering::Acquire), "handlers nest");
        // SAFETY: `taken` was false and is now true: no other reference exists until it is cleared below.
        let result = f(unsafe { &mut *self.value.get() });
        self.taken.store(false, Ordering::Release);
        result
    }
}
