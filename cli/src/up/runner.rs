//! Runs a plan: children of this program, their consoles, the waiting, and the end.
//!
//! One thread (this one) owns everything; readers only pass on bytes, and one thread passes on signals. Children are in
//! process groups of their own, so that Ctrl-C reaches them once, through us. Whatever happens, a child that was started
//! is waited for: `Child`'s drop sees to it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::child::{Child, Event, ended};
use super::output::Lines;
use super::plan::{Part, Plan, Until};
use super::sockets;
use crate::error::Style;

/// How often children are looked at.
const TICK: Duration = Duration::from_millis(10);
/// A child that was asked to end gets this long.
const GRACE: Duration = Duration::from_secs(5);
/// Output that is still in the pipe of a child that has ended gets this long.
const DRAIN: Duration = Duration::from_secs(1);
/// Chunks of output that may wait for us; a child that prints faster is held up by its pipe.
const PENDING: usize = 64;
/// A line of progress this often.
const PROGRESS: Duration = Duration::from_secs(10);

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What went wrong, in order; empty for a good run.
    pub failures: Vec<String>,
    /// How many machines there were.
    pub machines: usize,
    /// How long it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// Status for the process: 0, or 1 if anything went wrong.
    pub fn status(&self) -> u8 {
        u8::from(!self.failures.is_empty())
    }

    /// One line.
    pub fn summary(&self, name: &str) -> String {
        let seconds = self.elapsed.as_secs_f64();
        match self.failures.as_slice() {
            [] => {
                let plural = if self.machines == 1 { "" } else { "s" };
                format!("{name}: ok, {} machine{plural}, {seconds:.1} s", self.machines)
            }
            failures => format!("{name}: FAILED after {seconds:.1} s: {}", failures.join("; ")),
        }
    }
}

/// Runs one plan.
pub struct Runner<'a> {
    plan: &'a Plan,
    program: &'a Path,
    label: String,
    color: bool,
    width: usize,
    children: Vec<Child<'a>>,
    events: (SyncSender<Event>, Receiver<Event>),
    grace: Duration,
    failures: Vec<String>,
    begin: Instant,
    last_progress: Instant,
    interrupted: Option<i32>,
}

impl<'a> Runner<'a> {
    /// For children of `program`.
    pub fn new(plan: &'a Plan, program: &'a Path, style: &Style) -> Self {
        let names = plan
            .servers
            .iter()
            .chain(&plan.machines)
            .map(|p| p.name.chars().count());
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let now = Instant::now();
        Self {
            plan,
            program,
            label: format!("{} up", style.program),
            color: io::stdout().is_terminal() && !no_color,
            width: names.max().unwrap_or(0),
            children: Vec::new(),
            events: sync_channel(PENDING),
            grace: GRACE,
            failures: Vec::new(),
            begin: now,
            last_progress: now,
            interrupted: None,
        }
    }

