//! All device types of a program, by name.

use std::collections::BTreeMap;

use crate::device::DeviceType;
use crate::property::{PropKind, parse_value};

/// Device types by name. Each family's crate has a `register(&mut Registry)`.
#[derive(Default)]
pub struct Registry {
    types: BTreeMap<&'static str, &'static DeviceType>,
}

impl Registry {
    /// Adds a type. Names are unique: a second type of one name replaces the first, which `check` reports in tests.
    pub fn add(&mut self, t: &'static DeviceType) {
        self.types.insert(t.name, t);
    }

    /// A type by its exact name.
    pub fn get(&self, name: &str) -> Option<&'static DeviceType> {
        self.types.get(name).copied()
    }

    /// All types, by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static DeviceType> {
        self.types.values().copied()
    }

    /// Faults in the tables themselves, for a test over all registered types.
    pub fn check(&self) -> Vec<String> {
        self.iter().flat_map(check_type).collect()
    }
}

fn check_type(t: &'static DeviceType) -> Vec<String> {
    let mut faults = Vec::new();
    if t.summary.is_empty() {
        faults.push(format!("{}: no summary", t.name));
    }
    for p in t.properties {
        let bad = p
            .default
            .is_some_and(|d| !matches!(p.kind, PropKind::Backend(_)) && parse_value(p.kind, d).is_none());
        if bad {
            faults.push(format!("{}.{}: the default does not parse", t.name, p.name));
        }
        if p.help.is_empty() {
            faults.push(format!("{}.{}: no help", t.name, p.name));
        }
    }
    if t.events.len() > 64 {
        faults.push(format!("{}: more than 64 trace events", t.name));
    }
    for e in t.events.iter().filter(|e| e.help.is_empty()) {
        faults.push(format!("{}: no help", e.name));
    }
    for r in t.regions {
        if r.registers.len() > 254 {
            faults.push(format!("{}.{}: more than 254 register entries", t.name, r.name));
        }
        for reg in r.registers {
            let end = reg.offset + u64::from(reg.count.saturating_sub(1)) * u64::from(reg.stride);
            if end >= r.size {
                faults.push(format!("{}.{}: {} lies beyond the region", t.name, r.name, reg.name));
            }
        }
    }
    faults
}
