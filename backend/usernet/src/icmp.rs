//! ICMP and ICMPv6: echo, neighbours, routers, and errors.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration as WireDuration;
use smoltcp::wire::{
    EthernetAddress, Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, Icmpv6DstUnreachable, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscPrefixInfoFlags,
    NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags, RawHardwareAddress,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum;
use crate::link::{ALL_NODES, Link, ROUTER_LL};

/// Seconds; RFC 4861 §6.2.1 with libslirp's choice of lifetimes.
const ROUTER_LIFETIME: u64 = 1800;
const PREFIX_VALID: u64 = 86_400;
const PREFIX_PREFERRED: u64 = 14_400;
/// Longest quotation in an error (RFC 1812 §4.3.2.3, RFC 4443 §2.4).
const QUOTE: usize = 500;

/// An echo request to somebody else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Echo<'a> {
    pub(crate) guest: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) ident: u16,
    pub(crate) seq: u16,
    pub(crate) data: &'a [u8],
}

/// Takes an ICMP message; returns the echo request if it is one for the world. `whole`: the packet it came in.
pub(crate) fn input4<'a>(link: &mut Link, from: Ipv4Addr, to: Ipv4Addr, message: &'a [u8]) -> Option<Echo<'a>> {
    let config = link.config.ipv4.as_ref()?;
    let (host, restrict) = (to == config.host || to == config.dns, link.config.restrict);
    let packet = Icmpv4Packet::new_checked(message).ok()?;
    let Ok(Icmpv4Repr::EchoRequest { ident, seq_no, data }) =
        Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default())
    else {
        return None;
    };
    if host {
        echo_reply(link, to.into(), from.into(), ident, seq_no, data);
        return None;
    }
    (!restrict).then_some(Echo {
        guest: from.into(),
        to: to.into(),
        ident,
        seq: seq_no,
        data,
    })
}

/// Sends an echo reply to the guest.
pub(crate) fn echo_reply(link: &mut Link, from: IpAddr, to: IpAddr, ident: u16, seq_no: u16, data: &[u8]) {
    match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let message = crate::emit::icmpv4(&Icmpv4Repr::EchoReply { ident, seq_no, data });
            link.send_ip(from, to, IpProtocol::Icmp, &message);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            link.send_icmpv6(from, to, &Icmpv6Repr::EchoReply { ident, seq_no, data });
        }
        _ => {}
    }
}

/// Takes an ICMPv6 message; returns the echo request if it is one for the world.
pub(crate) fn input6<'a>(
    link: &mut Link,
    mac: EthernetAddress,
    from: Ipv6Addr,
    to: Ipv6Addr,
    hops: u8,
    message: &'a [u8],
) -> Option<Echo<'a>> {
    let config = link.config.ipv6.clone()?;
    if !checksum::verify(from.into(), to.into(), IpProtocol::Icmpv6.into(), message) {
        return None;
    }
    let packet = Icmpv6Packet::new_checked(message).ok()?;
    let repr = Icmpv6Repr::parse(&from, &to, &packet, &ChecksumCapabilities::ignored()).ok()?;
    let host = [config.host, config.dns, ROUTER_LL].contains(&to);
    match repr {
        Icmpv6Repr::EchoRequest { ident, seq_no, data } if host || to == ALL_NODES => {
            let own = if host { to } else { ROUTER_LL };
            echo_reply(link, own.into(), from.into(), ident, seq_no, data);
        }
        Icmpv6Repr::EchoRequest { ident, seq_no, data } if !to.is_multicast() && !link.config.restrict => {
            return Some(Echo {
                guest: from.into(),
                to: to.into(),
                ident,
                seq: seq_no,
                data,
            });
        }
        // RFC 4861 §6.1, §7.1: never from further away than the wire.
        Icmpv6Repr::Ndisc(ndisc) if hops == 255 => neighbor(link, mac, from, ndisc),
        _ => {}
    }
    None
}

fn neighbor(link: &mut Link, mac: EthernetAddress, from: Ipv6Addr, message: NdiscRepr<'_>) {
    match message {
        NdiscRepr::RouterSolicit { .. } => {
            link.learn(from.into(), mac);
            advertise(link, if from.is_unspecified() { ALL_NODES } else { from });
        }
        NdiscRepr::NeighborSolicit { target_addr, .. } => {
            link.learn(from.into(), mac);
            if !link.is_ours(target_addr.into()) {
                return;
            }
            let solicited = !from.is_unspecified();
            let mut flags = NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::OVERRIDE;
            flags.set(NdiscNeighborFlags::SOLICITED, solicited);
            let lladdr = Some(RawHardwareAddress::from(Link::router_mac(target_addr.into())));
            let reply = NdiscRepr::NeighborAdvert {
                flags,
                target_addr,
                lladdr,
            };
            link.send_icmpv6(
                target_addr,
                if solicited { from } else { ALL_NODES },
                &Icmpv6Repr::Ndisc(reply),
            );
        }
        NdiscRepr::NeighborAdvert { target_addr, .. } => link.learn(target_addr.into(), mac),
        _ => {}
    }
}

