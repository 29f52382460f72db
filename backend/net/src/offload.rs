//! What a sender left to be done, done in software: checksums and segmentation.
//!
//! Frames come from guests: whatever their headers say, nothing here reads or writes past the frame, and the number of segments is bounded.
//! A frame that cannot be what its header says is dropped.

mod checksum;
mod headers;
#[cfg(test)]
mod tests;

use crate::packet::{Offloads, Packet, VnetHeader};
use checksum::{Sum, finish};
use headers::{Headers, Network};

/// Most segments of one packet. The smallest segments that Linux makes give fewer.
const MAX_SEGMENTS: usize = 1024;

/// Whether what a header leaves to be done is what the taker can do.
pub(crate) fn covered(vnet: VnetHeader, takes: Offloads) -> bool {
    let mut needs = Offloads::empty();
    needs.set(Offloads::CSUM, vnet.flags & VnetHeader::NEEDS_CSUM != 0);
    needs.set(Offloads::ECN, vnet.gso_type & VnetHeader::GSO_ECN != 0);
    needs |= match vnet.gso_type & !VnetHeader::GSO_ECN {
        VnetHeader::GSO_NONE => Offloads::empty(),
        VnetHeader::GSO_TCPV4 => Offloads::TSO4,
        VnetHeader::GSO_TCPV6 => Offloads::TSO6,
        VnetHeader::GSO_UDP => Offloads::UFO,
        VnetHeader::GSO_UDP_L4 => Offloads::USO4 | Offloads::USO6,
        _ => return false,
    };
    takes.contains(needs)
}

/// A packet, to be brought into a form that somebody takes.
pub(crate) struct Fit<'a> {
    packet: Packet<'a>,
    takes: Offloads,
}

