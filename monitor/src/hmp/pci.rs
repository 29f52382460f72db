//! `info pci`, what `info qtree` says of PCI devices, and `pcie_aer_inject_error`.

use serde_json::{Map, Value};
use southbridge_bus_pci::errors::{self, ErrorReport, NAMES};
use southbridge_bus_pci::{PciFunction, regs, wiring};
use southbridge_core::{DeviceId, Machine};
use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Call, Refusal, failed};
use crate::commands::pci::{class_name, with_pci};

/// Names of errors.
pub(super) const ERRORS: [&str; NAMES.len()] = {
    let mut names = [""; NAMES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = NAMES[i].0;
        i += 1;
    }
    names
};

/// Gives a function an error, as if it had found one.
pub(super) fn inject_error(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let id = call.args.word(2);
    let error = error_report(call)?;
    let sys = &mut call.cx.machine.sys;
    let Some(device) = sys.find_device(&id) else {
        return failed(format!("device '{id}' not found"));
    };
    let express = sys.with_role::<dyn PciFunction, _>(device, |f, _| f.pci().express_at().is_some());
    if express != Some(true) {
        return failed(format!("device '{id}' is not a PCIe device"));
    }
    let done = sys.with_role::<dyn PciFunction, _>(device, |f, cx| errors::report(f, &error, cx));
    sys.settle();
    if let Some(Err(e)) = done {
        return failed(format!("failed to inject error: {e}"));
    }
    let (parent, at) = match wiring::place_of(sys, device) {
        Some((bus, at)) => (sys.buses().find(|(b, _)| *b == bus).map(|(_, b)| b.owner), at),
        None => (None, 0),
    };
    let bus = parent.and_then(|p| with_pci(call.cx.machine, p, |p| p.decode().bridge.map_or(0, |b| b.secondary)));
    let (bus, slot, function) = (bus.unwrap_or(0), at >> 3, at & 7);
    call.say(format_args!(
        "OK id: {id} root bus: 0000:00, bus: {bus:x} devfn: {slot:x}.{function:x}"
    ));
    Ok(())
}

fn error_report(call: &Call<'_, '_>) -> Result<ErrorReport, Refusal> {
    let word = call.args.word(3);
    let (status, correctable) = match NAMES.iter().find(|n| n.0 == word) {
        Some(_) if call.args.flag(1) => return failed("-c is only valid with numeric error status"),
        Some((_, status, correctable)) => (*status, *correctable),
        None => {
            let number = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => word.parse(),
            };
            let Ok(status) = number else {
                return failed(format!("invalid error status value '{word}'"));
            };
            (status, call.args.flag(1))
        }
    };
    let words = |first: usize| {
        call.args.number(first)?;
        Some([0, 1, 2, 3].map(|n| call.args.number(first + n).unwrap_or(0) as u32))
    };
    Ok(ErrorReport {
        status,
        correctable,
        advisory: call.args.flag(0),
        header: words(4),
        prefix: words(8),
    })
}

/// Lists functions in the order of their addresses, those behind a bridge after it.
pub(super) fn info(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let answer = call.qmp("query-pci", Value::Object(Map::new()))?;
    let mut out = String::new();
    for bus in list(&answer) {
        for device in list(&bus["devices"]) {
            function(device, &mut out);
        }
    }
    call.out += &out;
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_i64().map(|n| n as u64)).unwrap_or(0)
}

fn function(d: &Value, out: &mut String) {
    let n = |key: &str| number(&d[key]);
    let _ = writeln!(
        out,
        "  Bus {:2}, device {:3}, function {}:",
        n("bus"),
        n("slot"),
        n("function")
    );
    let class = &d["class_info"];
    let id = |key: &str| number(&d["id"][key]);
    let kind = match class["desc"].as_str() {
        Some(desc) => desc.to_owned(),
        None => format!("Class {:04}", number(&class["class"])),
    };
    let _ = writeln!(out, "    {kind}: PCI device {:04x}:{:04x}", id("vendor"), id("device"));
    if d["id"].get("subsystem").is_some() {
        let _ = writeln!(
            out,
            "      PCI subsystem {:04x}:{:04x}",
            id("subsystem-vendor"),
            id("subsystem")
        );
    }
    if d.get("irq").is_some() {
        let pin = char::from(b'A' + (n("irq_pin").clamp(1, 26) - 1) as u8);
        let _ = writeln!(out, "      IRQ {}, pin {pin}", n("irq"));
    }
    if let Some(bridge) = d.get("pci_bridge") {
        windows(&bridge["bus"], out);
    }
    for region in list(&d["regions"]) {
        bar(region, out);
    }
    let _ = writeln!(out, "      id \"{}\"", d["qdev_id"].as_str().unwrap_or_default());
    for below in d.get("pci_bridge").map_or(&[][..], |b| list(&b["devices"])) {
        function(below, out);
    }
}

