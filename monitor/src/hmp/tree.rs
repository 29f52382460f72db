//! Trees: buses and devices, objects, and what stands where in the address space.

use serde_json::{Value, json};
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{BusKind, DeviceId, LineDirection, Machine, PropKind, PropValue, Property};
use std::fmt::Write;

use super::{Call, Refusal, failed, pci};
use crate::tree;

type Done = Result<(), Refusal>;

// ----- buses and devices --------------------------------------------------------------------------------------------------------

/// The newest first, as in QEMU.
pub(super) fn qtree(call: &mut Call<'_, '_>) -> Done {
    let brief = call.args.flag(0);
    let pci = pci::qtree_lines(call.cx.machine);
    let machine = &call.cx.machine;
    let mut out = String::new();
    if !machine.cpus.is_empty() {
        let on_no_bus = |id: DeviceId| machine.sys.buses().all(|(_, b)| b.children.iter().all(|c| c.0 != id));
        let mut devices: Vec<_> = machine
            .sys
            .devices()
            .map(|(id, _)| id)
            .filter(|id| on_no_bus(*id))
            .collect();
        devices.reverse();
        out += "bus: main-system-bus\n  type System\n";
        devices
            .into_iter()
            .for_each(|id| device(machine, id, 2, brief, &pci, &mut out));
    }
    call.out += &out;
    Ok(())
}

type Pci = std::collections::BTreeMap<DeviceId, pci::PciLines>;

fn device(machine: &Machine, id: DeviceId, indent: usize, brief: bool, pci: &Pci, out: &mut String) {
    let Some(slot) = machine.sys.slot(id) else { return };
    let pad = " ".repeat(indent);
    let _ = writeln!(
        out,
        "{pad}dev: {}, id \"{}\"",
        slot.device_type.name,
        slot.id.as_deref().unwrap_or("")
    );
    let pad = " ".repeat(indent + 2);
    if !brief {
        // The wires of a PCI function are its bus's affair.
        let lines = if pci.contains_key(&id) {
            &[]
        } else {
            slot.device_type.lines
        };
        for line in lines {
            let way = if line.direction == LineDirection::In {
                "in"
            } else {
                "out"
            };
            let _ = writeln!(out, "{pad}gpio-{way} \"{}\" {}", line.name, line.count);
        }
        for (name, node) in slot.device_type.clocks.iter().zip(&slot.clocks) {
            let hz = node.map_or(0, |n| machine.sys.clock_hz(n));
            let _ = writeln!(out, "{pad}clock-in \"{name}\" freq_hz={}", frequency(hz));
        }
        let pci = pci.get(&id);
        for p in slot.device_type.properties {
            let value = match (pci, p.name) {
                (Some(lines), "addr") => lines.addr.clone(),
                (Some(_), "rombar") => match slot.properties.str("rombar") {
                    Some("0" | "off") => "0 (0x0)".into(),
                    Some("1" | "on") => "1 (0x1)".into(),
                    _ => "-1 (0xffffffffffffffff)".into(),
                },
                _ => shown(p, slot.properties.get(p.name)),
            };
            let _ = writeln!(out, "{pad}{} = {value}", p.name);
        }
        for line in pci.map_or(&[][..], |p| &p.tail) {
            let _ = writeln!(out, "{pad}{line}");
        }
        for region in &slot.regions {
            let at = region.mappings.first().and_then(|m| machine.sys.memory.mapping(*m));
            if slot.device_type.bus == BusKind::System {
                let start = at.map_or(u64::MAX, |m| m.start);
                let _ = writeln!(out, "{pad}mmio {start:016x}/{:016x}", region.size);
            }
        }
    }
    for (_, bus) in machine.sys.buses().filter(|(_, b)| b.owner == id) {
        // PCI Express and conventional buses differ by what their owners call them.
        let express = slot.device_type.buses.iter().any(|b| b.name == "pcie");
        let kind = if bus.kind == BusKind::Pci && express {
            "PCIE"
        } else {
            bus.kind.name()
        };
        let _ = writeln!(out, "{pad}bus: {}\n{pad}  type {kind}", bus.name);
        for (child, _) in bus.children.iter().rev() {
            device(machine, *child, indent + 4, brief, pci, out);
        }
    }
}

/// Three digits and a unit.
fn frequency(hz: u64) -> String {
    let units = ["Hz", "KHz", "MHz", "GHz"];
    let mut value = hz as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.decimals$}");
    let text = if decimals > 0 {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {}", units[unit])
}

fn shown(p: &Property, value: Option<&PropValue>) -> String {
    match (value, p.kind) {
        (Some(PropValue::Bool(b)), _) => b.to_string(),
        (Some(PropValue::OnOffAuto(v)), _) => {
            let word = match v {
                None => "auto",
                Some(true) => "on",
                Some(false) => "off",
            };
            format!("\"{word}\"")
        }
        (Some(PropValue::Uint(n)), _) => format!("{n} ({n:#x})"),
        (Some(PropValue::Str(s) | PropValue::Backend(s, _)), _) => format!("\"{s}\""),
        (Some(PropValue::Nested(parts)), _) => crate::tree::nested(parts).to_string(),
        (None, PropKind::Bool) => "false".into(),
        (None, PropKind::Uint(_) | PropKind::Size) => "0 (0x0)".into(),
        (None, _) => "\"\"".into(),
    }
}

// ----- objects ------------------------------------------------------------------------------------------------------------------

pub(super) fn qom_tree(call: &mut Call<'_, '_>) -> Done {
    let path = call.args.text(0).unwrap_or("/machine").to_owned();
    let node = tree::resolve(call.cx, &path)?;
    let mut out = String::new();
    // As in QEMU: the board by its path, all else by its last part.
    let name = match path.rsplit_once('/') {
        Some((above, name)) if !above.is_empty() => format!("/{name}"),
        _ => path,
    };
    objects(call, &name, &node, 0, &mut out);
    call.out += &out;
    Ok(())
}

