//! QEMU's `key=value,...` lists, and the JSON object that may stand in their place.
//!
//! A list parses to [`Props`]: entries in order, each with its key, its value as text, and the places of both. What a
//! value *means* (size, switch, name of something) is the business of whoever owns the key; [`value`] has the readers.
//! JSON is flattened to the same dotted keys, so that nobody behind this door sees which form the user chose.
//!
//! Syntax as in QEMU 10 (`util/keyval.c` and `util/qemu-option.c` there): `,,` is a comma, the first word may stand for
//! an implied key, a trailing comma is harmless, the last of several equal keys wins. Two dialects exist and differ only
//! in whether a bare word is a switch (`foo` = `foo=on`, `nofoo` = `foo=off`), see [`Grammar::switches`].

mod json;
mod parse;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod value;

use std::sync::Arc;

use crate::error::OptError;
use crate::location::{Located, Location, Source};
pub use parse::{is_json, split_words};

/// Which of QEMU's dialects an option speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grammar {
    /// The key that the first word stands for if it has no `=`.
    pub implied: Option<&'static str>,
    /// A bare word is a switch.
    pub switches: bool,
    /// A JSON object may stand in place of the list.
    pub json: bool,
}

impl Grammar {
    /// Lists with an implied first key and switches, as `-device` and `-chardev` take.
    pub const fn list(implied: &'static str) -> Self {
        Self {
            implied: Some(implied),
            switches: true,
            json: false,
        }
    }

    /// Lists without an implied key, as `-rtc` takes.
    pub const fn plain() -> Self {
        Self {
            implied: None,
            switches: true,
            json: false,
        }
    }

    /// Lists in which every word needs its `=`, as `-machine` and `-smp` take.
    pub const fn strict(implied: &'static str) -> Self {
        Self {
            implied: Some(implied),
            switches: false,
            json: false,
        }
    }

    /// The same, with JSON allowed.
    pub const fn or_json(mut self) -> Self {
        self.json = true;
        self
    }
}

/// How an entry was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `key=value`.
    Pair,
    /// The first word, without its key.
    Implied,
    /// `key`, meaning `key=on`.
    On,
    /// `nokey`, meaning `key=off`.
    Off,
    /// A JSON string.
    JsonString,
    /// A JSON number, kept as its digits.
    JsonNumber,
    /// `true` or `false`, kept as `on` or `off`.
    JsonBool,
    /// `null`, kept as the empty text.
    JsonNull,
}

/// One key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key, dotted where nested.
    pub key: String,
    /// The value, escapes undone.
    pub value: String,
    /// How it was written.
    pub form: Form,
    /// Where the key stands (for an implied key: the value).
    pub key_at: Location,
    /// Where the value stands (for a switch: the key).
    pub value_at: Location,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (&self.key, &self.value) == (&other.key, &other.value)
    }
}

impl Eq for Entry {}

impl Entry {
    /// The value and its place.
    pub fn located(&self) -> Located<String> {
        Located::new(self.value.clone(), self.value_at.clone())
    }

    /// The error that this value is not what the key takes; `expected` is read after "it takes".
    pub fn bad_value(&self, expected: impl Into<String>) -> OptError {
        OptError::bad_value(Some(&self.key), &self.value, expected, self.value_at.clone())
    }

    /// The error that `owner` has no such key.
    pub fn unknown_key<S: AsRef<str>>(&self, owner: &str, valid: impl IntoIterator<Item = S>) -> OptError {
        OptError::unknown_key(owner, &self.key, valid, self.key_at.clone())
    }

    /// The error that the value names nothing that exists; `what` is the kind of thing looked for.
    pub fn no_such<S: AsRef<str>>(&self, what: &str, valid: impl IntoIterator<Item = S>) -> OptError {
        OptError::no_such(what, &self.value, valid, self.value_at.clone())
    }

