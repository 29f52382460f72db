//! `-fsdev` and `-virtfs`: shared folders made and given their names.

use southbridge_backend_fs::{self as fs, FsError, Fsdevs};
use southbridge_cli::config::FsdevOpt;
use southbridge_cli::{Config, Location, OptError};
use southbridge_core::Machine;
use southbridge_core::host::Host;

use super::options::{self, Words};

fn pairs(option: &FsdevOpt) -> impl Iterator<Item = (&str, &str)> {
    let entries = option.props.entries().iter();
    entries.map(|e| (e.key.as_str(), e.value.as_str()))
}

/// Checks every word against the tables, before anything is opened.
///
/// # Errors
/// At the first word that is wrong.
pub(crate) fn check(config: &Config) -> Result<(), OptError> {
    for option in &config.fsdevs {
        let parsed = fs::find(&option.driver.value).and_then(|kind| fs::parse(kind, pairs(option)));
        parsed.map_err(|e| refused(option, &e))?;
    }
    Ok(())
}

/// Makes every folder.
///
/// # Errors
/// When an option is wrong or the host refuses.
pub(crate) fn open(config: &Config, machine: &mut Machine) -> Result<(), OptError> {
    let for_tests = config.qtest.is_some();
    for option in &config.fsdevs {
        let (driver, id) = (&option.driver.value, &option.id.value);
        let opened = Fsdevs::open(&mut machine.sys.host, driver, id, pairs(option), for_tests);
        opened.map_err(|e| refused(option, &e))?;
    }
    Ok(())
}

/// The error that no folder has this name.
pub(crate) fn no_fsdev(name: &str, host: &Host, at: Location) -> OptError {
    let known = Fsdevs::ids(host);
    let error = OptError::no_such("fsdev", name, &known, at);
    if known.is_empty() {
        error.with_help("make it with -fsdev local,id=NAME,path=FOLDER,security_model=MODEL")
    } else {
        error
    }
}

/// The error that no driver has this name.
pub(crate) fn no_kind(name: &str, at: Location) -> OptError {
    let here = fs::KINDS.iter().filter(|k| k.missing().is_none()).map(|k| k.name);
    OptError::no_such("file system driver", name, here, at)
}

/// The error at the word that caused it, in the words of its kind.
fn refused(option: &FsdevOpt, error: &FsError) -> OptError {
    let words = Words {
        what: "file system driver",
        kind: &option.driver,
        id: &option.id.at,
        props: &option.props,
        options: fs::find(&option.driver.value)
            .map_or_else(|_| Vec::new(), |k| k.options.iter().map(|o| o.name).collect()),
    };
    options::refused(&words, error, no_kind)
}
