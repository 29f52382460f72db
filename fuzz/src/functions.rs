//! A physical function with virtual ones, a mailbox for data objects, errors and power events, for the target of PCI: no device that
//! users can have has all of it.

use southbridge_bus_pci::caps::{Aer, Ari, Ats, DataObjectExchange, Express, PortType, PowerManagement, Sriov};
use southbridge_bus_pci::doe::{Answer, Mailbox, MailboxState, Protocol, Protocols};
use southbridge_bus_pci::{
    Bar, BarKind, Effects, Identity, MsixLayout, Pci, PciFunction, PciState, errors, msix_region, pci_properties,
};
use southbridge_core::{
    Access, BusKind, Ctx, Device, DeviceType, LoadError, Mmio, Properties, ResetPhase, SavedState, role,
};

const DOE: u16 = 0x200;

/// The physical function.
pub(crate) static PHYSICAL: DeviceType = DeviceType {
    name: "fuzz-physical",
    bus: BusKind::Pci,
    summary: "for fuzzing",
    properties: pci_properties![],
    regions: &[msix_region!("msix", 4096)],
    roles: &[role!(Function as dyn PciFunction), role!(Function as dyn Mmio)],
    create: |_, _| {
        let mut pci = Pci::express(Identity::new(0x1234, 0x5678, 0x00ff));
        pci.set_multifunction();
        pci.add_bar(0, Bar::mem32(0, 4096));
        pci.add_extended(0x100, &Ari { next_function: 0 });
        let cap = Sriov {
            device: 0x5679,
            total: 3,
            offset: 1,
            stride: 1,
        };
        pci.add_sriov(0x140, &cap);
        pci.add_virtual_bar(0, BarKind::Memory32 { prefetch: false }, 4096);
        pci.add_extended(
            0x190,
            &Aer {
                root: false,
                multi_header: true,
                mask_internal: true,
            },
        );
        pci.set_error_log(4);
        pci.add_extended(DOE, &DataObjectExchange { vector: Some(1) });
        pci.add_extended(0x220, &Ats { page_aligned: true });
        Ok(Box::new(Function::new(pci)))
    },
    ..DeviceType::BASE
};

static VIRTUAL: DeviceType = DeviceType {
    name: "fuzz-virtual",
    bus: BusKind::Pci,
    summary: "for fuzzing",
    properties: pci_properties![],
    regions: &[msix_region!("msix", 4096)],
    roles: &[role!(Function as dyn PciFunction), role!(Function as dyn Mmio)],
    create: |_, _| {
        let mut pci = Pci::virtual_function(Identity::new(0x1234, 0x5679, 0x00ff));
        pci.add_bar(0, Bar::mem32(0, 4096));
        Ok(Box::new(Function::new(pci)))
    },
    ..DeviceType::BASE
};

struct Function {
    pci: Pci,
    doe: Mailbox,
}

/// What the mailbox speaks: one protocol that answers, one that takes its time, one that fails.
struct Spoken;

impl Protocols for Spoken {
    fn protocols(&self) -> &[Protocol] {
        &[(0x1234, 0), (0x1234, 1), (0x1234, 2)]
    }

    fn object(&mut self, protocol: Protocol, words: &[u32], _cx: &mut Ctx<'_>) -> Answer {
        match protocol.1 {
            0 => Answer::Object(words.to_vec()),
            1 => Answer::Later,
            _ => Answer::Error,
        }
    }
}

impl Function {
    fn new(mut pci: Pci) -> Self {
        pci.add_msix(0x40, MsixLayout::exclusive(0, 2));
        let pm = PowerManagement {
            version: 3,
            wakes_from: 0x19,
            ..PowerManagement::default()
        };
        pci.add_pm(0x50, &pm);
        let e = Express {
            flr: true,
            ..Express::endpoint(PortType::Endpoint)
        };
        pci.add_express(0x80, &e);
        Self {
            pci,
            doe: Mailbox::new(DOE, Some(1)),
        }
    }
}

impl PciFunction for Function {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        self.doe.reset();
        self.pci.reset(false, cx);
    }

    fn virtual_type(&self) -> Option<(&'static DeviceType, Properties)> {
        Some((&VIRTUAL, Properties::default()))
    }

    fn config_read(&mut self, offset: u16, size: u8, _cx: &mut Ctx<'_>) -> u32 {
        let doe = self.doe.read(offset, size);
        doe.unwrap_or_else(|| self.pci.config_read(offset, size))
    }

    fn config_write(&mut self, offset: u16, size: u8, value: u32, cx: &mut Ctx<'_>) -> Effects {
        if self.doe.write(offset, size, value, &mut self.pci, &mut Spoken, cx) {
            return Effects::empty();
        }
        let effects = self.pci.config_write(offset, size, value, cx);
        if effects.contains(Effects::RESET) {
            self.function_reset(cx);
        }
        effects
    }
}

impl Mmio for Function {
    fn read(&mut self, access: Access, _cx: &mut Ctx<'_>) -> u64 {
        self.pci.msix_read(access).unwrap_or(0)
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if self.pci.msix_write(access, value, cx) {
            return;
        }
        match access.offset & 0xc {
            0 => drop(self.pci.notify(value as u16, cx)),
            4 => self.doe.finish(Answer::Object(vec![value as u32]), &mut self.pci, cx),
            8 => errors::power_event(self, cx),
            _ => {}
        }
    }
}

impl Device for Function {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.doe.reset();
            self.pci.reset(true, cx);
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(1, &(self.pci.save(), self.doe.save()))
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let (pci, doe) = state.read::<(PciState, MailboxState)>(1)?;
        self.pci.check(&pci)?;
        self.doe.load(doe)?;
        self.pci.load(pci)
    }
}
