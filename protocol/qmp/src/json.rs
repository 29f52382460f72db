//! JSON values out of a stream of bytes that may be cut anywhere.
//!
//! Accepted beyond RFC 8259, as by QEMU: strings in single quotes, and `\'` in strings. A message ends where its brackets close. After
//! garbage one error is reported and reading goes on at the next bracket, colon, comma or line end.

use serde_json::{Map, Number, Value};
use std::collections::VecDeque;

/// Most brackets that may be open at once.
pub const MAX_DEPTH: u32 = 1024;
/// Most bytes of all tokens of one message.
pub const MAX_MESSAGE: usize = 16 << 20;
/// Most tokens in one message.
pub const MAX_TOKENS: usize = 1 << 19;

/// How much of a stray text an error quotes.
const QUOTED: usize = 60;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open(Bracket),
    Close(Bracket),
    Colon,
    Comma,
    Number(Vec<u8>),
    Word(Vec<u8>),
    /// Between the quotes, escapes not undone.
    Text(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Curly,
    Square,
}

/// What the lexer is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// After garbage.
    Lost,
    Text {
        quote: u8,
        escaped: bool,
    },
    Word,
    Number(Part),
}

/// The part of a number that was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Part {
    fn then(self, b: u8) -> Option<Self> {
        Some(match (self, b) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Digits, b'0'..=b'9') => Self::Digits,
            (Self::Zero | Self::Digits, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Digits | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    /// Whether a number may end here when `b` follows.
    fn may_end(self, b: u8) -> bool {
        match self {
            Self::Zero => !b.is_ascii_digit(),
            Self::Digits | Self::Fraction | Self::ExponentDigits => true,
            Self::Minus | Self::Point | Self::Exponent | Self::ExponentSign => false,
        }
    }
}

/// Reads values out of a stream.
#[derive(Debug)]
pub struct Stream {
    at: At,
    token: Vec<u8>,
    tokens: Vec<Token>,
    size: usize,
    /// Open curly and square brackets. A surplus of closing ones ends the message, too.
    open: [i32; 2],
    ready: VecDeque<Result<Value, String>>,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            at: At::Start,
            token: Vec::new(),
            tokens: Vec::new(),
            size: 0,
            open: [0; 2],
            ready: VecDeque::new(),
        }
    }
}

impl Stream {
    /// Takes bytes in. What they complete comes out of [`Stream::next`].
    pub fn feed(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.byte(*b);
        }
    }

    /// The next value, or what was wrong where one should have been.
    #[allow(
        clippy::should_implement_trait,
        reason = "a queue that fills up again is no iterator"
    )]
    pub fn next(&mut self) -> Option<Result<Value, String>> {
        self.ready.pop_front()
    }

    /// How many values wait in [`Stream::next`].
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    fn byte(&mut self, b: u8) {
        // Each round either consumes the byte or leaves a state that cannot be left twice without consuming.
        while !self.step(b) {}
        if self.size + self.token.len() > MAX_MESSAGE {
            self.fail(format!("a message has more than {MAX_MESSAGE} bytes"));
            self.at = At::Lost;
        }
    }

    /// Whether the byte is consumed.
    fn step(&mut self, b: u8) -> bool {
        match self.at {
            At::Start => self.start(b),
            At::Lost => {
                let hold =
                    matches!(b, b'[' | b']' | b'{' | b'}' | b':' | b',' | 0xfe | 0xff) || (b < 0x20 && b != b'\t');
                if hold {
                    self.at = At::Start;
                }
                !hold
            }
            At::Text { quote, escaped } => self.text(b, quote, escaped),
            At::Word if b.is_ascii_lowercase() => {
                self.token.push(b);
                true
            }
            At::Word => {
                let word = std::mem::take(&mut self.token);
                self.push(Token::Word(word));
                false
            }
            At::Number(part) => self.number(b, part),
        }
    }

    fn start(&mut self, b: u8) -> bool {
        match b {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' => self.push(Token::Open(Bracket::Curly)),
            b'}' => self.push(Token::Close(Bracket::Curly)),
            b'[' => self.push(Token::Open(Bracket::Square)),
            b']' => self.push(Token::Close(Bracket::Square)),
            b':' => self.push(Token::Colon),
            b',' => self.push(Token::Comma),
            b'"' | b'\'' => {
                self.at = At::Text {
                    quote: b,
                    escaped: false,
                }
            }
            b'a'..=b'z' => self.begin(b, At::Word),
            b'-' => self.begin(b, At::Number(Part::Minus)),
            b'0' => self.begin(b, At::Number(Part::Zero)),
            b'1'..=b'9' => self.begin(b, At::Number(Part::Digits)),
            _ => self.stray(b),
        }
        true
    }

    fn begin(&mut self, b: u8, at: At) {
        self.token.push(b);
        self.at = at;
    }

    fn text(&mut self, b: u8, quote: u8, escaped: bool) -> bool {
        if !(0x20..=0xfd).contains(&b) {
            self.stray(b);
        } else if b == quote && !escaped {
            let text = std::mem::take(&mut self.token);
            self.push(Token::Text(text));
        } else {
            self.token.push(b);
            self.at = At::Text {
                quote,
                escaped: b == b'\\' && !escaped,
            };
        }
        true
    }

    fn number(&mut self, b: u8, part: Part) -> bool {
        match part.then(b) {
            Some(next) => {
                self.begin(b, At::Number(next));
                true
            }
            None if part.may_end(b) => {
                let digits = std::mem::take(&mut self.token);
                self.push(Token::Number(digits));
                false
            }
            None => {
                self.stray(b);
                true
            }
        }
    }

    fn stray(&mut self, b: u8) {
        self.token.push(b);
        let from = self.token.len().saturating_sub(QUOTED);
        let text = String::from_utf8_lossy(&self.token[from..]).into_owned();
        self.fail(format!("stray {text:?}"));
        self.at = At::Lost;
    }

    /// Gives up on the current message.
    fn fail(&mut self, why: String) {
        self.forget();
        self.ready.push_back(Err(format!("no JSON: {why}")));
    }

    fn forget(&mut self) {
        self.token = Vec::new();
        self.tokens = Vec::new();
        self.size = 0;
        self.open = [0; 2];
    }

    fn push(&mut self, token: Token) {
        self.at = At::Start;
        match &token {
            Token::Open(b) => self.open[*b as usize] += 1,
            Token::Close(b) => self.open[*b as usize] -= 1,
            Token::Number(t) | Token::Word(t) | Token::Text(t) => self.size += t.len(),
            Token::Colon | Token::Comma => {}
        }
        self.size += 1;
        if self.tokens.len() >= MAX_TOKENS {
            return self.fail(format!("a message has more than {MAX_TOKENS} words"));
        }
        if self.open.iter().sum::<i32>() > MAX_DEPTH as i32 {
            return self.fail(format!("more than {MAX_DEPTH} brackets are open"));
        }
        self.tokens.push(token);
        let whole = self.open == [0, 0] || self.open.iter().any(|n| *n < 0);
        if whole {
            let tokens = std::mem::take(&mut self.tokens);
            self.forget();
            let value = Parser(tokens.into_iter().peekable()).value();
            self.ready.push_back(value.map_err(|e| format!("no JSON: {e}")));
        }
    }
}

