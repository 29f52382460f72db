//! A machine: a system, its CPUs, and the loop that runs them.
//!
//! One turn of the loop: take what the host did, fire the timers that are due, run a CPU to the next deadline, and if all idle
//! let virtual time pass. All that a guest can observe happens at exact instruction counts; the loop's own slicing is invisible to it.

use serde::{Deserialize, Serialize};
use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{Clock, ClockRate, Timebase, TimerIndex, VirtualTime};
use crate::cpu::{Cpu, CpuId, Exit, Firmware, FirmwareDone, SemihostingCall, SemihostingDone, SemihostingHost};
use crate::device::DeviceId;
use crate::host::Kick;
use crate::line::Sink;
use crate::memory::RamBlock;
use crate::notice::Notice;
use crate::saved::{LoadError, SavedState};
use crate::system::{Requests, System};
use crate::tape::Input;

mod history;
mod pages;
mod power;
mod turns;
mod whole;

use history::History;
pub use history::{NoPast, Reached};
pub use pages::Draft;
pub use power::{Cause, PanicAction, PanicPolicy};
use turns::{SavedTurns, Turns};
pub use whole::{MAX_RUN, RamImage, RestoreError, Run, SavedDevice, Whole};

/// How virtual time and the wall clock go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pacing {
    /// A busy guest runs as fast as the host can; an idle span lasts on the wall as long as in the guest.
    #[default]
    PaceIdle,
    /// Idle spans are skipped: the run ends as soon as it can.
    SkipIdle,
    /// Virtual time follows the wall: a busy guest is held back, a slow host lets time jump ahead. Not deterministic.
    Wall,
}

/// What to do when the guest asks for something or cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// A reset request ends the run instead (`-no-reboot`).
    pub reset_ends: bool,
    /// A shutdown request stops the CPUs and keeps the process (`-no-shutdown`).
    pub shutdown_pauses: bool,
    /// What is done about a guest that cannot go on (`-action panic=`).
    pub panic: PanicPolicy,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The guest powered the machine off, or reset it under `-no-reboot`.
    Shutdown,
    /// The guest ended the run with a status (semihosting).
    GuestExit(u32),
    /// The CPU cannot go on.
    Lockup(String),
    /// Somebody outside asked ([`StopHandle`]).
    Stopped,
    /// The turns that [`Machine::run_until`] was given are over.
    Deadline,
    /// A debugger stop.
    Debug,
}

/// Ends a run from another thread.
#[derive(Clone)]
pub struct StopHandle {
    kick: Kick,
    /// The cause in numbers; 0 is none.
    stop: Arc<AtomicU8>,
}

impl StopHandle {
    /// Ends the run between two instructions, whatever the policy.
    pub fn stop(&self, cause: Cause) {
        self.stop.store(cause as u8, Ordering::Release);
        self.kick.kick();
    }
}

/// What the machine is doing, in the words of `query-status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunState {
    /// Built, not yet started (`-S`).
    #[default]
    Prelaunch,
    /// CPUs execute.
    Running,
    /// Stopped by somebody outside.
    Paused,
    /// Stopped for a debugger.
    Debug,
    /// The guest powered off, and the process stays (`-no-shutdown`).
    Shutdown,
    /// The CPU cannot go on.
    InternalError,
    /// The guest crashed and `-action panic=pause` holds it.
    GuestPanicked,
    /// Waits for a state from elsewhere (`-incoming`).
    Inmigrate,
    /// The state is on its way elsewhere.
    FinishMigrate,
    /// The state has gone elsewhere.
    Postmigrate,
    /// A watchdog expired, and the user wants to look.
    Watchdog,
    /// The host failed a disk, and the user wants to mend it before the guest hears of it.
    IoError,
}

impl RunState {
    /// The word of the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prelaunch => "prelaunch",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Debug => "debug",
            Self::Shutdown => "shutdown",
            Self::InternalError => "internal-error",
            Self::GuestPanicked => "guest-panicked",
            Self::Inmigrate => "inmigrate",
            Self::FinishMigrate => "finish-migrate",
            Self::Postmigrate => "postmigrate",
            Self::Watchdog => "watchdog",
            Self::IoError => "io-error",
        }
    }
}

