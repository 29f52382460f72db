//! Shared memory that vanishes under us.
//!
//! Memory handed over by another process can be truncated by it; touching the lost pages raises SIGBUS, which would end the emulator: a
//! peer could kill us. A handler replaces a lost page of a watched mapping by a private zero page, so that the guest goes on reading
//! zeroes; any other SIGBUS keeps its default effect. Signal handlers are per process; this table is the one thing here that is
//! global, because the kernel makes it so, and it holds addresses only.
#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

const SLOTS: usize = 1024;
static STARTS: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];
static LENGTHS: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];
static INSTALL: Once = Once::new();

/// Watches a mapping. Beyond 1024 mappings in a process the rest are not watched.
pub(super) fn watch(start: usize, len: usize) {
    INSTALL.call_once(install);
    for i in 0..SLOTS {
        if STARTS[i]
            .compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            LENGTHS[i].store(len, Ordering::Release);
            return;
        }
    }
}

/// Forgets a mapping, before it is unmapped.
pub(super) fn forget(start: usize) {
    for i in 0..SLOTS {
        if STARTS[i].load(Ordering::Acquire) == start {
            LENGTHS[i].store(0, Ordering::Release);
            STARTS[i].store(0, Ordering::Release);
            return;
        }
    }
}

fn watched(address: usize) -> bool {
    (0..SLOTS).any(|i| {
        let start = STARTS[i].load(Ordering::Acquire);
        start != 0 && address >= start && address - start < LENGTHS[i].load(Ordering::Acquire)
    })
}

fn install() {
    // SAFETY: a zeroed sigaction is valid; the handler below uses only async-signal-safe calls.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
    }
}

extern "C" fn on_sigbus(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    const PAGE: usize = 4096;
    // SAFETY: the kernel hands a valid siginfo for SIGBUS; mmap, signal and raise are async-signal-safe. MAP_FIXED replaces only a page
    // that `watched` knows to be ours.
    unsafe {
        let address = (*info).si_addr() as usize;
        if watched(address) {
            let page = (address & !(PAGE - 1)) as *mut libc::c_void;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let got = libc::mmap(page, PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if got == page {
                return;
            }
        }
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
        libc::raise(libc::SIGBUS);
    }
}
