//! The types of bridges: their properties and the layout of their configuration space.

use southbridge_bus_pci::caps::{
    Acs, Aer, Express, PortType, PowerManagement, SlotCap, SlotId, SubsystemIds, VendorSpecific,
};
use southbridge_bus_pci::{
    Bar, Identity, Msi, MsixLayout, Pci, PciFunction, PciSlot, Windows, common, msix_region, pci_properties, regs,
};
use southbridge_core::{
    Build, BusDecl, BusKind, Category, CreateError, Device, DeviceType, Line, Mmio, PropKind, Properties, Property,
    role,
};

use super::Port;

const INTX: u16 = 0;
const BRIDGE_CLASS: u16 = 0x0604;
const VENDOR_TI: u16 = 0x104c;
/// "Not given" of the reservation properties.
const NONE32: u64 = u32::MAX as u64;
const EXPRESS_BUS: &[BusDecl] = &[BusDecl {
    name: "pcie",
    kind: BusKind::Pci,
}];
const CONVENTIONAL_BUS: &[BusDecl] = &[BusDecl {
    name: "pci",
    kind: BusKind::Pci,
}];

const fn property(name: &'static str, kind: PropKind, default: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default: Some(default),
        help,
    }
}

const fn reserve(name: &'static str, help: &'static str) -> Property {
    property(name, PropKind::Size, "0xffffffffffffffff", help)
}

const CHASSIS: Property = property("chassis", PropKind::Uint(8), "0", "number of the chassis");
const SLOT: Property = property("slot", PropKind::Uint(16), "0", "number of the slot in it");
const PORT: Property = property("port", PropKind::Uint(8), "0", "number of the port");
const HOTPLUG: Property = property(
    "hotplug",
    PropKind::Bool,
    "on",
    "devices can come and go while the machine runs",
);
const POWER: Property = property(
    "power_controller_present",
    PropKind::Bool,
    "on",
    "the guest can cut the power of the slot",
);
const HIDE: Property = property(
    "x-do-not-expose-native-hotplug-cap",
    PropKind::Bool,
    "off",
    "the guest is not told of hot-plug",
);
const AER_LOG: Property = property(
    "aer_log_max",
    PropKind::Uint(16),
    "8",
    "errors that are kept; 0 for one",
);
const MSI: Property = property("msi", PropKind::OnOffAuto, "auto", "interrupts by message");
const SLT_BUG: Property = property(
    "x-pci-express-writeable-slt-bug",
    PropKind::Bool,
    "off",
    "accepted: of machines of QEMU 5.2",
);
const BUS_RESERVE: Property = property(
    "bus-reserve",
    PropKind::Uint(32),
    "4294967295",
    "bus numbers that firmware is to keep free",
);
const IO_RESERVE: Property = reserve("io-reserve", "I/O ports that firmware is to keep free");
const MEM_RESERVE: Property = reserve("mem-reserve", "memory that firmware is to keep free");
const PREF32: Property = reserve("pref32-reserve", "prefetchable memory below 4 GiB to keep free");
const PREF64: Property = reserve("pref64-reserve", "prefetchable memory to keep free");

/// The root port.
pub static ROOT_PORT: DeviceType = DeviceType {
    name: "pcie-root-port",
    bus: BusKind::Pci,
    category: Category::Bridge,
    summary: "PCI Express Root Port",
    user_creatable: true,
    properties: pci_properties![
        property(
            "x-migrate-msix",
            PropKind::Bool,
            "on",
            "accepted: MSI-X is always saved"
        ),
        BUS_RESERVE,
        IO_RESERVE,
        MEM_RESERVE,
        PREF32,
        PREF64,
        property(
            "x-speed",
            PropKind::Enum(&["2_5", "5", "8", "16", "32", "64"]),
            "16",
            "link speed in GT/s",
        ),
        property(
            "x-width",
            PropKind::Enum(&["1", "2", "4", "8", "12", "16", "32"]),
            "32",
            "link width in lanes",
        ),
        POWER,
        property("disable-acs", PropKind::Bool, "off", "no access control services"),
        CHASSIS,
        SLOT,
        HOTPLUG,
        HIDE,
        PORT,
        AER_LOG,
        SLT_BUG,
    ],
    regions: &[msix_region!("msix", 4096)],
    lines: &[Line::out("intx")],
    buses: EXPRESS_BUS,
    roles: &[
        role!(Port as dyn PciFunction),
        role!(Port as dyn PciSlot),
        role!(Port as dyn Mmio),
    ],
    create: create_root_port,
    ..DeviceType::BASE
};

