//! A machine: a system, its CPUs, and the loop that runs them.
//!
//! One turn of the loop: take what the host did, fire the timers that are due, run a CPU to the next deadline, and if all idle
//! let virtual time pass. All that a guest can observe happens at exact instruction counts; the loop's own slicing is invisible to it.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{ClockRate, VirtualTime};
use crate::cpu::{Cpu, CpuId, Firmware, SemihostingHost};
use crate::line::Sink;
use crate::memory::RamBlock;
use crate::system::System;

mod control;
mod free;
mod history;
mod pages;
mod power;
mod state;
mod turn;
mod turns;
mod whole;

pub use control::{Attendant, Caller, Image, MachineEvent, Outcome, Pacing, Policy, RunState, StopHandle};
pub use free::{Asking, FreeSearch, Moving};
use history::History;
pub use history::{NoPast, Reached};
pub use pages::Draft;
pub use power::{Cause, PanicAction, PanicPolicy};
use turn::Look;
use turns::{SavedTurns, Turns};
pub use whole::{MAX_RUN, RamImage, RestoreError, Run, SavedDevice, Whole};

/// A machine. Several may live in one process.
pub struct Machine {
    /// Everything but the CPUs.
    pub sys: System,
    /// The CPUs that execute, by their number ([`CpuId`]); none on a board without. [`Machine::add_cpu`] puts one in.
    pub cpus: Vec<Box<dyn Cpu>>,
    /// Firmware that the host executes, if the board has such.
    pub firmware: Option<Box<dyn Firmware>>,
    /// Images of the loader.
    pub images: Vec<Image>,
    /// Where the first CPU starts after each reset instead of at its reset vector.
    pub start_at: Option<u64>,
    /// RAM that belongs to the board, with its name, for save.
    pub ram: Vec<(String, RamBlock)>,
    /// Idle and wall clock.
    pub pacing: Pacing,
    /// Requests of the guest.
    pub policy: Policy,
    /// The first start leaves the CPUs standing (`-S`).
    pub start_paused: bool,
    /// Who answers semihosting calls; without one they are a lockup with a hint.
    pub semihosting: Option<Box<dyn SemihostingHost>>,
    /// Whether CPUs execute at all; under qtest virtual time moves only by the protocol.
    pub executes: bool,
    /// The run ends with [`Outcome::Debug`] when so many instructions have been executed since power-on.
    pub halt_at: Option<u64>,
    /// The run ends with [`Outcome::Debug`] when this CPU has executed one instruction.
    pub step: Option<CpuId>,
    turns: Turns,
    history: Option<Box<History>>,
    state: RunState,
    attendants: Vec<Option<Box<dyn Attendant>>>,
    call: Arc<AtomicBool>,
    stop: Arc<AtomicU8>,
    /// To be switched off at the next turn.
    off: Option<Cause>,
    started: bool,
    launched: bool,
    look: Look,
    oversleep: Duration,
    wall: Option<(Instant, VirtualTime)>,
}

/// How long the start may wait for handshakes of back ends.
const START_PATIENCE: Duration = Duration::from_secs(2);

impl Machine {
    /// A machine around a system.
    pub fn new(sys: System, cpu: Option<Box<dyn Cpu>>) -> Self {
        let mut machine = Self {
            sys,
            cpus: Vec::new(),
            firmware: None,
            images: Vec::new(),
            start_at: None,
            ram: Vec::new(),
            pacing: Pacing::default(),
            policy: Policy::default(),
            start_paused: false,
            semihosting: None,
            executes: true,
            halt_at: None,
            step: None,
            turns: Turns::default(),
            history: None,
            state: RunState::Prelaunch,
            attendants: Vec::new(),
            call: Arc::default(),
            stop: Arc::default(),
            off: None,
            started: false,
            launched: false,
            look: Look::default(),
            oversleep: Duration::ZERO,
            wall: None,
        };
        if let Some(cpu) = cpu {
            machine.set_cpu(cpu);
        }
        machine
    }

