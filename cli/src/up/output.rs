//! Consoles of several children on one: whole lines, each with the child's name before it.

use std::time::{Duration, Instant};

/// A line that gets no end for so long is shown as it is: it may be a prompt.
const PATIENCE: Duration = Duration::from_millis(300);
/// A line longer than this is broken, so that no child can fill the memory.
const LONGEST_LINE: usize = 16 << 10;

/// Cuts the bytes of one stream into lines with a prefix.
#[derive(Debug)]
pub struct Lines {
    prefix: String,
    pending: Vec<u8>,
    since: Option<Instant>,
}

impl Lines {
    /// For the child of that name. `width` is that of the longest name, for alignment; `color` numbers the child for
    /// its colour, `None` for no colours.
    pub fn new(name: &str, width: usize, color: Option<usize>) -> Self {
        let pad = " ".repeat(width.saturating_sub(name.chars().count()));
        let prefix = match color {
            // Cyan, yellow, green, magenta, blue: readable on dark and on light.
            Some(index) => format!("\x1b[{}m[{name}]\x1b[0m{pad} ", [36, 33, 32, 35, 34][index % 5]),
            None => format!("[{name}]{pad} "),
        };
        Self {
            prefix,
            pending: Vec::new(),
            since: None,
        }
    }

    /// Takes bytes and gives the lines that are complete, with prefix and line end.
    pub fn push(&mut self, bytes: &[u8], now: Instant) -> String {
        let mut out = String::new();
        for &byte in bytes {
            if byte == b'\n' {
                out.push_str(&self.take());
            } else {
                self.pending.push(byte);
                self.since.get_or_insert(now);
                if self.pending.len() >= LONGEST_LINE {
                    out.push_str(&self.take());
                }
            }
        }
        out
    }

    /// A line that waits for its end too long.
    pub fn overdue(&mut self, now: Instant) -> Option<String> {
        let since = self.since?;
        (now.duration_since(since) >= PATIENCE).then(|| self.take())
    }

    /// What is left when the stream has ended.
    pub fn finish(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        self.since = None;
        let line = String::from_utf8_lossy(&self.pending);
        let text = format!("{}{}\n", self.prefix, line.trim_end_matches('\r'));
        self.pending.clear();
        text
    }
}

/// Looks for texts in a stream of bytes, also across line ends and chunks.
#[derive(Debug)]
pub struct Watch {
    wanted: Vec<(String, bool)>,
    tail: Vec<u8>,
}

impl Watch {
    /// For these texts.
    pub fn new(texts: &[String]) -> Self {
        Self {
            wanted: texts.iter().map(|t| (t.clone(), false)).collect(),
            tail: Vec::new(),
        }
    }

    /// Takes bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.done() {
            return;
        }
        self.tail.extend_from_slice(bytes);
        for (text, seen) in &mut self.wanted {
            *seen |= self.tail.windows(text.len()).any(|w| w == text.as_bytes());
        }
        let keep = self
            .wanted
            .iter()
            .map(|(t, _)| t.len())
            .max()
            .unwrap_or(0)
            .saturating_sub(1);
        let cut = self.tail.len().saturating_sub(keep);
        self.tail.drain(..cut);
    }

    /// Whether all have appeared.
    pub fn done(&self) -> bool {
        self.wanted.iter().all(|(_, seen)| *seen)
    }

    /// The first that has not.
    pub fn missing(&self) -> Option<&str> {
        self.wanted
            .iter()
            .find(|(_, seen)| !seen)
            .map(|(text, _)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_their_prefix() {
        let now = Instant::now();
        let mut lines = Lines::new("a", 3, None);
        assert_eq!(lines.push(b"one\r\ntw", now), "[a]   one\n");
        assert_eq!(lines.overdue(now), None);
        assert_eq!(lines.push(b"o\n\n", now), "[a]   two\n[a]   \n");
        lines.push(b"prompt> ", now);
        assert_eq!(lines.overdue(now + PATIENCE).as_deref(), Some("[a]   prompt> \n"));
        lines.push(&[0xff, b'x'], now);
        assert_eq!(lines.finish().as_deref(), Some("[a]   \u{fffd}x\n"));
        assert_eq!(lines.finish(), None);
        assert_eq!(lines.push(&vec![b'x'; LONGEST_LINE + 1], now).lines().count(), 1);
    }

    #[test]
    fn texts_are_found_across_chunks() {
        let mut watch = Watch::new(&["hello".into(), "bye".into()]);
        watch.push(b"xxhel");
        watch.push(b"lo yy");
        assert_eq!(watch.missing(), Some("bye"));
        watch.push(b"by");
        watch.push(b"e");
        assert!(watch.done());
        assert!(Watch::new(&[]).done());
    }
}
