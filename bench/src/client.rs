//! Clients of a program's sockets, as the programs of this world are: one request, one answer, blocking.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;

/// Until an answer that has not come will not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program in the background; killed when dropped.
pub(crate) struct Background(Child);

impl Background {
    /// Starts it; what it prints goes nowhere.
    pub(crate) fn start(c: &mut Command) -> Result<Self> {
        let c = c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(c.spawn()?))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection that carries lines.
pub(crate) struct Lines {
    stream: BufReader<UnixStream>,
    line: String,
}

impl Lines {
    fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
            line: String::new(),
        })
    }

    /// Waits until somebody connects.
    pub(crate) fn accept(listener: &UnixListener) -> Result<Self> {
        Self::new(listener.accept()?.0)
    }

    /// Connects to a socket that a program is about to open.
    pub(crate) fn connect(path: &Path) -> Result<Self> {
        let end = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Self::new(stream),
                Err(e) if Instant::now() > end => return Err(format!("{}: {e}", path.display()).into()),
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Sends bytes, without waiting for anything.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(bytes)?)
    }

    /// The next line.
    pub(crate) fn receive(&mut self) -> Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line)? == 0 {
            return Err("the program hung up".into());
        }
        Ok(self.line.trim_end())
    }
}

/// A QMP client that has negotiated.
pub(crate) struct Qmp(Lines);

impl Qmp {
    /// Connects and negotiates.
    pub(crate) fn connect(path: &Path) -> Result<Self> {
        let mut lines = Lines::connect(path)?;
        lines.receive()?;
        let mut this = Self(lines);
        this.run(r#"{"execute": "qmp_capabilities"}"#)?;
        Ok(this)
    }

    /// One command and its answer; events that come between are dropped.
    pub(crate) fn run(&mut self, command: &str) -> Result<Value> {
        self.0.send(format!("{command}\n").as_bytes())?;
        loop {
            let line = self.0.receive()?;
            if line.starts_with(r#"{"return""#) {
                return Ok(serde_json::from_str::<Value>(line)?["return"].take());
            }
            let answer: Value = serde_json::from_str(line)?;
            if answer.get("error").is_some() {
                return Err(format!("{command}: {line}").into());
            }
            if let Some(returned) = answer.get("return") {
                return Ok(returned.clone());
            }
        }
    }
}
