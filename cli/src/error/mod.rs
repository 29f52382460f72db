//! The one shape of an error about the configuration: what kind, which word, and what would be right.
//!
//! Wording lives here and nowhere else: a parser or the machine layer names the *kind* and the facts (valid names, live
//! buses), and the sentence follows. [`render`] puts it on one line for scripts or marks the word for people.

pub mod render;
#[cfg(test)]
mod tests;

use crate::location::Location;
pub use render::Style;

/// What is wrong. One wording per kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// No option of that name, here or in QEMU.
    UnknownOption {
        /// The word as given, with its dashes.
        option: String,
        /// The nearest option that exists, with one dash.
        nearest: Option<String>,
    },
    /// QEMU has it and this program does not have it yet.
    NotYet {
        /// The thing, e.g. `-hda` or `-display gtk`.
        what: String,
    },
    /// The option stands at the end of the line without its argument.
    MissingArgument {
        /// The option, with one dash.
        option: String,
        /// The shape of the argument, e.g. `DRIVER[,PROP=VALUE]...`.
        shape: String,
    },
    /// `-option=value`, which QEMU's syntax does not have.
    EqualsForm {
        /// The option, with one dash.
        option: String,
        /// The text after `=`.
        value: String,
        /// Whether the option takes an argument at all.
        takes_argument: bool,
    },
    /// A key that its owner does not take.
    UnknownKey {
        /// Whose key: `-icount`, `device 'pl011'`.
        owner: String,
        /// The key.
        key: String,
        /// The keys that exist.
        valid: Vec<String>,
    },
    /// A value that its key does not take.
    BadValue {
        /// The key; `None` where the option has only one value.
        key: Option<String>,
        /// The value.
        value: String,
        /// What it takes, to be read after "it takes": `on or off`, `a number from 0 to 10`.
        expected: String,
    },
    /// A key without a value, or a value that must be there and is not.
    MissingValue {
        /// Whose key.
        owner: String,
        /// What is missing, e.g. `'id'` or `a value for 'path'`.
        what: String,
    },
    /// Two things with one id.
    DuplicateId {
        /// What they are: `chardev`, `device`, `object`.
        what: String,
        /// Their id.
        id: String,
    },
    /// A name that refers to nothing.
    NoSuch {
        /// What was looked for: `device type`, `machine`, `chardev`, `bus`.
        what: String,
        /// The name.
        name: String,
        /// What exists.
        valid: Vec<String>,
    },
    /// Two settings that exclude each other.
    Conflict {
        /// The one at the marked place.
        this: String,
        /// The other.
        other: String,
    },
    /// The text does not follow the syntax.
    Syntax {
        /// What was met, e.g. `a quote is not closed`.
        why: String,
    },
    /// The host refused a file, socket or the like.
    Io {
        /// What was tried: `open`, `read`.
        action: String,
        /// On what.
        path: String,
        /// The host's words.
        error: String,
    },
    /// Anything else that someone refuses for a reason of its own.
    Refused {
        /// The reason, a whole clause.
        why: String,
    },
}

/// Valid names are listed in the help line up to this many; beyond, only the nearest is offered.
const LIST_LIMIT: usize = 16;

impl ErrorKind {
    /// The sentence, without a full stop.
    pub fn message(&self) -> String {
        match self {
            Self::UnknownOption { option, .. } => format!("no option '{option}'"),
            Self::NotYet { what } => format!("QEMU has {what}; this program does not have it yet"),
            Self::MissingArgument { option, .. } => format!("{option} needs an argument"),
            Self::EqualsForm {
                option,
                takes_argument: true,
                ..
            } => format!("{option} takes its argument after a space"),
            Self::EqualsForm {
                option,
                takes_argument: false,
                ..
            } => format!("{option} takes no argument"),
            Self::UnknownKey { owner, key, .. } => format!("{owner} takes no '{key}'"),
            Self::BadValue {
                key: Some(key), value, ..
            } => format!("'{key}' cannot be '{value}'"),
            Self::BadValue { key: None, value, .. } => format!("the value cannot be '{value}'"),
            Self::MissingValue { owner, what } => format!("{owner} needs {what}"),
            Self::DuplicateId { what, id } => format!("a second {what} with the id '{id}'"),
            Self::NoSuch { what, name, .. } => format!("no {what} '{name}'"),
            Self::Conflict { this, other } => format!("{this} excludes {other}"),
            Self::Syntax { why } | Self::Refused { why } => why.clone(),
            Self::Io { action, path, error } => format!("cannot {action} '{path}': {error}"),
        }
    }

    /// What would be right, as far as the kind itself knows.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownOption { nearest, .. } => nearest.as_ref().map(|n| format!("did you mean '{n}'?")),
            Self::MissingArgument { option, shape } => Some(format!("write {option} {shape}")),
            Self::EqualsForm {
                option,
                value,
                takes_argument: true,
            } => Some(format!("write {option} {value}")),
            Self::EqualsForm {
                option,
                takes_argument: false,
                ..
            } => Some(format!("write {option} alone")),
            Self::UnknownKey { key, valid, .. } => names_help(key, valid, "it takes"),
            Self::NoSuch { name, valid, .. } => names_help(name, valid, "there is"),
            Self::BadValue { expected, .. } => Some(format!("it takes {expected}")),
            _ => None,
        }
    }
}

