//! Guest RAM: the only `unsafe` room of this crate.
//!
//! A [`RamBlock`] owns one shared mapping. Other processes may write to it at any moment (ivshmem, vhost-user), so no Rust reference
//! into it is ever made: every access goes through a raw pointer as one volatile access of the guest's width, after a bounds check.
//! A mapping that another process truncates would raise SIGBUS; [`guard`] turns that into zero pages.
#![allow(unsafe_code)]

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::guard;

/// Bytes per granule of the code marks.
pub const CODE_GRANULE: u64 = 256;
const CODE_SHIFT: u32 = CODE_GRANULE.trailing_zeros();

/// Bytes that are looked at in one go.
const PIECE: usize = 1024;
const ZERO: [u8; PIECE] = [0; PIECE];

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

struct Mapping {
    id: u64,
    ptr: *mut u8,
    len: usize,
    fd: OwnedFd,
    /// 1 where a CPU holds decoded code of the granule. Lazily zero: untouched marks cost no memory.
    code: Box<[AtomicU8]>,
}

// SAFETY: the pointer is to a mapping that lives as long as the struct and is only accessed by volatile accesses of at most 8 bytes
// (or byte copies) inside its bounds; concurrent access is as racy as real memory shared by processors, and no reference is made.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        guard::forget(self.ptr as usize);
        // SAFETY: ptr and len are what mmap gave, and nothing refers to the mapping any more.
        let _ = unsafe { munmap(self.ptr.cast(), self.len) };
    }
}

/// A block of guest RAM: a cheap handle to one shared mapping.
#[derive(Clone)]
pub struct RamBlock(Arc<Mapping>);

impl std::fmt::Debug for RamBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RamBlock({}, {} bytes)", self.0.id, self.0.len)
    }
}

impl PartialEq for RamBlock {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}
impl Eq for RamBlock {}

impl RamBlock {
    /// New zeroed RAM of `len` bytes, shareable with other processes by its descriptor.
    pub fn new(name: &str, len: u64) -> io::Result<Self> {
        let fd = memfd_create(name, MemfdFlags::CLOEXEC)?;
        ftruncate(&fd, len)?;
        Self::from_fd(fd, len)
    }

