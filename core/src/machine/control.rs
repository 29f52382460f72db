//! What those outside see of a machine and do with it: how it runs, why it ended, what happens to it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::{Cause, Machine, PanicAction, PanicPolicy};
use crate::host::Kick;
use crate::notice::Notice;

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
    pub(super) kick: Kick,
    /// The cause in numbers; 0 is none.
    pub(super) stop: Arc<AtomicU8>,
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
    pub(super) kick: Kick,
    pub(super) call: Arc<AtomicBool>,
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
