//! What passes between a NIC and its back end: frames, and what is still to be done to them.

pub use southbridge_protocol_packet::VnetHeader;

/// Longest frame that passes: an IP packet of the largest size that segmentation leaves whole, and headers.
pub const MAX_FRAME: usize = 65536 + 4096;

/// A frame on its way, without preamble and check sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What is left to do.
    pub vnet: VnetHeader,
    /// From the destination address on.
    pub frame: &'a [u8],
}

impl<'a> Packet<'a> {
    /// A frame that is whole as it is.
    pub const fn plain(frame: &'a [u8]) -> Self {
        Self {
            vnet: VnetHeader::NONE,
            frame,
        }
    }
}

/// A frame that waits somewhere.
pub(crate) type Owned = (VnetHeader, Vec<u8>);

bitflags::bitflags! {
    /// What somebody can take besides whole frames.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Offloads: u8 {
        /// Frames without checksum ([`VnetHeader::NEEDS_CSUM`]).
        const CSUM = 1;
        /// TCP over IPv4 beyond the MTU.
        const TSO4 = 2;
        /// TCP over IPv6 beyond the MTU.
        const TSO6 = 4;
        /// Such with explicit congestion notification.
        const ECN = 8;
        /// UDP to be cut into fragments.
        const UFO = 16;
        /// UDP over IPv4 to be cut into datagrams.
        const USO4 = 32;
        /// UDP over IPv6 to be cut into datagrams.
        const USO6 = 64;
    }
}

/// Several frames in one completion, in order.
///
/// They lie one behind the other in one buffer, so that a burst costs one allocation and a tape of a run can keep it as it is: length
/// (32 bits, little endian), [`VnetHeader::to_bytes`], frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frames(Vec<u8>);

const RECORD: usize = 4 + VnetHeader::LEN;

impl Frames {
    /// Adds one at the end. What is longer than [`MAX_FRAME`] is cut off there.
    pub fn push(&mut self, vnet: VnetHeader, frame: &[u8]) {
        let frame = &frame[..frame.len().min(MAX_FRAME)];
        self.0.reserve(RECORD + frame.len());
        self.0.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        self.0.extend_from_slice(&vnet.to_bytes());
        self.0.extend_from_slice(frame);
    }

    /// All, in order. A damaged end (by a rule of fault injection) is left out.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl<'a> IntoIterator for &'a Frames {
    type Item = Packet<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The frames of a [`Frames`].
#[derive(Debug, Clone)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let (len, rest) = self.0.split_first_chunk::<4>()?;
        let (vnet, rest) = rest.split_first_chunk::<{ VnetHeader::LEN }>()?;
        let len = u32::from_le_bytes(*len) as usize;
        let (frame, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(Packet {
            vnet: VnetHeader::from_bytes(vnet),
            frame,
        })
    }
}

/// Six hexadecimal bytes with `:` or `-` between them; `None` for other text and for a group address.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut words = text.split([':', '-']);
    for byte in &mut mac {
        let digits = |w: &&str| matches!(w.len(), 1 | 2) && w.bytes().all(|b| b.is_ascii_hexdigit());
        *byte = u8::from_str_radix(words.next().filter(digits)?, 16).ok()?;
    }
    (words.next().is_none() && mac[0] & 1 == 0).then_some(mac)
}

/// The address as people write it.
pub fn show_mac(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_pushed() {
        let vnet = VnetHeader {
            flags: 1,
            gso_type: 4,
            hdr_len: 0x1122,
            gso_size: 1460,
            csum_start: 34,
            csum_offset: 16,
        };
        let mut f = Frames::default();
        f.push(VnetHeader::NONE, b"first");
        f.push(vnet, b"");
        f.push(VnetHeader::NONE, b"third");
        let back: Vec<_> = f.iter().map(|p| (p.vnet, p.frame.to_vec())).collect();
        assert_eq!(
            back,
            [
                (VnetHeader::NONE, b"first".to_vec()),
                (vnet, Vec::new()),
                (VnetHeader::NONE, b"third".to_vec())
            ]
        );
    }

    #[test]
    fn a_damaged_buffer_ends_early() {
        let mut f = Frames::default();
        f.push(VnetHeader::NONE, b"first");
        f.push(VnetHeader::NONE, b"second");
        let mut bytes = f.into_bytes();
        bytes[19] = 0xff;
        assert_eq!(Frames::from_bytes(bytes).iter().count(), 1);
    }

    #[test]
    fn addresses_are_read_and_shown() {
        assert_eq!(parse_mac("52:54:0:12-34:56"), Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        for bad in [
            "",
            "52:54:00:12:34",
            "53:54:00:12:34:56",
            "52:54:00:12:34:+6",
            "52:54:00:12:34:56:7",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
        assert_eq!(show_mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]), "52:54:00:12:34:56");
    }
}
