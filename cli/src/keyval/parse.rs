//! From the text of a list to its entries. No meaning of keys here.

use std::ops::Range;
use std::sync::Arc;

use super::{Entry, Form, Grammar, Props, json};
use crate::error::{ErrorKind, OptError};
use crate::location::{Location, Source};

/// Whether an argument is JSON: it begins with a brace, perhaps inside single quotes that a shell did not remove.
pub fn is_json(text: &str) -> bool {
    unquoted(text).is_some()
}

/// The range of the JSON text, without quotes around it.
fn unquoted(text: &str) -> Option<Range<usize>> {
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    let range = start..start + trimmed.len();
    if trimmed.starts_with('{') {
        return Some(range);
    }
    let inner = trimmed.strip_prefix('\'')?.strip_suffix('\'')?;
    inner
        .trim_start()
        .starts_with('{')
        .then(|| range.start + 1..range.end - 1)
}

pub(super) fn parse(source: &Arc<Source>, grammar: Grammar) -> Result<Props, OptError> {
    let mut props = Props::at_source(source);
    match unquoted(&source.text) {
        Some(range) if grammar.json => props.entries = json::flatten(source, range)?,
        Some(_) => {
            let why = "JSON cannot stand here".to_owned();
            let error = OptError::new(ErrorKind::Syntax { why }, Location::argument(source));
            return Err(error.with_help("write key=value,..."));
        }
        None => return parse_at(source, 0, grammar),
    }
    Ok(props)
}

/// A list (no JSON) that begins at byte `from` of the text.
pub(super) fn parse_at(source: &Arc<Source>, from: usize, grammar: Grammar) -> Result<Props, OptError> {
    let mut props = Props::at_source(source);
    let mut first = grammar.implied;
    for word in split_words(source.text.get(from..).unwrap_or_default()) {
        one_word(&mut props, word.start + from..word.end + from, first.take(), grammar)?;
    }
    Ok(props)
}

/// The words of a list as byte ranges: split at single commas, `,,` kept inside. A trailing comma adds no word.
pub fn split_words(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b',' {
            at += 1;
        } else if bytes.get(at + 1) == Some(&b',') {
            at += 2;
        } else {
            words.push(start..at);
            at += 1;
            start = at;
        }
    }
    if start < bytes.len() {
        words.push(start..bytes.len());
    }
    words
}

fn one_word(props: &mut Props, word: Range<usize>, implied: Option<&str>, grammar: Grammar) -> Result<(), OptError> {
    let source = Arc::clone(&props.source);
    let text = &source.text[word.clone()];
    let at = Location::new(&source, word.clone());
    // A comma before the first `=` can only belong to an implied value ("a,,b=c" is one word here).
    let key_end = text.find(['=', ',']).filter(|end| text[*end..].starts_with('='));
    let entry = match key_end {
        Some(end) => {
            let value_at = at.part(end + 1..text.len());
            Entry {
                key: checked_key(&text[..end], at.part(0..end))?,
                value: unescape(&text[end + 1..]),
                form: Form::Pair,
                key_at: at.part(0..end),
                value_at,
            }
        }
        None => {
            if is_help(text) {
                props.help.get_or_insert(at.clone());
                if implied.is_none() {
                    return Ok(());
                }
            }
            bare_word(text, at, implied, grammar)?
        }
    };
    props.entries.push(entry);
    Ok(())
}

fn is_help(text: &str) -> bool {
    text == "help" || text == "?"
}

fn bare_word(text: &str, at: Location, implied: Option<&str>, grammar: Grammar) -> Result<Entry, OptError> {
    let entry = |key: &str, value: &str, form| Entry {
        key: key.to_owned(),
        value: value.to_owned(),
        form,
        key_at: at.clone(),
        value_at: at.clone(),
    };
    if let Some(key) = implied {
        return Ok(entry(key, &unescape(text), Form::Implied));
    }
    let text = &checked_key(text, at.clone())?;
    if !grammar.switches {
        let option = at.source().option.clone();
        let owner = if option.is_empty() { "the list" } else { &option };
        let error = OptError::missing(owner, format!("a value for '{text}'"), at.clone());
        return Err(error.with_help(format!("write {text}=VALUE, or {text}=on for a switch")));
    }
    Ok(match text.strip_prefix("no").filter(|rest| !rest.is_empty()) {
        Some(rest) => entry(rest, "off", Form::Off),
        None => entry(text, "on", Form::On),
    })
}

/// Keys are free text in QEMU (`pl011[0]`, `x-irq-qompath`), but not empty and without commas.
fn checked_key(key: &str, at: Location) -> Result<String, OptError> {
    let why = match key {
        "" => "a key is missing",
        _ if key.contains(',') => "a key cannot contain a comma",
        _ => return Ok(key.to_owned()),
    };
    let error = OptError::new(ErrorKind::Syntax { why: why.to_owned() }, at);
    Err(error.with_help("write key=value,...; a comma inside a value is written twice"))
}

fn unescape(text: &str) -> String {
    text.replace(",,", ",")
}
