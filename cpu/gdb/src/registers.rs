//! Registers as gdb numbers them ("Standard Target Features", G.5), from what the engine says of itself.

use southbridge_core::cpu::{Cpu, GdbRegister};
use southbridge_core::{CpuId, Machine};
use std::fmt::Write;

fn bytes(r: &GdbRegister) -> usize {
    usize::from(r.bits).div_ceil(8).min(8)
}

/// The registers of a CPU, in the order of their numbers; those of the `g` packet alone if `general`.
fn all(machine: &Machine, cpu: CpuId, general: bool) -> Vec<GdbRegister> {
    let features = machine.cpu(cpu).map(Cpu::gdb_features).unwrap_or_default();
    let wanted = features.into_iter().filter(|f| f.general || !general);
    wanted.flat_map(|f| f.registers).collect()
}

fn find(machine: &Machine, cpu: CpuId, number: u64) -> Option<GdbRegister> {
    let mut all = all(machine, cpu, false).into_iter();
    all.find(|r| u64::from(r.number) == number)
}

/// `target.xml`. All CPUs of a machine are of one kind to gdb: that of the first.
pub(crate) fn description(machine: &Machine) -> String {
    let mut out =
        String::from("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">");
    if let Some(cpu) = machine.cpus.first() {
        let _ = write!(out, "<architecture>{}</architecture>", cpu.arch().gdb);
        for f in cpu.gdb_features().iter().filter(|f| !f.registers.is_empty()) {
            let _ = write!(out, "<feature name=\"{}\">{}", f.name, f.types);
            f.registers.iter().for_each(|r| one(&mut out, r));
            out.push_str("</feature>");
        }
    }
    out.push_str("</target>");
    out
}

fn one(out: &mut String, r: &GdbRegister) {
    let (name, bits, number) = (r.name, r.bits, r.number);
    let _ = write!(out, "<reg name=\"{name}\" bitsize=\"{bits}\" regnum=\"{number}\"");
    if !r.kind.is_empty() {
        let _ = write!(out, " type=\"{}\"", r.kind);
    }
    out.push_str("/>");
}

fn value(machine: &Machine, cpu: CpuId, r: &GdbRegister) -> Option<u64> {
    machine.cpu(cpu)?.register(r.name, &machine.sys)
}

/// The values of all, as the `g` packet has them.
pub(crate) fn read_all(machine: &Machine, cpu: CpuId) -> Vec<u8> {
    let mut out = Vec::new();
    for r in all(machine, cpu, true) {
        let value = value(machine, cpu, &r).unwrap_or(0).to_le_bytes();
        out.extend_from_slice(&value[..bytes(&r)]);
    }
    out
}

/// The value of one.
pub(crate) fn read(machine: &Machine, cpu: CpuId, number: u64) -> Option<Vec<u8>> {
    let r = find(machine, cpu, number)?;
    let value = value(machine, cpu, &r)?;
    Some(value.to_le_bytes()[..bytes(&r)].to_vec())
}

/// Sets one; `false` if there is none of that number.
pub(crate) fn write(machine: &mut Machine, cpu: CpuId, number: u64, value: &[u8]) -> bool {
    let Some(r) = find(machine, cpu, number) else {
        return false;
    };
    machine.poke_register(cpu, r.name, little_endian(value))
}

/// Sets all that the data of a `G` packet reaches. Those that do not change are not touched, so that none undoes another that it is a
/// part of.
pub(crate) fn write_all(machine: &mut Machine, cpu: CpuId, mut data: &[u8]) -> bool {
    for r in all(machine, cpu, true) {
        let Some((new, rest)) = data.split_at_checked(bytes(&r)) else {
            return data.is_empty();
        };
        data = rest;
        let new = little_endian(new);
        if value(machine, cpu, &r) != Some(new) {
            machine.poke_register(cpu, r.name, new);
        }
    }
    true
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |v, b| v << 8 | u64::from(*b))
}
