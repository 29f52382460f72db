//! Tables by which firmware tells a kernel what machine it is on: ACPI 6.5, as bytes.
//!
//! What a table says is the board's business; here is how it is written. [`bytes`] has fields one after the other, [`aml`] the language of
//! the namespace, [`resource`] what a device uses, [`set`] makes a whole of the tables and delivers it: to firmware as files with a script,
//! or in place. It is an own writer, because both the script and a placement need to know where each pointer stands; no crate tells that.

pub(crate) mod aml;
pub(crate) mod bytes;
pub(crate) mod resource;
pub(crate) mod set;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use bytes::Bytes;
pub(crate) use set::{Linked, Set};

/// Bytes of what every table begins with (ACPI 6.5, 5.2.6).
pub(crate) const HEADER: usize = 36;
/// Whose tables these are: kernels know their quirks by these names, and they have those of QEMU 10.
pub(crate) const OEM: &[u8; 6] = b"BOCHS ";
const OEM_TABLE: &[u8; 8] = b"BXPC    ";
const CREATOR: &[u8; 4] = b"BXPC";
pub(crate) const CHECKSUM: usize = 9;

/// A table: header and contents. The checksum is for whoever places it.
pub(crate) fn table(signature: [u8; 4], revision: u8, contents: Bytes) -> Bytes {
    let length = HEADER + contents.len();
    Bytes::new()
        .bytes(&signature)
        .u32(u32::try_from(length).unwrap_or(u32::MAX))
        .u8(revision)
        .u8(0)
        .bytes(OEM)
        .bytes(OEM_TABLE)
        .u32(1)
        .bytes(CREATOR)
        .u32(1)
        .bytes(&contents.0)
}

/// What makes the sum of all bytes zero.
pub(crate) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, b| sum.wrapping_sub(*b))
}
