//! The ACPI tables of `virt`, derived from its description like its device tree.
//!
//! Names, numbers and the order of things are those of QEMU 10, so that firmware and kernels find what they know. Tables: ACPI 6.5 and, for
//! what is new with RISC-V, its registry of <https://github.com/riscv-non-isa/riscv-acpi>.

mod dsdt;
#[cfg(test)]
mod tests;

use super::tree::{CACHE_BLOCK, TIMEBASE};
use super::{Aia, Variant, map};
use crate::acpi::{Bytes, HEADER, Linked, Set, table};
use crate::board::cores::IsaText;
use crate::board::{Choices, Description};

/// The tables for a description.
pub(super) fn tables(d: &Description, choices: &Choices, isa: &IsaText) -> Linked {
    let v = Variant::of(choices);
    let mut set = Set::default();
    let namespace = set.add(&table(*b"DSDT", 2, dsdt::contents(d, choices)));
    set.list(&table(*b"FACP", 6, hardware(namespace)), &[X_DSDT]);
    set.list(&table(*b"APIC", 6, interrupts(&v)), &[]);
    set.list(&table(*b"RHCT", 1, harts(&v, isa)), &[]);
    set.list(&table(*b"SPCR", 4, console()), &[]);
    set.list(&table(*b"MCFG", 1, configuration_space()), &[]);
    if !choices.numa.is_empty() {
        set.list(&table(*b"SRAT", 3, affinity(choices)), &[]);
    }
    set.finish()
}

/// Offsets of fields of the FADT (5.2.9), and its length.
const FLAGS: usize = 112;
const MINOR_VERSION: usize = 131;
const X_DSDT: usize = 140;
const HYPERVISOR: usize = 268;
/// There are no registers of ACPI's own: power and reset are the SBI's.
const HARDWARE_REDUCED: u32 = 1 << 20;

fn hardware(namespace: usize) -> Bytes {
    Bytes::new()
        .up_to(FLAGS - HEADER)
        .u32(HARDWARE_REDUCED)
        .up_to(MINOR_VERSION - HEADER)
        .u8(5)
        .up_to(X_DSDT - HEADER)
        .u64(namespace as u64)
        .up_to(HYPERVISOR - HEADER)
        .bytes(b"QEMU\0\0\0\0")
}

/// Structures of the MADT (5.2.12).
const HART_CONTROLLER: u8 = 0x18;
const MESSAGE_CONTROLLER: u8 = 0x19;
const ADVANCED_CONTROLLER: u8 = 0x1a;
const PLATFORM_CONTROLLER: u8 = 0x1b;
const WIRED_LEN: u8 = 36;
/// Where the number of a group of interrupt files would be in an address.
const GROUP_SHIFT: u8 = 24;

fn interrupts(v: &Variant) -> Bytes {
    let start = Bytes::new().u32(0).u32(0);
    let mut all = (0..v.harts).fold(start, |b, hart| b.bytes(&hart_controller(v, hart).0));
    if v.aia == Aia::Imsic {
        let hart_bits = map::index_bits(v.harts.into());
        all = all
            .u8(MESSAGE_CONTROLLER)
            .u8(16)
            .u8(1)
            .u8(0)
            .u32(0)
            .u16(map::MESSAGES as u16)
            .u16(map::MESSAGES as u16)
            .u8(v.guest_bits() as u8)
            .u8(hart_bits as u8)
            .u8(0)
            .u8(GROUP_SHIFT);
    }
    if v.aia == Aia::None {
        return all
            .bytes(&[PLATFORM_CONTROLLER, WIRED_LEN, 1, 0])
            .u64(0)
            .u16(map::SOURCES - 1)
            .u16(0)
            .u32(0)
            .u32(map::PLIC.1 as u32)
            .u64(map::PLIC.0)
            .u32(0);
    }
    // With messages there is no wire to a hart.
    let wired = if v.aia == Aia::Aplic { v.harts } else { 0 };
    all.bytes(&[ADVANCED_CONTROLLER, WIRED_LEN, 1, 0])
        .u32(0)
        .u64(0)
        .u16(wired.into())
        .u16(map::SOURCES)
        .u32(0)
        .u64(map::APLIC_S.0)
        .u32(map::APLIC_S.1 as u32)
}

/// A hart with its input for interrupts: the wire of a controller that leads to its supervisor mode, or its interrupt files.
fn hart_controller(v: &Variant, hart: u8) -> Bytes {
    let n = u32::from(hart);
    let (wire, (files, size)) = match v.aia {
        Aia::None => (2 * n + 1, (0, 0)),
        Aia::Aplic => (n, (0, 0)),
        Aia::Imsic => {
            let size = v.supervisor_files();
            (0, (map::IMSIC_S + size * u64::from(n), size))
        }
    };
    Bytes::new()
        .bytes(&[HART_CONTROLLER, 36, 1, 0])
        .u32(1)
        .u64(n.into())
        .u32(n)
        .u32(wire)
        .u64(files)
        .u32(size as u32)
}

