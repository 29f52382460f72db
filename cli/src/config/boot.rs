//! `-bios`, `-initrd`, `-dtb`, `-drive if=pflash`, `-pflash`, `-blockdev`: files that a machine starts from.

use crate::argv::RawOption;
use crate::error::{ErrorKind, OptError};
use crate::keyval::Props;
use crate::location::{Located, Location};

use super::Config;

/// Contents of a flash chip of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlashOpt {
    /// Which chip.
    pub unit: u64,
    /// The file.
    pub file: Located<String>,
    /// What the guest writes is refused.
    pub readonly: bool,
}

/// A file as a block device, by name (`-blockdev`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockNode {
    /// Its name.
    pub name: Located<String>,
    /// The file.
    pub file: Located<String>,
    /// What the guest writes is refused.
    pub readonly: bool,
}

/// Chips that boards have.
const UNITS: u64 = 2;

fn later(what: &str, at: Location) -> OptError {
    OptError::not_yet(what, at).with_help("it comes with disks; if=pflash with a raw file works")
}

/// `-drive`.
pub(super) fn drive(props: &Props, config: &mut Config) -> Result<(), OptError> {
    let interface = props.text("if");
    match &interface {
        Some(i) if i.value == "pflash" => {}
        Some(i) => return Err(later(&format!("-drive if={}", i.value), i.at.clone())),
        None => return Err(later("-drive without if=pflash", props.at())),
    }
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
    if let Some(on) = props.switch("snapshot")?.filter(|s| s.value) {
        return Err(later("-drive snapshot=on", on.at));
    }
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
    add(config, unit, file, readonly.is_some_and(|r| r.value))
}

fn raw_only(props: &Props, key: &str) -> Result<(), OptError> {
    match props.text(key) {
        Some(format) if format.value != "raw" => Err(later(&format!("the disk format '{}'", format.value), format.at)),
        _ => Ok(()),
    }
}

fn add(config: &mut Config, unit: Option<Located<u64>>, file: Located<String>, readonly: bool) -> Result<(), OptError> {
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
    });
    Ok(())
}

/// `-pflash FILE`: the next chip.
pub(super) fn pflash(option: &RawOption, config: &mut Config) -> Result<(), OptError> {
    let file = Located::new(option.source.text.clone(), option.at_argument());
    add(config, None, file, false)
}

/// `-blockdev`.
pub(super) fn blockdev(props: &Props, config: &mut Config) -> Result<(), OptError> {
    let driver = props.required("-blockdev", "driver")?;
    let name = props.required("-blockdev", "node-name")?;
    let common = [
        "driver",
        "node-name",
        "read-only",
        "auto-read-only",
        "discard",
        "cache.",
        "locking",
    ];
    let owner = format!("-blockdev {}", driver.value);
    let file = match driver.value.as_str() {
        "file" => {
            props.only(&owner, &[&common[..], &["filename", "aio"]].concat())?;
            props.required(&owner, "filename")?
        }
        "raw" => {
            props.only(&owner, &[&common[..], &["file", "file."]].concat())?;
            match props.text("file") {
                Some(below) => named(config, &below)?.file.clone(),
                None => props.required(&owner, "file.filename")?,
            }
        }
        other => return Err(later(&format!("the block driver '{other}'"), driver.at)),
    };
    let readonly = props.switch("read-only")?.is_some_and(|r| r.value);
    if let Some(first) = config.block_nodes.iter().find(|n| n.name.value == name.value) {
        return Err(OptError::duplicate_id(
            "block node",
            &name.value,
            name.at,
            first.name.at.clone(),
        ));
    }
    config.block_nodes.push(BlockNode { name, file, readonly });
    Ok(())
}

fn named<'c>(config: &'c Config, name: &Located<String>) -> Result<&'c BlockNode, OptError> {
    let found = config.block_nodes.iter().find(|n| n.name.value == name.value);
    found.ok_or_else(|| {
        let known = config.block_nodes.iter().map(|n| n.name.value.as_str());
        OptError::no_such("block node", &name.value, known, name.at.clone())
    })
}

/// `-machine pflash0=NODE`.
pub(super) fn machine_flash(props: &Props, config: &mut Config) -> Result<(), OptError> {
    for unit in 0..UNITS {
        let Some(name) = props.text(&format!("pflash{unit}")) else {
            continue;
        };
        let node = named(config, &name)?;
        let (file, readonly) = (node.file.clone(), node.readonly);
        add(config, Some(Located::new(unit, name.at)), file, readonly)?;
    }
    Ok(())
}
