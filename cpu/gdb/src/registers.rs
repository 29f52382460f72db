//! Registers as gdb numbers them ("Standard Target Features", G.5.3 ARM Features).

use southbridge_core::Machine;
use std::fmt::Write;

/// A register as gdb sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Register {
    pub(crate) name: &'static str,
    pub(crate) number: u64,
    pub(crate) bits: u8,
}

impl Register {
    fn bytes(&self) -> usize {
        usize::from(self.bits).div_ceil(8)
    }

    /// The kind of value, where it is more than a number.
    fn kind(&self) -> &'static str {
        match self.name {
            "sp" | "msp" | "psp" => " type=\"data_ptr\"",
            "pc" => " type=\"code_ptr\"",
            _ => "",
        }
    }
}

/// gdb numbers r0 to pc from 0, and xPSR 25: between them stood floating-point registers once.
const XPSR: u64 = 25;
/// Registers of the core feature; the rest is the system feature's.
const CORE: usize = 17;

/// The registers that the machine's CPU lists, in the order of their numbers.
pub(crate) fn all(machine: &Machine) -> Vec<Register> {
    let listed = machine.cpu.iter().flat_map(|c| c.registers());
    listed
        .zip(0u64..)
        .map(|(r, i)| Register {
            name: r.name,
            number: if i < 16 { i } else { i - 16 + XPSR },
            bits: r.bits,
        })
        .collect()
}

/// `target.xml`.
pub(crate) fn description(machine: &Machine) -> String {
    let registers = all(machine);
    let mut out = String::from(
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\"><architecture>arm</architecture>",
    );
    let (core, system) = registers.split_at(CORE.min(registers.len()));
    for (feature, registers) in [("m-profile", core), ("m-system", system)] {
        if registers.is_empty() {
            continue;
        }
        let _ = write!(out, "<feature name=\"org.gnu.gdb.arm.{feature}\">");
        for r in registers {
            let (name, bits, number, kind) = (r.name, r.bits, r.number, r.kind());
            let _ = write!(
                out,
                "<reg name=\"{name}\" bitsize=\"{bits}\" regnum=\"{number}\"{kind}/>"
            );
        }
        out.push_str("</feature>");
    }
    out.push_str("</target>");
    out
}

/// The values of all, as the `g` packet has them.
pub(crate) fn read_all(machine: &Machine) -> Vec<u8> {
    let values = machine.cpu.iter().flat_map(|c| c.registers());
    let bytes = values.map(|r| (r.value.to_le_bytes(), usize::from(r.bits).div_ceil(8).min(8)));
    bytes.flat_map(|(bytes, n)| bytes.into_iter().take(n)).collect()
}

/// The value of one.
pub(crate) fn read(machine: &Machine, number: u64) -> Option<Vec<u8>> {
    let r = all(machine).into_iter().find(|r| r.number == number)?;
    let values = machine.cpu.as_ref()?.registers();
    let value = values.into_iter().find(|v| v.name == r.name)?.value;
    Some(value.to_le_bytes()[..r.bytes().min(8)].to_vec())
}

/// Sets one; `false` if there is none of that number.
pub(crate) fn write(machine: &mut Machine, number: u64, value: &[u8]) -> bool {
    let Some(r) = all(machine).into_iter().find(|r| r.number == number) else {
        return false;
    };
    machine.poke_register(r.name, little_endian(value))
}

/// Sets all that the data of a `G` packet reaches. Those that do not change are not touched, so that none undoes another that it is a
/// part of.
pub(crate) fn write_all(machine: &mut Machine, mut data: &[u8]) -> bool {
    for r in all(machine) {
        let Some((value, rest)) = data.split_at_checked(r.bytes()) else {
            return data.is_empty();
        };
        data = rest;
        if read(machine, r.number).as_deref() != Some(value) {
            machine.poke_register(r.name, little_endian(value));
        }
    }
    true
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |v, b| v << 8 | u64::from(*b))
}
