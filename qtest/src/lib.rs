//! The qtest server: a test program plays the guest over a channel.
//!
//! It is an attendant of a machine whose CPU does not execute (`-accel qtest`): accesses go to the address space as one access of the
//! width asked for, virtual time moves only by `clock_step` and `clock_set`, and line changes come as events before the answer of the
//! request that caused them. With a CPU that executes (`-qtest` alone) everything but the clock works.

mod log;
mod path;

pub use log::Log;
pub use path::{Places, Target};

use southbridge_backend_chardev::{CharEvent, CharHandle};
use southbridge_core::line::Tap;
use southbridge_core::{Attendant, ClockRate, CpuId, LineDirection, Machine, System, VirtualTime};
use southbridge_machine::qom::NMI_LINE;
use std::collections::VecDeque;

use southbridge_protocol_qtest::{Lines as Splitter, MAX_DATA, Refusal, Request, answer, parse};

/// The server on one channel.
pub struct Qtest {
    channel: CharHandle,
    lines: Splitter,
    requests: VecDeque<String>,
    out: Vec<u8>,
    log: Log,
    session: Session,
}

/// What the requests of one client share; also the in-process form without a channel.
#[derive(Default)]
pub struct Session {
    places: Places,
    levels: Vec<bool>,
    /// The device whose lines are watched.
    watched: Option<Target>,
}

impl Qtest {
    /// A server on a channel; `places` are the object tree's paths of the board's devices.
    pub fn new(channel: CharHandle, log: Log, places: Places) -> Self {
        Self {
            channel,
            lines: Splitter::default(),
            requests: VecDeque::new(),
            out: Vec::new(),
            log,
            session: Session::new(places),
        }
    }

    /// Hands over what the channel takes; the rest waits until it has room again.
    fn flush(&mut self) {
        while !self.out.is_empty() {
            match self.channel.write(&self.out) {
                0 => return,
                n => self.out.drain(..n),
            };
        }
    }

    /// Carries out what waits, one request after the other. An answer that the client has not taken yet holds up the next request, so
    /// that a client which never reads costs the memory of one answer.
    fn work(&mut self, machine: &mut Machine) {
        self.flush();
        while self.out.is_empty()
            && let Some(line) = self.requests.pop_front()
        {
            self.log.received(&line);
            let mut text = self.session.execute(&line, machine).join("\n");
            text.push('\n');
            self.log.sent(&text);
            self.out = text.into_bytes();
            self.flush();
        }
    }

    fn on_event(&mut self, event: CharEvent, machine: &mut Machine) {
        match event {
            CharEvent::Data { bytes, .. } => self.requests.extend(self.lines.feed(&bytes)),
            CharEvent::Opened => {
                self.session.levels.clear();
                self.session.watched = None;
                self.log.opened();
            }
            CharEvent::Closed => {
                self.lines = Splitter::default();
                self.requests.clear();
                self.out.clear();
                machine.sys.tapped.tap = Tap::Off;
                self.log.closed();
            }
            CharEvent::Writable | CharEvent::Break => {}
        }
    }
}

impl Attendant for Qtest {
    fn attend(&mut self, machine: &mut Machine) {
        while let Some(event) = self.channel.next() {
            self.on_event(event, machine);
            self.work(machine);
        }
        self.work(machine);
    }
}

/// Makes a machine one that only tests drive: no CPU executes, and time counts single nanoseconds.
pub fn take_over(machine: &mut Machine) {
    machine.executes = false;
    machine.sys.clock.set_rate(ClockRate::Shift(0));
}

impl Session {
    /// A session that knows where the board's devices are in the object tree.
    pub fn new(places: Places) -> Self {
        Self {
            places,
            ..Self::default()
        }
    }

    /// Carries one request out; gives the events it caused and, last, its answer.
    pub fn execute(&mut self, line: &str, machine: &mut Machine) -> Vec<String> {
        let answer = match parse(line) {
            Ok(request) => self.request(request, machine),
            Err(Refusal(text)) => text,
        };
        let mut out = self.events(&mut machine.sys);
        out.push(answer);
        out
    }

    /// Line changes since the last look; a change to the level a line has already is none.
    fn events(&mut self, sys: &mut System) -> Vec<String> {
        let mut out = Vec::new();
        for (line, level) in std::mem::take(&mut sys.tapped.heard) {
            let i = line as usize;
            if i >= self.levels.len() {
                self.levels.resize(i + 1, false);
            }
            if self.levels[i] != level {
                self.levels[i] = level;
                out.push(answer::irq(line, level));
            }
        }
        out
    }

    fn request(&mut self, request: Request, machine: &mut Machine) -> String {
        let sys = &mut machine.sys;
        match request {
            Request::Intercept { path, outputs, name } => self.intercept(sys, &path, outputs, name.as_deref()),
            Request::SetIrqIn {
                path,
                name,
                number,
                level,
            } => self.set_irq_in(machine, &path, &name, number, level != 0),
            // The boards have no I/O ports: reads see an empty bus, as there.
            Request::PortRead { width, .. } => answer::port(u32::MAX >> (32 - 8 * u32::from(width))),
            Request::PortWrite { .. } | Request::ModuleLoad => answer::OK.into(),
            Request::Read { address, width } => answer::memory(sys.read(address, width).unwrap_or(0)),
            Request::Write { address, width, value } => {
                // A bus error has no answer of its own in this protocol.
                let _ = sys.write(address, width, value);
                answer::OK.into()
            }
            Request::ReadBytes { address, len, base64 } => {
                let mut data = vec![0; len.min(MAX_DATA) as usize];
                read_all(sys, address, &mut data);
                if base64 {
                    answer::base64(&data)
                } else {
                    answer::bytes(&data)
                }
            }
            Request::WriteBytes { address, data } => {
                write_all(sys, address, &data);
                answer::OK.into()
            }
            Request::Fill { address, len, value } => {
                write_all(sys, address, &vec![value; len.min(MAX_DATA) as usize]);
                answer::OK.into()
            }
            Request::Endianness => "OK little".into(),
            Request::ClockStep(_) | Request::ClockSet(_) if machine.executes => {
                let word = if matches!(request, Request::ClockSet(_)) {
                    "clock_set"
                } else {
                    "clock_step"
                };
                format!("FAIL Unknown command '{word}'")
            }
            Request::ClockStep(ns) => clock_step(sys, ns),
            Request::ClockSet(ns) => clock_set(sys, ns),
        }
    }

