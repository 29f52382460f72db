//! Work that a card promised its driver and that somebody has to do: filling in checksums and cutting up large packets.
//!
//! Nothing is put together again here: what a peer has cut up stays in pieces.
//!
//! Sources: virtio 1.3, section 5.1.6.2; RFC 9293 section 3.1 (flags), RFC 3168 section 6.1.2 (CWR), RFC 791 section 3.2 and RFC 8200
//! section 4.5 (fragments).

use crate::checksum::{complete, fill_ipv4, fill_transport};
use crate::frame::{Layers, Network, Transport, be16};
use crate::vnet::{GsoKind, VnetHeader};

/// The most pieces that one frame may become. A guest may ask for segments of one byte; nobody honest asks for less than 48.
const MOST_SEGMENTS: usize = 4096;

const TCP_FIN: u8 = 0x01;
const TCP_PSH: u8 = 0x08;
const TCP_CWR: u8 = 0x80;

/// Why a frame was not finished: its header does not fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The checksum's place is outside the frame.
    Checksum,
    /// A kind of segmentation that nobody knows.
    Kind,
    /// The frame is not of the layers that its kind of segmentation is for.
    Layers,
    /// Segments of no bytes, or of so few that there were too many.
    Size,
}

/// Does what `header` leaves to do on `frame` and gives each complete frame to `emit`, in order. A plain frame goes through untouched.
///
/// # Errors
/// The header does not fit the frame; nothing was emitted.
pub fn finish(header: &VnetHeader, frame: &[u8], mut emit: impl FnMut(&[u8])) -> Result<(), Unfit> {
    match header.gso() {
        None if !header.needs_checksum() => emit(frame),
        None => {
            let mut whole = frame.to_vec();
            complete(&mut whole, header.csum_start, header.csum_offset).ok_or(Unfit::Checksum)?;
            emit(&whole);
        }
        Some(None) => return Err(Unfit::Kind),
        Some(Some(kind)) => Cut::new(kind, header, frame)?.run(&mut emit)?,
    }
    Ok(())
}

/// A frame and how it is to be cut.
struct Cut<'a> {
    frame: &'a [u8],
    network: Network,
    transport: Transport,
    size: usize,
    fragments: bool,
    /// Whether the driver wants a checksum on UDP at all.
    checksum: bool,
}

impl<'a> Cut<'a> {
    fn new(kind: GsoKind, header: &VnetHeader, frame: &'a [u8]) -> Result<Self, Unfit> {
        let layers = Layers::of(frame).ok_or(Unfit::Layers)?;
        let (Some(network), Some(transport)) = (layers.network, layers.transport) else {
            return Err(Unfit::Layers);
        };
        let fits = matches!(
            (kind, network, transport),
            (GsoKind::Tcp4, Network::V4 { .. }, Transport::Tcp { .. })
                | (GsoKind::Tcp6, Network::V6 { .. }, Transport::Tcp { .. })
                | (GsoKind::UdpFragments | GsoKind::UdpSegments, _, Transport::Udp { .. })
        );
        if !fits || network.is_fragment() {
            return Err(Unfit::Layers);
        }
        let fragments = kind == GsoKind::UdpFragments;
        let (payload, unit) = match fragments {
            // Places of fragments are counted in units of eight bytes.
            true => (frame.len() - transport.at(), usize::from(header.gso_size) & !7),
            false => (frame.len() - transport.payload(), usize::from(header.gso_size)),
        };
        if unit == 0 || payload.div_ceil(unit) > MOST_SEGMENTS {
            return Err(Unfit::Size);
        }
        let has_checksum = be16(frame, transport.at() + 6) != Some(0);
        Ok(Self {
            frame,
            network,
            transport,
            size: unit,
            fragments,
            checksum: matches!(transport, Transport::Tcp { .. }) || has_checksum || header.needs_checksum(),
        })
    }

    fn run(&self, emit: &mut impl FnMut(&[u8])) -> Result<(), Unfit> {
        match self.fragments {
            true => self.run_fragments(emit),
            false => self.run_segments(emit),
        }
    }

