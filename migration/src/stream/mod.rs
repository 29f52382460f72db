//! The stream of a saved machine.
//!
//! Sixteen bytes of head: a magic that does not survive transfer as text, the version of the format (`u32`), zero (`u32`). Then
//! sections: kind (four letters), length of the contents (`u32`), contents, CRC-32 over all of these. All numbers are little-endian,
//! structures are CBOR (RFC 8949). These sections there are, written in this order:
//!
//! - `DESC`, [`About`]: what machine it is and what follows.
//! - Parts, each the layout version of its state (`u32`) and the state: `BORD` clock, timers and wires; `CPU_` once for each processor;
//!   `FIRM` if the host executes firmware; `SEMI` if semihosting has a state.
//! - `DEVC` once for each device: its index in `DESC` (`u32`), then as a part.
//! - `RAM_` for each stretch that is not zero: index of its block in `DESC` (`u32`), byte offset (`u64`), up to [`MAX_RUN`] bytes in whole
//!   pages of 4096, ascending.
//! - `END_`: how many sections came before (`u32`), and the CRC-32 of their CRCs.
//!
//! Version 1 had one processor without a count and no firmware; it is no longer read.
//!
//! A reader is told what the machine is that shall take the state, so that every length has a bound before memory is taken for it.
//! What is read is not yet applied: that is [`Machine::load_whole`](southbridge_core::Machine::load_whole), all or nothing.

mod about;
mod frame;
mod read;
mod write;

pub use about::{About, DeviceAbout, Layout, RamAbout};
pub(crate) use frame::{END, FrameReader, FrameWriter, Kind, cbor, from_cbor};
pub use read::{StreamError, read, read_about};
pub use write::{encoded_len, write};

use southbridge_core::Machine;
#[cfg(doc)]
use southbridge_core::machine::MAX_RUN;
use southbridge_core::machine::{Draft, Whole};

/// Begins every stream of a machine.
pub const MAGIC: [u8; 8] = *b"\x89SBVM\r\n\x1a";
/// Version of the format that this program writes and reads.
pub const VERSION: u32 = 2;

/// A saved machine with what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What machine it is.
    pub about: About,
    /// Its state.
    pub whole: Whole,
}

impl Picture {
    /// Takes a machine's picture; `board` is the name for `-M`.
    ///
    /// # Errors
    /// The reason why it cannot be saved now.
    pub fn take(machine: &mut Machine, board: &str) -> Result<Self, String> {
        Self::take_from(machine, board, Draft::default())
    }

    /// The same; of RAM only what changed since the draft is copied.
    ///
    /// # Errors
    /// As [`Picture::take`].
    pub fn take_from(machine: &mut Machine, board: &str, draft: Draft) -> Result<Self, String> {
        let whole = machine.save_whole_from(draft)?;
        let about = About::of(machine, board, &whole);
        Ok(Self { about, whole })
    }
}

/// What a machine is, without its memory: what a stream for it is checked against.
///
/// # Errors
/// The reason why it cannot be saved now, and so take no state either.
pub fn describe(machine: &mut Machine, board: &str) -> Result<About, String> {
    let whole = machine.outline()?;
    Ok(About::of(machine, board, &whole))
}
