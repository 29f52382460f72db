//! Frames for the tests.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) fn frame(from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, protocol, body),
        (IpAddr::V6(from), IpAddr::V6(to)) => ipv6(from, to, protocol, body),
        _ => panic!("two kinds of addresses"),
    }
}

pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut f = vec![0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 8, 0];
    f.extend([0x45, 0]);
    f.extend((20 + body.len() as u16).to_be_bytes());
    f.extend([0x12, 0xff, 0x40, 0, 64, protocol, 0, 0]);
    f.extend(from.octets());
    f.extend(to.octets());
    f.extend(body);
    southbridge_protocol_packet::checksum::fill_ipv4(&mut f, 14).unwrap();
    f
}

pub(crate) fn ipv6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut f = vec![0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 0x86, 0xdd];
    f.extend([0x60, 0, 0, 0]);
    f.extend((body.len() as u16).to_be_bytes());
    f.extend([protocol, 64]);
    f.extend(from.octets());
    f.extend(to.octets());
    f.extend(body);
    f
}

/// FIN, PSH, ACK and CWR are set; 12 bytes of options.
pub(crate) fn tcp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut t = Vec::new();
    t.extend(from.to_be_bytes());
    t.extend(to.to_be_bytes());
    t.extend([0xff, 0xff, 0xff, 0x00, 0, 0, 0, 1, 0x80, 0x99, 0x10, 0, 0, 0, 0, 0]);
    t.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    t.extend(payload);
    t
}

pub(crate) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut u = Vec::new();
    u.extend(from.to_be_bytes());
    u.extend(to.to_be_bytes());
    u.extend((8 + payload.len() as u16).to_be_bytes());
    u.extend([0, 0]);
    u.extend(payload);
    u
}
