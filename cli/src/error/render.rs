//! Puts an error into words on a terminal (several lines, the word marked) or for a script (one line).
//!
//! Whatever the user gave is shown with control characters escaped: an argument must not be able to drive the
//! terminal, nor to break the one line into two.

use std::io::IsTerminal;
use std::ops::Range;

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, sources};

use super::OptError;
use crate::location::{Location, Origin};

/// How errors are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// The program's name, before the first colon.
    pub program: String,
    /// Several lines with the wrong word marked, instead of one line.
    pub multiline: bool,
    /// Colours; only with `multiline`.
    pub color: bool,
}

impl Style {
    /// One line, as scripts expect it.
    pub fn one_line(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            multiline: false,
            color: false,
        }
    }

    /// What suits this process's stderr: marked text on a terminal, colours unless `NO_COLOR` is set and not empty.
    pub fn for_stderr(program: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self {
            program: program.to_owned(),
            multiline: terminal,
            color: terminal && !no_color,
        }
    }
}

pub(super) fn render(error: &OptError, style: &Style) -> String {
    match error.at() {
        Some(at) if style.multiline && !at.source().line().0.is_empty() => {
            format!("{}: {}", style.program, marked(error, at, style.color))
        }
        _ => format!("{}: {}", style.program, one_line(error)),
    }
}

/// `-device pl01: no device type 'pl01'; did you mean 'pl011'?`
pub(super) fn one_line(error: &OptError) -> String {
    let mut out = String::new();
    if let Some(at) = error.at() {
        let place = place(at);
        if !place.is_empty() {
            out.push_str(&place);
            out.push_str(": ");
        }
    }
    out.push_str(&escape(&error.message()).0);
    if let Some((at, note)) = error.also() {
        out.push_str(&format!(" ({note}: {})", place(at)));
    }
    if let Some(help) = error.help() {
        out.push_str("; ");
        out.push_str(&escape(&help).0);
    }
    out
}

/// The place as one would say it: the option with its argument, or file, line and text.
fn place(at: &Location) -> String {
    let source = at.source();
    let line = escape(&source.line().0).0;
    match &source.origin {
        Origin::File { path, line: 0 } => escape(path).0,
        Origin::File { path, line: number } => format!("{}:{number}: {}", escape(path).0, line.trim()),
        Origin::Argument(_) | Origin::Implied => line,
    }
}

fn source_name(at: &Location) -> String {
    match &at.source().origin {
        Origin::Argument(index) => format!("command line, argument {index}"),
        Origin::File { path, line } => format!("{}, line {line}", escape(path).0),
        Origin::Implied => "implied".to_owned(),
    }
}

fn marked(error: &OptError, at: &Location, color: bool) -> String {
    let (text, span) = escaped_line(at);
    let mut texts = vec![(source_name(at), text)];
    let config = Config::default()
        .with_color(color)
        .with_index_type(IndexType::Byte)
        .with_char_set(CharSet::Unicode);
    let mut report = Report::build(ReportKind::Error, (source_name(at), span.clone()))
        .with_config(config)
        .with_message(escape(&error.message()).0)
        .with_label(
            Label::new((source_name(at), span))
                .with_message("here")
                .with_color(Color::Red),
        );
    if let Some((also, note)) = error.also() {
        let (text, span) = escaped_line(also);
        if texts.iter().all(|(name, _)| *name != source_name(also)) {
            texts.push((source_name(also), text));
        }
        report = report.with_label(
            Label::new((source_name(also), span))
                .with_message(note)
                .with_color(Color::Blue),
        );
    }
    if let Some(help) = error.help() {
        report = report.with_help(escape(&help).0);
    }
    let mut out = Vec::new();
    match report.finish().write(sources(texts), &mut out) {
        Ok(()) => String::from_utf8_lossy(&out)
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n"),
        // Writing to memory does not fail; should it, the plain line still says everything.
        Err(_) => one_line(error),
    }
}

fn escaped_line(at: &Location) -> (String, Range<usize>) {
    let (line, map) = escape(&at.source().line().0);
    let span = at.span_in_line();
    let find = |byte: usize| {
        map.iter()
            .find(|(old, _)| *old >= byte)
            .map_or(line.len(), |(_, new)| *new)
    };
    let range = find(span.start)..find(span.end);
    (line, range)
}

/// Control characters made visible; with it, for each character, its byte offset before and after.
fn escape(text: &str) -> (String, Vec<(usize, usize)>) {
    let mut out = String::with_capacity(text.len());
    let mut map = Vec::with_capacity(text.len());
    for (offset, c) in text.char_indices() {
        map.push((offset, out.len()));
        // Direction overrides would let a text show itself as another.
        if c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    (out, map)
}
