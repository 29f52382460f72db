//! Properties of device types: declared once, parsed, defaulted, listed and documented from the declaration.

use std::collections::BTreeMap;

use crate::host::BackendId;

/// What a property takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropKind {
    /// `on` or `off`.
    Bool,
    /// `on`, `off` or `auto`.
    OnOffAuto,
    /// An unsigned number of at most this many bits.
    Uint(u8),
    /// A number of bytes, with a suffix.
    Size,
    /// Any text.
    Str,
    /// One of a few words.
    Enum(&'static [&'static str]),
    /// The id of a back end of the named kind (`chardev`, `memdev`, `netdev`, `drive`).
    Backend(&'static str),
    /// A list or an object, of the type that is named, whose parts come by keys of their own: `name.0.part`.
    Nested(&'static str),
}

impl PropKind {
    /// The type's name as `-device foo,help` prints it.
    pub fn name(&self) -> String {
        match self {
            Self::Bool => "bool".into(),
            Self::OnOffAuto => "OnOffAuto".into(),
            Self::Uint(bits) => format!("uint{bits}"),
            Self::Size => "size".into(),
            Self::Str => "str".into(),
            Self::Enum(_) => "enum".into(),
            Self::Backend("chardev") => "str (ID of a chardev to use as a backend)".into(),
            Self::Backend("rng") => "link<rng-backend>".into(),
            Self::Backend("memdev") => "link<memory-backend>".into(),
            Self::Nested(name) => (*name).into(),
            Self::Backend(kind) => format!("str (ID of a {kind} to use as a backend)"),
        }
    }

    /// What it takes, to be read behind "it takes" or "expected".
    pub fn takes(&self) -> String {
        match self {
            Self::Bool => "on or off".into(),
            Self::OnOffAuto => "on, off or auto".into(),
            Self::Uint(64..) => "a number".into(),
            Self::Uint(bits) => format!("a number from 0 to {}", (1u64 << bits) - 1),
            Self::Size => "a size in bytes, such as 64K or 4M".into(),
            Self::Str => "a text".into(),
            Self::Enum([one]) => (*one).to_owned(),
            Self::Enum([all @ .., last]) => format!("{} or {last}", all.join(", ")),
            Self::Enum([]) => "nothing".into(),
            Self::Backend(kind) => format!("the id of a {kind}"),
            Self::Nested(_) => "a list, in the JSON form of the whole option".into(),
        }
    }
}

/// One property of a device type.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Name on the command line.
    pub name: &'static str,
    /// What it takes.
    pub kind: PropKind,
    /// Default, spelled as on the command line; `None` if it has none.
    pub default: Option<&'static str>,
    /// One line for people.
    pub help: &'static str,
}

/// A parsed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropValue {
    /// Of `Bool`.
    Bool(bool),
    /// Of `OnOffAuto`; `None` is `auto`.
    OnOffAuto(Option<bool>),
    /// Of `Uint` and `Size`.
    Uint(u64),
    /// Of `Str` and `Enum`.
    Str(String),
    /// Of `Backend`: the id as written and what it names.
    Backend(String, BackendId),
    /// Of `Nested`: the parts, by what stands behind the property's name and a dot.
    Nested(Vec<(String, String)>),
}

/// A device's property values: what the user said, over the defaults of the type.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    values: BTreeMap<String, PropValue>,
}

impl Properties {
    /// Sets a value (replacing an earlier one).
    pub fn set(&mut self, name: &str, value: PropValue) {
        self.values.insert(name.to_owned(), value);
    }

    /// The same, for chains in boards and tests.
    #[must_use]
    pub fn with(mut self, name: &str, value: PropValue) -> Self {
        self.set(name, value);
        self
    }

    /// A value, if set or defaulted.
    pub fn get(&self, name: &str) -> Option<&PropValue> {
        self.values.get(name)
    }

    /// A `Bool`, false if absent.
    pub fn bool(&self, name: &str) -> bool {
        matches!(
            self.values.get(name),
            Some(PropValue::Bool(true) | PropValue::OnOffAuto(Some(true)))
        )
    }

    /// A `Uint` or `Size`, 0 if absent.
    pub fn uint(&self, name: &str) -> u64 {
        self.opt_uint(name).unwrap_or(0)
    }

