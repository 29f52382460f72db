//! The object tree, as QEMU shapes it, computed from the arena, the tables of types and the directories of back ends.
//!
//! ```text
//! /machine                       the board; its devices where QEMU has them
//! /machine/peripheral/ID         devices of the user that have a name
//! /machine/peripheral-anon/…     and those that have none
//! /machine/unattached/sysbus     the system bus
//! /chardevs/ID, /objects/ID      back ends and objects
//! ```

mod types;

use serde_json::{Value, json};
use southbridge_backend_chardev::Chardev;
use southbridge_core::{BusId, CpuId, DeviceId, Machine, PropValue, RunState};
use southbridge_protocol_qmp::Error;

use crate::schema::ObjectPropertyInfo;
use crate::{Cx, World};
pub(crate) use types::{class_properties, cpu_type, property_info, type_properties, type_property, types};

/// Where a processor is.
pub(crate) fn cpu_path(machine: &Machine, cpu: CpuId) -> String {
    let home = machine.cpu(cpu).map_or("unattached", |c| c.arch().qom_home.0);
    format!("/machine/{home}/{}", cpu_name(machine, cpu))
}

fn cpu_name(machine: &Machine, cpu: CpuId) -> String {
    let name = machine.cpu(cpu).map_or("cpu", |c| c.arch().qom_name);
    match name.strip_suffix("[]") {
        Some(name) => format!("{name}[{}]", cpu.0),
        None => name.to_owned(),
    }
}

/// The numbers of all processors.
pub(crate) fn cpus(machine: &Machine) -> impl Iterator<Item = CpuId> + use<> {
    (0..).take(machine.cpus.len()).map(CpuId)
}

/// What stands around the processors: name and type.
fn home(machine: &Machine) -> Option<(&'static str, &'static str)> {
    Some(machine.cpus.first()?.arch().qom_home)
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
    /// What stands around the processors.
    Core,
    /// A processor.
    Cpu(CpuId),
    /// The system bus.
    SystemBus,
    /// A device.
    Device(DeviceId),
    /// A bus of a device.
    Bus(BusId),
    /// A region of a device or a memory of the board.
    Memory,
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

/// Devices of the board, in its order.
fn parts(world: &World) -> Vec<DeviceId> {
    let mut parts: Vec<_> = world.layout.parts.values().copied().collect();
    parts.sort_unstable();
    parts
}

/// Where a device is.
pub(crate) fn device_path(machine: &Machine, world: &World, device: DeviceId) -> String {
    if let Some(n) = parts(world).iter().position(|p| *p == device) {
        return format!("/machine/unattached/device[{n}]");
    }
    match machine.sys.slot(device).and_then(|s| s.id.as_ref()) {
        Some(id) => format!("/machine/peripheral/{id}"),
        None => format!("/machine/peripheral-anon/{}", anonymous(world, device)),
    }
}

fn bus_path(machine: &Machine, world: &World, bus: BusId) -> Option<String> {
    let (_, b) = machine.sys.buses().find(|(id, _)| *id == bus)?;
    Some(format!("{}/{}", device_path(machine, world, b.owner), b.name))
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
            all.extend(home(machine).map(|(name, _)| (name.to_owned(), Node::Core)));
            all
        }
        Node::Core => cpus(machine).map(|c| (cpu_name(machine, c), Node::Cpu(c))).collect(),
        Node::Container(place) => contained(machine, world, *place),
        Node::Device(id) => {
            let Some(slot) = machine.sys.slot(*id) else {
                return Vec::new();
            };
            let regions = slot
                .regions
                .iter()
                .map(|r| (format!("{}[0]", r.decl.name), Node::Memory));
            let name = |b: &BusId| {
                machine
                    .sys
                    .buses()
                    .find(|(id, _)| id == b)
                    .map(|(_, bus)| bus.name.clone())
            };
            let buses = slot.buses.iter().filter_map(|b| Some((name(b)?, Node::Bus(*b))));
            regions.chain(buses).collect()
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
            let devices = parts(world).into_iter().enumerate();
            let mut all: Vec<_> = devices
                .map(|(n, id)| (format!("device[{n}]"), Node::Device(id)))
                .collect();
            all.extend(machine.ram.iter().map(|(name, _)| (format!("{name}[0]"), Node::Memory)));
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
            return Err(Error::generic(format!(
                "there is more than one '{path}': write the whole path"
            )));
        }
        hits.pop()
    };
    found.ok_or_else(|| Error::no_device(format!("there is no object '{path}'")))
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
        Node::Core => home(cx.machine).map_or_else(String::new, |(_, of)| of.into()),
        Node::Cpu(cpu) => cx.machine.cpu(*cpu).map_or_else(String::new, |c| {
            format!("{}-{}", c.model(), c.arch().qom_suffix)
        }),
        Node::SystemBus => "System".into(),
        Node::Device(id) => cx
            .machine
            .sys
            .slot(*id)
            .map_or_else(String::new, |s| s.device_type.name.into()),
        Node::Bus(id) => {
            let bus = cx.machine.sys.buses().find(|(b, _)| b == id);
            bus.map_or_else(String::new, |(_, b)| b.kind.name().into())
        }
        Node::Memory => "memory-region".into(),
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
            all.push(listed("kernel", "string", json!(cx.world.facts.kernel)));
            all.push(listed("append", "string", json!(cx.world.facts.append)));
        }
        Node::Device(id) => device(cx, *id, &mut all),
        Node::Cpu(cpu) => {
            let running = cx.machine.run_state() == RunState::Running && !cx.machine.is_asleep(*cpu);
            all.push(listed("realized", "bool", json!(true)));
            all.push(listed("hotplugged", "bool", json!(false)));
            all.push(listed("start-powered-off", "bool", json!(false)));
            all.push(listed("halted", "bool", json!(!running)));
        }
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
        Node::Core => format!("/machine/{}", home(cx.machine)?.0),
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
        None => Some("/machine/unattached/sysbus".to_owned()),
    };
    all.push(listed("parent_bus", "link<bus>", json!(bus)));
    all.push(listed("realized", "bool", json!(true)));
    all.push(listed("hotplugged", "bool", json!(slot.hotplugged)));
    all.push(listed("hotpluggable", "bool", json!(!on_board)));
    for p in slot.device_type.properties {
        all.push(Listed {
            info: property_info(p),
            value: Some(slot.properties.get(p.name).map_or_else(|| json!(""), value)),
        });
    }
    all.extend(types::lines(slot.device_type).map(|name| listed(&name, "link<irq>", json!(""))));
}

fn value(v: &PropValue) -> Value {
    match v {
        PropValue::Bool(b) => json!(b),
        PropValue::OnOffAuto(None) => json!("auto"),
        PropValue::OnOffAuto(Some(b)) => json!(if *b { "on" } else { "off" }),
        PropValue::Uint(n) => json!(n),
        PropValue::Str(s) => json!(s),
        PropValue::Backend(id, _) => json!(id),
    }
}
