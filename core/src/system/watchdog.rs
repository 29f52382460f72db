//! What becomes of a machine whose watchdog expires: the user's choice, made once and for every watchdog.

use super::{Ctx, Requests};
use crate::line::Sink;

/// What happens when a watchdog of the guest expires (`-action watchdog=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchdogPolicy {
    /// What the part does: the system is reset.
    #[default]
    Reset,
    /// The machine switches off.
    Poweroff,
    /// The processors stop, for somebody to look.
    Pause,
    /// An interrupt at this input of a processor, which has no mask.
    Nmi(Sink),
    /// A line on standard error, and the guest goes on.
    Tell,
    /// Nothing.
    Ignore,
}

impl Ctx<'_> {
    /// A watchdog's patience is at its end. Says whether the system is going to be reset, for those who note the cause.
    pub fn watchdog_expired(&mut self) -> bool {
        let policy = self.sys.watchdog;
        let sys = &mut *self.sys;
        match policy {
            WatchdogPolicy::Reset => sys.requests |= Requests::RESET,
            WatchdogPolicy::Poweroff => sys.requests |= Requests::SHUTDOWN,
            WatchdogPolicy::Pause => sys.requests |= Requests::PAUSE,
            // A processor's input is not a device: nothing nests.
            WatchdogPolicy::Nmi(sink @ Sink::Cpu(..)) => {
                sys.deliver(sink, true);
                sys.deliver(sink, false);
            }
            WatchdogPolicy::Nmi(Sink::Device(..)) => {}
            WatchdogPolicy::Tell => self.warning(format_args!("the watchdog has expired")),
            WatchdogPolicy::Ignore => {}
        }
        self.sys.attention = true;
        policy == WatchdogPolicy::Reset
    }
}
