//! The program: reads the command line, builds what it says, runs it, ends with a status.

mod emulate;
mod help;
mod say;

use southbridge_cli::command::Command;
use southbridge_cli::error::Style;
use southbridge_cli::{Personality, completion, man, up};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    up::follow_parent();
    let args: Vec<OsString> = std::env::args_os().collect();
    let (personality, command) = match Command::parse(&args, |path| std::fs::read_to_string(path)) {
        Ok(parsed) => parsed,
        Err((personality, error)) => return fail(&personality, &error),
    };
    match command {
        Command::Emulate(config) => match emulate::run(&config, &personality) {
            Ok(status) => ExitCode::from(status),
            Err(error) => fail(&personality, &error),
        },
        Command::Help(topic, config) => match help::text(&topic, &config, &personality) {
            Ok(text) => show(&text),
            Err(error) => fail(&personality, &error),
        },
        Command::Version => show(&personality.version_text()),
        Command::Up { file } => match std::env::current_exe()
            .map_err(emulate::board::no_host)
            .and_then(|program| up::run(&file, &program, &Style::for_stderr(&personality.program)))
        {
            Ok(status) => ExitCode::from(status),
            Err(error) => fail(&personality, &error),
        },
        Command::Man => show(&man::page()),
        Command::Completion(shell) => show(&completion::script(shell)),
        Command::TraceToPerfetto { input, output } => match emulate::trace::to_perfetto(&input, &output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&personality, &error),
        },
        Command::IvshmemServer(args) => southbridge_backend_ivshmem::server_main(&args),
        Command::IvshmemClient(args) => southbridge_backend_ivshmem::client_main(&args),
    }
}

fn fail(personality: &Personality, error: &southbridge_cli::OptError) -> ExitCode {
    let text = error.render(&Style::for_stderr(&personality.program));
    say::tell(&say::plain(text));
    ExitCode::FAILURE
}

/// A reader that went away (`| head`) is no failure of ours.
fn show(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
    ExitCode::SUCCESS
}
