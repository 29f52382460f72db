//! Where processes run. Which cores two processes that wake each other get decides more about a doorbell than all that they do: on one
//! core a wake-up is a switch, on two it is an interrupt to a core that sleeps. So each way is measured by itself.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// How two processes share the cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// As the host's scheduler likes.
    Free,
    /// Both on one.
    OneCore,
    /// Each on one of its own.
    TwoCores,
}

impl Placement {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Free, Self::OneCore, Self::TwoCores];

    /// In the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::OneCore => "one core",
            Self::TwoCores => "two cores",
        }
    }
}

/// The cores that this process may use.
#[derive(Clone)]
pub(crate) struct Cores {
    all: CpuSet,
    list: Vec<usize>,
}

impl Cores {
    /// Asks the host.
    pub(crate) fn ask() -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let list = (0..CpuSet::MAX_CPU).filter(|n| all.is_set(*n)).collect();
        Ok(Self { all, list })
    }

    /// Does something as the first or second process of a placement: children that it starts stay there.
    pub(crate) fn as_process<T>(&self, placement: Placement, second: bool, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let n = usize::from(second && placement == Placement::TwoCores).min(self.list.len().saturating_sub(1));
        let mut one = CpuSet::new();
        one.set(*self.list.get(n).ok_or("no core to run on")?);
        let set = if placement == Placement::Free { &self.all } else { &one };
        sched_setaffinity(None, set)?;
        let done = f();
        sched_setaffinity(None, &self.all)?;
        done
    }
}
