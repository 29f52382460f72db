//! The memory map that gdb reads ("Memory Map Format", E.15).

use southbridge_core::Machine;
use southbridge_core::memory::Target;
use std::fmt::Write;

/// Erase blocks of what gdb sees as flash, in bytes. ROM of any kind is one that a debugger can write.
const BLOCK: u64 = 0x400;

/// Whether there is one: gdb holds every address against it, also those of code behind a translation.
pub(crate) fn is_useful(machine: &Machine) -> bool {
    !machine.cpus.iter().any(|c| c.translates())
}

/// The map as XML. Devices are RAM to gdb, which knows nothing better for them and would refuse what stands nowhere.
pub(crate) fn memory_map(machine: &mut Machine) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\"?><!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" \
         \"http://sourceware.org/gdb/gdb-memory-map.dtd\"><memory-map>",
    );
    let flat = machine.sys.memory.flat().iter();
    let mut ranges: Vec<(u64, u64, bool)> = flat
        .map(|r| (r.start, r.last, matches!(r.target, Target::Ram { readonly: true, .. })))
        .collect();
    let debug = machine.cpus.first_mut().and_then(|c| c.debug());
    ranges.extend(
        debug
            .map_or(&[][..], |d| d.private())
            .iter()
            .map(|(f, l)| (*f, *l, false)),
    );
    ranges.sort_unstable();
    for (first, last, flash) in joined(&ranges) {
        one(&mut out, first, last, flash);
    }
    out.push_str("</memory-map>");
    out
}

/// What touches or overlaps and is alike becomes one; of two that are not alike the lower keeps what both have, as gdb refuses a map
/// with overlaps. `ranges` are sorted.
fn joined(ranges: &[(u64, u64, bool)]) -> Vec<(u64, u64, bool)> {
    let mut out: Vec<(u64, u64, bool)> = Vec::new();
    for &(first, last, flash) in ranges {
        match out.last_mut() {
            Some(before) if before.2 == flash && first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            Some(before) if last <= before.1 => {}
            Some(before) if first <= before.1 => {
                let first = before.1 + 1;
                out.push((first, last, flash));
            }
            _ => out.push((first, last, flash)),
        }
    }
    out
}

fn one(out: &mut String, first: u64, last: u64, flash: bool) {
    let len = (last - first).saturating_add(1);
    let place = format!("start=\"{first:#x}\" length=\"{len:#x}\"");
    let _ = match flash {
        true if len.is_multiple_of(BLOCK) => write!(
            out,
            "<memory type=\"flash\" {place}><property name=\"blocksize\">{BLOCK:#x}</property></memory>"
        ),
        true => write!(out, "<memory type=\"rom\" {place}/>"),
        false => write!(out, "<memory type=\"ram\" {place}/>"),
    };
}
