//! Who has an address (RFC 826).

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr};

use crate::link::Link;

/// An ARP packet of the guest.
pub(crate) fn input(link: &mut Link, payload: &[u8]) {
    let Some(config) = &link.config.ipv4 else { return };
    let Ok(packet) = ArpPacket::new_checked(payload) else {
        return;
    };
    let Ok(ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: mac,
        source_protocol_addr: source,
        target_protocol_addr: target,
        ..
    }) = ArpRepr::parse(&packet)
    else {
        return;
    };
    let ours = config.contains(target)
        && (target == config.host || target == config.dns || link.forwarded.contains(&target.into()));
    // A guest that probes an address (RFC 5227) has none yet; one that asks for itself only announces itself.
    link.learn(source.into(), mac);
    if operation != ArpOperation::Request || !ours {
        return;
    }
    let own = Link::router_mac(target.into());
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: own,
        source_protocol_addr: target,
        target_hardware_addr: mac,
        target_protocol_addr: source,
    };
    if mac.is_unicast() {
        link.send_arp(mac, own, &reply);
    }
}
