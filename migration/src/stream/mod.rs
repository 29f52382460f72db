//! The stream of a saved machine.
//!
//! Sixteen bytes of head: a magic that does not survive transfer as text, the version of the format (`u32`), zero (`u32`). Then
//! sections: kind (four letters), length (`u32`), contents, CRC-32 over all of these. All numbers are little-endian, structures are
//! CBOR (RFC 8949). The order is fixed: `DESC` says what machine it is and what follows; `BORD` clock, timers and wires; `CPU_` once for each
//! processor; `FIRM` firmware that the host executes; `SEMI`; `DEVC` once for each device; `RAM_` for each stretch that is not zero; `END_` counts the sections and closes with the CRC of their CRCs.
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
use southbridge_core::machine::Whole;

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
        let whole = machine.save_whole()?;
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
