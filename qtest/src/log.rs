//! The log of `-qtest-log`: what came and went, with the seconds since the client connected.

use std::io::Write;
use std::time::Instant;

/// Where the log goes, if anywhere.
pub struct Log {
    sink: Option<Box<dyn Write + Send>>,
    begin: Option<Instant>,
}

impl Log {
    /// A log into `sink`.
    pub fn new(sink: Option<Box<dyn Write + Send>>) -> Self {
        Self { sink, begin: None }
    }

    fn line(&mut self, tag: &str, text: &str) {
        let seconds = self.begin.map_or(0.0, |b| b.elapsed().as_secs_f64());
        if let Some(sink) = &mut self.sink {
            // A log that cannot be written is no reason to end a test.
            let _ = sink.write_all(format!("[{tag} +{seconds:.6}]{text}\n").as_bytes());
        }
    }

    pub(crate) fn opened(&mut self) {
        self.begin = Some(Instant::now());
        self.line("I", " OPENED");
    }

    pub(crate) fn closed(&mut self) {
        self.line("I", " CLOSED");
        self.begin = None;
    }

    pub(crate) fn received(&mut self, line: &str) {
        if self.sink.is_some() {
            self.line("R", &format!(" {line}"));
        }
    }

    pub(crate) fn sent(&mut self, text: &str) {
        if self.sink.is_some() {
            for line in text.lines() {
                self.line("S", &format!(" {line}"));
            }
        }
    }
}
