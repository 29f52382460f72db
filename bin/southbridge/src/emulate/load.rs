//! `-kernel` and `-device loader`: programs and values into guest memory.

use southbridge_cli::config::{LoaderOpt, LoaderWhat};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Located, OptError};
use southbridge_machine::Built;
use southbridge_machine::boot::{Bios, Boot, BootError, File, Files, Word};
use southbridge_machine::load::{self, Format, Program};
use std::io::Read;

/// Largest file that is taken for a program, in bytes. Boards check the real limit piece by piece.
const MAX_FILE: u64 = 1 << 30;

/// Loads everything.
///
/// # Errors
/// When a file cannot be read, is damaged, or does not fit the board.
pub(crate) fn kernel_and_images(config: &Config, built: &mut Built) -> Result<Loaded, OptError> {
    match built.board.boot {
        Boot::Firmware(boot) => {
            let files = files(config)?;
            let booted = boot(built, &files).map_err(|e| marked(config, &e))?;
            if let Some(path) = config.machine.props.text("dumpdtb") {
                dump(&path, &booted.tree)?;
                return Ok(Loaded::Done);
            }
        }
        Boot::Vectors => {
            if let Some(path) = &config.kernel {
                let program = read_program(path, Format::Detect, 0)?;
                install(built, path, program)?;
            }
        }
    }
    for device in config.devices.iter().filter(|d| d.driver.value == LoaderOpt::DRIVER) {
        one(&LoaderOpt::from_device(device)?, built, &device.driver)?;
    }
    Ok(Loaded::Ready)
}

/// What is to be done with the machine now.
pub(crate) enum Loaded {
    /// It can run.
    Ready,
    /// Nothing more: the user wanted something else than a run.
    Done,
}

/// Everything that a board starts from.
fn files(config: &Config) -> Result<Files, OptError> {
    let file = |path: &Located<String>| {
        let contents = read(path)?;
        let name = path.value.clone();
        Ok::<_, OptError>(File { name, contents })
    };
    let optional = |path: &Option<Located<String>>| path.as_ref().map(file).transpose();
    Ok(Files {
        bios: match &config.bios {
            None => Bios::Default,
            Some(b) if b.value == "default" => Bios::Default,
            Some(b) if b.value == "none" => Bios::None,
            Some(b) => Bios::File(file(b)?),
        },
        kernel: optional(&config.kernel)?,
        initrd: optional(&config.initrd)?,
        append: config.append.as_ref().map(|a| a.value.clone()),
        dtb: optional(&config.dtb)?,
        flash: config.flash.iter().any(|f| f.unit == 0),
    })
}

/// The error at the word that caused it.
fn marked(config: &Config, error: &BootError) -> OptError {
    let kind = ErrorKind::Refused { why: error.to_string() };
    let BootError::File { word, .. } = error else {
        return OptError::nowhere(kind);
    };
    let at = match word {
        Word::Bios => config.bios.as_ref().map(|w| w.at.clone()),
        Word::Kernel => config.kernel.as_ref().map(|w| w.at.clone()),
        Word::Initrd => config.initrd.as_ref().map(|w| w.at.clone()),
        Word::Dtb => config.dtb.as_ref().map(|w| w.at.clone()),
        Word::Memory => config.memory.size.as_ref().map(|w| w.at.clone()),
    };
    match at {
        Some(at) => OptError::new(kind, at),
        None => OptError::nowhere(kind),
    }
}

fn dump(path: &Located<String>, tree: &[u8]) -> Result<(), OptError> {
    std::fs::write(&path.value, tree).map_err(|e| io_error("write", path, &e))?;
    crate::say::tell(&format!("the device tree is in '{}'", path.value));
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
                made_for: None,
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
fn read(path: &Located<String>) -> Result<Vec<u8>, OptError> {
    let io = |e: std::io::Error| io_error("read", path, &e);
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
    Ok(contents)
}

fn io_error(action: &str, path: &Located<String>, error: &std::io::Error) -> OptError {
    let kind = ErrorKind::Io {
        action: action.into(),
        path: path.value.clone(),
        error: southbridge_cli::argv::io_reason(error),
    };
    OptError::new(kind, path.at.clone())
}

fn read_program(path: &Located<String>, format: Format, raw_at: u64) -> Result<Program, OptError> {
    load::parse(&read(path)?, format, raw_at).map_err(|e| refused(path, &e))
}

fn refused(path: &Located<String>, error: &load::LoadError) -> OptError {
    let why = format!("'{}': {error}", path.value);
    OptError::new(ErrorKind::Refused { why }, path.at.clone())
}

fn install(built: &mut Built, path: &Located<String>, program: Program) -> Result<(), OptError> {
    built.program_end = program.end.or(built.program_end);
    if let Some(core) = &built.board.cpu {
        load::check_isa(&program, core.isa()).map_err(|e| refused(path, &e))?;
    }
    load::install(&mut built.machine, &path.value, program).map_err(|e| refused(path, &e))
}
