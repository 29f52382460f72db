//! Types and their properties, from the tables.

use serde_json::{Value, json};
use southbridge_backend_chardev::KINDS;
use southbridge_core::property::parse_value;
use southbridge_core::{BusKind, DeviceType, PropKind, PropValue, Property};
use southbridge_machine::BOARDS;
use southbridge_machine::board::cores::Isa;
use southbridge_machine::objects::TYPES;
use southbridge_machine::qom;

use crate::World;
use crate::schema::{ObjectPropertyInfo, ObjectTypeInfo};

/// The type of a processor model.
pub(crate) fn cpu_type(model: &str, isa: Isa) -> String {
    format!("{model}-{}", cpu_parent(isa))
}

fn cpu_parent(isa: Isa) -> &'static str {
    match isa {
        Isa::Arm => "arm-cpu",
        Isa::Rv64 => "riscv-cpu",
    }
}

fn parent(bus: BusKind) -> &'static str {
    match bus {
        BusKind::System => "sys-bus-device",
        BusKind::I2c => "i2c-slave",
        BusKind::Ssi => "ssi-peripheral",
        BusKind::Sd => "sd-card-device",
        BusKind::Pci => "pci-device",
        BusKind::Virtio => "virtio-device",
        BusKind::VirtioSerial => "virtio-serial-port",
        BusKind::None => "device",
    }
}

/// Parents that no object is directly of.
const ABSTRACT: &[(&str, &str)] = &[
    ("device", "object"),
    ("sys-bus-device", "device"),
    ("i2c-slave", "device"),
    ("ssi-peripheral", "device"),
    ("sd-card-device", "device"),
    ("pci-device", "device"),
    ("virtio-device", "device"),
    ("virtio-serial-port", "device"),
    ("cpu", "device"),
    ("arm-cpu", "cpu"),
    ("riscv-cpu", "cpu"),
    ("machine", "object"),
    ("bus", "object"),
    ("chardev", "object"),
    ("accel", "object"),
];

const PLAIN: &[(&str, &str)] = &[
    ("container", "object"),
    ("memory-region", "object"),
    ("irq", "object"),
    ("clock", "object"),
    ("armv7m", "sys-bus-device"),
    ("riscv.hart_array", "sys-bus-device"),
    ("armv7m_nvic", "sys-bus-device"),
    ("armv7m_systick", "sys-bus-device"),
    ("ARM-bitband-memory", "sys-bus-device"),
    ("unimplemented-device", "sys-bus-device"),
    ("tcg-accel", "accel"),
    ("qtest-accel", "accel"),
];

/// Every type; those that are only parents if asked for.
pub(crate) fn types(world: &World, parents: bool) -> Vec<ObjectTypeInfo> {
    let entry = |name: &str, parent: Option<&str>, only_parent: bool| ObjectTypeInfo {
        name: name.to_owned(),
        r#abstract: only_parent.then_some(true),
        parent: parent.map(str::to_owned),
    };
    let mut all = Vec::new();
    if parents {
        all.push(entry("object", None, true));
        all.extend(ABSTRACT.iter().map(|(n, p)| entry(n, Some(p), true)));
    }
    all.extend(PLAIN.iter().map(|(n, p)| entry(n, Some(p), false)));
    let buses = [
        BusKind::System,
        BusKind::I2c,
        BusKind::Ssi,
        BusKind::Sd,
        BusKind::Pci,
        BusKind::Virtio,
        BusKind::VirtioSerial,
    ];
    all.extend(buses.iter().map(|b| entry(b.name(), Some("bus"), false)));
    all.extend(world.registry.iter().map(|t| entry(t.name, Some(parent(t.bus)), false)));
    let offered = BOARDS.iter().filter(|b| world.facts.machines.contains(&b.name));
    all.extend(offered.map(|b| entry(&format!("{}-machine", b.name), Some("machine"), false)));
    let cores = BOARDS.iter().filter_map(|b| b.cpu.as_ref());
    let mut models: Vec<_> = cores
        .flat_map(|c| c.models().iter().map(|m| (cpu_type(m, c.isa()), cpu_parent(c.isa()))))
        .collect();
    models.dedup();
    all.extend(models.iter().map(|(m, of)| entry(m, Some(of), false)));
    let kinds = KINDS.iter().filter(|k| k.missing().is_none());
    all.extend(kinds.map(|k| entry(&format!("chardev-{}", k.name), Some("chardev"), false)));
    all.extend(TYPES.iter().map(|t| entry(t.name, Some("object"), false)));
    all
}

fn info(name: &str, of: &str) -> ObjectPropertyInfo {
    ObjectPropertyInfo {
        name: name.to_owned(),
        r#type: of.to_owned(),
        description: None,
        default_value: None,
    }
}

/// What every object has.
pub(crate) fn type_property() -> ObjectPropertyInfo {
    info("type", "string")
}

/// A declared property.
pub(crate) fn property_info(p: &Property) -> ObjectPropertyInfo {
    let of = match p.kind {
        PropKind::Backend("memdev") => "link<memory-backend>".to_owned(),
        PropKind::Nested(name) => name.to_owned(),
        PropKind::Backend(_) | PropKind::Enum(_) => "str".to_owned(),
        kind => kind.name(),
    };
    ObjectPropertyInfo {
        name: p.name.to_owned(),
        r#type: of,
        description: Some(p.help.to_owned()),
        default_value: p.default.and_then(|d| parse_value(p.kind, d)).and_then(default),
    }
}

fn default(value: PropValue) -> Option<Value> {
    Some(match value {
        PropValue::Bool(b) => json!(b),
        PropValue::OnOffAuto(None) => json!("auto"),
        PropValue::OnOffAuto(Some(b)) => json!(if b { "on" } else { "off" }),
        PropValue::Uint(n) => json!(n),
        PropValue::Str(s) => json!(s),
        PropValue::Backend(..) | PropValue::Nested(_) => return None,
    })
}

/// What `-device` takes, and what hangs on the device.
pub(crate) fn type_properties(t: &DeviceType) -> Vec<ObjectPropertyInfo> {
    let mut all: Vec<_> = t.properties.iter().map(property_info).collect();
    all.extend(super::board::outputs(t).map(|n| info(&n, "link<irq>")));
    let regions = t.regions.iter().map(|r| qom::region(t, r.name));
    all.extend(regions.map(|name| info(&format!("{name}[0]"), "child<memory-region>")));
    all
}

/// The same, with what every device has.
pub(crate) fn class_properties(t: &DeviceType) -> Vec<ObjectPropertyInfo> {
    let mut all = vec![
        type_property(),
        info("parent_bus", "link<bus>"),
        info("realized", "bool"),
        info("hotplugged", "bool"),
        info("hotpluggable", "bool"),
    ];
    all.extend(type_properties(t));
    all
}