/// What happened to the machine as a whole; monitors turn it into events of their protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineEvent {
    /// CPUs stand still.
    Stop,
    /// CPUs go on.
    Resume,
    /// A reset happened.
    Reset {
        /// Whose wish it was.
        cause: Cause,
    },
    /// The machine powers off.
    Shutdown {
        /// Whose wish it was.
        cause: Cause,
    },
    /// Somebody pressed the power button.
    Powerdown,
    /// The guest cannot go on.
    Panicked {
        /// What comes of it.
        action: PanicAction,
    },
    /// A device was unplugged.
    DeviceDeleted {
        /// Its id, if it had one.
        id: Option<String>,
        /// Its path in the object tree.
        path: String,
    },
    /// A device says something.
    Notice(Notice),
}

/// Somebody outside who drives and watches a machine between two instructions: a monitor, qtest, a debugger. It is called on the
/// machine's thread and must not block.
pub trait Attendant: Any + Send {
    /// Somebody used the [`Caller`]: there may be something to do.
    fn attend(&mut self, machine: &mut Machine);

    /// Something happened to the machine.
    fn on_event(&mut self, _event: &MachineEvent, _machine: &mut Machine) {}

    /// The run is about to end this way. `true` holds it: the machine stays, paused.
    fn hold(&mut self, _outcome: &Outcome, _machine: &mut Machine) -> bool {
        false
    }
}

/// Has a machine call its attendants; for the notify hooks of their channels. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Caller {
    kick: Kick,
    call: Arc<AtomicBool>,
}

impl Caller {
    /// Has the attendants called between two instructions, soon.
    pub fn call(&self) {
        self.call.store(true, Ordering::Release);
        self.kick.kick();
    }
}

/// Something the loader put into memory, put there again at each reset.
#[derive(Debug, Clone)]
pub struct Image {
    /// Name in `info roms`.
    pub name: String,
    /// First address.
    pub address: u64,
    /// Contents.
    pub data: Vec<u8>,
}

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

/// Instructions in one slice while the host is looked at between slices.
const SHORT_SLICE: u64 = 20_000;
/// Instructions in one slice when the watcher thread looks at the host.
const LONG_SLICE: u64 = 1_000_000;
/// Instructions without idling before the watcher thread takes over.
const BUSY_AFTER: u64 = 4 * SHORT_SLICE;
/// Turns of the loop that a guest of many short slices gets between two looks at the host.
const TURNS_UNLOOKED: u32 = 16;
/// How long the start may wait for handshakes of back ends.
const START_PATIENCE: Duration = Duration::from_secs(2);

/// When the host was looked at. A look is a system call, and what ends a slice is mostly not the host: a wake-up by a doorbell must not
/// be paid three times.
#[derive(Default)]
struct Look {
    /// Executed instructions at the last look.
    at: u64,
    /// Executed instructions when the CPU last idled.
    idle_at: u64,
    /// Turns left until the next look.
    turns_left: u32,
}

impl Look {
    fn looked(&mut self, executed: u64) {
        self.at = executed;
        self.turns_left = TURNS_UNLOOKED;
    }

    fn is_busy(&self, executed: u64) -> bool {
        executed.saturating_sub(self.idle_at) >= BUSY_AFTER
    }

