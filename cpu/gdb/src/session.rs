//! One client: packets in, packets out, and what it has set.

use southbridge_core::machine::{Cause, NoPast};
use southbridge_core::{CpuId, Machine, Outcome, RunState, WatchKind, Watchpoint};
use southbridge_protocol_gdb::{
    Action, Command, Input, MAX_PACKET, Receiver, Signal, StopKind, StopReply, Thread, WhichThread, frame, parse,
    slice_of, to_hex,
};

use crate::monitor::{Monitor, exit_status};
use crate::threads::{self, cpu_of, thread_of};
use crate::{map, memory, registers};

/// Stops of each kind that a client may set.
const MOST_STOPS: usize = 4096;

/// What a session works with during a call.
pub struct Surroundings<'a> {
    machine: &'a mut Machine,
    monitor: &'a mut dyn Monitor,
    interrupted: Box<dyn FnMut(&mut Machine) -> bool + 'a>,
}

impl<'a> Surroundings<'a> {
    /// A machine and who does its monitor commands.
    pub fn new(machine: &'a mut Machine, monitor: &'a mut dyn Monitor) -> Self {
        Self {
            machine,
            monitor,
            interrupted: Box::new(|_| false),
        }
    }

    /// With a way to hear of Ctrl-C in the middle of long work.
    #[must_use]
    pub fn interrupted_by(mut self, hear: impl FnMut(&mut Machine) -> bool + 'a) -> Self {
        self.interrupted = Box::new(hear);
        self
    }
}

/// A client from its first byte to its last.
pub struct Session {
    receiver: Receiver,
    /// Packets are acknowledged.
    acks: bool,
    output: Vec<u8>,
    /// The last packet as sent, should the client want it again.
    last: Vec<u8>,
    breakpoints: Vec<u64>,
    watchpoints: Vec<Watchpoint>,
    /// The core that the client looks at.
    looks_at: CpuId,
    /// Addresses of memory are physical.
    physical: bool,
    /// The core that `c` and `s` are for, if it is one.
    resumes: Option<CpuId>,
    /// The client let the machine run and waits to hear why it stopped.
    waiting: bool,
    /// Why it stopped last.
    stop: StopReply,
    /// The client let go of the machine for good.
    detached: bool,
}

impl Session {
    /// A client has come: the machine stops for it, and its history is recorded.
    pub fn open(machine: &mut Machine) -> Self {
        if machine.is_running() {
            machine.pause(RunState::Paused);
        }
        machine.keep_history(true);
        Self {
            receiver: Receiver::default(),
            acks: true,
            output: Vec::new(),
            last: Vec::new(),
            breakpoints: Vec::new(),
            watchpoints: Vec::new(),
            looks_at: machine.current_cpu(),
            physical: false,
            resumes: None,
            waiting: false,
            stop: StopReply::Signal(Signal::Trap, thread_of(machine.current_cpu())),
            detached: false,
        }
    }

    /// The client has gone: its stops go with it. A machine that stood still for it stands still for the next one.
    pub fn close(mut self, machine: &mut Machine) {
        self.let_go(machine);
    }

    fn let_go(&mut self, machine: &mut Machine) {
        self.breakpoints.clear();
        self.watchpoints.clear();
        self.set_stops(machine);
        stand_free(machine);
        machine.keep_history(false);
        self.waiting = false;
        self.detached = true;
    }

    /// What is to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Bytes of the client.
    pub fn receive(&mut self, bytes: &[u8], cx: &mut Surroundings<'_>) {
        for byte in bytes {
            match self.receiver.push(*byte) {
                None | Some(Input::Ack) => {}
                Some(Input::Nack) => self.output.extend_from_slice(&self.last),
                Some(Input::Damaged) if self.acks => self.output.push(b'-'),
                Some(Input::Damaged) => {}
                Some(Input::Interrupt) => self.interrupt(cx.machine),
                Some(Input::Packet(packet)) => {
                    if self.acks {
                        self.output.push(b'+');
                    }
                    self.obey(parse(&packet), cx);
                }
            }
        }
    }

