//! Virtual functions as software meets them, with a physical function that has nothing else.

use southbridge_bus_pci::caps::{Ari, Express, PortType, Sriov};
use southbridge_bus_pci::wiring::{VirtualError, add_virtual_functions, devfn, plug, virtual_functions};
use southbridge_bus_pci::{
    Bar, BarKind, Identity, MsixLayout, Pci, PciFunction, PciState, common, msix_region, pci_properties,
};
use southbridge_core::{
    Access, BusKind, Ctx, Device, DeviceId, DeviceType, Endian, LoadError, Mmio, Properties, Region, RegionKind,
    ResetPhase, SavedState, role,
};

use crate::port::ROOT_PORT;
use crate::rig::{MMIO, MMIO64, RAM, Rig};

const REGS: usize = 0;
const MSIX: usize = 1;
const SRIOV: u64 = 0x140;
const TOTAL: u16 = 16;

const fn words(name: &'static str, size: u64) -> Region {
    Region {
        name,
        kind: RegionKind::Mmio,
        size,
        valid: (4, 4),
        native: (4, 4),
        endian: Endian::Little,
        registers: &[],
    }
}

pub(crate) static PHYSICAL: DeviceType = DeviceType {
    name: "test-physical",
    bus: BusKind::Pci,
    summary: "for tests",
    properties: pci_properties![],
    regions: &[words("wide", 8 << 20)],
    roles: &[role!(Function as dyn PciFunction), role!(Function as dyn Mmio)],
    create: |p, build| {
        let mut pci = Pci::express(Identity::new(0x1234, 0x5678, 0x00ff));
        // Each word of it is its own offset.
        pci.add_bar(0, Bar::mem32(0, 8 << 20));
        express(&mut pci);
        pci.add_extended(0x100, &Ari { next_function: 0 });
        let cap = Sriov {
            device: 0x5679,
            total: TOTAL,
            offset: 4,
            stride: 1,
        };
        pci.add_sriov(SRIOV as u16, &cap);
        pci.add_virtual_bar(0, BarKind::Memory64 { prefetch: true }, 4096);
        pci.add_virtual_bar(2, BarKind::Memory32 { prefetch: false }, 4096);
        common::apply(&mut pci, p, build)?;
        Ok(Box::new(Function { pci, value: 0 }))
    },
    ..DeviceType::BASE
};

static VIRTUAL: DeviceType = DeviceType {
    name: "test-virtual",
    bus: BusKind::Pci,
    summary: "for tests",
    properties: pci_properties![],
    regions: &[words("regs", 4096), msix_region!("msix", 4096)],
    roles: &[role!(Function as dyn PciFunction), role!(Function as dyn Mmio)],
    create: |_, _| {
        let mut pci = Pci::virtual_function(Identity::new(0x1234, 0x5679, 0x00ff));
        pci.add_bar(0, Bar::mem64_prefetch(REGS, 4096));
        pci.add_bar(2, Bar::mem32(MSIX, 4096));
        pci.add_msix(0x40, MsixLayout::exclusive(2, 2));
        express(&mut pci);
        Ok(Box::new(Function { pci, value: 0 }))
    },
    ..DeviceType::BASE
};

fn express(pci: &mut Pci) {
    let e = Express {
        flr: true,
        ..Express::endpoint(PortType::Endpoint)
    };
    pci.add_express(0x80, &e);
}

struct Function {
    pci: Pci,
    value: u32,
}

impl PciFunction for Function {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        self.value = 0;
        self.pci.reset(false, cx);
    }

    fn virtual_type(&self) -> Option<(&'static DeviceType, Properties)> {
        Some((&VIRTUAL, Properties::default()))
    }
}

impl Mmio for Function {
    fn read(&mut self, access: Access, _cx: &mut Ctx<'_>) -> u64 {
        match (self.pci.virtual_of(), self.pci.msix_read(access), access.offset) {
            (None, _, offset) => offset,
            (_, Some(v), _) => v,
            (Some(of), None, 0) => 0x100 + u64::from(of.number),
            _ => self.value.into(),
        }
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if self.pci.msix_write(access, value, cx) {
            return;
        }
        self.value = value as u32;
        if access.offset == 8 {
            self.pci.notify(value as u16, cx);
        }
    }
}

impl Device for Function {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.value = 0;
            self.pci.reset(true, cx);
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(1, &(self.pci.save(), self.value))
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let (pci, value) = state.read::<(PciState, u32)>(1)?;
        self.pci.load(pci)?;
        self.value = value;
        Ok(())
    }
}

