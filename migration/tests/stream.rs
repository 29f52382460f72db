//! Saved at any moment, taken into another machine, on to the same end; and whatever is wrong with a stream is refused without harm.

mod common;

use common::{BOARD_NAMES, PROGRAMS, board, bytes, picture, take};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use southbridge_core::{Outcome, RunState, VirtualTime};
use southbridge_migration::fuzzing;
use southbridge_testing::{Noise, damage};

/// The run of a program to its end, in one go: how it ended and what it left.
struct Whole {
    end: Outcome,
    time: u64,
    executed: u64,
    left: southbridge_core::machine::Whole,
}

/// Nobody types for the one that waits for a person, so its end is a moment.
fn limit(firmware: &str) -> VirtualTime {
    VirtualTime(if firmware == "t-uart" { 5_000_000 } else { u64::MAX })
}

fn whole(name: &str, firmware: &str, arguments: &str) -> Whole {
    let mut run = board(name, firmware, arguments);
    let end = run.machine.run_until(limit(firmware));
    Whole {
        end,
        time: run.machine.sys.clock.now().0,
        executed: run.machine.sys.clock.executed(),
        left: picture(&mut run).whole,
    }
}

/// Runs to a part of the whole, moves into a fresh machine, goes on. `None` if the program cannot be saved there (a file is open).
fn in_two_parts(name: &str, firmware: &str, arguments: &str, whole: &Whole, part: u16) {
    let mut first = board(name, firmware, arguments);
    let at = u64::try_from(u128::from(whole.time) * u128::from(part) / 65536).unwrap();
    assert_eq!(first.machine.run_until(VirtualTime(at.max(1))), Outcome::Deadline);
    if let Err(why) = first.machine.save_whole() {
        assert!(why.contains("semihosting"), "{firmware} on {name} at {at}: {why}");
        return;
    }
    let (saved, state) = (bytes(&mut first), picture(&mut first).whole);
    let mut second = board(name, firmware, arguments);
    take(&mut second, &saved).unwrap();
    assert!(
        picture(&mut second).whole == state,
        "what was taken saves the same again"
    );
    assert_eq!(
        second.machine.run_until(limit(firmware)),
        whole.end,
        "{firmware} on {name} from {at}"
    );
    assert_eq!(
        second.machine.sys.clock.executed(),
        whole.executed,
        "{firmware} on {name} from {at}"
    );
    let left = picture(&mut second).whole;
    // A processor that sleeps notes the moment at which it was last looked at, so that only runs that stopped alike end alike in a
    // sleep.
    assert_eq!(first.machine.run_until(limit(firmware)), whole.end);
    let alike = left == picture(&mut first).whole;
    assert!(alike, "{firmware} on {name} from {at}: the same as where it came from");
    let asleep = whole.end == Outcome::Deadline;
    assert!(
        asleep || left == whole.left,
        "{firmware} on {name} from {at}: the same as in one go"
    );
}

#[test]
fn every_program_goes_on_from_any_moment_in_another_machine() {
    for name in BOARD_NAMES {
        for (firmware, arguments) in PROGRAMS {
            let whole = whole(name, firmware, arguments);
            let ends = matches!(whole.end, Outcome::GuestExit(_)) || *firmware == "t-uart";
            assert!(ends, "{firmware} on {name}: {:?}", whole.end);
            let mut runner = TestRunner::new_with_rng(
                Config {
                    cases: 6,
                    failure_persistence: None,
                    ..Config::default()
                },
                proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
            );
            let done = runner.run(&any::<u16>(), |part| {
                in_two_parts(name, firmware, arguments, &whole, part);
                Ok(())
            });
            done.unwrap();
        }
    }
}

