//! One child process of a run: starting it, its streams, how it ended and whether that was right.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;

use rustix::process::{Pid, Signal, kill_process};

use super::FOLLOW_PARENT;
use super::output::{Lines, Watch};
use super::plan::{Part, Until};

/// What the threads beside the runner tell it.
pub(super) enum Event {
    /// Bytes of a child's stream (0 for its output, 1 for its errors); none at its end.
    Output {
        child: usize,
        stream: usize,
        bytes: Vec<u8>,
    },
    /// A signal for us.
    Signal(i32),
}

/// A child process. Dropping it ends it, if nothing else has.
pub(super) struct Child<'a> {
    pub(super) part: &'a Part,
    pub(super) is_machine: bool,
    pub(super) process: std::process::Child,
    pub(super) lines: [Lines; 2],
    pub(super) watch: Watch,
    pub(super) open_streams: usize,
    pub(super) status: Option<ExitStatus>,
    /// We asked it to end, so that how it ended is not its own doing.
    pub(super) stopped: bool,
}

impl<'a> Child<'a> {
    /// Starts `part`, whose streams go to `events` under the number `index`.
    pub(super) fn start(
        part: &'a Part,
        is_machine: bool,
        program: &Path,
        index: usize,
        lines: [Lines; 2],
        events: &SyncSender<Event>,
    ) -> io::Result<Self> {
        let process = Command::new(program)
            .args(&part.args)
            .envs(&part.env)
            .env(FOLLOW_PARENT, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let watch = Watch::new(&part.prints);
        let mut child = Self {
            part,
            is_machine,
            process,
            lines,
            watch,
            open_streams: 0,
            status: None,
            stopped: false,
        };
        if let Some(stdout) = child.process.stdout.take() {
            child.open_streams += 1;
            read(stdout, index, 0, events.clone());
        }
        if let Some(stderr) = child.process.stderr.take() {
            child.open_streams += 1;
            read(stderr, index, 1, events.clone());
        }
        Ok(child)
    }

    pub(super) fn signal(&self, signal: Signal) {
        if self.status.is_none()
            && let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
        {
            // It may have ended this moment; it is not reaped yet, so the number is still its own.
            let _ = kill_process(pid, signal);
        }
    }

    /// Reaps it if it has ended.
    pub(super) fn poll(&mut self) -> io::Result<()> {
        if self.status.is_none() {
            self.status = self.process.try_wait()?;
        }
        Ok(())
    }

    /// What this machine did wrong, now that it has ended.
    pub(super) fn failure(&self) -> Option<String> {
        let name = &self.part.name;
        let status = self.status?;
        if !self.stopped && status.code() != Some(i32::from(self.part.exit)) {
            let expected = if self.part.exit == 0 {
                String::new()
            } else {
                format!(" instead of {}", self.part.exit)
            };
            return Some(format!("{name} {}{expected}", ended(status)));
        }
        self.watch
            .missing()
            .map(|text| format!("{name} never printed {text:?}"))
    }

    /// The failure that is certain already: texts may still be in the pipe while it is open.
    pub(super) fn failure_now(&self) -> Option<String> {
        let failure = self.failure()?;
        let wrong_status = self.status.is_some_and(|s| s.code() != Some(i32::from(self.part.exit)));
        (wrong_status || self.open_streams == 0).then_some(failure)
    }

    /// What it is waited for, for the line of progress.
    pub(super) fn awaited(&self, until: Until) -> String {
        match (until, self.watch.missing()) {
            (_, Some(text)) => format!("{} to print {text:?}", self.part.name),
            _ => format!("{} to end", self.part.name),
        }
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// How it ended, to follow its name.
pub(super) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal);
            name.map_or_else(
                || format!("was ended by signal {signal}"),
                |n| format!("was ended by {n}"),
            )
        }
        (None, None) => "ended".to_owned(),
    }
}

fn read(mut from: impl Read + Send + 'static, child: usize, stream: usize, to: SyncSender<Event>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let bytes = match from.read(&mut buffer) {
                Ok(count) => buffer[..count].to_vec(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => Vec::new(),
            };
            let end = bytes.is_empty();
            if to.send(Event::Output { child, stream, bytes }).is_err() || end {
                return;
            }
        }
    });
}
