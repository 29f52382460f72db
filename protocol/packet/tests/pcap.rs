//! The layout of captures, byte for byte as the format's document has it.

use southbridge_protocol_packet::pcap::{file_header, record_header};

#[test]
fn a_capture_starts_as_the_format_says() {
    let h = file_header(65536);
    assert_eq!(h[..8], [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]);
    assert_eq!(h[8..16], [0; 8]);
    assert_eq!(h[16..], [0, 0, 1, 0, 1, 0, 0, 0]);
}

#[test]
fn a_record_has_seconds_and_microseconds_and_both_lengths() {
    let h = record_header(1_700_000_001_234_567_890, 96, 1514);
    assert_eq!(u32::from_le_bytes(h[0..4].try_into().unwrap()), 1_700_000_001);
    assert_eq!(u32::from_le_bytes(h[4..8].try_into().unwrap()), 234_567);
    assert_eq!(u32::from_le_bytes(h[8..12].try_into().unwrap()), 96);
    assert_eq!(u32::from_le_bytes(h[12..16].try_into().unwrap()), 1514);
}
