//! `-qtest`, `-qtest-log`, `-accel qtest`.

use southbridge_backend_chardev::CharHandle;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, OptError};
use southbridge_machine::Built;
use southbridge_qtest::{Log, Qtest, take_over};
use std::fs::File;
use std::io::Write;

use super::chardevs::Chardevs;

/// Lets a test program drive the machine, if the options say so.
///
/// # Errors
/// When the channel or the log cannot be opened.
pub(crate) fn attach(config: &Config, built: &mut Built, chardevs: &mut Chardevs) -> Result<(), OptError> {
    if config.only_tests() {
        take_over(&mut built.machine);
    }
    let Some(option) = &config.qtest else { return Ok(()) };
    let Some(backend) = chardevs.channel(option, &mut built.machine)? else {
        return Ok(());
    };
    let caller = built.machine.caller();
    let notify = Box::new(move || caller.call());
    let channel = CharHandle::attach(&mut built.machine.sys.host, backend, Some(notify)).map_err(|e| {
        let why = format!("the channel of -qtest {e}");
        OptError::nowhere(ErrorKind::Refused { why })
    })?;
    let places = southbridge_machine::qom::places(&built.layout, &built.machine);
    built
        .machine
        .add_attendant(Box::new(Qtest::new(channel, Log::new(log(config)?), places)));
    Ok(())
}

/// As in QEMU the log goes to standard error unless a file is named; `none` and `/dev/null` switch it off.
fn log(config: &Config) -> Result<Option<Box<dyn Write + Send>>, OptError> {
    let Some(path) = &config.qtest_log else {
        return Ok(Some(Box::new(southbridge_core::stderr::Stderr::default())));
    };
    if matches!(path.value.as_str(), "none" | "/dev/null") {
        return Ok(None);
    }
    let file = File::create(&path.value).map_err(|e| {
        let error = southbridge_cli::argv::io_reason(&e);
        OptError::new(
            ErrorKind::Io {
                action: "write".into(),
                path: path.value.clone(),
                error,
            },
            path.at.clone(),
        )
    })?;
    Ok(Some(Box::new(file)))
}
