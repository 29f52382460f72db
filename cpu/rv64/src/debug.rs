//! The hart under a debugger: watched data and registers by name.

use southbridge_core::cpu::{GdbFeature, GdbRegister, RegisterValue, Watchpoint};

use crate::csr;
use crate::hart::Hart;
use crate::state::mode;

/// Watched data, and what was touched of it.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) points: Vec<Watchpoint>,
    pub(crate) hit: Option<(Watchpoint, u64)>,
}

impl Watch {
    /// Whether any byte of the page around `addr` is watched.
    pub(crate) fn has_page(&self, addr: u64) -> bool {
        let (first, last) = (addr & !0xfff, addr | 0xfff);
        self.points.iter().any(|w| w.first <= last && first <= w.last)
    }

    /// An access of `n` bytes is being done. Whether the run has to stop for it.
    pub(crate) fn touched(&mut self, addr: u64, n: u64, write: bool) -> bool {
        let last = addr.saturating_add(n - 1);
        let mut points = self.points.iter();
        let hit = points.find(|w| w.kind.is_for(write) && w.first <= last && addr <= w.last);
        match hit {
            Some(w) if self.hit.is_none() => self.hit = Some((*w, addr.max(w.first))),
            _ => return false,
        }
        true
    }
}

/// ABI names of the integer registers.
pub const X_NAMES: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
    "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];

/// ABI names of the floating-point registers.
pub const F_NAMES: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
    "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

/// The number behind a name like `x5` or `t0`, or `f5` or `ft5`.
fn numbered(name: &str, letter: char, names: &[&str; 32]) -> Option<usize> {
    let n = name
        .strip_prefix(letter)
        .and_then(|n| n.parse().ok())
        .filter(|n| *n < 32);
    n.or_else(|| names.iter().position(|n| *n == name))
        .or_else(|| (letter == 'x' && name == "fp").then_some(8))
}

fn value(name: &'static str, bits: u8, value: u64) -> RegisterValue {
    RegisterValue { name, bits, value }
}

/// gdb's number of CSR 0, and of the privilege behind all CSRs.
const GDB_CSR: u32 = 65;
const GDB_PRIV: u32 = GDB_CSR + 4096;

/// The description of registers for gdb ("RISC-V Features" of its manual).
pub(crate) fn gdb_features(h: &Hart) -> Vec<GdbFeature> {
    let register = |name, number, kind| GdbRegister {
        name,
        number,
        bits: 64,
        kind,
    };
    let feature = |name, registers, general| GdbFeature {
        name,
        types: String::new(),
        registers,
        general,
    };
    let kind_of = |i| match i {
        1 => "code_ptr",
        2..=4 | 8 => "data_ptr",
        _ => "",
    };
    let x = X_NAMES.iter().zip(0..).map(|(n, i)| register(*n, i, kind_of(i)));
    let x = x.chain([register("pc", 32, "code_ptr")]).collect();
    let mut all = vec![feature("org.gnu.gdb.riscv.cpu", x, true)];
    if h.has(crate::Extensions::F) {
        let f = F_NAMES.iter().zip(33..).map(|(n, i)| register(*n, i, "ieee_double"));
        all.push(feature("org.gnu.gdb.riscv.fpu", f.collect(), false));
    }
    let csrs = csr::all(h).filter_map(|(name, _)| Some(register(name, GDB_CSR + u32::from(csr::number(name)?), "")));
    all.push(feature("org.gnu.gdb.riscv.csr", csrs.collect(), false));
    all.push(feature(
        "org.gnu.gdb.riscv.virtual",
        vec![register("priv", GDB_PRIV, "")],
        false,
    ));
    all
}

impl Hart {
    /// Integer registers, PC, floating-point registers and privilege.
    pub(crate) fn plain_registers(&self) -> Vec<RegisterValue> {
        let x = X_NAMES.iter().enumerate().map(|(i, n)| value(n, 64, self.x(i as u8)));
        let f = F_NAMES.iter().enumerate().map(|(i, n)| value(n, 64, self.f(i as u8)));
        let mut all: Vec<_> = x.chain([value("pc", 64, self.s.pc)]).chain(f).collect();
        all.push(value("priv", 8, self.s.prv.into()));
        all
    }

    /// Sets one of them; `false` if it is none.
    pub(crate) fn set_plain_register(&mut self, name: &str, v: u64) -> bool {
        if name == "pc" {
            self.s.pc = v & self.pc_mask();
        } else if name == "priv" {
            if !matches!(v as u8, mode::U | mode::S | mode::M) {
                return false;
            }
            self.s.prv = v as u8;
            self.rights_changed();
        } else if let Some(i) = numbered(name, 'x', &X_NAMES) {
            if i != 0 {
                self.set_x(i as u8, v);
            }
        } else if let Some(i) = numbered(name, 'f', &F_NAMES) {
            self.s.f[i] = v;
        } else {
            return false;
        }
        true
    }
}

/// Number of a CSR by name, also as `csr768`.
pub(crate) fn csr_number(name: &str) -> Option<u16> {
    let by_number = name.strip_prefix("csr").and_then(|n| n.parse::<u16>().ok());
    csr::number(name).or(by_number)
}
