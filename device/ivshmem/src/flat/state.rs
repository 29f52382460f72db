//! The registers that hold something: interrupt mask and status.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

/// The only bit that is not reserved in either register: a peer rang.
const PEER: u32 = 1;

/// What to do with the interrupt line when a peer rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ring {
    /// Up and down again: the receiver latches the edge.
    Pulse,
    /// The line's level says it, until the status is read.
    Level,
}

/// All that a guest has set and that is not the server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    intrmask: u32,
    intrstatus: u32,
}

impl State {
    pub(crate) const fn new() -> Self {
        Self {
            intrmask: 0,
            intrstatus: 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LoadError> {
        match (self.intrmask | self.intrstatus) & !PEER {
            0 => Ok(()),
            _ => Err(LoadError::Impossible("reserved bits of an ivshmem register")),
        }
    }

    pub(crate) fn mask(&self) -> u32 {
        self.intrmask
    }

    pub(crate) fn set_mask(&mut self, value: u32) {
        self.intrmask = value & PEER;
    }

    /// Reading clears.
    pub(crate) fn take_status(&mut self) -> u32 {
        std::mem::take(&mut self.intrstatus)
    }

    pub(crate) fn set_status(&mut self, value: u32) {
        self.intrstatus = value & PEER;
    }

    pub(crate) fn ring(&mut self) -> Ring {
        self.intrstatus = PEER;
        if self.intrmask & PEER == 0 {
            Ring::Pulse
        } else {
            Ring::Level
        }
    }

    /// Level of the interrupt line.
    pub(crate) fn line(&self) -> bool {
        self.intrstatus & self.intrmask != 0
    }
}
