//! Packets of the guest, from the Ethernet header up to where their protocol takes them.

use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet, UdpPacket};
use std::net::{IpAddr, Ipv6Addr};

use crate::fragment::{Key, Piece};
use crate::link::ROUTER_LL;
use crate::net::UserNet;
use crate::udp::Datagram;
use crate::{Meta, arp, checksum, dhcp, icmp, tftp};

/// Where DHCPv6 servers listen (RFC 8415 §7.1).
const ALL_DHCP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// Extension headers of one packet; more are only there to cost time.
const EXTENSIONS: usize = 8;

/// A packet whose payload is whole.
#[derive(Debug, Clone, Copy)]
struct Whole<'a> {
    mac: EthernetAddress,
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    hops: u8,
    payload: &'a [u8],
    /// From the IP header on.
    packet: &'a [u8],
    /// The transport checksum is there, and not yet looked at.
    check: bool,
}

impl UserNet {
    pub(crate) fn frame(&mut self, frame: &[u8], meta: &Meta) {
        let Ok(ethernet) = EthernetFrame::new_checked(frame) else {
            return;
        };
        if !crate::link::Link::is_for_us(ethernet.dst_addr()) {
            return;
        }
        let (mac, check) = (ethernet.src_addr(), meta.partial_checksum.is_none());
        match ethernet.ethertype() {
            EthernetProtocol::Arp => arp::input(&mut self.link, ethernet.payload()),
            EthernetProtocol::Ipv4 => self.ipv4(mac, ethernet.payload(), check),
            EthernetProtocol::Ipv6 => self.ipv6(mac, ethernet.payload(), check),
            _ => {}
        }
    }

    fn ipv4(&mut self, mac: EthernetAddress, bytes: &[u8], check: bool) {
        if self.link.config.ipv4.is_none() {
            return;
        }
        let Ok(packet) = Ipv4Packet::new_checked(bytes) else {
            return;
        };
        if packet.version() != 4 || packet.header_len() < 20 || !packet.verify_checksum() {
            return;
        }
        let (from, to) = (IpAddr::V4(packet.src_addr()), IpAddr::V4(packet.dst_addr()));
        if packet.src_addr().is_multicast() || packet.src_addr().is_broadcast() || packet.src_addr().is_loopback() {
            return;
        }
        self.link.learn(from, mac);
        let whole = Whole {
            mac,
            from,
            to,
            protocol: packet.next_header(),
            hops: packet.hop_limit(),
            payload: packet.payload(),
            packet: &bytes[..usize::from(packet.total_len())],
            check,
        };
        if !packet.more_frags() && packet.frag_offset() == 0 {
            return self.whole(&whole);
        }
        let key = Key {
            from,
            to,
            ident: packet.ident().into(),
            protocol: whole.protocol,
        };
        let piece = Piece {
            offset: usize::from(packet.frag_offset()),
            more: packet.more_frags(),
            data: whole.payload,
        };
        self.piece(&whole, key, piece);
    }

    fn piece(&mut self, whole: &Whole<'_>, key: Key, piece: Piece<'_>) {
        if let Some(payload) = self.fragments.add(key, piece, self.link.now, &mut self.timers) {
            self.whole(&Whole {
                payload: &payload,
                protocol: key.protocol,
                ..*whole
            });
        }
    }

    fn ipv6(&mut self, mac: EthernetAddress, bytes: &[u8], check: bool) {
        if self.link.config.ipv6.is_none() {
            return;
        }
        let Ok(packet) = Ipv6Packet::new_checked(bytes) else {
            return;
        };
        let source = packet.src_addr();
        if packet.version() != 6 || source.is_multicast() || source.is_loopback() {
            return;
        }
        let (from, to) = (IpAddr::V6(source), IpAddr::V6(packet.dst_addr()));
        self.link.learn(from, mac);
        let mut whole = Whole {
            mac,
            from,
            to,
            protocol: packet.next_header(),
            hops: packet.hop_limit(),
            payload: packet.payload(),
            packet: &bytes[..40 + usize::from(packet.payload_len())],
            check,
        };
        for _ in 0..EXTENSIONS {
            match whole.protocol {
                IpProtocol::HopByHop | IpProtocol::Ipv6Opts => {
                    let Some(&[next, units]) = whole.payload.first_chunk() else {
                        return;
                    };
                    let Some(rest) = whole.payload.get(8 + 8 * usize::from(units)..) else {
                        return;
                    };
                    (whole.protocol, whole.payload) = (next.into(), rest);
                }
                IpProtocol::Ipv6Frag => {
                    let Some((&[next, _, a, b, i, j, k, l], rest)) = whole.payload.split_first_chunk() else {
                        return;
                    };
                    let place = u16::from_be_bytes([a, b]);
                    let key = Key {
                        from,
                        to,
                        ident: u32::from_be_bytes([i, j, k, l]),
                        protocol: next.into(),
                    };
                    let piece = Piece {
                        offset: usize::from(place & !7),
                        more: place & 1 != 0,
                        data: rest,
                    };
                    return self.piece(&whole, key, piece);
                }
                _ => return self.whole(&whole),
            }
        }
    }