/// "did you mean" when one name is near, else the list when it is short.
fn names_help(name: &str, valid: &[String], verb: &str) -> Option<String> {
    if let Some(near) = nearest(name, valid.iter().map(String::as_str)) {
        return Some(format!("did you mean '{near}'?"));
    }
    (!valid.is_empty() && valid.len() <= LIST_LIMIT).then(|| format!("{verb} {}", listed(valid)))
}

/// `a, b, c`.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// `a, b or c`, for the expectation of a [`ErrorKind::BadValue`].
pub fn alternatives<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [init @ .., last] => format!("{} or {}", listed(init), last.as_ref()),
    }
}

/// The candidate that a person most probably meant by `name`, if one is near enough.
///
/// Case and the choice between `-` and `_` count for nothing: QEMU itself is not of one mind about them.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let plain = |s: &str| s.to_lowercase().replace('_', "-");
    let wanted = plain(name);
    let limit = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&wanted, &plain(c)), c))
        .filter(|(distance, c)| *distance <= limit && *distance < c.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c.to_owned())
}

/// An error about the configuration.
///
/// Boxed inside, so that a `Result` with it stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    at: Option<Location>,
    also: Option<(Location, String)>,
    help: Vec<String>,
}

impl OptError {
    /// An error at a word.
    pub fn new(kind: ErrorKind, at: Location) -> Self {
        Self(Box::new(Inner {
            kind,
            at: Some(at),
            also: None,
            help: Vec::new(),
        }))
    }

    /// An error that no word of the user's caused, e.g. a machine that was not named at all.
    pub fn nowhere(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            at: None,
            also: None,
            help: Vec::new(),
        }))
    }

    /// Adds a sentence to the help line, after what the kind itself says.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help.push(help.into());
        self
    }

    /// Points at a second word as well, e.g. the first use of an id; `note` is one short clause.
    #[must_use]
    pub fn with_also(mut self, at: Location, note: impl Into<String>) -> Self {
        self.0.also = Some((at, note.into()));
        self
    }

    /// Gives the error a place if it has none.
    #[must_use]
    pub fn or_at(mut self, at: Location) -> Self {
        self.0.at.get_or_insert(at);
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The wrong word.
    pub fn at(&self) -> Option<&Location> {
        self.0.at.as_ref()
    }

    /// The second word, with its note.
    pub fn also(&self) -> Option<(&Location, &str)> {
        self.0.also.as_ref().map(|(at, note)| (at, note.as_str()))
    }

    /// The sentence, without place and help.
    pub fn message(&self) -> String {
        self.0.kind.message()
    }

    /// What would be right, in one line.
    pub fn help(&self) -> Option<String> {
        let parts: Vec<String> = self
            .0
            .kind
            .help()
            .into_iter()
            .chain(self.0.help.iter().cloned())
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The text for the user: one line, or several with the word marked, as `style` says. Ends without a newline.
    pub fn render(&self, style: &Style) -> String {
        render::render(self, style)
    }
}

impl std::fmt::Display for OptError {
    /// The one-line form without the program's name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&render::one_line(self))
    }
}

impl std::error::Error for OptError {}

/// Shorthands for the kinds that parsers meet most.
impl OptError {
    /// A value that its key does not take; `expected` is read after "it takes".
    pub fn bad_value(key: Option<&str>, value: &str, expected: impl Into<String>, at: Location) -> Self {
        let kind = ErrorKind::BadValue {
            key: key.map(str::to_owned),
            value: value.to_owned(),
            expected: expected.into(),
        };
        Self::new(kind, at)
    }

    /// A name that refers to nothing among `valid`.
    pub fn no_such<S: AsRef<str>>(what: &str, name: &str, valid: impl IntoIterator<Item = S>, at: Location) -> Self {
        let valid = valid.into_iter().map(|s| s.as_ref().to_owned()).collect();
        Self::new(
            ErrorKind::NoSuch {
                what: what.to_owned(),
                name: name.to_owned(),
                valid,
            },
            at,
        )
    }

    /// A key that `owner` does not take.
    pub fn unknown_key<S: AsRef<str>>(
        owner: &str,
        key: &str,
        valid: impl IntoIterator<Item = S>,
        at: Location,
    ) -> Self {
        let valid = valid.into_iter().map(|s| s.as_ref().to_owned()).collect();
        Self::new(
            ErrorKind::UnknownKey {
                owner: owner.to_owned(),
                key: key.to_owned(),
                valid,
            },
            at,
        )
    }

    /// A thing of QEMU's that is not here yet.
    pub fn not_yet(what: impl Into<String>, at: Location) -> Self {
        Self::new(ErrorKind::NotYet { what: what.into() }, at)
    }

    /// Something that must be given and is not.
    pub fn missing(owner: &str, what: impl Into<String>, at: Location) -> Self {
        Self::new(
            ErrorKind::MissingValue {
                owner: owner.to_owned(),
                what: what.into(),
            },
            at,
        )
    }

    /// Two settings that exclude each other; the place is that of `this`.
    pub fn conflict(this: impl Into<String>, other: impl Into<String>, at: Location) -> Self {
        Self::new(
            ErrorKind::Conflict {
                this: this.into(),
                other: other.into(),
            },
            at,
        )
    }

    /// Two of `what` with one id.
    pub fn duplicate_id(what: &str, id: &str, at: Location, first: Location) -> Self {
        let kind = ErrorKind::DuplicateId {
            what: what.to_owned(),
            id: id.to_owned(),
        };
        Self::new(kind, at).with_also(first, "first used here")
    }
}
