//! Why a back end was not opened.

use std::borrow::Cow;
use std::io;

use crate::hint;

/// How the back ends of a family are called.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// One kind of them: `chardev back end`.
    pub what: &'static str,
    /// One of them, with its article: `a chardev`.
    pub one: &'static str,
    /// The option that names the kind.
    pub key: &'static str,
}

/// Why a back end was not opened, so told that a command line can mark the wrong word.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// No kind has this name.
    #[error("'{kind}' is not a {}{}", .family.what, hint(*.nearest))]
    UnknownKind {
        /// Of what.
        family: &'static Family,
        /// As written.
        kind: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// This kind is not here yet, or cannot be on this host.
    #[error("{} '{kind}': {why}", .family.what)]
    KindMissing {
        /// Of what.
        family: &'static Family,
        /// The kind.
        kind: &'static str,
        /// Why, and what may serve instead.
        why: &'static str,
    },
    /// The kind has no such option.
    #[error("'{kind}' has no option '{option}'{}", hint(*.nearest))]
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
        option: Cow<'static, str>,
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
    #[error("there is {} '{id}' already", .family.one)]
    DuplicateId {
        /// Of what.
        family: &'static Family,
        /// The id.
        id: String,
    },
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

impl OptionError {
    /// The option whose name or value is wrong, for marking it in the text that the user wrote.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::UnknownKind { family, .. } | Self::KindMissing { family, .. } => Some(family.key),
            Self::UnknownOption { option, .. } | Self::BadValue { option, .. } => Some(option),
            Self::OptionMissing { option, .. } => Some(option),
            Self::Conflict { option, .. } => Some(option),
            Self::DuplicateId { .. } => Some("id"),
            Self::Missing { .. } => None,
            Self::Host { option, .. } | Self::Refused { option, .. } => *option,
        }
    }

    /// Whether the name of [`OptionError::option`] is wrong, rather than its value.
    pub fn is_about_the_name(&self) -> bool {
        matches!(self, Self::UnknownOption { .. } | Self::OptionMissing { .. })
    }

    /// That the host refused.
    pub fn host(option: Option<&'static str>, what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Host {
            option,
            what: what.into(),
            source: source.into(),
        }
    }
}
