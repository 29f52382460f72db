//! The header before a frame that says which work is left to do on it (virtio 1.3, section 5.1.6, "struct virtio_net_hdr"). The
//! same bytes stand before frames of a Linux tap (`IFF_VNET_HDR`) and of stream back ends.

/// How a frame is to be cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagram into IP fragments.
    UdpFragments,
    /// UDP payload into datagrams.
    UdpSegments,
}

/// What is still to be done on a frame. All zero: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct VnetHeader {
    /// Bits of [`VnetHeader::NEEDS_CSUM`] and [`VnetHeader::DATA_VALID`].
    pub flags: u8,
    /// One of the `GSO_` numbers, with [`VnetHeader::GSO_ECN`].
    pub gso_type: u8,
    /// Bytes of headers, a hint only.
    pub hdr_len: u16,
    /// Payload bytes per segment.
    pub gso_size: u16,
    /// Where the bytes to sum up begin.
    pub csum_start: u16,
    /// Where the checksum goes, from `csum_start`.
    pub csum_offset: u16,
}

impl VnetHeader {
    /// `flags`: the checksum is to be filled in.
    pub const NEEDS_CSUM: u8 = 1;
    /// `flags`: the checksums have been looked at and are right.
    pub const DATA_VALID: u8 = 2;
    /// `gso_type`: one packet as it is.
    pub const GSO_NONE: u8 = 0;
    /// `gso_type`: TCP over IPv4, to be cut into segments.
    pub const GSO_TCPV4: u8 = 1;
    /// `gso_type`: UDP to be cut into IP fragments.
    pub const GSO_UDP: u8 = 3;
    /// `gso_type`: TCP over IPv6.
    pub const GSO_TCPV6: u8 = 4;
    /// `gso_type`: UDP to be cut into datagrams.
    pub const GSO_UDP_L4: u8 = 5;
    /// In `gso_type`: TCP with explicit congestion notification.
    pub const GSO_ECN: u8 = 0x80;
    /// Bytes on the wire without the count of buffers.
    pub const LEN: usize = 10;
    /// The same with it.
    pub const LEN_MERGEABLE: usize = 12;
    /// The same with hash report.
    pub const LEN_HASH: usize = 20;

    /// Nothing to be done.
    pub const NONE: Self = Self {
        flags: 0,
        gso_type: 0,
        hdr_len: 0,
        gso_size: 0,
        csum_start: 0,
        csum_offset: 0,
    };

    /// Reads the first ten bytes, little endian.
    pub const fn from_bytes(b: &[u8; Self::LEN]) -> Self {
        Self {
            flags: b[0],
            gso_type: b[1],
            hdr_len: u16::from_le_bytes([b[2], b[3]]),
            gso_size: u16::from_le_bytes([b[4], b[5]]),
            csum_start: u16::from_le_bytes([b[6], b[7]]),
            csum_offset: u16::from_le_bytes([b[8], b[9]]),
        }
    }

    /// The ten bytes, little endian.
    pub const fn to_bytes(&self) -> [u8; Self::LEN] {
        let [h, s] = [self.hdr_len.to_le_bytes(), self.gso_size.to_le_bytes()];
        let [c, o] = [self.csum_start.to_le_bytes(), self.csum_offset.to_le_bytes()];
        [
            self.flags,
            self.gso_type,
            h[0],
            h[1],
            s[0],
            s[1],
            c[0],
            c[1],
            o[0],
            o[1],
        ]
    }

    /// Whether the frame is complete as it is.
    pub const fn is_plain(&self) -> bool {
        self.flags & Self::NEEDS_CSUM == 0 && self.gso_type & !Self::GSO_ECN == 0
    }

    /// Whether a checksum is to be filled in.
    pub const fn needs_checksum(&self) -> bool {
        self.flags & Self::NEEDS_CSUM != 0
    }

    /// How the frame is to be cut up; `None` for not at all, `Some(None)` for a kind that nobody knows.
    pub const fn gso(&self) -> Option<Option<GsoKind>> {
        match self.gso_type & !Self::GSO_ECN {
            Self::GSO_NONE => None,
            Self::GSO_TCPV4 => Some(Some(GsoKind::Tcp4)),
            Self::GSO_UDP => Some(Some(GsoKind::UdpFragments)),
            Self::GSO_TCPV6 => Some(Some(GsoKind::Tcp6)),
            Self::GSO_UDP_L4 => Some(Some(GsoKind::UdpSegments)),
            _ => Some(None),
        }
    }
}