    /// Whether this entry sets `name`: its key, or the whole word of a switch that begins with "no" by itself.
    fn names(&self, name: &str) -> bool {
        self.key == name || (self.form == Form::Off && name.strip_prefix("no") == Some(&self.key))
    }

    /// The value as `name` reads it: `nodelay` alone switches `delay` off, and `nodelay` on.
    fn value_for(&self, name: &str) -> &str {
        if self.form == Form::Off && self.key != name {
            "on"
        } else {
            &self.value
        }
    }
}

/// A parsed list. Equal when keys and values are; places do not count.
#[derive(Debug, Clone)]
pub struct Props {
    source: Arc<Source>,
    entries: Vec<Entry>,
    help: Option<Location>,
}

impl PartialEq for Props {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Props {}

impl Props {
    /// Parses the argument in `source`.
    ///
    /// # Errors
    /// Where the text is not a list (or JSON object) of that grammar.
    pub fn parse(source: &Arc<Source>, grammar: Grammar) -> Result<Self, OptError> {
        parse::parse(source, grammar)
    }

    /// Parses a list that begins at byte `from` of the argument, as in `-serial unix:PATH,server=on`.
    ///
    /// # Errors
    /// As [`Props::parse`].
    pub fn parse_at(source: &Arc<Source>, from: usize, grammar: Grammar) -> Result<Self, OptError> {
        parse::parse_at(source, from, grammar)
    }

    /// A list with nothing in it, for an option that was not given; `option` names it in errors.
    pub fn empty(option: &str) -> Self {
        Self {
            source: Source::implied(option, ""),
            entries: Vec::new(),
            help: None,
        }
    }

    /// An empty list that says it was read from `source`, to be filled by whoever reads that in another way.
    pub fn at_source(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            entries: Vec::new(),
            help: None,
        }
    }

