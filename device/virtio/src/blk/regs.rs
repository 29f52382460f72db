//! Numbers of the block device (Virtio 1.3, section 5.2). Facts alone.

/// Feature bits (section 5.2.3).
pub(super) mod feature {
    pub(crate) const SEG_MAX: u64 = 1 << 2;
    pub(crate) const GEOMETRY: u64 = 1 << 4;
    pub(crate) const RO: u64 = 1 << 5;
    pub(crate) const BLK_SIZE: u64 = 1 << 6;
    /// Before version 1: the device passes SCSI commands on.
    pub(crate) const SCSI: u64 = 1 << 7;
    pub(crate) const FLUSH: u64 = 1 << 9;
    pub(crate) const TOPOLOGY: u64 = 1 << 10;
    pub(crate) const CONFIG_WCE: u64 = 1 << 11;
    pub(crate) const MQ: u64 = 1 << 12;
    pub(crate) const DISCARD: u64 = 1 << 13;
    pub(crate) const WRITE_ZEROES: u64 = 1 << 14;
}

/// Request types (section 5.2.6).
pub(super) mod request {
    pub(crate) const IN: u32 = 0;
    /// In every type: the driver sends data.
    pub(crate) const OUT: u32 = 1;
    pub(crate) const SCSI_CMD: u32 = 2;
    pub(crate) const FLUSH: u32 = 4;
    pub(crate) const GET_ID: u32 = 8;
    pub(crate) const DISCARD: u32 = 11;
    pub(crate) const WRITE_ZEROES: u32 = 13;
    /// Before version 1, in any type. Never meant anything here.
    pub(crate) const BARRIER: u32 = 1 << 31;
}

/// Status of a request.
pub(super) mod status {
    pub(crate) const OK: u8 = 0;
    pub(crate) const IOERR: u8 = 1;
    pub(crate) const UNSUPP: u8 = 2;
}

/// Bytes of a request's header: type, reserved, sector.
pub(super) const HEADER: u64 = 16;
/// Bytes of a segment of a discard or write-zeroes request: sector, number of sectors, flags.
pub(super) const SEGMENT: u64 = 16;
/// Flag of such a segment: space may be given back.
pub(super) const UNMAP: u32 = 1;
/// Bytes of a serial number.
pub(super) const ID_BYTES: usize = 20;
/// Sectors of requests and of the capacity have so many bytes, whatever the block size.
pub(super) const SECTOR: u64 = 512;
/// Most sectors of a request: what QEMU's block layer takes, so that drivers meet the same limit.
pub(super) const MAX_SECTORS: u64 = (i32::MAX as u64) >> 9;

/// Places in the configuration space (section 5.2.4).
pub(super) mod config {
    pub(crate) const CAPACITY: usize = 0;
    pub(crate) const SEG_MAX: usize = 12;
    pub(crate) const CYLINDERS: usize = 16;
    pub(crate) const HEADS: usize = 18;
    pub(crate) const SECTORS: usize = 19;
    pub(crate) const BLK_SIZE: usize = 20;
    pub(crate) const PHYSICAL_BLOCK_EXP: usize = 24;
    pub(crate) const MIN_IO_SIZE: usize = 26;
    pub(crate) const OPT_IO_SIZE: usize = 28;
    pub(crate) const WRITEBACK: usize = 32;
    pub(crate) const NUM_QUEUES: usize = 34;
    pub(crate) const MAX_DISCARD_SECTORS: usize = 36;
    pub(crate) const MAX_DISCARD_SEG: usize = 40;
    pub(crate) const DISCARD_SECTOR_ALIGNMENT: usize = 44;
    pub(crate) const MAX_WRITE_ZEROES_SECTORS: usize = 48;
    pub(crate) const MAX_WRITE_ZEROES_SEG: usize = 52;
    pub(crate) const WRITE_ZEROES_MAY_UNMAP: usize = 56;
    /// Its length where neither discard nor write zeroes are offered, where discard is, and where write zeroes are.
    pub(crate) const LENGTHS: [usize; 3] = [36, 48, 57];
}
