//! `pvpanic-pci`: one byte by which a guest kernel says that it crashed (QEMU `docs/specs/pvpanic`).
//!
//! Reading gives the events that the device knows; writing one reports it. A panic stops the machine as `-action panic=` says.

#[cfg(test)]
mod tests;

use southbridge_bus_pci::{Bar, Identity, Pci, PciFunction, PciState, common, pci_properties, regs};
use southbridge_core::{
    Access, Build, BusKind, Category, CreateError, Ctx, Device, DeviceType, Endian, LoadError, Mmio, PropKind,
    Properties, Property, Region, RegionKind, ResetPhase, SavedState, role,
};

const VERSION: u32 = 1;
const PANICKED: u8 = 1;
const CRASH_LOADED: u8 = 2;
const SHUTDOWN: u8 = 4;

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "pvpanic-pci",
    bus: BusKind::Pci,
    category: Category::Misc,
    summary: "Tells of a crash of the guest's kernel",
    user_creatable: true,
    properties: pci_properties![Property {
        name: "events",
        kind: PropKind::Uint(8),
        default: Some("7"),
        help: "events that it tells the guest it knows: 1 panic, 2 crash kernel loaded, 4 shutdown",
    }],
    regions: &[Region {
        name: "pvpanic",
        kind: RegionKind::Mmio,
        size: 2,
        valid: (1, 4),
        native: (1, 1),
        endian: Endian::Little,
        registers: &[],
    }],
    roles: &[role!(PvPanic as dyn PciFunction), role!(PvPanic as dyn Mmio)],
    create: PvPanic::create,
    ..DeviceType::BASE
};

/// A `pvpanic-pci`.
pub struct PvPanic {
    events: u8,
    pci: Pci,
}

impl PvPanic {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let mut pci = Pci::conventional(Identity::new(regs::VENDOR_REDHAT, 0x0011, 0x0880).revision(1));
        pci.add_bar(0, Bar::mem32(0, 2));
        common::apply(&mut pci, p, build)?;
        Ok(Box::new(Self {
            events: p.uint("events") as u8,
            pci,
        }))
    }
}

impl PciFunction for PvPanic {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        self.pci.reset(false, cx);
    }
}

impl Mmio for PvPanic {
    fn read(&mut self, _access: Access, _cx: &mut Ctx<'_>) -> u64 {
        self.events.into()
    }

    fn write(&mut self, _access: Access, value: u64, cx: &mut Ctx<'_>) {
        let event = value as u8;
        if event & PANICKED != 0 {
            cx.guest_panicked();
        } else if event & CRASH_LOADED != 0 {
            cx.warning(format_args!("the guest's crash kernel has taken over"));
        } else if event & SHUTDOWN != 0 {
            cx.request_shutdown();
        } else {
            cx.guest_error(format_args!("unknown event {event:#x}"));
        }
    }
}

impl Device for PvPanic {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.pci.reset(true, cx);
        }
    }

    fn save(&self) -> SavedState {
        let Self { events: _, pci } = self;
        SavedState::of(VERSION, &pci.save())
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.pci.load(state.read::<PciState>(VERSION)?)
    }
}
