//! Switching off, resets and crashes: who wanted it, and what the user's choices make of it.
//!
//! What it is not: the reset of devices, which is the system's. Causes are told apart here because clients of the monitor act on them:
//! a guest that reboots is started anew, one that was told to quit is not.

use super::{Machine, MachineEvent, Outcome, RunState};
use crate::system::Requests;

/// Why a machine is switched off or reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// The host failed.
    HostError = 1,
    /// Somebody told the program to end.
    HostQuit,
    /// Somebody pressed the reset button.
    HostReset,
    /// A signal to the process.
    HostSignal,
    /// The guest switched off.
    GuestShutdown,
    /// The guest asked for a reset.
    GuestReset,
    /// The guest cannot go on.
    GuestPanic,
}

impl Cause {
    const ALL: [Self; 7] = [
        Self::HostError,
        Self::HostQuit,
        Self::HostReset,
        Self::HostSignal,
        Self::GuestShutdown,
        Self::GuestReset,
        Self::GuestPanic,
    ];

    /// The word of the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostError => "host-error",
            Self::HostQuit => "host-qmp-quit",
            Self::HostReset => "host-qmp-system-reset",
            Self::HostSignal => "host-signal",
            Self::GuestShutdown => "guest-shutdown",
            Self::GuestReset => "guest-reset",
            Self::GuestPanic => "guest-panic",
        }
    }

    /// Whose wish it was.
    pub const fn is_guest(self) -> bool {
        matches!(self, Self::GuestShutdown | Self::GuestReset | Self::GuestPanic)
    }

    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|c| *c as u8 == number)
    }
}

/// What is done about a guest that cannot go on (`-action panic=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PanicPolicy {
    /// The machine stays, paused.
    Pause,
    /// The run ends; or the machine stays, if it stays when it is switched off.
    #[default]
    Shutdown,
    /// The run ends as a failure.
    ExitFailure,
    /// Nothing. A processor that is locked up stands nevertheless.
    None,
}

/// What comes of a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanicAction {
    /// The machine pauses.
    Pause,
    /// It is switched off.
    Poweroff,
    /// It goes on.
    Run,
}

impl Machine {
    /// Resets the machine, or switches it off where the user wants that instead.
    pub(super) fn guest_reset(&mut self) -> Option<Outcome> {
        if self.policy.reset_ends {
            return self.power_off(Cause::GuestReset);
        }
        self.reset();
        self.emit(&MachineEvent::Reset {
            cause: Cause::GuestReset,
        });
        None
    }

    /// The guest switches off; with a failure if it says so.
    pub(super) fn guest_shutdown(&mut self) -> Option<Outcome> {
        let failed = self.sys.requests.contains(Requests::FAILURE);
        self.sys.requests.remove(Requests::SHUTDOWN | Requests::FAILURE);
        self.power_off(if failed {
            Cause::GuestPanic
        } else {
            Cause::GuestShutdown
        })
    }

    /// Switches the machine off at the next turn, in the way that the user chose.
    pub fn request_power_off(&mut self, cause: Cause) {
        self.off = Some(cause);
    }

    pub(super) fn power_off(&mut self, cause: Cause) -> Option<Outcome> {
        self.emit(&MachineEvent::Shutdown { cause });
        let code = std::mem::take(&mut self.sys.exit_code);
        if self.policy.shutdown_pauses {
            self.pause(RunState::Shutdown);
            return None;
        }
        Some(match code {
            0 => Outcome::Shutdown,
            code => Outcome::GuestExit(code.into()),
        })
    }

    /// The guest says that it has crashed.
    pub(super) fn guest_panicked(&mut self) -> Option<Outcome> {
        let text = "its kernel says so";
        match self.crash("the guest has crashed", text, self.panic_action())? {
            Outcome::Lockup(_) if self.policy.panic == PanicPolicy::ExitFailure => Some(Outcome::GuestExit(1)),
            // The guest's processor is well, and so is this program.
            Outcome::Lockup(_) => Some(Outcome::Shutdown),
            other => Some(other),
        }
    }

    /// A processor is locked up. It stands for good, so nothing at all cannot be done about it.
    pub(super) fn locked_up(&mut self, text: &str) -> Option<Outcome> {
        let action = match self.panic_action() {
            PanicAction::Run => PanicAction::Pause,
            action => action,
        };
        self.crash("the guest's processor is locked up", text, action)
    }

    fn panic_action(&self) -> PanicAction {
        match self.policy.panic {
            PanicPolicy::Pause => PanicAction::Pause,
            PanicPolicy::Shutdown if self.policy.shutdown_pauses => PanicAction::Pause,
            PanicPolicy::Shutdown | PanicPolicy::ExitFailure => PanicAction::Poweroff,
            PanicPolicy::None => PanicAction::Run,
        }
    }

    fn crash(&mut self, what: &str, text: &str, action: PanicAction) -> Option<Outcome> {
        self.emit(&MachineEvent::Panicked { action });
        let outcome = Outcome::Lockup(text.to_owned());
        // A debugger wants to see it whatever the policy.
        if action == PanicAction::Run || self.held(&outcome) {
            return None;
        }
        self.pause(RunState::GuestPanicked);
        if action == PanicAction::Pause {
            self.sys.log.warning(format_args!("{what}, the machine pauses: {text}"));
            return None;
        }
        self.emit(&MachineEvent::Shutdown {
            cause: Cause::GuestPanic,
        });
        if self.policy.shutdown_pauses {
            self.pause(RunState::Shutdown);
            return None;
        }
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockRate;

    /// A guest says that it has crashed; `Deadline` stands for a run that goes on.
    fn crashed(policy: PanicPolicy, shutdown_pauses: bool) -> (Outcome, RunState) {
        let mut machine = Machine::empty(ClockRate::Hz(1_000_000)).unwrap();
        machine.policy.panic = policy;
        machine.policy.shutdown_pauses = shutdown_pauses;
        machine.start();
        machine.sys.requests |= Requests::PANIC;
        let outcome = match machine.requests() {
            Some(outcome) => outcome,
            None => Outcome::Deadline,
        };
        (outcome, machine.run_state())
    }

    #[test]
    fn a_crash_that_the_guest_tells_of() {
        let stays = Outcome::Deadline;
        assert_eq!(
            crashed(PanicPolicy::Pause, false),
            (stays.clone(), RunState::GuestPanicked)
        );
        assert_eq!(
            crashed(PanicPolicy::Shutdown, true),
            (stays.clone(), RunState::GuestPanicked)
        );
        assert_eq!(crashed(PanicPolicy::None, false), (stays.clone(), RunState::Running));
        assert_eq!(crashed(PanicPolicy::ExitFailure, true), (stays, RunState::Shutdown));
        assert_eq!(crashed(PanicPolicy::Shutdown, false).0, Outcome::Shutdown);
        assert_eq!(crashed(PanicPolicy::ExitFailure, false).0, Outcome::GuestExit(1));
    }

    #[test]
    fn causes_have_numbers_and_names() {
        for cause in Cause::ALL {
            assert_eq!(Cause::of_number(cause as u8), Some(cause));
            assert_eq!(cause.is_guest(), cause.name().starts_with("guest-"));
        }
        assert_eq!(Cause::of_number(0), None);
    }
}
