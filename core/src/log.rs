//! The log that `-d ITEMS` and `-D FILE` switch on.

use std::fmt::Write as _;
use std::io::Write;

use crate::stderr::Stderr;

bitflags::bitflags! {
    /// What is written to the log; names as in `-d`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct LogItems: u32 {
        /// `unimp`: the guest used something that is not modelled.
        const UNIMP = 1 << 0;
        /// `guest_errors`: the guest did something that real hardware would not like.
        const GUEST_ERRORS = 1 << 1;
        /// `int`: exceptions and interrupts.
        const INT = 1 << 2;
        /// `cpu_reset`: CPU state at reset.
        const CPU_RESET = 1 << 3;
        /// `in_asm`: guest code as it is decoded.
        const IN_ASM = 1 << 4;
        /// `exec`: each block before it runs.
        const EXEC = 1 << 5;
        /// `mmu`: translation and protection.
        const MMU = 1 << 6;
    }
}

/// Where the log goes and what goes there.
pub struct Log {
    items: LogItems,
    sink: Box<dyn Write + Send>,
    warnings: Box<dyn Write + Send>,
    line: String,
}

impl Default for Log {
    fn default() -> Self {
        let stderr = Stderr::default();
        Self {
            items: LogItems::empty(),
            sink: Box::new(stderr.clone()),
            warnings: Box::new(stderr),
            line: String::new(),
        }
    }
}

impl Log {
    /// A log of `items` to `sink`.
    pub fn new(items: LogItems, sink: Box<dyn Write + Send>) -> Self {
        Self {
            items,
            sink,
            ..Self::default()
        }
    }

    /// What is written.
    pub fn items(&self) -> LogItems {
        self.items
    }

    /// Changes what is written.
    pub fn set_items(&mut self, items: LogItems) {
        self.items = items;
    }

    /// Changes where it goes.
    pub fn set_sink(&mut self, sink: Box<dyn Write + Send>) {
        self.sink = sink;
    }

    /// Where warnings go instead of stderr.
    pub fn set_warnings(&mut self, sink: Box<dyn Write + Send>) {
        self.warnings = sink;
    }

    /// Writes a line that the user should read whatever `-d` says: something of the host's side fails.
    pub fn warning(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.warnings.write_all(format!("warning: {text}\n").as_bytes());
    }

    /// Whether any of `items` is on; callers test before they format.
    #[inline]
    pub fn on(&self, items: LogItems) -> bool {
        self.items.intersects(items)
    }

    /// Writes one line. A log that cannot be written is not the guest's trouble, so errors are dropped.
    pub fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.line.clear();
        let _ = writeln!(self.line, "{text}");
        let _ = self.sink.write_all(self.line.as_bytes());
    }
}
