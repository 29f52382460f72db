//! Why a back end was not opened, so told that a command line can mark the wrong word.

use std::io;

/// Why a back end was not opened.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No kind has this name.
    #[error("'{kind}' is not a network back end{}", hint(.nearest))]
    UnknownKind {
        /// As written.
        kind: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// This kind is not here yet, or cannot be on this host.
    #[error("network back end '{kind}': {why}")]
    KindMissing {
        /// The kind.
        kind: &'static str,
        /// Why, and what may serve instead.
        why: &'static str,
    },
    /// The kind has no such option.
    #[error("'{kind}' has no option '{option}'{}", hint(.nearest))]
    UnknownOption {
        /// The kind.
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
        /// The kind.
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
    #[error("'{option}' is not supported yet{why}")]
    OptionMissing {
        /// The option.
        option: &'static str,
        /// What may serve instead; empty or starting with a separator.
        why: &'static str,
    },
    /// For a reason of its own, in whole words.
    #[error("{why}")]
    Refused {
        /// The option that asks for it, if one does.
        option: Option<&'static str>,
        /// Why.
        why: String,
    },
    /// A second back end of one id.
    #[error("there is a netdev '{0}' already")]
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

impl NetError {
    /// The option whose name or value is wrong, for marking it in the text that the user wrote. `type` stands for the kind.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::UnknownKind { .. } | Self::KindMissing { .. } => Some("type"),
            Self::UnknownOption { option, .. } | Self::BadValue { option, .. } => Some(option),
            Self::Conflict { option, .. } | Self::OptionMissing { option, .. } => Some(option),
            Self::DuplicateId(_) => Some("id"),
            Self::Missing { .. } => None,
            Self::Host { option, .. } | Self::Refused { option, .. } => *option,
        }
    }

    /// Whether the name of [`NetError::option`] is wrong, rather than its value.
    pub fn is_about_the_name(&self) -> bool {
        matches!(self, Self::UnknownOption { .. } | Self::OptionMissing { .. })
    }

    pub(crate) fn host(option: Option<&'static str>, what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Host {
            option,
            what: what.into(),
            source: source.into(),
        }
    }
}
