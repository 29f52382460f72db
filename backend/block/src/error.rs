//! Why there is no such node, so told that a command line can mark the wrong word.

use southbridge_backend_options::hint;
use std::io;

/// Why a node was not made, removed or changed.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// No driver has this name.
    #[error("'{driver}' is not a block driver{}", hint(*.nearest))]
    UnknownDriver {
        /// As written.
        driver: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// The driver is QEMU's and not here yet.
    #[error("the block driver '{driver}' is not here yet; there is {}", here())]
    DriverMissing {
        /// The driver.
        driver: &'static str,
    },
    /// The driver has no such option.
    #[error("block driver '{driver}' has no option '{option}'{}", hint(*.nearest))]
    UnknownOption {
        /// The driver.
        driver: &'static str,
        /// As written.
        option: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// The value is not what the option takes.
    #[error("'{option}' cannot be '{value}'; it takes {expected}")]
    BadValue {
        /// The option.
        option: String,
        /// As written.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// An option that must be given was not.
    #[error("block driver '{driver}' needs '{option}'")]
    Missing {
        /// The driver, or the option that stands for it.
        driver: String,
        /// The option.
        option: String,
    },
    /// The option exists with QEMU and not yet here.
    #[error("'{option}' is not here yet: {why}")]
    OptionMissing {
        /// The option.
        option: String,
        /// What may serve instead.
        why: &'static str,
    },
    /// A second node or drive of one name.
    #[error("there is a block node or drive '{0}' already")]
    Duplicate(String),
    /// No node has this name.
    #[error("there is no block node or drive '{0}'")]
    NoNode(String),
    /// It is in use, so that it cannot go or be had.
    #[error("block node '{node}' {why}")]
    InUse {
        /// The node.
        node: String,
        /// By whom, and what that forbids.
        why: String,
    },
    /// Another process uses the image.
    #[error("another process uses '{path}': the lock for {right} cannot be had")]
    Locked {
        /// The image.
        path: String,
        /// Which right could not be had.
        right: &'static str,
    },
    /// The node can only be read.
    #[error("block node '{0}' can only be read")]
    ReadOnly(String),
    /// The host refused.
    #[error("{what}: {source}")]
    Host {
        /// The option that named it, if any.
        option: Option<String>,
        /// What was tried, with its name.
        what: String,
        /// What the host said.
        source: io::Error,
    },
}

fn here() -> String {
    let names: Vec<_> = crate::DRIVERS.iter().filter(|d| d.is_here()).map(|d| d.name).collect();
    names.join(", ")
}

impl BlockError {
    /// The option whose name or value is wrong, for marking it in the text that the user wrote.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::UnknownDriver { .. } | Self::DriverMissing { .. } => Some("driver"),
            Self::UnknownOption { option, .. } | Self::BadValue { option, .. } | Self::OptionMissing { option, .. } => {
                Some(option)
            }
            Self::Duplicate(_) => Some("node-name"),
            Self::Host { option, .. } => option.as_deref(),
            Self::Missing { .. } | Self::NoNode(_) | Self::InUse { .. } | Self::Locked { .. } | Self::ReadOnly(_) => {
                None
            }
        }
    }

    /// The same about options that stand behind a prefix.
    pub(crate) fn within(mut self, prefix: &str) -> Self {
        match &mut self {
            Self::UnknownOption { option, .. }
            | Self::BadValue { option, .. }
            | Self::OptionMissing { option, .. }
            | Self::Missing { option, .. }
            | Self::Host {
                option: Some(option), ..
            } => option.insert_str(0, prefix),
            _ => {}
        }
        self
    }

    /// Whether the name of [`BlockError::option`] is wrong, rather than its value.
    pub fn is_about_the_name(&self) -> bool {
        matches!(self, Self::UnknownOption { .. })
    }
}