    fn whole(&mut self, w: &Whole<'_>) {
        match w.protocol {
            IpProtocol::Tcp => self.tcp(w),
            IpProtocol::Udp => self.udp_packet(w),
            IpProtocol::Icmp => {
                if let (IpAddr::V4(from), IpAddr::V4(to)) = (w.from, w.to)
                    && let Some(echo) = icmp::input4(&mut self.link, from, to, w.payload)
                {
                    let (mut cx, parts) = self.split();
                    parts.pings.send(&mut cx, &echo, w.packet);
                }
            }
            IpProtocol::Icmpv6 => {
                if let (IpAddr::V6(from), IpAddr::V6(to)) = (w.from, w.to)
                    && let Some(echo) = icmp::input6(&mut self.link, w.mac, from, to, w.hops, w.payload)
                {
                    let (mut cx, parts) = self.split();
                    parts.pings.send(&mut cx, &echo, w.packet);
                }
            }
            _ => {}
        }
    }

    fn tcp(&mut self, w: &Whole<'_>) {
        let broadcast = matches!((w.to, &self.link.config.ipv4), (IpAddr::V4(a), Some(c)) if c.is_broadcast(a));
        if w.to.is_multicast() || broadcast || w.from.is_unspecified() {
            return;
        }
        if w.check && !checksum::verify(w.from, w.to, IpProtocol::Tcp.into(), w.payload) {
            return;
        }
        let (mut cx, parts) = self.split();
        parts.tcp.input(&mut cx, w.from, w.to, w.payload);
    }

    fn udp_packet(&mut self, w: &Whole<'_>) {
        let Ok(packet) = UdpPacket::new_checked(w.payload) else {
            return;
        };
        let unchecked = packet.checksum() == 0 && w.from.is_ipv4();
        let datagram = &w.payload[..usize::from(packet.len())];
        if w.check && !unchecked && !checksum::verify(w.from, w.to, IpProtocol::Udp.into(), datagram) {
            return;
        }
        let (source, port, payload) = (packet.src_port(), packet.dst_port(), packet.payload());
        match (w.to, port) {
            (IpAddr::V4(to), 67)
                if self
                    .link
                    .config
                    .ipv4
                    .as_ref()
                    .is_some_and(|c| to == c.host || c.is_broadcast(to)) =>
            {
                self.dhcp.input(&mut self.link, payload);
            }
            (IpAddr::V6(to), 547) if to == ALL_DHCP || to == ROUTER_LL || self.is_host(w.to) => {
                dhcp::input6(&mut self.link, w.from, payload);
            }
            (_, tftp::PORT) if self.is_host(w.to) => {
                let client = (w.from, source);
                match &mut self.tftp {
                    Some(tftp) => tftp.input(&mut self.link, &mut self.timers, client, w.to, payload),
                    None => tftp::absent(&mut self.link, client, w.to),
                }
            }
            _ if source == 0 || w.from.is_unspecified() || w.to.is_multicast() => {}
            _ => {
                let d = Datagram {
                    from: (w.from, source),
                    to: (w.to, port),
                    payload,
                    packet: w.packet,
                };
                let (mut cx, parts) = self.split();
                parts.udp.input(&mut cx, &d);
            }
        }
    }

    /// Whether an address is the router's own.
    fn is_host(&self, address: IpAddr) -> bool {
        let config = &self.link.config;
        match address {
            IpAddr::V4(a) => config.ipv4.as_ref().is_some_and(|c| a == c.host),
            IpAddr::V6(a) => a == ROUTER_LL || config.ipv6.as_ref().is_some_and(|c| a == c.host),
        }
    }
}
