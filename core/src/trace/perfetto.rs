//! A trace as a file that the Perfetto viewer (ui.perfetto.dev) and `chrome://tracing` open: the JSON of the "Trace Event Format".
//!
//! One track per source. On a CPU's track exceptions and sleep are slices that nest; each line has a track of its own with a slice
//! while it is high; all else is an instant. Times are virtual, in microseconds with three digits of nanoseconds. The array is valid
//! for the viewer even when it was cut off; `Drop` closes what is open and makes it whole JSON.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};

use super::text::Parsed;
use super::{Record, Sink};
use crate::clock::VirtualTime;

/// Writes the file.
pub struct PerfettoSink {
    out: Box<dyn Write + Send>,
    tracks: HashMap<String, Track>,
    /// Nothing was written yet.
    first: bool,
    last: VirtualTime,
}

struct Track {
    tid: usize,
    /// Keys of the open slices, outermost first.
    open: Vec<String>,
}

/// How an event shows.
enum Shape {
    Instant {
        name: String,
    },
    Begin {
        name: String,
        key: String,
    },
    End {
        key: String,
    },
    /// Ends all slices of the track.
    Restart {
        name: String,
    },
}

impl PerfettoSink {
    /// A file for one machine, called `process` in the viewer.
    pub fn new(mut out: Box<dyn Write + Send>, process: &str) -> Self {
        let _ = out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
        let mut sink = Self {
            out,
            tracks: HashMap::new(),
            first: true,
            last: VirtualTime(0),
        };
        let name = quote(process);
        sink.object(&format!(
            "\"ph\":\"M\",\"pid\":1,\"tid\":0,\"ts\":0,\"name\":\"process_name\",\"args\":{{\"name\":{name}}}"
        ));
        sink
    }

    /// Adds an event.
    fn add(&mut self, event: &Parsed) {
        self.last = self.last.max(event.at);
        let (track, shape) = shape(event);
        let tid = self.track(&track);
        match shape {
            Shape::Instant { name } => self.instant(tid, &name, event),
            Shape::Begin { name, key } => self.begin(tid, &track, &name, key, event),
            Shape::End { key } => self.end(tid, &track, &key),
            Shape::Restart { name } => {
                self.close(&track);
                self.instant(tid, &name, event);
            }
        }
    }

    fn track(&mut self, name: &str) -> usize {
        if let Some(t) = self.tracks.get(name) {
            return t.tid;
        }
        let tid = self.tracks.len() + 1;
        let open = Vec::new();
        self.tracks.insert(name.to_owned(), Track { tid, open });
        let quoted = quote(name);
        self.object(&format!(
            "\"ph\":\"M\",\"pid\":1,\"tid\":{tid},\"ts\":0,\"name\":\"thread_name\",\"args\":{{\"name\":{quoted}}}"
        ));
        tid
    }

    fn instant(&mut self, tid: usize, name: &str, event: &Parsed) {
        let (name, args) = (quote(name), args(event));
        let ts = microseconds(event.at);
        self.object(&format!(
            "\"ph\":\"i\",\"s\":\"t\",\"pid\":1,\"tid\":{tid},\"ts\":{ts},\"name\":{name},\"cat\":{},\"args\":{args}",
            quote(&event.name)
        ));
    }

    fn begin(&mut self, tid: usize, track: &str, name: &str, key: String, event: &Parsed) {
        if let Some(t) = self.tracks.get_mut(track) {
            t.open.push(key);
        }
        let (name, args) = (quote(name), args(event));
        let ts = microseconds(event.at);
        self.object(&format!(
            "\"ph\":\"B\",\"pid\":1,\"tid\":{tid},\"ts\":{ts},\"name\":{name},\"cat\":{},\"args\":{args}",
            quote(&event.name)
        ));
    }

    /// Ends the slice and those inside it that were left open; one that never began (the trace began later) is left out.
    fn end(&mut self, tid: usize, track: &str, key: &str) {
        let Some(t) = self.tracks.get_mut(track) else { return };
        let Some(at) = t.open.iter().rposition(|k| k == key) else {
            return;
        };
        let n = t.open.len() - at;
        t.open.truncate(at);
        self.ends(tid, n);
    }

