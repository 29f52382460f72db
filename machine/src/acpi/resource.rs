//! What a device uses, or a bridge hands on: resource descriptors (ACPI 6.5, 6.4).

use super::aml::{Aml, buffer};
use super::bytes::Bytes;

const MEMORY32_FIXED: u8 = 0x86;
const DWORD_SPACE: u8 = 0x87;
const WORD_SPACE: u8 = 0x88;
const EXTENDED_INTERRUPT: u8 = 0x89;
const QWORD_SPACE: u8 = 0x8a;
const END: u8 = 0x79;

const WRITABLE: u8 = 1;
/// For the device itself; a level, active high, of this device alone.
const CONSUMER: u8 = 1;
/// For what is behind the device: both ends are fixed, and it decodes all that is between them.
const PRODUCED: u8 = 1 << 2 | 1 << 3;
const MEMORY: u8 = 0;
const IO: u8 = 1;
const BUSES: u8 = 2;
/// Ports that ISA decodes, and the others.
const ENTIRE_RANGE: u8 = 3;

/// All of a device's descriptors, as a value of `_CRS`.
pub(crate) fn template(descriptors: &[Bytes]) -> Aml {
    let mut all: Vec<u8> = descriptors.iter().flat_map(|d| d.0.iter().copied()).collect();
    // A checksum of zero counts as right.
    all.extend([END, 0]);
    buffer(&all)
}

fn large(tag: u8, contents: Bytes) -> Bytes {
    Bytes::new().u8(tag).u16(contents.len() as u16).bytes(&contents.0)
}

/// Registers below 4 GiB.
pub(crate) fn registers(at: u64, len: u64) -> Bytes {
    let contents = Bytes::new().u8(WRITABLE).u32(at as u32).u32(len as u32);
    large(MEMORY32_FIXED, contents)
}

pub(crate) fn interrupt(number: u16) -> Bytes {
    large(EXTENDED_INTERRUPT, Bytes::new().u8(CONSUMER).u8(1).u32(number.into()))
}

fn space(kind: u8, flags: u8) -> Bytes {
    Bytes::new().u8(kind).u8(PRODUCED).u8(flags)
}

/// Buses from 0 to `count - 1`.
pub(crate) fn buses(count: u16) -> Bytes {
    let last = count.saturating_sub(1);
    large(WORD_SPACE, space(BUSES, 0).u16(0).u16(0).u16(last).u16(0).u16(count))
}

fn dwords(space: Bytes, first: u64, len: u64, offset: u64) -> Bytes {
    let last = first + len.saturating_sub(1);
    let fields = [0, first, last, offset, len];
    large(DWORD_SPACE, fields.into_iter().fold(space, |s, f| s.u32(f as u32)))
}

/// A window for memory below 4 GiB.
pub(crate) fn memory32((first, len): (u64, u64)) -> Bytes {
    dwords(space(MEMORY, WRITABLE), first, len, 0)
}

/// A window for ports from 0 on, seen by processors at an address.
pub(crate) fn ports((seen_at, len): (u64, u64)) -> Bytes {
    dwords(space(IO, ENTIRE_RANGE), 0, len, seen_at)
}

/// A window for memory anywhere.
pub(crate) fn memory64((first, len): (u64, u64)) -> Bytes {
    let last = first + len.saturating_sub(1);
    let fields = [0, first, last, 0, len];
    large(
        QWORD_SPACE,
        fields.into_iter().fold(space(MEMORY, WRITABLE), Bytes::u64),
    )
}
