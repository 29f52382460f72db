//! What a virtio function looks like in configuration space: ids, BARs, capabilities (Virtio 1.3, section 4.1; layout as QEMU's).

use southbridge_bus_pci::caps::{Aer, Ats, Capability, Express, PortType, PowerManagement};
use southbridge_bus_pci::{Bar, Identity, MsixLayout, Pci};
use southbridge_bus_virtio::spec::{MAX_QUEUES, id};
use southbridge_core::{CreateError, Properties};

use super::{INTX, LEGACY, MODERN, MSIX, NOTIFY_PORT};
use crate::types::{Flavor, ModelType};

/// Offsets in the modern BAR.
pub(super) const COMMON: u64 = 0;
pub(super) const ISR: u64 = 0x1000;
pub(super) const DEVICE: u64 = 0x2000;
pub(super) const NOTIFY: u64 = 0x3000;
const PART: u32 = 0x1000;

const LEGACY_BAR: usize = 0;
const MSIX_BAR: usize = 1;
const PORT_BAR: usize = 2;
const MODERN_BAR: usize = 4;

/// Registers of the legacy interface before the device's configuration, with and without MSI-X.
pub(super) const LEGACY_MSIX_LEN: u64 = 24;
pub(super) const LEGACY_LEN: u64 = 20;

/// The choices of the user and of the slot.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) device_id: u16,
    pub(super) class: u16,
    pub(super) config_len: u64,
    pub(super) vectors: u16,
    /// `None`: as the slot says.
    legacy: Option<bool>,
    has_legacy: bool,
    pub(super) modern: bool,
    pub(super) notify_port: bool,
    pub(super) page_per_queue: bool,
    never_express: bool,
    multifunction: bool,
    ats: Option<bool>,
    errors: bool,
    link_control: bool,
    power: bool,
    no_soft_reset: bool,
    flr: bool,
    aer: bool,
    tag: bool,
    /// The slot is PCI Express and not on the root bus.
    pub(super) express: bool,
}

impl Shape {
    pub(super) fn new(
        model: &ModelType,
        flavor: Flavor,
        p: &Properties,
        device_id: u16,
        queues: u16,
        config_len: usize,
    ) -> Result<Self, CreateError> {
        let vectors = match p.uint("vectors") {
            n if n == u64::from(u32::MAX) => (model.vectors)(queues),
            // QEMU warns and goes on without; nobody asks for so many in earnest.
            n => u16::try_from(n).ok().filter(|n| *n <= 2048).unwrap_or(0),
        };
        let class = p.opt_uint("class").filter(|c| *c != 0);
        let may_be_legacy = model.legacy || p.bool("x-disable-legacy-check");
        let (legacy, modern) = match flavor {
            Flavor::Any => (chosen(p), !p.bool("disable-modern")),
            Flavor::Transitional => (Some(true), true),
            Flavor::Modern => (Some(false), true),
        };
        let shape = Self {
            device_id,
            class: class.map_or(model.class, |c| c as u16),
            config_len: config_len as u64,
            vectors,
            // A device without such an interface has none, whatever the user says.
            legacy: if may_be_legacy { legacy } else { Some(false) },
            has_legacy: may_be_legacy,
            modern: modern || !may_be_legacy,
            notify_port: p.bool("modern-pio-notify"),
            page_per_queue: p.bool("page-per-vq"),
            never_express: p.bool("x-disable-pcie"),
            multifunction: p.bool("multifunction"),
            ats: p.bool("ats").then(|| p.bool("x-ats-page-aligned")),
            errors: p.bool("x-pcie-deverr-init"),
            link_control: p.bool("x-pcie-lnkctl-init"),
            power: p.bool("x-pcie-pm-init"),
            no_soft_reset: p.bool("x-pcie-pm-no-soft-reset"),
            flr: p.bool("x-pcie-flr-init"),
            aer: p.bool("aer"),
            tag: p.bool("x-pcie-ext-tag"),
            express: false,
        };
        shape.check(p)?;
        Ok(shape)
    }

    fn check(&self, p: &Properties) -> Result<(), CreateError> {
        let bad = |property, value: &str, expected: &str| CreateError::BadValue {
            property,
            value: value.into(),
            expected: expected.into(),
        };
        if self.legacy == Some(false) && !self.modern {
            return Err(bad("disable-modern", "on", "'off' where disable-legacy is on"));
        }
        if p.bool("iommu_platform") && self.legacy == Some(true) {
            return Err(bad("iommu_platform", "on", "'off' on a device with a legacy interface"));
        }
        Ok(())
    }

    /// Whether there is a legacy interface.
    pub(super) fn legacy(&self) -> bool {
        self.has_legacy && self.legacy.unwrap_or(!self.express)
    }

    /// Bytes from one queue's place for notifications to the next.
    pub(super) fn notify_step(&self) -> u32 {
        if self.page_per_queue { 0x1000 } else { 4 }
    }

    /// Bytes of the modern BAR.
    pub(super) fn modern_len(&self) -> u64 {
        (NOTIFY + u64::from(self.notify_step()) * MAX_QUEUES as u64).next_power_of_two()
    }

    /// Bytes of the legacy BAR.
    pub(super) fn legacy_len(&self) -> u64 {
        let registers = if self.vectors > 0 { LEGACY_MSIX_LEN } else { LEGACY_LEN };
        (registers + self.config_len).next_power_of_two()
    }

    fn identity(&self) -> Identity {
        let transitional = transitional_id(self.device_id);
        if self.legacy() {
            let device = transitional.unwrap_or(0x1040 + self.device_id);
            let mut identity = Identity::new(0x1af4, device, self.class);
            identity.subsystem = (0x1af4, self.device_id);
            identity
        } else {
            Identity::new(0x1af4, 0x1040 + self.device_id, self.class).revision(1)
        }
    }

