//! Boards with firmware, as tests of this room need them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use southbridge_core::machine::Pacing;
use southbridge_core::{ClockRate, Machine};
use southbridge_cpu_semihosting::{Config, HeapInfo, Semihosting};
use southbridge_machine::load::{Format, install, parse};
use southbridge_machine::{BOARDS, Built, Options, build, registry};
use southbridge_migration::stream::{self, Picture};

pub const BOARD_NAMES: [&str; 2] = ["lm3s6965evb", "mps2-an385"];

/// Every prebuilt program that runs to an end of its own, with its arguments.
pub const PROGRAMS: &[(&str, &str)] = &[
    ("hello", ""),
    ("coremark-like", "iterations=1"),
    ("dhrystone-like", "iterations=300"),
    ("t-bitband", ""),
    ("t-exceptions", ""),
    ("t-gpio", ""),
    ("t-newlib", ""),
    ("t-semihosting", ""),
    ("t-systick", ""),
    ("t-timers", ""),
    ("t-uart", ""),
    ("t-watchdog", ""),
];

/// A board with a program, built and not started.
pub fn board(board: &str, firmware: &str, arguments: &str) -> Built {
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
        console: Box::new(std::io::sink()),
    };
    built.enable_semihosting(Box::new(Semihosting::new(config)));
    built.machine.pacing = Pacing::SkipIdle;
    built
}

pub fn picture(built: &mut Built) -> Picture {
    let name = built.board.name;
    Picture::take(&mut built.machine, name).unwrap()
}

/// A machine's stream.
pub fn bytes(built: &mut Built) -> Vec<u8> {
    let mut out = Vec::new();
    stream::write(&picture(built), &mut out).unwrap();
    out
}

/// A stream into a machine.
pub fn take(built: &mut Built, bytes: &[u8]) -> Result<(), String> {
    let here = stream::describe(&mut built.machine, built.layout.board.name)?;
    let picture = stream::read(bytes, &here).map_err(|e| e.to_string())?;
    built.machine.load_whole(&picture.whole).map_err(|e| e.to_string())
}
