//! `-trace` and `-d trace:PATTERN`.

use southbridge_cli::config::TraceFormat;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Located, OptError, Personality};
use southbridge_core::Machine;
use southbridge_core::trace::perfetto::PerfettoSink;
use southbridge_core::trace::text::TextSink;
use southbridge_core::trace::{Event, Sink, events};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};

/// Opens what the options name and switches events on, before the first device is made.
///
/// # Errors
/// When a file cannot be read or made.
pub(crate) fn attach(config: &Config, machine: &mut Machine, personality: &Personality) -> Result<(), OptError> {
    let sys = &mut machine.sys;
    for option in &config.traces {
        if let Some(path) = &option.file {
            let out = create(path)?;
            let sink: Box<dyn Sink> = match option.format {
                TraceFormat::Text => Box::new(TextSink(out)),
                TraceFormat::Perfetto => {
                    let name = config.name.guest.as_deref().unwrap_or(&personality.program);
                    Box::new(PerfettoSink::new(out, name))
                }
            };
            sys.trace.add_sink(sink);
        }
    }
    for option in &config.traces {
        let listed = option.events.as_ref().map(patterns).transpose()?.unwrap_or_default();
        let direct = option.enable.as_ref().map(|p| p.value.clone());
        for pattern in listed.into_iter().chain(direct) {
            match pattern.strip_prefix('-') {
                Some(off) => sys.trace_enable(off, false),
                None => sys.trace_enable(&pattern, true),
            };
        }
    }
    sys.trace.to_log = !config.log.trace.is_empty();
    for pattern in &config.log.trace {
        sys.trace_enable(&pattern.value, true);
    }
    Ok(())
}

fn create(path: &Located<String>) -> Result<Box<dyn Write + Send>, OptError> {
    let name = path.value.replace("%d", &std::process::id().to_string());
    let file = File::create(&name).map_err(|e| failed("write", &name, &e, path))?;
    Ok(Box::new(BufWriter::new(file)))
}

/// One pattern a line; empty lines and those that begin with `#` are passed over.
fn patterns(path: &Located<String>) -> Result<Vec<String>, OptError> {
    let text = std::fs::read_to_string(&path.value).map_err(|e| failed("read", &path.value, &e, path))?;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

fn failed(action: &'static str, name: &str, error: &std::io::Error, path: &Located<String>) -> OptError {
    OptError::new(
        ErrorKind::Io {
            action: action.into(),
            path: name.to_owned(),
            error: southbridge_cli::argv::io_reason(error),
        },
        path.at.clone(),
    )
}

/// `-trace help`: every event that any machine of this program can have.
pub(crate) fn list() -> String {
    let registry = southbridge_machine::registry();
    let mut tables: Vec<&'static [Event]> = vec![&events::core::EVENTS, &events::cpu::EVENTS];
    for t in registry.iter() {
        let known = tables.iter().any(|k| std::ptr::eq(k.as_ptr(), t.events.as_ptr()));
        if !t.events.is_empty() && !known {
            tables.push(t.events);
        }
    }
    let mut out = String::from("Trace events:\n");
    for e in tables.into_iter().flatten() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<28} {} ({})", e.name, e.help, e.fields.join(", "));
    }
    out
}

/// `southbridge trace2perfetto IN OUT`.
///
/// # Errors
/// When one of the files cannot be used.
pub(crate) fn to_perfetto(input: &std::ffi::OsStr, output: &std::ffi::OsStr) -> Result<(), OptError> {
    let problem = |action: &str, path: &std::ffi::OsStr, e: &std::io::Error| {
        OptError::nowhere(ErrorKind::Io {
            action: action.to_owned(),
            path: path.to_string_lossy().into_owned(),
            error: southbridge_cli::argv::io_reason(e),
        })
    };
    let read: Box<dyn std::io::Read> = match input.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(File::open(input).map_err(|e| problem("read", input, &e))?),
    };
    let write: Box<dyn Write + Send> = match output.to_str() {
        Some("-") => Box::new(std::io::stdout()),
        _ => Box::new(BufWriter::new(
            File::create(output).map_err(|e| problem("write", output, &e))?,
        )),
    };
    let name = input.to_string_lossy();
    southbridge_core::trace::perfetto::convert(std::io::BufReader::new(read), write, &name)
        .map_err(|e| problem("read", input, &e))?;
    Ok(())
}
