//! The RV64 engine against what QEMU made of the same cases when they were recorded, which needs no QEMU; and against the QEMU of this
//! machine, where there is one.

use southbridge_cpu_oracle::rng::Rng;
use southbridge_cpu_oracle::rv64::campaign::{Campaign, generate};
use southbridge_cpu_oracle::rv64::case::Kind;
use southbridge_cpu_oracle::rv64::forms;
use southbridge_cpu_oracle::rv64::ours::{Ours, Ran};
use southbridge_cpu_oracle::rv64::{qemu, record};
use std::collections::BTreeSet;

/// Made by `rv64-oracle --record`; the first bytes say by which QEMU.
const CORPUS: &[u8] = include_bytes!("../corpus/rv64.bin");

#[test]
fn recorded_rv64() {
    let (oracle, all) = record::decode(CORPUS).expect("the corpus is whole");
    assert!(oracle.contains("QEMU"), "{oracle}");
    for kind in [Kind::Stream, Kind::Pages] {
        assert!(all.iter().filter(|r| r.case.kind == kind).count() >= 150);
    }
    let mut ours = Ours::new();
    let mut told = Vec::new();
    for r in &all {
        let seed = r.case.seed;
        match ours.run(&r.case) {
            Ran::Done(out) if r.differences(&out).is_empty() => {}
            Ran::Done(out) => told.push(format!("seed {seed:#x}: {}", r.differences(&out).join(", "))),
            Ran::Outside(why) => told.push(format!("seed {seed:#x}: {why}")),
        }
    }
    let shown = told.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(told.is_empty(), "{} of {} differ:\n{shown}", told.len(), all.len());
}

/// The budget cuts blocks anywhere; that must not show.
#[test]
fn rv64_slices_do_not_matter() {
    let (_, all) = record::decode(CORPUS).expect("the corpus is whole");
    let mut ours = Ours::new();
    for (r, slice) in all.iter().step_by(7).zip([1, 2, 3, 5, 7].into_iter().cycle()) {
        let whole = ours.run(&r.case);
        assert!(
            whole == ours.run_sliced(&r.case, slice),
            "seed {:#x}, slices of {slice}",
            r.case.seed
        );
    }
}

/// Every form of the tables occurs, and each is an instruction of the engine.
#[test]
fn rv64_streams_have_every_form() {
    let mut words = BTreeSet::new();
    for seed in 0..1500 {
        for (_, text) in generate(Kind::Stream, seed, 0).disassembly() {
            words.extend(text.split(' ').next().map(str::to_owned));
        }
    }
    let mut absent = Vec::new();
    for (name, picture) in [forms::PLAIN, forms::POINTED, forms::SYSTEM, forms::BRANCHES].concat() {
        let text = southbridge_cpu_rv64::disasm::at(0, &picture.blank().to_le_bytes());
        let (_, text) = text.expect("four bytes");
        assert!(!text.starts_with('.'), "{name} is none of the engine's: {text}");
        if !words.contains(text.split(' ').next().expect("a word")) {
            absent.push(name);
        }
    }
    assert!(absent.is_empty(), "never generated: {absent:?}");
    assert!(words.len() > 220, "{}: {words:?}", words.len());
}

#[test]
fn rv64_agrees_with_qemu() {
    if let Err(e) = qemu::version() {
        let reason = format!("no qemu-system-riscv64 here ({e}); recorded_rv64 stands in");
        return southbridge_testing::skip("rv64_agrees_with_qemu", &reason);
    }
    let mut campaign = Campaign::default();
    for kind in [Kind::Stream, Kind::Pages] {
        let mut rng = Rng::new(0x5664);
        let seeds: Vec<u64> = (0..800).map(|_| rng.u64()).collect();
        campaign.batch(kind, seeds.into_iter()).expect("QEMU runs the cases");
    }
    let t = &campaign.tally;
    let shown = t.differences.iter().take(3).cloned().collect::<Vec<_>>().join("\n");
    assert!(t.differences.is_empty(), "\n{shown}");
    // The comparison must not be idle: few cases are left out, and all kinds of traps occur.
    assert!(t.compared > 1100, "{:?}", t.outside);
    assert!(t.probes > 5000, "{}", t.probes);
    for cause in [1, 2, 3, 4, 5, 6, 7, 8, 0xc, 0xd, 0xf] {
        assert!(t.traps.contains_key(&(3, cause)), "no trap {cause:#x}: {:x?}", t.traps);
    }
    assert!(
        t.traps.keys().filter(|(level, _)| *level == 1).count() >= 6,
        "{:x?}",
        t.traps
    );
}
