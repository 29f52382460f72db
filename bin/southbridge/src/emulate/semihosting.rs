//! `-semihosting` and `-semihosting-config`.

use southbridge_backend_chardev::CharHandle;
use southbridge_cli::config::RtcBase;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, OptError};
use southbridge_cpu_semihosting::{Config as Semi, HeapInfo, Semihosting};
use southbridge_machine::Built;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::chardevs::Chardevs;

/// Lets the guest call the host, if the options say so.
///
/// # Errors
/// When the console's channel does not exist or is in use.
pub(crate) fn attach(config: &Config, built: &mut Built, chardevs: &Chardevs) -> Result<(), OptError> {
    if !config.semihosting.enabled {
        return Ok(());
    }
    let console: Box<dyn Write + Send> = match &config.semihosting.chardev {
        None => Box::new(io::stderr()),
        Some(id) => {
            let backend = chardevs.find_named(id)?;
            let handle = CharHandle::attach(&mut built.machine.sys.host, backend, None).map_err(|e| {
                let why = format!("chardev '{}' {e}", id.value);
                OptError::new(ErrorKind::Refused { why }, id.at.clone())
            })?;
            Box::new(Channel(handle))
        }
    };
    let semi = Semi {
        word: word(built),
        command_line: command_line(config),
        heap: heap(built),
        epoch: epoch(config),
        console,
    };
    built.enable_semihosting(Box::new(Semihosting::new(semi)));
    Ok(())
}

/// Console output into a channel; what a full channel does not take is lost, as a guest must never wait for a reader.
struct Channel(CharHandle);

impl Write for Channel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a word of the guest.
fn word(built: &Built) -> u8 {
    built.machine.cpus.first().map_or(4, |cpu| cpu.arch().bits / 8)
}

fn command_line(config: &Config) -> String {
    if !config.semihosting.args.is_empty() {
        return config.semihosting.args.join(" ");
    }
    let words = [&config.kernel, &config.append];
    words
        .into_iter()
        .flatten()
        .map(|w| w.value.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Heap behind the program in its RAM, stack from the end of the RAM down.
fn heap(built: &Built) -> HeapInfo {
    let Some((start, end)) = built.stack_memory() else {
        return HeapInfo::default();
    };
    let program_end = built.program_end.filter(|e| (start..end).contains(e)).unwrap_or(start);
    let heap_base = program_end.next_multiple_of(8);
    HeapInfo {
        heap_base,
        heap_limit: end,
        stack_base: end,
        stack_limit: heap_base,
    }
}

/// The date at power-on, in seconds since 1970.
pub(super) fn epoch(config: &Config) -> u64 {
    match config.rtc.base {
        RtcBase::At(seconds) => u64::try_from(seconds).unwrap_or(0),
        RtcBase::Utc | RtcBase::LocalTime => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
    }
}
