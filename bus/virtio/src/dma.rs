//! Guest memory as a queue sees it: little-endian numbers and bytes. Who reaches it, the machine or another thread, makes no difference to
//! a queue.

use southbridge_core::Ctx;
use std::sync::atomic::Ordering;

use crate::queue::RingError;

/// Memory with rings in it.
pub(crate) trait Memory {
    fn read(&mut self, at: u64, out: &mut [u8]) -> Result<(), RingError>;

    fn write(&mut self, at: u64, data: &[u8]) -> Result<(), RingError>;

    /// Keeps accesses before and after it apart, as an atomic fence does, where the driver runs at the same time.
    fn order(&mut self, _ordering: Ordering) {}

    fn u16(&mut self, at: u64) -> Result<u16, RingError> {
        let mut b = [0; 2];
        self.read(at, &mut b)?;
        Ok(u16::from_le_bytes(b))
    }

    fn set_u16(&mut self, at: u64, value: u16) -> Result<(), RingError> {
        self.write(at, &value.to_le_bytes())
    }
}

/// Memory as one device sees it, for the length of a call.
pub(crate) struct Dma<'a, 'c> {
    pub(crate) ctx: &'a mut Ctx<'c>,
    /// The transport lets it (PCI: bus master).
    pub(crate) allowed: bool,
}

impl Memory for Dma<'_, '_> {
    fn read(&mut self, at: u64, out: &mut [u8]) -> Result<(), RingError> {
        if !self.allowed {
            return Err(RingError::NoAccess);
        }
        self.ctx.dma_read(at, out).map_err(|_| RingError::Memory(at))
    }

    fn write(&mut self, at: u64, data: &[u8]) -> Result<(), RingError> {
        if !self.allowed {
            return Err(RingError::NoAccess);
        }
        self.ctx.dma_write(at, data).map_err(|_| RingError::Memory(at))
    }
}