fn in_the_middle(name: &str) -> southbridge_machine::Built {
    let mut run = board(name, "t-systick", "");
    assert_eq!(run.machine.run_until(VirtualTime(300_000)), Outcome::Deadline);
    run
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused_without_harm() {
    for name in BOARD_NAMES {
        let saved = bytes(&mut in_the_middle(name));
        let mut other = board(name, "hello", "");
        other.machine.run_until(VirtualTime(1000));
        let mut noise = Noise::new(7);
        let mut cut: Vec<usize> = (0..64).collect();
        cut.extend((0..40).map(|_| (noise.next_u64() % saved.len() as u64) as usize));
        cut.push(saved.len() - 1);
        for n in cut {
            let why = take(&mut other, &saved[..n]).unwrap_err();
            assert!(why.contains("too early"), "{n}: {why}");
        }
        for _ in 0..300 {
            let at = (noise.next_u64() % saved.len() as u64) as usize;
            let mut wrong = saved.clone();
            wrong[at] ^= 1 << (noise.next_u64() % 8);
            assert!(!fuzzing::stream(&mut other.machine, name, &wrong), "a bit of byte {at}");
        }
        assert!(
            fuzzing::stream(&mut other.machine, name, &saved),
            "the whole one is taken"
        );
    }
}

#[test]
fn sections_that_are_missing_or_swapped_are_noticed() {
    let saved = bytes(&mut in_the_middle("lm3s6965evb"));
    let mut ends = vec![16];
    let mut at = 16;
    while at < saved.len() {
        let len = u32::from_le_bytes(saved[at + 4..at + 8].try_into().unwrap()) as usize;
        at += 12 + len;
        ends.push(at);
    }
    let mut other = board("lm3s6965evb", "hello", "");
    for pair in ends.windows(2) {
        let without = [&saved[..pair[0]], &saved[pair[1]..]].concat();
        assert!(!fuzzing::stream(&mut other.machine, "lm3s6965evb", &without));
        let twice = [&saved[..pair[1]], &saved[pair[0]..]].concat();
        // What stands behind the end is not looked at.
        let last = pair[1] == saved.len();
        assert_eq!(fuzzing::stream(&mut other.machine, "lm3s6965evb", &twice), last);
    }
    for three in ends.windows(3) {
        let (a, b, c) = (three[0], three[1], three[2]);
        let swapped = [&saved[..a], &saved[b..c], &saved[a..b], &saved[c..]].concat();
        assert!(!fuzzing::stream(&mut other.machine, "lm3s6965evb", &swapped));
    }
}

#[test]
fn a_state_of_another_board_or_version_says_so() {
    let saved = bytes(&mut in_the_middle("lm3s6965evb"));
    let mut other = board("mps2-an385", "hello", "");
    let why = take(&mut other, &saved).unwrap_err();
    assert_eq!(
        why,
        "the state is of another machine: it is of machine 'lm3s6965evb', this is 'mps2-an385'"
    );
    let mut newer = saved.clone();
    newer[8] = 3;
    let mut same = board("lm3s6965evb", "hello", "");
    assert_eq!(
        take(&mut same, &newer).unwrap_err(),
        "the format has version 3, this program reads 2"
    );
    assert_eq!(
        take(&mut same, b"QEVM\0\0\0\x03 and so on").unwrap_err(),
        "this is no saved machine of this program"
    );
}

/// A stream with right sums and wrong contents: what a clever peer sends.
#[test]
fn wrong_contents_with_right_sums_leave_the_machine_as_it_was() {
    use southbridge_migration::stream;
    for name in BOARD_NAMES {
        let good = picture(&mut in_the_middle(name));
        let mut other = board(name, "hello", "");
        other.machine.run_until(VirtualTime(1000));
        let mut noise = Noise::new(3);
        for i in 0..400 {
            let mut wrong = good.clone();
            let devices = wrong.whole.devices.len();
            let state = match i % (devices + 2) {
                0 => &mut wrong.whole.board,
                1 => &mut wrong.whole.cpus[0],
                n => &mut wrong.whole.devices[n - 2].state,
            };
            *state = damage(state, &noise.bytes(16));
            let mut sent = Vec::new();
            stream::write(&wrong, &mut sent).unwrap();
            fuzzing::stream(&mut other.machine, name, &sent);
            assert!(other.machine.save_whole().is_ok());
        }
        // Whatever it took or refused, it still runs, and takes the good one.
        other.machine.run_until(other.machine.sys.clock.now().after_ns(10_000));
        let mut sent = Vec::new();
        stream::write(&good, &mut sent).unwrap();
        take(&mut other, &sent).unwrap();
        assert!(picture(&mut other).whole == good.whole);
    }
}

#[test]
fn a_length_that_no_machine_has_takes_no_memory() {
    let saved = bytes(&mut in_the_middle("mps2-an385"));
    let mut other = board("mps2-an385", "hello", "");
    let mut long = saved.clone();
    long[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
    let why = take(&mut other, &long).unwrap_err();
    assert!(why.contains("are the most"), "{why}");
    assert_eq!(other.machine.run_state(), RunState::Prelaunch);
}
