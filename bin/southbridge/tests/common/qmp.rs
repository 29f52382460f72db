//! A QMP client for tests.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::wait;

/// A client, strict about lines.
pub struct Client {
    pub out: UnixStream,
    pub lines: BufReader<UnixStream>,
}

impl Client {
    /// Connects, as soon as there is somebody who listens.
    pub fn connect(path: &Path) -> Self {
        let mut stream = None;
        wait("the monitor's socket", || {
            stream = UnixStream::connect(path).ok();
            stream.is_some()
        });
        let out = stream.unwrap();
        out.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let lines = BufReader::new(out.try_clone().unwrap());
        Self { out, lines }
    }

    /// Connects and negotiates.
    pub fn ready(path: &Path) -> Self {
        let mut c = Self::connect(path);
        assert!(c.receive()["QMP"]["version"]["qemu"]["major"] == 10);
        assert_eq!(c.ask(&json!({"execute": "qmp_capabilities"})), json!({"return": {}}));
        c
    }

    /// Sends text as it is.
    pub fn send(&mut self, text: &str) {
        self.out.write_all(text.as_bytes()).unwrap();
    }

    /// The next line.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the connection ended");
        assert!(line.ends_with("\r\n"), "{line:?}");
        line
    }

    /// The next answer or event.
    pub fn receive(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// The answer to a command; events before it are passed over.
    pub fn ask(&mut self, command: &Value) -> Value {
        self.send(&command.to_string());
        loop {
            let v = self.receive();
            if v.get("event").is_none() {
                return v;
            }
        }
    }

    /// A command and its answer.
    pub fn run(&mut self, name: &str, arguments: Value) -> Value {
        self.ask(&json!({"execute": name, "arguments": arguments}))
    }

    /// A command that must succeed, and its result.
    pub fn ok(&mut self, name: &str, arguments: Value) -> Value {
        let answer = self.run(name, arguments);
        answer
            .get("return")
            .unwrap_or_else(|| panic!("{name}: {answer}"))
            .clone()
    }

    /// The next event of that name.
    pub fn event(&mut self, name: &str) -> Value {
        loop {
            let v = self.receive();
            if v["event"] == name {
                return v;
            }
        }
    }

    /// All events until the connection ends: names and data.
    pub fn events_to_the_end(&mut self) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        let mut line = String::new();
        while self.lines.read_line(&mut line).is_ok_and(|n| n > 0) {
            let v: Value = serde_json::from_str(&line).unwrap();
            if let Some(name) = v["event"].as_str() {
                all.push((name.to_owned(), v.get("data").cloned().unwrap_or_default()));
            }
            line.clear();
        }
        all
    }
}