    fn ends(&mut self, tid: usize, n: usize) {
        let ts = microseconds(self.last);
        for _ in 0..n {
            self.object(&format!("\"ph\":\"E\",\"pid\":1,\"tid\":{tid},\"ts\":{ts}"));
        }
    }

    fn close(&mut self, track: &str) {
        if let Some(t) = self.tracks.get_mut(track) {
            let (tid, n) = (t.tid, std::mem::take(&mut t.open).len());
            self.ends(tid, n);
        }
    }

    fn object(&mut self, inner: &str) {
        let comma = if std::mem::take(&mut self.first) { "" } else { ",\n" };
        let _ = write!(self.out, "{comma}{{{inner}}}");
    }
}

impl Sink for PerfettoSink {
    fn record(&mut self, record: &Record<'_>) {
        let text = |v: &super::Value<'_>| match v {
            super::Value::Text(t) => (*t).to_owned(),
            v => v.to_string(),
        };
        let fields = record.fields.iter().zip(record.values);
        self.add(&Parsed {
            at: record.at,
            name: record.name.to_owned(),
            source: record.source.to_owned(),
            fields: fields.map(|(f, v)| ((*f).to_owned(), text(v))).collect(),
        });
    }
}

impl Drop for PerfettoSink {
    fn drop(&mut self) {
        let mut tracks: Vec<(usize, String)> = self.tracks.iter().map(|(n, t)| (t.tid, n.clone())).collect();
        tracks.sort();
        for (_, name) in tracks {
            self.close(&name);
        }
        let _ = self.out.write_all(b"\n]}\n");
        let _ = self.out.flush();
    }
}

fn field<'a>(event: &'a Parsed, name: &str) -> &'a str {
    let found = event.fields.iter().find(|(n, _)| n == name);
    found.map_or("", |(_, v)| v)
}

/// The track and form of an event.
fn shape(event: &Parsed) -> (String, Shape) {
    let f = |name| field(event, name);
    let own = event.source.clone();
    let instant = |name: String| (own.clone(), Shape::Instant { name });
    match event.name.as_str() {
        "cpu_exception_enter" => {
            let (name, key) = (f("exception").to_owned(), f("number").to_owned());
            (own, Shape::Begin { name, key })
        }
        "cpu_exception_exit" => {
            let key = f("number").to_owned();
            (own, Shape::End { key })
        }
        "cpu_sleep" => {
            let (name, key) = ("sleep".to_owned(), "sleep".to_owned());
            (own, Shape::Begin { name, key })
        }
        "cpu_wake" => {
            let key = "sleep".to_owned();
            (own, Shape::End { key })
        }
        "cpu_reset" => (own, Shape::Restart { name: "reset".into() }),
        "line_set" => {
            let key = f("line").to_owned();
            let track = format!("{own} {key}");
            match f("level") {
                "1" => (track, Shape::Begin { name: key.clone(), key }),
                _ => (track, Shape::End { key }),
            }
        }
        "mmio_read" => instant(format!("read {}", f("register"))),
        "mmio_write" => instant(format!("write {}", f("register"))),
        "timer_fire" => instant(format!("timer {} fires", f("timer"))),
        "timer_set" => instant(format!("timer {} set", f("timer"))),
        name => instant(name.to_owned()),
    }
}

fn args(event: &Parsed) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in event.fields.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}{}:{}", quote(name), quote(value));
    }
    out.push('}');
    out
}

fn microseconds(at: VirtualTime) -> String {
    format!("{}.{:03}", at.0 / 1000, at.0 % 1000)
}

/// A JSON string.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Turns a trace in text form into such a file; lines that are no trace are passed over. Gives the number of events.
///
/// # Errors
/// When the input cannot be read.
pub fn convert(input: impl BufRead, output: Box<dyn Write + Send>, process: &str) -> std::io::Result<u64> {
    let mut sink = PerfettoSink::new(output, process);
    let mut count = 0;
    for line in input.split(b'\n') {
        let line = line?;
        if let Some(event) = Parsed::read(&String::from_utf8_lossy(&line)) {
            sink.add(&event);
            count += 1;
        }
    }
    Ok(count)
}
