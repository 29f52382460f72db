//! Record and replay: all that comes from outside, in a file, with its exact place in the run.
//!
//! The file is a head and sections like those of [`crate::stream`]: `DESC` what machine it was and a sum over what its loader put into
//! memory; `INPT` inputs in order; `CHCK` where the processor stood at a moment; `BROK` why the rest is missing; `END_` where and how the
//! run ended, with a sum over the whole machine. A replay takes nothing from the host, stops at each `CHCK` to compare, and says between
//! which two moments it went another way.

mod file;
mod play;
mod record;

pub use file::{Begin, End, Ending, ReplayError};
pub use play::{Replay, Verdict};
pub use record::Recording;

use southbridge_core::Machine;

/// A sum over what the loader put into memory, and where it starts.
fn program_sum(machine: &Machine) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for image in &machine.images {
        sum.update(&image.address.to_le_bytes());
        sum.update(&(image.data.len() as u64).to_le_bytes());
        sum.update(&image.data);
    }
    sum.update(&machine.start_at.unwrap_or(u64::MAX).to_le_bytes());
    sum.finalize()
}

/// A sum over the registers of the processor.
fn register_sum(machine: &Machine) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for r in machine.cpus.iter().flat_map(|c| c.registers()) {
        sum.update(r.name.as_bytes());
        sum.update(&r.value.to_le_bytes());
    }
    sum.finalize()
}

/// Whether the bytes are a recording; for fuzzing.
pub(crate) fn can_be_read(bytes: &[u8]) -> bool {
    file::read(bytes).is_ok()
}
