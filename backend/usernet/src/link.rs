//! The guest's wire seen from the router: who lives where on it, and frames that wait for the sink.

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol, Icmpv6Repr, IpProtocol, NdiscRepr,
    RawHardwareAddress,
};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::emit;
use crate::{Config, Meta, Offloads, Sink};

/// Frames that wait for the sink, answers mostly. Beyond these they are dropped, as a router's queue drops.
const QUEUE: usize = 256;
/// Where reading datagrams from the host stops.
const QUEUE_HIGH: usize = 64;
const NEIGHBORS: usize = 64;
const UNRESOLVED: usize = 32;
const RESOLVE_EVERY: Duration = Duration::from_secs(1);
const RESOLVE_TRIES: u8 = 4;

/// The router's link-local address, as libslirp's.
pub(crate) const ROUTER_LL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

#[derive(Debug)]
struct Unresolved {
    address: IpAddr,
    frames: Vec<(Vec<u8>, Meta)>,
    asked: Duration,
    tries: u8,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) config: Config,
    pub(crate) offloads: Offloads,
    pub(crate) now: Duration,
    /// Addresses that stand for forwarding rules.
    pub(crate) forwarded: Vec<IpAddr>,
    queue: VecDeque<(Vec<u8>, Meta)>,
    neighbors: Vec<(IpAddr, EthernetAddress)>,
    unresolved: Vec<Unresolved>,
    ident: u16,
}