fn windows(bus: &Value, out: &mut String) {
    let n = |key: &str| number(&bus[key]);
    let _ = writeln!(
        out,
        "      BUS {}.\n      secondary bus {}.\n      subordinate bus {}.",
        n("number"),
        n("secondary"),
        n("subordinate")
    );
    let range = |key: &str| (number(&bus[key]["base"]), number(&bus[key]["limit"]));
    let (base, limit) = range("io_range");
    let _ = writeln!(out, "      IO range [{base:#06x}, {limit:#06x}]");
    for (name, key) in [
        ("memory", "memory_range"),
        ("prefetchable memory", "prefetchable_range"),
    ] {
        let (base, limit) = range(key);
        let _ = writeln!(out, "      {name} range [{base:#010x}, {limit:#010x}]");
    }
}

fn bar(region: &Value, out: &mut String) {
    let (address, size) = (number(&region["address"]), number(&region["size"]));
    let is = |key: &str| region[key].as_bool().unwrap_or(false);
    let _ = write!(out, "      BAR{}: ", number(&region["bar"]));
    let io = region["type"] == "io";
    if io {
        *out += "I/O";
    } else {
        let bits = if is("mem_type_64") { 64 } else { 32 };
        let prefetch = if is("prefetch") { " prefetchable" } else { "" };
        let _ = write!(out, "{bits} bit{prefetch} memory");
    }
    let last = address.wrapping_add(size.saturating_sub(1));
    let _ = match (address, io) {
        (u64::MAX, _) => writeln!(out, " (not mapped)"),
        (_, true) => writeln!(out, " at {address:#06x} [{last:#06x}]"),
        (_, false) => writeln!(out, " at {address:#010x} [{last:#010x}]"),
    };
}

/// What `info qtree` says of a PCI device beyond its properties.
pub(super) struct PciLines {
    /// Slot and function.
    pub(super) addr: String,
    /// Lines after the properties.
    pub(super) tail: Vec<String>,
}

/// Of all PCI devices.
pub(super) fn qtree_lines(machine: &mut Machine) -> BTreeMap<DeviceId, PciLines> {
    let ids: Vec<DeviceId> = machine.sys.devices().map(|(id, _)| id).collect();
    ids.into_iter()
        .filter_map(|id| Some((id, lines(machine, id)?)))
        .collect()
}

fn lines(machine: &mut Machine, id: DeviceId) -> Option<PciLines> {
    let (bus, at) = wiring::place_of(&machine.sys, id)?;
    let owner = machine.sys.buses().find(|(b, _)| *b == bus)?.1.owner;
    let number = with_pci(machine, owner, |p| p.decode().bridge.map_or(0, |b| b.secondary)).unwrap_or(0);
    let (slot, function) = (at >> 3, at & 7);
    let tail = with_pci(machine, id, |p| {
        let c = &p.config;
        let class = c.u16(regs::CLASS);
        let kind = class_name(class).map_or_else(|| format!("Class {class:04x}"), str::to_owned);
        let word = |at| c.u16(at);
        let mut tail = vec![format!(
            "class {kind}, addr {number:02x}:{slot:02x}.{function:x}, pci id {:04x}:{:04x} (sub {:04x}:{:04x})",
            word(regs::VENDOR_ID),
            word(regs::DEVICE_ID),
            word(regs::SUBSYSTEM_VENDOR),
            word(regs::SUBSYSTEM)
        )];
        for n in 0..7 {
            let Some(bar) = (if n == 6 { p.rom() } else { p.bar(n) }) else {
                continue;
            };
            let start = p.bar_address(n).unwrap_or(u64::MAX);
            let last = start.wrapping_add(bar.size - 1);
            let kind = if bar.kind.is_io() { "i/o" } else { "mem" };
            tail.push(format!("bar {n}: {kind} at {start:#x} [{last:#x}]"));
        }
        tail
    })?;
    Some(PciLines {
        addr: format!("{slot:02x}.{function:x}"),
        tail,
    })
}
