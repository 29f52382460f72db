//! One access to a device register: through the bus alone, and from a guest's load instruction.

use std::io::Write;
use std::time::Instant;

use southbridge_core::Outcome;

use crate::program::{QEMU, command, firmware, has_qemu, time_to_end};
use crate::report::{Goal, Row};
use crate::stats::{Series, keep};
use crate::{Result, board};

const BOARD: &str = "mps2-an385";
const RUNS: usize = 9;
const ACCESSES: u32 = 2_000_000;

/// A register of each sort: constant, computed from virtual time, and written.
const SCC_ID: u64 = 0x4002_fffc;
const TIMER_VALUE: u64 = 0x4000_0004;
const TIMER1_RELOAD: u64 = 0x4000_1008;
const SCC_CFG1: u64 = 0x4002_f004;
const GPIO_DATAOUT: u64 = 0x4001_0004;

/// Rows for the bus, rows for guest code.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let mut built = board::bare(BOARD)?;
    let sys = &mut built.machine.sys;
    sys.reset();
    sys.write(0x4000_0000, 4, 1).map_err(|e| format!("{e:?}"))?;
    sys.write(TIMER_VALUE, 4, 1_000_000).map_err(|e| format!("{e:?}"))?;
    let mut slot = Slot(Some(Box::new(Adder(0))));
    let mut call = Series::default();
    let [mut id, mut value, mut write, mut scc, mut gpio] = std::array::from_fn(|_| Series::default());
    for _ in 0..RUNS {
        call.push(ns_each(|i| slot.call(i)));
        id.push(ns_each(|_| sys.read(keep(SCC_ID), 4).unwrap_or(0)));
        value.push(ns_each(|_| sys.read(keep(TIMER_VALUE), 4).unwrap_or(0)));
        write.push(ns_each(|i| u64::from(sys.write(keep(TIMER1_RELOAD), 4, i).is_ok())));
        scc.push(ns_each(|i| u64::from(sys.write(keep(SCC_CFG1), 4, i).is_ok())));
        gpio.push(ns_each(|i| u64::from(sys.write(keep(GPIO_DATAOUT), 4, i).is_ok())));
    }
    let limit = "virtual call, out of a slot and back";
    let row = |what: &str, s| {
        Row::new(what, "ns", s)
            .beside(limit, call.clone())
            .goal(Goal::Below(40.0))
    };
    let mut rows = vec![
        row("MMIO read, constant register (SCC ID), through the bus", id),
        row("MMIO read, running timer (CMSDK VALUE), through the bus", value),
        row("MMIO write, one output (CMSDK RELOAD, stopped), through the bus", write),
        row("MMIO write that sets 9 outputs (SCC CFG1)", scc).goal(Goal::None),
        row("MMIO write that sets 17 outputs (GPIO DATAOUT)", gpio).goal(Goal::None),
    ];
    rows.push(from_guest()?);
    Ok(rows)
}

trait Register {
    fn read(&mut self, offset: u64) -> u64;
}

struct Adder(u64);

impl Register for Adder {
    fn read(&mut self, offset: u64) -> u64 {
        self.0 = self.0.wrapping_add(offset);
        self.0
    }
}

/// The least that the design costs: a device leaves its place while it is called.
struct Slot(Option<Box<dyn Register>>);

impl Slot {
    #[inline(never)]
    fn call(&mut self, offset: u64) -> u64 {
        let Some(mut device) = keep(self.0.take()) else {
            return 0;
        };
        let value = device.read(offset);
        self.0 = Some(device);
        value
    }
}

fn ns_each(mut f: impl FnMut(u64) -> u64) -> f64 {
    let begin = Instant::now();
    for i in 0..u64::from(ACCESSES) {
        keep(f(i));
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(ACCESSES)
}

/// Loads in the loop of [`program`].
const UNROLLED: u32 = 16;

/// A program of vectors and a loop of loads from one address, which then ends the machine by semihosting.
fn program(address: u64, rounds: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut word = |w: u32| bytes.extend(w.to_le_bytes());
    word(0x2000_1000); // initial SP
    word(0x0000_0041); // reset: 0x40, Thumb
    (2..16).for_each(|_| word(0x0000_0041));
    let mut code: Vec<u16> = vec![
        0x4900 | ((UNROLLED + 8) / 2 - 1) as u16, // ldr r1, address
        0x4a00 | ((UNROLLED + 8) / 2) as u16,     // ldr r2, rounds
    ];
    code.extend((0..UNROLLED).map(|_| 0x6808)); // ldr r0, [r1]
    code.push(0x3a01); // subs r2, #1
    code.push(0xd100 | (-(UNROLLED as i32 + 1 + 2) & 0xff) as u16); // bne to the loads
    code.push(0x2018); // movs r0, #SYS_EXIT
    code.push(0x4903); // ldr r1, reason
    code.push(0xbeab); // bkpt 0xab
    code.push(0xbf00); // nop, to a whole word
    bytes.extend(code.iter().flat_map(|h| h.to_le_bytes()));
    for w in [address as u32, rounds, 0x20026] {
        bytes.extend(w.to_le_bytes());
    }
    bytes
}

/// Nanoseconds a load of guest code, the loop's own instructions included (two in eighteen).
fn from_guest() -> Result<Row> {
    let rounds = ACCESSES / UNROLLED;
    let bytes = program(SCC_ID, rounds);
    let mut file = tempfile::Builder::new().suffix(".bin").tempfile()?;
    file.write_all(&bytes)?;
    let qemu = has_qemu();
    let (mut ours, mut theirs) = (Series::default(), Series::default());
    let words = format!("-M {BOARD} -nographic -semihosting");
    for _ in 0..RUNS {
        let mut built = board::with_program(BOARD, &bytes, "")?;
        let begin = Instant::now();
        let outcome = built.machine.run();
        ours.push(begin.elapsed().as_secs_f64() * 1e9 / f64::from(ACCESSES));
        if outcome != Outcome::GuestExit(0) {
            return Err(format!("the loop of loads ended with {outcome:?}").into());
        }
        if qemu {
            let all = time_to_end(command(QEMU, &words, file.path()))?;
            let start = time_to_end(command(QEMU, &words, &firmware("hello", BOARD)?))?;
            theirs.push(all.saturating_sub(start).as_secs_f64() * 1e9 / f64::from(ACCESSES));
        }
    }
    let row = Row::new("MMIO read, constant register, from guest code", "ns", ours);
    Ok(row.beside("QEMU (JIT)", theirs).goal(Goal::Below(40.0)))
}
