//! A board in this process, for what cannot be seen from outside.

use std::io;
use std::path::Path;

use southbridge_core::{ClockRate, Machine};
use southbridge_cpu_semihosting::{Config, HeapInfo, Semihosting};
use southbridge_machine::load::{self, Format};
use southbridge_machine::{BOARDS, Board, Built, Options, build, registry};

use crate::Result;

/// A board description by name.
pub(crate) fn find(name: &str) -> Result<&'static Board> {
    BOARDS
        .iter()
        .copied()
        .find(|b| b.name == name)
        .ok_or_else(|| format!("no board {name}").into())
}

/// The board, without a program.
pub(crate) fn bare(name: &str) -> Result<Built> {
    let machine = Machine::empty(ClockRate::Hz(1))?;
    Ok(build::build(machine, find(name)?, &registry(), &Options::default())?)
}

/// The board with a program in it and semihosting on; its console goes nowhere.
pub(crate) fn with_program(name: &str, program: &[u8], command_line: &str) -> Result<Built> {
    let mut built = bare(name)?;
    let program = load::parse(program, Format::Detect, 0)?;
    load::install(&mut built.machine, "program", program)?;
    built.enable_semihosting(Box::new(Semihosting::new(Config {
        word: 4,
        command_line: command_line.to_owned(),
        heap: HeapInfo::default(),
        epoch: 0,
        console: Box::new(io::sink()),
    })));
    Ok(built)
}

/// The same, from a file.
pub(crate) fn with_file(name: &str, path: &Path, command_line: &str) -> Result<Built> {
    with_program(name, &std::fs::read(path)?, command_line)
}
