//! Accesses of software: configuration space and the table of MSI-X.

use southbridge_core::{Access, Ctx};

use super::{Effects, Pci};
use crate::caps::{self, PM_CONTROL, PM_NO_SOFT_RESET, devctl, express::regs as express};
use crate::regs::*;

impl Pci {
    /// 1, 2 or 4 bytes of configuration space.
    pub fn config_read(&self, offset: u16, size: u8) -> u32 {
        self.config.read(offset, size)
    }

    /// Takes a write, lets interrupts follow, and says what else the function must do.
    pub fn config_write(&mut self, offset: u16, size: u8, value: u32, cx: &mut Ctx<'_>) -> Effects {
        let slept = !self.is_awake();
        let held = self.holds_reset();
        let virtuals = self.physical.as_ref().map(|p| p.before(&self.config));
        self.config.write(offset, size, value);
        if let (Some(p), Some(before)) = (&self.physical, virtuals) {
            p.written(&mut self.config, before);
        }
        self.errors_written(offset, size);
        if !self.power_events.is_empty() {
            self.next_power_event();
        }
        let mut effects = Effects::empty();
        if let Some(at) = self.express
            && self.config.u16(at + express::DEVCTL) & devctl::FLR != 0
        {
            let capable = self.config.u32(at + express::DEVCAP) & caps::devcap::FLR != 0;
            let bridge = self.is_bridge();
            if capable {
                self.config.set_bits16(at + express::DEVCTL, devctl::FLR, false);
                effects |= Effects::RESET;
            } else if !bridge {
                self.config.set_bits16(at + express::DEVCTL, devctl::FLR, false);
            }
        }
        if slept && self.is_awake() && !self.keeps_state() {
            effects |= Effects::RESET;
        }
        if !held && self.holds_reset() {
            effects |= Effects::RESET_BELOW;
        }
        self.sync(cx);
        effects
    }

    fn holds_reset(&self) -> bool {
        self.is_bridge() && self.config.u16(BRIDGE_CONTROL) & BRIDGE_RESET != 0
    }

    fn keeps_state(&self) -> bool {
        self.pm
            .is_some_and(|at| self.config.u16(at + PM_CONTROL) & PM_NO_SOFT_RESET != 0)
    }

    /// An access of a BAR, if it is to the MSI-X table or its pending bits.
    pub fn msix_read(&self, access: Access) -> Option<u64> {
        let m = self.msix.as_ref()?;
        let part = m.find(self.bar_of(access.region)?, access.offset)?;
        Some(m.read(part, access.size))
    }

    /// The same for writes; tells whether it was one.
    pub fn msix_write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) -> bool {
        let Some(bar) = self.bar_of(access.region) else {
            return false;
        };
        let Some(m) = &mut self.msix else { return false };
        let Some(part) = m.find(bar, access.offset) else {
            return false;
        };
        m.write(part, access.size, value);
        self.sync(cx);
        true
    }

    fn bar_of(&self, region: usize) -> Option<u8> {
        let n = self.bars.iter().position(|b| b.is_some_and(|b| b.region == region))?;
        Some(n as u8)
    }
}
