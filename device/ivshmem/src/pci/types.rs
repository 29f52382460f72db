//! The two types: what users see of them, and how they are made.

use southbridge_backend_memory::MemoryBackend;
use southbridge_bus_pci::{Bar, Identity, MsixLayout, Pci, PciFunction, common, msix_region, pci_properties};
use southbridge_core::{
    Build, BusKind, Category, CreateError, Device, DeviceType, Endian, Mmio, PropKind, PropValue, Properties, Property,
    RamBlock, Region, RegionKind, Register, role,
};
use southbridge_protocol_ivshmem::regs;

use super::{Ivshmem, Master};
use crate::link::{CHARDEV, Link};

/// Regions by number: the registers, and what each type has behind them.
pub(super) const IOMEM: usize = 0;
const PLAIN_SHMEM: usize = 1;
const MSIX: usize = 1;
const DOORBELL_SHMEM: usize = 2;
/// Most vectors that MSI-X has.
const MAX_VECTORS: u64 = 2048;
/// Base class and sub-class: memory, RAM (PCI Code and ID Assignment, section 1.6).
const CLASS_RAM: u16 = 0x0500;
/// Offset of the only capability.
const MSIX_CAP: u16 = 0x40;

const REGISTERS: Region = Region {
    name: "ivshmem-mmio",
    kind: RegionKind::Mmio,
    size: regs::PCI_REGS_LEN as u64,
    valid: (1, 8),
    native: (4, 4),
    endian: Endian::Little,
    registers: &[
        Register::rw(regs::INTRMASK as u64, "INTRMASK"),
        Register::rw(regs::INTRSTATUS as u64, "INTRSTATUS"),
        Register::ro(regs::IVPOSITION as u64, "IVPOSITION"),
        Register::wo(regs::DOORBELL as u64, "DOORBELL"),
    ],
};

/// Memory that the guest must not write.
static READ_ONLY: Region = Region::ram("shmem-rom", 0);

const MASTER: Property = Property {
    name: "master",
    kind: PropKind::Enum(&["off", "on", "auto"]),
    default: Some("off"),
    help: "when this machine is saved, the shared memory goes with it; 'auto': if it is the first at its server",
};

/// `ivshmem-plain`.
pub static PLAIN: DeviceType = DeviceType {
    name: "ivshmem-plain",
    bus: BusKind::Pci,
    category: Category::Misc,
    summary: "Inter-VM shared memory",
    user_creatable: true,
    properties: pci_properties![
        Property {
            name: "memdev",
            kind: PropKind::Backend("memdev"),
            default: None,
            help: "memory back end that is shared",
        },
        MASTER,
    ],
    regions: &[REGISTERS, Region::ram("shmem", 0)],
    roles: &[role!(Ivshmem as dyn PciFunction), role!(Ivshmem as dyn Mmio)],
    create: plain,
    ..DeviceType::BASE
};

/// `ivshmem-doorbell`.
pub static DOORBELL: DeviceType = DeviceType {
    name: "ivshmem-doorbell",
    bus: BusKind::Pci,
    category: Category::Misc,
    summary: "Inter-VM shared memory and doorbells",
    user_creatable: true,
    properties: pci_properties![
        CHARDEV,
        Property {
            name: "vectors",
            kind: PropKind::Uint(32),
            default: Some("1"),
            help: "MSI-X vectors on which peers can ring, 1 to 2048",
        },
        Property {
            name: "ioeventfd",
            kind: PropKind::Bool,
            default: Some("on"),
            help: "accepted; doorbells take the same way with and without",
        },
        MASTER,
    ],
    regions: &[REGISTERS, msix_region!("msix", 4096), Region::ram("shmem", 0)],
    roles: &[role!(Ivshmem as dyn PciFunction), role!(Ivshmem as dyn Mmio)],
    events: &events::EVENTS,
    create: doorbell,
    ..DeviceType::BASE
};

