//! Where the headers of an Ethernet frame stand.
//!
//! Sources: IEEE 802.3 clause 3, 802.1Q clause 9; RFC 791 section 3.1, RFC 8200 sections 3 and 4, RFC 9293 section 3.1, RFC 768.

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Shortest frame on a wire, without its checksum.
pub const SHORTEST: usize = 60;
/// Ethertype of IPv4.
pub const IPV4: u16 = 0x0800;
/// Ethertype of ARP.
pub const ARP: u16 = 0x0806;
/// Ethertype of reverse ARP.
pub const RARP: u16 = 0x8035;
/// Ethertype of IPv6.
pub const IPV6: u16 = 0x86dd;
/// Ethertype of a VLAN tag.
pub const VLAN: u16 = 0x8100;
/// Ethertype of a provider's VLAN tag.
pub const PROVIDER_VLAN: u16 = 0x88a8;
/// IP protocol TCP.
pub const TCP: u8 = 6;
/// IP protocol UDP.
pub const UDP: u8 = 17;
/// The most tags and extension headers that are looked through: more is nobody's honest frame.
const MOST_HEADERS: usize = 8;

/// The outermost VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vlan {
    /// Network, 0 to 4095.
    pub id: u16,
    /// Priority, 0 to 7.
    pub priority: u8,
}

/// The network layer of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// IPv4.
    V4 {
        /// Position of the header.
        at: usize,
        /// Whether this is a fragment, of which only the first has a transport header.
        fragment: bool,
    },
    /// IPv6.
    V6 {
        /// Position of the header.
        at: usize,
        /// Whether there is a fragment header.
        fragment: bool,
        /// Home address (RFC 6275 section 6.3), the source that a hash may take instead: its position.
        home_address: Option<usize>,
        /// The last address of a routing header of type 2 (RFC 6275 section 6.4), the destination that a hash may take instead.
        routing_address: Option<usize>,
    },
}

impl Network {
    /// Whether this is a part of a packet only.
    pub const fn is_fragment(&self) -> bool {
        match self {
            Self::V4 { fragment, .. } | Self::V6 { fragment, .. } => *fragment,
        }
    }
}

/// The transport layer of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP, with the length of its header.
    Tcp {
        /// Position of the header.
        at: usize,
        /// Length of the header, options included.
        length: usize,
    },
    /// UDP.
    Udp {
        /// Position of the header.
        at: usize,
    },
}

impl Transport {
    /// Position of the header.
    pub const fn at(&self) -> usize {
        match self {
            Self::Tcp { at, .. } | Self::Udp { at } => *at,
        }
    }

    /// Position of the payload.
    pub const fn payload(&self) -> usize {
        match self {
            Self::Tcp { at, length } => *at + *length,
            Self::Udp { at } => *at + 8,
        }
    }
}

/// Where the layers of a frame stand. All positions lie inside the frame, with the whole fixed header behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// Ethertype behind all tags.
    pub ethertype: u16,
    /// Outermost tag.
    pub vlan: Option<Vlan>,
    /// Network layer, if IP.
    pub network: Option<Network>,
    /// Transport layer, if TCP or UDP and not a later fragment.
    pub transport: Option<Transport>,
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

impl Layers {
    /// Looks through a frame. `None` if it is shorter than an Ethernet header.
    pub fn of(frame: &[u8]) -> Option<Self> {
        let mut ethertype = be16(frame, 12)?;
        let (mut at, mut vlan) = (ETHERNET, None);
        for _ in 0..MOST_HEADERS {
            if ethertype != VLAN && ethertype != PROVIDER_VLAN {
                break;
            }
            let (Some(tag), Some(inner)) = (be16(frame, at), be16(frame, at + 2)) else {
                break;
            };
            vlan = vlan.or(Some(Vlan {
                id: tag & 0xfff,
                priority: (tag >> 13) as u8,
            }));
            (ethertype, at) = (inner, at + 4);
        }
        let (network, transport) = match ethertype {
            IPV4 => ipv4(frame, at),
            IPV6 => ipv6(frame, at),
            _ => (None, None),
        };
        Some(Self {
            ethertype,
            vlan,
            network,
            transport,
        })
    }
}

fn ipv4(frame: &[u8], at: usize) -> (Option<Network>, Option<Transport>) {
    let Some(header) = frame.get(at..at + 20) else {
        return (None, None);
    };
    let length = usize::from(header[0] & 15) * 4;
    if header[0] >> 4 != 4 || length < 20 || frame.len() < at + length {
        return (None, None);
    }
    let place = u16::from_be_bytes([header[6], header[7]]);
    let network = Network::V4 {
        at,
        fragment: place & 0x3fff != 0,
    };
    let first = place & 0x1fff == 0;
    let transport = first.then(|| transport(frame, header[9], at + length)).flatten();
    (Some(network), transport)
}

fn ipv6(frame: &[u8], at: usize) -> (Option<Network>, Option<Transport>) {
    let Some(header) = frame.get(at..at + 40).filter(|h| h[0] >> 4 == 6) else {
        return (None, None);
    };
    let (mut next, mut place) = (header[6], at + 40);
    let (mut fragment, mut later) = (false, false);
    let (mut home_address, mut routing_address) = (None, None);
    for _ in 0..MOST_HEADERS {
        let Some(extension) = frame.get(place..place + 8) else {
            break;
        };
        let length = match next {
            // hop by hop, destination options
            0 | 60 => (usize::from(extension[1]) + 1) * 8,
            43 => (usize::from(extension[1]) + 1) * 8,
            44 => 8,
            51 => (usize::from(extension[1]) + 2) * 4,
            _ => break,
        };
        if frame.len() < place + length {
            break;
        }
        match next {
            60 => home_address = home_address.or_else(|| find_home_address(frame, place, length)),
            43 if extension[2] == 2 && length == 24 => routing_address = Some(place + 8),
            44 => {
                fragment = true;
                later |= u16::from_be_bytes([extension[2], extension[3]]) & !7 != 0;
            }
            _ => {}
        }
        (next, place) = (extension[0], place + length);
    }
    let network = Network::V6 {
        at,
        fragment,
        home_address,
        routing_address,
    };
    let transport = (!later).then(|| transport(frame, next, place)).flatten();
    (Some(network), transport)
}

/// The address in a home address option (type 0xc9, 16 bytes).
fn find_home_address(frame: &[u8], place: usize, length: usize) -> Option<usize> {
    let (mut at, end) = (place + 2, place + length);
    while at + 2 <= end {
        match (frame[at], usize::from(frame[at + 1])) {
            (0, _) => at += 1,
            (0xc9, 16) if at + 18 <= end => return Some(at + 2),
            (_, n) => at += 2 + n,
        }
    }
    None
}

fn transport(frame: &[u8], protocol: u8, at: usize) -> Option<Transport> {
    match protocol {
        TCP => {
            let length = usize::from(frame.get(at..at + 20)?[12] >> 4) * 4;
            (length >= 20 && frame.len() >= at + length).then_some(Transport::Tcp { at, length })
        }
        UDP => frame.get(at..at + 8).map(|_| Transport::Udp { at }),
        _ => None,
    }
}
