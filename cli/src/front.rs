//! The part of the program that needs no machine: versions, help from the table, man page, completion, demos.
//!
//! The binary calls [`serve`] and goes on with what that gives back.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use crate::command::Command;
use crate::error::{OptError, Style};
use crate::personality::Personality;
use crate::{completion, help, man, up};

/// Does the command if it needs no machine, and breaks with the exit status; else gives it back. `program` is this
/// program's own file, which a demo starts its parts from.
///
/// # Errors
/// When a demo file is wrong or the host refuses.
pub fn serve(
    command: Command,
    personality: &Personality,
    program: &Path,
    style: &Style,
) -> Result<ControlFlow<u8, Command>, OptError> {
    let text = match command {
        Command::Version => personality.version_text(),
        Command::Man => man::page(),
        Command::Completion(shell) => completion::script(shell),
        Command::Up { file } => return up::run(&file, program, style).map(ControlFlow::Break),
        Command::Help(topic, config) => match help::text(&topic, personality) {
            Some(text) => text,
            None => return Ok(ControlFlow::Continue(Command::Help(topic, config))),
        },
        other => return Ok(ControlFlow::Continue(other)),
    };
    print(&text);
    Ok(ControlFlow::Break(0))
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error and no panic.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Shows an error on standard error as it suits that, and gives the exit status.
pub fn report(error: &OptError, style: &Style) -> u8 {
    let text = format!("{}\n", error.render(style));
    let _ = std::io::stderr().write_all(text.as_bytes());
    1
}
