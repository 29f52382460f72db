//! A program of Linux on the `virt` machine in the place of a board: the PCI device `ivshmem-doorbell`, driven from user space.
//!
//! Debian's kernel for riscv64 has no vfio without an IOMMU, and its UIO driver for PCI knows wired interrupts only, while the device
//! has nothing but MSI-X. But a message is a write to an address, any address: ours goes to the register of the device `edu`
//! that raises its wired interrupt, which UIO turns into a readable file. So the machine needs both devices
//! (`-device ivshmem-doorbell,… -device edu`), and nothing of the kernel is changed.
//!
//! What is a handler on a board is called here out of [`wait_for_interrupt`].

mod pci;
mod sys;

use crate::{Role, mmio::Block};
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use pci::Function;

/// The name in messages.
pub const NAME: &str = "linux on virt";
/// Its part in the talk.
pub const ROLE: Role = Role::Leader;
/// What a tick is counted in: microseconds.
pub const CLOCK_HZ: u32 = 1_000_000;

// Where the program has its windows: far from all that the kernel places by itself.
const REGISTERS_AT: usize = 0x10_0000_0000;
const MSIX_AT: usize = 0x10_1000_0000;
const EDU_AT: usize = 0x10_2000_0000;
const MEMORY_AT: usize = 0x11_0000_0000;

pub(crate) const IVSHMEM_REGISTERS: Block = Block::new(REGISTERS_AT, 0x100);
pub(crate) const IVSHMEM_MEMORY: Block = Block::new(MEMORY_AT, 4 << 20);
const MSIX_TABLE: Block = Block::new(MSIX_AT, 0x1000);
const EDU: Block = Block::new(EDU_AT, 0x1000);

/// Registers of `edu` (QEMU's specification of the device, "MMIO area spec").
const EDU_RAISE: usize = 0x60;
const EDU_ACKNOWLEDGE: usize = 0x64;

const IVSHMEM_ID: u32 = 0x1110_1af4;
const EDU_ID: u32 = 0x11e8_1234;

static UIO: AtomicI32 = AtomicI32::new(-1);
static EDU_CONFIG: AtomicI32 = AtomicI32::new(-1);
/// Period of the tick in microseconds; 0: none.
static TICK: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    safe fn irq(number: u32);
    safe fn SysTick_Handler();
}

/// Nothing: the console is the program's standard output.
pub(crate) fn console_init() {}

pub(crate) fn console_put(byte: u8) {
    sys::write(1, &[byte]);
}

/// Finds both devices, maps them and leads the messages of the one to the interrupt of the other.
pub(crate) fn listen() {
    let ivshmem = Function::find(IVSHMEM_ID).unwrap_or_else(|| sys::die("no ivshmem-doorbell on bus 0"));
    let edu = Function::find(EDU_ID).unwrap_or_else(|| sys::die("no edu on bus 0"));
    for function in [&ivshmem, &edu] {
        function.enable();
    }
    ivshmem.map(0, REGISTERS_AT, 0x100);
    ivshmem.map(1, MSIX_AT, 0x1000);
    ivshmem.map(2, MEMORY_AT, 4 << 20);
    edu.map(0, EDU_AT, 0x1000);
    UIO.store(edu.bind_to_uio(), Ordering::Relaxed);
    EDU_CONFIG.store(edu.config, Ordering::Relaxed);
    // What an earlier program left raised.
    EDU.write(EDU_ACKNOWLEDGE, u32::MAX);
    edu.unmask_intx();
    let raise = edu.bar(0) + EDU_RAISE as u64;
    MSIX_TABLE.write(0x0, raise as u32);
    MSIX_TABLE.write(0x4, (raise >> 32) as u32);
    MSIX_TABLE.write(0x8, 1);
    MSIX_TABLE.write(0xc, 0);
    ivshmem.enable_msix();
}

/// Waits for a doorbell or the tick, and calls its handler.
pub fn wait_for_interrupt() {
    let tick = TICK.load(Ordering::Relaxed);
    if !sys::wait_readable(UIO.load(Ordering::Relaxed), (tick != 0).then_some(tick)) {
        SysTick_Handler();
        return;
    }
    let mut count = [0; 4];
    sys::read(UIO.load(Ordering::Relaxed), &mut count);
    // In this order: a doorbell that comes behind the acknowledgement raises the line again, and is seen when it is let through.
    EDU.write(EDU_ACKNOWLEDGE, 1);
    pci::unmask_intx(EDU_CONFIG.load(Ordering::Relaxed));
    irq(0);
}

/// Calls `SysTick_Handler` every `period` microseconds without a doorbell.
pub(crate) fn start_tick(period: u32) {
    TICK.store(period, Ordering::Relaxed);
}

/// From here on only doorbells wake the program.
pub(crate) fn stop_tick() {
    TICK.store(0, Ordering::Relaxed);
}

/// Orders all accesses before it before all after it, to memory and devices, as others see them.
pub(crate) fn barrier() {
    sys::fence();
}

/// The words of the command line.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    sys::arguments()
}

/// Ends the program.
pub(crate) fn exit(status: i32) -> ! {
    sys::exit(status)
}
