//! Captures in the classic pcap format, which every analyser opens: one header of 24 bytes, then records.
//!
//! Forty bytes of layout are less than a dependency on a writer of all capture formats, and a writer that owned its file could not
//! hand records to the machine's log of outputs; so the layout stands here. Source: "PCAP Capture File Format"
//! (draft-ietf-opsawg-pcap), sections 4 and 5.

/// Length of what stands before the first record.
pub const FILE_HEADER: usize = 24;
/// Length of what stands before the bytes of a record.
pub const RECORD_HEADER: usize = 16;

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const LINK_ETHERNET: u32 = 1;

/// The start of a file whose records have at most `longest` bytes each.
pub fn file_header(longest: u32) -> [u8; FILE_HEADER] {
    let mut h = [0; FILE_HEADER];
    h[0..4].copy_from_slice(&MAGIC_MICROSECONDS.to_le_bytes());
    h[4..6].copy_from_slice(&2u16.to_le_bytes());
    h[6..8].copy_from_slice(&4u16.to_le_bytes());
    // 8..16: time zone and accuracy, always 0.
    h[16..20].copy_from_slice(&longest.to_le_bytes());
    h[20..24].copy_from_slice(&LINK_ETHERNET.to_le_bytes());
    h
}

/// What stands before `kept` bytes of a frame of `length` bytes, seen `ns` nanoseconds after 1970.
pub fn record_header(ns: u64, kept: usize, length: usize) -> [u8; RECORD_HEADER] {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut h = [0; RECORD_HEADER];
    // Seconds are 32 bits on disk and wrap in 2106.
    h[0..4].copy_from_slice(&((ns / 1_000_000_000) as u32).to_le_bytes());
    h[4..8].copy_from_slice(&((ns % 1_000_000_000 / 1000) as u32).to_le_bytes());
    h[8..12].copy_from_slice(&word(kept));
    h[12..16].copy_from_slice(&word(length));
    h
}