/// A physical function at slot 0 of bus 1, behind a root port with open windows.
fn rig() -> (Rig, DeviceId) {
    let mut r = Rig::new();
    r.add(&ROOT_PORT, 0, 1, 0);
    let bus = r.bus(1);
    let physical = r
        .sys
        .add_device(&PHYSICAL, None, Properties::default(), &[])
        .expect("a device");
    r.sys.reset_device(physical);
    let made = add_virtual_functions(&mut r.sys, bus, physical, 0).expect("virtual functions");
    assert_eq!(made.len(), usize::from(TOTAL));
    plug(&mut r.sys, bus, physical, 0, false);
    r.sys.reset();
    r.set_cfg(0, 1, 0x18, 4, 0x0001_0100);
    r.set_cfg(0, 1, 0x20, 4, 0x4020_4000);
    r.set_cfg(0, 1, 0x24, 4, 0x0011_0001);
    r.set_cfg(0, 1, 0x28, 4, 4);
    r.set_cfg(0, 1, 0x2c, 4, 4);
    r.set_cfg(0, 1, 4, 2, 6);
    (r, physical)
}

fn set_up(r: &mut Rig, count: u32) {
    r.set_cfg(1, 0, SRIOV + 0x24, 4, MMIO64 as u32);
    r.set_cfg(1, 0, SRIOV + 0x28, 4, (MMIO64 >> 32) as u32);
    r.set_cfg(1, 0, SRIOV + 0x2c, 4, MMIO as u32);
    r.set_cfg(1, 0, SRIOV + 0x10, 2, count);
    r.set_cfg(1, 0, SRIOV + 8, 2, 9);
}

/// A word of function `n` above the physical one's first.
fn word(r: &mut Rig, function: u8, at: u64) -> u32 {
    let at = Rig::ecam(1, 0, 0, at) + (u64::from(function) << 12);
    r.read32(at)
}

fn set_word(r: &mut Rig, function: u8, at: u64, value: u32) {
    let at = Rig::ecam(1, 0, 0, at) + (u64::from(function) << 12);
    r.write32(at, value);
}

#[test]
fn virtual_functions_come_and_go_with_vf_enable() {
    let (mut r, _) = rig();
    assert_eq!(word(&mut r, 4, 0), u32::MAX, "nobody yet");
    assert_eq!(r.cfg(1, 0, SRIOV + 0xc, 4), 0x0010_0010);
    set_up(&mut r, 3);
    // No ids of their own, and no BARs in the header.
    assert_eq!(word(&mut r, 4, 0), u32::MAX);
    assert_eq!(word(&mut r, 4, 8), 0x00ff_0000);
    assert_eq!(word(&mut r, 7, 8), u32::MAX, "three and no more");
    set_word(&mut r, 4, 0x10, u32::MAX);
    set_word(&mut r, 4, 4, 0xffff);
    assert_eq!((word(&mut r, 4, 0x10), word(&mut r, 4, 4) & 0xffff), (0, 4));
    let numbers = [0, 1, 2, 3].map(|n| r.read32(MMIO64 + 4096 * n));
    assert_eq!(numbers, [0x100, 0x101, 0x102, u32::MAX]);
    // While they are there the count and the page size are frozen.
    r.set_cfg(1, 0, SRIOV + 0x10, 2, 5);
    r.set_cfg(1, 0, SRIOV + 0x20, 4, 0x10);
    assert_eq!((r.cfg(1, 0, SRIOV + 0x10, 2), r.cfg(1, 0, SRIOV + 0x20, 4)), (3, 1));
    // Memory alone goes away with its own bit.
    r.set_cfg(1, 0, SRIOV + 8, 2, 1);
    assert_eq!((r.read32(MMIO64), word(&mut r, 6, 8)), (u32::MAX, 0x00ff_0000));
    r.set_cfg(1, 0, SRIOV + 8, 2, 9);
    r.write32(MMIO64 + 4096 + 4, 7);
    assert_eq!(r.read32(MMIO64 + 4096 + 4), 7);
    r.set_cfg(1, 0, SRIOV + 8, 2, 0);
    assert_eq!((r.read32(MMIO64), word(&mut r, 4, 8)), (u32::MAX, u32::MAX));
    r.set_cfg(1, 0, SRIOV + 8, 2, 9);
    assert_eq!(r.read32(MMIO64 + 4096 + 4), 0, "as new");
}

#[test]
fn more_than_there_are_cannot_be_switched_on() {
    let (mut r, _) = rig();
    set_up(&mut r, 17);
    assert_eq!(r.cfg(1, 0, SRIOV + 8, 2), 8);
    assert_eq!(word(&mut r, 4, 8), u32::MAX);
    r.set_cfg(1, 0, SRIOV + 0x10, 2, 0);
    r.set_cfg(1, 0, SRIOV + 8, 2, 9);
    assert_eq!(word(&mut r, 4, 8), u32::MAX, "switched on, and none");
}