    fn send(&mut self, payload: impl AsRef<[u8]>) {
        self.last = frame(payload.as_ref());
        self.output.extend_from_slice(&self.last);
    }

    fn answer(&mut self, done: bool) {
        self.send(if done { "OK" } else { "E14" });
    }

    /// Ctrl-C, or a break condition on the line.
    pub fn interrupt(&mut self, machine: &mut Machine) {
        if !self.waiting {
            return;
        }
        let thread = thread_of(machine.current_cpu());
        self.stopped(StopReply::Signal(Signal::Interrupt, thread), machine);
        if machine.is_running() {
            machine.pause(RunState::Paused);
        }
    }

    // ----- what stops -----------------------------------------------------------------------------------------------------------

    fn stopped(&mut self, why: StopReply, machine: &mut Machine) {
        stand_free(machine);
        self.looks_at = machine.current_cpu();
        self.stop = why;
        if std::mem::take(&mut self.waiting) {
            self.send(self.stop.packet());
        }
    }

    /// Somebody else stopped the machine.
    pub fn on_stop(&mut self, machine: &mut Machine) {
        if self.waiting {
            let signal = match machine.run_state() {
                RunState::Shutdown => Signal::Quit,
                RunState::InternalError | RunState::GuestPanicked => Signal::Segv,
                RunState::Debug => Signal::Trap,
                _ => Signal::Interrupt,
            };
            self.stopped(StopReply::Signal(signal, thread_of(machine.current_cpu())), machine);
        }
    }

    /// The run ends this way. `true` if it does not, because the client wants to look.
    pub fn hold(&mut self, outcome: &Outcome, machine: &mut Machine) -> bool {
        if self.detached {
            return false;
        }
        let thread = thread_of(machine.current_cpu());
        match outcome {
            Outcome::Debug => {
                let hit = machine
                    .cpu_mut(machine.current_cpu())
                    .and_then(|c| c.debug())
                    .and_then(|d| d.take_watch_hit());
                let why = match hit {
                    Some((w, address)) => StopReply::Watch {
                        kind: watch_word(w.kind),
                        address,
                        thread,
                    },
                    None => StopReply::Signal(Signal::Trap, thread),
                };
                self.stopped(why, machine);
                true
            }
            Outcome::Lockup(text) => {
                if self.waiting {
                    self.send(StopReply::console(&format!("{text}\n")));
                }
                self.stopped(StopReply::Signal(Signal::Segv, thread), machine);
                true
            }
            Outcome::Shutdown | Outcome::GuestExit(_) => {
                self.stopped(StopReply::Exited(exit_status(outcome)), machine);
                false
            }
            Outcome::Stopped | Outcome::Deadline => false,
        }
    }

    // ----- what the client wants ------------------------------------------------------------------------------------------------

    fn obey(&mut self, command: Command, cx: &mut Surroundings<'_>) {
        let machine = &mut *cx.machine;
        match command {
            Command::WhyStopped => self.send(self.stop.packet()),
            Command::Supported(_) => {
                let map = if map::is_useful(machine) { '+' } else { '-' };
                self.send(format!(
                    "PacketSize={MAX_PACKET:x};QStartNoAckMode+;vContSupported+;qXfer:features:read+;\
                     qXfer:memory-map:read{map};qXfer:threads:read+;ReverseStep+;ReverseContinue+"
                ));
            }
            Command::NoAcks => {
                self.send("OK");
                self.acks = false;
            }
            Command::Extended => self.send("OK"),
            Command::Attached => self.send("1"),
            Command::Kill { answered } => {
                if answered {
                    self.send("OK");
                }
                self.waiting = false;
                machine.stop_handle().stop(Cause::GuestShutdown);
            }
            Command::Detach => {
                self.let_go(machine);
                self.send("OK");
                machine.resume();
            }
            Command::Restart => machine.reset_from_outside(),
            Command::Monitor(line) => self.monitor(&line, cx),
            Command::StepBits => self.send("ENABLE=1,NOIRQ=2,NOTIMER=4"),
            Command::StepMode => self.send("0x1"),
            // Steps with interrupts masked would be steps of another run.
            Command::SetStepMode(mode) => self.send(if mode == 1 { "OK" } else { "E22" }),
            Command::PhysicalMode => self.send(if self.physical { "1" } else { "0" }),
            Command::SetPhysicalMode(on) => {
                self.physical = on;
                self.send("OK");
            }
            Command::Malformed => self.send("E22"),
            Command::Unknown => self.send(""),
            Command::ReverseContinue | Command::ReverseStep => self.reverse(command, cx),
            Command::Resume(..) | Command::Continue(_) | Command::CanContinue => self.resume(command, machine),
            Command::Stop { on, kind, address, len } => self.stop_at(on, kind, address, len, machine),
            Command::Select(..)
            | Command::IsAlive(_)
            | Command::FirstThreads
            | Command::MoreThreads
            | Command::ThreadName(_)
            | Command::CurrentThread => self.threads(command, machine),
            _ => self.contents(command, machine),
        }
    }

