//! `virtio-mmio`: a slot for a virtio device (Virtio 1.2, section 4.2). It is empty: nothing can be plugged in yet.
//!
//! An empty slot has a magic number, a version, no device and a vendor; everything else reads as zero and ignores writes, so that
//! drivers pass it by.

#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LoadError, Mmio, PropKind, Properties, Property, Region,
    ResetPhase, SavedState, role,
};

// Virtio 1.2, table 4.1.
const MAGIC_VALUE: u64 = 0x00;
const VERSION: u64 = 0x04;
const DEVICE_ID: u64 = 0x08;
const VENDOR_ID: u64 = 0x0c;

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const VENDOR: u32 = u32::from_le_bytes(*b"QEMU");

const fn flag(name: &'static str, default: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Bool,
        default: Some(default),
        help,
    }
}

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "virtio-mmio",
    summary: "virtio transport in memory (an empty slot)",
    properties: &[
        flag("force-legacy", "on", "the interface of before virtio 1.0"),
        flag(
            "ioeventfd",
            "on",
            "accepted for QEMU's sake: an empty slot is not notified",
        ),
        flag(
            "format_transport_address",
            "on",
            "accepted for QEMU's sake: an empty slot has no device to name",
        ),
    ],
    regions: &[Region {
        valid: (1, 4),
        native: (1, 4),
        ..Region::mmio32("regs", 0x200, &[])
    }],
    lines: &[Line::out("irq")],
    roles: &[role!(VirtioMmio as dyn Mmio)],
    create: VirtioMmio::create,
    ..DeviceType::BASE
};

/// An empty slot.
pub struct VirtioMmio {
    version: u32,
}

impl VirtioMmio {
    fn create(p: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let version = if p.bool("force-legacy") { 1 } else { 2 };
        Ok(Box::new(Self { version }))
    }
}

impl Mmio for VirtioMmio {
    fn read(&mut self, access: Access, _: &mut Ctx<'_>) -> u64 {
        let value = match access.offset {
            MAGIC_VALUE => MAGIC,
            VERSION => self.version,
            VENDOR_ID => VENDOR,
            DEVICE_ID => 0,
            _ => 0,
        };
        value.into()
    }

    fn write(&mut self, _: Access, _: u64, _: &mut Ctx<'_>) {}
}

impl Device for VirtioMmio {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}

    fn save(&self) -> SavedState {
        let Self { version: _ } = self;
        SavedState::of(1, &())
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        state.read(1)
    }
}