    /// Gives children another time to end when asked, before they are killed.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The host's, when a child cannot be started or watched. All children have ended then, as in any case.
    pub fn run(mut self) -> io::Result<Outcome> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let sender = self.events.0.clone();
        let listener = std::thread::spawn(move || {
            for signal in signals.forever() {
                if sender.send(Event::Signal(signal)).is_err() {
                    break;
                }
            }
        });
        let result = self.steps();
        handle.close();
        let _ = listener.join();
        result?;
        let elapsed = self.begin.elapsed();
        Ok(Outcome {
            failures: self.failures,
            machines: self.plan.machines.len(),
            elapsed,
        })
    }

    fn steps(&mut self) -> io::Result<()> {
        if self.start_servers()? {
            for part in &self.plan.machines {
                self.start(part, true)?;
            }
            self.wait_for(|this| this.over())?;
        }
        self.stop_all()?;
        self.judge();
        Ok(())
    }

    /// Gives whether all are ready.
    fn start_servers(&mut self) -> io::Result<bool> {
        for part in &self.plan.servers {
            self.start(part, false)?;
        }
        let plan = self.plan;
        self.wait_for(|this| {
            let ready = plan
                .servers
                .iter()
                .all(|s| s.ready.as_deref().is_none_or(sockets::listening));
            ready || this.children.iter().any(|c| c.status.is_some())
        })
        .map(|()| {
            self.interrupted.is_none() && self.failures.is_empty() && self.children.iter().all(|c| c.status.is_none())
        })
    }

    fn start(&mut self, part: &'a Part, is_machine: bool) -> io::Result<()> {
        let index = self.children.len();
        let color = self.color.then_some(index);
        let lines = || Lines::new(&part.name, self.width, color);
        let child = Child::start(
            part,
            is_machine,
            self.program,
            index,
            [lines(), lines()],
            &self.events.0,
        )?;
        self.children.push(child);
        Ok(())
    }

    /// Until `done`, a signal, or the end of the time.
    fn wait_for(&mut self, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        loop {
            self.turn(TICK)?;
            if done(self) || self.interrupted.is_some() {
                return Ok(());
            }
            if self.begin.elapsed() >= self.plan.timeout {
                let seconds = self.plan.timeout.as_secs_f64();
                self.failures.push(format!(
                    "time is up ({seconds} s), still waiting for {}",
                    self.awaited()
                ));
                return Ok(());
            }
            if self.last_progress.elapsed() >= PROGRESS {
                self.last_progress = Instant::now();
                let seconds = self.begin.elapsed().as_secs();
                show(
                    1,
                    &format!("{}: {seconds} s, waiting for {}\n", self.label, self.awaited()),
                );
            }
        }
    }

    fn awaited(&self) -> String {
        let machines = self.children.iter().filter(|c| c.is_machine && c.status.is_none());
        let machines: Vec<String> = machines.map(|c| c.awaited(self.plan.until)).collect();
        if !machines.is_empty() {
            return machines.join(", ");
        }
        let servers = self
            .plan
            .servers
            .iter()
            .filter(|s| !s.ready.as_deref().is_none_or(sockets::listening));
        servers
            .map(|s| format!("{} to listen", s.name))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Takes what comes within `patience`, then looks at the children.
    fn turn(&mut self, patience: Duration) -> io::Result<()> {
        match self.events.1.recv_timeout(patience) {
            Ok(event) => {
                self.take(event);
                // Not more than were there: a child that never stops printing must not keep us from the clock.
                for event in self.events.1.try_iter().take(PENDING).collect::<Vec<_>>() {
                    self.take(event);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let now = Instant::now();
        for child in &mut self.children {
            child.poll()?;
            for (stream, lines) in child.lines.iter_mut().enumerate() {
                if let Some(text) = lines.overdue(now) {
                    show(stream, &text);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Signal(signal) => {
                self.interrupted.get_or_insert(signal);
                let signal = if signal == SIGINT { Signal::INT } else { Signal::TERM };
                self.children.iter().for_each(|c| c.signal(signal));
            }
            Event::Output { child, stream, bytes } => {
                let Some(child) = self.children.get_mut(child) else {
                    return;
                };
                if bytes.is_empty() {
                    child.open_streams = child.open_streams.saturating_sub(1);
                    if let Some(text) = child.lines[stream].finish() {
                        show(stream, &text);
                    }
                    return;
                }
                child.watch.push(&bytes);
                let text = child.lines[stream].push(&bytes, Instant::now());
                if !text.is_empty() {
                    show(stream, &text);
                }
            }
        }
    }

    /// Whether the run has got what it waits for, or cannot get it any more.
    fn over(&self) -> bool {
        let mut machines = self.children.iter().filter(|c| c.is_machine);
        let server_died = self.children.iter().any(|c| !c.is_machine && c.status.is_some());
        let all_ended = machines.clone().all(|c| c.status.is_some());
        let failed = machines
            .clone()
            .any(|c| c.status.is_some() && c.failure_now().is_some());
        let printed = self.plan.until == Until::Prints && machines.all(|c| c.watch.done());
        all_ended || printed || server_died || failed
    }

    /// Asks what still runs to end, machines before servers, and insists after a while.
    fn stop_all(&mut self) -> io::Result<()> {
        let mut machines = self.children.iter().filter(|c| c.is_machine);
        let needed = machines.clone().count() == 0 || machines.any(|c| c.status.is_none());
        if let Some(dead) = self
            .children
            .iter()
            .find(|c| needed && !c.is_machine && c.status.is_some())
        {
            let how = dead.status.map(ended).unwrap_or_default();
            self.failures
                .push(format!("{} {how} before the machines", dead.part.name));
        }
        for machines in [true, false] {
            for child in self
                .children
                .iter_mut()
                .filter(|c| c.is_machine == machines && c.status.is_none())
            {
                child.stopped = true;
                child.signal(Signal::TERM);
            }
            let asked = Instant::now();
            let running = |this: &Self| {
                this.children
                    .iter()
                    .any(|c| c.is_machine == machines && c.status.is_none())
            };
            while running(self) {
                self.turn(TICK)?;
                if asked.elapsed() >= self.grace {
                    self.kill(machines)?;
                }
            }
        }
        let ended = Instant::now();
        while self.children.iter().any(|c| c.open_streams > 0) && ended.elapsed() < DRAIN {
            self.turn(TICK)?;
        }
        Ok(())
    }

    fn kill(&mut self, machines: bool) -> io::Result<()> {
        for child in self
            .children
            .iter_mut()
            .filter(|c| c.is_machine == machines && c.status.is_none())
        {
            self.failures
                .push(format!("{} did not end when asked and was killed", child.part.name));
            child.process.kill()?;
            child.status = Some(child.process.wait()?);
        }
        Ok(())
    }

    /// Once all output is read: what each machine did wrong.
    fn judge(&mut self) {
        if let Some(signal) = self.interrupted {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            self.failures.push(format!("ended by {name}"));
            return;
        }
        let timed_out = !self.failures.is_empty();
        // After a failure elsewhere, what was stopped on its account has done nothing wrong itself.
        let judged = self
            .children
            .iter()
            .filter(|c| c.is_machine && !(c.stopped && timed_out));
        let mut found: Vec<String> = judged
            .clone()
            .filter(|c| !c.stopped)
            .filter_map(Child::failure)
            .collect();
        if found.is_empty() {
            found = judged.filter_map(Child::failure).collect();
        }
        self.failures.extend(found);
    }
}

/// Writes to our own output (0) or errors (1).
pub(super) fn show(stream: usize, text: &str) {
    // A closed terminal must not end the run before the children are.
    let _ = match stream {
        0 => io::stdout()
            .write_all(text.as_bytes())
            .and_then(|()| io::stdout().flush()),
        _ => io::stderr().write_all(text.as_bytes()),
    };
}
