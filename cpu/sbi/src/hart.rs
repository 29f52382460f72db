//! The processors of a machine as the firmware's harts.

use southbridge_core::{Cpu, CpuId};
use southbridge_cpu_rv64::Rv64;
use std::any::Any;

/// All harts, and the one that called.
pub(crate) struct Harts<'a> {
    /// All of them, by hart id.
    pub(crate) all: &'a mut [Box<dyn Cpu>],
    /// Which one called.
    pub(crate) caller: CpuId,
}

impl Harts<'_> {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.all.len() as u64
    }

    /// The hart with an id.
    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Rv64> {
        let cpu = self.all.get_mut(usize::try_from(id).ok()?)?;
        (&mut **cpu as &mut dyn Any).downcast_mut()
    }

    /// The one that called.
    pub(crate) fn caller(&mut self) -> Option<&mut Rv64> {
        self.get(self.caller.0.into())
    }

    /// The ids that a mask and its base mean (3.3): all if the base is all ones. `None` if one of them does not exist.
    pub(crate) fn masked(&self, mask: u64, base: u64) -> Option<Vec<u64>> {
        let count = self.count();
        if base == u64::MAX {
            return Some((0..count).collect());
        }
        (0..64)
            .filter(|bit| mask >> bit & 1 != 0)
            .map(|bit| base.checked_add(bit).filter(|id| *id < count))
            .collect()
    }
}