    fn threads(&mut self, command: Command, machine: &Machine) {
        let exists = |t| match t {
            Thread::One(n) => cpu_of(n, machine).is_some(),
            Thread::All | Thread::Any => true,
        };
        match command {
            Command::Select(which, thread) if exists(thread) => {
                let cpu = match thread {
                    Thread::One(n) => cpu_of(n, machine),
                    Thread::All | Thread::Any => None,
                };
                match which {
                    WhichThread::General => self.looks_at = cpu.unwrap_or(self.looks_at),
                    WhichThread::Resume => self.resumes = cpu,
                }
                self.send("OK");
            }
            Command::IsAlive(thread) => self.send(if exists(thread) { "OK" } else { "E22" }),
            Command::FirstThreads => self.send(threads::list(machine)),
            Command::MoreThreads => self.send("l"),
            Command::CurrentThread => self.send(format!("QC{:02x}", thread_of(self.looks_at))),
            Command::ThreadName(Thread::One(n)) if exists(Thread::One(n)) => {
                self.send(to_hex(threads::name(n, machine).as_bytes()));
            }
            _ => self.send("E22"),
        }
    }

    /// Registers, memory, descriptions.
    fn contents(&mut self, command: Command, machine: &mut Machine) {
        let cpu = self.looks_at;
        let through = (!self.physical).then_some(cpu);
        match command {
            Command::ReadRegisters => self.send(to_hex(&registers::read_all(machine, cpu))),
            Command::WriteRegisters(data) => self.answer(registers::write_all(machine, cpu, &data)),
            Command::ReadRegister(n) => match registers::read(machine, cpu, n) {
                Some(value) => self.send(to_hex(&value)),
                None => self.answer(false),
            },
            Command::WriteRegister(n, value) => self.answer(registers::write(machine, cpu, n, &value)),
            Command::ReadMemory { address, len } => match memory::read(machine, through, address, len) {
                Some(data) => self.send(to_hex(&data)),
                None => self.answer(false),
            },
            Command::WriteMemory { address, data } | Command::FlashWrite { address, data } => {
                self.answer(memory::write(machine, through, address, &data));
            }
            Command::FlashErase { address, len } => self.answer(memory::erase(machine, address, len)),
            Command::FlashDone => self.send("OK"),
            Command::Crc { address, len } => match memory::crc(machine, through, address, len) {
                Some(sum) => self.send(format!("C{sum:08x}")),
                None => self.answer(false),
            },
            Command::Transfer {
                object,
                annex,
                offset,
                len,
            } => {
                let whole = match (object.as_str(), annex.as_str()) {
                    ("features", "target.xml") => registers::description(machine),
                    ("memory-map", "") if map::is_useful(machine) => map::memory_map(machine),
                    ("threads", "") => threads::xml(machine),
                    ("features" | "memory-map" | "threads", _) => return self.send("E00"),
                    _ => return self.send(""),
                };
                self.send(slice_of(whole.as_bytes(), offset, len));
            }
            _ => self.send(""),
        }
    }

