//! The object tree, as QEMU shapes it, computed from the arena, the tables of types and the directories of back ends.
//!
//! ```text
//! /machine                       the board; its parts where QEMU has them
//! /machine/peripheral/ID         devices of the user that have a name
//! /machine/peripheral-anon/…     and those that have none
//! /machine/unattached/sysbus     the system bus
//! /chardevs/ID, /objects/ID      back ends and objects
//! ```

mod board;
mod types;

use serde_json::{Value, json};
use southbridge_backend_chardev::Chardev;
use southbridge_bus_virtio::VirtioDevice;
use southbridge_core::system::{Bus, ClockNode};
use southbridge_core::{BusId, BusKind, CpuId, DeviceId, Machine, PropValue};
use southbridge_machine::qom::{self, Thing};
use southbridge_protocol_qmp::Error;
use std::collections::BTreeMap;

use crate::schema::ObjectPropertyInfo;
use crate::{Cx, World};
use board::Region;
pub(crate) use board::cpu_path;
pub(crate) use types::{class_properties, cpu_type, property_info, type_properties, type_property, types};

/// Where the system bus is.
const SYSBUS: &str = "/machine/unattached/sysbus";

/// The numbers of all processors.
pub(crate) fn cpus(machine: &Machine) -> impl Iterator<Item = CpuId> + use<> {
    (0..).take(machine.cpus.len()).map(CpuId)
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// `/`.
    Root,
    /// A place without properties of its own.
    Container(Place),
    /// The board.
    Machine,
    /// A thing of the board that is no device of ours, by its number among all places.
    Fixed(usize),
    /// The system bus.
    SystemBus,
    /// A device.
    Device(DeviceId),
    /// The half of a PCI device that is virtio: QEMU has it as a device of its own.
    VirtioHalf(DeviceId),
    /// A bus of a device.
    Bus(BusId),
    /// A region of a device or a memory of the board.
    Memory(Region),
    /// An input line.
    Line,
    /// A clock.
    Clock(Option<ClockNode>),
    /// A character back end.
    Chardev(String),
    /// An object of the user.
    Object(String),
}

/// A container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Backend,
    Chardevs,
    Objects,
    Peripheral,
    PeripheralAnon,
    Unattached,
}

/// A property as it is listed, with its value if it has one.
pub(crate) struct Listed {
    pub(crate) info: ObjectPropertyInfo,
    pub(crate) value: Option<Value>,
}

fn listed(name: &str, of: impl Into<String>, value: impl Into<Option<Value>>) -> Listed {
    Listed {
        info: ObjectPropertyInfo {
            name: name.to_owned(),
            r#type: of.into(),
            description: None,
            default_value: None,
        },
        value: value.into(),
    }
}

/// The place of a device of the user that has no name: it keeps it while others come and go.
fn anonymous(world: &World, device: DeviceId) -> String {
    let parts = world.layout.parts.values().map(|p| p.index() + 1).max().unwrap_or(0);
    format!("device[{}]", device.index().saturating_sub(parts))
}

/// What the virtio half of a device is called.
pub(crate) const VIRTIO_HALF: &str = "virtio-backend";

/// Whether a device has a virtio half, rather than being virtio as a whole or not at all.
pub(crate) fn has_virtio_half(machine: &Machine, device: DeviceId) -> bool {
    let slot = machine.sys.slot(device);
    let of = slot.map(|s| s.device_type).filter(|t| t.bus == BusKind::Pci);
    of.is_some_and(|t| t.roles.iter().any(|r| r.is::<dyn VirtioDevice>()))
}

/// Where a device is.
pub(crate) fn device_path(machine: &Machine, world: &World, device: DeviceId) -> String {
    if let Some((path, _)) = world.places(machine).iter().find(|(_, t)| *t == Thing::Device(device)) {
        return format!("/machine/{path}");
    }
    match machine.sys.slot(device).and_then(|s| s.id.as_ref()) {
        Some(id) => format!("/machine/peripheral/{id}"),
        None => format!("/machine/peripheral-anon/{}", anonymous(world, device)),
    }
}

fn bus_path(machine: &Machine, world: &World, bus: BusId) -> Option<String> {
    let (_, b) = machine.sys.buses().find(|(id, _)| *id == bus)?;
    let name = bus_name(machine, b);
    Some(format!("{}/{name}", device_path(machine, world, b.owner)))
}

/// The tree has a bus by its own name; the number that makes it unique in the machine is for `bus=`.
fn bus_name<'m>(machine: &'m Machine, bus: &'m Bus) -> &'m str {
    let alone = machine.sys.slot(bus.owner).is_some_and(|s| s.buses.len() == 1);
    match bus.name.rsplit_once('.') {
        Some((stem, _)) if alone => stem,
        _ => &bus.name,
    }
}