    fn run_segments(&self, emit: &mut impl FnMut(&[u8])) -> Result<(), Unfit> {
        let (headers, payload) = self.frame.split_at(self.transport.payload());
        let pieces = payload.chunks(self.size);
        let count = pieces.len().max(1);
        let mut out = Vec::with_capacity(headers.len() + self.size.min(payload.len()));
        for i in 0..count {
            let from = i * self.size;
            let piece = &payload[from..payload.len().min(from + self.size)];
            out.clear();
            out.extend_from_slice(headers);
            out.extend_from_slice(piece);
            self.fix_network(&mut out, i).ok_or(Unfit::Layers)?;
            self.fix_transport(&mut out, from, i == 0, i + 1 == count)
                .ok_or(Unfit::Layers)?;
            emit(&out);
        }
        Ok(())
    }

    /// Length, identification and checksum of the network header of the `i`th piece.
    fn fix_network(&self, out: &mut [u8], i: usize) -> Option<()> {
        match self.network {
            Network::V4 { at, .. } => {
                let length = u16::try_from(out.len() - at).ok()?;
                out[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
                if !self.fragments {
                    let id = be16(out, at + 4)?.wrapping_add(i as u16);
                    out[at + 4..at + 6].copy_from_slice(&id.to_be_bytes());
                }
                fill_ipv4(out, at)
            }
            Network::V6 { at, .. } => {
                let length = u16::try_from(out.len() - at - 40).ok()?;
                out[at + 4..at + 6].copy_from_slice(&length.to_be_bytes());
                Some(())
            }
        }
    }

    fn fix_transport(&self, out: &mut [u8], from: usize, first: bool, last: bool) -> Option<()> {
        let at = self.transport.at();
        match self.transport {
            Transport::Tcp { .. } => {
                let sequence = u32::from_be_bytes(out[at + 4..at + 8].try_into().ok()?);
                out[at + 4..at + 8].copy_from_slice(&sequence.wrapping_add(from as u32).to_be_bytes());
                if !first {
                    out[at + 13] &= !TCP_CWR;
                }
                if !last {
                    out[at + 13] &= !(TCP_FIN | TCP_PSH);
                }
            }
            Transport::Udp { .. } => {
                let length = u16::try_from(out.len() - at).ok()?;
                out[at + 4..at + 6].copy_from_slice(&length.to_be_bytes());
            }
        }
        if self.checksum {
            let end = out.len();
            fill_transport(out, self.network, self.transport, end)?;
        }
        Some(())
    }

    /// One datagram, its checksum completed over the whole, in IP fragments.
    fn run_fragments(&self, emit: &mut impl FnMut(&[u8])) -> Result<(), Unfit> {
        let at = self.transport.at();
        let mut whole = self.frame.to_vec();
        if self.checksum {
            fill_transport(&mut whole, self.network, self.transport, self.frame.len()).ok_or(Unfit::Layers)?;
        }
        let (headers, body) = whole.split_at(at);
        // Fragments are told apart by the whole header's identification, which IPv6 has only in fragments: the driver left none,
        // so one is made from the checksum.
        let id = body
            .get(6..8)
            .map_or(0, |b| u32::from(u16::from_be_bytes([b[0], b[1]])));
        let mut out = Vec::with_capacity(at + 8 + self.size.min(body.len()));
        for (i, piece) in body.chunks(self.size).enumerate() {
            let place = u16::try_from(i * self.size).map_err(|_| Unfit::Size)?;
            let more = usize::from(place) + piece.len() < body.len();
            out.clear();
            out.extend_from_slice(headers);
            self.put_fragment_place(&mut out, place, more, id)
                .ok_or(Unfit::Layers)?;
            out.extend_from_slice(piece);
            self.fix_network(&mut out, i).ok_or(Unfit::Layers)?;
            emit(&out);
        }
        Ok(())
    }

    fn put_fragment_place(&self, out: &mut Vec<u8>, place: u16, more: bool, id: u32) -> Option<()> {
        match self.network {
            Network::V4 { at, .. } => {
                let word = place >> 3 | if more { 0x2000 } else { 0 };
                out.get_mut(at + 6..at + 8)?.copy_from_slice(&word.to_be_bytes());
            }
            Network::V6 { at, .. } => {
                // Only directly behind the fixed header: where extension headers stand, some may not come behind a fragment header.
                let next = (out.len() == at + 40).then(|| std::mem::replace(&mut out[at + 6], 44))?;
                let word = place | u16::from(more);
                out.extend_from_slice(&[next, 0]);
                out.extend_from_slice(&word.to_be_bytes());
                out.extend_from_slice(&id.to_be_bytes());
            }
        }
        Some(())
    }
}
