//! Where things stand in guest memory, agreed with `harness/harness.s`.

use std::ops::Range;

/// Vectors and the harness's code.
pub const HARNESS: &[u8] = include_bytes!("../harness/harness.bin");
/// Raises the first fault, which leads to [`DONE`].
pub const RESET: u32 = 0x188;
/// Entered in handler mode: starts the stream.
pub const START: u32 = 0x100;
/// Where the harness waits for the host, in handler mode.
pub const DONE: u32 = 0x200;

/// What `start` reads.
pub const INPUT: u32 = 0x2000_0000;
/// The stream; filled up with UDF.
pub const CODE: Range<u32> = 0x2000_0100..0x2000_02a0;
/// The stream's handler of SVC.
pub const HANDLER: Range<u32> = CODE.end..0x2000_0300;
/// Data and stacks of the stream.
pub const SCRATCH: Range<u32> = 0x2000_0300..0x2000_0700;
/// What `collect` writes.
pub const RESULT: Range<u32> = 0x2000_0700..0x2000_0758;
/// Bytes of [`SCRATCH`].
pub const SCRATCH_LEN: usize = (SCRATCH.end - SCRATCH.start) as usize;
/// Words of [`RESULT`].
pub const RESULT_WORDS: usize = (RESULT.end - RESULT.start) as usize / 4;

/// Names of the words of [`RESULT`].
pub const RESULT_NAMES: [&str; RESULT_WORDS] = [
    "r4",
    "r5",
    "r6",
    "r7",
    "r8",
    "r9",
    "r10",
    "r11",
    "ipsr",
    "msp",
    "psp",
    "primask",
    "basepri",
    "faultmask",
    "control",
    "exc_return",
    "shcsr",
    "cfsr",
    "hfsr",
    "mmfar",
    "bfar",
    "icsr",
];
/// Indices into [`RESULT_NAMES`].
#[allow(missing_docs)]
pub mod result {
    pub const MSP: usize = 9;
    pub const PSP: usize = 10;
    pub const EXC_RETURN: usize = 15;
    pub const CFSR: usize = 17;
    pub const HFSR: usize = 18;
    pub const MMFAR: usize = 19;
    pub const BFAR: usize = 20;
}

/// UDF #0x5a, behind the last instruction and everywhere else in [`CODE`].
pub const END: u16 = 0xde5a;
