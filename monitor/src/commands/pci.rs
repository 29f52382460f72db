//! What is on the PCI buses, as the guest has set it up.

use southbridge_bus_pci::bridge::{io_range, memory_range, prefetch_range};
use southbridge_bus_pci::{Pci, PciFunction, regs};
use southbridge_core::{BusKind, DeviceId, Machine};

use super::Result;
use crate::Cx;
use crate::schema::{
    PciBridgeInfo, PciBusInfo, PciDeviceClass, PciDeviceId, PciDeviceInfo, PciInfo, PciMemoryRange, PciMemoryRegion,
};

pub(super) fn query_pci(cx: &mut Cx<'_>) -> Result<Vec<PciInfo>> {
    let machine = &mut *cx.machine;
    let mut roots = Vec::new();
    for (owner, children) in buses(machine) {
        let is_host = machine
            .sys
            .slot(owner)
            .is_some_and(|s| s.device_type.bus != BusKind::Pci);
        let number = if is_host { Some(0) } else { expander(machine, owner) };
        if let Some(bus) = number {
            let devices = devices(machine, &children, bus);
            roots.push(PciInfo { bus, devices });
        }
    }
    Ok(roots)
}

/// A device and what sits on its bus, with the addresses there.
type Owned = (DeviceId, Vec<(DeviceId, u8)>);

fn buses(machine: &Machine) -> Vec<Owned> {
    let all = machine.sys.buses().filter(|(_, b)| b.kind == BusKind::Pci);
    all.map(|(_, b)| {
        let mut children: Vec<_> = b.children.iter().map(|(d, at)| (*d, *at as u8)).collect();
        children.sort_by_key(|c| c.1);
        (b.owner, children)
    })
    .collect()
}

/// Calls a function's embedded half.
pub(crate) fn with_pci<T>(machine: &mut Machine, device: DeviceId, f: impl FnOnce(&Pci) -> T) -> Option<T> {
    machine
        .sys
        .with_role::<dyn PciFunction, _>(device, |function, _| f(function.pci()))
}

/// The number of the root bus below an expander.
fn expander(machine: &mut Machine, device: DeviceId) -> Option<i64> {
    let bridge = with_pci(machine, device, |p| p.decode().bridge).flatten()?;
    bridge.transparent.then_some(bridge.secondary.into())
}

/// Virtual functions are there while the guest has them switched on.
fn is_there(machine: &mut Machine, device: DeviceId) -> bool {
    let Some(of) = with_pci(machine, device, Pci::virtual_of).flatten() else {
        return true;
    };
    let now = with_pci(machine, of.physical, Pci::virtuals).flatten();
    now.is_some_and(|v| of.number < v.enabled)
}

fn devices(machine: &mut Machine, children: &[(DeviceId, u8)], bus: i64) -> Vec<PciDeviceInfo> {
    // The tree of devices has no loops, whatever the guest made of bus numbers.
    let mut out = Vec::new();
    for (id, at) in children {
        if !is_there(machine, *id) {
            continue;
        }
        let name = machine.sys.slot(*id).and_then(|s| s.id.clone()).unwrap_or_default();
        let Some(mut info) = with_pci(machine, *id, |p| function(p, *at, bus, name)) else {
            continue;
        };
        if let Some(bridge) = info.pci_bridge.as_mut().filter(|b| b.bus.secondary != 0) {
            let below = buses(machine).into_iter().find(|(owner, _)| owner == id);
            let below = below.map(|b| b.1).unwrap_or_default();
            bridge.devices = Some(devices(machine, &below, bridge.bus.secondary));
        }
        out.push(info);
    }
    out
}