    fn monitor(&mut self, line: &str, cx: &mut Surroundings<'_>) {
        let output = cx.monitor.command(line, cx.machine);
        for part in output.as_bytes().chunks(MAX_PACKET / 4) {
            self.send(format!("O{}", to_hex(part)));
        }
        self.send("OK");
    }

    fn resume(&mut self, command: Command, machine: &mut Machine) {
        let plan = match command {
            Command::Resume(action, from) => {
                let cpu = self.resumes.unwrap_or(self.looks_at);
                if let Some(pc) = from {
                    machine.poke_register(cpu, "pc", pc);
                }
                let stepped = (action != Action::Continue).then_some(cpu);
                Some(threads::Plan { stepped, only: None })
            }
            Command::Continue(actions) if actions.iter().all(|(a, _)| *a == Action::Stop) => {
                self.waiting = true;
                return self.interrupt(machine);
            }
            Command::Continue(actions) => threads::plan(&actions, machine),
            _ => return self.send("vCont;c;C;s;S;t"),
        };
        let Some(plan) = plan else {
            return self.send("E22");
        };
        self.waiting = true;
        if machine.run_state() == RunState::Shutdown {
            // What is switched off does not run before it is reset.
            return self.stopped(StopReply::Signal(Signal::Quit, thread_of(self.looks_at)), machine);
        }
        self.set_stops(machine);
        plan.carry_out(machine);
        machine.resume();
    }

    fn reverse(&mut self, command: Command, cx: &mut Surroundings<'_>) {
        let result = match command {
            Command::ReverseStep => self.reverse_step(cx.machine),
            _ => self.reverse_continue(cx.machine, &mut *cx.interrupted),
        };
        let why = result.unwrap_or_else(|e: NoPast| {
            self.send(StopReply::console(&format!("{e}\n")));
            StopReply::HistoryBegins(thread_of(CpuId(0)))
        });
        self.waiting = true;
        self.stopped(why, cx.machine);
    }

    fn stop_at(&mut self, on: bool, kind: StopKind, address: u64, len: u64, machine: &mut Machine) {
        let watch = |kind| {
            let last = address.checked_add(len.max(1) - 1)?;
            Some(Watchpoint {
                first: address,
                last,
                kind,
            })
        };
        let set = match kind {
            StopKind::Software | StopKind::Hardware => put(&mut self.breakpoints, address, on),
            StopKind::Write => watch(WatchKind::Write).is_some_and(|w| put(&mut self.watchpoints, w, on)),
            StopKind::Read => watch(WatchKind::Read).is_some_and(|w| put(&mut self.watchpoints, w, on)),
            StopKind::Access => watch(WatchKind::Access).is_some_and(|w| put(&mut self.watchpoints, w, on)),
        };
        if set && machine.is_running() {
            self.set_stops(machine);
        }
        self.answer(set);
    }

    /// Hands what is set to the engine.
    pub(crate) fn set_stops(&self, machine: &mut Machine) {
        for d in machine.cpus.iter_mut().filter_map(|c| c.debug()) {
            d.set_stops(&self.breakpoints, &self.watchpoints);
        }
    }
}

/// Puts in or takes out; both may be said again. `false` if there is no room.
fn put<T: PartialEq>(list: &mut Vec<T>, item: T, on: bool) -> bool {
    let there = list.iter().position(|i| *i == item);
    match (on, there) {
        (true, None) if list.len() >= MOST_STOPS => return false,
        (true, None) => list.push(item),
        (false, Some(i)) => drop(list.swap_remove(i)),
        _ => {}
    }
    true
}

/// gdb's word for it in a stop reply.
pub(crate) fn watch_word(kind: WatchKind) -> &'static str {
    match kind {
        WatchKind::Write => "watch",
        WatchKind::Read => "rwatch",
        WatchKind::Access => "awatch",
    }
}

/// Nobody halts or holds a core any more.
fn stand_free(machine: &mut Machine) {
    machine.halt_at = None;
    machine.step = None;
    machine.run_only(None);
}
