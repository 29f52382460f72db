//! What the bits of features and of the status are called: the names of the specification (Virtio 1.3) and of Linux's headers, with a
//! few words each. For those who look at a device from outside; nothing depends on them.

use crate::spec::{feature, id, status};

/// A bit and what it is called: its name, a colon, and what it says.
pub type Name = (u64, &'static str);

/// Bits of the device status (section 2.1), in the order in which they are told.
pub const STATUS: &[Name] = &[
    (
        status::ACKNOWLEDGE as u64,
        "VIRTIO_CONFIG_S_ACKNOWLEDGE: the guest has seen the device",
    ),
    (
        status::FAILED as u64,
        "VIRTIO_CONFIG_S_FAILED: the guest has given the device up",
    ),
    (
        status::NEEDS_RESET as u64,
        "VIRTIO_CONFIG_S_NEEDS_RESET: an error from which only a reset leads",
    ),
    (
        status::DRIVER as u64,
        "VIRTIO_CONFIG_S_DRIVER: the guest has a driver for it",
    ),
    (
        status::FEATURES_OK as u64,
        "VIRTIO_CONFIG_S_FEATURES_OK: the features are settled",
    ),
    (
        status::DRIVER_OK as u64,
        "VIRTIO_CONFIG_S_DRIVER_OK: the driver is ready",
    ),
];

/// Features of rings and transports (section 6), in the order in which they are told.
pub const TRANSPORT: &[Name] = &[
    (
        feature::EVENT_IDX,
        "VIRTIO_RING_F_EVENT_IDX: each side says when it wants to be notified",
    ),
    (
        feature::INDIRECT_DESC,
        "VIRTIO_RING_F_INDIRECT_DESC: tables of descriptors outside the ring",
    ),
    (feature::RING_RESET, "VIRTIO_F_RING_RESET: single queues can be reset"),
    (
        feature::NOTIFICATION_DATA,
        "VIRTIO_F_NOTIFICATION_DATA: notifications carry where the ring stands",
    ),
    (feature::SR_IOV, "VIRTIO_F_SR_IOV: virtual functions"),
    (
        feature::ORDER_PLATFORM,
        "VIRTIO_F_ORDER_PLATFORM: the platform's memory barriers",
    ),
    (
        feature::IN_ORDER,
        "VIRTIO_F_IN_ORDER: buffers are used in the order in which they came",
    ),
    (feature::RING_PACKED, "VIRTIO_F_RING_PACKED: packed rings"),
    (
        feature::ACCESS_PLATFORM,
        "VIRTIO_F_IOMMU_PLATFORM: addresses go through the platform's IOMMU",
    ),
    (
        feature::VERSION_1,
        "VIRTIO_F_VERSION_1: version 1 of the specification or later",
    ),
    (
        feature::ANY_LAYOUT,
        "VIRTIO_F_ANY_LAYOUT: buffers may be divided in any way",
    ),
    (
        feature::NOTIFY_ON_EMPTY,
        "VIRTIO_F_NOTIFY_ON_EMPTY: an interrupt whenever the ring runs empty",
    ),
];

const NET: &[Name] = &[
    (1 << 6, "VIRTIO_NET_F_GSO: frames for segmentation (before version 1)"),
    (1 << 63, "VIRTIO_NET_F_SPEED_DUPLEX: the link's speed is told"),
    (
        1 << 62,
        "VIRTIO_NET_F_STANDBY: stands in for another card of its address",
    ),
    (1 << 61, "VIRTIO_NET_F_RSC_EXT: details of coalesced segments"),
    (1 << 60, "VIRTIO_NET_F_RSS: frames are spread over queues by hash"),
    (1 << 57, "VIRTIO_NET_F_HASH_REPORT: the hash of each frame is told"),
    (1 << 56, "VIRTIO_NET_F_HOST_USO: the device cuts UDP into segments"),
    (
        1 << 55,
        "VIRTIO_NET_F_GUEST_USO6: the driver takes segments of UDP over IPv6",
    ),
    (
        1 << 54,
        "VIRTIO_NET_F_GUEST_USO4: the driver takes segments of UDP over IPv4",
    ),
    (1 << 53, "VIRTIO_NET_F_NOTF_COAL: interrupts are put together"),
    (
        1 << 23,
        "VIRTIO_NET_F_CTRL_MAC_ADDR: the address is set through the control queue",
    ),
    (1 << 22, "VIRTIO_NET_F_MQ: several pairs of queues"),
    (
        1 << 21,
        "VIRTIO_NET_F_GUEST_ANNOUNCE: the driver announces itself when asked",
    ),
    (1 << 20, "VIRTIO_NET_F_CTRL_RX_EXTRA: further modes of receiving"),
    (1 << 19, "VIRTIO_NET_F_CTRL_VLAN: filters of VLAN tags"),
    (1 << 18, "VIRTIO_NET_F_CTRL_RX: modes of receiving"),
    (1 << 17, "VIRTIO_NET_F_CTRL_VQ: a control queue"),
    (1 << 16, "VIRTIO_NET_F_STATUS: the link's state is told"),
    (1 << 15, "VIRTIO_NET_F_MRG_RXBUF: a frame may take several buffers"),
    (
        1 << 14,
        "VIRTIO_NET_F_HOST_UFO: the device takes UDP to be cut into fragments",
    ),
    (1 << 13, "VIRTIO_NET_F_HOST_ECN: the device takes segmentation with ECN"),
    (
        1 << 12,
        "VIRTIO_NET_F_HOST_TSO6: the device cuts TCP over IPv6 into segments",
    ),
    (
        1 << 11,
        "VIRTIO_NET_F_HOST_TSO4: the device cuts TCP over IPv4 into segments",
    ),
    (1 << 10, "VIRTIO_NET_F_GUEST_UFO: the driver takes uncut UDP"),
    (1 << 9, "VIRTIO_NET_F_GUEST_ECN: the driver takes uncut TCP with ECN"),
    (1 << 8, "VIRTIO_NET_F_GUEST_TSO6: the driver takes uncut TCP over IPv6"),
    (1 << 7, "VIRTIO_NET_F_GUEST_TSO4: the driver takes uncut TCP over IPv4"),
    (1 << 5, "VIRTIO_NET_F_MAC: the device has an address"),
    (1 << 3, "VIRTIO_NET_F_MTU: the largest frame is told"),
    (
        1 << 2,
        "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS: offloads are chosen at run time",
    ),
    (
        1 << 1,
        "VIRTIO_NET_F_GUEST_CSUM: the driver takes frames with partial checksums",
    ),
    (
        1 << 0,
        "VIRTIO_NET_F_CSUM: the device takes frames with partial checksums",
    ),
];

const BLOCK: &[Name] = &[
    (1 << 11, "VIRTIO_BLK_F_CONFIG_WCE: the write cache can be switched"),
    (1 << 9, "VIRTIO_BLK_F_FLUSH: the write cache can be flushed"),
    (1 << 7, "VIRTIO_BLK_F_SCSI: SCSI commands (before version 1)"),
    (1 << 0, "VIRTIO_BLK_F_BARRIER: barriers (before version 1)"),
    (1 << 17, "VIRTIO_BLK_F_ZONED: zones"),
    (1 << 16, "VIRTIO_BLK_F_SECURE_ERASE: data can be erased for good"),
    (1 << 14, "VIRTIO_BLK_F_WRITE_ZEROES: zeroes can be written without data"),
    (1 << 13, "VIRTIO_BLK_F_DISCARD: sectors can be given back"),
    (1 << 12, "VIRTIO_BLK_F_MQ: several queues"),
    (
        1 << 10,
        "VIRTIO_BLK_F_TOPOLOGY: good sizes and places of requests are told",
    ),
    (1 << 6, "VIRTIO_BLK_F_BLK_SIZE: the size of a block is told"),
    (1 << 5, "VIRTIO_BLK_F_RO: read-only"),
    (1 << 4, "VIRTIO_BLK_F_GEOMETRY: a geometry is told"),
    (1 << 2, "VIRTIO_BLK_F_SEG_MAX: most segments of a request"),
    (1 << 1, "VIRTIO_BLK_F_SIZE_MAX: longest segment"),
];

const CONSOLE: &[Name] = &[
    (1 << 2, "VIRTIO_CONSOLE_F_EMERG_WRITE: a register for emergency output"),
    (1 << 1, "VIRTIO_CONSOLE_F_MULTIPORT: several ports"),
    (1 << 0, "VIRTIO_CONSOLE_F_SIZE: the console's size is told"),
];

const BALLOON: &[Name] = &[
    (1 << 5, "VIRTIO_BALLOON_F_REPORTING: a queue for pages that are free"),
    (1 << 4, "VIRTIO_BALLOON_F_PAGE_POISON: free pages have a pattern"),
    (
        1 << 3,
        "VIRTIO_BALLOON_F_FREE_PAGE_HINT: a queue for hints about free pages",
    ),
    (
        1 << 2,
        "VIRTIO_BALLOON_F_DEFLATE_ON_OOM: a guest out of memory takes some back",
    ),
    (1 << 1, "VIRTIO_BALLOON_F_STATS_VQ: a queue for statistics"),
    (
        1 << 0,
        "VIRTIO_BALLOON_F_MUST_TELL_HOST: pages are asked for before they are used",
    ),
];

const SOCKET: &[Name] = &[(1 << 1, "VIRTIO_VSOCK_F_SEQPACKET: packets with borders")];

/// Features of a kind of device (section 5), in the order in which they are told.
pub fn features_of(device: u16) -> &'static [Name] {
    match device {
        id::NET => NET,
        id::BLOCK => BLOCK,
        id::CONSOLE => CONSOLE,
        id::BALLOON => BALLOON,
        id::VSOCK => SOCKET,
        _ => &[],
    }
}

/// What QEMU calls a kind of device.
pub fn device(device: u16) -> &'static str {
    match device {
        id::NET => "virtio-net",
        id::BLOCK => "virtio-blk",
        id::CONSOLE => "virtio-serial",
        id::RNG => "virtio-rng",
        id::BALLOON => "virtio-balloon",
        id::P9 => "virtio-9p",
        id::INPUT => "virtio-input",
        id::VSOCK => "vhost-vsock",
        _ => "virtio",
    }
}

/// The names of the bits that are set, and the bits that have none in the table.
pub fn decode(bits: u64, table: &[Name]) -> (Vec<&'static str>, u64) {
    let named = table.iter().filter(|(bit, _)| bits & bit != 0);
    let known = table.iter().fold(0, |all, (bit, _)| all | bit);
    (named.map(|(_, name)| *name).collect(), bits & !known)
}