    /// Maps `len` bytes of a descriptor (shared memory of another process, a file). Shorter files are refused.
    pub fn from_fd(fd: OwnedFd, len: u64) -> io::Result<Self> {
        let bytes = usize::try_from(len)
            .ok()
            .filter(|n| *n > 0)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let have = rustix::fs::fstat(&fd)?.st_size;
        if u64::try_from(have).unwrap_or(0) < len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the memory has {have} bytes, {len} are needed"),
            ));
        }
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let ptr = unsafe {
            mmap(
                std::ptr::null_mut(),
                bytes,
                prot,
                MapFlags::SHARED | MapFlags::NORESERVE,
                &fd,
                0,
            )
        }?;
        guard::watch(ptr as usize, bytes);
        let granules = bytes.div_ceil(CODE_GRANULE as usize);
        // `vec![0u8]` comes zeroed from the kernel and stays untouched; AtomicU8 has the same layout but no such path.
        let code: Box<[u8]> = vec![0u8; granules].into_boxed_slice();
        // SAFETY: AtomicU8 has the size, alignment and validity of u8 (std docs), and the box is owned.
        let code = unsafe { Box::from_raw(Box::into_raw(code) as *mut [AtomicU8]) };
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self(Arc::new(Mapping {
            id,
            ptr: ptr.cast(),
            len: bytes,
            fd,
            code,
        })))
    }

    /// Identity of the mapping; two windows with one id alias the same memory.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Bytes.
    #[allow(clippy::len_without_is_empty)] // a block is never empty
    pub fn len(&self) -> u64 {
        self.0.len as u64
    }

    /// The descriptor behind it, to hand to another process.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }

    /// Whether `offset..offset+len` lies inside.
    fn check(&self, offset: u64, len: usize) -> Option<*mut u8> {
        let end = offset.checked_add(len as u64)?;
        // SAFETY: the offset is inside the mapping.
        (end <= self.len()).then(|| unsafe { self.0.ptr.add(offset as usize) })
    }

    /// Copies out; `false` (and nothing read) if not inside.
    #[must_use]
    pub fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        let Some(p) = self.check(offset, out.len()) else {
            return false;
        };
        // SAFETY: `check` proved the source range; the destination is a Rust buffer elsewhere. A racing writer can at worst tear.
        unsafe { std::ptr::copy_nonoverlapping(p, out.as_mut_ptr(), out.len()) };
        true
    }

    /// A copy of `len` bytes; `None` if they are not all inside.
    pub fn copy(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let p = self.check(offset, len)?;
        let mut out = Vec::with_capacity(len);
        // SAFETY: as in `read`; `len` bytes are reserved and all of them written before they count as there.
        unsafe {
            std::ptr::copy_nonoverlapping(p, out.as_mut_ptr(), len);
            out.set_len(len);
        }
        Some(out)
    }

    /// Whether `offset..offset+len` is all zero; `false` if it is not all inside.
    pub fn is_zero(&self, offset: u64, len: usize) -> bool {
        self.all(offset, len, |_, piece| *piece == ZERO[..piece.len()])
    }

    /// Whether these bytes stand at `offset`; `false` if they are not all inside.
    pub fn equals(&self, offset: u64, data: &[u8]) -> bool {
        self.all(offset, data.len(), |at, piece| *piece == data[at..at + piece.len()])
    }

    /// Whether `ok` holds for each piece, by where it begins. Pieces are copied, as no reference to RAM may be; they stay in the cache.
    #[inline(always)]
    fn all(&self, offset: u64, len: usize, mut ok: impl FnMut(usize, &[u8]) -> bool) -> bool {
        let mut buffer = ZERO;
        (0..len).step_by(PIECE).all(|at| {
            let piece = &mut buffer[..PIECE.min(len - at)];
            self.read(offset.saturating_add(at as u64), piece) && ok(at, piece)
        })
    }

    /// Copies in; `false` (and nothing written) if not inside. Code marks are not looked at: see [`RamBlock::code_hit`].
    #[must_use]
    pub fn write(&self, offset: u64, data: &[u8]) -> bool {
        let Some(p) = self.check(offset, data.len()) else {
            return false;
        };
        // SAFETY: as in `read`, the other way round.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), p, data.len()) };
        true
    }

    /// Gives memory back to the host: `offset..offset+len` is zero afterwards and takes room again when it is written. `false` (and nothing
    /// has changed) if it is not all inside. Code marks are not looked at: see [`RamBlock::code_hit`].
    #[must_use]
    pub fn discard(&self, offset: u64, len: u64) -> bool {
        let Some(end) = offset.checked_add(len).filter(|end| *end <= self.len()) else {
            return false;
        };
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if len > 0 && fallocate(&self.0.fd, hole, offset, len).is_err() {
            // What is behind the memory has no holes; the guest sees the same.
            for at in (offset..end).step_by(PIECE) {
                let _ = self.write(at, &ZERO[..PIECE.min((end - at) as usize)]);
            }
        }
        true
    }

    /// Marks the granule at `offset` as holding decoded code.
    pub fn mark_code(&self, offset: u64) {
        if let Some(m) = self.0.code.get((offset >> CODE_SHIFT) as usize) {
            m.store(1, Ordering::Relaxed);
        }
    }

    /// Takes the mark off again.
    pub fn clear_code(&self, offset: u64) {
        if let Some(m) = self.0.code.get((offset >> CODE_SHIFT) as usize) {
            m.store(0, Ordering::Relaxed);
        }
    }

    /// Whether a write to `offset..offset+len` touches a marked granule.
    pub fn code_hit(&self, offset: u64, len: u64) -> bool {
        let first = (offset >> CODE_SHIFT) as usize;
        let last = (offset.saturating_add(len.max(1) - 1) >> CODE_SHIFT) as usize;
        let last = last.min(self.0.code.len().saturating_sub(1));
        self.0
            .code
            .get(first..=last)
            .is_some_and(|m| m.iter().any(|m| m.load(Ordering::Relaxed) != 0))
    }
}

/// A stretch of an address space that is RAM, for a CPU's own cache of translations. It keeps the memory alive; it goes stale when
/// [`super::AddressSpace::generation`] changes.
#[derive(Clone)]
pub struct RamWindow {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// Whether writes must not go through it (ROM).
    pub readonly: bool,
    ptr: *mut u8,
    block: RamBlock,
    block_offset: u64,
}

// SAFETY: the raw pointer points into the mapping that `block` keeps alive; see `Mapping`.
unsafe impl Send for RamWindow {}

impl std::fmt::Debug for RamWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "RamWindow({:#x}+{:#x}{})",
            self.start,
            self.len,
            if self.readonly { ", rom" } else { "" }
        )
    }
}

/// Addresses in this process of a stretch of guest RAM; see [`RamWindow::host`].
#[derive(Clone, Copy, Debug)]
pub struct HostSpan {
    memory: usize,
    marks: usize,
    skew: u8,
    len: u64,
    readonly: bool,
}

impl HostSpan {
    /// Address of its first byte.
    pub fn memory(&self) -> usize {
        self.memory
    }
    /// Address of the code mark (one byte for [`CODE_GRANULE`]) of its first byte.
    pub fn marks(&self) -> usize {
        self.marks
    }
    /// Distance of its first byte from where that byte's granule begins.
    pub fn skew(&self) -> u8 {
        self.skew
    }
    /// Bytes.
    #[allow(clippy::len_without_is_empty)] // of no use here
    pub fn len(&self) -> u64 {
        self.len
    }
    /// Whether it must not be written.
    pub fn readonly(&self) -> bool {
        self.readonly
    }
}