/// The upstream port of a switch.
pub static UPSTREAM: DeviceType = DeviceType {
    name: "x3130-upstream",
    bus: BusKind::Pci,
    category: Category::Bridge,
    summary: "TI X3130 Upstream Port of PCI Express Switch",
    user_creatable: true,
    properties: pci_properties![PORT, AER_LOG, SLT_BUG],
    buses: EXPRESS_BUS,
    roles: &[role!(Port as dyn PciFunction)],
    create: create_upstream,
    ..DeviceType::BASE
};

/// A downstream port of a switch.
pub static DOWNSTREAM: DeviceType = DeviceType {
    name: "xio3130-downstream",
    bus: BusKind::Pci,
    category: Category::Bridge,
    summary: "TI X3130 Downstream Port of PCI Express Switch",
    user_creatable: true,
    properties: pci_properties![POWER, CHASSIS, SLOT, HOTPLUG, HIDE, PORT, AER_LOG, SLT_BUG],
    buses: EXPRESS_BUS,
    roles: &[role!(Port as dyn PciFunction), role!(Port as dyn PciSlot)],
    create: create_downstream,
    ..DeviceType::BASE
};

/// A bridge between conventional buses.
pub static PCI_BRIDGE: DeviceType = DeviceType {
    name: "pci-bridge",
    bus: BusKind::Pci,
    category: Category::Bridge,
    summary: "Standard PCI Bridge",
    user_creatable: true,
    properties: pci_properties![
        property("chassis_nr", PropKind::Uint(8), "0", "number of the chassis, from 1 on"),
        MSI,
        property(
            "shpc",
            PropKind::Bool,
            "off",
            "standard hot-plug controller; not modelled"
        ),
        BUS_RESERVE,
        IO_RESERVE,
        MEM_RESERVE,
        PREF32,
        PREF64,
        SLT_BUG,
    ],
    buses: CONVENTIONAL_BUS,
    roles: &[role!(Port as dyn PciFunction)],
    create: create_pci_bridge,
    ..DeviceType::BASE
};

/// A bridge from PCI Express to a conventional bus.
pub static TO_PCI: DeviceType = DeviceType {
    name: "pcie-pci-bridge",
    bus: BusKind::Pci,
    category: Category::Bridge,
    summary: "PCI Express to PCI bridge",
    user_creatable: true,
    properties: pci_properties![MSI, SLT_BUG],
    buses: CONVENTIONAL_BUS,
    roles: &[role!(Port as dyn PciFunction)],
    create: create_to_pci,
    ..DeviceType::BASE
};

/// An expander: one more root bus under the same host bridge.
pub static EXPANDER: DeviceType = DeviceType {
    name: "pxb-pcie",
    bus: BusKind::Pci,
    category: Category::Bridge,
    summary: "PCI Express Expander Bridge",
    user_creatable: true,
    properties: pci_properties![
        property("bus_nr", PropKind::Uint(8), "0", "number of its bus, from 1 on"),
        property(
            "numa_node",
            PropKind::Uint(16),
            "65535",
            "node of the machine that it belongs to"
        ),
        property("bypass_iommu", PropKind::Bool, "off", "accepted: there is no IOMMU"),
    ],
    buses: EXPRESS_BUS,
    roles: &[role!(Port as dyn PciFunction)],
    create: create_expander,
    ..DeviceType::BASE
};

