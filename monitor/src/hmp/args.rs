//! The words of a line, by the arguments that the table gives its command.

use super::expr;
use super::table::{Arg, Command, Kind};

/// `/8xb`: how many, how shown, how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) count: u64,
    /// One of `oduxic`.
    pub(super) style: Option<char>,
    /// Bytes.
    pub(super) width: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Flag,
    Text(String),
    Format(Format),
    Number(u64),
    Switch(bool),
}

/// What was given, argument by argument.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Values(Vec<Option<Value>>);

impl Values {
    fn get(&self, i: usize) -> Option<&Value> {
        self.0.get(i)?.as_ref()
    }

    pub(super) fn flag(&self, i: usize) -> bool {
        self.get(i).is_some()
    }

    pub(super) fn text(&self, i: usize) -> Option<&str> {
        match self.get(i) {
            Some(Value::Text(t)) => Some(t),
            _ => None,
        }
    }

    /// A word that must be there.
    pub(super) fn word(&self, i: usize) -> String {
        self.text(i).unwrap_or_default().to_owned()
    }

    pub(super) fn number(&self, i: usize) -> Option<u64> {
        match self.get(i) {
            Some(Value::Number(n)) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn switch(&self, i: usize) -> bool {
        matches!(self.get(i), Some(Value::Switch(true)))
    }

    pub(super) fn format(&self, i: usize) -> Option<Format> {
        match self.get(i) {
            Some(Value::Format(f)) => Some(*f),
            _ => None,
        }
    }
}

/// Reads a command's arguments.
pub(super) fn parse(command: &Command, text: &str, registers: expr::Registers<'_>) -> Result<Values, String> {
    let mut rest = text.trim_start();
    let mut values = Vec::new();
    for arg in command.args {
        let (value, left) = one(arg, rest, registers)?;
        if value.is_none() && !arg.optional {
            return Err(format!("'{}' is missing", arg.name));
        }
        values.push(value);
        rest = left.trim_start();
    }
    match rest {
        "" => Ok(Values(values)),
        more => Err(format!("'{more}' is too much")),
    }
}

fn one<'t>(arg: &Arg, text: &'t str, registers: expr::Registers<'_>) -> Result<(Option<Value>, &'t str), String> {
    if let Kind::Flag(letter) = arg.kind {
        let mut chars = text.chars();
        let is =
            chars.next() == Some('-') && chars.next() == Some(letter) && chars.next().is_none_or(char::is_whitespace);
        return Ok(if is {
            (Some(Value::Flag), &text[2..])
        } else {
            (None, text)
        });
    }
    if text.is_empty() {
        return Ok((None, text));
    }
    match arg.kind {
        Kind::Flag(_) => Ok((None, text)),
        Kind::Format => match text.strip_prefix('/') {
            Some(format) => read_format(format).map(|(f, rest)| (Some(Value::Format(f)), rest)),
            None => Ok((None, text)),
        },
        Kind::Rest(_) if text.starts_with('"') => word(text).map(|(w, rest)| (Some(Value::Text(w)), rest)),
        Kind::Rest(_) => Ok((Some(Value::Text(text.trim_end().to_owned())), "")),
        Kind::Number => expr::evaluate(text, registers).map(|(n, rest)| (Some(Value::Number(n)), rest)),
        Kind::Word(_) => word(text).map(|(w, rest)| (Some(Value::Text(w)), rest)),
        Kind::Switch => match word(text)? {
            (w, rest) if w == "on" => Ok((Some(Value::Switch(true)), rest)),
            (w, rest) if w == "off" => Ok((Some(Value::Switch(false)), rest)),
            (w, _) => Err(format!("'{w}' is neither 'on' nor 'off'")),
        },
    }
}

/// One word. In quotes it may have spaces, and `\n`, `\r`, `\\`, `\'`, `\"`.
fn word(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &quoted[i + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, c @ ('\\' | '\'' | '"'))) => out.push(c),
                Some((_, c)) => return Err(format!("'\\{c}' has no meaning")),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("the text in quotes has no end".into())
}

fn read_format(text: &str) -> Result<(Format, &str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut format = Format {
        count: 1,
        style: None,
        width: None,
    };
    if digits > 0 {
        format.count = text[..digits]
            .parse()
            .map_err(|_| format!("{} is too many", &text[..digits]))?;
    }
    for (i, c) in text.char_indices().skip(digits) {
        match c {
            'o' | 'd' | 'u' | 'x' | 'i' | 'c' => format.style = Some(c),
            'b' => format.width = Some(1),
            'h' => format.width = Some(2),
            'w' => format.width = Some(4),
            'g' | 'L' => format.width = Some(8),
            c if c.is_whitespace() => return Ok((format, &text[i..])),
            c => {
                return Err(format!(
                    "'{c}' is no format: there are o, d, u, x, i, c and the widths b, h, w, g"
                ));
            }
        }
    }
    Ok((format, ""))
}