impl Link {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            offloads: Offloads::empty(),
            now: Duration::ZERO,
            forwarded: Vec::new(),
            queue: VecDeque::new(),
            neighbors: Vec::new(),
            unresolved: Vec::new(),
            ident: 0,
        }
    }

    /// The next IPv4 identification.
    pub(crate) fn ident(&mut self) -> u16 {
        self.ident = self.ident.wrapping_add(1);
        self.ident
    }

    /// The hardware address that the router shows for one of its addresses: the scheme is libslirp's, so that guests which remember
    /// it find the same.
    pub(crate) fn router_mac(address: IpAddr) -> EthernetAddress {
        match address {
            IpAddr::V4(a) => {
                let [a, b, c, d] = a.octets();
                EthernetAddress([0x52, 0x55, a, b, c, d])
            }
            IpAddr::V6(a) => {
                let [.., a, b, c, d] = a.octets();
                EthernetAddress([0x52, 0x56, a, b, c, d])
            }
        }
    }

    /// The hardware address that frames to this destination come from.
    pub(crate) fn source_mac(&self, destination: IpAddr) -> EthernetAddress {
        match (destination, &self.config.ipv4) {
            (IpAddr::V4(_), Some(v4)) => Self::router_mac(v4.host.into()),
            _ => Self::router_mac(ROUTER_LL.into()),
        }
    }

    /// Whether a frame is for the router at all; with a hub other stations may be on the wire.
    pub(crate) fn is_for_us(mac: EthernetAddress) -> bool {
        mac.is_multicast() || matches!(mac.0, [0x52, 0x55 | 0x56, ..])
    }

    /// Remembers where an address lives, and sends what waited for it.
    pub(crate) fn learn(&mut self, address: IpAddr, mac: EthernetAddress) {
        if self.neighbors.first() == Some(&(address, mac)) {
            return;
        }
        if address.is_unspecified() || address.is_multicast() || mac.is_multicast() || self.is_ours(address) {
            return;
        }
        if let Some(at) = self.neighbors.iter().position(|(a, _)| *a == address) {
            self.neighbors.remove(at);
        }
        self.neighbors.truncate(NEIGHBORS - 1);
        self.neighbors.insert(0, (address, mac));
        if let Some(at) = self.unresolved.iter().position(|u| u.address == address) {
            for (frame, meta) in self.unresolved.swap_remove(at).frames {
                self.send(address, frame, meta);
            }
        }
    }

    /// Whether the router has this address.
    pub(crate) fn is_ours(&self, address: IpAddr) -> bool {
        if self.forwarded.contains(&address) {
            return true;
        }
        match address {
            IpAddr::V4(a) => self
                .config
                .ipv4
                .as_ref()
                .is_some_and(|c| a == c.host || a == c.dns || c.is_broadcast(a)),
            IpAddr::V6(a) => a == ROUTER_LL || self.config.ipv6.as_ref().is_some_and(|c| a == c.host || a == c.dns),
        }
    }

    /// Where an address lives, if that is known.
    pub(crate) fn mac_of(&self, address: IpAddr) -> Option<EthernetAddress> {
        match address {
            IpAddr::V4(a) if a.is_broadcast() => Some(EthernetAddress::BROADCAST),
            IpAddr::V4(a) if self.config.ipv4.as_ref().is_some_and(|c| c.is_broadcast(a)) => {
                Some(EthernetAddress::BROADCAST)
            }
            IpAddr::V6(a) if a.is_multicast() => {
                let [.., a, b, c, d] = a.octets();
                Some(EthernetAddress([0x33, 0x33, a, b, c, d]))
            }
            _ => self.neighbors.iter().find(|(a, _)| *a == address).map(|(_, mac)| *mac),
        }
    }

    /// Sends a frame whose hardware destination is not filled in yet, asking who has the address if need be.
    pub(crate) fn send(&mut self, to: IpAddr, mut frame: Vec<u8>, meta: Meta) {
        if let Some(mac) = self.mac_of(to) {
            if let Some(destination) = frame.get_mut(..6) {
                destination.copy_from_slice(mac.as_bytes());
            }
            self.enqueue(frame, meta);
        } else if let Some(waiting) = self.unresolved.iter_mut().find(|u| u.address == to) {
            if waiting.frames.len() < 4 {
                waiting.frames.push((frame, meta));
            }
        } else if self.unresolved.len() < UNRESOLVED {
            let asked = self.now;
            self.unresolved.push(Unresolved {
                address: to,
                frames: vec![(frame, meta)],
                asked,
                tries: 1,
            });
            self.ask(to);
        }
    }

    /// A frame that is complete.
    pub(crate) fn enqueue(&mut self, frame: Vec<u8>, meta: Meta) {
        if self.queue.len() < QUEUE {
            self.queue.push_back((frame, meta));
        }
    }

    /// Whether datagrams of the host may be read.
    pub(crate) fn takes_more(&self) -> bool {
        self.queue.len() < QUEUE_HIGH
    }

    /// Hands waiting frames to the sink. `true`: all are gone.
    pub(crate) fn flush(&mut self, sink: &mut dyn Sink) -> bool {
        while sink.room() > 0 {
            match self.queue.pop_front() {
                Some((frame, meta)) => sink.frame(frame, meta),
                None => return true,
            }
        }
        self.queue.is_empty()
    }

    /// When to ask again for addresses that nobody has answered for.
    pub(crate) fn resolve_at(&self) -> Option<Duration> {
        self.unresolved.iter().map(|u| u.asked + RESOLVE_EVERY).min()
    }

    pub(crate) fn resolve_again(&mut self) {
        let now = self.now;
        let mut ask = Vec::new();
        self.unresolved.retain_mut(|u| {
            if u.asked + RESOLVE_EVERY <= now {
                u.asked = now;
                u.tries += 1;
                ask.push(u.address);
            }
            u.tries <= RESOLVE_TRIES
        });
        for address in ask {
            self.ask(address);
        }
    }

    fn ask(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(a) => self.ask_arp(a),
            IpAddr::V6(a) => self.ask_ndp(a),
        }
    }

    fn ask_arp(&mut self, address: Ipv4Addr) {
        let Some(host) = self.config.ipv4.as_ref().map(|c| c.host) else {
            return;
        };
        let source = Self::router_mac(host.into());
        let repr = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: source,
            source_protocol_addr: host,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: address,
        };
        self.send_arp(EthernetAddress::BROADCAST, source, &repr);
    }

    pub(crate) fn send_arp(&mut self, to: EthernetAddress, from: EthernetAddress, repr: &ArpRepr) {
        let mut frame = Vec::with_capacity(42);
        emit::ethernet(&mut frame, to, from, EthernetProtocol::Arp);
        let at = frame.len();
        frame.resize(at + repr.buffer_len(), 0);
        repr.emit(&mut ArpPacket::new_unchecked(&mut frame[at..]));
        self.enqueue(frame, Meta::default());
    }

    fn ask_ndp(&mut self, address: Ipv6Addr) {
        if self.config.ipv6.is_none() {
            return;
        }
        let [.., b, c, d] = address.octets();
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(b), u16::from_be_bytes([c, d]));
        let repr = NdiscRepr::NeighborSolicit {
            target_addr: address,
            lladdr: Some(RawHardwareAddress::from(Self::router_mac(ROUTER_LL.into()))),
        };
        self.send_icmpv6(ROUTER_LL, group, &Icmpv6Repr::Ndisc(repr));
    }

    /// Sends an ICMPv6 message; hop limit 255, as neighbour discovery demands (RFC 4861 §7.1).
    pub(crate) fn send_icmpv6(&mut self, from: Ipv6Addr, to: Ipv6Addr, repr: &Icmpv6Repr<'_>) {
        let payload = emit::icmpv6(from, to, repr);
        self.send_ip(from.into(), to.into(), IpProtocol::Icmpv6, &payload);
    }

    /// Sends an IP packet with a complete payload, in fragments if it is longer than the wire allows.
    pub(crate) fn send_ip(&mut self, from: IpAddr, to: IpAddr, protocol: IpProtocol, payload: &[u8]) {
        let ident = self.ident();
        let (mtu, source) = (usize::from(self.config.mtu), self.source_mac(to));
        for frame in emit::ip_packets(source, from, to, protocol, payload, ident, mtu) {
            self.send(to, frame, Meta::default());
        }
    }

    /// Sends a datagram to the guest.
    pub(crate) fn send_udp(&mut self, from: (IpAddr, u16), to: (IpAddr, u16), payload: &[u8]) {
        if let Some(datagram) = emit::udp(from, to, payload) {
            self.send_ip(from.0, to.0, IpProtocol::Udp, &datagram);
        }
    }

    /// Forgets what waits; the guest was reset.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.unresolved.clear();
    }
}
