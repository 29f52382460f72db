//! The line editor: keys in, echo and lines out. It knows no channel and no command.

use std::collections::VecDeque;

/// Longest line, in characters; what is typed beyond it is ignored.
const MOST_CHARS: usize = 4095;
/// Lines remembered.
const MOST_LINES: usize = 64;

/// What a key led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing but echo.
    Nothing,
    /// A line is finished.
    Line(String),
    /// Completion is wanted of what stands before the cursor.
    Complete(String),
}

/// Where in an escape sequence the keys are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// After ESC `[`, with the parameter so far.
    Csi(u16),
    /// After ESC `O`.
    Ss3,
}

/// The state of a line.
#[derive(Debug, Default)]
pub(super) struct Editor {
    line: Vec<char>,
    cursor: usize,
    history: VecDeque<String>,
    /// Line of the history that is shown, and what was typed before.
    shown: Option<(usize, String)>,
    escape: Escape,
    /// Bytes of a character that is not complete.
    partial: Vec<u8>,
    /// The last byte was CR: LF after it is no second line.
    after_cr: bool,
    echo: String,
}

impl Editor {
    /// What the terminal is to be sent.
    pub(super) fn take_echo(&mut self) -> String {
        std::mem::take(&mut self.echo)
    }

    /// Lines typed before, oldest first.
    pub(super) fn history(&mut self) -> &[String] {
        self.history.make_contiguous()
    }

    /// The line so far, and how far the cursor is from its end: to show it again after a prompt.
    pub(super) fn redraw(&mut self) {
        let text: String = self.line.iter().collect();
        self.echo += &text;
        self.left(self.line.len() - self.cursor);
    }

    /// One byte from the terminal.
    pub(super) fn key(&mut self, byte: u8) -> Key {
        let after_cr = std::mem::take(&mut self.after_cr);
        match std::mem::take(&mut self.escape) {
            Escape::None => {}
            Escape::Begun => {
                self.begun(byte);
                return Key::Nothing;
            }
            Escape::Csi(n) => {
                self.csi(byte, n);
                return Key::Nothing;
            }
            Escape::Ss3 => {
                self.csi(byte, 0);
                return Key::Nothing;
            }
        }
        match byte {
            b'\n' if after_cr => {}
            b'\r' | b'\n' => {
                self.after_cr = byte == b'\r';
                return self.finish();
            }
            b'\t' => return Key::Complete(self.line[..self.cursor].iter().collect()),
            1 => self.go(0),
            2 => self.go(self.cursor.saturating_sub(1)),
            // Ctrl-C and Ctrl-D on an empty line end nothing: it is the machine's console.
            3 => self.replace(""),
            4 => self.delete(),
            5 => self.go(self.line.len()),
            6 => self.go(self.cursor + 1),
            8 | 127 => self.backspace(1),
            11 => self.cut(self.cursor, self.line.len()),
            12 => {
                self.echo += "\x1b[H\x1b[2J";
                self.echo += super::console::PROMPT;
                self.redraw();
            }
            14 => self.browse(false),
            16 => self.browse(true),
            21 => self.backspace(self.cursor),
            23 => self.backspace(self.word_before()),
            27 => self.escape = Escape::Begun,
            b' '..=126 => self.insert(char::from(byte)),
            128.. => self.part(byte),
            _ => {}
        }
        Key::Nothing
    }

    /// Puts text in at the cursor.
    pub(super) fn type_text(&mut self, text: &str) {
        text.chars().filter(|c| !c.is_control()).for_each(|c| self.insert(c));
    }

    fn finish(&mut self) -> Key {
        let text: String = self.line.drain(..).collect();
        self.cursor = 0;
        self.shown = None;
        self.echo += "\r\n";
        if !text.trim().is_empty() {
            self.history.retain(|old| *old != text);
            self.history.push_back(text.clone());
            if self.history.len() > MOST_LINES {
                self.history.pop_front();
            }
        }
        Key::Line(text)
    }

    fn begun(&mut self, byte: u8) {
        match byte {
            b'[' => self.escape = Escape::Csi(0),
            b'O' => self.escape = Escape::Ss3,
            b'b' => self.go(self.cursor - self.word_before()),
            b'f' => self.go(self.cursor + self.word_after()),
            b'd' => self.cut(self.cursor, self.cursor + self.word_after()),
            _ => {}
        }
    }

