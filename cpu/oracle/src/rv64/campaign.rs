//! Many cases on both sides, in batches.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use super::case::{Case, Kind, differences, traps, word};
use super::layout::*;
use super::ours::{Ours, Ran};
use super::record::Recorded;
use super::{pages, qemu, stream};

/// Cases of a batch at most.
pub const BATCH: usize = 2000;

/// What happened so far.
#[derive(Default)]
pub struct Tally {
    /// Cases compared.
    pub compared: u64,
    /// Instructions in their code (not all are executed: branches skip).
    pub instructions: u64,
    /// Accesses through page tables, and entries into pages.
    pub probes: u64,
    /// Traps by level, mode they came from as far as the status says, and cause.
    pub traps: BTreeMap<(u64, u64), u64>,
    /// Cases left out, by reason.
    pub outside: BTreeMap<&'static str, u64>,
    /// Differences, each told in words.
    pub differences: Vec<String>,
    /// Outcomes of the oracle.
    pub recorded: Vec<Recorded>,
}

/// A campaign.
#[derive(Default)]
pub struct Campaign {
    ours: Ours,
    /// Results.
    pub tally: Tally,
    /// Keep the oracle's outcomes.
    pub record: bool,
}

/// The case of a seed.
pub fn generate(kind: Kind, seed: u64, slot: u32) -> Case {
    match kind {
        Kind::Stream => stream::generate(seed, slot),
        Kind::Pages => pages::generate(seed, slot),
    }
}

impl Campaign {
    /// Runs the cases of some seeds on both sides.
    pub fn batch(&mut self, kind: Kind, seeds: impl Iterator<Item = u64>) -> io::Result<()> {
        let (mut cases, mut mine) = (Vec::new(), Vec::new());
        for seed in seeds.take(BATCH) {
            let case = generate(kind, seed, cases.len() as u32);
            match self.ours.run(&case) {
                Ran::Done(out) => {
                    cases.push(case);
                    mine.push(out);
                }
                Ran::Outside(why) => *self.tally.outside.entry(why).or_default() += 1,
            }
        }
        for ((case, mine), theirs) in cases.iter().zip(&mine).zip(qemu::run(&cases)?) {
            match theirs {
                Ok(theirs) => self.compare(case, mine, &theirs),
                Err(end) => {
                    let text = format!("seed {:#x}: {end}\n{}", case.seed, listing(case));
                    self.tally.differences.push(text);
                }
            }
        }
        Ok(())
    }

    fn compare(&mut self, case: &Case, mine: &[u8], theirs: &[u8]) {
        let t = &mut self.tally;
        t.compared += 1;
        let code = case.disassembly();
        t.instructions += code.len() as u64;
        for [level, cause, ..] in traps(theirs) {
            *t.traps.entry((level, cause)).or_default() += 1;
        }
        if case.kind == Kind::Pages {
            t.probes += code
                .iter()
                .filter(|(_, text)| text.contains("(t5)") || text == "mret")
                .count() as u64;
        }
        let all = differences(mine, theirs);
        if all.is_empty() {
            if self.record {
                t.recorded.push(Recorded::new(case, theirs));
            }
            return;
        }
        t.differences.push(tell(case, mine, theirs, &all));
    }
}

fn tell(case: &Case, mine: &[u8], theirs: &[u8], all: &[usize]) -> String {
    let mut out = format!("seed {:#x} slot {}: {:?}\n", case.seed, case.slot, case.kind);
    for at in all.iter().take(16) {
        let _ = writeln!(
            out,
            "  {:14} ours {:016x}  oracle {:016x}  before {:016x}",
            name(*at),
            word(mine, *at),
            word(theirs, *at),
            case.get(*at)
        );
    }
    for (who, image) in [("ours", mine), ("oracle", theirs)] {
        for [level, cause, epc, tval, status] in traps(image) {
            let _ = writeln!(
                out,
                "  {who:6} trap to {level}: cause {cause:x} epc {epc:x} tval {tval:x} status {status:x}"
            );
        }
    }
    out + &listing(case)
}

/// Set-up and code.
pub fn listing(case: &Case) -> String {
    let mut out = String::new();
    for name in CSRS.iter().filter(|n| case.get(csr_in(n)) != 0) {
        let _ = write!(out, " {name}={:x}", case.get(csr_in(name)));
    }
    out.push('\n');
    for n in 1..32 {
        let _ = write!(out, " x{n}={:x}", case.get(X + 8 * n));
    }
    out.push('\n');
    for at in (TABLES..SLOT)
        .step_by(8)
        .filter(|at| case.get(*at) != 0 && case.kind == Kind::Pages)
    {
        let _ = writeln!(out, "    [{:x}] {:016x}", case.base() + at as u64, case.get(at));
    }
    for (pc, text) in case.disassembly() {
        let _ = writeln!(out, "    {pc:x}: {text}");
    }
    out
}
