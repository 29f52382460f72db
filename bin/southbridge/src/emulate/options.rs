//! What is wrong with the options of a back end, marked at the word that is wrong.

use southbridge_backend_options::OptionError;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::keyval::Props;
use southbridge_cli::{Located, Location, OptError};

/// The words that describe a back end.
pub(crate) struct Words<'a> {
    /// What it is: `chardev back end`.
    pub(crate) what: &'static str,
    /// The word that names its kind.
    pub(crate) kind: &'a Located<String>,
    /// Where its id stands.
    pub(crate) id: &'a Location,
    /// The rest.
    pub(crate) props: &'a Props,
    /// The options of its kind.
    pub(crate) options: Vec<&'static str>,
}

/// The error at the word that caused it, in the words of its kind; `no_kind` where there is no such.
pub(crate) fn refused(
    words: &Words<'_>,
    error: &OptionError,
    no_kind: impl FnOnce(&str, Location) -> OptError,
) -> OptError {
    let owner = format!("{} '{}'", words.what, words.kind.value);
    let entry = error.option().and_then(|name| words.props.get(name));
    let refuse = |at: &Location| OptError::new(ErrorKind::Refused { why: error.to_string() }, at.clone());
    match (error, entry) {
        (OptionError::UnknownKind { kind, .. }, _) => no_kind(kind, words.kind.at.clone()),
        (OptionError::UnknownOption { .. }, Some(e)) => e.unknown_key(&owner, words.options.iter().copied()),
        (OptionError::BadValue { expected, .. }, Some(e)) => e.bad_value(expected),
        (
            OptionError::Missing {
                option: name, expected, ..
            },
            _,
        ) => OptError::missing(&owner, format!("'{name}'"), words.kind.at.clone())
            .with_help(format!("add {name}={expected}")),
        (OptionError::DuplicateId { .. }, _) => refuse(words.id),
        (_, Some(e)) if error.is_about_the_name() => refuse(&e.key_at),
        (_, Some(e)) => refuse(&e.value_at),
        (_, None) => refuse(&words.kind.at),
    }
}
