//! What the device does: DMA that asks for permission, and interrupts.

use southbridge_core::{BusError, Ctx};

use super::Pci;
use crate::msi::{Message, Msi};
use crate::regs::*;

impl Pci {
    /// Reads memory, if the guest lets the function master the bus.
    ///
    /// # Errors
    /// [`BusError::Unmapped`] if not, else what the address answers.
    pub fn dma_read(&self, address: u64, out: &mut [u8], cx: &mut Ctx<'_>) -> Result<(), BusError> {
        self.may_master()?;
        cx.dma_read(address, out)
    }

    /// Writes memory, if the guest lets the function master the bus.
    ///
    /// # Errors
    /// As with reads.
    pub fn dma_write(&self, address: u64, data: &[u8], cx: &mut Ctx<'_>) -> Result<(), BusError> {
        self.may_master()?;
        cx.dma_write(address, data)
    }

    /// Whether a driver has the function: what software lets do DMA it uses, also while it sleeps.
    pub fn is_driven(&self) -> bool {
        self.command().contains(Command::BUS_MASTER)
    }

    /// Whether the function may do DMA and send messages.
    pub fn is_master(&self) -> bool {
        self.command().contains(Command::BUS_MASTER) && self.is_awake()
    }

    fn may_master(&self) -> Result<(), BusError> {
        if self.is_master() {
            Ok(())
        } else {
            Err(BusError::Unmapped)
        }
    }

    /// Whether the guest uses MSI.
    pub fn msi_enabled(&self) -> bool {
        self.msi.is_some_and(|(at, _)| Msi::enabled(&self.config, at))
    }

    /// Whether the guest uses MSI-X.
    pub fn msix_enabled(&self) -> bool {
        self.msix.as_ref().is_some_and(|m| m.enabled(&self.config))
    }

    /// Sends the message of a vector, by MSI-X or MSI, whichever is on; notes it as pending if it is masked. Without either nothing
    /// happens and the result is false: the device uses [`Pci::set_intx`] then.
    pub fn notify(&mut self, vector: u16, cx: &mut Ctx<'_>) -> bool {
        let message = match (&mut self.msix, self.msi) {
            (Some(m), _) if m.enabled(&self.config) => m.notify(&self.config, vector.into()),
            (_, Some((at, msi))) if Msi::enabled(&self.config, at) => msi.notify(&mut self.config, at, vector.into()),
            _ => return false,
        };
        if let Some(m) = message {
            self.send(m, cx);
        }
        true
    }

    /// Whether an MSI-X vector waits for its mask to fall.
    pub fn msix_pending(&self, vector: u16) -> bool {
        self.msix.as_ref().is_some_and(|m| m.is_pending(vector.into()))
    }

    /// Takes a pending vector back: the device has nothing to say any more.
    pub fn msix_clear_pending(&mut self, vector: u16) {
        if let Some(m) = &mut self.msix {
            m.clear_pending(vector.into());
        }
    }

    /// Whether an MSI-X vector is masked, by itself or with all.
    pub fn msix_masked(&self, vector: u16) -> bool {
        self.msix
            .as_ref()
            .is_none_or(|m| m.is_masked(&self.config, vector.into()))
    }

    fn send(&self, m: Message, cx: &mut Ctx<'_>) {
        if let Err(e) = self.dma_write(m.address, &m.data.to_le_bytes(), cx) {
            let Message { address, data } = m;
            cx.guest_error(format_args!("message {data:#x} to {address:#x} is lost: {e}"));
        }
    }

    /// Sets what the device's interrupt is; the line follows unless the guest disabled it or uses messages.
    pub fn set_intx(&mut self, level: bool, cx: &mut Ctx<'_>) {
        self.wants_intx = level;
        self.sync(cx);
    }

    /// Every output from state: the status bit, the line, messages whose mask fell.
    pub(super) fn sync(&mut self, cx: &mut Ctx<'_>) {
        self.config.set_bits16(STATUS, STATUS_INTX, self.wants_intx);
        if let Some(line) = self.intx {
            let silent = self.command().contains(Command::INTX_DISABLE) || self.msi_enabled() || self.msix_enabled();
            cx.set_line(line, self.wants_intx && !silent);
        }
        let mut free = Vec::new();
        if let Some((at, msi)) = self.msi {
            free = msi.released(&mut self.config, at);
        }
        if let Some(m) = &mut self.msix {
            free.extend(m.released(&self.config));
        }
        for m in free {
            self.send(m, cx);
        }
    }
}
