//! The kinds of back ends: one file each, and the table from which parsing, help and errors derive.

use southbridge_backend_options::{fill, nearest, value};
use southbridge_core::{PropKind, PropValue, Properties, Property};

pub use self::table::{COMMON, KINDS};
use crate::error::{CharError, FAMILY};
use crate::link::{Link, LinkEvent};
use std::collections::VecDeque;

mod address;
pub(crate) mod file;
pub(crate) mod hub;
pub(crate) mod null;
pub(crate) mod pipe;
pub(crate) mod pty;
pub(crate) mod ringbuf;
pub(crate) mod serial;
pub(crate) mod socket;
pub(crate) mod stdio;
pub(crate) mod stream;
mod table;
pub(crate) mod udp;

/// What a kind's maker may use.
pub(crate) struct Make<'a> {
    pub(crate) options: &'a Properties,
    pub(crate) id: &'a str,
    pub(crate) inbox: &'a mut VecDeque<LinkEvent>,
}

type MakeFn = fn(&mut Make<'_>) -> Result<Box<dyn Link>, CharError>;

/// How a kind comes to be.
pub(crate) enum Maker {
    /// From its options alone.
    Link(MakeFn),
    /// From another back end, by [`crate::Chardevs`].
    Mux,
    /// From several others, likewise.
    Hub,
    /// Not here: why.
    Missing(&'static str),
}

/// A kind of back end.
pub struct Kind {
    /// Name on the command line.
    pub name: &'static str,
    /// Another name, kept for old command lines.
    pub alias: Option<&'static str>,
    /// One line for people.
    pub summary: &'static str,
    /// Its own options; those of [`COMMON`] come on top.
    pub options: &'static [Property],
    pub(crate) maker: Maker,
}

impl Kind {
    /// Why this kind cannot be opened here, if so.
    pub fn missing(&self) -> Option<&'static str> {
        match self.maker {
            Maker::Missing(why) => Some(why),
            _ => None,
        }
    }

    /// All options: its own, then the common ones.
    pub fn all_options(&self) -> impl Iterator<Item = &'static Property> {
        self.options.iter().chain(COMMON)
    }

    fn option(&self, name: &str) -> Option<&'static Property> {
        self.all_options().find(|p| p.name == name)
    }
}

/// A kind by its name or alias.
pub fn find(name: &str) -> Result<&'static Kind, CharError> {
    KINDS
        .iter()
        .find(|k| k.name == name || k.alias.is_some_and(|a| a == name))
        .ok_or_else(|| CharError::UnknownKind {
            family: FAMILY,
            kind: name.to_owned(),
            nearest: nearest(name, KINDS.iter().map(|k| k.name)),
        })
}

/// Reads options as the command line spells them; a word without a value counts as `on`. Later ones win. Defaults are filled in.
pub fn parse<'t>(
    kind: &'static Kind,
    pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<Properties, CharError> {
    let mut values = Properties::default();
    if let Maker::Missing(why) = kind.maker {
        return Err(CharError::KindMissing {
            family: FAMILY,
            kind: kind.name,
            why,
        });
    }
    for (name, text) in pairs {
        let (declared, text) = declared(kind, name, text)?;
        values.set(declared.name, value(declared, name, text)?);
    }
    fill(&mut values, kind.all_options());
    Ok(values)
}

/// The option that a word means: `nowait` is `wait=off`.
fn declared<'t>(kind: &'static Kind, name: &str, text: &'t str) -> Result<(&'static Property, &'t str), CharError> {
    if let Some(p) = kind.option(name) {
        return Ok((p, text));
    }
    if let Some(p) = name.strip_prefix("no").and_then(|n| kind.option(n))
        && p.kind == PropKind::Bool
        && text == "on"
    {
        return Ok((p, "off"));
    }
    Err(CharError::UnknownOption {
        kind: kind.name,
        option: name.to_owned(),
        nearest: nearest(name, kind.all_options().map(|p| p.name)),
    })
}

/// A text option that must be there.
pub(crate) fn required<'o>(
    options: &'o Properties,
    kind: &'static str,
    option: &'static str,
    expected: &'static str,
) -> Result<&'o str, CharError> {
    options
        .str(option)
        .filter(|s| !s.is_empty())
        .ok_or(CharError::Missing { kind, option, expected })
}

/// Whether an option was given or has a default.
pub(crate) fn given(options: &Properties, name: &str) -> bool {
    options.get(name).is_some()
}

/// The text of `-chardev help`.
pub fn help() -> String {
    let mut text = String::from("Available chardev backend types:\n");
    for k in KINDS.iter().filter(|k| k.missing().is_none()) {
        text.push_str(&format!("  {:<10} {}\n", k.name, k.summary));
    }
    text
}

/// The text of `-chardev KIND,help`.
pub fn kind_help(kind: &Kind) -> String {
    let mut text = format!("{} options:\n", kind.name);
    for p in kind.all_options() {
        let default = p.default.map(|d| format!(" (default: {d})")).unwrap_or_default();
        text.push_str(&format!("  {}=<{}> - {}{default}\n", p.name, p.kind.name(), p.help));
    }
    text
}

/// A bool that was said, apart from its default.
pub(crate) fn said_bool(options: &Properties, name: &str) -> Option<bool> {
    match options.get(name) {
        Some(PropValue::Bool(b)) => Some(*b),
        _ => None,
    }
}