    /// A `Uint` or `Size`.
    pub fn opt_uint(&self, name: &str) -> Option<u64> {
        match self.values.get(name) {
            Some(PropValue::Uint(n)) => Some(*n),
            _ => None,
        }
    }

    /// A `Str` or `Enum`.
    pub fn str(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(PropValue::Str(s)) => Some(s),
            _ => None,
        }
    }

    /// The parts of a `Nested`, in the order in which they were given; none if absent.
    pub fn nested(&self, name: &str) -> &[(String, String)] {
        match self.values.get(name) {
            Some(PropValue::Nested(parts)) => parts,
            _ => &[],
        }
    }

    /// Adds a part to a `Nested`.
    pub fn add_part(&mut self, name: &str, part: &str, value: &str) {
        let all = self.values.entry(name.to_owned());
        if let PropValue::Nested(parts) = all.or_insert_with(|| PropValue::Nested(Vec::new())) {
            parts.push((part.to_owned(), value.to_owned()));
        }
    }

    /// The back end that a `Backend` property names.
    pub fn backend(&self, name: &str) -> Option<BackendId> {
        match self.values.get(name) {
            Some(PropValue::Backend(_, id)) => Some(*id),
            _ => None,
        }
    }

    /// All values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PropValue)> {
        self.values.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// Fills in the defaults that `declared` gives for values not set. A default that does not parse is a fault of the type's author;
    /// the type's own test (`registry::check`) finds it.
    pub fn apply_defaults(&mut self, declared: &[Property]) {
        for p in declared {
            if let (false, Some(text)) = (self.values.contains_key(p.name), p.default)
                && let Some(v) = parse_value(p.kind, text)
            {
                self.values.insert(p.name.to_owned(), v);
            }
        }
    }
}

/// Parses a value as the command line spells it. Back ends need a table of ids, and what is nested comes in parts, so `Backend` and
/// `Nested` give `None` here.
pub fn parse_value(kind: PropKind, text: &str) -> Option<PropValue> {
    match kind {
        PropKind::Bool => parse_bool(text).map(PropValue::Bool),
        PropKind::OnOffAuto if text == "auto" => Some(PropValue::OnOffAuto(None)),
        PropKind::OnOffAuto => parse_bool(text).map(|b| PropValue::OnOffAuto(Some(b))),
        PropKind::Uint(bits) => {
            let n = parse_uint(text)?;
            (bits >= 64 || n >> bits == 0).then_some(PropValue::Uint(n))
        }
        PropKind::Size => parse_size(text).map(PropValue::Uint),
        PropKind::Str => Some(PropValue::Str(text.to_owned())),
        PropKind::Enum(words) => words.contains(&text).then(|| PropValue::Str(text.to_owned())),
        PropKind::Backend(_) | PropKind::Nested(_) => None,
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    }
}

fn parse_uint(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A number of bytes: digits (or `0x…`) and an optional suffix of 1024: `B K M G T P E`.
pub fn parse_size(text: &str) -> Option<u64> {
    if let Some(n) = parse_uint(text) {
        return Some(n);
    }
    let (digits, suffix) = text.split_at(text.len().checked_sub(1).filter(|i| text.is_char_boundary(*i))?);
    let shift = match suffix.to_ascii_uppercase().as_str() {
        "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        "E" => 60,
        _ => return None,
    };
    if let Some(n) = parse_uint(digits) {
        return n.checked_mul(1 << shift);
    }
    let fraction: f64 = digits.parse().ok().filter(|f: &f64| f.is_finite() && *f >= 0.0)?;
    let bytes = fraction * (1u64 << shift) as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4M"), Some(4 << 20));
        assert_eq!(parse_size("0x1000"), Some(4096));
        assert_eq!(parse_size("1.5k"), Some(1536));
        assert_eq!(parse_size("16E"), None);
        assert_eq!(parse_size(""), None);
        assert_eq!(parse_size("M"), None);
        assert_eq!(parse_size("4Mé"), None);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(parse_value(PropKind::Uint(8), "256"), None);
        assert_eq!(parse_value(PropKind::Uint(8), "255"), Some(PropValue::Uint(255)));
        assert_eq!(
            parse_value(PropKind::Uint(64), "0xffffffffffffffff"),
            Some(PropValue::Uint(u64::MAX))
        );
    }
}
