//! The menu behind the escape character (`Ctrl-a`), with which several front ends share one back end.
//!
//! Pure: bytes in, what to do out. Keys and texts are those that people know from `-serial mon:stdio`.

use std::time::Instant;

/// `Ctrl-a`.
pub const DEFAULT_ESCAPE: u8 = 1;

/// What a byte from the host means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Input for the front end in focus.
    Input(u8),
    /// Print the menu.
    Help,
    /// End the run.
    Exit,
    /// Write snapshot data back.
    Commit,
    /// A break for the front end in focus.
    Break,
    /// Focus on the next front end.
    Switch,
}

/// The menu's state.
#[derive(Debug)]
pub struct Menu {
    escape: u8,
    escaped: bool,
    timestamps: bool,
    first: Option<Instant>,
    line_start: bool,
}

impl Menu {
    /// A menu that opens on `escape`.
    pub fn new(escape: u8) -> Self {
        Self {
            escape,
            escaped: false,
            timestamps: false,
            first: None,
            line_start: false,
        }
    }

    /// One byte from the host. `None` if the menu keeps it.
    pub fn key(&mut self, byte: u8) -> Option<Key> {
        if !self.escaped {
            self.escaped = byte == self.escape;
            return (!self.escaped).then_some(Key::Input(byte));
        }
        self.escaped = false;
        match byte {
            b if b == self.escape => Some(Key::Input(b)),
            b'h' | b'?' => Some(Key::Help),
            b'x' => Some(Key::Exit),
            b's' => Some(Key::Commit),
            b'b' => Some(Key::Break),
            b'c' => Some(Key::Switch),
            b't' => {
                self.timestamps = !self.timestamps;
                self.first = None;
                self.line_start = false;
                None
            }
            _ => None,
        }
    }

    /// The menu's text.
    pub fn help(&self) -> String {
        let (head, name) = match self.escape {
            c @ 1..=25 => ("\n\r".to_owned(), format!("C-{}", char::from(c - 1 + b'a'))),
            c => (
                format!("\n\rEscape-Char set to Ascii: {c:#04x}\n\r\n\r"),
                "Escape-Char".to_owned(),
            ),
        };
        let lines = [
            ("h", "    print this help"),
            ("x", "    exit emulator"),
            ("s", "    save disk data back to file (if -snapshot)"),
            ("t", "    toggle console timestamps"),
            ("b", "    send break (magic sysrq)"),
            ("c", "    switch between console and monitor"),
            (name.as_str(), "  sends "),
        ];
        let mut text = head;
        for (key, what) in lines {
            text.push_str(&name);
            text.push(' ');
            text.push_str(key);
            text.push_str(what);
            if key == name {
                text.push_str(&name);
            }
            text.push_str("\n\r");
        }
        text
    }

    /// Whether output needs [`Menu::stamp`].
    pub fn stamps(&self) -> bool {
        self.timestamps
    }

    /// Output with the time since the first stamp at the start of each line.
    pub fn stamp(&mut self, data: &[u8], now: Instant) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len() + 32);
        for &b in data {
            if self.line_start {
                let t = now.saturating_duration_since(*self.first.get_or_insert(now));
                let s = t.as_secs();
                let text = format!(
                    "[{:02}:{:02}:{:02}.{:03}] ",
                    s / 3600,
                    s / 60 % 60,
                    s % 60,
                    t.subsec_millis()
                );
                out.extend_from_slice(text.as_bytes());
                self.line_start = false;
            }
            out.push(b);
            self.line_start = b == b'\n';
        }
        out
    }
}