fn objects(call: &Call<'_, '_>, name: &str, node: &tree::Node, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let slash = if indent == 0 { "" } else { "/" };
    let _ = writeln!(out, "{pad}{slash}{name} ({})", tree::type_name(call.cx, node));
    let mut below = tree::children(call.cx.machine, call.cx.world, node);
    below.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, child) in &below {
        objects(call, name, child, indent + 2, out);
    }
}

pub(super) fn qom_list(call: &mut Call<'_, '_>) -> Done {
    let Some(path) = call.args.text(0) else {
        call.say(format_args!("/"));
        return Ok(());
    };
    let answer = call.qmp("qom-list", json!({ "path": path }))?;
    for p in answer.as_array().into_iter().flatten() {
        let text = |key: &str| p.get(key).and_then(Value::as_str).unwrap_or_default();
        call.out += &format!("{} ({})\n", text("name"), text("type"));
    }
    Ok(())
}

pub(super) fn qom_get(call: &mut Call<'_, '_>) -> Done {
    let (path, property) = (call.args.word(0), call.args.word(1));
    let answer = call.qmp("qom-get", json!({ "path": path, "property": property }))?;
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
    call.say(format_args!("{text}"));
    Ok(())
}

pub(super) fn qom_set(call: &mut Call<'_, '_>) -> Done {
    let text = call.args.word(3);
    let value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(e) if call.args.flag(0) => return failed(format!("the value is no JSON: {e}")),
        Err(_) => Value::String(text),
    };
    let (path, property) = (call.args.word(1), call.args.word(2));
    call.qmp("qom-set", json!({ "path": path, "property": property, "value": value }))
        .map(drop)
}

// ----- the address space --------------------------------------------------------------------------------------------------------

pub(super) fn mtree(call: &mut Call<'_, '_>) -> Done {
    let text = if call.args.flag(0) {
        flat(call.cx.machine)
    } else {
        mapped(call.cx.machine)
    };
    call.out += &text;
    Ok(())
}

fn kind(target: &Target) -> &'static str {
    match target {
        Target::Ram { readonly: true, .. } => "rom",
        Target::Ram { .. } => "ram",
        Target::Device { .. } | Target::Unimplemented | Target::Empty => "i/o",
    }
}

/// The last address of a stretch that has one.
fn last(start: u64, len: u64) -> u64 {
    start.saturating_add(len.saturating_sub(1))
}

/// What one memory under two names is called first.
fn first_name<'m>(machine: &'m Machine, mapping: &'m Mapping) -> &'m str {
    let Target::Ram { block, .. } = &mapping.target else {
        return &mapping.name;
    };
    let mut all = machine.sys.memory.mappings().map(|(_, m)| m);
    let same = all.find(|m| matches!(&m.target, Target::Ram { block: b, .. } if b.id() == block.id()));
    same.map_or(&mapping.name, |m| &m.name)
}

fn mapped(machine: &Machine) -> String {
    let mut out = String::from("address-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n");
    let mut all: Vec<_> = machine
        .sys
        .memory
        .mappings()
        .map(|(_, m)| m)
        .filter(|m| m.len > 0)
        .collect();
    // Stable: among equals the order in which they were made.
    all.sort_by_key(|m| (m.start, std::cmp::Reverse(m.priority)));
    for m in all {
        let end = last(m.start, m.len);
        let _ = write!(
            out,
            "    {:016x}-{end:016x} (prio {}, {}): ",
            m.start,
            m.priority,
            kind(&m.target)
        );
        let original = first_name(machine, m);
        match &m.target {
            Target::Ram { offset, .. } if original != m.name => {
                let _ = writeln!(
                    out,
                    "alias {} @{original} {offset:016x}-{:016x}",
                    m.name,
                    last(*offset, m.len)
                );
            }
            _ => {
                let _ = writeln!(out, "{}", m.name);
            }
        }
    }
    out.push('\n');
    for (name, block) in &machine.ram {
        let end = last(0, block.len());
        let _ = writeln!(
            out,
            "memory-region: {name}\n  {:016x}-{end:016x} (prio 0, ram): {name}\n",
            0
        );
    }
    out
}

fn flat(machine: &Machine) -> String {
    let mut out = String::from("FlatView #0\n AS \"memory\", root: system\n");
    for cpu in tree::cpus(machine) {
        let _ = writeln!(out, " AS \"cpu-memory-{}\", root: system", cpu.0);
    }
    out += " Root memory region: system\n";
    for r in machine.sys.memory.flat() {
        let Some(m) = machine.sys.memory.mapping(r.mapping) else {
            continue;
        };
        let into = match &r.target {
            Target::Ram { offset, .. } | Target::Device { offset, .. } => *offset,
            Target::Unimplemented | Target::Empty => r.start - m.start,
        };
        let name = first_name(machine, m);
        let (priority, kind) = (m.priority, kind(&r.target));
        let _ = write!(
            out,
            "  {:016x}-{:016x} (prio {priority}, {kind}): {name}",
            r.start, r.last
        );
        if into != 0 {
            let _ = write!(out, " @{into:016x}");
        }
        out.push('\n');
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::frequency;

    #[test]
    fn frequencies_have_three_digits() {
        let texts = [0, 999, 1000, 1500, 12_288_000, 25_000_000, 125_000_000, 1_250_000_000].map(frequency);
        let expected = [
            "0 Hz", "999 Hz", "1 KHz", "1.5 KHz", "12.3 MHz", "25 MHz", "125 MHz", "1.25 GHz",
        ];
        assert_eq!(texts, expected);
    }
}
