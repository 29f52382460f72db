//! Receive side scaling: a hash over the addresses of a flow, which picks a queue.
//!
//! Sources: virtio 1.3, sections 5.1.6.4.3 and 5.1.6.4.4; Microsoft, "Verifying the RSS Hash Calculation" and "RSS Hashing Types".

use crate::frame::{Layers, Network, Transport};

/// Length of the hash key.
pub const KEY: usize = 40;

/// Hash type IPv4.
pub const IPV4: u32 = 1 << 0;
/// Hash type TCP over IPv4.
pub const TCPV4: u32 = 1 << 1;
/// Hash type UDP over IPv4.
pub const UDPV4: u32 = 1 << 2;
/// Hash type IPv6.
pub const IPV6: u32 = 1 << 3;
/// Hash type TCP over IPv6.
pub const TCPV6: u32 = 1 << 4;
/// Hash type UDP over IPv6.
pub const UDPV6: u32 = 1 << 5;
/// Hash type IPv6 with the addresses of extension headers.
pub const IP_EX: u32 = 1 << 6;
/// Hash type TCP over IPv6 with these.
pub const TCP_EX: u32 = 1 << 7;
/// Hash type UDP over IPv6 with these.
pub const UDP_EX: u32 = 1 << 8;
/// All of them.
pub const ALL: u32 = 0x1ff;

/// What a hash was computed from, as hash reports number it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u16)]
pub enum Report {
    /// No hash.
    #[default]
    None = 0,
    /// IPv4 addresses.
    Ipv4 = 1,
    /// With TCP ports.
    Tcpv4 = 2,
    /// With UDP ports.
    Udpv4 = 3,
    /// IPv6 addresses.
    Ipv6 = 4,
    /// With TCP ports.
    Tcpv6 = 5,
    /// With UDP ports.
    Udpv6 = 6,
    /// IPv6 addresses of extension headers.
    Ipv6Ex = 7,
    /// With TCP ports.
    Tcpv6Ex = 8,
    /// With UDP ports.
    Udpv6Ex = 9,
}

/// The Toeplitz hash of `pieces`, one after the other.
pub fn toeplitz<'a>(key: &[u8; KEY], pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut window = u32::from_be_bytes([key[0], key[1], key[2], key[3]]);
    let mut next = key[4..].iter();
    let mut hash = 0;
    for byte in pieces.into_iter().flatten() {
        let following = next.next().copied().unwrap_or(0);
        for bit in (0..8).rev() {
            if byte >> bit & 1 != 0 {
                hash ^= window;
            }
            window = window << 1 | u32::from(following >> bit & 1);
        }
    }
    hash
}

/// The hash of a frame by the first of the enabled `types` that fits it, in the order that the specification gives them.
pub fn hash(key: &[u8; KEY], types: u32, frame: &[u8]) -> Option<(u32, Report)> {
    let layers = Layers::of(frame)?;
    let network = layers.network?;
    // Only the first fragment has ports, and all must go to one queue.
    let transport = layers.transport.filter(|_| !network.is_fragment());
    let (report, extended) = choose(types, network, transport)?;
    let ports = match report {
        Report::Ipv4 | Report::Ipv6 | Report::Ipv6Ex => &[][..],
        _ => transport.and_then(|t| frame.get(t.at()..t.at() + 4))?,
    };
    let [source, destination] = addresses(frame, network, extended)?;
    Some((toeplitz(key, [source, destination, ports]), report))
}

fn choose(types: u32, network: Network, transport: Option<Transport>) -> Option<(Report, bool)> {
    let candidates: &[(u32, Report, bool)] = match (network, transport) {
        (Network::V4 { .. }, Some(Transport::Tcp { .. })) => {
            &[(TCPV4, Report::Tcpv4, false), (IPV4, Report::Ipv4, false)]
        }
        (Network::V4 { .. }, Some(Transport::Udp { .. })) => {
            &[(UDPV4, Report::Udpv4, false), (IPV4, Report::Ipv4, false)]
        }
        (Network::V4 { .. }, None) => &[(IPV4, Report::Ipv4, false)],
        (Network::V6 { .. }, Some(Transport::Tcp { .. })) => &[
            (TCP_EX, Report::Tcpv6Ex, true),
            (TCPV6, Report::Tcpv6, false),
            (IP_EX, Report::Ipv6Ex, true),
            (IPV6, Report::Ipv6, false),
        ],
        (Network::V6 { .. }, Some(Transport::Udp { .. })) => &[
            (UDP_EX, Report::Udpv6Ex, true),
            (UDPV6, Report::Udpv6, false),
            (IP_EX, Report::Ipv6Ex, true),
            (IPV6, Report::Ipv6, false),
        ],
        (Network::V6 { .. }, None) => &[(IP_EX, Report::Ipv6Ex, true), (IPV6, Report::Ipv6, false)],
    };
    let found = candidates.iter().find(|(bit, ..)| types & bit != 0)?;
    Some((found.1, found.2))
}

fn addresses(frame: &[u8], network: Network, extended: bool) -> Option<[&[u8]; 2]> {
    match network {
        Network::V4 { at, .. } => Some([frame.get(at + 12..at + 16)?, frame.get(at + 16..at + 20)?]),
        Network::V6 {
            at,
            home_address,
            routing_address,
            ..
        } => {
            let source = home_address.filter(|_| extended).unwrap_or(at + 8);
            let destination = routing_address.filter(|_| extended).unwrap_or(at + 24);
            Some([
                frame.get(source..source + 16)?,
                frame.get(destination..destination + 16)?,
            ])
        }
    }
}
