//! Where a word of the configuration stood: which argument or file line, and which bytes of it.
//!
//! Not a parser and not an error: the two meet here. A parsed value carries a [`Location`], so that whoever finds it
//! wrong, even much later, can show the user the very word.

use std::ops::Range;
use std::sync::Arc;

/// What kind of place a text came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The program's own arguments; the number is the index of the option in `argv` (the program's name is 0).
    Argument(usize),
    /// A line of a file: its name as the user wrote it, and the line's number counted from 1.
    File {
        /// Name as given by the user.
        path: String,
        /// Line number, from 1.
        line: usize,
    },
    /// Made by the program itself, e.g. the serial port that `-nographic` implies.
    Implied,
}

/// One text in which words are located.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where the text came from.
    pub origin: Origin,
    /// The option as the user wrote it (`-device`, `--device`); empty for a positional argument or a file's line.
    pub option: String,
    /// The option's argument, or the whole line of a file.
    pub text: String,
}

impl Source {
    /// A text that came from nowhere the user can see; `option` names what implied it.
    pub fn implied(option: &str, text: &str) -> Arc<Self> {
        Arc::new(Self {
            origin: Origin::Implied,
            option: option.to_owned(),
            text: text.to_owned(),
        })
    }

    /// Option and argument as one line, with the byte offset at which the argument begins in it.
    pub fn line(&self) -> (String, usize) {
        match (self.option.is_empty(), self.text.is_empty()) {
            (true, _) => (self.text.clone(), 0),
            (false, true) => (self.option.clone(), self.option.len()),
            (false, false) => (format!("{} {}", self.option, self.text), self.option.len() + 1),
        }
    }
}

/// A word: a source and a byte range of its text.
///
/// It may also stand for the name of the option itself ([`Location::option`]).
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    source: Arc<Source>,
    /// `None` marks the option's name.
    span: Option<Range<usize>>,
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} {:?} {:?}>", self.source.option, self.source.text, self.span)
    }
}

impl Location {
    /// The bytes `span` of the source's argument. A range outside the text is cut to it.
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let len = source.text.len();
        let start = span.start.min(len);
        Self {
            source: Arc::clone(source),
            span: Some(start..span.end.clamp(start, len)),
        }
    }

    /// The whole argument.
    pub fn argument(source: &Arc<Source>) -> Self {
        Self::new(source, 0..source.text.len())
    }

    /// The name of the option itself.
    pub fn option(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            span: None,
        }
    }

    /// A place made by the program: no word of the user's can be marked.
    pub fn implied(option: &str) -> Self {
        Self::option(&Source::implied(option, ""))
    }

    /// The text this word stands in.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The word itself.
    pub fn word(&self) -> &str {
        match &self.span {
            Some(span) => self.source.text.get(span.clone()).unwrap_or(""),
            None => &self.source.option,
        }
    }

    /// The byte range in the argument; `None` when the option's name is meant.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// The byte range in [`Source::line`].
    pub fn span_in_line(&self) -> Range<usize> {
        let (line, offset) = self.source.line();
        match &self.span {
            Some(span) => (span.start + offset).min(line.len())..(span.end + offset).min(line.len()),
            None => 0..self.source.option.len(),
        }
    }

    /// A part of this word, as byte range within the word.
    pub fn part(&self, inner: Range<usize>) -> Self {
        let Some(span) = &self.span else { return self.clone() };
        let start = (span.start + inner.start).min(span.end);
        Self {
            source: Arc::clone(&self.source),
            span: Some(start..(span.start + inner.end).clamp(start, span.end)),
        }
    }
}

/// A value together with the word it was read from.
///
/// Two located values are equal when their values are: where a thing was written does not change what it means.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// The word.
    pub at: Location,
}

impl<T> Located<T> {
    /// A value and its place.
    pub fn new(value: T, at: Location) -> Self {
        Self { value, at }
    }

    /// Another value from the same word.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: f(self.value),
            at: self.at,
        }
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

impl<T> std::ops::Deref for Located<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}