    /// Watches the lines of one device; asking for that device again changes nothing.
    fn intercept(&mut self, sys: &mut System, path: &str, outputs: bool, name: Option<&str>) -> String {
        let Some(target) = path::find(sys, &self.places, path) else {
            return "FAIL Unknown device".into();
        };
        if name.is_some() && !outputs {
            return "FAIL Interception of named in-GPIOs not yet supported".into();
        }
        match self.watched {
            Some(watched) if watched == target => return answer::OK.into(),
            Some(_) => return "FAIL IRQ intercept already enabled".into(),
            None => {}
        }
        let tap = match target {
            Target::Cpu if !outputs => Some(Tap::Cpu(CpuId(0))),
            // The request for a reset is the processor's own affair here.
            Target::Cpu => None,
            Target::Device(device) if outputs => path::lines(sys, device, LineDirection::Out, name)
                .map(|(first, count)| Tap::Outputs(device, first, count)),
            Target::Device(device) => sys
                .slot(device)
                .filter(|s| !s.device_type.lines.is_empty())
                .map(|_| Tap::Inputs(device)),
        };
        let Some(tap) = tap else {
            return "FAIL No intercepts installed".into();
        };
        sys.tapped.tap = tap;
        self.watched = Some(target);
        answer::OK.into()
    }

    fn set_irq_in(&self, machine: &mut Machine, path: &str, name: &str, number: u32, level: bool) -> String {
        let group = (name != "unnamed-gpio-in").then_some(name);
        match path::find(&machine.sys, &self.places, path) {
            None => "FAIL Unknown device".into(),
            Some(Target::Cpu) => {
                let line = if group == Some("NMI") { NMI_LINE } else { number };
                let sys = &mut machine.sys;
                if let Some(cpu) = machine.cpus.first_mut() {
                    cpu.on_line(line, level, sys);
                }
                if sys.tapped.tap == Tap::Cpu(CpuId(0)) {
                    sys.tapped.heard.push((line, level));
                }
                answer::OK.into()
            }
            Some(Target::Device(device)) => {
                let lines = path::lines(&machine.sys, device, LineDirection::In, group);
                let (first, count) = lines.unwrap_or_default();
                match u16::try_from(number) {
                    Ok(n) if n < count => {
                        machine.sys.set_input(device, first + n, level);
                        // Where inputs are watched, a client hears of what it set itself, too.
                        if machine.sys.tapped.tap == Tap::Inputs(device) {
                            machine.sys.tapped.heard.push(((first + n).into(), level));
                        }
                        answer::OK.into()
                    }
                    _ => format!("FAIL '{path}' has {count} lines '{name}', not number {number}"),
                }
            }
        }
    }
}

/// Reads what can be read; the rest stays 0.
fn read_all(sys: &mut System, address: u64, data: &mut [u8]) {
    if sys.read_bytes(address, data).is_ok() {
        return;
    }
    for (i, byte) in data.iter_mut().enumerate() {
        *byte = address
            .checked_add(i as u64)
            .and_then(|at| sys.read(at, 1).ok())
            .unwrap_or(0) as u8;
    }
}

fn write_all(sys: &mut System, address: u64, data: &[u8]) {
    if sys.write_bytes(address, data).is_ok() {
        return;
    }
    for (i, byte) in data.iter().enumerate() {
        if let Some(at) = address.checked_add(i as u64) {
            let _ = sys.write(at, 1, u64::from(*byte));
        }
    }
}

/// Timer stops in one step before the rest of the time is skipped: a guest's own choice of period must not stall a test program.
const MAX_STOPS: u64 = 10_000_000;

fn clock_step(sys: &mut System, ns: Option<i64>) -> String {
    let now = sys.clock.now();
    let target = match ns {
        Some(ns) => now.0.saturating_add_signed(ns),
        None => match sys.next_deadline() {
            Some(next) => next.0,
            None => {
                return "FAIL cannot advance clock to the next deadline because there is no pending deadline".into();
            }
        },
    };
    sys.advance_at_most(VirtualTime(target.max(now.0)), MAX_STOPS);
    let new = sys.clock.now();
    if new > now {
        answer::clock(new.0)
    } else {
        "FAIL could not advance time".into()
    }
}

fn clock_set(sys: &mut System, ns: i64) -> String {
    let target = u64::try_from(ns).unwrap_or(0);
    if target > sys.clock.now().0 {
        sys.advance_at_most(VirtualTime(target), MAX_STOPS);
    }
    let new = sys.clock.now().0;
    let word = if i64::try_from(new) == Ok(ns) { "OK" } else { "FAIL" };
    format!("{word} {new}")
}

#[cfg(test)]
mod tests;