type Created = Result<Box<dyn Device>, CreateError>;

fn bridge(vendor: u16, device: u16, revision: u8, express: bool, windows: Windows) -> Pci {
    Pci::bridge(
        Identity::new(vendor, device, BRIDGE_CLASS).revision(revision),
        express,
        windows,
    )
}

const WIDE: Windows = Windows {
    io32: false,
    prefetch64: true,
};

fn aer(p: &Properties, root: bool) -> Aer {
    Aer {
        root,
        multi_header: p.uint("aer_log_max") > 0,
        mask_internal: p.bool("x-pcie-err-unc-mask"),
    }
}

/// QEMU's limit of errors that wait.
fn error_log(p: &Properties) -> u16 {
    p.uint("aer_log_max").min(128) as u16
}

fn express(p: &Properties, port_type: PortType) -> Express {
    Express {
        port: p.uint("port") as u8,
        extended_tag: p.bool("x-pcie-ext-tag"),
        errors: true,
        ..Express::endpoint(port_type)
    }
}

fn slot_cap(p: &Properties) -> Option<SlotCap> {
    Some(SlotCap {
        number: p.uint("slot") as u16,
        hot_plug: p.bool("hotplug") && !p.bool("x-do-not-expose-native-hotplug-cap"),
        power_controller: p.bool("power_controller_present"),
    })
}

fn link_speed(word: &str) -> u8 {
    let all = ["2_5", "5", "8", "16", "32", "64"];
    all.iter().position(|w| *w == word).map_or(1, |i| i as u8 + 1)
}

fn create_root_port(p: &Properties, build: &mut Build<'_>) -> Created {
    let mut pci = bridge(regs::VENDOR_REDHAT, 0x000c, 0, true, WIDE);
    pci.set_intx_pin(1, INTX);
    pci.add_bar(0, Bar::mem32(0, MsixLayout::exclusive_size(1)));
    let ids = SubsystemIds {
        vendor: regs::VENDOR_REDHAT,
        device: 0,
    };
    pci.add_capability(0x40, &ids);
    pci.add_msix(0x48, MsixLayout::exclusive(0, 1));
    let e = Express {
        speed: link_speed(p.str("x-speed").unwrap_or("16")),
        width: p.str("x-width").and_then(|w| w.parse().ok()).unwrap_or(32),
        slot: slot_cap(p),
        ari_forwarding: true,
        ..express(p, PortType::RootPort)
    };
    pci.add_express(0x54, &e);
    pci.add_extended(0x100, &aer(p, true));
    pci.set_error_log(error_log(p));
    if !p.bool("disable-acs") {
        pci.add_extended(0x148, &Acs { services: 0x5f });
    }
    reserve_resources(&mut pci, p, 0x90);
    common::apply(&mut pci, p, build)?;
    let mut port = Port::new(pci).with_slot();
    port.shut = true;
    port.root = true;
    Ok(Box::new(port))
}

/// What firmware should keep free below a port for what comes later: QEMU's capability of its own (docs/pcie_pci_bridge.txt).
fn reserve_resources(pci: &mut Pci, p: &Properties, at: u16) {
    let sizes = ["io-reserve", "mem-reserve", "pref32-reserve", "pref64-reserve"].map(|n| p.uint(n));
    let buses = p.uint("bus-reserve");
    if buses == NONE32 && sizes.iter().all(|s| *s == u64::MAX) {
        return;
    }
    let [io, memory, pref32, pref64] = sizes;
    let mut bytes = vec![1];
    bytes.extend((buses as u32).to_le_bytes());
    bytes.extend(io.to_le_bytes());
    bytes.extend((memory as u32).to_le_bytes());
    bytes.extend((pref32 as u32).to_le_bytes());
    bytes.extend(pref64.to_le_bytes());
    pci.add_capability(at, &VendorSpecific { bytes });
}

