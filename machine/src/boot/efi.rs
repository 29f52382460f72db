//! What is left of UEFI when it has handed over, for a kernel that takes ACPI only from there: a system table, the memory map, and the
//! statement that no runtime service is there to be called.
//!
//! There are no boot services, so that a kernel's EFI stub cannot run: the kernel is started by itself and finds all this through the device
//! tree (Linux, `Documentation/arch/arm/uefi.rst`, properties of `/chosen`). Structures: UEFI 2.10, 4.3, 4.6, 7.2.3.

use crate::acpi::Linked;
use crate::acpi::bytes::{Bytes, guid, wide_text};
use crate::fdt::{Node, cells, wide};

pub(crate) const PAGE: u64 = 4096;
/// Where things stand in the area.
const CONFIGURATION: usize = 0x80;
const RUNTIME_PROPERTIES: usize = 0xc0;
const VENDOR: usize = 0xe0;
const MEMORY_MAP: usize = 0x100;
const ACPI: usize = 0x200;

const SYSTEM_TABLE: usize = 120;
const DESCRIPTOR: u32 = 40;
/// Revision 2.10, as its major number and ten times its minor.
const REVISION: u32 = 2 << 16 | 100;

/// Memory for what its processor has, and written back to it.
const WRITE_BACK: u64 = 1 << 3;

/// What a stretch of memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Reserved = 0,
    Conventional = 7,
    AcpiReclaim = 9,
}

/// The area with the tables and all that leads to them.
#[derive(Debug)]
pub(crate) struct Area {
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
    regions: u32,
}

/// Makes the area for memory from `start` to `end`, at its end; firmware lives below `firmware_end`. `None`: there is no room.
pub(crate) fn area(tables: &Linked, start: u64, firmware_end: u64, end: u64) -> Option<Area> {
    let end = end / PAGE * PAGE;
    let size = (ACPI + tables.placed(0).len()) as u64;
    let at = end.checked_sub(size.next_multiple_of(PAGE))?;
    let kept = firmware_end.next_multiple_of(PAGE);
    let regions = [
        (Kind::Reserved, start, kept),
        (Kind::Conventional, kept, at),
        (Kind::AcpiReclaim, at, end),
    ];
    let regions: Vec<_> = regions.into_iter().filter(|(_, from, to)| from < to).collect();
    if at <= kept {
        return None;
    }
    let bytes = system_table(at)
        .up_to(CONFIGURATION)
        .bytes(&guid(
            0x8868_e871,
            0xe4f1,
            0x11d3,
            [0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81],
        ))
        .u64(at + ACPI as u64)
        .bytes(&guid(
            0xeb66_918a,
            0x7eef,
            0x402a,
            [0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9],
        ))
        .u64(at + RUNTIME_PROPERTIES as u64)
        .up_to(RUNTIME_PROPERTIES)
        // Version, length, and a bit for each service that works.
        .u16(1)
        .u16(8)
        .u32(0)
        .up_to(VENDOR)
        .bytes(&wide_text("Southbridge"))
        .up_to(MEMORY_MAP);
    let describe = |b: Bytes, (kind, from, to): &(Kind, u64, u64)| {
        let pages = (to - from) / PAGE;
        b.u32(*kind as u32).u32(0).u64(*from).u64(0).u64(pages).u64(WRITE_BACK)
    };
    let bytes = regions.iter().fold(bytes, describe).up_to(ACPI);
    let bytes = bytes.bytes(&tables.placed(at + ACPI as u64)).0;
    Some(Area {
        at,
        bytes,
        regions: regions.len() as u32,
    })
}

fn system_table(at: u64) -> Bytes {
    let build = |crc| {
        Bytes::new()
            .bytes(b"IBI SYST")
            .u32(REVISION)
            .u32(SYSTEM_TABLE as u32)
            .u32(crc)
            .u32(0)
            .u64(at + VENDOR as u64)
            .u32(0)
            .u32(0)
            // Consoles, runtime and boot services: there are none.
            .up_to(104)
            .u64(2)
            .u64(at + CONFIGURATION as u64)
    };
    let mut crc = flate2::Crc::new();
    crc.update(&build(0).0);
    build(crc.sum())
}

impl Area {
    /// Tells the kernel where it is.
    pub(crate) fn tell(&self, chosen: &mut Node) {
        for (name, value) in [
            ("linux,uefi-system-table", self.at),
            ("linux,uefi-mmap-start", self.at + MEMORY_MAP as u64),
        ] {
            chosen.set(name, cells(wide(value)));
        }
        for (name, value) in [
            ("linux,uefi-mmap-size", self.regions * DESCRIPTOR),
            ("linux,uefi-mmap-desc-size", DESCRIPTOR),
            ("linux,uefi-mmap-desc-ver", 1),
            // Debian's kernels take none of this without it; 2 says that secure boot is off.
            ("linux,uefi-secure-boot", 2),
        ] {
            chosen.set(name, cells([value]));
        }
    }
}
