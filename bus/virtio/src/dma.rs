//! Guest memory as a device sees it: little-endian numbers and bytes, if the transport lets the device reach memory at all.

use southbridge_core::Ctx;

use crate::queue::RingError;

/// Memory as one device sees it, for the length of a call.
pub(crate) struct Dma<'a, 'c> {
    pub(crate) ctx: &'a mut Ctx<'c>,
    /// The transport lets it (PCI: bus master).
    pub(crate) allowed: bool,
}

impl Dma<'_, '_> {
    pub(crate) fn read(&mut self, at: u64, out: &mut [u8]) -> Result<(), RingError> {
        if !self.allowed {
            return Err(RingError::NoAccess);
        }
        self.ctx.dma_read(at, out).map_err(|_| RingError::Memory(at))
    }

    pub(crate) fn write(&mut self, at: u64, data: &[u8]) -> Result<(), RingError> {
        if !self.allowed {
            return Err(RingError::NoAccess);
        }
        self.ctx.dma_write(at, data).map_err(|_| RingError::Memory(at))
    }

    pub(crate) fn u16(&mut self, at: u64) -> Result<u16, RingError> {
        let mut b = [0; 2];
        self.read(at, &mut b)?;
        Ok(u16::from_le_bytes(b))
    }

    pub(crate) fn set_u16(&mut self, at: u64, value: u16) -> Result<(), RingError> {
        self.write(at, &value.to_le_bytes())
    }
}