/// The objects below one, by name.
pub(crate) fn children(machine: &Machine, world: &World, node: &Node) -> Vec<(String, Node)> {
    let named = |list: &[(&str, Node)]| list.iter().map(|(n, c)| ((*n).to_owned(), c.clone())).collect();
    match node {
        Node::Root => named(&[
            ("backend", Node::Container(Place::Backend)),
            ("machine", Node::Machine),
            ("objects", Node::Container(Place::Objects)),
            ("chardevs", Node::Container(Place::Chardevs)),
        ]),
        Node::Machine => {
            let mut all: Vec<(String, Node)> = named(&[
                ("peripheral", Node::Container(Place::Peripheral)),
                ("peripheral-anon", Node::Container(Place::PeripheralAnon)),
                ("unattached", Node::Container(Place::Unattached)),
            ]);
            all.extend(board::below(machine, world, ""));
            all
        }
        Node::Fixed(n) => {
            let Some((path, thing)) = world.places(machine).get(*n) else {
                return Vec::new();
            };
            let mut all = board::below(machine, world, path);
            all.extend(board::inside(*thing));
            all
        }
        Node::Container(place) => contained(machine, world, *place),
        Node::Device(id) => {
            let Some(slot) = machine.sys.slot(*id) else {
                return Vec::new();
            };
            let regions = slot.regions.iter().enumerate().map(|(n, r)| {
                let name = qom::region(slot.device_type, r.decl.name);
                (format!("{name}[0]"), Node::Memory(Region::Device(*id, n)))
            });
            let buses = slot.buses.iter().filter_map(|b| {
                let (_, bus) = machine.sys.buses().find(|(id, _)| id == b)?;
                Some((bus_name(machine, bus).to_owned(), Node::Bus(*b)))
            });
            let clocks = slot.device_type.clocks.iter().zip(&slot.clocks);
            let clocks = clocks.map(|(name, node)| ((*name).to_owned(), Node::Clock(*node)));
            let mut all: Vec<_> = regions.chain(buses).chain(clocks).collect();
            all.extend(board::inputs(machine, *id));
            if has_virtio_half(machine, *id) {
                all.push((VIRTIO_HALF.into(), Node::VirtioHalf(*id)));
            }
            if let Some((path, _)) = world.places(machine).iter().find(|(_, t)| *t == Thing::Device(*id)) {
                all.extend(board::below(machine, world, path));
            }
            all
        }
        _ => Vec::new(),
    }
}

fn contained(machine: &Machine, world: &World, place: Place) -> Vec<(String, Node)> {
    let on_board = |id: &DeviceId| world.layout.parts.values().any(|p| p == id);
    let added = || machine.sys.devices().filter(move |(id, _)| !on_board(id));
    match place {
        Place::Backend => Vec::new(),
        Place::Chardevs => world
            .chardevs
            .iter()
            .map(|(id, _)| (id.to_owned(), Node::Chardev(id.to_owned())))
            .collect(),
        Place::Objects => world
            .objects
            .iter()
            .map(|(id, _)| (id.to_owned(), Node::Object(id.to_owned())))
            .collect(),
        Place::Peripheral => added()
            .filter_map(|(id, s)| Some((s.id.clone()?, Node::Device(id))))
            .collect(),
        Place::PeripheralAnon => added()
            .filter(|(_, s)| s.id.is_none())
            .map(|(id, _)| (anonymous(world, id), Node::Device(id)))
            .collect(),
        Place::Unattached => {
            let mut all = board::below(machine, world, "unattached");
            all.extend(board::memories(machine, world));
            all.push(("sysbus".into(), Node::SystemBus));
            all
        }
    }
}

/// The object at a path: from `/` on in whole, or its last parts if only one object has them.
pub(crate) fn resolve(cx: &Cx<'_>, path: &str) -> Result<Node, Error> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let found = if path.starts_with('/') {
        descend(cx.machine, cx.world, Node::Root, &parts)
    } else if parts.is_empty() {
        None
    } else {
        let mut hits = Vec::new();
        search(cx, Node::Root, &parts, &mut hits);
        if hits.len() > 1 {
            return Err(Error::generic(format!("Path '{path}' is ambiguous: write it in whole")));
        }
        hits.pop()
    };
    found.ok_or_else(|| Error::no_device(format!("Device '{path}' not found")))
}

fn descend(machine: &Machine, world: &World, from: Node, parts: &[&str]) -> Option<Node> {
    parts.iter().try_fold(from, |node, part| {
        children(machine, world, &node)
            .into_iter()
            .find(|(name, _)| name == part)
            .map(|(_, child)| child)
    })
}