    fn csi(&mut self, byte: u8, n: u16) {
        match (byte, n) {
            (b'0'..=b'9', _) => self.escape = Escape::Csi(n.saturating_mul(10).saturating_add((byte - b'0').into())),
            // Further parameters are of keys with modifiers; the last one counts.
            (b';', _) => self.escape = Escape::Csi(0),
            (b'A', _) => self.browse(true),
            (b'B', _) => self.browse(false),
            (b'C', _) => self.go(self.cursor + 1),
            (b'D', _) => self.go(self.cursor.saturating_sub(1)),
            (b'H', _) | (b'~', 1 | 7) => self.go(0),
            (b'F', _) | (b'~', 4 | 8) => self.go(self.line.len()),
            (b'~', 3) => self.delete(),
            _ => {}
        }
    }

    /// A byte of a character beyond ASCII. What is no UTF-8 is dropped.
    fn part(&mut self, byte: u8) {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                let c = text.chars().next();
                self.partial.clear();
                c.into_iter().for_each(|c| self.insert(c));
            }
            Err(e) if e.error_len().is_some() || self.partial.len() >= 4 => self.partial.clear(),
            Err(_) => {}
        }
    }

    fn insert(&mut self, c: char) {
        if self.line.len() >= MOST_CHARS {
            return;
        }
        self.line.insert(self.cursor, c);
        self.cursor += 1;
        self.echo.push(c);
        if self.cursor < self.line.len() {
            self.tail("");
        }
    }

    /// Shows again what is behind the cursor.
    fn tail(&mut self, erase: &str) {
        self.echo.extend(&self.line[self.cursor..]);
        self.echo += erase;
        self.left(self.line.len() - self.cursor);
    }

    fn left(&mut self, n: usize) {
        if n > 0 {
            self.echo += &format!("\x1b[{n}D");
        }
    }

    fn go(&mut self, to: usize) {
        let to = to.min(self.line.len());
        if to > self.cursor {
            self.echo += &format!("\x1b[{}C", to - self.cursor);
        } else {
            self.left(self.cursor - to);
        }
        self.cursor = to;
    }

    fn backspace(&mut self, n: usize) {
        let n = n.min(self.cursor);
        self.go(self.cursor - n);
        self.cut(self.cursor, self.cursor + n);
    }

    fn delete(&mut self) {
        self.cut(self.cursor, self.cursor + 1);
    }

    /// Takes a stretch from the cursor on out.
    fn cut(&mut self, from: usize, to: usize) {
        let to = to.min(self.line.len());
        if from < to {
            self.line.drain(from..to);
            self.tail("\x1b[K");
        }
    }

    fn word_before(&self) -> usize {
        let before = &self.line[..self.cursor];
        let spaces = before.iter().rev().take_while(|c| c.is_whitespace()).count();
        let word = before.iter().rev().skip(spaces).take_while(|c| !c.is_whitespace());
        spaces + word.count()
    }

    fn word_after(&self) -> usize {
        let after = &self.line[self.cursor..];
        let spaces = after.iter().take_while(|c| c.is_whitespace()).count();
        spaces + after.iter().skip(spaces).take_while(|c| !c.is_whitespace()).count()
    }

    fn browse(&mut self, back: bool) {
        let at = self.shown.as_ref().map_or(self.history.len(), |(at, _)| *at);
        let to = if back { at.checked_sub(1) } else { Some(at + 1) };
        let Some(to) = to.filter(|to| *to <= self.history.len() && *to != at) else {
            return;
        };
        let typed = match self.shown.take() {
            Some((_, typed)) => typed,
            None => self.line.iter().collect(),
        };
        match self.history.get(to).cloned() {
            Some(text) => {
                self.replace(&text);
                self.shown = Some((to, typed));
            }
            None => self.replace(&typed),
        }
    }

    fn replace(&mut self, text: &str) {
        self.go(0);
        self.line = text.chars().collect();
        self.cursor = self.line.len();
        self.echo += text;
        self.echo += "\x1b[K";
    }
}