fn create_upstream(p: &Properties, build: &mut Build<'_>) -> Created {
    let mut pci = switch_port(0x8232, 2);
    let e = Express {
        flr: true,
        ..express(p, PortType::Upstream)
    };
    pci.add_express(0x90, &e);
    pci.add_extended(0x100, &aer(p, false));
    pci.set_error_log(error_log(p));
    common::apply(&mut pci, p, build)?;
    Ok(Box::new(Port::new(pci)))
}

fn create_downstream(p: &Properties, build: &mut Build<'_>) -> Created {
    let mut pci = switch_port(0x8233, 1);
    let e = Express {
        flr: true,
        slot: slot_cap(p),
        ari_forwarding: true,
        ..express(p, PortType::Downstream)
    };
    pci.add_express(0x90, &e);
    pci.add_extended(0x100, &aer(p, false));
    pci.set_error_log(error_log(p));
    common::apply(&mut pci, p, build)?;
    Ok(Box::new(Port::new(pci).with_slot()))
}

/// What both ports of the switch have.
fn switch_port(device: u16, revision: u8) -> Pci {
    let mut pci = bridge(VENDOR_TI, device, revision, true, WIDE);
    let msi = Msi {
        vectors: 1,
        wide: true,
        maskable: false,
    };
    pci.add_msi(0x70, msi);
    pci.add_capability(0x80, &SubsystemIds::default());
    pci
}

const BRIDGE_MSI: Msi = Msi {
    vectors: 1,
    wide: true,
    maskable: true,
};

fn wants_msi(p: &Properties) -> bool {
    !matches!(p.get("msi"), Some(southbridge_core::PropValue::OnOffAuto(Some(false))))
}

fn create_pci_bridge(p: &Properties, build: &mut Build<'_>) -> Created {
    if p.bool("shpc") {
        return Err(CreateError::BadValue {
            property: "shpc",
            value: "on".into(),
            expected: "off: the standard hot-plug controller is not modelled".into(),
        });
    }
    let mut pci = bridge(regs::VENDOR_REDHAT, 0x0001, 0, false, WIDE);
    pci.set_bus_speed();
    let slots = SlotId {
        expansion: 0x20,
        chassis: p.uint("chassis_nr") as u8,
    };
    pci.add_capability(0x40, &slots);
    reserve_resources(&mut pci, p, 0x44);
    common::apply(&mut pci, p, build)?;
    Ok(Box::new(Port::new(pci)))
}

fn create_to_pci(p: &Properties, build: &mut Build<'_>) -> Created {
    let mut pci = bridge(regs::VENDOR_REDHAT, 0x000e, 0, true, WIDE);
    pci.set_bus_speed();
    let e = Express {
        ari_forwarding: true,
        ..express(p, PortType::ToPci)
    };
    pci.add_express(0x48, &e);
    let pm = PowerManagement {
        version: 3,
        ..PowerManagement::default()
    };
    pci.add_pm(0x84, &pm);
    if wants_msi(p) {
        pci.add_msi(0x8c, BRIDGE_MSI);
    }
    pci.add_extended(0x100, &aer(p, false));
    pci.set_error_log(error_log(p));
    common::apply(&mut pci, p, build)?;
    Ok(Box::new(Port::new(pci)))
}

fn create_expander(p: &Properties, build: &mut Build<'_>) -> Created {
    let number = p.uint("bus_nr") as u8;
    if number == 0 {
        return Err(CreateError::BadValue {
            property: "bus_nr",
            value: "0".into(),
            expected: "a number from 1 to 255: bus 0 is the host bridge's".into(),
        });
    }
    let mut id = Identity::new(regs::VENDOR_REDHAT, 0x000b, 0x0600);
    id.subsystem = (0, 0);
    let mut pci = Pci::conventional(id);
    pci.set_expander(number);
    common::apply(&mut pci, p, build)?;
    Ok(Box::new(Port::new(pci)))
}
