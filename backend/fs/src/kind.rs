//! The drivers and their options: names and defaults are QEMU's.

use southbridge_backend_options::{nearest, value};
use southbridge_core::{PropKind, Properties, Property};

use crate::error::{FAMILY, FsError};

/// What stands behind a driver's name.
pub(crate) enum Driver {
    Local,
    Synth,
    /// Not here: why.
    Missing(&'static str),
}

/// A driver of shared folders.
pub struct Kind {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Its options.
    pub options: &'static [Property],
    pub(crate) driver: Driver,
}

impl Kind {
    /// Why this driver cannot be used here, if so.
    pub fn missing(&self) -> Option<&'static str> {
        match self.driver {
            Driver::Missing(why) => Some(why),
            _ => None,
        }
    }
}

const fn option(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

const READONLY: Property = option("readonly", PropKind::Bool, Some("off"), "the guest can change nothing");

const MODELS: &[&str] = &["mapped-xattr", "mapped-file", "passthrough", "none", "mapped"];

/// What the options that take permissions want.
pub(crate) const PERMISSIONS: &str = "permissions as a number, such as 0644";

const fn limit(name: &'static str, help: &'static str) -> Property {
    option(name, PropKind::Uint(64), None, help)
}

/// Options of `local`.
const LOCAL: &[Property] = &[
    option("path", PropKind::Str, None, "the folder"),
    option(
        "security_model",
        PropKind::Enum(MODELS),
        None,
        "where the guest's owners and permissions are kept",
    ),
    READONLY,
    option(
        "fmode",
        PropKind::Str,
        None,
        "permissions on the host of new files, when mapped (default: 0600)",
    ),
    option(
        "dmode",
        PropKind::Str,
        None,
        "permissions on the host of new folders, when mapped (default: 0700)",
    ),
    option(
        "multidevs",
        PropKind::Enum(&["remap", "forbid", "warn"]),
        Some("remap"),
        "what to do when several file systems are in the folder",
    ),
    option(
        "writeout",
        PropKind::Enum(&["immediate"]),
        None,
        "bring what is written to the disk at once",
    ),
    limit("throttling.bps-total", "bytes in all in a second, at most"),
    limit("throttling.bps-total-max", "the same in a burst"),
    limit("throttling.bps-total-max-length", "seconds of a burst"),
    limit("throttling.bps-read", "bytes read in a second, at most"),
    limit("throttling.bps-read-max", "the same in a burst"),
    limit("throttling.bps-read-max-length", "seconds of a burst"),
    limit("throttling.bps-write", "bytes written in a second, at most"),
    limit("throttling.bps-write-max", "the same in a burst"),
    limit("throttling.bps-write-max-length", "seconds of a burst"),
    limit("throttling.iops-total", "requests in all in a second, at most"),
    limit("throttling.iops-total-max", "the same in a burst"),
    limit("throttling.iops-total-max-length", "seconds of a burst"),
    limit("throttling.iops-read", "requests that read in a second, at most"),
    limit("throttling.iops-read-max", "the same in a burst"),
    limit("throttling.iops-read-max-length", "seconds of a burst"),
    limit("throttling.iops-write", "requests that write in a second, at most"),
    limit("throttling.iops-write-max", "the same in a burst"),
    limit("throttling.iops-write-max-length", "seconds of a burst"),
    limit(
        "throttling.iops-size",
        "bytes of a request, of which more count as several",
    ),
];

/// All drivers, by name.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "local",
        summary: "a folder of the host",
        options: LOCAL,
        driver: Driver::Local,
    },
    Kind {
        name: "synth",
        summary: "an empty folder that is made up; under -qtest with files for tests",
        options: &[READONLY],
        driver: Driver::Synth,
    },
    Kind {
        name: "proxy",
        summary: "not supported",
        options: &[],
        driver: Driver::Missing("QEMU has removed it as well; use 'local'"),
    },
];

/// A driver by its name.
///
/// # Errors
/// There is none; with the nearest there is.
pub fn find(name: &str) -> Result<&'static Kind, FsError> {
    let found = KINDS.iter().find(|k| k.name == name);
    found.ok_or_else(|| FsError::UnknownKind {
        family: FAMILY,
        kind: name.to_owned(),
        nearest: nearest(name, KINDS.iter().map(|k| k.name)),
    })
}

/// Reads options as the command line spells them. Later ones win. Defaults are filled in.
///
/// # Errors
/// Names the option that is wrong and what would be right.
pub fn parse<'t>(
    kind: &'static Kind,
    pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<Properties, FsError> {
    if let Driver::Missing(why) = kind.driver {
        return Err(FsError::KindMissing {
            family: FAMILY,
            kind: kind.name,
            why,
        });
    }
    let mut values = Properties::default();
    for (name, text) in pairs {
        let declared = kind.options.iter().find(|p| p.name == name);
        let declared = declared.ok_or_else(|| FsError::UnknownOption {
            kind: kind.name,
            option: name.to_owned(),
            nearest: nearest(name, kind.options.iter().map(|p| p.name)),
        })?;
        values.set(declared.name, value(declared, name, text)?);
    }
    values.apply_defaults(kind.options);
    Ok(values)
}

/// A number as C writes it: `0x` before hexadecimal, `0` before octal.
pub(crate) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

/// The text of `-fsdev help`.
pub fn help() -> String {
    let mut text = String::from("Available file system drivers:\n");
    for k in KINDS.iter().filter(|k| k.missing().is_none()) {
        text.push_str(&format!("  {:<10} {}\n", k.name, k.summary));
    }
    text
}

/// The text of `-fsdev DRIVER,help`.
pub fn kind_help(kind: &Kind) -> String {
    let mut text = format!("{} options:\n", kind.name);
    for p in kind.options {
        let default = p.default.map(|d| format!(" (default: {d})")).unwrap_or_default();
        text.push_str(&format!("  {}=<{}> - {}{default}\n", p.name, p.kind.name(), p.help));
    }
    text
}
