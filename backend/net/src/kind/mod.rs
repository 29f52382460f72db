//! The kinds of back ends: one file each, and the table from which parsing, help and errors derive.

use southbridge_backend_options::{fill, nearest, value};
use southbridge_core::{PropValue, Properties, Property};

pub use self::table::KINDS;
use crate::error::{FAMILY, NetError};
use crate::link::Link;

mod address;
mod connection;
mod dgram;
mod framing;
pub(crate) mod hubport;
mod l2tpv3;
mod passt;
mod socket;
mod stream;
mod table;
mod tap;
pub(crate) mod user;
mod vde;
pub(crate) mod vhost_user;

/// The options of one back end, as they were given and with defaults.
#[derive(Debug, Clone, Default)]
pub struct Options {
    values: Properties,
    /// All values of options that may stand several times, in order.
    several: Vec<(&'static str, String)>,
}

impl Options {
    pub(crate) fn str(&self, name: &str) -> Option<&str> {
        self.values.str(name)
    }

    pub(crate) fn bool(&self, name: &str) -> bool {
        self.values.bool(name)
    }

    pub(crate) fn uint(&self, name: &str) -> Option<u64> {
        self.values.opt_uint(name)
    }

    /// A bool that was said, apart from its default.
    pub(crate) fn said_bool(&self, name: &str) -> Option<bool> {
        match self.values.get(name) {
            Some(PropValue::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    /// All values of an option that may stand several times.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.several
            .iter()
            .filter(move |(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
    }

    pub(crate) fn given(&self, name: &str) -> bool {
        self.values.get(name).is_some()
    }

    /// A text option that must be there.
    pub(crate) fn required(
        &self,
        kind: &'static str,
        option: &'static str,
        expected: &'static str,
    ) -> Result<&str, NetError> {
        let text = self.str(option).filter(|s| !s.is_empty());
        text.ok_or(NetError::Missing { kind, option, expected })
    }
}

/// What a kind's maker may use.
pub(crate) struct Make<'a> {
    pub(crate) options: &'a Options,
}

type MakeFn = fn(&mut Make<'_>) -> Result<Box<dyn Link>, NetError>;

/// How a kind comes to be.
pub(crate) enum Maker {
    /// From its options alone.
    Link(MakeFn),
    /// With its hub, by [`crate::Netdevs`].
    HubPort,
    /// With channels, likewise.
    User,
    /// With its one channel, likewise.
    VhostUser,
    /// Not here: why.
    Missing(&'static str),
}

/// A kind of back end.
pub struct Kind {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Its options.
    pub options: &'static [Property],
    pub(crate) maker: Maker,
    /// Options that may stand several times, each time adding one more.
    pub(crate) several: &'static [&'static str],
}

impl Kind {
    /// Why this kind cannot be opened here, if so.
    pub fn missing(&self) -> Option<&'static str> {
        match self.maker {
            Maker::Missing(why) => Some(why),
            _ => None,
        }
    }

    fn option(&self, name: &str) -> Option<&'static Property> {
        self.options.iter().find(|p| p.name == name)
    }
}

/// A kind by its name.
///
/// # Errors
/// When there is none; with the nearest name.
pub fn find(name: &str) -> Result<&'static Kind, NetError> {
    KINDS
        .iter()
        .find(|k| k.name == name)
        .ok_or_else(|| NetError::UnknownKind {
            family: FAMILY,
            kind: name.to_owned(),
            nearest: nearest(name, KINDS.iter().map(|k| k.name)),
        })
}

/// Reads options as the command line spells them (without `id` and `type`); a word without a value counts as `on`. Later ones win, but
/// for those that add one more each time. Defaults are filled in.
///
/// # Errors
/// Names the option that is wrong and what would be right.
pub fn parse<'t>(
    kind: &'static Kind,
    pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<Options, NetError> {
    let mut options = Options::default();
    if let Maker::Missing(why) = kind.maker {
        return Err(NetError::KindMissing {
            family: FAMILY,
            kind: kind.name,
            why,
        });
    }
    for (name, text) in pairs {
        let declared =
            kind.option(name)
                .or_else(|| kind.option(plain(name)))
                .ok_or_else(|| NetError::UnknownOption {
                    kind: kind.name,
                    option: name.to_owned(),
                    nearest: nearest(name, kind.options.iter().map(|p| p.name)),
                })?;
        let value = value(declared, name, text)?;
        if kind.several.contains(&declared.name) {
            options.several.push((declared.name, text.to_owned()));
        }
        options.values.set(declared.name, value);
    }
    fill(&mut options.values, kind.options.iter());
    Ok(options)
}

/// `hostfwd.0.str` and `dns.1` are how the monitor writes lists; both are the option of that name.
fn plain(name: &str) -> &str {
    let name = name.strip_suffix(".str").unwrap_or(name);
    match name.rsplit_once('.') {
        Some((list, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => list,
        _ => name,
    }
}

/// The text of `-netdev help`.
pub fn help() -> String {
    let mut text = String::from("Available netdev backend types:\n");
    for k in KINDS.iter().filter(|k| k.missing().is_none()) {
        text.push_str(&format!("  {:<10} {}\n", k.name, k.summary));
    }
    text
}

/// The text of `-netdev KIND,help`.
pub fn kind_help(kind: &Kind) -> String {
    let mut text = format!("{} options:\n", kind.name);
    for p in kind.options {
        let default = p.default.map(|d| format!(" (default: {d})")).unwrap_or_default();
        let again = if kind.several.contains(&p.name) {
            "; may stand several times"
        } else {
            ""
        };
        text.push_str(&format!(
            "  {}=<{}> - {}{again}{default}\n",
            p.name,
            p.kind.name(),
            p.help
        ));
    }
    text
}
