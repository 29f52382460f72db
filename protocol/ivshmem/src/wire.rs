//! What a message is: one number, and at most one descriptor beside it.
//!
//! Source: ivshmem-spec, "The ivshmem Client-Server Protocol": a single 8-byte little-endian signed number, which may be
//! accompanied by one descriptor (`SCM_RIGHTS`). Only servers send; a client says nothing but "I am gone", by closing.

/// Number by which a server and the Doorbell register name a peer; any 16-bit value is valid.
pub type PeerId = u16;

/// Length of every message in bytes.
pub const MESSAGE_LEN: usize = 8;

/// First number of every connection: the version that this crate speaks.
pub const PROTOCOL_VERSION: i64 = 0;

/// The number that accompanies the descriptor of the shared memory.
pub const SHARED_MEMORY: i64 = -1;

/// Most vectors per peer that QEMU's server hands out and that its flat device and its client keep
/// (`contrib/ivshmem-server/ivshmem-server.h`, `include/hw/misc/ivshmem-flat.h`).
pub const MAX_VECTORS: u16 = 64;

/// The bytes of a message.
pub const fn encode(value: i64) -> [u8; MESSAGE_LEN] {
    value.to_le_bytes()
}

/// The number in the bytes of a message.
pub const fn decode(bytes: [u8; MESSAGE_LEN]) -> i64 {
    i64::from_le_bytes(bytes)
}