#[test]
fn bars_are_sized_one_page_at_least() {
    let (mut r, _) = rig();
    r.set_cfg(1, 0, SRIOV + 0x24, 4, u32::MAX);
    assert_eq!(r.cfg(1, 0, SRIOV + 0x24, 4), 0xffff_f00c);
    r.set_cfg(1, 0, SRIOV + 0x20, 4, 0x10);
    r.set_cfg(1, 0, SRIOV + 0x24, 4, u32::MAX);
    assert_eq!(r.cfg(1, 0, SRIOV + 0x24, 4), 0xffff_000c);
    set_up(&mut r, 2);
    assert_eq!(r.read32(MMIO64 + 0x1_0000), 0x101);
    assert_eq!(r.read32(MMIO64 + 0x1000), u32::MAX);
    // A size that is none.
    let (mut r, _) = rig();
    r.set_cfg(1, 0, SRIOV + 0x20, 4, 0x11);
    assert_eq!(r.cfg(1, 0, SRIOV + 0x20, 4), 1);
}

#[test]
fn functions_above_7_need_ari_forwarding() {
    let (mut r, _) = rig();
    set_up(&mut r, 16);
    assert_eq!(word(&mut r, 7, 8), 0x00ff_0000);
    assert_eq!(word(&mut r, 8, 8), u32::MAX);
    // Device control 2 of the port.
    r.set_cfg(0, 1, 0x54 + 0x28, 2, 0x20);
    assert_eq!(word(&mut r, 8, 8), 0x00ff_0000);
    assert_eq!(word(&mut r, 19, 8), 0x00ff_0000);
    assert_eq!(word(&mut r, 20, 8), u32::MAX);
    assert_eq!(r.read32(MMIO64 + 15 * 4096), 0x10f);
}

#[test]
fn each_has_its_messages_and_its_reset() {
    let (mut r, _) = rig();
    set_up(&mut r, 2);
    let table = MMIO + 4096;
    for (at, v) in [(0, RAM as u32), (4, 0), (8, 0x99), (12, 0)] {
        r.write32(table + at, v);
    }
    set_word(&mut r, 5, 0x40, 0x8000_0000);
    r.write32(MMIO64 + 4096 + 8, 0);
    assert_eq!(r.read32(RAM), 0, "may not master the bus");
    set_word(&mut r, 5, 4, 4);
    r.write32(MMIO64 + 4096 + 8, 0);
    assert_eq!(r.read32(RAM), 0x99);
    // Its reset is its own, and leaves it where it is.
    r.write32(MMIO64 + 4, 5);
    r.write32(MMIO64 + 4096 + 4, 6);
    set_word(&mut r, 5, 0x88, 0x8000);
    assert_eq!(r.read32(MMIO64 + 4096 + 4), 0);
    assert_eq!(word(&mut r, 5, 4) & 4, 0);
    assert_eq!(r.read32(table + 8), 0);
    assert_eq!(r.read32(MMIO64 + 4), 5);
    // That of the physical function takes all away.
    r.set_cfg(1, 0, 0x88, 2, 0x8000);
    assert_eq!((word(&mut r, 4, 8), r.read32(MMIO64)), (u32::MAX, u32::MAX));
    set_up(&mut r, 2);
    assert_eq!(r.read32(MMIO64 + 4), 0);
}

#[test]
fn a_restored_machine_has_them_too() {
    let (mut r, _) = rig();
    set_up(&mut r, 2);
    r.write32(MMIO64 + 4096 + 4, 6);
    let (mut other, _) = rig();
    r.copy_to(&mut other);
    assert_eq!(other.read32(MMIO64 + 4096 + 4), 6);
    assert_eq!(word(&mut other, 5, 8), 0x00ff_0000);
    assert_eq!(word(&mut other, 6, 8), u32::MAX);
    other.sys.reset();
    assert_eq!(other.read32(MMIO64), u32::MAX);
}

#[test]
fn they_need_room_on_the_bus() {
    let mut r = Rig::new();
    let bus = r.bus(0);
    let physical = r
        .sys
        .add_device(&PHYSICAL, None, Properties::default(), &[])
        .expect("a device");
    let before = r.sys.devices().count();
    let beyond = add_virtual_functions(&mut r.sys, bus, physical, devfn(31, 0));
    assert!(matches!(beyond, Err(VirtualError::Beyond(4))));
    r.add(&crate::edu::TYPE, 0, 2, 1);
    let taken = add_virtual_functions(&mut r.sys, bus, physical, devfn(1, 0));
    assert!(matches!(taken, Err(VirtualError::Taken { number: 5, devfn: 0x11 })));
    assert_eq!(r.sys.devices().count(), before + 1, "none stays behind");
    let made = add_virtual_functions(&mut r.sys, bus, physical, devfn(4, 0)).expect("room");
    plug(&mut r.sys, bus, physical, devfn(4, 0), false);
    assert_eq!(virtual_functions(&mut r.sys, physical), made);
}