fn search(cx: &Cx<'_>, node: Node, parts: &[&str], hits: &mut Vec<Node>) {
    hits.extend(descend(cx.machine, cx.world, node.clone(), parts));
    for (_, child) in children(cx.machine, cx.world, &node) {
        search(cx, child, parts, hits);
    }
}

/// The type of an object.
pub(crate) fn type_name(cx: &Cx<'_>, node: &Node) -> String {
    match node {
        Node::Root | Node::Container(_) => "container".into(),
        Node::Machine => format!("{}-machine", cx.world.layout.board.name),
        Node::Fixed(n) => {
            let thing = cx.world.places(cx.machine).get(*n).map(|p| p.1);
            thing.map_or_else(String::new, |t| board::type_name(cx, t))
        }
        Node::SystemBus => "System".into(),
        Node::Device(id) => cx
            .machine
            .sys
            .slot(*id)
            .map_or_else(String::new, |s| s.device_type.name.into()),
        Node::VirtioHalf(id) => {
            let whole = cx.machine.sys.slot(*id).map_or("", |s| s.device_type.name);
            let kind = whole.split_once("-pci").map_or(whole, |(kind, _)| kind);
            format!("{kind}-device")
        }
        Node::Bus(id) => {
            let bus = cx.machine.sys.buses().find(|(b, _)| b == id);
            bus.map_or_else(String::new, |(_, b)| b.kind.name().into())
        }
        Node::Memory(_) => "memory-region".into(),
        Node::Line => "irq".into(),
        Node::Clock(_) => "clock".into(),
        Node::Chardev(id) => format!("chardev-{}", chardev_kind(cx, id).unwrap_or("null")),
        Node::Object(id) => cx
            .world
            .objects
            .get(id)
            .map_or_else(String::new, |o| o.object_type.name.into()),
    }
}

