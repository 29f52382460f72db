//! Reset, and the state that is saved.

use southbridge_core::{Ctx, LoadError};

use super::{Pci, PciState};
use crate::msi::Msix;

impl Pci {
    /// Back to the state of creation. Sticky bits survive all but a reset of the whole machine (`power_on`).
    pub fn reset(&mut self, power_on: bool, cx: &mut Ctx<'_>) {
        self.config.reset(power_on);
        if let Some(m) = &mut self.msix {
            m.reset();
        }
        self.wants_intx = false;
        if power_on {
            self.errors.clear();
        }
        self.power_events.clear();
        self.sync(cx);
    }

    /// The guest-visible state.
    pub fn save(&self) -> PciState {
        PciState {
            config: self.config.save(),
            msix: self.msix.as_ref().map(Msix::save),
            wants_intx: self.wants_intx,
            errors: self.errors.clone(),
            power_events: self.power_events.clone(),
        }
    }

    /// Whether `state` is of a function of this shape. Devices call it before they change anything.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, state: &PciState) -> Result<(), LoadError> {
        self.config.check(&state.config)?;
        if state.errors.len() > self.errors_max.into() || state.power_events.len() > 64 {
            return Err(LoadError::Impossible("errors that wait"));
        }
        match (&self.msix, &state.msix) {
            (Some(m), Some(s)) => m.fits(s),
            (None, None) => Ok(()),
            _ => Err(LoadError::Impossible("an MSI-X table")),
        }
    }

    /// Takes a saved state back.
    ///
    /// # Errors
    /// When it is of a function of another shape; nothing has changed then.
    pub fn load(&mut self, state: PciState) -> Result<(), LoadError> {
        self.check(&state)?;
        let PciState {
            config,
            msix,
            wants_intx,
            errors,
            power_events,
        } = state;
        self.config.load(&config)?;
        if let (Some(m), Some(s)) = (&mut self.msix, msix) {
            m.load(s);
        }
        self.wants_intx = wants_intx;
        self.errors = errors;
        self.power_events = power_events;
        Ok(())
    }
}
