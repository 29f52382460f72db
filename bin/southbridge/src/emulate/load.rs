//! `-kernel` and `-device loader`: programs and values into guest memory.

use southbridge_cli::config::{LoaderOpt, LoaderWhat};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Located, OptError};
use southbridge_machine::Built;
use southbridge_machine::load::{self, Format, Program};
use std::io::Read;

/// Largest file that is taken for a program, in bytes. Boards check the real limit piece by piece.
const MAX_FILE: u64 = 1 << 30;

/// Loads everything.
///
/// # Errors
/// When a file cannot be read, is damaged, or does not fit the board.
pub(crate) fn kernel_and_images(config: &Config, built: &mut Built) -> Result<(), OptError> {
    if let Some(path) = &config.kernel {
        let program = read_program(path, Format::Detect, 0)?;
        install(built, path, program)?;
    }
    for device in config.devices.iter().filter(|d| d.driver.value == LoaderOpt::DRIVER) {
        one(&LoaderOpt::from_device(device)?, built, &device.driver)?;
    }
    Ok(())
}

fn one(loader: &LoaderOpt, built: &mut Built, driver: &Located<String>) -> Result<(), OptError> {
    if let Some(cpu) = &loader.cpu
        && (cpu.value != 0 || built.machine.cpus.is_empty())
    {
        return Err(OptError::bad_value(
            Some("cpu-num"),
            &cpu.value.to_string(),
            "0, the only processor",
            cpu.at.clone(),
        ));
    }
    match &loader.what {
        LoaderWhat::File { path, raw } => {
            let format = if *raw { Format::Raw } else { Format::Detect };
            let program = read_program(path, format, loader.addr.as_ref().map_or(0, |a| a.value))?;
            if program.entry.is_none() && loader.addr.is_none() {
                return Err(OptError::missing("device 'loader'", "'addr'", path.at.clone())
                    .with_help("a raw binary does not say where it goes; add addr=ADDRESS"));
            }
            if let (Some(_), Some(entry)) = (&loader.cpu, program.entry) {
                built.machine.start_at = Some(entry);
            }
            install(built, path, program)
        }
        LoaderWhat::Data { value, len, big_endian } => {
            let len = usize::from(*len);
            let data = if *big_endian {
                value.value.to_be_bytes()[8 - len..].to_vec()
            } else {
                value.value.to_le_bytes()[..len].to_vec()
            };
            let at = loader.addr.as_ref().map_or(0, |a| a.value);
            let program = Program {
                pieces: vec![(at, data)],
                entry: None,
                end: None,
                format: "value",
            };
            install(built, driver, program)
        }
        LoaderWhat::ProgramCounter => {
            built.machine.start_at = loader.addr.as_ref().map(|a| a.value);
            Ok(())
        }
    }
}

/// Regular files only: a FIFO or a terminal could keep the program waiting for ever.
fn read_program(path: &Located<String>, format: Format, raw_at: u64) -> Result<Program, OptError> {
    let io = |e: std::io::Error| {
        let error = southbridge_cli::argv::io_reason(&e);
        OptError::new(
            ErrorKind::Io {
                action: "read".into(),
                path: path.value.clone(),
                error,
            },
            path.at.clone(),
        )
    };
    let refused = |why: String| OptError::new(ErrorKind::Refused { why }, path.at.clone());
    let about = std::fs::metadata(&path.value).map_err(io)?;
    if !about.is_file() {
        return Err(refused(format!("'{}' is not a regular file", path.value)));
    }
    if about.len() > MAX_FILE {
        return Err(refused(format!(
            "'{}' has {} bytes, more than any board takes",
            path.value,
            about.len()
        )));
    }
    let mut contents = Vec::new();
    std::fs::File::open(&path.value)
        .map_err(io)?
        .take(MAX_FILE)
        .read_to_end(&mut contents)
        .map_err(io)?;
    load::parse(&contents, format, raw_at).map_err(|e| refused(format!("'{}': {e}", path.value)))
}

fn install(built: &mut Built, path: &Located<String>, program: Program) -> Result<(), OptError> {
    built.program_end = program.end.or(built.program_end);
    load::install(&mut built.machine, &path.value, program).map_err(|e| {
        let why = format!("'{}': {e}", path.value);
        OptError::new(ErrorKind::Refused { why }, path.at.clone())
    })
}