    /// An empty machine at the given clock; boards fill it.
    pub fn empty(rate: ClockRate) -> io::Result<Self> {
        Ok(Self::new(System::new(rate)?, None))
    }

    /// Puts the only CPU in.
    pub fn set_cpu(&mut self, cpu: Box<dyn Cpu>) {
        self.cpus.clear();
        self.add_cpu(cpu);
    }

    /// Puts one more CPU in. Its number; engines must know it from the start, as they ask for their lines by it.
    pub fn add_cpu(&mut self, cpu: Box<dyn Cpu>) -> CpuId {
        debug_assert!(self.cpus.len() < usize::from(u8::MAX));
        let id = CpuId(self.cpus.len() as u8);
        self.cpus.push(cpu);
        self.sys.set_cpu_count(self.cpus.len());
        self.turns.set_count(self.cpus.len());
        id
    }

    /// A CPU by its number.
    pub fn cpu(&self, id: CpuId) -> Option<&dyn Cpu> {
        self.cpus.get(usize::from(id.0)).map(|c| &**c)
    }

    /// The same, to change it.
    pub fn cpu_mut(&mut self, id: CpuId) -> Option<&mut (dyn Cpu + 'static)> {
        self.cpus.get_mut(usize::from(id.0)).map(|c| &mut **c)
    }

    /// New RAM of the board, not yet mapped.
    pub fn add_ram(&mut self, name: &str, len: u64) -> io::Result<RamBlock> {
        let block = RamBlock::new(name, len)?;
        self.ram.push((name.to_owned(), block.clone()));
        Ok(block)
    }

