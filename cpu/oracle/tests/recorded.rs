//! Our engine against what QEMU made of the same streams when they were recorded: needs no QEMU.

use southbridge_cpu_oracle::ours::{Ours, Ran};
use southbridge_cpu_oracle::record;

/// Made by `--record`; the first bytes say by which QEMU.
const CORPUS: &[u8] = include_bytes!("../corpus/qemu.bin");

#[test]
fn recorded_oracle() {
    let (oracle, all) = record::decode(CORPUS).expect("the corpus is whole");
    assert!(oracle.contains("QEMU"), "{oracle}");
    assert!(all.len() >= 1000);
    let mut ours = Ours::new();
    let mut told = Vec::new();
    for r in &all {
        match ours.run(&r.stream) {
            Ran::Done(o) => {
                let d = r.differences(&o);
                if !d.is_empty() {
                    told.push(format!("seed {:#x}: {}", r.stream.seed, d.join("; ")));
                }
            }
            Ran::Outside(why) => told.push(format!("seed {:#x}: {why:?}", r.stream.seed)),
        }
    }
    let shown = told.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        told.is_empty(),
        "{} of {} streams differ:\n{shown}",
        told.len(),
        all.len()
    );
}

/// The budget cuts blocks anywhere; that must not show.
#[test]
fn slices_do_not_matter() {
    let (_, all) = record::decode(CORPUS).expect("the corpus is whole");
    let mut ours = Ours::new();
    for (r, slice) in all.iter().zip([1, 2, 3, 5, 7].into_iter().cycle()) {
        let whole = ours.run(&r.stream);
        assert_eq!(
            whole,
            ours.run_sliced(&r.stream, slice),
            "seed {:#x}, slices of {slice}",
            r.stream.seed
        );
    }
}

/// What is compiled does the same as the interpreter, instruction by instruction of the corpus.
#[test]
fn both_tiers_agree() {
    let (_, all) = record::decode(CORPUS).expect("the corpus is whole");
    let (mut interpreted, mut compiled) = (Ours::new(), Ours::new());
    compiled.compile().expect("a compiler for this host");
    for r in all.iter().step_by(2) {
        let (a, b) = (
            interpreted.again_and_again(&r.stream, 3),
            compiled.again_and_again(&r.stream, 3),
        );
        for (n, (a, b)) in a.into_iter().zip(b).enumerate() {
            assert_eq!(a.0, b.0, "seed {:#x}, pass {n}", r.stream.seed);
            assert!(a.1 == b.1, "seed {:#x}, pass {n}: memory", r.stream.seed);
        }
    }
    assert!(compiled.compiled() > 200, "only {} regions", compiled.compiled());
}
