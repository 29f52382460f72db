//! What HMP shows of a RISC-V hart in words of its own: registers in QEMU's order, and the ranges that its page table maps.

use southbridge_core::cpu::RegisterValue;
use southbridge_core::{CpuId, Machine};
use std::fmt::Write;

use super::{Call, Refusal, failed};

/// CSRs that are shown, of those that the hart has.
const CSRS: [&str; 22] = [
    "mhartid", "mstatus", "mip", "mie", "mideleg", "medeleg", "mtvec", "stvec", "mepc", "sepc", "mcause", "scause",
    "mtval", "stval", "mscratch", "sscratch", "satp", "siselect", "stopi", "stopei", "mtopi", "mtopei",
];

/// PC and CSRs one in a line, then x and f registers four in a line.
pub(super) fn registers(all: &[RegisterValue]) -> String {
    let value = |name: &str| all.iter().find(|r| r.name == name).map(|r| r.value);
    let mut out = format!(" {:<8} {:016x}\n", "pc", value("pc").unwrap_or(0));
    for name in CSRS {
        if let Some(v) = value(name) {
            let _ = writeln!(out, " {name:<8} {v:016x}");
        }
    }
    // The engine lists x0 to x31 side by side, and f0 to f31.
    let rows = |out: &mut String, letter: char, first: &str| {
        let from = all.iter().position(|r| r.name == first).unwrap_or(all.len());
        for (n, r) in all.iter().skip(from).take(32).enumerate() {
            let name = format!("{letter}{n}/{}", r.name);
            let end = if n % 4 == 3 { "\n" } else { "" };
            let _ = write!(out, " {name:<8} {:016x}{end}", r.value);
        }
    };
    rows(&mut out, 'x', "zero");
    if let Some(fcsr) = value("fcsr") {
        let _ = writeln!(out, " {:<8} {fcsr:016x}", "fcsr");
        rows(&mut out, 'f', "ft0");
    }
    out
}

/// Lines beyond which the list is cut: a guest may map each page on its own.
const MOST_RANGES: usize = 1 << 16;
/// Entries beyond which the walk ends: tables of a hostile guest may lead back to themselves.
const MOST_ENTRIES: usize = 1 << 24;

/// Addresses that are mapped side by side with the same rights.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Range {
    address: u64,
    physical: u64,
    size: u64,
    rights: u8,
}

struct Walk<'m> {
    machine: &'m mut Machine,
    found: Vec<Range>,
    left: usize,
}

impl Walk<'_> {
    /// All of a table (Privileged Architecture, 12.4), whose first entry is for `address`. `false` if it became too much.
    fn table(&mut self, base: u64, level: u32, address: u64) -> bool {
        let mut page = [0; 4096];
        if self.machine.peek(base, &mut page).is_err() {
            return true;
        }
        let shift = 12 + 9 * level;
        for (n, entry) in (0u64..).zip(page.chunks_exact(8)) {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 || self.found.len() >= MOST_RANGES {
                return false;
            }
            let entry = entry.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
            let (address, physical) = (address | n << shift, (entry >> 10 & ((1 << 44) - 1)) << 12);
            if entry & 1 == 0 {
                continue;
            }
            if entry & 0b1110 != 0 {
                self.leaf(address, physical, 1 << shift, entry as u8);
            } else if level > 0 && !self.table(physical, level - 1, address) {
                return false;
            }
        }
        true
    }

    fn leaf(&mut self, address: u64, physical: u64, size: u64, rights: u8) {
        match self.found.last_mut() {
            Some(l)
                if l.rights == rights
                    && l.address.wrapping_add(l.size) == address
                    && l.physical.wrapping_add(l.size) == physical =>
            {
                l.size += size;
            }
            _ => self.found.push(Range {
                address,
                physical,
                size,
                rights,
            }),
        }
    }
}

fn satp(machine: &Machine, cpu: CpuId) -> Option<u64> {
    machine.cpu(cpu)?.register("satp", &machine.sys)
}

/// `info mem`: what the page table maps.
pub(super) fn mappings(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cpu = call.cx.world.hmp.cpu;
    let Some(satp) = satp(call.cx.machine, cpu) else {
        return failed("the processor of this machine has no page tables");
    };
    let levels = match satp >> 60 {
        0 => {
            call.say(format_args!("No translation or protection"));
            return Ok(());
        }
        mode @ 8..=10 => mode as u32 - 5,
        mode => return failed(format!("satp has mode {mode}, which is none of Sv39, Sv48 and Sv57")),
    };
    let mut walk = Walk {
        machine: call.cx.machine,
        found: Vec::new(),
        left: MOST_ENTRIES,
    };
    let whole = walk.table((satp & ((1 << 44) - 1)) << 12, levels - 1, 0);
    let found = walk.found;
    call.say(format_args!("vaddr            paddr            size             attr"));
    call.say(format_args!(
        "---------------- ---------------- ---------------- -------"
    ));
    let unused = 64 - (12 + 9 * levels);
    for r in found {
        let address = ((r.address << unused) as i64 >> unused) as u64;
        let rights: String = (1..)
            .zip("rwxugad".chars())
            .map(|(bit, c)| if r.rights >> bit & 1 != 0 { c } else { '-' })
            .collect();
        call.say(format_args!(
            "{address:016x} {:016x} {:016x} {rights}",
            r.physical, r.size
        ));
    }
    if !whole {
        call.say(format_args!("... and more"));
    }
    Ok(())
}
