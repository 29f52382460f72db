//! The debug console (chapter 12): a 16550 UART that the firmware shares with the guest.

use southbridge_core::System;

use crate::spec::{SbiError, SbiResult};

/// Most bytes that one call moves; the guest learns how many it were and calls again.
const MOST: u64 = 4096;
/// Line status register (16550, data sheet 8.4) and its bits.
const LSR: u64 = 5;
const LSR_DATA_READY: u64 = 1;
const LSR_EMPTY: u64 = 1 << 5;

/// The UART's registers start here, one byte each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console(pub(crate) u64);

impl Console {
    /// Sends a byte; one for which there is no room now is lost, since a firmware that waits would stall the machine.
    pub(crate) fn put(self, byte: u8, sys: &mut System) -> bool {
        let free = sys.read(self.0 + LSR, 1).is_ok_and(|s| s & LSR_EMPTY != 0);
        free && sys.write(self.0, 1, byte.into()).is_ok()
    }

    /// Takes a byte that has come, if one has.
    pub(crate) fn get(self, sys: &mut System) -> Option<u8> {
        let ready = sys.read(self.0 + LSR, 1).is_ok_and(|s| s & LSR_DATA_READY != 0);
        let byte = ready.then(|| sys.read(self.0, 1).ok()).flatten()?;
        Some(byte as u8)
    }

    /// Sends bytes out of memory; as many as there is room for.
    pub(crate) fn write(self, len: u64, low: u64, high: u64, sys: &mut System) -> SbiResult {
        let mut bytes = memory(len, low, high)?;
        sys.read_bytes(low, &mut bytes).map_err(|_| SbiError::InvalidParam)?;
        let sent = bytes.iter().take_while(|b| self.put(**b, sys)).count();
        Ok(sent as u64)
    }

    /// Takes bytes that have come into memory.
    pub(crate) fn read(self, len: u64, low: u64, high: u64, sys: &mut System) -> SbiResult {
        let room = memory(len, low, high)?.len();
        let mut bytes = Vec::new();
        while bytes.len() < room
            && let Some(b) = self.get(sys)
        {
            bytes.push(b);
        }
        sys.write_bytes(low, &bytes).map_err(|_| SbiError::InvalidParam)?;
        Ok(bytes.len() as u64)
    }
}

/// A buffer as long as the guest's, within reason.
fn memory(len: u64, low: u64, high: u64) -> Result<Vec<u8>, SbiError> {
    let len = len.min(MOST);
    if high != 0 || low.checked_add(len).is_none() {
        return Err(SbiError::InvalidParam);
    }
    Ok(vec![0; len as usize])
}
