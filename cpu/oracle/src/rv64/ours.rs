//! Our engine over a case: the harness and one slot are all the memory that there is, so that a case which reaches elsewhere shows.

use southbridge_core::cpu::Exit;
use southbridge_core::memory::{Mapping, MappingId, Target};
use southbridge_core::{ClockRate, CpuId, Machine};
use southbridge_cpu_rv64::{Config, Extensions, Rv64};

use super::case::{Case, traps};
use super::exclude;
use super::layout::*;

/// Instructions after which a case counts as endless.
const BUDGET: u64 = 100_000;
/// Bytes before the slot in the only block of memory: the harness, what the finisher hears, and the timer, which nobody needs.
const BEFORE: u64 = 0x3000;

/// Where QEMU's `virt` has devices, below RAM and in the upper window of PCI.
const DEVICES: [std::ops::Range<u64>; 2] = [0x1000..RAM, 0x4_0000_0000..0x8_0000_0000];

/// MPRV and MPP of a trap's status; and what they are where M-mode did its own accesses.
const MODES: u64 = 1 << 17 | 3 << 11;
const MACHINE: u64 = 3 << 11;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// As it should: the slot's memory.
    Done(Box<[u8]>),
    /// Not so that it could be compared.
    Outside(&'static str),
}

/// A machine with one hart.
pub struct Ours {
    machine: Machine,
    slot: Option<MappingId>,
    block: southbridge_core::memory::RamBlock,
}

impl Default for Ours {
    fn default() -> Self {
        Self::new()
    }
}

/// The hart that is compared; [`super::qemu::MODEL`] says the same to QEMU.
pub fn config() -> Config {
    Config {
        reset_pc: RAM,
        extensions: Config::max(CpuId(0), 0).extensions - Extensions::SDTRIG - Extensions::SSCOFPMF,
        ..Config::max(CpuId(0), 0)
    }
}

impl Ours {
    /// A machine with the harness in its memory.
    pub fn new() -> Self {
        let mut machine = Machine::empty(ClockRate::Hz(1_000_000_000)).expect("a machine");
        let block = machine.add_ram("all", BEFORE + SLOT as u64).expect("memory");
        for (start, offset) in [(RAM, 0), (FINISHER, 0x1000), (TIMER, 0x2000)] {
            machine.sys.memory.map(Mapping {
                start,
                len: 0x1000,
                priority: 0,
                name: "harness".into(),
                target: Target::Ram {
                    block: block.clone(),
                    offset,
                    readonly: false,
                },
            });
        }
        machine.set_cpu(Box::new(Rv64::new(config())));
        machine.start();
        Self {
            machine,
            slot: None,
            block,
        }
    }

    /// Runs a case to its end.
    pub fn run(&mut self, case: &Case) -> Ran {
        self.run_sliced(case, BUDGET)
    }

    /// Runs a case in slices of so many instructions: must come to the same as in one.
    pub fn run_sliced(&mut self, case: &Case, slice: u64) -> Ran {
        self.load(case);
        let Machine { cpus, sys, .. } = &mut self.machine;
        cpus[0].reset(sys);
        let mut left = BUDGET;
        while left > 0 {
            let exit = cpus[0].run(sys, slice.min(left));
            // Who waits for others has its turn again at once.
            left = left.saturating_sub(if exit == Exit::Budget { slice } else { 100 });
            let told = sys.read(FINISHER, 4).unwrap_or(0) as u32;
            if told == OVER || told == RESET {
                let mut out = vec![0; SLOT];
                assert!(self.block.read(BEFORE, &mut out), "the slot is memory");
                exclude::forget(&mut out, case.base());
                return match self.harness_is_whole() {
                    true => judge(case, out.into()),
                    false => Ran::Outside("overwrites the harness"),
                };
            }
            match exit {
                Exit::Budget => {}
                Exit::Idle { until: Some(at) } if at <= sys.clock.now() => {}
                Exit::Idle { .. } => return Ran::Outside("sleeps"),
                _ => return Ran::Outside("stops"),
            }
        }
        Ran::Outside("does not end")
    }

    /// Whether the harness is as it was, but for its variables: QEMU runs the next case with it.
    fn harness_is_whole(&self) -> bool {
        let mut now = vec![0; HARNESS.len()];
        let variables = COUNT as usize + 32;
        assert!(self.block.read(0, &mut now), "the harness is memory");
        now[..COUNT as usize] == HARNESS[..COUNT as usize] && now[variables..] == HARNESS[variables..]
    }

    fn load(&mut self, case: &Case) {
        let memory = &mut self.machine.sys.memory;
        if let Some(old) = self.slot.take() {
            memory.unmap(old);
        }
        self.slot = Some(memory.map(Mapping {
            start: case.base(),
            len: SLOT as u64,
            priority: 0,
            name: "slot".into(),
            target: Target::Ram {
                block: self.block.clone(),
                offset: BEFORE,
                readonly: false,
            },
        }));
        let mut harness = HARNESS.to_vec();
        harness.resize(BEFORE as usize, 0);
        let words = [(COUNT, u64::from(case.slot) + 1), (COUNT + 8, case.slot.into())];
        for (at, v) in words {
            harness[at as usize..at as usize + 8].copy_from_slice(&v.to_le_bytes());
        }
        let done = self.block.write(0, &harness) && self.block.write(BEFORE, &case.image);
        assert!(done, "harness and slot are memory");
    }
}

/// A case that found no memory where QEMU has the other cases' cannot be compared.
fn judge(case: &Case, out: Box<[u8]>) -> Ran {
    let ram = RAM..RAM + super::qemu::MEMORY;
    let own = case.base()..case.base() + SLOT as u64;
    let wild = traps(&out).iter().any(|[_, cause, _, tval, _]| {
        matches!(cause, 1 | 5 | 7) && ram.contains(tval) && !own.contains(tval) && *tval >= RAM + 0x1000
    });
    if let Some(why) = exclude::incomparable(case.kind, &out, case.base()) {
        return Ran::Outside(why);
    }
    let device = traps(&out).iter().any(|[_, cause, _, tval, status]| {
        // Streams have their pages where the memory is; elsewhere, only M-mode's own accesses are untranslated.
        let physical = case.kind == super::case::Kind::Stream || status & MODES == MACHINE;
        physical && matches!(cause, 1 | 5 | 7) && DEVICES.iter().any(|d| d.contains(tval))
    });
    if device {
        return Ran::Outside("reaches devices of QEMU's board");
    }
    if wild && case.kind == super::case::Kind::Stream {
        return Ran::Outside("reaches other memory");
    }
    Ran::Done(out)
}
