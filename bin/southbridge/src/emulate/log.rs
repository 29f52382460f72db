//! `-d` and `-D`.

use southbridge_cli::config::LogItem;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, OptError};
use southbridge_core::LogItems;
use southbridge_core::log::Log;
use southbridge_core::stderr::Stderr;
use std::fs::File;
use std::io::{BufWriter, Write};

/// The log that the options describe.
///
/// # Errors
/// When its file cannot be made.
pub(crate) fn open(config: &Config) -> Result<Log, OptError> {
    let items = config.log.items.iter().map(item).collect();
    let sink: Box<dyn Write + Send> = match &config.log.file {
        None => Box::new(Stderr::default()),
        Some(path) => {
            let name = path.value.replace("%d", &std::process::id().to_string());
            let file = File::create(&name).map_err(|e| {
                let error = southbridge_cli::argv::io_reason(&e);
                OptError::new(
                    ErrorKind::Io {
                        action: "write".into(),
                        path: name.clone(),
                        error,
                    },
                    path.at.clone(),
                )
            })?;
            Box::new(BufWriter::new(file))
        }
    };
    Ok(Log::new(items, sink))
}

fn item(item: &LogItem) -> LogItems {
    match item {
        LogItem::Unimp => LogItems::UNIMP,
        LogItem::GuestErrors => LogItems::GUEST_ERRORS,
        LogItem::Int => LogItems::INT,
        LogItem::CpuReset => LogItems::CPU_RESET,
        LogItem::InAsm => LogItems::IN_ASM,
        LogItem::Exec => LogItems::EXEC,
        LogItem::Mmu => LogItems::MMU,
    }
}
