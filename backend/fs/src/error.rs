//! Why a shared folder was not made, so told that a command line can mark the wrong word.

use std::io;

/// Why a shared folder was not made.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// No driver has this name.
    #[error("'{kind}' is not a file system driver{}", hint(.nearest))]
    UnknownKind {
        /// As written.
        kind: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// This driver is not here.
    #[error("file system driver '{kind}': {why}")]
    KindMissing {
        /// The driver.
        kind: &'static str,
        /// Why, and what may serve instead.
        why: &'static str,
    },
    /// The driver has no such option.
    #[error("'{kind}' has no option '{option}'{}", hint(.nearest))]
    UnknownOption {
        /// The driver.
        kind: &'static str,
        /// As written.
        option: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// The value is not what the option takes.
    #[error("{option}={value}: expected {expected}")]
    BadValue {
        /// The option.
        option: String,
        /// As written.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// An option that must be given was not.
    #[error("'{kind}' needs '{option}={expected}'")]
    Missing {
        /// The driver.
        kind: &'static str,
        /// The option.
        option: &'static str,
        /// What it wants.
        expected: &'static str,
    },
    /// The option does not go with the others.
    #[error("'{option}' {why}")]
    Conflict {
        /// The option.
        option: &'static str,
        /// Which other, and what to do.
        why: String,
    },
    /// The option exists with QEMU and not yet here.
    #[error("'{option}' is not supported yet: shared folders are not throttled")]
    OptionMissing {
        /// The option.
        option: String,
    },
    /// A second folder of one id.
    #[error("there is an fsdev '{0}' already")]
    DuplicateId(String),
    /// The host refused.
    #[error("{what}: {source}")]
    Host {
        /// The option that named it, if any.
        option: Option<&'static str>,
        /// What was tried, with its name.
        what: String,
        /// What the host said.
        source: io::Error,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|n| format!(", did you mean '{n}'?")).unwrap_or_default()
}

impl FsError {
    /// The option whose name or value is wrong, for marking it in the text that the user wrote. `fsdriver` stands for the driver.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::UnknownKind { .. } | Self::KindMissing { .. } => Some("fsdriver"),
            Self::UnknownOption { option, .. } | Self::BadValue { option, .. } | Self::OptionMissing { option } => {
                Some(option)
            }
            Self::Conflict { option, .. } => Some(option),
            Self::DuplicateId(_) => Some("id"),
            Self::Missing { .. } => None,
            Self::Host { option, .. } => *option,
        }
    }

    /// Whether the name of [`FsError::option`] is wrong, rather than its value.
    pub fn is_about_the_name(&self) -> bool {
        matches!(self, Self::UnknownOption { .. } | Self::OptionMissing { .. })
    }
}