    /// A list made by the program from keys and values.
    pub fn implied<'a>(option: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let at = Location::implied(option);
        let mut props = Self::empty(option);
        for (key, value) in pairs {
            props.push(key, value, &at);
        }
        props
    }

    /// Adds an entry that the program, or a config file, put there.
    pub fn push(&mut self, key: &str, value: &str, at: &Location) {
        let (key_at, value_at) = (at.clone(), at.clone());
        self.entries.push(Entry {
            key: key.to_owned(),
            value: value.to_owned(),
            form: Form::Pair,
            key_at,
            value_at,
        });
    }

    /// Adds a finished entry.
    pub fn push_entry(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The text this list was read from (the first, when lists were merged).
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The place of the whole list: its option's name, to be marked when something is missing in it.
    pub fn at(&self) -> Location {
        Location::option(&self.source)
    }

    /// Where the user asked for help with a bare `help` or `?`.
    pub fn help_at(&self) -> Option<&Location> {
        self.help.as_ref()
    }

    /// All entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry that decides the value of `key`: the last one.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|e| e.names(key))
    }

    /// All entries of a key that may be repeated, such as `arg` of `-semihosting-config`.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |e| e.names(key))
    }

    /// The value of `key` as text.
    pub fn text(&self, key: &str) -> Option<Located<String>> {
        self.get(key)
            .map(|e| Located::new(e.value_for(key).to_owned(), e.value_at.clone()))
    }

    /// The value of `key` as a switch.
    ///
    /// # Errors
    /// When it is none of QEMU's words for on and off.
    pub fn switch(&self, key: &str) -> Result<Option<Located<bool>>, OptError> {
        self.read(key, value::EXPECT_BOOL, value::parse_bool)
    }

    /// The value of `key` as an unsigned number (decimal, `0x` hexadecimal, leading-zero octal).
    ///
    /// # Errors
    /// When it is not such a number.
    pub fn number(&self, key: &str) -> Result<Option<Located<u64>>, OptError> {
        self.read(key, value::EXPECT_NUMBER, value::parse_u64)
    }

    /// The value of `key` as a size in bytes, with QEMU's suffixes.
    ///
    /// # Errors
    /// When it is not a size.
    pub fn size(&self, key: &str) -> Result<Option<Located<u64>>, OptError> {
        self.read(key, value::EXPECT_SIZE, |text| {
            value::parse_size(text, value::Unit::Byte)
        })
    }

    /// The value of `key` as one of some words; gives its index in `words`.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn one_of(&self, key: &str, words: &[&str]) -> Result<Option<Located<usize>>, OptError> {
        let expected = crate::error::alternatives(words);
        self.read(key, &expected, |text| words.iter().position(|w| *w == text))
    }

    /// The value of `key` through `parse`, with `expected` for the error.
    ///
    /// # Errors
    /// When `parse` gives nothing.
    pub fn read<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<Located<T>>, OptError> {
        let Some(entry) = self.get(key) else { return Ok(None) };
        match parse(entry.value_for(key)) {
            Some(value) => Ok(Some(Located::new(value, entry.value_at.clone()))),
            None => Err(OptError::bad_value(
                Some(key),
                entry.value_for(key),
                expected,
                entry.value_at.clone(),
            )),
        }
    }

    /// The value of `key`, which must be there and not be empty.
    ///
    /// # Errors
    /// When it is missing; `owner` says whose it is.
    pub fn required(&self, owner: &str, key: &str) -> Result<Located<String>, OptError> {
        match self.text(key) {
            Some(text) if text.value.is_empty() => {
                Err(OptError::missing(owner, format!("a value for '{key}'"), text.at))
            }
            Some(text) => Ok(text),
            None => Err(OptError::missing(owner, format!("'{key}'"), self.at())),
        }
    }

    /// Refuses keys that are not among `valid`. A valid name `foo` admits `foo.x` as well when it ends in a dot.
    ///
    /// # Errors
    /// At the first key that is not.
    pub fn only(&self, owner: &str, valid: &[&str]) -> Result<(), OptError> {
        let admits = |e: &Entry, v: &str| {
            if v.ends_with('.') {
                e.key.starts_with(v)
            } else {
                e.names(v)
            }
        };
        match self.entries.iter().find(|e| !valid.iter().any(|v| admits(e, v))) {
            Some(stray) => {
                let names = valid.iter().map(|v| v.trim_end_matches('.'));
                Err(stray.unknown_key(owner, names))
            }
            None => Ok(()),
        }
    }

    /// This list without some keys.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Self {
        let entries = self
            .entries
            .iter()
            .filter(|e| !keys.contains(&e.key.as_str()))
            .cloned()
            .collect();
        Self {
            source: Arc::clone(&self.source),
            entries,
            help: self.help.clone(),
        }
    }

    /// This list followed by `later`, as repeated `-M` merge: later values win.
    #[must_use]
    pub fn merged(mut self, later: Self) -> Self {
        if self.entries.is_empty() && self.help.is_none() {
            return later;
        }
        for entry in later.entries {
            self.entries.retain(|e| e.key != entry.key);
            self.entries.push(entry);
        }
        self.help = self.help.or(later.help);
        self
    }

    /// Turns `_` into `-` in every key, as QEMU does for machine properties.
    #[must_use]
    pub fn dashed(mut self) -> Self {
        for entry in &mut self.entries {
            entry.key = entry.key.replace('_', "-");
        }
        self
    }

    /// The dotted keys as a tree.
    ///
    /// # Errors
    /// When keys contradict each other (`a=1,a.b=2`) or a list has a gap (`a.0`, `a.2`).
    pub fn tree(&self) -> Result<tree::Node, OptError> {
        tree::build(self)
    }

    /// The list in `key=value` form again, commas doubled.
    pub fn to_list(&self) -> String {
        let pair = |e: &Entry| format!("{}={}", e.key, e.value.replace(',', ",,"));
        self.entries.iter().map(pair).collect::<Vec<_>>().join(",")
    }
}