/// Brings a packet into a form that leaves nothing to do but what `takes` says.
pub(crate) const fn fit(packet: Packet<'_>, takes: Offloads) -> Fit<'_> {
    Fit { packet, takes }
}

impl Fit<'_> {
    /// Calls `f` with each packet that it becomes; with none if it is not what its header says.
    pub(crate) fn for_each(self, mut f: impl FnMut(Packet<'_>)) {
        let Self { packet, takes } = self;
        if covered(packet.vnet, takes) {
            return f(packet);
        }
        match packet.vnet.gso_type & !VnetHeader::GSO_ECN {
            VnetHeader::GSO_NONE => {
                let mut frame = packet.frame.to_vec();
                if packet.vnet.flags & VnetHeader::NEEDS_CSUM == 0 || fill_checksum(packet.vnet, &mut frame).is_some() {
                    f(Packet::plain(&frame));
                }
            }
            VnetHeader::GSO_TCPV4 | VnetHeader::GSO_TCPV6 => drop(cut_tcp(packet, &mut f)),
            VnetHeader::GSO_UDP_L4 => drop(cut_udp(packet, &mut f)),
            VnetHeader::GSO_UDP => drop(fragment(packet, &mut f)),
            _ => {}
        }
    }
}

/// Makes the checksum that a header asks for. The field holds the sum of the pseudo-header already.
fn fill_checksum(vnet: VnetHeader, frame: &mut [u8]) -> Option<()> {
    let start = usize::from(vnet.csum_start);
    let at = start + usize::from(vnet.csum_offset);
    let sum = finish(Sum::default().add(frame.get(start..)?));
    // A sum of zero would mean "none" to UDP, the one protocol whose field stands there.
    let sum = if sum == 0 && vnet.csum_offset == 6 { 0xffff } else { sum };
    frame.get_mut(at..at + 2)?.copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// The payload in pieces, with the number of each; `None` if they are too many.
fn pieces(payload: &[u8], size: u16) -> Option<impl Iterator<Item = (usize, &[u8])>> {
    let size = usize::from(size);
    let count = payload.len().checked_add(size.checked_sub(1)?)? / size;
    (count <= MAX_SEGMENTS).then(|| payload.chunks(size).enumerate())
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_FIN: u8 = 1;
const TCP_PSH: u8 = 8;
const TCP_CWR: u8 = 0x80;

fn cut_tcp(packet: Packet<'_>, f: &mut impl FnMut(Packet<'_>)) -> Option<()> {
    let h = Headers::read(packet.frame, TCP)?;
    let tcp = packet.frame.get(h.transport..)?;
    let header = usize::from(*tcp.get(12)? >> 4) * 4;
    if header < 20 {
        return None;
    }
    let (head, payload) = packet.frame.get(..h.end)?.split_at_checked(h.transport + header)?;
    let sequence = u32::from_be_bytes(*tcp.get(4..8)?.first_chunk()?);
    let last = payload.len().div_ceil(usize::from(packet.vnet.gso_size).max(1)).max(1) - 1;
    let mut frame = Vec::new();
    for (i, piece) in pieces(payload, packet.vnet.gso_size)? {
        frame.clear();
        frame.extend_from_slice(head);
        frame.extend_from_slice(piece);
        let done = i.wrapping_mul(usize::from(packet.vnet.gso_size)) as u32;
        let segment = frame.get_mut(h.transport..)?;
        segment[4..8].copy_from_slice(&sequence.wrapping_add(done).to_be_bytes());
        if i != 0 {
            segment[13] &= !TCP_CWR;
        }
        if i != last {
            segment[13] &= !(TCP_FIN | TCP_PSH);
        }
        h.finish(&mut frame, i, 16)?;
        f(Packet::plain(&frame));
    }
    Some(())
}

fn cut_udp(packet: Packet<'_>, f: &mut impl FnMut(Packet<'_>)) -> Option<()> {
    let h = Headers::read(packet.frame, UDP)?;
    let (head, payload) = packet.frame.get(..h.end)?.split_at_checked(h.transport + 8)?;
    let mut frame = Vec::new();
    for (i, piece) in pieces(payload, packet.vnet.gso_size)? {
        frame.clear();
        frame.extend_from_slice(head);
        frame.extend_from_slice(piece);
        let len = u16::try_from(8 + piece.len()).ok()?;
        frame
            .get_mut(h.transport + 4..h.transport + 6)?
            .copy_from_slice(&len.to_be_bytes());
        h.finish(&mut frame, i, 6)?;
        f(Packet::plain(&frame));
    }
    Some(())
}

/// One datagram of UDP in fragments of IP (RFC 791, section 3.2; RFC 8200, section 4.5).
fn fragment(packet: Packet<'_>, f: &mut impl FnMut(Packet<'_>)) -> Option<()> {
    let h = Headers::read(packet.frame, UDP)?;
    let mut whole = packet.frame.get(..h.end)?.to_vec();
    let len = u16::try_from(h.end.checked_sub(h.transport)?).ok()?;
    whole
        .get_mut(h.transport + 4..h.transport + 6)?
        .copy_from_slice(&len.to_be_bytes());
    h.checksum(&mut whole, 6)?;
    let (head, payload) = whole.split_at_checked(h.transport)?;
    // All but the last one carry whole units of eight bytes.
    let size = packet.vnet.gso_size & !7;
    let mut frame = Vec::new();
    let mut done = 0;
    for (_, piece) in pieces(payload, size)? {
        let more = done + piece.len() < payload.len();
        let place = u16::try_from(done / 8).ok()?;
        frame.clear();
        frame.extend_from_slice(head);
        match h.network {
            Network::V4 => {
                let word = place | if more { 0x2000 } else { 0 };
                frame.get_mut(h.ip + 6..h.ip + 8)?.copy_from_slice(&word.to_be_bytes());
            }
            Network::V6 => {
                let next = frame.get_mut(h.next_header)?;
                let kind = std::mem::replace(next, 44);
                frame.extend([kind, 0]);
                frame.extend((place << 3 | u16::from(more)).to_be_bytes());
                // Any number will do that the host has not used lately; the checksum of the datagram is as good as any.
                frame.extend([0, 0, whole[h.transport + 6], whole[h.transport + 7]]);
            }
        }
        frame.extend_from_slice(piece);
        h.lengths(&mut frame, 0)?;
        f(Packet::plain(&frame));
        done += piece.len();
    }
    Some(())
}
