//! `-gdb` and `-s`.

use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, OptError};
use southbridge_cpu_gdb::GdbServer;
use southbridge_machine::Built;
use southbridge_monitor::hmp::Remote;

use super::chardevs::Chardevs;

/// Lets gdb debug the machine, if the options say so.
///
/// # Errors
/// When the channel cannot be opened or is in use.
pub(crate) fn attach(config: &Config, built: &mut Built, chardevs: &mut Chardevs) -> Result<(), OptError> {
    let Some(option) = &config.gdb else { return Ok(()) };
    let Some(backend) = chardevs.channel(option, &mut built.machine)? else {
        return Ok(());
    };
    GdbServer::attach(&mut built.machine, backend, Box::new(Remote)).map_err(|e| {
        let why = format!("the channel of -gdb {e}");
        OptError::nowhere(ErrorKind::Refused { why })
    })
}
