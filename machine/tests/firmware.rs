//! Boards run real firmware in this process: twice alike, and on from a saved state as if nothing had happened.

use southbridge_core::machine::Pacing;
use southbridge_core::{ClockRate, Machine, Outcome, SavedState, VirtualTime};
use southbridge_cpu_semihosting::{Config, HeapInfo, Semihosting};
use southbridge_machine::load::{Format, install, parse};
use southbridge_machine::{BOARDS, Built, Options, build, registry};
use std::io::Write;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Console(Arc<Mutex<Vec<u8>>>);

impl Write for Console {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn board(board: &str, firmware: &str, arguments: &str) -> Built {
    let found = BOARDS.iter().find(|b| b.name == board).unwrap();
    let machine = Machine::empty(ClockRate::Hz(1)).unwrap();
    let mut built = build::build(machine, found, &registry(), &Options::default()).unwrap();
    let path = format!(
        "{}/../firmware/prebuilt/{firmware}-{board}.elf",
        env!("CARGO_MANIFEST_DIR")
    );
    let program = parse(&std::fs::read(&path).unwrap(), Format::Detect, 0).unwrap();
    install(&mut built.machine, firmware, program).unwrap();
    let config = Config {
        word: 4,
        command_line: format!("{firmware} {arguments}"),
        heap: HeapInfo {
            heap_base: 0x2000_4000,
            heap_limit: 0x2000_c000,
            stack_base: 0x2001_0000,
            stack_limit: 0x2000_c000,
        },
        epoch: 0,
        console: Box::new(Console::default()),
    };
    built.enable_semihosting(Box::new(Semihosting::new(config)));
    built.machine.pacing = Pacing::SkipIdle;
    built
}

/// All that a run left behind: every register, every byte of RAM, every device, the clock.
fn state(built: &mut Built) -> SavedState {
    built.machine.save().unwrap()
}

const BOARD_NAMES: [&str; 2] = ["lm3s6965evb", "mps2-an385"];

#[test]
fn two_runs_agree_to_the_instruction() {
    for name in BOARD_NAMES {
        for firmware in ["t-exceptions", "t-systick", "t-timers"] {
            let mut runs = [board(name, firmware, ""), board(name, firmware, "")];
            for run in &mut runs {
                assert!(
                    matches!(run.machine.run(), Outcome::GuestExit(_)),
                    "{firmware} on {name}"
                );
            }
            let [mut a, mut b] = runs;
            assert!(a.machine.sys.clock.executed() > 1000);
            assert_eq!(
                a.machine.sys.clock.executed(),
                b.machine.sys.clock.executed(),
                "{firmware} on {name}"
            );
            assert!(
                state(&mut a) == state(&mut b),
                "{firmware} on {name}: same state at the end"
            );
        }
    }
}

#[test]
fn the_slicing_of_a_run_is_invisible_to_the_guest() {
    for name in BOARD_NAMES {
        let mut whole = board(name, "t-systick", "");
        let mut sliced = board(name, "t-systick", "");
        let end = whole.machine.run();
        let mut at = VirtualTime(0);
        let sliced_end = loop {
            at = at.after_ns(37_003);
            match sliced.machine.run_until(at) {
                Outcome::Deadline => {}
                outcome => break outcome,
            }
        };
        assert_eq!(end, sliced_end);
        assert!(state(&mut whole) == state(&mut sliced), "{name}");
    }
}

#[test]
fn a_saved_board_goes_on_in_another_machine() {
    for name in BOARD_NAMES {
        for firmware in ["t-systick", "t-exceptions", "coremark-like"] {
            let mut whole = board(name, firmware, "iterations=2");
            let end = whole.machine.run();
            let total = whole.machine.sys.clock.now().0;
            for part in [3, 7, 10] {
                let mut first = board(name, firmware, "iterations=2");
                assert_eq!(
                    first.machine.run_until(VirtualTime(total / 11 * part)),
                    Outcome::Deadline
                );
                let saved = state(&mut first);
                drop(first);
                let mut second = board(name, firmware, "iterations=2");
                second.machine.load(&saved).unwrap();
                assert!(state(&mut second) == saved, "what was loaded saves the same again");
                assert_eq!(second.machine.run(), end);
                assert!(
                    state(&mut second) == state(&mut whole),
                    "{firmware} on {name} from part {part}"
                );
            }
        }
    }
}

#[test]
fn a_foreign_state_is_refused() {
    let mut lm3s = board("lm3s6965evb", "hello", "");
    let mut mps2 = board("mps2-an385", "hello", "");
    lm3s.machine.reset();
    let saved = state(&mut lm3s);
    assert!(mps2.machine.load(&saved).is_err());
    assert!(
        lm3s.machine
            .load(&SavedState {
                version: 1,
                cbor: vec![0xff; 8]
            })
            .is_err()
    );
}

#[test]
fn a_machine_without_a_program_locks_up_and_says_so() {
    let found = BOARDS.iter().find(|b| b.name == "mps2-an385").unwrap();
    let mut built = build::build(
        Machine::empty(ClockRate::Hz(1)).unwrap(),
        found,
        &registry(),
        &Options::default(),
    )
    .unwrap();
    assert!(matches!(built.machine.run(), Outcome::Lockup(_)));
}
