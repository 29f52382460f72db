//! Counters (Privileged ISA, "Hardware Performance Monitor"; Sscofpmf): cycles, instructions and time always count; the others count
//! one of the former two, or nothing.

use super::*;

/// Events of `mhpmevent` (those of QEMU's machine, which SBI knows as cycles and instructions).
const EVENT_CYCLES: u64 = 1;
const EVENT_INSTRUCTIONS: u64 = 2;
/// Fields of `mhpmevent` beyond the event (Sscofpmf): OF, MINH, SINH, UINH.
const OVERFLOW: u64 = 1 << 63;
const FILTERS: u64 = 7 << 60;
/// Programmable counters: 3 to 18.
const LAST: usize = 18;

/// What counter `i` adds its value to.
fn source(h: &Hart, sys: Option<&System>, i: usize) -> u64 {
    let counter = &h.s.counters[i & 31];
    let event = match i {
        0 => EVENT_CYCLES,
        2 => EVENT_INSTRUCTIONS,
        3..=LAST => counter.event & 0xff_ffff,
        _ => 0,
    };
    if h.s.mcountinhibit >> i & 1 != 0 {
        return 0;
    }
    match event {
        EVENT_CYCLES => sys.map_or(h.seen.0, |s| s.clock.ticks()),
        EVENT_INSTRUCTIONS => h.published,
        _ => 0,
    }
}

fn value(h: &Hart, sys: Option<&System>, i: usize) -> u64 {
    h.s.counters[i & 31].value.wrapping_add(source(h, sys, i))
}

/// The instruction that writes is not counted by the counter that it writes.
fn set_value(h: &mut Hart, sys: Option<&System>, i: usize, v: u64) {
    if i > LAST || i == 1 {
        return;
    }
    let from = source(h, sys, i);
    let own = u64::from(from != 0 || (i != 1 && i < 3 && h.s.mcountinhibit >> i & 1 == 0));
    h.s.counters[i & 31].value = v.wrapping_sub(from).wrapping_sub(own);
    h.look_up = true;
}

/// Changes what counts, and keeps all values.
fn rewire(h: &mut Hart, sys: Option<&System>, change: impl FnOnce(&mut Hart)) {
    let values: [u64; 32] = std::array::from_fn(|i| value(h, sys, i));
    change(h);
    for (i, v) in values.into_iter().enumerate() {
        h.s.counters[i].value = v.wrapping_sub(source(h, sys, i));
    }
    h.look_up = true;
}

/// Whether the present mode may read counter `n & 31`.
fn visible(h: &Hart, n: u16, prv: u8) -> bool {
    let i = n & 31;
    let exists = if i < 3 { h.has(X::ZICNTR) } else { h.has(X::ZIHPM) };
    let m = h.s.m.counteren >> i & 1 != 0;
    let s = h.s.s.counteren >> i & 1 != 0 || !h.has(X::S);
    exists
        && match prv {
            mode::M => true,
            mode::S => m,
            _ => m && s,
        }
}

fn overflows(h: &Hart, _: u16, _: u8) -> bool {
    h.has(X::SSCOFPMF)
}

pub(super) static TABLE: &[Csr] = &[
    Csr::new(0xc00, "cycle", visible, |h, sys, _| Some(value(h, sys, 0)), ignore),
    Csr::new(
        0xc01,
        "time",
        visible,
        |h, sys, _| Some(sys.map_or(h.seen.1, |s| s.timebase.at(s.clock.now()))),
        ignore,
    ),
    Csr::new(0xc02, "instret", visible, |h, sys, _| Some(value(h, sys, 2)), ignore),
    Csr::new(
        0xc03,
        "hpmcounter",
        visible,
        |h, sys, n| Some(value(h, sys, usize::from(n & 31))),
        ignore,
    )
    .several(29, 1, 3),
    Csr::new(
        0xb00,
        "mcycle",
        any,
        |h, sys, _| Some(value(h, sys, 0)),
        |h, sys, _, v| {
            set_value(h, sys, 0, v);
            true
        },
    ),
    Csr::new(
        0xb02,
        "minstret",
        any,
        |h, sys, _| Some(value(h, sys, 2)),
        |h, sys, _, v| {
            set_value(h, sys, 2, v);
            true
        },
    ),
    Csr::new(
        0xb03,
        "mhpmcounter",
        any,
        |h, sys, n| Some(value(h, sys, usize::from(n & 31))),
        |h, sys, n, v| {
            set_value(h, sys, usize::from(n & 31), v);
            true
        },
    )
    .several(29, 1, 3),
    Csr::new(
        0x320,
        "mcountinhibit",
        any,
        |h, _, _| Some(h.s.mcountinhibit.into()),
        |h, sys, _, v| {
            rewire(h, sys, |h| h.s.mcountinhibit = v as u32 & ((1 << (LAST + 1)) - 1) & !2);
            true
        },
    ),
    Csr::new(
        0x323,
        "mhpmevent",
        any,
        |h, _, n| Some(h.s.counters[usize::from(n & 31)].event),
        |h, sys, n, v| {
            let i = usize::from(n & 31);
            if i > LAST {
                return true;
            }
            let fields = if h.has(X::SSCOFPMF) { OVERFLOW | FILTERS } else { 0 };
            rewire(h, sys, |h| h.s.counters[i].event = v & (fields | 0xff_ffff));
            true
        },
    )
    .several(29, 1, 3),
    Csr::new(
        0xda0,
        "scountovf",
        overflows,
        |h, _, _| {
            let seen = if h.s.prv == mode::M { u32::MAX } else { h.s.m.counteren };
            let set = h.s.counters.iter().enumerate().filter(|(_, c)| c.event & OVERFLOW != 0);
            Some(set.fold(0, |v, (i, _)| v | 1 << i) & u64::from(seen))
        },
        ignore,
    ),
];

impl Hart {
    /// Instructions until the next counter with an overflow interrupt wraps, at the published time.
    pub(crate) fn until_overflow(&self, sys: &System) -> Option<u64> {
        if !self.has(X::SSCOFPMF) {
            return None;
        }
        let counts = |i: &usize| {
            let event = self.s.counters[*i].event;
            event & OVERFLOW == 0 && source(self, Some(sys), *i) != 0
        };
        let left = (3..=LAST)
            .filter(counts)
            .map(|i| value(self, Some(sys), i).wrapping_neg());
        left.filter(|n| *n != 0).min()
    }

    /// Notes the counters that wrapped since the last call, at the published time; `before` is how many instructions ago that was.
    pub(crate) fn note_overflows(&mut self, sys: &System, before: u64) {
        if !self.has(X::SSCOFPMF) || before == 0 {
            return;
        }
        for i in 3..=LAST {
            let armed = self.s.counters[i].event & OVERFLOW == 0 && source(self, Some(sys), i) != 0;
            if armed && value(self, Some(sys), i) < before {
                self.s.counters[i].event |= OVERFLOW;
                self.s.mip |= crate::state::irq::LCOFI;
            }
        }
    }
}