southbridge_core::trace_events! {
    /// What happens between an `ivshmem-doorbell`, its peers and the server.
    pub(super) mod events {
        ivshmem_doorbell_ring_out(peer: uint, vector: uint) "a doorbell of a peer was rung";
        ivshmem_doorbell_ring_lost(peer: uint, vector: uint) "a doorbell was written for a peer or vector that is not there";
        ivshmem_doorbell_ring_in(vector: uint) "somebody rang this device";
        ivshmem_doorbell_own_id(id: uint) "the server told the device its id";
        ivshmem_doorbell_memory(bytes: uint) "the server handed out the shared memory";
        ivshmem_doorbell_peer_joined(peer: uint, vector: uint) "a peer introduced one of its vectors";
        ivshmem_doorbell_peer_left(peer: uint) "a peer is gone";
        ivshmem_doorbell_server_gone() "the connection to the server ended";
    }
}

/// A function with the registers, and nothing else yet.
fn function(p: &Properties, build: &mut Build<'_>) -> Result<Pci, CreateError> {
    let id = Identity::new(regs::PCI_VENDOR, regs::PCI_DEVICE, CLASS_RAM).revision(regs::PCI_REVISION);
    let mut pci = Pci::conventional(id);
    pci.add_bar(regs::PCI_BAR_REGS, Bar::mem32(IOMEM, regs::PCI_REGS_LEN.into()));
    common::apply(&mut pci, p, build)?;
    Ok(pci)
}

fn master(p: &Properties) -> Master {
    match p.str("master") {
        Some("on") => Master::On,
        Some("auto") => Master::Auto,
        _ => Master::Off,
    }
}

fn plain(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let (memory, readonly) = memory_of(p, build)?;
    let size = memory.len();
    let pci = function(p, build)?;
    let shmem = if readonly {
        build.add_rom(&READ_ONLY, memory.clone())
    } else {
        build.region_size(PLAIN_SHMEM, size);
        build.back_region(PLAIN_SHMEM, memory.clone());
        PLAIN_SHMEM
    };
    let mut device = Ivshmem {
        master: master(p),
        shmem,
        link: None,
        memory: Some(memory),
        arriving: None,
        size,
        pci,
        intrmask: 0,
        intrstatus: 0,
    };
    device.declare_memory();
    Ok(Box::new(device))
}

/// The memory that `memdev=` names, and whether it must only be read.
fn memory_of(p: &Properties, build: &mut Build<'_>) -> Result<(RamBlock, bool), CreateError> {
    let Some(PropValue::Backend(name, id)) = p.get("memdev") else {
        return Err(CreateError::Missing {
            property: "memdev",
            expected: "ID (of a memory back end, made by '-object memory-backend-...')".into(),
        });
    };
    let wrong = |expected: &str| CreateError::BadValue {
        property: "memdev",
        value: name.clone(),
        expected: expected.into(),
    };
    let (backend, _) = build
        .backend::<MemoryBackend>(*id)
        .ok_or_else(|| wrong("a memory back end, and this is none"))?;
    let memory = backend.block().clone();
    if !memory.len().is_power_of_two() {
        let len = memory.len();
        return Err(wrong(&format!(
            "memory whose size is a power of two, as a BAR's is; this has {len} bytes"
        )));
    }
    Ok((memory, backend.is_readonly()))
}

fn doorbell(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let vectors = p.uint("vectors");
    if !(1..=MAX_VECTORS).contains(&vectors) {
        return Err(CreateError::BadValue {
            property: "vectors",
            value: vectors.to_string(),
            expected: format!("1 to {MAX_VECTORS}"),
        });
    }
    let vectors = vectors as u16;
    let mut pci = function(p, build)?;
    let size = MsixLayout::exclusive_size(vectors);
    pci.add_bar(regs::PCI_BAR_MSIX, Bar::mem32(MSIX, size));
    pci.add_msix(MSIX_CAP, MsixLayout::exclusive(regs::PCI_BAR_MSIX as u8, vectors));
    build.region_size(MSIX, size);
    Ok(Box::new(Ivshmem {
        master: master(p),
        shmem: DOORBELL_SHMEM,
        link: Some(Link::attach(p, vectors, build)?),
        memory: None,
        arriving: None,
        size: 0,
        pci,
        intrmask: 0,
        intrstatus: 0,
    }))
}
