//! `gpex-root`: the host bridge as its own bus sees it. It has an identity and nothing else.

use southbridge_bus_pci::{Identity, Pci, PciFunction, PciState, common, pci_properties, regs};
use southbridge_core::{BusKind, Category, Ctx, Device, DeviceType, LoadError, ResetPhase, SavedState, role};

const VERSION: u32 = 1;

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "gpex-root",
    bus: BusKind::Pci,
    category: Category::Bridge,
    summary: "PCI Express host bridge as its bus sees it",
    properties: pci_properties![],
    roles: &[role!(Root as dyn PciFunction)],
    create: |p, build| {
        let mut pci = Pci::conventional(Identity::new(regs::VENDOR_REDHAT, 0x0008, 0x0600));
        common::apply(&mut pci, p, build)?;
        Ok(Box::new(Root { pci }))
    },
    ..DeviceType::BASE
};

/// A `gpex-root`.
pub(super) struct Root {
    pci: Pci,
}

impl PciFunction for Root {
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

impl Device for Root {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.pci.reset(true, cx);
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.pci.save())
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.pci.load(state.read::<PciState>(VERSION)?)
    }
}
