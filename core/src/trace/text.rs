//! Records as lines of text, and back: `[seconds.nanoseconds] EVENT SOURCE FIELD=VALUE …`.
//!
//! Values with spaces stand in double quotes with `\"` and `\\`. The form is stable: `trace2perfetto` reads it.

use std::fmt;
use std::io::Write;

use super::{Record, Sink, Value};
use crate::clock::VirtualTime;

/// A record as a line.
pub struct Line<'a>(pub &'a Record<'a>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.0;
        let (seconds, ns) = (r.at.0 / 1_000_000_000, r.at.0 % 1_000_000_000);
        write!(f, "[{seconds}.{ns:09}] {} {}", r.name, r.source)?;
        for (field, value) in r.fields.iter().zip(r.values) {
            write!(f, " {field}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Uint(v) => write!(f, "{v}"),
            Self::Hex(v) => write!(f, "{v:#x}"),
            Self::Int(v) => write!(f, "{v}"),
            Self::Flag(v) => write!(f, "{}", u8::from(v)),
            Self::Text(t) if t.is_empty() || t.contains([' ', '"', '\\', '\n']) => {
                let inner = t.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                write!(f, "\"{inner}\"")
            }
            Self::Text(t) => f.write_str(t),
        }
    }
}

/// Writes lines.
pub struct TextSink(pub Box<dyn Write + Send>);

impl Sink for TextSink {
    fn record(&mut self, record: &Record<'_>) {
        // A trace that cannot be written is not the guest's trouble.
        let _ = writeln!(self.0, "{}", Line(record));
    }
}

/// A line that was read back. Values are texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// When.
    pub at: VirtualTime,
    /// Name of the event.
    pub name: String,
    /// Who.
    pub source: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

impl Parsed {
    /// Reads a line; `None` if it is no line of a trace (logs may hold other lines between).
    pub fn read(line: &str) -> Option<Self> {
        let (time, rest) = line.trim_end().strip_prefix('[')?.split_once("] ")?;
        let (seconds, ns) = time.split_once('.').filter(|(_, ns)| ns.len() == 9)?;
        let seconds: u64 = seconds.parse().ok()?;
        let at = seconds.checked_mul(1_000_000_000)?.checked_add(ns.parse().ok()?)?;
        let mut words = Words(rest);
        let (name, source) = (words.next()?, words.next()?);
        let fields = words
            .map(|w| w.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect::<Option<_>>()?;
        Some(Self {
            at: VirtualTime(at),
            name,
            source,
            fields,
        })
    }
}

/// Words between spaces, quotes resolved.
struct Words<'a>(&'a str);

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut word = String::new();
        let mut quoted = false;
        let mut chars = self.0.char_indices();
        if self.0.is_empty() {
            return None;
        }
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => quoted = !quoted,
                '\\' if quoted => match chars.next() {
                    Some((_, 'n')) => word.push('\n'),
                    Some((_, c)) => word.push(c),
                    None => {}
                },
                ' ' if !quoted => {
                    self.0 = &self.0[i + 1..];
                    return Some(word);
                }
                c => word.push(c),
            }
        }
        self.0 = "";
        Some(word)
    }
}