fn function(p: &Pci, at: u8, bus: i64, name: String) -> PciDeviceInfo {
    let c = &p.config;
    let class = c.u16(regs::CLASS);
    let pin = c.u8(regs::INTERRUPT_PIN);
    let plain = !p.is_bridge();
    PciDeviceInfo {
        bus,
        slot: i64::from(at >> 3),
        function: i64::from(at & 7),
        class_info: PciDeviceClass {
            desc: class_name(class).map(str::to_owned),
            class: class.into(),
        },
        id: PciDeviceId {
            device: c.u16(regs::DEVICE_ID).into(),
            vendor: c.u16(regs::VENDOR_ID).into(),
            subsystem: plain.then(|| c.u16(regs::SUBSYSTEM).into()),
            subsystem_vendor: plain.then(|| c.u16(regs::SUBSYSTEM_VENDOR).into()),
        },
        irq: (pin != 0).then(|| c.u8(regs::INTERRUPT_LINE).into()),
        irq_pin: pin.into(),
        qdev_id: name,
        pci_bridge: p.is_bridge().then(|| bridge(p)),
        regions: regions(p),
    }
}

fn bridge(p: &Pci) -> PciBridgeInfo {
    let c = &p.config;
    let range = |(base, limit): (u64, u64)| PciMemoryRange {
        base: base as i64,
        limit: limit as i64,
    };
    PciBridgeInfo {
        bus: PciBusInfo {
            number: c.u8(regs::PRIMARY_BUS).into(),
            secondary: c.u8(regs::SECONDARY_BUS).into(),
            subordinate: c.u8(regs::SUBORDINATE_BUS).into(),
            io_range: range(io_range(c)),
            memory_range: range(memory_range(c)),
            prefetchable_range: range(prefetch_range(c)),
        },
        devices: None,
    }
}

/// All BARs and the expansion ROM, by number.
fn regions(p: &Pci) -> Vec<PciMemoryRegion> {
    let bars = (0..7).filter_map(|n| Some((n, if n == 6 { p.rom() } else { p.bar(n) }?)));
    bars.map(|(n, bar)| {
        let memory = !bar.kind.is_io();
        PciMemoryRegion {
            bar: n as i64,
            r#type: if memory { "memory" } else { "io" }.to_owned(),
            address: p.bar_address(n).map_or(-1, |a| a as i64),
            size: bar.size as i64,
            prefetch: memory.then(|| bar.kind.is_prefetchable()),
            mem_type_64: memory.then(|| bar.kind.is_64()),
        }
    })
    .collect()
}

/// Classes by the words that QEMU has for them; others go by number.
pub(crate) fn class_name(class: u16) -> Option<&'static str> {
    const NAMES: &[(u16, &str)] = &[
        (0x0001, "VGA controller"),
        (0x0100, "SCSI controller"),
        (0x0101, "IDE controller"),
        (0x0102, "Floppy controller"),
        (0x0104, "RAID controller"),
        (0x0106, "SATA controller"),
        (0x0107, "SAS controller"),
        (0x0180, "Storage controller"),
        (0x0200, "Ethernet controller"),
        (0x0280, "Network controller"),
        (0x0300, "VGA controller"),
        (0x0301, "XGA controller"),
        (0x0302, "3D controller"),
        (0x0380, "Display controller"),
        (0x0400, "Video controller"),
        (0x0401, "Audio controller"),
        (0x0403, "Audio controller"),
        (0x0480, "Multimedia controller"),
        (0x0500, "RAM controller"),
        (0x0501, "Flash controller"),
        (0x0580, "Memory controller"),
        (0x0600, "Host bridge"),
        (0x0601, "ISA bridge"),
        (0x0604, "PCI bridge"),
        (0x0680, "Bridge"),
        (0x0700, "Serial port"),
        (0x0701, "Parallel port"),
        (0x0800, "Interrupt controller"),
        (0x0801, "DMA controller"),
        (0x0802, "Timer"),
        (0x0803, "RTC"),
        (0x0900, "Keyboard"),
        (0x0901, "Pen"),
        (0x0902, "Mouse"),
        (0x0c00, "Firewire controller"),
        (0x0c03, "USB controller"),
        (0x0c04, "Fibre channel controller"),
        (0x0c05, "SMBus"),
    ];
    NAMES.iter().find(|(c, _)| *c == class).map(|(_, n)| *n)
}
