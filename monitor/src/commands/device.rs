//! Devices come and go.

use serde_json::{Map, Value};
use southbridge_bus_pci::Leaves;
use southbridge_core::{BusKind, LineDirection, LogItems, MachineEvent};
use southbridge_machine::add::hot_plug_device;
use southbridge_machine::add::{self, Surroundings};
use southbridge_machine::{Spec, pci, remove_device};
use southbridge_protocol_qmp::Error;

use super::{Result, refuse};
use crate::Cx;
use crate::schema::{DeviceDelArgs, DeviceListPropertiesArgs, ObjectPropertyInfo};
use crate::tree::{self, Node};

pub(super) fn device_list_properties(
    cx: &mut Cx<'_>,
    args: DeviceListPropertiesArgs,
) -> Result<Vec<ObjectPropertyInfo>> {
    let registry = &cx.world.registry;
    match registry.get(&args.typename) {
        Some(t) => Ok(tree::type_properties(t)),
        None if tree::types(cx.world, true).iter().any(|t| t.name == args.typename) => {
            refuse(format!("'{}' is no type of devices that can be made", args.typename))
        }
        None => Err(Error::no_device(format!("there is no device type '{}'", args.typename))),
    }
}

/// Values as the command line spells them.
pub(super) fn spelled(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(s) => s.clone(),
        Value::Bool(b) => if *b { "on" } else { "off" }.to_owned(),
        Value::Number(n) => n.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    })
}

/// A member with all that is in it, by keys as the command line has them: `name.0.part`. How deep it goes, the reader of the message has
/// bounded.
fn flatten(name: String, value: Value, words: &mut Vec<(String, String)>) -> Result<()> {
    match value {
        Value::Array(all) => {
            let mut all = all.into_iter().enumerate();
            all.try_for_each(|(i, v)| flatten(format!("{name}.{i}"), v, words))
        }
        Value::Object(all) => all
            .into_iter()
            .try_for_each(|(k, v)| flatten(format!("{name}.{k}"), v, words)),
        value => match spelled(&value) {
            Some(text) => {
                words.push((name, text));
                Ok(())
            }
            None => refuse(format!("'{name}' takes a string, a number, true or false")),
        },
    }
}

pub(super) fn device_add(cx: &mut Cx<'_>, args: Map<String, Value>) -> Result<()> {
    let mut words = Vec::new();
    for (name, value) in args {
        flatten(name, value, &mut words)?;
    }
    let word = |name: &str| words.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    if let Some(id) = word("id").filter(|id| !southbridge_cli::keyval::value::is_id(id)) {
        return refuse(format!(
            "'id' cannot be '{id}'; it takes {}",
            southbridge_cli::keyval::value::EXPECT_ID
        ));
    }
    let own = |n: &str| !matches!(n, "driver" | "id" | "bus");
    let spec = Spec {
        driver: word("driver").unwrap_or_default(),
        id: word("id"),
        bus: word("bus"),
        properties: words
            .iter()
            .filter(|(n, _)| own(n))
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect(),
    };
    plug(cx, &spec)
}

/// Plugs a device in; also for the human monitor.
pub(crate) fn plug(cx: &mut Cx<'_>, spec: &Spec<'_>) -> Result<()> {
    let (machine, world) = (&mut *cx.machine, &mut *cx.world);
    let around = Surroundings {
        registry: &world.registry,
        globals: &world.globals,
        chardev: &|id| world.chardevs.get(id),
        memdev: &|id| world.objects.memory(id).map(|m| m.0),
        netdev: &|id| world.netdevs.get(id),
    };
    let added = hot_plug_device(machine, &mut world.layout, &around, spec);
    added.map_err(|e| Error::generic(e.to_string()))?;
    if machine.sys.log.on(LogItems::GUEST_ERRORS) {
        machine
            .sys
            .log
            .line(format_args!("{} was plugged in", spec.id.unwrap_or(spec.driver)));
    }
    Ok(())
}

pub(super) fn device_del(cx: &mut Cx<'_>, args: DeviceDelArgs) -> Result<()> {
    let by_id = cx.machine.sys.find_device(&args.id);
    let found = by_id.or_else(|| match tree::resolve(cx, &args.id) {
        Ok(Node::Device(id)) if args.id.starts_with('/') => Some(id),
        _ => None,
    });
    let Some(device) = found else {
        return Err(Error::no_device(format!("there is no device '{}'", args.id)));
    };
    if cx.world.layout.parts.values().any(|p| *p == device) {
        return refuse(format!("'{}' is part of the board and cannot be unplugged", args.id));
    }
    if pci::is_function(cx.machine, device) {
        let leaves = pci::unplug(cx.machine, device);
        match leaves.map_err(|e| Error::generic(format!("'{}' stays: {e}", args.id)))? {
            // The event tells when the guest has let it go.
            Leaves::WhenReleased => return Ok(()),
            Leaves::Now => {}
        }
    }
    let mut gone = Vec::new();
    collect(cx, device, &mut gone);
    remove_device(cx.machine, &mut cx.world.layout, device);
    super::block::sweep(cx.machine);
    for event in gone {
        cx.world.hear(&event);
    }
    Ok(())
}

/// The device and what sits on its buses, those first.
fn collect(cx: &Cx<'_>, device: southbridge_core::DeviceId, gone: &mut Vec<MachineEvent>) {
    for child in add::children(cx.machine, device) {
        collect(cx, child, gone);
    }
    if let Some(slot) = cx.machine.sys.slot(device) {
        gone.push(MachineEvent::DeviceDeleted {
            id: slot.id.clone(),
            path: tree::device_path(cx.machine, cx.world, device),
        });
    }
}

/// Whether an interrupt or a bus is among what a type needs.
#[allow(dead_code, reason = "for the human monitor")]
pub(crate) fn needs_place(t: &southbridge_core::DeviceType) -> bool {
    t.bus == BusKind::System || t.line_count(LineDirection::Out) > 0
}