/// Turns the tokens of one message into a value. Its depth is bounded by [`MAX_DEPTH`].
struct Parser(std::iter::Peekable<std::vec::IntoIter<Token>>);

impl Parser {
    fn value(&mut self) -> Result<Value, String> {
        match self.0.next().ok_or("a value is missing")? {
            Token::Open(Bracket::Curly) => self.object(),
            Token::Open(Bracket::Square) => self.array(),
            Token::Text(t) => text(&t).map(Value::String),
            Token::Number(t) => number(&t),
            Token::Word(w) => match w.as_slice() {
                b"true" => Ok(Value::Bool(true)),
                b"false" => Ok(Value::Bool(false)),
                b"null" => Ok(Value::Null),
                w => Err(format!("the word '{}' has no meaning", String::from_utf8_lossy(w))),
            },
            Token::Close(_) | Token::Colon | Token::Comma => Err("a value is missing".into()),
        }
    }

    fn object(&mut self) -> Result<Value, String> {
        let mut map = Map::new();
        if self.0.next_if_eq(&Token::Close(Bracket::Curly)).is_some() {
            return Ok(Value::Object(map));
        }
        loop {
            let Some(Token::Text(key)) = self.0.next() else {
                return Err("the key of a member is no string".into());
            };
            let key = text(&key)?;
            if self.0.next() != Some(Token::Colon) {
                return Err(format!("no ':' after '{key}'"));
            }
            let value = self.value()?;
            if map.contains_key(&key) {
                return Err(format!("the member '{key}' stands there twice"));
            }
            map.insert(key, value);
            match self.0.next() {
                Some(Token::Comma) => {}
                Some(Token::Close(Bracket::Curly)) => return Ok(Value::Object(map)),
                _ => return Err("no ',' between the members of an object".into()),
            }
        }
    }

    fn array(&mut self) -> Result<Value, String> {
        let mut list = Vec::new();
        if self.0.next_if_eq(&Token::Close(Bracket::Square)).is_some() {
            return Ok(Value::Array(list));
        }
        loop {
            list.push(self.value()?);
            match self.0.next() {
                Some(Token::Comma) => {}
                Some(Token::Close(Bracket::Square)) => return Ok(Value::Array(list)),
                _ => return Err("no ',' between the elements of a list".into()),
            }
        }
    }
}

/// Whole numbers stay whole as far as 64 bits go; beyond, and with a fraction, they are floating point.
fn number(digits: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(digits);
    if let Ok(n) = text.parse::<i64>() {
        return Ok(n.into());
    }
    if let Ok(n) = text.parse::<u64>() {
        return Ok(n.into());
    }
    let float = text.parse().ok().and_then(Number::from_f64);
    float
        .map(Value::Number)
        .ok_or_else(|| format!("the number {text} is too large"))
}

fn text(raw: &[u8]) -> Result<String, String> {
    let raw = std::str::from_utf8(raw).map_err(|_| "a string is not UTF-8".to_owned())?;
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match rest.next() {
            Some(c @ ('"' | '\'' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => unicode(&mut rest)?,
            _ => return Err("a string has an escape without a meaning".into()),
        });
    }
    Ok(out)
}

/// The character of one or, for a surrogate pair, two `\u` escapes.
fn unicode(rest: &mut std::str::Chars<'_>) -> Result<char, String> {
    let first = hex4(rest)?;
    let code = if (0xd800..0xdc00).contains(&first) {
        let mut ahead = rest.clone();
        if (ahead.next(), ahead.next()) != (Some('\\'), Some('u')) {
            return Err(no_character(first));
        }
        let second = hex4(&mut ahead)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(no_character(first));
        }
        *rest = ahead;
        0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
    } else {
        first
    };
    char::from_u32(code).ok_or_else(|| no_character(code))
}

fn no_character(code: u32) -> String {
    format!("\\u{code:04x} is no character")
}

fn hex4(rest: &mut std::str::Chars<'_>) -> Result<u32, String> {
    let mut digits = (0..4).map(|_| rest.next().and_then(|c| c.to_digit(16)));
    digits
        .try_fold(0, |n, d| Some(n << 4 | d?))
        .ok_or_else(|| "\\u takes four hexadecimal digits".into())
}