/// Nodes of the RHCT.
const ISA_NODE: u16 = 0;
const CACHE_NODE: u16 = 1;
const MMU_NODE: u16 = 2;
const HART_NODE: u16 = 0xffff;
/// Offset of the first.
const NODES: usize = 56;

fn harts(v: &Variant, isa: &IsaText) -> Bytes {
    let mut nodes = Bytes::new();
    let mut offsets = Vec::new();
    for node in [Some(isa_node(&isa.string)), cache_node(isa), mmu_node(isa)]
        .into_iter()
        .flatten()
    {
        offsets.push(NODES + nodes.len());
        nodes = nodes.bytes(&node.0);
    }
    let count = offsets.len() + usize::from(v.harts);
    for hart in 0..v.harts {
        let list = offsets.iter().fold(Bytes::new(), |b, at| b.u32(*at as u32));
        let contents = Bytes::new().u16(offsets.len() as u16).u32(hart.into());
        nodes = nodes.bytes(&node(HART_NODE, contents.bytes(&list.0)).0);
    }
    Bytes::new()
        .u32(0)
        .u64(TIMEBASE.into())
        .u32(count as u32)
        .u32(NODES as u32)
        .bytes(&nodes.0)
}

fn node(kind: u16, contents: Bytes) -> Bytes {
    let len = (6 + contents.len()).next_multiple_of(2);
    let head = Bytes::new().u16(kind).u16(len as u16).u16(1);
    head.bytes(&contents.0).up_to(len)
}

fn isa_node(text: &str) -> Bytes {
    let contents = Bytes::new().u16(text.len() as u16 + 1);
    node(ISA_NODE, contents.bytes(text.as_bytes()).u8(0))
}

/// Sizes of cache blocks, as powers of two; QEMU does not tell that of prefetching.
fn cache_node(isa: &IsaText) -> Option<Bytes> {
    let size = |extension| {
        let have = isa.extensions.contains(&extension);
        if have { CACHE_BLOCK.trailing_zeros() as u8 } else { 0 }
    };
    let (managed, zeroed) = (size("zicbom"), size("zicboz"));
    (managed | zeroed != 0).then(|| node(CACHE_NODE, Bytes::new().bytes(&[0, managed, 0, zeroed])))
}

fn mmu_node(isa: &IsaText) -> Option<Bytes> {
    let scheme = match isa.mmu {
        "riscv,sv39" => 0,
        "riscv,sv48" => 1,
        "riscv,sv57" => 2,
        _ => return None,
    };
    Some(node(MMU_NODE, Bytes::new().bytes(&[0, scheme])))
}

/// The serial port as a console (SPCR 1.10): a 16550 with an interrupt of the board's controller, whose speed does not matter.
fn console() -> Bytes {
    const LIKE_16550: u8 = 0x12;
    const RISCV_INTERRUPT: u8 = 1 << 4;
    const SPEED_115200: u8 = 7;
    const ANSI: u8 = 3;
    const NAME_AT: u16 = 88;
    Bytes::new()
        .bytes(&[LIKE_16550, 0, 0, 0])
        // Where: memory, 32 bits a register, accessed by bytes.
        .bytes(&[0, 32, 0, 1])
        .u64(map::UART0.0)
        .bytes(&[RISCV_INTERRUPT, 0])
        .u32(map::UART0_IRQ.into())
        // No parity, one stop bit, no flow control, no language.
        .bytes(&[SPEED_115200, 0, 1, 0, 0, ANSI])
        // Not a PCI device.
        .u32(0xffff_ffff)
        .bytes(&[0; 3])
        .u32(0)
        .u8(0)
        .u32(0)
        .u32(0)
        .u16(2)
        .u16(NAME_AT)
        .bytes(b".\0")
}

/// PCI Firmware Specification 3.3, 4.1.2.
fn configuration_space() -> Bytes {
    let last_bus = (map::PCIE_ECAM.1 >> 20) - 1;
    Bytes::new()
        .u64(0)
        .u64(map::PCIE_ECAM.0)
        .u16(0)
        .bytes(&[0, last_bus as u8])
        .u32(0)
}

/// Which harts and which memory belong together (5.2.16).
fn affinity(choices: &Choices) -> Bytes {
    const HART: u8 = 7;
    const MEMORY: u8 = 1;
    const ENABLED: u32 = 1;
    let mut all = Bytes::new().u32(1).u64(0);
    for hart in 0..choices.cpus {
        let node = choices.node_of_cpu(hart).unwrap_or(0);
        all = all
            .bytes(&[HART, 20, 0, 0])
            .u32(node as u32)
            .u32(hart.into())
            .u32(ENABLED)
            .u32(0);
    }
    let mut at = map::DRAM;
    for (id, node) in choices.numa.iter().enumerate().filter(|(_, n)| n.memory > 0) {
        all = all
            .bytes(&[MEMORY, 40])
            .u32(id as u32)
            .u16(0)
            .u64(at)
            .u64(node.memory)
            .u32(0)
            .u32(ENABLED)
            .u64(0);
        at += node.memory;
    }
    all
}
