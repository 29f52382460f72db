//! The program's command line, and its end: on a board the three semihosting calls used here (Arm, "Semihosting for AArch32
//! and AArch64"), on Linux the process's own.

#[cfg(feature = "virt")]
pub use process::{exit, flag, option};
#[cfg(not(feature = "virt"))]
pub use v7m::{exit, flag, option};

#[cfg(feature = "virt")]
mod process {
    use crate::this;

    /// Ends the program with `status`.
    pub fn exit(status: i32) -> ! {
        this::exit(status)
    }

    /// The number that follows `key` on the command line, as in `rounds=20`.
    pub fn option(key: &str) -> Option<u32> {
        this::words().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
    }

    /// Whether `word` stands on the command line.
    pub fn flag(word: &str) -> bool {
        this::words().any(|w| w == word)
    }
}

#[cfg(not(feature = "virt"))]
mod v7m {
    use crate::{println, wait_for_interrupt};

    const SYS_GET_CMDLINE: u32 = 0x15;
    const SYS_EXIT: u32 = 0x18;
    const SYS_EXIT_EXTENDED: u32 = 0x20;
    const ADP_STOPPED_RUN_TIME_ERROR_UNKNOWN: usize = 0x20023;
    const ADP_STOPPED_APPLICATION_EXIT: usize = 0x20026;

    unsafe extern "C" {
        /// In `start.s`. -1 where the machine has no semihosting.
        fn semihosting(operation: u32, argument: usize) -> i32;
    }

    /// Ends the machine with `status`. Sleeps for ever where there is no semihosting.
    pub fn exit(status: i32) -> ! {
        if status != 0 {
            let block = [ADP_STOPPED_APPLICATION_EXIT, status as usize];
            // SAFETY: the call reads the two words of `block`, which lives across it.
            unsafe { semihosting(SYS_EXIT_EXTENDED, block.as_ptr().expose_provenance()) };
        }
        let reason = if status == 0 {
            ADP_STOPPED_APPLICATION_EXIT
        } else {
            ADP_STOPPED_RUN_TIME_ERROR_UNKNOWN
        };
        // SAFETY: this call takes a plain number. After a failed one without the extended form it still ends the run.
        unsafe { semihosting(SYS_EXIT, reason) };
        println!("no semihosting: status {status}, asleep");
        loop {
            wait_for_interrupt();
        }
    }

    /// The number that follows `key` on the command line (`-append`, or `-semihosting-config arg=`), as in `rounds=20`.
    pub fn option(key: &str) -> Option<u32> {
        let mut buffer = [0u8; 128];
        let line = command_line(&mut buffer)?;
        line.split_ascii_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
    }

    /// Whether `word` stands on the command line.
    pub fn flag(word: &str) -> bool {
        let mut buffer = [0u8; 128];
        command_line(&mut buffer).is_some_and(|line| line.split_ascii_whitespace().any(|w| w == word))
    }

    fn command_line(buffer: &mut [u8; 128]) -> Option<&str> {
        let mut block = [buffer.as_mut_ptr().expose_provenance(), buffer.len()];
        // SAFETY: the call writes at most the given length into `buffer` and its own length into `block`; both live across
        // it, and their addresses were exposed.
        let result = unsafe { semihosting(SYS_GET_CMDLINE, block.as_mut_ptr().expose_provenance()) };
        if result != 0 {
            return None;
        }
        let end = buffer.iter().position(|&b| b == 0)?;
        core::str::from_utf8(&buffer[..end]).ok()
    }
}
