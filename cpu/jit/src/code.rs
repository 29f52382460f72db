//! Memory for code: one stretch, mapped twice. One mapping is written, the other executed; none is ever both. Behind the code that is
//! executed are words that it reads and writes, within reach of addresses relative to it.

use rustix::mm::{MapFlags, MprotectFlags, MremapFlags, ProtFlags, mmap_anonymous, mprotect, mremap, munmap};
use std::cell::Cell;
use std::io;

/// Functions begin at multiples of this.
const ALIGN: usize = 16;

/// A bounded store of functions, filled from front to back and emptied as a whole.
pub(crate) struct CodeCache {
    write: *mut u8,
    execute: *mut u8,
    len: usize,
    /// Bytes of words behind the code.
    data: usize,
    used: usize,
}

// SAFETY: the mappings belong to this struct alone; the pointers are used through `&mut self` or handed out as numbers.
unsafe impl Send for CodeCache {}

impl CodeCache {
    /// Room for `code` bytes of code and `data` bytes of words, which cost memory only as they are used.
    pub(crate) fn new(code: usize, data: usize) -> io::Result<Self> {
        let (code, data) = (code.next_multiple_of(4096), data.next_multiple_of(4096));
        let len = code.saturating_add(data);
        let rw = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let write = unsafe { mmap_anonymous(std::ptr::null_mut(), len, rw, MapFlags::SHARED) }?;
        // Asked to move none of a shared mapping, the kernel maps all of it once more. Without a file behind it `perf` looks for names of
        // the code where `PerfMap` has put them.
        // SAFETY: `write` is a shared mapping of `len` bytes, which stays as it is.
        let execute = unsafe { mremap(write, 0, len, MremapFlags::MAYMOVE) }.and_then(|execute| {
            // SAFETY: the second mapping was made just now, and nothing refers to it.
            unsafe { mprotect(execute, code, MprotectFlags::READ | MprotectFlags::EXEC) }?;
            Ok(execute)
        });
        let execute = match execute {
            Ok(p) => p,
            Err(e) => {
                // SAFETY: what was mapped just now, and nothing refers to it.
                let _ = unsafe { munmap(write, len) };
                return Err(e.into());
            }
        };
        Ok(Self {
            write: write.cast(),
            execute: execute.cast(),
            len: code,
            data,
            used: 0,
        })
    }

    /// Puts a function in; where it can be called, or `None` if there is no room left.
    pub(crate) fn put(&mut self, code: &[u8]) -> Option<u64> {
        let end = self.used.checked_add(code.len())?;
        if end > self.len {
            return None;
        }
        // SAFETY: `used..end` is inside the mapping, which nobody else writes, and holds no function yet.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), self.write.add(self.used), code.len()) };
        // SAFETY: inside the mapping.
        let at = unsafe { self.execute.add(self.used) } as u64;
        synchronize(at, code.len());
        self.used = end.next_multiple_of(ALIGN).min(self.len);
        Some(at)
    }

    /// Forgets all functions put in since `used` bytes were in use. None of them may be called any more.
    pub(crate) fn truncate(&mut self, used: usize) {
        self.used = self.used.min(used);
    }

    /// Where the next function will be executed.
    pub(crate) fn next(&self) -> u64 {
        self.execute as u64 + self.used as u64
    }

    /// Word `n` behind the code, which code that runs may change, too.
    pub(crate) fn word(&self, n: usize) -> Option<&Cell<u64>> {
        if n >= self.data / 8 {
            return None;
        }
        // SAFETY: inside the mapping, aligned, and never executable; whoever runs code lets it change the word only while it runs, in this
        // thread, and a `Cell` allows that.
        Some(unsafe { &*self.execute.add(self.len + n * 8).cast::<Cell<u64>>() })
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for CodeCache {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped; whoever owned the cache calls none of its functions any more.
        let _ = unsafe { munmap(self.write.cast(), self.len + self.data) };
        // SAFETY: as above.
        let _ = unsafe { munmap(self.execute.cast(), self.len + self.data) };
    }
}

/// Makes fresh code visible to the processor's instruction fetch.
#[cfg(target_arch = "aarch64")]
fn synchronize(at: u64, len: usize) {
    // Arm ARM B2.4.4: clean the data side to the point of unification, then invalidate the instruction side. 4 bytes is no larger than
    // any line.
    for line in (at & !63..at + len as u64).step_by(64) {
        // SAFETY: cache maintenance by address of mapped memory changes no data.
        unsafe { std::arch::asm!("dc cvau, {0}", in(reg) line) };
    }
    // SAFETY: barriers and cache maintenance only.
    unsafe { std::arch::asm!("dsb ish") };
    for line in (at & !63..at + len as u64).step_by(64) {
        // SAFETY: as above.
        unsafe { std::arch::asm!("ic ivau, {0}", in(reg) line) };
    }
    // SAFETY: as above.
    unsafe { std::arch::asm!("dsb ish", "isb") };
}

/// x86 keeps instruction fetch coherent by itself, also through another mapping once control goes there by a jump.
#[cfg(not(target_arch = "aarch64"))]
fn synchronize(_: u64, _: usize) {}
