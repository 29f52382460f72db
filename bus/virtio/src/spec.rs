//! Numbers of the virtio specification (Virtual I/O Device, version 1.3). Facts alone.

/// Bits of the device status (section 2.1).
pub mod status {
    /// The guest has seen the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The guest has a driver for it.
    pub const DRIVER: u8 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 4;
    /// The driver has chosen its features.
    pub const FEATURES_OK: u8 = 8;
    /// The device has met an error from which it does not recover by itself.
    pub const NEEDS_RESET: u8 = 64;
    /// The driver has given up.
    pub const FAILED: u8 = 128;
}

/// Feature bits that do not belong to one kind of device (section 6).
pub mod feature {
    /// Before version 1: notify when the ring is empty, even if told not to.
    pub const NOTIFY_ON_EMPTY: u64 = 1 << 24;
    /// Before version 1: descriptors may be laid out in any way.
    pub const ANY_LAYOUT: u64 = 1 << 27;
    /// Tables of descriptors outside the ring.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// Both sides say at which index they want to be notified.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// Version 1 or later of the specification.
    pub const VERSION_1: u64 = 1 << 32;
    /// Addresses go through the platform's translation and protection.
    pub const ACCESS_PLATFORM: u64 = 1 << 33;
    /// Packed rings.
    pub const RING_PACKED: u64 = 1 << 34;
    /// Buffers are used in the order in which they were made available.
    pub const IN_ORDER: u64 = 1 << 35;
    /// Memory barriers of the platform.
    pub const ORDER_PLATFORM: u64 = 1 << 36;
    /// Virtual functions.
    pub const SR_IOV: u64 = 1 << 37;
    /// Notifications carry where the ring stands.
    pub const NOTIFICATION_DATA: u64 = 1 << 38;
    /// Single queues can be reset.
    pub const RING_RESET: u64 = 1 << 40;
}

/// Device ids (section 5).
pub mod id {
    /// Network card.
    pub const NET: u16 = 1;
    /// Block device.
    pub const BLOCK: u16 = 2;
    /// Console.
    pub const CONSOLE: u16 = 3;
    /// Entropy source.
    pub const RNG: u16 = 4;
    /// Memory balloon, as before version 1.
    pub const BALLOON: u16 = 5;
    /// 9P transport.
    pub const P9: u16 = 9;
    /// Input device.
    pub const INPUT: u16 = 18;
    /// Socket device.
    pub const VSOCK: u16 = 19;
}

/// Bits of the interrupt status (section 4.1.4.5).
pub mod isr {
    /// A queue has used buffers.
    pub const QUEUE: u8 = 1;
    /// The configuration changed.
    pub const CONFIG: u8 = 2;
    /// What QEMU sets for a change of configuration: drivers of before version 1 look at their queues then, too.
    pub const QUEUE_AND_CONFIG: u8 = QUEUE | CONFIG;
}

/// Bits of descriptors and rings.
pub mod ring {
    /// The chain goes on.
    pub const NEXT: u16 = 1;
    /// The device writes.
    pub const WRITE: u16 = 2;
    /// The buffer is a table of descriptors.
    pub const INDIRECT: u16 = 4;
    /// Packed: the driver's wrap counter when it made the descriptor available.
    pub const AVAIL: u16 = 1 << 7;
    /// Packed: the device's wrap counter when it used it.
    pub const USED: u16 = 1 << 15;
    /// Split, `avail.flags`: no interrupt, please.
    pub const NO_INTERRUPT: u16 = 1;
    /// Split, `used.flags`: no notification, please.
    pub const NO_NOTIFY: u16 = 1;
    /// Packed, event flags: always.
    pub const EVENT_ENABLE: u16 = 0;
    /// Packed, event flags: never.
    pub const EVENT_DISABLE: u16 = 1;
    /// Packed, event flags: at a descriptor.
    pub const EVENT_DESC: u16 = 2;
}

/// Descriptors of a chain at most, in the ring and in tables outside together. QEMU's limit; the host's `writev` has it too.
pub const MAX_SEGMENTS: usize = 1024;
/// Size of a ring at most (section 2.7).
pub const MAX_RING: u16 = 32768;
/// Queues of a device at most, QEMU's limit.
pub const MAX_QUEUES: usize = 1024;
/// What "no vector" is in a vector register.
pub const NO_VECTOR: u16 = 0xffff;
