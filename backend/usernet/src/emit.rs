//! Packets from their parts.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpProtocol,
    Ipv4Packet, Ipv6Packet, UdpPacket,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum;

pub(crate) const ETHERNET: usize = 14;
const V6_FRAGMENT: usize = 8;

/// Appends a header.
pub(crate) fn ethernet(frame: &mut Vec<u8>, to: EthernetAddress, from: EthernetAddress, protocol: EthernetProtocol) {
    let at = frame.len();
    frame.resize(at + ETHERNET, 0);
    let mut header = EthernetFrame::new_unchecked(&mut frame[at..]);
    header.set_dst_addr(to);
    header.set_src_addr(from);
    header.set_ethertype(protocol);
}

/// Appends an IPv4 header without fragmentation, checksum included.
pub(crate) fn ipv4(frame: &mut Vec<u8>, from: Ipv4Addr, to: Ipv4Addr, protocol: IpProtocol, length: usize, ident: u16) {
    let at = frame.len();
    frame.resize(at + 20, 0);
    let mut header = Ipv4Packet::new_unchecked(&mut frame[at..]);
    header.set_version(4);
    header.set_header_len(20);
    header.set_total_len(u16::try_from(length + 20).unwrap_or(u16::MAX));
    header.set_ident(ident);
    header.set_dont_frag(protocol == IpProtocol::Tcp);
    header.set_hop_limit(64);
    header.set_next_header(protocol);
    header.set_src_addr(from);
    header.set_dst_addr(to);
    header.fill_checksum();
}

/// Appends an IPv6 header.
pub(crate) fn ipv6(frame: &mut Vec<u8>, from: Ipv6Addr, to: Ipv6Addr, protocol: IpProtocol, length: usize) {
    let at = frame.len();
    frame.resize(at + 40, 0);
    let mut header = Ipv6Packet::new_unchecked(&mut frame[at..]);
    header.set_version(6);
    header.set_payload_len(u16::try_from(length).unwrap_or(u16::MAX));
    header.set_next_header(protocol);
    header.set_hop_limit(if protocol == IpProtocol::Icmpv6 { 255 } else { 64 });
    header.set_src_addr(from);
    header.set_dst_addr(to);
}

/// Appends Ethernet and IP headers; the hardware destination stays zero. `false`: the families differ.
pub(crate) fn ip(
    frame: &mut Vec<u8>,
    mac: EthernetAddress,
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    length: usize,
    ident: u16,
) -> bool {
    let nowhere = EthernetAddress([0; 6]);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ethernet(frame, nowhere, mac, EthernetProtocol::Ipv4);
            ipv4(frame, from, to, protocol, length, ident);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ethernet(frame, nowhere, mac, EthernetProtocol::Ipv6);
            ipv6(frame, from, to, protocol, length);
        }
        _ => return false,
    }
    true
}

/// An IP packet as one frame, or as fragments. The hardware destination stays zero.
pub(crate) fn ip_packets(
    mac: EthernetAddress,
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    payload: &[u8],
    ident: u16,
    mtu: usize,
) -> Vec<Vec<u8>> {
    let header = if to.is_ipv4() { 20 } else { 40 };
    if payload.len() + header > 65_535 {
        return Vec::new();
    }
    if payload.len() + header <= mtu {
        let mut frame = Vec::with_capacity(ETHERNET + header + payload.len());
        if !ip(&mut frame, mac, from, to, protocol, payload.len(), ident) {
            return Vec::new();
        }
        frame.extend_from_slice(payload);
        return vec![frame];
    }
    let extra = if to.is_ipv4() { 0 } else { V6_FRAGMENT };
    let piece = mtu.saturating_sub(header + extra) & !7;
    if piece == 0 {
        return Vec::new();
    }
    let mut frames = Vec::with_capacity(payload.len() / piece + 1);
    for (index, part) in payload.chunks(piece).enumerate() {
        let (offset, more) = (index * piece, (index + 1) * piece < payload.len());
        frames.push(fragment(mac, from, to, protocol, part, ident, offset, more));
    }
    frames
}

#[allow(clippy::too_many_arguments, reason = "the fields of one header")]
fn fragment(
    mac: EthernetAddress,
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    part: &[u8],
    ident: u16,
    offset: usize,
    more: bool,
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET + 48 + part.len());
    let offset = u16::try_from(offset).unwrap_or(0);
    if to.is_ipv4() {
        ip(&mut frame, mac, from, to, protocol, part.len(), ident);
        let mut header = Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]);
        header.set_dont_frag(false);
        header.set_more_frags(more);
        header.set_frag_offset(offset);
        header.fill_checksum();
    } else {
        ip(
            &mut frame,
            mac,
            from,
            to,
            IpProtocol::Ipv6Frag,
            part.len() + V6_FRAGMENT,
            ident,
        );
        frame.extend_from_slice(&[protocol.into(), 0]);
        frame.extend_from_slice(&(offset | u16::from(more)).to_be_bytes());
        frame.extend_from_slice(&u32::from(ident).to_be_bytes());
    }
    frame.extend_from_slice(part);
    frame
}

/// A datagram with its checksum. `None`: too long, or the families differ.
pub(crate) fn udp(from: (IpAddr, u16), to: (IpAddr, u16), payload: &[u8]) -> Option<Vec<u8>> {
    if from.0.is_ipv4() != to.0.is_ipv4() {
        return None;
    }
    let length = u16::try_from(payload.len() + 8).ok()?;
    let mut datagram = Vec::with_capacity(payload.len() + 8);
    datagram.resize(8, 0);
    datagram.extend_from_slice(payload);
    let mut packet = UdpPacket::new_unchecked(&mut datagram[..]);
    packet.set_src_port(from.1);
    packet.set_dst_port(to.1);
    packet.set_len(length);
    let sum = checksum::fill(from.0, to.0, IpProtocol::Udp.into(), &datagram);
    // 0 means "none" (RFC 768).
    UdpPacket::new_unchecked(&mut datagram[..]).set_checksum(if sum == 0 { 0xffff } else { sum });
    Some(datagram)
}

/// An ICMP message with its checksum.
pub(crate) fn icmpv4(repr: &Icmpv4Repr<'_>) -> Vec<u8> {
    let mut message = vec![0; repr.buffer_len()];
    repr.emit(
        &mut Icmpv4Packet::new_unchecked(&mut message[..]),
        &ChecksumCapabilities::default(),
    );
    message
}

/// An ICMPv6 message with its checksum.
pub(crate) fn icmpv6(from: Ipv6Addr, to: Ipv6Addr, repr: &Icmpv6Repr<'_>) -> Vec<u8> {
    let mut message = vec![0; repr.buffer_len()];
    repr.emit(
        &from,
        &to,
        &mut Icmpv6Packet::new_unchecked(&mut message[..]),
        &ChecksumCapabilities::default(),
    );
    message
}
