//! What crosses the border to the guest: frames, what travels beside them, and the door they leave through.

use bitflags::bitflags;

/// Longest frame accepted or emitted: an Ethernet header and the largest IP packet.
pub const MAX_FRAME: usize = 14 + 65_535;

/// What kind of big segment a frame is, if it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gso {
    /// An ordinary frame.
    #[default]
    None,
    /// A TCP segment over IPv4, to be cut into pieces of [`Meta::segment`] bytes of payload.
    Tcp4,
    /// The same over IPv6.
    Tcp6,
}

/// What travels beside a frame; the same facts as in a `virtio_net_hdr` (virtio 1.3 §5.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// `Some((start, offset))`: the transport checksum is not filled in. It is to be computed from byte `start` of the frame to its
    /// end and stored at `start + offset`, which holds the sum of the pseudo header until then.
    pub partial_checksum: Option<(u16, u16)>,
    /// A big segment, only where [`Offloads`] allow it (towards the guest) or always (from the guest).
    pub gso: Gso,
    /// Payload bytes of one piece of a big segment; 0 if it is none.
    pub segment: u16,
    /// Bytes of headers before the payload of a big segment; 0 if it is none.
    pub headers: u16,
}

bitflags! {
    /// What the guest's side takes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Offloads: u8 {
        /// Frames with [`Meta::partial_checksum`].
        const CHECKSUM = 1;
        /// Big TCP segments over IPv4 (implies `CHECKSUM`).
        const TSO4 = 2;
        /// Big TCP segments over IPv6 (implies `CHECKSUM`).
        const TSO6 = 4;
    }
}

/// The door through which frames reach the guest. [`crate::UserNet::run`] is the only caller.
pub trait Sink {
    /// How many more frames are taken now. At 0 the engine holds everything back (TCP stops reading the host, datagrams wait in the
    /// host's sockets) until the next [`crate::UserNet::run`]; the owner calls that when there is room again.
    fn room(&self) -> usize;

    /// An empty buffer for the next frame; a sink that recycles its buffers saves the allocation.
    fn buffer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// One frame, without padding to 60 bytes and without checksum sequence. Only called while [`Self::room`] is not 0.
    fn frame(&mut self, frame: Vec<u8>, meta: Meta);
}
