//! Control and status registers: one row each, with who may use it, how it reads and what a write does.

mod aia;
mod counters;
mod machine;
mod supervisor;

use southbridge_core::System;
use std::sync::LazyLock;

use crate::ext::Extensions as X;
use crate::hart::Hart;
use crate::state::{mode, status};

/// One register, or several of one kind with consecutive numbers.
pub(crate) struct Csr {
    /// Number of the first.
    pub(crate) first: u16,
    /// How many.
    pub(crate) count: u16,
    /// Distance between two of them.
    step: u16,
    /// Name; of several, what stands before the index.
    name: &'static str,
    /// Index of the first in its name.
    index: u16,
    /// Whether this hart has it and its present mode may use it, beyond what the number says.
    allowed: fn(&Hart, u16, u8) -> bool,
    /// Its value; `None` if the instruction is illegal after all. The time is published.
    pub(crate) read: fn(&Hart, Option<&System>, u16) -> Option<u64>,
    /// A write; `false` if the instruction is illegal after all.
    pub(crate) write: fn(&mut Hart, Option<&System>, u16, u64) -> bool,
}

type Read = fn(&Hart, Option<&System>, u16) -> Option<u64>;
type Write = fn(&mut Hart, Option<&System>, u16, u64) -> bool;

impl Csr {
    const fn new(
        first: u16,
        name: &'static str,
        allowed: fn(&Hart, u16, u8) -> bool,
        read: Read,
        write: Write,
    ) -> Self {
        Self {
            first,
            count: 1,
            step: 1,
            name,
            index: 0,
            allowed,
            read,
            write,
        }
    }

    /// `count` of them, `step` apart, with names from `index` on.
    const fn several(self, count: u16, step: u16, index: u16) -> Self {
        Self {
            count,
            step,
            index,
            ..self
        }
    }

    fn has(&self, number: u16) -> bool {
        let into = number.wrapping_sub(self.first);
        into.is_multiple_of(self.step) && into / self.step < self.count
    }
}

/// Always there.
fn any(_: &Hart, _: u16, _: u8) -> bool {
    true
}

fn supervisor(h: &Hart, _: u16, _: u8) -> bool {
    h.has(X::S)
}

/// A write without effect.
fn ignore(_: &mut Hart, _: Option<&System>, _: u16, _: u64) -> bool {
    true
}

fn zero(_: &Hart, _: Option<&System>, _: u16) -> Option<u64> {
    Some(0)
}

/// Whether bit `bit` of `mstateen0` (and for U-mode of `sstateen0`) lets the present mode pass.
fn state_enabled(h: &Hart, prv: u8, bit: u32) -> bool {
    if !h.has(X::SMSTATEEN) || prv == mode::M {
        return true;
    }
    let m = h.s.m.stateen[0] >> bit & 1 != 0;
    let s = h.s.s.stateen[0] >> bit & 1 != 0 || prv == mode::S;
    m && s
}

/// Bits of `mstateen0`.
mod stateen {
    pub(super) const IMSIC: u32 = 58;
    pub(super) const AIA: u32 = 59;
    pub(super) const CSRIND: u32 = 60;
    pub(super) const ENVCFG: u32 = 62;
    pub(super) const SE0: u32 = 63;
}

static TABLES: &[&[Csr]] = &[supervisor::TABLE, machine::TABLE, counters::TABLE, aia::TABLE];

/// Place of each number in the list of rows; 255 where there is none.
static INDEX: LazyLock<Box<[Option<&'static Csr>; 4096]>> = LazyLock::new(|| {
    let mut index = Box::new([None; 4096]);
    for row in TABLES.iter().flat_map(|t| t.iter()) {
        for (n, place) in index.iter_mut().enumerate() {
            if row.has(n as u16) {
                *place = Some(row);
            }
        }
    }
    index
});