macro_rules! access {
    ($read:ident, $write:ident, $t:ty) => {
        /// Reads a little-endian value at a byte offset from the window's start, aligned or not; `None` beyond its end.
        #[inline(always)]
        pub fn $read(&self, offset: u64) -> Option<$t> {
            const N: u64 = size_of::<$t>() as u64;
            if offset >= self.len || self.len - offset < N {
                return None;
            }
            // SAFETY: offset + N <= len, and `new` proved that len bytes from ptr are inside the mapping. The access is volatile:
            // another process may write there, and the value is whatever the hardware gives.
            let p = unsafe { self.ptr.add(offset as usize) };
            // SAFETY: as above; the aligned case is one access, the unaligned one is split as hardware would.
            Some(<$t>::from_le(unsafe {
                if (p as usize) % size_of::<$t>() == 0 {
                    p.cast::<$t>().read_volatile()
                } else {
                    p.cast::<$t>().read_unaligned()
                }
            }))
        }

        /// Writes a little-endian value at a byte offset from the window's start. `None` beyond its end or if read-only;
        /// `Some(true)` if a granule that holds decoded code was hit: the CPU must tell `System::code_written`.
        #[inline(always)]
        pub fn $write(&self, offset: u64, value: $t) -> Option<bool> {
            const N: u64 = size_of::<$t>() as u64;
            if self.readonly || offset >= self.len || self.len - offset < N {
                return None;
            }
            // SAFETY: as in the read.
            let p = unsafe { self.ptr.add(offset as usize) };
            // SAFETY: as in the read.
            unsafe {
                if (p as usize) % size_of::<$t>() == 0 {
                    p.cast::<$t>().write_volatile(value.to_le())
                } else {
                    p.cast::<$t>().write_unaligned(value.to_le())
                }
            }
            let at = self.block_offset + offset;
            let code = &self.block.0.code;
            let first = (at >> CODE_SHIFT) as usize;
            let last = ((at + N - 1) >> CODE_SHIFT) as usize;
            let hit = |i: usize| code.get(i).is_some_and(|m| m.load(Ordering::Relaxed) != 0);
            Some(hit(first) || (N > 1 && first != last && hit(last)))
        }
    };
}

impl RamWindow {
    /// `len` bytes of `block` from `block_offset`, seen at `start`. `None` if they are not all inside the block.
    pub fn new(start: u64, len: u64, readonly: bool, block: &RamBlock, block_offset: u64) -> Option<Self> {
        let ptr = block.check(block_offset, usize::try_from(len).ok()?)?;
        Some(Self {
            start,
            len,
            readonly,
            ptr,
            block: block.clone(),
            block_offset,
        })
    }

    /// Where `len` bytes from `offset` stand in this process, for code that was compiled to access them directly. `None` if they are not
    /// all inside. Whoever keeps it must keep the window.
    pub fn host(&self, offset: u64, len: u64) -> Option<HostSpan> {
        let end = offset.checked_add(len)?;
        if end > self.len {
            return None;
        }
        let place = self.block_offset + offset;
        Some(HostSpan {
            memory: self.ptr as usize + offset as usize,
            marks: self.block.0.code.as_ptr() as usize + (place >> CODE_SHIFT) as usize,
            skew: (place % CODE_GRANULE) as u8,
            len,
            readonly: self.readonly,
        })
    }

    /// Whether both are the same stretch of the same memory at the same addresses.
    pub fn is_same(&self, other: &Self) -> bool {
        let place = |w: &Self| (w.start, w.len, w.readonly, w.block.id(), w.block_offset);
        place(self) == place(other)
    }

    /// The block behind it.
    pub fn block(&self) -> &RamBlock {
        &self.block
    }

    /// Where in the block the window starts.
    pub fn block_offset(&self) -> u64 {
        self.block_offset
    }

    /// Writes zeros over `len` bytes from an offset on, which both are multiples of eight; what it gives is as with one value.
    #[inline]
    pub fn zero(&self, offset: u64, len: u64) -> Option<bool> {
        let aligned = (self.ptr as u64).wrapping_add(offset) | len;
        if self.readonly || offset >= self.len || self.len - offset < len || !aligned.is_multiple_of(8) {
            return None;
        }
        for at in (offset..offset + len).step_by(8) {
            // SAFETY: `at` + 8 <= offset + len <= self.len, and aligned; the rest as in the read of one value.
            unsafe { self.ptr.add(at as usize).cast::<u64>().write_volatile(0) };
        }
        Some(self.block.code_hit(self.block_offset + offset, len))
    }

    access!(read_u8, write_u8, u8);
    access!(read_u16, write_u16, u16);
    access!(read_u32, write_u32, u32);
    access!(read_u64, write_u64, u64);
}
