//! The ivshmem device without PCI: four registers and a window of memory (QEMU's specification of ivshmem, "Device
//! registers").

#[cfg(not(feature = "virt"))]
use crate::core_registers;
use crate::{mmio, mmio::Block, this};

#[cfg(not(feature = "virt"))]
const INTRMASK: usize = 0x0;
const INTRSTATUS: usize = 0x4;
const IVPOSITION: usize = 0x8;
const DOORBELL: usize = 0xc;

/// The memory that all peers see.
pub const MEMORY: Block = this::IVSHMEM_MEMORY;

/// Lets doorbells through: `irq` is called for each from now on.
pub fn listen() {
    #[cfg(feature = "virt")]
    this::listen();
    #[cfg(not(feature = "virt"))]
    listen_to_flat();
}

#[cfg(not(feature = "virt"))]
fn listen_to_flat() {
    this::IVSHMEM_REGISTERS.write(INTRMASK, u32::MAX);
    core_registers::enable_interrupt(this::IVSHMEM_IRQ);
}

/// Takes note of a doorbell. A device that latches its interrupt lets go of it by this read; one that pulses ignores it.
pub fn acknowledge() {
    this::IVSHMEM_REGISTERS.read(INTRSTATUS);
}

/// Our own number among the peers; `None` while the server has not told it yet (no valid number has more than 16 bits).
pub fn position() -> Option<u16> {
    u16::try_from(this::IVSHMEM_REGISTERS.read(IVPOSITION)).ok()
}

/// Interrupts `peer`, after all that we have written before is there for it to see.
pub fn ring(peer: u16) {
    mmio::barrier();
    this::IVSHMEM_REGISTERS.write(DOORBELL, u32::from(peer) << 16);
}
