//! Facts of the network device. Source: virtio 1.3, section 5.1; RSC extensions and the legacy GSO bit as Linux's
//! `virtio_net.h` numbers them.

/// Device id.
pub(crate) const ID: u16 = 1;

/// Feature bits, by number.
pub(crate) mod feature {
    pub(crate) const CSUM: u64 = 1 << 0;
    pub(crate) const GUEST_CSUM: u64 = 1 << 1;
    pub(crate) const CTRL_GUEST_OFFLOADS: u64 = 1 << 2;
    pub(crate) const MTU: u64 = 1 << 3;
    pub(crate) const MAC: u64 = 1 << 5;
    /// Legacy: any segmentation at all.
    pub(crate) const GSO: u64 = 1 << 6;
    pub(crate) const GUEST_TSO4: u64 = 1 << 7;
    pub(crate) const GUEST_TSO6: u64 = 1 << 8;
    pub(crate) const GUEST_ECN: u64 = 1 << 9;
    pub(crate) const GUEST_UFO: u64 = 1 << 10;
    pub(crate) const HOST_TSO4: u64 = 1 << 11;
    pub(crate) const HOST_TSO6: u64 = 1 << 12;
    pub(crate) const HOST_ECN: u64 = 1 << 13;
    pub(crate) const HOST_UFO: u64 = 1 << 14;
    pub(crate) const MRG_RXBUF: u64 = 1 << 15;
    pub(crate) const STATUS: u64 = 1 << 16;
    pub(crate) const CTRL_VQ: u64 = 1 << 17;
    pub(crate) const CTRL_RX: u64 = 1 << 18;
    pub(crate) const CTRL_VLAN: u64 = 1 << 19;
    pub(crate) const CTRL_RX_EXTRA: u64 = 1 << 20;
    pub(crate) const GUEST_ANNOUNCE: u64 = 1 << 21;
    pub(crate) const MQ: u64 = 1 << 22;
    pub(crate) const CTRL_MAC_ADDR: u64 = 1 << 23;
    pub(crate) const GUEST_USO4: u64 = 1 << 54;
    pub(crate) const GUEST_USO6: u64 = 1 << 55;
    pub(crate) const HOST_USO: u64 = 1 << 56;
    pub(crate) const HASH_REPORT: u64 = 1 << 57;
    pub(crate) const RSS: u64 = 1 << 60;
    pub(crate) const SPEED_DUPLEX: u64 = 1 << 63;

    /// What a driver takes besides whole frames, and may change by `CTRL_GUEST_OFFLOADS`.
    pub(crate) const GUEST_OFFLOADS: u64 =
        GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | GUEST_ECN | GUEST_UFO | GUEST_USO4 | GUEST_USO6;
}

/// `status` of configuration space: the link is up.
pub(crate) const STATUS_LINK_UP: u16 = 1;
/// `status` of configuration space: the driver is to announce itself.
pub(crate) const STATUS_ANNOUNCE: u16 = 2;

/// Longest key of a receive hash.
pub(crate) const MAX_KEY: usize = 40;
/// Longest indirection table.
pub(crate) const MAX_TABLE: usize = 128;
/// Addresses that the receive filter has room for, both kinds together.
pub(crate) const MAC_TABLE: usize = 64;
/// VLAN tags.
pub(crate) const MAX_VLAN: u16 = 4096;
/// Entries of the control queue.
pub(crate) const CONTROL_QUEUE: u16 = 64;

/// Class and command of control messages (section 5.1.6.5).
pub(crate) mod control {
    pub(crate) const RX: u8 = 0;
    pub(crate) const RX_PROMISC: u8 = 0;
    pub(crate) const RX_ALLMULTI: u8 = 1;
    pub(crate) const RX_ALLUNI: u8 = 2;
    pub(crate) const RX_NOMULTI: u8 = 3;
    pub(crate) const RX_NOUNI: u8 = 4;
    pub(crate) const RX_NOBCAST: u8 = 5;
    pub(crate) const MAC: u8 = 1;
    pub(crate) const MAC_TABLE_SET: u8 = 0;
    pub(crate) const MAC_ADDR_SET: u8 = 1;
    pub(crate) const VLAN: u8 = 2;
    pub(crate) const VLAN_ADD: u8 = 0;
    pub(crate) const VLAN_DEL: u8 = 1;
    pub(crate) const ANNOUNCE: u8 = 3;
    pub(crate) const ANNOUNCE_ACK: u8 = 0;
    pub(crate) const MQ: u8 = 4;
    pub(crate) const MQ_VQ_PAIRS_SET: u8 = 0;
    pub(crate) const MQ_RSS_CONFIG: u8 = 1;
    pub(crate) const MQ_HASH_CONFIG: u8 = 2;
    pub(crate) const GUEST_OFFLOADS: u8 = 5;
    pub(crate) const GUEST_OFFLOADS_SET: u8 = 0;

    /// Answer: done.
    pub(crate) const OK: u8 = 0;
    /// Answer: not done.
    pub(crate) const ERR: u8 = 1;

    /// No honest message is longer: a full table of each kind of address.
    pub(crate) const LONGEST: u64 = 2 + 8 + 2 * 65536 * 6;
}

/// Bytes before a frame, with hash report.
pub(crate) const LONGEST_HEADER: usize = 20;