/// Back ends tell their kind only to who may change them; the tables have it by the name of the link.
fn chardev_kind(cx: &Cx<'_>, id: &str) -> Option<&'static str> {
    let backend = cx.world.chardevs.get(id)?;
    cx.machine.sys.host.peek::<Chardev>(backend).map(Chardev::kind)
}

/// Everything that `qom-list` shows of an object.
pub(crate) fn list(cx: &Cx<'_>, node: &Node) -> Vec<Listed> {
    let of = type_name(cx, node);
    let mut all = vec![listed("type", "string", json!(of))];
    match node {
        Node::Machine => {
            for (name, value) in &cx.world.notes {
                let of = match value {
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "int",
                    _ => "string",
                };
                all.push(listed(name, of, value.clone()));
            }
            let size: u64 = cx.machine.ram.iter().map(|(_, block)| block.len()).sum();
            let size = json!({ "size": size });
            all.push(listed("memory", "MemorySizeConfiguration", size));
        }
        Node::Device(id) => device(cx, *id, &mut all),
        Node::Fixed(n) => {
            if let Some((_, thing)) = cx.world.places(cx.machine).get(*n) {
                board::properties(cx, *thing, &mut all);
            }
        }
        Node::Memory(region) => board::region(cx, region, &mut all),
        Node::Clock(node) if !cx.machine.executes => {
            let hz = node.map_or(0, |n| cx.machine.sys.clock_hz(n));
            all.push(listed("qtest-clock-period", "uint64", json!(period(hz))));
        }
        Node::SystemBus => bus(cx, None, &mut all),
        Node::Bus(id) => bus(cx, Some(*id), &mut all),
        Node::Object(id) => {
            if let Some(o) = cx.world.objects.get(id) {
                let own = o.object_type.properties.iter();
                all.extend(own.map(|p| Listed {
                    info: property_info(p),
                    value: o.properties.get(p.name).map(value),
                }));
            }
        }
        _ => {}
    }
    let base = path_prefix(cx, node);
    for (name, child) in children(cx.machine, cx.world, node) {
        let path = base.as_ref().map(|b| json!(format!("{b}/{name}")));
        all.push(listed(&name, format!("child<{}>", type_name(cx, &child)), path));
    }
    all
}

/// The path of what has children.
fn path_prefix(cx: &Cx<'_>, node: &Node) -> Option<String> {
    Some(match node {
        Node::Root => String::new(),
        Node::Machine => "/machine".into(),
        Node::Fixed(n) => format!("/machine/{}", cx.world.places(cx.machine).get(*n)?.0),
        Node::Container(p) => match p {
            Place::Backend => "/backend",
            Place::Chardevs => "/chardevs",
            Place::Objects => "/objects",
            Place::Peripheral => "/machine/peripheral",
            Place::PeripheralAnon => "/machine/peripheral-anon",
            Place::Unattached => "/machine/unattached",
        }
        .into(),
        Node::Device(id) => device_path(cx.machine, cx.world, *id),
        _ => return None,
    })
}

fn device(cx: &Cx<'_>, id: DeviceId, all: &mut Vec<Listed>) {
    let Some(slot) = cx.machine.sys.slot(id) else { return };
    let on_board = cx.world.layout.parts.values().any(|p| *p == id);
    let bus = cx
        .machine
        .sys
        .buses()
        .find(|(_, b)| b.children.iter().any(|c| c.0 == id));
    let bus = match bus {
        Some((bus, _)) => bus_path(cx.machine, cx.world, bus),
        None => Some(SYSBUS.to_owned()),
    };
    all.extend(of_every_device(bus, slot.hotplugged, !on_board));
    for p in slot.device_type.properties {
        all.push(Listed {
            info: property_info(p),
            value: Some(slot.properties.get(p.name).map_or_else(|| json!(""), value)),
        });
    }
    if slot.device_type.name.starts_with("virtio-balloon") {
        let told = crate::commands::balloon::PROPERTIES;
        all.extend(told.map(|(name, of)| listed(name, of, None)));
    }
    for (n, name) in (0..).zip(board::outputs(slot.device_type)) {
        all.push(listed(&name, "link<irq>", json!(board::leads_to(cx, id, n))));
    }
}

fn of_every_device(bus: Option<String>, hotplugged: bool, hotpluggable: bool) -> [Listed; 4] {
    [
        listed("parent_bus", "link<bus>", json!(bus.unwrap_or_default())),
        listed("realized", "bool", json!(true)),
        listed("hotplugged", "bool", json!(hotplugged)),
        listed("hotpluggable", "bool", json!(hotpluggable)),
    ]
}

/// Whether it is one of the properties that a device is made with, rather than one that tells of it.
pub(crate) fn is_fixed_when_made(node: &Node, property: &str, of: &str) -> bool {
    let tells = matches!(
        property,
        "type" | "parent_bus" | "hotplugged" | "hotpluggable" | "halted"
    );
    let leads = of.starts_with("child<") || of == "link<irq>";
    matches!(node, Node::Device(_) | Node::Fixed(_)) && !tells && !leads
}

/// A bus, or the system bus.
fn bus(cx: &Cx<'_>, id: Option<BusId>, all: &mut Vec<Listed>) {
    all.push(listed("realized", "bool", json!(id.is_some())));
    all.push(listed("hotplug-handler", "link<hotplug-handler>", json!("")));
    let sits = |device: DeviceId| {
        let mut buses = cx.machine.sys.buses();
        let on = buses.find(|(_, b)| b.children.iter().any(|c| c.0 == device));
        on.map(|(bus, _)| bus) == id
    };
    let devices = cx.machine.sys.devices().filter(|(device, _)| sits(*device));
    for (n, (device, slot)) in devices.enumerate() {
        let path = device_path(cx.machine, cx.world, device);
        let of = format!("link<{}>", slot.device_type.name);
        all.push(listed(&format!("child[{n}]"), of, json!(path)));
    }
}

/// The period of a clock in 2^-32 ns, as qtest's clients count it.
fn period(hz: u64) -> u64 {
    (1_000_000_000u64 << 32).checked_div(hz).unwrap_or(0)
}

fn value(v: &PropValue) -> Value {
    match v {
        PropValue::Bool(b) => json!(b),
        PropValue::OnOffAuto(None) => json!("auto"),
        PropValue::OnOffAuto(Some(b)) => json!(if *b { "on" } else { "off" }),
        PropValue::Uint(n) => json!(n),
        PropValue::Str(s) => json!(s),
        PropValue::Backend(id, _) => json!(id),
        PropValue::Nested(parts) => nested(parts),
    }
}

/// Parts of a value as the value that they came from: `0.name` is a member of the first of a list.
pub(crate) fn nested(parts: &[(String, String)]) -> Value {
    let mut names: Vec<&str> = Vec::new();
    let mut by_name: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for (key, value) in parts {
        let (name, rest) = key.split_once('.').unwrap_or((key, ""));
        if rest.is_empty() && parts.len() == 1 && name.is_empty() {
            return value.parse().map_or_else(|_| json!(value), |n: u64| json!(n));
        }
        if !names.contains(&name) {
            names.push(name);
        }
        by_name.entry(name).or_default().push((rest.to_owned(), value.clone()));
    }
    let is_list = names.iter().all(|n| n.parse::<u32>().is_ok());
    let inside = |n: &str| nested(by_name.get(n).map_or(&[], Vec::as_slice));
    match is_list {
        true => names.into_iter().map(inside).collect(),
        false => Value::Object(names.into_iter().map(|n| (n.to_owned(), inside(n))).collect()),
    }
}