    /// Whether it is time for a look, if nobody watches meanwhile.
    fn is_due(&mut self, executed: u64) -> bool {
        self.turns_left = self.turns_left.saturating_sub(1);
        self.turns_left == 0 || executed.saturating_sub(self.at) >= SHORT_SLICE
    }
}

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

    fn turn(&mut self, deadline: VirtualTime) -> Option<Outcome> {
        // Before what the host did, running or not: the order of what happens at one moment is a fact of the machine.
        self.sys.fire_timers();
        self.take_host_events();
        if self.call.swap(false, Ordering::AcqRel) {
            self.each_attendant(|a, machine| a.attend(machine));
        }
        self.sys.clear_attention();
        self.look_at_tape();
        if let Some(outcome) = self.requests() {
            return Some(outcome);
        }
        if self.sys.clock.now() >= deadline {
            return Some(Outcome::Deadline);
        }
        if !self.is_running() || !self.executes {
            if !self.call.load(Ordering::Acquire) && self.stop.load(Ordering::Acquire) == 0 {
                let _ = self.sys.host.wait(None);
            }
            return None;
        }
        if self.has_to_halt() {
            return Some(Outcome::Debug);
        }
        let next = self.sys.next_deadline().map_or(deadline, |d| d.min(deadline));
        let stretch = self.stretch();
        let Some(chosen) = self.choose() else {
            self.look.idle_at = self.sys.clock.executed();
            let wake = self.turns.next_wake();
            self.idle(wake.map_or(next, |w| w.min(next)));
            return None;
        };
        let slice = if self.look.is_busy(self.sys.clock.executed()) && self.pacing != Pacing::Wall {
            LONG_SLICE
        } else {
            SHORT_SLICE
        };
        let most = slice.min(stretch).min(self.share());
        let budget = self.sys.clock.ticks_until(next).clamp(1, most);
        if self.step.is_some_and(|s| usize::from(s.0) == chosen) {
            return self.step_one(chosen, deadline);
        }
        let exit = self.cpus.get_mut(chosen)?.run(&mut self.sys, budget);
        self.after(chosen, exit, deadline)
    }

    fn step_one(&mut self, chosen: usize, deadline: VirtualTime) -> Option<Outcome> {
        let before = self.sys.clock.executed();
        let exit = self.cpus.get_mut(chosen)?.run(&mut self.sys, 1);
        let outcome = self.after(chosen, exit, deadline);
        let stepped = self.sys.clock.executed() > before;
        outcome.or_else(|| stepped.then_some(Outcome::Debug))
    }

    fn take_host_events(&mut self) {
        let executed = self.sys.clock.executed();
        let reactor = &self.sys.host.reactor;
        let busy = self.look.is_busy(executed);
        let due = if busy && reactor.is_watched() {
            reactor.wake_up_is_due()
        } else {
            self.look.is_due(executed)
        };
        if due || reactor.attention() {
            // A reactor that cannot wait has lost its epoll descriptor; the run goes on without host events.
            let _ = self.sys.host.wait(Some(Duration::ZERO));
            self.look.looked(executed);
        }
        if busy {
            self.sys.host.reactor.watch_while_busy();
        }
        self.deliver_completions();
    }

    /// Hands waiting completions to their devices. A machine whose state is yet to come keeps them: what is typed meanwhile is for the
    /// guest that comes.
    fn deliver_completions(&mut self) {
        if self.state == RunState::Inmigrate {
            self.sys.hold_completions();
        } else {
            self.sys.deliver_completions();
        }
    }

    fn requests(&mut self) -> Option<Outcome> {
        if let Some(cause) = Cause::of_number(self.stop.swap(0, Ordering::AcqRel)) {
            self.emit(&MachineEvent::Shutdown { cause });
            return Some(Outcome::Stopped);
        }
        if let Some(cause) = self.off.take() {
            return self.power_off(cause);
        }
        if self.sys.requests.contains(Requests::SHUTDOWN) {
            return self.guest_shutdown();
        }
        if self.sys.requests.contains(Requests::PAUSE) {
            self.sys.requests.remove(Requests::PAUSE);
            self.pause(RunState::Watchdog);
        }
        if self.sys.requests.contains(Requests::PANIC) {
            self.sys.requests.remove(Requests::PANIC);
            return self.guest_panicked();
        }
        if self.sys.has_unplugs() {
            self.let_devices_go();
        }
        let notices = if self.is_running() {
            self.sys.due_notices()
        } else {
            self.sys.take_notices()
        };
        for notice in notices {
            self.emit(&MachineEvent::Notice(notice));
        }
        // After the notice that says which disk it is.
        if self.sys.requests.contains(Requests::IO_ERROR) {
            self.sys.requests.remove(Requests::IO_ERROR);
            self.pause(RunState::IoError);
        }
        if self.sys.requests.contains(Requests::RESET) {
            return self.guest_reset();
        }
        None
    }

    /// Takes devices out that their slots let go, with all that sits on their buses.
    fn let_devices_go(&mut self) {
        let mut leaving = self.sys.take_unplugs();
        let mut i = 0;
        while let Some(device) = leaving.get(i).copied() {
            let below = self.sys.buses().filter(|(_, b)| b.owner == device);
            leaving.extend(
                below
                    .flat_map(|(_, b)| b.children.iter().map(|c| c.0))
                    .collect::<Vec<_>>(),
            );
            i += 1;
        }
        for device in leaving.into_iter().rev() {
            let Some(slot) = self.sys.slot(device) else { continue };
            let id = slot.id.clone();
            let path = match &id {
                Some(id) => format!("/machine/peripheral/{id}"),
                None => format!("/machine/peripheral-anon/device[{}]", device.index()),
            };
            self.sys.remove_device(device);
            self.emit(&MachineEvent::DeviceDeleted { id, path });
        }
    }

    fn after(&mut self, chosen: usize, exit: Exit, deadline: VirtualTime) -> Option<Outcome> {
        match exit {
            Exit::Budget => {
                self.follow_wall();
                None
            }
            Exit::Idle { until } if self.cpus.len() > 1 => {
                self.turns.sleep(chosen, until);
                // Who spins until some time has passed comes here again and again.
                self.follow_wall();
                self.has_to_halt().then_some(Outcome::Debug)
            }
            Exit::Idle { until } => {
                if self.has_to_halt() {
                    return Some(Outcome::Debug);
                }
                self.look.idle_at = self.sys.clock.executed();
                let next = [until, self.sys.next_deadline()].into_iter().flatten().min();
                self.idle(next.map_or(deadline, |n| n.min(deadline)));
                self.follow_wall();
                None
            }
            Exit::Reset => self.guest_reset(),
            Exit::Lockup(text) => self.locked_up(&text),
            Exit::Debug => Some(Outcome::Debug),
            Exit::Semihosting { op, arg } => {
                let cpu = self.current_cpu();
                self.semihosting(SemihostingCall { cpu, op, arg })
            }
            Exit::FirmwareCall => self.call_firmware(),
        }
    }

    fn call_firmware(&mut self) -> Option<Outcome> {
        let cpu = self.current_cpu();
        let Some(firmware) = &mut self.firmware else {
            let at = self.cpu(cpu).map_or(0, Cpu::pc);
            return Some(Outcome::Lockup(format!(
                "CPU {} calls firmware at {at:#x}, but there is none",
                cpu.0
            )));
        };
        let done = firmware.call(cpu, &mut self.cpus, &mut self.sys);
        if self.cpus.len() > 1 {
            self.sys.wake_cpus();
        }
        match done {
            FirmwareDone::Continue => None,
            FirmwareDone::Reset => self.guest_reset(),
            FirmwareDone::Shutdown => self.guest_shutdown(),
        }
    }

    fn semihosting(&mut self, call: SemihostingCall) -> Option<Outcome> {
        if self.sys.tape.plays() {
            return self.replay_semihosting(call);
        }
        let Some(host) = &mut self.semihosting else {
            let (op, at) = (call.op, self.cpu(call.cpu).map_or(0, Cpu::pc));
            return Some(Outcome::Lockup(format!(
                "semihosting call {op:#x} at {at:#010x}, but semihosting is off (switch it on with -semihosting)"
            )));
        };
        self.sys.tape.begin_call();
        match host.call(call, &mut self.sys) {
            SemihostingDone::Exit(status) => {
                self.emit(&MachineEvent::Shutdown {
                    cause: Cause::GuestShutdown,
                });
                Some(Outcome::GuestExit(status))
            }
            SemihostingDone::Result(result) => {
                self.sys.tape.end_call(self.sys.moment(), result);
                if let Some(cpu) = self.cpu_mut(call.cpu) {
                    cpu.finish_semihosting(result);
                }
                None
            }
        }
    }

    /// Lets time pass until `next`, or until the host has something.
    fn idle(&mut self, next: VirtualTime) {
        let now = self.sys.clock.now();
        if self.sys.tape.plays() {
            return self.replay_idle(next);
        }
        if next <= now || self.sys.host.has_completions() {
            return;
        }
        let endless = next.0 == u64::MAX;
        if self.pacing == Pacing::SkipIdle && !endless {
            self.sys.clock.sleep_until(next);
            return;
        }
        let span = Duration::from_nanos(next.0 - now.0);
        let begin = Instant::now();
        let timeout = if endless {
            None
        } else {
            Some(span.saturating_sub(self.oversleep))
        };
        let _ = self.sys.host.wait(timeout);
        self.look.looked(self.sys.clock.executed());
        let slept = begin.elapsed() + std::mem::take(&mut self.oversleep);
        if slept >= span && !endless {
            // What the host overslept is taken off the next idle span, so that lateness does not add up.
            self.oversleep = (slept - span).min(Duration::from_millis(10));
            self.sys.clock.sleep_until(next);
        } else {
            self.sys.clock.sleep_until(now.after(slept).min(next));
        }
    }

    /// Under `Wall`, pulls virtual time and the wall together after each slice.
    fn follow_wall(&mut self) {
        if self.pacing != Pacing::Wall || self.sys.tape.plays() {
            return;
        }
        let before = self.sys.moment();
        let now = self.sys.clock.now();
        let (begin, origin) = *self.wall.get_or_insert((Instant::now(), now));
        let wall = origin.after(begin.elapsed());
        if wall > now {
            let next = self.sys.next_deadline().unwrap_or(wall);
            self.sys.clock.sleep_until(wall.min(next.max(now)));
            self.sys.tape.hear(before, Input::Ticks(self.sys.clock.ticks()));
        } else if now.0 - wall.0 > 1_000_000 {
            let _ = self.sys.host.wait(Some(Duration::from_nanos(now.0 - wall.0)));
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

const PAGE: usize = 4096;

#[derive(Serialize, Deserialize)]
struct SavedRam {
    name: String,
    len: u64,
    /// Pages that are not all zero.
    pages: Vec<(u64, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct SavedMachine {
    clock: Clock,
    timers: Vec<(VirtualTime, DeviceId, TimerIndex)>,
    nets: Vec<u32>,
    outputs: Vec<Vec<bool>>,
    clocks: Vec<u64>,
    devices: Vec<(DeviceId, String, SavedState)>,
    cpus: Vec<SavedState>,
    turns: SavedTurns,
    timebase: Timebase,
    firmware: Option<SavedState>,
    ram: Vec<SavedRam>,
}

const SAVE_VERSION: u32 = 2;

impl Machine {
    /// The whole machine. Fails with the reason of the first device that cannot be saved now.
    pub fn save(&mut self) -> Result<SavedState, String> {
        let mut saved = self.save_parts()?;
        saved.ram = self.ram.iter().map(|(name, block)| save_ram(name, block)).collect();
        Ok(SavedState::of(SAVE_VERSION, &saved))
    }

    /// Everything but RAM.
    fn save_parts(&mut self) -> Result<SavedMachine, String> {
        self.flush_lines();
        let mut devices = Vec::new();
        let ids: Vec<_> = self.sys.devices().map(|(id, s)| (id, s.device_type.name)).collect();
        for (id, name) in ids {
            let saved = self.sys.with_device(id, |d, _| match d.migration_blocker() {
                Some(reason) => Err(format!("{name}: {reason}")),
                None => Ok(d.save()),
            });
            if let Some(saved) = saved {
                devices.push((id, name.to_owned(), saved?));
            }
        }
        Ok(SavedMachine {
            clock: self.sys.clock.clone(),
            timers: self.sys.timers.list(),
            nets: self.sys.nets.levels(),
            outputs: self.sys.output_levels(),
            clocks: self.sys.clock_frequencies(),
            devices,
            cpus: self.cpus.iter().map(|c| c.save()).collect(),
            turns: self.save_turns(),
            timebase: self.sys.timebase,
            firmware: self.firmware.as_ref().map(|f| f.save()),
            ram: Vec::new(),
        })
    }

    /// Takes a saved machine back into one built by the same command line. On error the machine must be reset before it runs.
    pub fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let s: SavedMachine = saved.read(SAVE_VERSION)?;
        if s.ram.len() != self.ram.len() {
            return Err(LoadError::Impossible("another number of RAM blocks"));
        }
        if !s.clock.is_possible() {
            return Err(LoadError::Impossible("a clock that no machine has"));
        }
        if s.timebase.hz != self.sys.timebase.hz {
            return Err(LoadError::Impossible("another timebase"));
        }
        for (saved, (name, block)) in s.ram.iter().zip(&self.ram) {
            load_ram(saved, name, block)?;
        }
        self.load_parts(&s)?;
        self.started = true;
        Ok(())
    }

    /// Everything but RAM.
    fn load_parts(&mut self, s: &SavedMachine) -> Result<(), LoadError> {
        for (id, name, state) in &s.devices {
            if self.sys.slot(*id).is_none_or(|slot| slot.device_type.name != name) {
                return Err(LoadError::Damaged(format!(
                    "there is no {name} where the state has one"
                )));
            }
            self.sys.with_device(*id, |d, _| d.load(state)).unwrap_or(Ok(()))?;
        }
        if s.cpus.len() != self.cpus.len() {
            return Err(LoadError::Impossible("another number of processors"));
        }
        for (cpu, state) in self.cpus.iter_mut().zip(&s.cpus) {
            cpu.load(state)?;
        }
        match (&mut self.firmware, &s.firmware) {
            (Some(firmware), Some(state)) => firmware.load(state)?,
            (None, None) => {}
            _ => {
                return Err(LoadError::Impossible(
                    "firmware where there is none, or none where there is",
                ));
            }
        }
        let fits = self.sys.nets.restore(&s.nets)
            && self.sys.restore_output_levels(&s.outputs)
            && self.sys.restore_clock_frequencies(&s.clocks);
        if !fits {
            return Err(LoadError::Impossible("another wiring"));
        }
        self.sys.clock = s.clock.clone();
        self.sys.timers.clear();
        for (deadline, device, timer) in &s.timers {
            self.sys.timers.set(*device, *timer, *deadline);
        }
        self.sys.timebase = s.timebase;
        self.load_turns(&s.turns)?;
        for i in (0..).take(self.cpus.len()) {
            let _ = self.sys.take_lines(CpuId(i));
        }
        for (id, ..) in &s.devices {
            self.sys.with_device(*id, |d, cx| d.after_load(cx));
        }
        Ok(())
    }
}

fn save_ram(name: &str, block: &RamBlock) -> SavedRam {
    let mut pages = Vec::new();
    let mut page = [0; PAGE];
    let mut offset = 0;
    while offset < block.len() {
        let len = (block.len() - offset).min(PAGE as u64) as usize;
        if block.read(offset, &mut page[..len]) && page[..len].iter().any(|b| *b != 0) {
            pages.push((offset, page[..len].to_vec()));
        }
        offset += PAGE as u64;
    }
    SavedRam {
        name: name.to_owned(),
        len: block.len(),
        pages,
    }
}

fn load_ram(saved: &SavedRam, name: &str, block: &RamBlock) -> Result<(), LoadError> {
    if saved.name != name || saved.len != block.len() {
        return Err(LoadError::Impossible("another RAM block"));
    }
    let zero = [0; PAGE];
    let mut offset = 0;
    while offset < block.len() {
        let len = (block.len() - offset).min(PAGE as u64) as usize;
        let mut now = [0; PAGE];
        let dirty = block.read(offset, &mut now[..len]) && now[..len] != zero[..len];
        if dirty && !block.write(offset, &zero[..len]) {
            return Err(LoadError::Impossible("a page outside RAM"));
        }
        offset += PAGE as u64;
    }
    for (offset, data) in &saved.pages {
        if !block.write(*offset, data) {
            return Err(LoadError::Impossible("a page outside RAM"));
        }
    }
    Ok(())
}
