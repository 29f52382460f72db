//! Lists of device types and of properties, as `-device help` and the human monitor print them.

use southbridge_core::{DeviceType, PropKind, Property, Registry};
use std::fmt::Write;

/// Device types that the user may add, by category, as QEMU groups them.
pub fn device_types(registry: &Registry) -> String {
    let mut types: Vec<&DeviceType> = registry.iter().filter(|t| t.user_creatable).collect();
    types.sort_by_key(|t| (t.category, t.name));
    let mut out = String::new();
    let mut section = None;
    for t in types {
        if section != Some(t.category) {
            let gap = if section.is_some() { "\n" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{gap}{}:", t.category.heading());
            section = Some(t.category);
        }
        let _ = writeln!(out, "name \"{}\", bus {}, desc \"{}\"", t.name, t.bus.name(), t.summary);
    }
    out
}

/// Properties by name, after a line that says whose they are.
pub fn properties<'p>(head: &str, all: impl IntoIterator<Item = &'p Property>) -> String {
    let mut sorted: Vec<&Property> = all.into_iter().collect();
    sorted.sort_by_key(|p| p.name);
    let mut out = format!("{head}\n");
    for p in sorted {
        let kind = match p.kind {
            PropKind::Enum(words) => words.join("|"),
            kind => kind.name(),
        };
        let default = p.default.map(|d| format!(" (default: {d})")).unwrap_or_default();
        let _ = writeln!(out, "  {:<23} - {}{default}", format!("{}=<{kind}>", p.name), p.help);
    }
    out
}
