//! System calls of Linux on RISC-V (riscv(2) calling convention: number in a7, arguments from a0), and the program's start.

use core::arch::{asm, global_asm};
use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, Ordering};
use core::{fmt, ptr};

const OPENAT: usize = 56;
const CLOSE: usize = 57;
const READ: usize = 63;
const WRITE: usize = 64;
const PREAD64: usize = 67;
const PWRITE64: usize = 68;
const PPOLL: usize = 73;
const EXIT_GROUP: usize = 94;
const MMAP: usize = 222;

const AT_FDCWD: usize = -100_isize as usize;
const O_WRONLY: usize = 1;
const O_RDWR: usize = 2;
const O_SYNC: usize = 0o4010000;
const PROT_READ_WRITE: usize = 3;
const MAP_SHARED_FIXED: usize = 0x11;
const POLLIN: u32 = 1;

// The kernel enters with the stack pointer at argc.
global_asm!(
    ".globl _start",
    "_start:",
    ".option push",
    ".option norelax",
    "la gp, __global_pointer$",
    ".option pop",
    "mv a0, sp",
    "andi sp, sp, -16",
    "call {begin}",
    begin = sym begin,
);

static STACK: AtomicPtr<usize> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" {
    safe fn main() -> i32;
}

extern "C" fn begin(stack: *mut usize) -> ! {
    STACK.store(stack, Ordering::Relaxed);
    exit(main())
}

/// One system call with up to six arguments. Negative results are error numbers.
///
/// # Safety
/// As the call's: what it reads and writes must be the program's to read and write.
unsafe fn call(number: usize, a: [usize; 6]) -> isize {
    let result;
    // SAFETY: the caller's; the kernel keeps all registers but a0.
    unsafe {
        asm!("ecall", in("a7") number, inlateout("a0") a[0] as isize => result, in("a1") a[1], in("a2") a[2], in("a3") a[3],
            in("a4") a[4], in("a5") a[5], options(nostack));
    }
    result
}

/// Writes bytes to a descriptor; for the console, where nobody can be told of an error.
pub(super) fn write(fd: i32, bytes: &[u8]) -> isize {
    // SAFETY: the kernel reads `bytes`.
    unsafe {
        call(
            WRITE,
            [fd as usize, bytes.as_ptr().expose_provenance(), bytes.len(), 0, 0, 0],
        )
    }
}

/// Reads into a buffer.
pub(super) fn read(fd: i32, buffer: &mut [u8]) -> isize {
    // SAFETY: the kernel writes at most into `buffer`.
    unsafe {
        call(
            READ,
            [
                fd as usize,
                buffer.as_mut_ptr().expose_provenance(),
                buffer.len(),
                0,
                0,
                0,
            ],
        )
    }
}

/// Reads at a position. False unless all came.
pub(super) fn read_at(fd: i32, buffer: &mut [u8], at: usize) -> bool {
    // SAFETY: as in `read`.
    let got = unsafe {
        call(
            PREAD64,
            [
                fd as usize,
                buffer.as_mut_ptr().expose_provenance(),
                buffer.len(),
                at,
                0,
                0,
            ],
        )
    };
    got == buffer.len() as isize
}

/// Writes at a position. False unless all went.
pub(super) fn write_at(fd: i32, bytes: &[u8], at: usize) -> bool {
    // SAFETY: as in `write`.
    let gone = unsafe {
        call(
            PWRITE64,
            [fd as usize, bytes.as_ptr().expose_provenance(), bytes.len(), at, 0, 0],
        )
    };
    gone == bytes.len() as isize
}

/// Opens a file to read and write.
pub(super) fn open(path: &CStr) -> Option<i32> {
    open_as(path, O_RDWR | O_SYNC)
}

/// Opens a file that can only be written.
pub(super) fn open_to_write(path: &CStr) -> Option<i32> {
    open_as(path, O_WRONLY)
}

fn open_as(path: &CStr, flags: usize) -> Option<i32> {
    // SAFETY: the kernel reads the path, which ends with a zero.
    let fd = unsafe { call(OPENAT, [AT_FDCWD, path.as_ptr().expose_provenance(), flags, 0, 0, 0]) };
    i32::try_from(fd).ok().filter(|fd| *fd >= 0)
}

/// Closes a descriptor.
pub(super) fn close(fd: i32) {
    // SAFETY: descriptors are no memory.
    unsafe { call(CLOSE, [fd as usize, 0, 0, 0, 0, 0]) };
}

/// Maps the beginning of a file at a fixed place.
pub(super) fn map(fd: i32, address: usize, len: usize) -> bool {
    // SAFETY: the places are this program's own constants, far from its image, stack and each other.
    let got = unsafe { call(MMAP, [address, len, PROT_READ_WRITE, MAP_SHARED_FIXED, fd as usize, 0]) };
    got == address as isize
}

/// Waits until a descriptor can be read, or for so many microseconds; false if those are over.
pub(super) fn wait_readable(fd: i32, microseconds: Option<u32>) -> bool {
    #[repr(C)]
    struct PollFd {
        fd: i32,
        events: u32, // events and revents, 16 bits each
    }
    let mut poll = PollFd { fd, events: POLLIN };
    let time = microseconds.map(|us| [us as usize / 1_000_000, us as usize % 1_000_000 * 1000]);
    let time = time.as_ref().map_or(0, |t| t.as_ptr().expose_provenance());
    // SAFETY: the kernel reads the time and writes the descriptor's record, which both live across the call.
    let got = unsafe { call(PPOLL, [(&raw mut poll).expose_provenance(), 1, time, 0, 8, 0]) };
    got == 1
}

/// Orders accesses to memory and devices.
pub(super) fn fence() {
    // SAFETY: a fence changes nothing but the order of accesses; without `nomem` the compiler keeps it too.
    unsafe { asm!("fence iorw, iorw", options(nostack, preserves_flags)) }
}

/// Ends the program.
pub(super) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: it does not return.
        unsafe { call(EXIT_GROUP, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Says why, and ends the program with status 2.
pub(super) fn die(why: impl fmt::Display) -> ! {
    crate::println!("{}: {why}", super::NAME);
    exit(2)
}

/// The words of the command line behind the program's name.
pub(super) fn arguments() -> impl Iterator<Item = &'static str> {
    let stack = STACK.load(Ordering::Relaxed);
    // SAFETY: the kernel put argc here, and argc pointers to strings that live as long as the program.
    let word = move |i: usize| unsafe { CStr::from_ptr(*stack.add(1 + i).cast()) };
    // SAFETY: as above.
    let count = if stack.is_null() { 0 } else { unsafe { *stack } };
    (1..count).filter_map(move |i| word(i).to_str().ok())
}
