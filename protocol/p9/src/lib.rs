//! The 9P protocol in its dialects 2000.L and 2000.u: bytes in, messages out, and back.
//!
//! What it is: every request and every reply as a variant of one enum each, made from one table ([`message`]), with the records
//! that they carry ([`record`]). Both directions read and write, so that servers, scripted clients, tests and fuzzers share one
//! understanding of the wire. What it is not: a server. It knows no files, keeps no state and judges nothing but the layout.
//!
//! All that is read borrows from the bytes it came in, and no length on the wire leads to an allocation larger than those bytes.
//!
//! Sources: Plan 9 manual, section 5 (9P2000); "9P2000.u" draft of E. Van Hensbergen (Unix extensions); diod's
//! `protocol.md` and Linux 6.12, `include/net/9p/9p.h` and `net/9p/protocol.c` (9P2000.L).

mod layout;
pub mod message;
pub mod record;

pub use layout::{Data, Malformed, Text};
pub use message::{HEADER_LEN, Header, NO_FID, NO_TAG, Reply, Request, code};
pub use record::{Attributes, DirEntry, Lock, LockType, Qid, QidType, SetAttributes, SetMask, Stat, Statfs, mode_u};

/// The version string of the Linux dialect.
pub const VERSION_L: &[u8] = b"9P2000.L";
/// The version string of the Unix dialect.
pub const VERSION_U: &[u8] = b"9P2000.u";
/// What a server says to a version it does not speak (version(5)).
pub const VERSION_UNKNOWN: &[u8] = b"unknown";

/// Bytes that a client keeps free in a message for the fields around the data of reads and writes (`P9_IOHDRSZ`).
pub const IO_HEADER_LEN: u32 = 24;
/// Most names of one walk (walk(5), `MAXWELEM`).
pub const MAX_WALK: usize = 16;

#[cfg(test)]
mod tests;