    /// A handle that ends the run from elsewhere.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle {
            kick: self.sys.host.reactor.kick_handle(),
            stop: self.stop.clone(),
        }
    }

    /// A handle for the notify hooks of attendants' channels.
    pub fn caller(&self) -> Caller {
        Caller {
            kick: self.sys.host.reactor.kick_handle(),
            call: self.call.clone(),
        }
    }

    /// Takes somebody in who drives or watches the machine.
    pub fn add_attendant(&mut self, attendant: Box<dyn Attendant>) {
        self.attendants.push(Some(attendant));
    }

    /// Calls an attendant by its type, on behalf of another. `None` if the machine has none such, or it is at work itself.
    pub fn with_attendant<T: Attendant, R>(&mut self, f: impl FnOnce(&mut T, &mut Self) -> R) -> Option<R> {
        let is = |a: &Option<Box<dyn Attendant>>| a.as_deref().is_some_and(|a| (a as &dyn Any).is::<T>());
        let i = self.attendants.iter().position(is)?;
        let mut a = self.attendants.get_mut(i)?.take()?;
        let concrete = (&mut *a as &mut dyn Any).downcast_mut::<T>();
        let result = concrete.map(|t| f(t, self));
        if let Some(place) = self.attendants.get_mut(i) {
            *place = Some(a);
        }
        result
    }

    /// Dismisses all attendants of a type but one that is itself at work.
    pub fn remove_attendants<T: Attendant>(&mut self) {
        // Places stay: somebody may be going through them.
        for place in &mut self.attendants {
            place.take_if(|a| (&**a as &dyn Any).is::<T>());
        }
    }

    /// What the machine is doing.
    pub fn run_state(&self) -> RunState {
        self.state
    }

    /// Whether CPUs may execute.
    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }

    /// Stops the CPUs; nothing happens if they stand still already.
    pub fn pause(&mut self, state: RunState) {
        let was_running = self.is_running();
        self.state = state;
        if was_running {
            self.emit(&MachineEvent::Stop);
        }
    }

    /// Lets the CPUs go on.
    pub fn resume(&mut self) {
        if !self.is_running() {
            self.state = RunState::Running;
            self.emit(&MachineEvent::Resume);
        }
    }

    /// Tells every attendant that something happened.
    pub fn emit(&mut self, event: &MachineEvent) {
        if self.sys.tape.plays() && !matches!(event, MachineEvent::Stop | MachineEvent::Resume) {
            // It was said when it happened.
            return;
        }
        self.each_attendant(|a, machine| a.on_event(event, machine));
    }

    /// An attendant that is itself at work is out of its place and not called: it knows what it did.
    fn each_attendant(&mut self, mut f: impl FnMut(&mut dyn Attendant, &mut Self)) {
        for i in 0..self.attendants.len() {
            let Some(mut a) = self.attendants.get_mut(i).and_then(Option::take) else {
                continue;
            };
            f(&mut *a, self);
            if let Some(place) = self.attendants.get_mut(i) {
                *place = Some(a);
            }
        }
    }

    /// Power-on or system reset: memory images, devices, then the CPUs, which fetch their vectors, and firmware.
    pub fn reset(&mut self) {
        for image in &self.images {
            // The loader has checked the place when it took the image in.
            let _ = self.sys.load_bytes(image.address, &image.data);
        }
        self.sys.reset();
        for cpu in &mut self.cpus {
            cpu.reset(&mut self.sys);
        }
        if let (Some(cpu), Some(pc)) = (self.cpus.first_mut(), self.start_at) {
            cpu.set_register("pc", pc);
        }
        if let Some(firmware) = &mut self.firmware {
            firmware.reset(&mut self.cpus, &mut self.sys);
        }
        self.turns.restart(self.sys.clock.executed());
        self.started = true;
    }

    /// Runs until something ends it.
    pub fn run(&mut self) -> Outcome {
        self.run_until(VirtualTime(u64::MAX))
    }

    /// Runs until virtual time reaches `deadline` or something ends it before. A machine that was never started starts; one that
    /// was paused stays so until an attendant resumes it.
    pub fn run_until(&mut self, deadline: VirtualTime) -> Outcome {
        self.start();
        loop {
            if let Some(outcome) = self.turn(deadline)
                && !self.held(&outcome)
            {
                return outcome;
            }
        }
    }

    /// Power-on, if it has not been yet. `-S` pauses after it.
    pub fn start(&mut self) {
        if !self.started {
            self.reset();
            self.wait_for_start();
        }
        // Once: a machine that somebody paused later stays so.
        if !std::mem::replace(&mut self.launched, true) && !self.start_paused {
            self.state = RunState::Running;
        }
    }

    /// Whether an attendant keeps the machine although it would end.
    fn held(&mut self, outcome: &Outcome) -> bool {
        if matches!(outcome, Outcome::Deadline | Outcome::Stopped) {
            return false;
        }
        let mut held = false;
        self.each_attendant(|a, machine| held |= a.hold(outcome, machine));
        if held && self.is_running() {
            self.pause(match outcome {
                Outcome::Debug => RunState::Debug,
                Outcome::Lockup(_) => RunState::InternalError,
                _ => RunState::Shutdown,
            });
        }
        held
    }

    /// Waits a moment for back ends in mid-handshake, so that firmware finds its devices as it would on a board that is switched on
    /// with everything plugged in. A peer that is too slow is waited for no longer.
    fn wait_for_start(&mut self) {
        let end = Instant::now() + START_PATIENCE;
        while self.sys.start_holds > 0 && self.stop.load(Ordering::Acquire) == 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.sys.host.wait(Some(left)).is_err() {
                break;
            }
            self.sys.deliver_completions();
        }
    }

    /// Lets CPU inputs that changed while they stood still (tests, reset) reach them.
    pub fn flush_lines(&mut self) {
        for (i, cpu) in (0..).zip(&mut self.cpus) {
            for (input, level) in self.sys.take_lines(CpuId(i)) {
                cpu.on_line(input, level, &mut self.sys);
            }
        }
    }

    /// The receiver for interrupt input `n` of the first CPU.
    pub fn cpu_input(n: u32) -> Sink {
        Sink::Cpu(CpuId(0), n)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.sys.host.close();
    }
}