    /// The function, without an expansion ROM.
    pub(super) fn build(&self) -> (Pci, Option<u16>) {
        let express = self.express && !self.never_express;
        let mut pci = if express {
            Pci::express(self.identity())
        } else {
            Pci::conventional(self.identity())
        };
        if self.multifunction {
            pci.set_multifunction();
        }
        let mut at = 0x40;
        if express {
            self.add_express(&mut pci);
            at = 0x84;
        }
        pci.set_intx_pin(1, INTX);
        let mut window = None;
        if self.modern {
            window = Some(self.add_modern(&mut pci, &mut at));
        }
        if self.vectors > 0 {
            pci.add_msix(at, MsixLayout::exclusive(MSIX_BAR as u8, self.vectors));
            pci.add_bar(MSIX_BAR, Bar::mem32(MSIX, MsixLayout::exclusive_size(self.vectors)));
        }
        if self.legacy() {
            pci.add_bar(LEGACY_BAR, Bar::io(LEGACY, self.legacy_len()));
        }
        (pci, window)
    }

    fn add_express(&self, pci: &mut Pci) {
        let mut e = Express::endpoint(PortType::Endpoint);
        e.flr = self.flr;
        e.errors = self.errors;
        e.extended_tag = self.tag;
        pci.add_express(0x40, &e);
        if self.link_control {
            // Active state power management, read completion boundary, common clock, extended synch.
            let lnkctl = 0x40 + southbridge_bus_pci::caps::express::regs::LNKCTL;
            pci.config.declare(lnkctl, 2, 0, 0xc3, 0);
        }
        let pm = PowerManagement {
            version: 3,
            no_soft_reset: self.no_soft_reset,
            ..PowerManagement::default()
        };
        pci.add_pm(0x7c, &pm);
        if !self.power {
            let control = 0x7c + southbridge_bus_pci::caps::PM_CONTROL;
            let fixed = pci.config.u16(control);
            pci.config.declare(control, 2, fixed.into(), 0, 0);
        }
        let mut extended = 0x100;
        if self.aer {
            let aer = Aer {
                root: false,
                multi_header: false,
                mask_internal: true,
            };
            pci.add_extended(extended, &aer);
            extended += 0x48;
        }
        if let Some(page_aligned) = self.ats {
            pci.add_extended(extended, &Ats { page_aligned });
        }
    }

    /// Capabilities of the interface of version 1; gives where the one for access through configuration space is.
    fn add_modern(&self, pci: &mut Pci, at: &mut u16) -> u16 {
        let mut add = |pci: &mut Pci, part: Part| {
            let here = *at;
            pci.add_capability(here, &part);
            *at += u16::from(part.size());
            here
        };
        let bar = MODERN_BAR as u8;
        for (kind, offset) in [(1, COMMON), (3, ISR), (4, DEVICE)] {
            add(pci, Part::new(kind, bar, offset as u32, PART));
        }
        let step = self.notify_step();
        let notify = Part::new(2, bar, NOTIFY as u32, step * MAX_QUEUES as u32);
        add(pci, notify.with(step));
        if self.notify_port {
            add(pci, Part::new(2, PORT_BAR as u8, 0, 4).with(0));
            pci.add_bar(PORT_BAR, Bar::io(NOTIFY_PORT, 4));
        }
        pci.add_bar(MODERN_BAR, Bar::mem64_prefetch(MODERN, self.modern_len()));
        let window = add(pci, Part::new(5, 0, 0, 0).with(0));
        pci.config.declare(window + 4, 1, 0, 0xff, 0);
        for field in [8, 12, 16] {
            pci.config.declare(window + field, 4, 0, u32::MAX, 0);
        }
        window
    }
}

fn chosen(p: &Properties) -> Option<bool> {
    match p.get("disable-legacy") {
        Some(southbridge_core::PropValue::OnOffAuto(Some(off))) => Some(!off),
        _ => None,
    }
}

/// Device ids of before version 1, of kinds of devices that are that old.
fn transitional_id(device: u16) -> Option<u16> {
    Some(match device {
        id::NET => 0x1000,
        id::BLOCK => 0x1001,
        id::BALLOON => 0x1002,
        id::CONSOLE => 0x1003,
        8 => 0x1004,
        id::RNG => 0x1005,
        id::P9 => 0x1009,
        _ => return None,
    })
}

/// A vendor capability that says where a part of the interface is (section 4.1.4).
struct Part {
    kind: u8,
    bar: u8,
    offset: u32,
    len: u32,
    /// What follows, in those that are longer.
    more: Option<u32>,
}

impl Part {
    const fn new(kind: u8, bar: u8, offset: u32, len: u32) -> Self {
        Self {
            kind,
            bar,
            offset,
            len,
            more: None,
        }
    }

    const fn with(mut self, more: u32) -> Self {
        self.more = Some(more);
        self
    }
}

impl Capability for Part {
    const ID: u8 = 9;

    fn size(&self) -> u8 {
        if self.more.is_some() { 20 } else { 16 }
    }

    fn declare(&self, config: &mut southbridge_bus_pci::ConfigSpace, at: u16) {
        config.declare(at + 2, 1, self.size().into(), 0, 0);
        config.declare(at + 3, 1, self.kind.into(), 0, 0);
        config.declare(at + 4, 1, self.bar.into(), 0, 0);
        config.declare(at + 8, 4, self.offset, 0, 0);
        config.declare(at + 12, 4, self.len, 0, 0);
        if let Some(more) = self.more {
            config.declare(at + 16, 4, more, 0, 0);
        }
    }
}
