//! What a guest sees: the register block of the ivshmem devices, and the identity of the PCI one.
//!
//! Source: ivshmem-spec, "PCI device registers" and "PCI BARs". The flat device has the same four registers in a block of
//! 16 bytes (QEMU 10.0, `hw/misc/ivshmem-flat.c`), followed by nothing.

use bitfield_struct::bitfield;

/// Interrupt Mask, read/write. Every bit is reserved in revision 1 (no INTx).
pub const INTRMASK: u32 = 0x00;
/// Interrupt Status, read/write. Every bit is reserved in revision 1 (no INTx).
pub const INTRSTATUS: u32 = 0x04;
/// IVPosition, read-only: the device's own id.
pub const IVPOSITION: u32 = 0x08;
/// Doorbell, write-only; see [`Doorbell`].
pub const DOORBELL: u32 = 0x0c;

/// Size of the flat device's register block in bytes.
pub const FLAT_REGS_LEN: u32 = 0x10;
/// Size of the PCI device's BAR 0 in bytes; above [`DOORBELL`] it is reserved.
pub const PCI_REGS_LEN: u32 = 0x100;
/// Default of the flat device's `shmem-size`, and of a server's `-l`, in bytes.
pub const DEFAULT_SHMEM_SIZE: u64 = 4 << 20;

/// PCI vendor of `ivshmem-plain` and `ivshmem-doorbell`.
pub const PCI_VENDOR: u16 = 0x1af4;
/// PCI device of `ivshmem-plain` and `ivshmem-doorbell`.
pub const PCI_DEVICE: u16 = 0x1110;
/// PCI revision since QEMU 2.6.
pub const PCI_REVISION: u8 = 1;
/// BAR of the registers.
pub const PCI_BAR_REGS: usize = 0;
/// BAR of MSI-X table and pending bits (`ivshmem-doorbell` only).
pub const PCI_BAR_MSIX: usize = 1;
/// BAR of the shared memory.
pub const PCI_BAR_MEMORY: usize = 2;

/// A value written to [`DOORBELL`]: interrupt `peer` on `vector`. Ignored when no such peer or vector is connected.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Doorbell {
    /// Bits 0..15: the vector.
    pub vector: u16,
    /// Bits 16..31: the id of the peer.
    pub peer: u16,
}
