//! virtio over MMIO (Virtio 1.3, section 4.2): the transport `virtio-mmio`, and `virtio-X-device` on its bus.
//!
//! The transport is a part of the board; the device comes to it by `-device`. An empty one has a magic number, a version, no device and
//! a vendor; everything else reads as zero and ignores writes, so that drivers pass it by. Registers are version 1 of the transport
//! (before version 1 of the specification) unless `force-legacy=off` makes them version 2.

mod device;
mod registers;
#[cfg(test)]
mod tests;

pub use device::{LINES, OnBus, ROLES, create};

use serde::{Deserialize, Serialize};
use southbridge_bus_virtio::wiring::VirtioSlot;
use southbridge_core::{
    Build, BusDecl, BusKind, CreateError, Ctx, Device, DeviceType, Line, LoadError, Mmio, Properties, Region,
    ResetPhase, SavedState, role,
};

use crate::types::flag;

const STATE: u32 = 1;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "virtio-mmio",
    summary: "virtio transport in memory",
    properties: &[
        flag("force-legacy", true, "the interface of before virtio 1.0"),
        flag(
            "ioeventfd",
            true,
            "accepted for QEMU's sake: notifications are handled where they come",
        ),
        flag(
            "format_transport_address",
            true,
            "accepted for QEMU's sake: addresses are no part of the name",
        ),
    ],
    regions: &[Region {
        valid: (1, 4),
        native: (1, 4),
        ..Region::mmio32("regs", 0x200, &[])
    }],
    lines: &[Line::out("irq")],
    buses: &[BusDecl {
        name: "virtio-mmio-bus",
        kind: BusKind::Virtio,
    }],
    roles: &[role!(VirtioMmio as dyn Mmio), role!(VirtioMmio as dyn VirtioSlot)],
    create: VirtioMmio::create,
    ..DeviceType::BASE
};

/// A transport.
pub struct VirtioMmio {
    // Fixed.
    legacy: bool,
    // Volatile.
    state: State,
}

/// Registers that say which of several things others are about, and what legacy drivers say once for all queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    device_features: bool,
    driver_features: bool,
    queue: u16,
    page_shift: u8,
    align: u32,
}

impl State {
    const fn new() -> Self {
        Self {
            device_features: false,
            driver_features: false,
            queue: 0,
            page_shift: 0,
            align: 4096,
        }
    }
}

impl VirtioMmio {
    fn create(p: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self {
            legacy: p.bool("force-legacy"),
            state: State::new(),
        }))
    }
}

impl VirtioSlot for VirtioMmio {
    fn version_1(&self) -> bool {
        !self.legacy
    }

    fn selected_queue(&self) -> (u16, u32) {
        (self.state.queue, self.state.align)
    }
}

impl Device for VirtioMmio {
    fn reset(&mut self, phase: ResetPhase, _: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.state = State::new();
        }
    }

    fn save(&self) -> SavedState {
        let Self { legacy: _, state } = self;
        SavedState::of(STATE, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(STATE)?;
        if state.page_shift > 31 {
            return Err(LoadError::Impossible("the page size of a virtio transport"));
        }
        self.state = state;
        Ok(())
    }
}
