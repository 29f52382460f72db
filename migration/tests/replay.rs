//! A recorded run happens again, to the instruction; another program, a changed file, a changed run are noticed.

mod common;

use common::{BOARD_NAMES, PROGRAMS, board};
use southbridge_core::machine::Pacing;
use southbridge_core::{Outcome, VirtualTime};
use southbridge_migration::fuzzing;
use southbridge_migration::replay::{Ending, Recording, Replay, ReplayError, Verdict};
use std::path::Path;

/// Records a whole run; how it ended and at which instruction.
fn record(name: &str, firmware: &str, arguments: &str, path: &Path) -> (Outcome, u64) {
    let mut run = board(name, firmware, arguments);
    let recording = Recording::begin(&mut run.machine, name, path).unwrap();
    let limit = if firmware == "t-uart" { 5_000_000 } else { u64::MAX };
    let end = run.machine.run_until(VirtualTime(limit));
    let executed = run.machine.sys.clock.executed();
    recording.finish(&mut run.machine, &end).unwrap();
    (end, executed)
}

#[test]
fn every_program_runs_again_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    for name in BOARD_NAMES {
        for (firmware, arguments) in PROGRAMS {
            let (end, executed) = record(name, firmware, arguments, &path);
            let mut again = board(name, firmware, arguments);
            // How the replay is paced is its own business.
            again.machine.pacing = Pacing::PaceIdle;
            let replay = Replay::begin(&mut again.machine, name, &path).unwrap();
            let expected = match end {
                Outcome::GuestExit(status) => Ending::Exit(status),
                _ => Ending::Stopped,
            };
            assert_eq!(
                replay.run(&mut again.machine),
                Verdict::Same(expected),
                "{firmware} on {name}"
            );
            assert_eq!(again.machine.sys.clock.executed(), executed, "{firmware} on {name}");
        }
    }
}

#[test]
fn another_program_or_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    record("lm3s6965evb", "t-systick", "", &path);
    let refused = |name: &str, firmware: &str| {
        let mut other = board(name, firmware, "");
        match Replay::begin(&mut other.machine, name, &path) {
            Err(ReplayError::Foreign(_, why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused("lm3s6965evb", "hello"), "the guest had another program");
    assert!(refused("mps2-an385", "t-systick").contains("it is of machine 'lm3s6965evb'"));
}

#[test]
fn a_run_that_goes_another_way_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    record("lm3s6965evb", "coremark-like", "iterations=1", &path);
    let mut other = board("lm3s6965evb", "coremark-like", "iterations=1");
    let replay = Replay::begin(&mut other.machine, "lm3s6965evb", &path).unwrap();
    // Somebody who is not on the record meddles.
    other.machine.run_until(VirtualTime(1_000_000));
    other.machine.cpus.first_mut().unwrap().set_register("pc", 0x100);
    let verdict = replay.run(&mut other.machine);
    assert!(matches!(verdict, Verdict::Diverged(_)), "{verdict:?}");
}

#[test]
fn a_file_that_was_cut_is_played_as_far_as_it_goes_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    record("lm3s6965evb", "t-semihosting", "", &path);
    let whole = std::fs::read(&path).unwrap();
    assert!(fuzzing::recording(&whole));
    std::fs::write(&path, &whole[..whole.len() - 60]).unwrap();
    let mut again = board("lm3s6965evb", "t-semihosting", "");
    let replay = Replay::begin(&mut again.machine, "lm3s6965evb", &path).unwrap();
    let verdict = replay.run(&mut again.machine);
    assert!(matches!(verdict, Verdict::BreaksOff(_)), "{verdict:?}");
    for at in (16..whole.len() - 60).step_by(97) {
        let mut wrong = whole.clone();
        wrong[at] ^= 4;
        // A length that lies beyond the end looks like a file that was cut.
        if fuzzing::recording(&wrong) {
            std::fs::write(&path, &wrong).unwrap();
            let mut again = board("lm3s6965evb", "t-semihosting", "");
            if let Ok(replay) = Replay::begin(&mut again.machine, "lm3s6965evb", &path) {
                assert!(!matches!(replay.run(&mut again.machine), Verdict::Same(_)), "{at}");
            }
        }
    }
}