/// Sends a router advertisement: prefix, MTU and name server (RFC 4861 §4.2, RFC 8106 §5.1). A restricted guest gets the prefix, but
/// no way out.
pub(crate) fn advertise(link: &mut Link, to: Ipv6Addr) {
    let Some(config) = link.config.ipv6.clone() else { return };
    let restrict = link.config.restrict;
    let repr = NdiscRepr::RouterAdvert {
        hop_limit: 64,
        flags: NdiscRouterFlags::OTHER,
        router_lifetime: WireDuration::from_secs(if restrict { 0 } else { ROUTER_LIFETIME }),
        reachable_time: WireDuration::ZERO,
        retrans_time: WireDuration::ZERO,
        lladdr: Some(RawHardwareAddress::from(Link::router_mac(ROUTER_LL.into()))),
        mtu: Some(u32::from(link.config.mtu)),
        prefix_info: Some(NdiscPrefixInformation {
            prefix_len: config.prefix_len,
            flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
            valid_lifetime: WireDuration::from_secs(PREFIX_VALID),
            preferred_lifetime: WireDuration::from_secs(PREFIX_PREFERRED),
            prefix: config.prefix,
        }),
    };
    let mut message = crate::emit::icmpv6(ROUTER_LL, to, &Icmpv6Repr::Ndisc(repr));
    if !restrict {
        // The packet library has no type for this option: type 25, 3 units of 8 bytes, lifetime, one address.
        message.extend_from_slice(&[25, 3, 0, 0]);
        message.extend_from_slice(&(ROUTER_LIFETIME as u32).to_be_bytes());
        message.extend_from_slice(&config.dns.octets());
        message[2..4].fill(0);
        let sum = checksum::fill(ROUTER_LL.into(), to.into(), IpProtocol::Icmpv6.into(), &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    link.send_ip(ROUTER_LL.into(), to.into(), IpProtocol::Icmpv6, &message);
}

/// Tells the guest that its packet (from the IP header on) cannot be delivered. Never about a broadcast, an error or a later
/// fragment (RFC 1122 §3.2.2).
pub(crate) fn unreachable(link: &mut Link, packet: &[u8], reason: Icmpv4DstUnreachable) {
    match packet.first().map(|b| b >> 4) {
        Some(4) => unreachable4(link, packet, reason),
        Some(6) => unreachable6(link, packet, reason),
        _ => None,
    };
}

fn unreachable4(link: &mut Link, packet: &[u8], reason: Icmpv4DstUnreachable) -> Option<()> {
    let host = link.config.ipv4.as_ref()?.host;
    // A packet whose length is not all here (the quotation may be cut) must still have its header.
    let header = Ipv4Packet::new_unchecked(packet);
    if packet.len() < 20 || usize::from(header.header_len()) < 20 || usize::from(header.header_len()) > packet.len() {
        return None;
    }
    let (from, to) = (header.src_addr(), header.dst_addr());
    if header.frag_offset() != 0 || to.is_multicast() || to.is_broadcast() || from.is_unspecified() {
        return None;
    }
    let data = &packet[usize::from(header.header_len())..];
    let data = &data[..data.len().min(QUOTE)];
    let repr = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: header.next_header(),
        payload_len: usize::from(header.total_len()).saturating_sub(usize::from(header.header_len())),
        hop_limit: header.hop_limit(),
    };
    let message = crate::emit::icmpv4(&Icmpv4Repr::DstUnreachable {
        reason,
        header: repr,
        data,
    });
    link.send_ip(host.into(), from.into(), IpProtocol::Icmp, &message);
    Some(())
}

fn unreachable6(link: &mut Link, packet: &[u8], reason: Icmpv4DstUnreachable) -> Option<()> {
    if packet.len() < 40 {
        return None;
    }
    let header = Ipv6Packet::new_unchecked(packet);
    let (from, to) = (header.src_addr(), header.dst_addr());
    if to.is_multicast() || from.is_multicast() || from.is_unspecified() {
        return None;
    }
    let reason = match reason {
        Icmpv4DstUnreachable::PortUnreachable => Icmpv6DstUnreachable::PortUnreachable,
        Icmpv4DstUnreachable::HostUnreachable => Icmpv6DstUnreachable::AddrUnreachable,
        Icmpv4DstUnreachable::CommProhibited => Icmpv6DstUnreachable::AdminProhibit,
        _ => Icmpv6DstUnreachable::NoRoute,
    };
    let data = &packet[40..packet.len().min(40 + QUOTE)];
    let repr = Ipv6Repr {
        src_addr: from,
        dst_addr: to,
        next_header: header.next_header(),
        payload_len: usize::from(header.payload_len()),
        hop_limit: header.hop_limit(),
    };
    link.send_icmpv6(
        ROUTER_LL,
        from,
        &Icmpv6Repr::DstUnreachable {
            reason,
            header: repr,
            data,
        },
    );
    Some(())
}