/// All registers with their names, by number.
static NAMES: LazyLock<Vec<(u16, String)>> = LazyLock::new(|| {
    let named = |n: u16| {
        let row = row(n)?;
        let name = match row.count {
            1 => row.name.to_owned(),
            _ => format!("{}{}", row.name, row.index + (n - row.first)),
        };
        Some((n, name))
    };
    (0..4096).filter_map(named).collect()
});

fn row(number: u16) -> Option<&'static Csr> {
    *INDEX.get(usize::from(number))?
}

/// Name of a register, if there is one of that number.
pub fn name(number: u16) -> Option<&'static str> {
    let i = NAMES.binary_search_by_key(&number, |(n, _)| *n).ok()?;
    Some(&NAMES[i].1)
}

/// Number of the register with a name.
pub fn number(name: &str) -> Option<u16> {
    NAMES.iter().find(|(_, n)| n == name).map(|(n, _)| *n)
}

/// The register, if an instruction of a mode may access it.
pub(crate) fn permitted(h: &Hart, number: u16, writes: bool, prv: u8) -> Option<&'static Csr> {
    let row = row(number)?;
    let lowest = number >> 8 & 3;
    let read_only = number >> 10 & 3 == 3;
    let ok = u16::from(prv) >= lowest && !(writes && read_only) && (row.allowed)(h, number, prv);
    ok.then_some(row)
}

/// The register, if the outside may access it: with the rights of M-mode, and floating point that is switched off is there, too.
fn from_outside(h: &Hart, number: u16, writes: bool) -> Option<&'static Csr> {
    match row(number)? {
        row if supervisor::is_float(row) => h.has(X::F).then_some(row),
        _ => permitted(h, number, writes, mode::M),
    }
}

/// Reads from outside. Without a system, counters are as of the end of the last run.
pub(crate) fn read(h: &Hart, sys: Option<&System>, number: u16) -> Option<u64> {
    let row = from_outside(h, number, false)?;
    (row.read)(h, sys, number)
}

/// Writes from outside; `false` if there is none of that number that can be written.
pub(crate) fn write(h: &mut Hart, sys: Option<&System>, number: u16, v: u64) -> bool {
    let row = from_outside(h, number, true);
    let done = row.is_some_and(|row| (row.write)(h, sys, number, v));
    h.rights_changed();
    done
}

/// All registers that a hart has, whatever its mode.
pub(crate) fn all(h: &Hart) -> impl Iterator<Item = (&'static str, u64)> {
    NAMES
        .iter()
        .filter_map(|(n, name)| Some((name.as_str(), read(h, None, *n)?)))
}

/// What `mstatus` shows.
fn mstatus(h: &Hart) -> u64 {
    let dirty = if h.s.mstatus & status::FS == status::FS {
        status::SD
    } else {
        0
    };
    let s = if h.has(X::S) { status::SXL } else { 0 };
    let u = if h.has(X::U) { status::UXL } else { 0 };
    h.s.mstatus | dirty | s | u
}

/// Writes the fields of `mask`.
fn set_mstatus(h: &mut Hart, v: u64, mask: u64) {
    let old = h.s.mstatus;
    let mut new = old & !mask | v & mask;
    let mpp = (new >> status::MPP_SHIFT & 3) as u8;
    let legal = match mpp {
        mode::M => true,
        mode::S => h.has(X::S),
        mode::U => h.has(X::U),
        _ => false,
    };
    if !legal {
        new = new & !status::MPP | old & status::MPP;
    }
    h.s.mstatus = new;
    if (new ^ old) & (status::MPRV | status::MPP | status::SUM | status::MXR) != 0 {
        h.rights_changed();
    }
    if new & !old & (status::SIE | status::MIE) != 0 && h.takeable().is_some() {
        h.look_up = true;
    }
}

/// A trap vector: direct or vectored; other modes leave it as it is.
fn set_tvec(old: &mut u64, v: u64) {
    if v & 2 == 0 {
        *old = v;
    }
}
