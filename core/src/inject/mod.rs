//! Fault injection: rules that drop, delay, corrupt or fail the Nth access, line change, timer, completion or message that matches.
//!
//! One mechanism for every device and back end, at the places where everything passes by: the bus, output lines, the timer queue, the
//! one door for what the host did and the one for what devices hand to back ends. It is deterministic: a rule counts what it sees, and delays are virtual time. Without rules it
//! costs nothing beyond the test that tracing has at the same places. It changes no back end itself, and invents no events but one: a
//! device whose message fails hears that its other side is gone.

mod hooks;
mod messages;
mod queue;
#[cfg(test)]
mod tests;

use hooks::corrupt;
pub use messages::Passage;
pub(crate) use queue::{Deferred, Queue};

use crate::trace::Glob;

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A read of a register.
    Read,
    /// A write to a register.
    Write,
    /// A change of an output line.
    Line,
    /// A timer that is due.
    Timer,
    /// Anything that the host did for a device.
    Completion,
    /// Bytes that a back end has for a device.
    Message,
    /// Bytes that a device has for a back end.
    Output,
}

impl FaultKind {
    /// All, by the words of the command line.
    pub const ALL: [(&'static str, Self); 7] = [
        ("mmio-read", Self::Read),
        ("mmio-write", Self::Write),
        ("line", Self::Line),
        ("timer", Self::Timer),
        ("completion", Self::Completion),
        ("message", Self::Message),
        ("output", Self::Output),
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, k)| *k == self).map_or("", |(n, _)| n)
    }
}

/// What a rule does to what it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultAction {
    /// It does not happen: a read gives 0, a line stays as it is, bytes are lost.
    Drop,
    /// It happens so many nanoseconds of virtual time later.
    Delay(u64),
    /// The value (of a message: one byte) becomes this one.
    Set(u64),
    /// These bits of the value (of a message: of one byte) are inverted.
    Xor(u64),
    /// It fails: a bus error, a completion with `-EIO`, a message whose other side is gone.
    Fail,
}

impl FaultAction {
    /// Its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Delay(_) => "delay",
            Self::Set(_) | Self::Xor(_) => "corrupt",
            Self::Fail => "fail",
        }
    }

    fn fits(self, kind: FaultKind) -> bool {
        use FaultKind::*;
        match self {
            Self::Drop => true,
            Self::Delay(_) => !matches!(kind, Read | Write),
            Self::Set(_) | Self::Xor(_) => matches!(kind, Read | Write | Message | Output),
            Self::Fail => matches!(kind, Read | Write | Completion | Message | Output),
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// Its id, unique among the rules.
    pub id: String,
    /// Devices by id, type name or name in traces (`pl011@4000c000`).
    pub device: Glob,
    /// What to look at.
    pub kind: FaultKind,
    /// Only registers (of [`FaultKind::Read`] and `Write`), line groups (of [`FaultKind::Line`]) or back ends (of completions and
    /// messages) of such a name.
    pub name: Glob,
    /// Only this timer, or this connection of the device, by the device's numbering.
    pub number: Option<u32>,
    /// The first match that is struck, counted from 1.
    pub nth: u64,
    /// And then every so many; 0: no more.
    pub every: u64,
    /// Matches struck at most; 0: no limit.
    pub count: u64,
    /// What happens to it.
    pub action: FaultAction,
    /// Which byte of a message is corrupted, counted from 0.
    pub byte: usize,
}

impl FaultRule {
    /// A rule that strikes the first match of any device.
    pub fn new(id: &str, kind: FaultKind, action: FaultAction) -> Self {
        Self {
            id: id.to_owned(),
            device: Glob::new("*"),
            kind,
            name: Glob::new("*"),
            number: None,
            nth: 1,
            every: 0,
            count: 0,
            action,
            byte: 0,
        }
    }

    /// Whether the `n`th match, of which `struck` were struck before, is struck.
    fn strikes(&self, n: u64, struck: u64) -> bool {
        let Some(after) = n.checked_sub(self.nth) else {
            return false;
        };
        let due = after == 0 || after.checked_rem(self.every) == Some(0);
        due && (self.count == 0 || struck < self.count)
    }
}

/// Why a rule was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// There is one of that id.
    #[error("there is a fault rule '{0}' already")]
    Duplicate(String),
    /// The action makes no sense for the kind.
    #[error("'{action}' cannot be done to '{kind}'")]
    Unfit {
        /// Word of the action.
        action: &'static str,
        /// Word of the kind.
        kind: &'static str,
    },
    /// Matches count from 1.
    #[error("nth=0: the first match is number 1")]
    Zeroth,
}

/// A rule at work.
#[derive(Debug, Clone)]
pub struct ActiveRule {
    /// The rule.
    pub rule: FaultRule,
    /// Matches so far.
    pub seen: u64,
    /// Those that were struck.
    pub struck: u64,
}

/// All rules of a machine, and what they hold back.
#[derive(Default)]
pub struct Faults {
    rules: Vec<ActiveRule>,
    pub(crate) queue: Queue,
    pub(crate) ends: messages::Ends,
}

impl Faults {
    /// The rules, in the order in which they are asked; the first that strikes decides.
    pub fn rules(&self) -> &[ActiveRule] {
        &self.rules
    }

    /// Whether something delayed has not happened yet.
    pub fn holds_back(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn looks_at(&self, kinds: &[FaultKind]) -> bool {
        self.rules.iter().any(|r| kinds.contains(&r.rule.kind))
    }
}

impl crate::System {
    /// Takes a rule in.
    ///
    /// # Errors
    /// When it makes no sense or its id is taken.
    pub fn add_fault(&mut self, rule: FaultRule) -> Result<(), FaultError> {
        if self.faults.rules.iter().any(|r| r.rule.id == rule.id) {
            return Err(FaultError::Duplicate(rule.id));
        }
        if !rule.action.fits(rule.kind) {
            return Err(FaultError::Unfit {
                action: rule.action.name(),
                kind: rule.kind.name(),
            });
        }
        if rule.nth == 0 {
            return Err(FaultError::Zeroth);
        }
        self.faults.rules.push(ActiveRule {
            rule,
            seen: 0,
            struck: 0,
        });
        self.refresh_probes();
        Ok(())
    }

    /// Takes a rule out; what it delayed still happens. `false` if there is none of that id.
    pub fn remove_fault(&mut self, id: &str) -> bool {
        let before = self.faults.rules.len();
        self.faults.rules.retain(|r| r.rule.id != id);
        self.refresh_probes();
        self.faults.rules.len() != before
    }
}
