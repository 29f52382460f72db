//! The checksum of IP, TCP and UDP (RFC 1071): the one's complement of the one's complement sum of 16-bit words.

use crate::frame::{Layers, Network, TCP, Transport, UDP};

/// A sum that goes on over several pieces. Every piece but the last has an even length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes; an odd one at the end counts as if a zero followed.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        // Sums of wider words fold to the same value (RFC 1071 section 2, "parallel summation").
        let (words, rest) = bytes.as_chunks::<4>();
        let mut sum = 0u64;
        for w in words {
            sum += u64::from(u32::from_be_bytes(*w));
        }
        let (pairs, last) = rest.as_chunks::<2>();
        for p in pairs {
            sum += u64::from(u16::from_be_bytes(*p));
        }
        if let [b] = last {
            sum += u64::from(*b) << 8;
        }
        self.0 = fold32(self.0) + fold32(sum);
        self
    }

    /// Adds a number.
    #[must_use]
    pub const fn word(mut self, word: u16) -> Self {
        self.0 = fold32(self.0) + word as u64;
        self
    }

    /// The sum, not complemented: what a driver leaves in the field for the card to go on from.
    pub const fn partial(self) -> u16 {
        let s = fold32(self.0);
        let s = (s >> 16) + (s & 0xffff);
        let s = (s >> 16) + (s & 0xffff);
        ((s >> 16) + (s & 0xffff)) as u16
    }

    /// The checksum.
    pub const fn finish(self) -> u16 {
        !self.partial()
    }
}

const fn fold32(sum: u64) -> u64 {
    (sum >> 32) + (sum & 0xffff_ffff)
}

/// The sum of the pseudo header for `length` bytes of transport header and payload. `None` if `frame` ends before its addresses.
pub fn pseudo(frame: &[u8], network: Network, protocol: u8, length: usize) -> Option<Sum> {
    let addresses = match network {
        Network::V4 { at, .. } => frame.get(at + 12..at + 20)?,
        // A routing header's last address counts as destination (RFC 8200 section 8.1), which for type 2 is in the header.
        Network::V6 { at, .. } => frame.get(at + 8..at + 40)?,
    };
    let length = length as u64;
    let sum = Sum::default().bytes(addresses).word(protocol.into());
    Some(sum.word((length >> 16) as u16).word(length as u16))
}

/// Completes a checksum that a driver began: sums up from `start` to the end of the frame and stores the result at `start + offset`.
/// `None`, with the frame unchanged, if these are not inside.
pub fn complete(frame: &mut [u8], start: u16, offset: u16) -> Option<()> {
    let (start, field) = (usize::from(start), usize::from(start) + usize::from(offset));
    if field + 2 > frame.len() {
        return None;
    }
    let sum = Sum::default().bytes(&frame[start..]).finish();
    // Of the two zeroes of one's complement UDP has given one the meaning "no checksum" (RFC 768).
    let sum = if sum == 0 { 0xffff } else { sum };
    frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// Stores the checksum of an IPv4 header. `at` must be where [`Layers`] found one.
pub fn fill_ipv4(frame: &mut [u8], at: usize) -> Option<()> {
    let length = usize::from(frame.get(at)? & 15) * 4;
    let header = frame.get_mut(at..at + length.max(20))?;
    header[10..12].fill(0);
    let sum = Sum::default().bytes(header).finish();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// Stores the checksum of a whole TCP segment or UDP datagram whose length is `end - transport.at()`.
pub fn fill_transport(frame: &mut [u8], network: Network, transport: Transport, end: usize) -> Option<()> {
    let at = transport.at();
    let (protocol, field) = match transport {
        Transport::Tcp { .. } => (TCP, at + 16),
        Transport::Udp { .. } => (UDP, at + 6),
    };
    frame.get_mut(field..field + 2)?.fill(0);
    let sum = pseudo(frame, network, protocol, end.checked_sub(at)?)?;
    let sum = sum.bytes(frame.get(at..end)?).finish();
    let sum = if sum == 0 && protocol == UDP { 0xffff } else { sum };
    frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// Where the packet inside the frame ends by its own word, which padding of short frames may follow.
pub fn end_of_packet(frame: &[u8], network: Network) -> usize {
    let end = match network {
        Network::V4 { at, .. } => crate::frame::be16(frame, at + 2).map(|n| at + usize::from(n)),
        Network::V6 { at, .. } => crate::frame::be16(frame, at + 4).map(|n| at + 40 + usize::from(n)),
    };
    end.unwrap_or(frame.len()).min(frame.len())
}

/// Computes all checksums of a whole frame anew, if it is TCP or UDP over IP and no fragment.
pub fn refill(frame: &mut [u8]) -> Option<()> {
    let layers = Layers::of(frame)?;
    let network = layers.network?;
    if let Network::V4 { at, .. } = network {
        fill_ipv4(frame, at)?;
    }
    if network.is_fragment() {
        return None;
    }
    let end = end_of_packet(frame, network);
    fill_transport(frame, network, layers.transport?, end)
}

/// Whether the checksums of a frame are right, as far as it has any: IPv4 header, TCP, UDP.
pub fn verify(frame: &[u8]) -> bool {
    let Some(Layers {
        network: Some(network),
        transport,
        ..
    }) = Layers::of(frame)
    else {
        return true;
    };
    if let Network::V4 { at, .. } = network {
        let length = usize::from(frame[at] & 15) * 4;
        if Sum::default().bytes(&frame[at..at + length]).finish() != 0 {
            return false;
        }
    }
    let Some(transport) = transport.filter(|_| !network.is_fragment()) else {
        return true;
    };
    let (at, end) = (transport.at(), end_of_packet(frame, network));
    let protocol = match transport {
        Transport::Tcp { .. } => TCP,
        Transport::Udp { .. } if frame[at + 6..at + 8] == [0, 0] => return matches!(network, Network::V4 { .. }),
        Transport::Udp { .. } => UDP,
    };
    let Some(body) = frame.get(at..end) else {
        return false;
    };
    pseudo(frame, network, protocol, end - at).is_some_and(|s| s.bytes(body).finish() == 0)
}
