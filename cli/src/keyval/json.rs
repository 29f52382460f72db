//! JSON with places: a small reader that flattens an object to dotted keys and remembers where each word stood.
//!
//! Not a general JSON library: serde_json gives no spans, and an error here must mark the word. As QEMU's reader does,
//! it takes strings in single quotes too. Nesting is limited, so that no argument can exhaust the stack.

use std::ops::Range;
use std::sync::Arc;

use super::{Entry, Form};
use crate::error::{ErrorKind, OptError};
use crate::location::{Location, Source};

const MAX_DEPTH: usize = 64;

pub(super) fn flatten(source: &Arc<Source>, range: Range<usize>) -> Result<Vec<Entry>, OptError> {
    let mut reader = Reader {
        source,
        at: range.start,
        end: range.end,
        out: Vec::new(),
    };
    reader.object("", 0)?;
    reader.blanks();
    if reader.at < reader.end {
        return Err(reader.error("text after the end of the JSON object", reader.at..reader.end));
    }
    Ok(reader.out)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    at: usize,
    end: usize,
    out: Vec<Entry>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.source.text[self.at..self.end]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn error(&self, why: &str, range: Range<usize>) -> OptError {
        OptError::new(
            ErrorKind::Syntax { why: why.to_owned() },
            Location::new(self.source, range),
        )
    }

    /// The character at hand is wrong; `wanted` is what should stand there.
    fn unexpected(&self, wanted: &str) -> OptError {
        match self.peek() {
            Some(c) => {
                let why = format!("JSON needs {wanted} instead of '{c}'");
                self.error(&why, self.at..self.at + c.len_utf8())
            }
            None => self.error(
                &format!("the JSON text ends where {wanted} should follow"),
                self.at..self.end,
            ),
        }
    }

    fn take(&mut self, c: char) -> bool {
        self.blanks();
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn object(&mut self, path: &str, depth: usize) -> Result<(), OptError> {
        if !self.take('{') {
            return Err(self.unexpected("'{'"));
        }
        if self.take('}') {
            return Ok(());
        }
        loop {
            self.blanks();
            let (key, key_at) = self.string("a key in quotes")?;
            if key.is_empty() {
                return Err(self.error("a key is missing", key_at));
            }
            if !self.take(':') {
                return Err(self.unexpected("':'"));
            }
            self.value(&join(path, &key), key_at, depth + 1)?;
            if self.take('}') {
                return Ok(());
            }
            if !self.take(',') {
                return Err(self.unexpected("',' or '}'"));
            }
        }
    }

    fn array(&mut self, path: &str, key_at: Range<usize>, depth: usize) -> Result<(), OptError> {
        self.at += 1;
        if self.take(']') {
            return Ok(());
        }
        for index in 0usize.. {
            self.value(&join(path, &index.to_string()), key_at.clone(), depth + 1)?;
            if self.take(']') {
                break;
            }
            if !self.take(',') {
                return Err(self.unexpected("',' or ']'"));
            }
        }
        Ok(())
    }

    fn value(&mut self, path: &str, key_at: Range<usize>, depth: usize) -> Result<(), OptError> {
        self.blanks();
        if depth > MAX_DEPTH {
            return Err(self.error("the JSON text is nested too deeply", self.at..self.at + 1));
        }
        match self.peek() {
            Some('{') => self.object(path, depth),
            Some('[') => self.array(path, key_at, depth),
            Some('"' | '\'') => {
                let (text, at) = self.string("a value")?;
                self.push(path, text, Form::JsonString, key_at, at);
                Ok(())
            }
            _ => self.bare(path, key_at),
        }
    }

    fn push(&mut self, path: &str, value: String, form: Form, key: Range<usize>, at: Range<usize>) {
        let (key_at, value_at) = (Location::new(self.source, key), Location::new(self.source, at));
        self.out.push(Entry {
            key: path.to_owned(),
            value,
            form,
            key_at,
            value_at,
        });
    }

    /// `true`, `false`, `null` or a number.
    fn bare(&mut self, path: &str, key_at: Range<usize>) -> Result<(), OptError> {
        let len = self
            .rest()
            .find([',', '}', ']', ' ', '\t', '\n', '\r', ':'])
            .unwrap_or(self.rest().len());
        let word = self.rest()[..len].to_owned();
        let range = self.at..self.at + len;
        let (value, form) = match word.as_str() {
            "true" => ("on".to_owned(), Form::JsonBool),
            "false" => ("off".to_owned(), Form::JsonBool),
            "null" => (String::new(), Form::JsonNull),
            "" => return Err(self.unexpected("a value")),
            number if is_number(number) => (word, Form::JsonNumber),
            _ => {
                return Err(self
                    .error(&format!("'{word}' is not a JSON value"), range)
                    .with_help("text needs quotes"));
            }
        };
        self.at += len;
        self.push(path, value, form, key_at, range);
        Ok(())
    }

    /// A string and the range of its inside.
    fn string(&mut self, wanted: &str) -> Result<(String, Range<usize>), OptError> {
        let quote = match self.peek() {
            Some(c @ ('"' | '\'')) => c,
            _ => return Err(self.unexpected(wanted)),
        };
        let open = self.at;
        self.at += 1;
        let mut out = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok((out, open + 1..self.at - 1)),
                '\\' => out.push(self.escape()?),
                c => out.push(c),
            }
        }
        Err(self.error("a JSON string is not closed", open..self.end))
    }

    fn escape(&mut self) -> Result<char, OptError> {
        let begin = self.at - 1;
        let c = self.peek();
        self.at += c.map_or(0, char::len_utf8);
        let plain = match c {
            Some(c @ ('"' | '\'' | '\\' | '/')) => Some(c),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => self.unicode(),
            _ => None,
        };
        plain.ok_or_else(|| self.error("not an escape that JSON knows", begin..self.at))
    }

    /// `XXXX` after `\u`, with a second half for characters beyond 16 bits.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).filter(|c| *c != '\0');
        }
        self.at += self.rest().strip_prefix("\\u").map(|_| 2)?;
        let second = self.hex4().filter(|s| (0xdc00..0xe000).contains(s))?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        let value = digits
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then(|| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        value.flatten()
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit()) && word.parse::<f64>().is_ok_and(f64::is_finite)
}
