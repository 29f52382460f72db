//! `-bios`, `-initrd`, `-dtb`, `-drive if=pflash`, `-pflash`: files that a machine starts from.

use crate::argv::RawOption;
use crate::error::{ErrorKind, OptError};
use crate::keyval::Props;
use crate::location::{Located, Location};

use super::{Config, block};

/// Contents of a flash chip of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlashOpt {
    /// Which chip.
    pub unit: u64,
    /// The file.
    pub file: Located<String>,
    /// What the guest writes is refused.
    pub readonly: bool,
    /// Whether what the guest writes is kept from the file, if anything was said of that.
    pub temporary: Option<bool>,
}

/// Chips that boards have.
const UNITS: u64 = 2;

fn later(what: &str, at: Location) -> OptError {
    OptError::not_yet(what, at).with_help("the contents of a flash chip are a raw file")
}

/// `-drive if=pflash`.
pub(super) fn drive(props: &Props, config: &mut Config) -> Result<(), OptError> {
    props.only(
        "-drive if=pflash",
        &[
            "if",
            "file",
            "format",
            "unit",
            "index",
            "readonly",
            "read-only",
            "id",
            "media",
            "cache",
            "snapshot",
        ],
    )?;
    raw_only(props, "format")?;
    let temporary = props.switch("snapshot")?.map(|s| s.value);
    let unit = match props.number("unit")? {
        Some(unit) => Some(unit),
        None => props.number("index")?,
    };
    let readonly = match props.switch("readonly")? {
        Some(on) => Some(on),
        None => props.switch("read-only")?,
    };
    // A drive without a file is an empty slot, which is what the chip has anyhow.
    let Some(file) = props.text("file") else { return Ok(()) };
    add(config, unit, file, readonly.is_some_and(|r| r.value), temporary)
}

fn raw_only(props: &Props, key: &str) -> Result<(), OptError> {
    match props.text(key) {
        Some(format) if format.value != "raw" => Err(later(&format!("the disk format '{}'", format.value), format.at)),
        _ => Ok(()),
    }
}

fn add(
    config: &mut Config,
    unit: Option<Located<u64>>,
    file: Located<String>,
    readonly: bool,
    temporary: Option<bool>,
) -> Result<(), OptError> {
    let free = || (0..).find(|n| config.flash.iter().all(|f| f.unit != *n)).unwrap_or(0);
    let number = unit.as_ref().map_or_else(free, |u| u.value);
    let at = || unit.as_ref().map_or_else(|| file.at.clone(), |u| u.at.clone());
    if number >= UNITS {
        return Err(OptError::bad_value(Some("unit"), &number.to_string(), "0 or 1", at()));
    }
    if config.flash.iter().any(|f| f.unit == number) {
        let why = format!("flash chip {number} has contents already");
        return Err(OptError::new(ErrorKind::Refused { why }, at()));
    }
    config.flash.push(FlashOpt {
        unit: number,
        file,
        readonly,
        temporary,
    });
    Ok(())
}

/// `-pflash FILE`: the next chip.
pub(super) fn pflash(option: &RawOption, config: &mut Config) -> Result<(), OptError> {
    let file = Located::new(option.source.text.clone(), option.at_argument());
    add(config, None, file, false, None)
}

/// `-machine pflash0=NODE`.
pub(super) fn machine_flash(props: &Props, config: &mut Config) -> Result<(), OptError> {
    for unit in 0..UNITS {
        let Some(name) = props.text(&format!("pflash{unit}")) else {
            continue;
        };
        let (file, readonly) = block::file_of(config, &name)?;
        // What a node says counts: `-snapshot` is for drives.
        add(config, Some(Located::new(unit, name.at)), file, readonly, Some(false))?;
    }
    Ok(())
}
