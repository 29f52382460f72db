//! Bridges: root ports, the ports of a switch, bridges to conventional PCI, and the expander that adds a root bus.
//!
//! All are a type 1 header with capabilities; what is behind them is found by the host bridge, from bus numbers and windows. Root ports
//! and downstream ports have a slot with hot-plug (`slot`). Layouts of configuration space are QEMU 10's.
//!
//! Not modelled: the standard hot-plug controller of conventional bridges (`shpc=on` is refused).

mod slot;
#[cfg(test)]
mod tests;
mod types;

pub use types::{DOWNSTREAM, EXPANDER, PCI_BRIDGE, ROOT_PORT, TO_PCI, UPSTREAM};

use serde::{Deserialize, Serialize};
use southbridge_bus_pci::caps::express::regs::{LNKCAP, LNKSTA};
use southbridge_bus_pci::errors::PciMessage;
use southbridge_bus_pci::{ConfigSpace, Effects, Leaves, Pci, PciFunction, PciSlot, PciState, SlotError, regs};
use southbridge_core::{Access, Ctx, Device, LoadError, Mmio, ResetPhase, SavedState};

use slot::Slot;

const VERSION: u32 = 3;

/// Speed and width, in link capabilities as in link status.
const LINK_SPEED: u16 = 0xf;
const LINK_WIDTH: u16 = 0x3f0;
const LINK: u16 = LINK_SPEED | LINK_WIDTH;

/// A bridge of any kind.
pub struct Port {
    // Fixed.
    slot: Option<Slot>,
    /// The lower side leads to one device, at slot 0.
    single: bool,
    /// A root port, where messages from below end.
    root: bool,
    /// Windows are shut after reset, else they are open for the first block.
    shut: bool,
    // Volatile.
    pci: Pci,
    /// What has been told: a slot event, an error, a power event.
    told: [bool; 3],
    /// What is in the slot was asked to leave, and goes when the guest's driver of it lets it go: nobody drives the slot.
    leaving: bool,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    pci: PciState,
    told: [bool; 3],
    leaving: bool,
}

impl Port {
    fn new(pci: Pci) -> Self {
        Self {
            slot: None,
            single: false,
            root: false,
            shut: false,
            pci,
            told: [false; 3],
            leaving: false,
        }
    }

    fn with_slot(mut self) -> Self {
        self.slot = self.pci.express_at().map(Slot::new);
        self.single = true;
        self
    }

    fn clear(&mut self, power_on: bool, occupied: bool, cx: &mut Ctx<'_>) {
        self.pci.reset(power_on, cx);
        if self.shut {
            self.pci.config.set_u8(regs::IO_BASE, 0xf0);
            self.pci.config.set_u16(regs::MEMORY_BASE, 0xfff0);
            self.pci.config.set_u16(regs::PREF_BASE, 0xfff1);
        }
        if let Some(slot) = self.slot {
            slot.reset(&mut self.pci.config, occupied);
        }
        self.told = [false; 3];
        self.sync(cx);
    }

    /// Tells the guest of events: a message for each time that there is something new, or the level of the wire. All have vector 0.
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        if self.slot.is_none() {
            return;
        }
        let wants = [
            self.slot.is_some_and(|s| s.wants_interrupt(&self.pci.config)),
            self.pci.wants_error_interrupt(),
            self.pci.wants_power_interrupt(),
        ];
        for (want, told) in wants.into_iter().zip(self.told) {
            if want && !told {
                self.pci.notify(0, cx);
            }
        }
        self.told = wants;
        self.pci.set_intx(wants.contains(&true), cx);
    }

    /// The link runs at what both ends can; alone, or with a conventional device, at what the port can.
    fn train(&mut self, at: u16, cx: &mut Ctx<'_>) {
        let below = cx.children(0).iter().find(|(_, devfn)| *devfn == 0).map(|c| c.0);
        let theirs = below.and_then(|d| {
            let link = |f: &mut dyn PciFunction| Some(f.pci().config.u16(f.pci().express_at()? + LNKSTA));
            cx.with_role::<dyn PciFunction, _>(d, |f, _| link(f)).flatten()
        });
        let own = self.pci.config.u32(at + LNKCAP) as u16 & LINK;
        let least = |field: u16| match theirs.unwrap_or(own) & field {
            0 => own & field,
            n => n.min(own & field),
        };
        let old = self.pci.config.u16(at + LNKSTA) & !LINK;
        self.pci
            .config
            .set_u16(at + LNKSTA, old | least(LINK_SPEED) | least(LINK_WIDTH));
    }

    fn is_occupied(cx: &Ctx<'_>) -> bool {
        cx.children(0).iter().any(|(_, at)| *at == 0)
    }

    /// Whether a driver has a function below.
    fn is_driven(cx: &mut Ctx<'_>) -> bool {
        let driven = |d, cx: &mut Ctx<'_>| cx.with_role::<dyn PciFunction, _>(d, |f, _| f.pci().is_driven());
        cx.children(0).iter().any(|(d, _)| driven(*d, cx) == Some(true))
    }
}

impl PciFunction for Port {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        let occupied = Self::is_occupied(cx);
        self.clear(false, occupied, cx);
    }

    fn config_read(&mut self, offset: u16, size: u8, cx: &mut Ctx<'_>) -> u32 {
        if let (Some(_), Some(at)) = (self.slot, self.pci.express_at())
            && ConfigSpace::touches(offset, size, at + LNKSTA, 2)
        {
            self.train(at, cx);
        }
        self.pci.config_read(offset, size)
    }

    fn message(&mut self, message: PciMessage, cx: &mut Ctx<'_>) -> bool {
        let goes_on = self.pci.pass_message(message);
        if !self.root {
            return goes_on;
        }
        if goes_on {
            self.pci.root_message(message);
            self.sync(cx);
        }
        false
    }

    fn config_write(&mut self, offset: u16, size: u8, value: u32, cx: &mut Ctx<'_>) -> Effects {
        let before = self.slot.map(|s| s.before(&self.pci.config));
        let mut effects = self.pci.config_write(offset, size, value, cx);
        if effects.contains(Effects::RESET) {
            self.function_reset(cx);
        }
        if let (Some(slot), Some(before)) = (self.slot, before)
            && slot.written(&mut self.pci.config, before, offset, size, value)
        {
            effects |= Effects::EJECT | Effects::RESET_BELOW;
        }
        self.sync(cx);
        effects
    }
}

impl PciSlot for Port {
    fn may_plug(&self, devfn: u8, hot: bool) -> Result<(), SlotError> {
        if self.single && devfn >= 8 {
            return Err(SlotError::OnlySlot0);
        }
        match self.slot {
            Some(slot) => slot.may_plug(&self.pci.config, hot),
            None if hot => Err(SlotError::NoHotPlug),
            None => Ok(()),
        }
    }

    fn plugged(&mut self, devfn: u8, hot: bool, cx: &mut Ctx<'_>) {
        // Function 0 comes last and stands for the whole device.
        if let (Some(slot), 0) = (self.slot, devfn) {
            self.leaving = false;
            slot.plugged(&mut self.pci.config, hot);
            self.sync(cx);
        }
    }

    fn unplug(&mut self, _devfn: u8, cx: &mut Ctx<'_>) -> Result<Leaves, SlotError> {
        let slot = self.slot.ok_or(SlotError::NoHotPlug)?;
        let leaves = slot.unplug(&mut self.pci.config, Self::is_driven(cx))?;
        self.leaving = leaves == Leaves::WhenReleased && !slot.is_managed(&self.pci.config);
        self.sync(cx);
        Ok(leaves)
    }

    fn released(&mut self, cx: &mut Ctx<'_>) -> bool {
        let leaves = self.leaving && !Self::is_driven(cx);
        if let (Some(slot), true) = (self.slot, leaves) {
            self.leaving = false;
            slot.emptied(&mut self.pci.config);
            self.sync(cx);
        }
        leaves
    }
}

impl Mmio for Port {
    fn read(&mut self, access: Access, _cx: &mut Ctx<'_>) -> u64 {
        self.pci.msix_read(access).unwrap_or(0)
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.pci.msix_write(access, value, cx);
    }
}

impl Device for Port {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            // After a reset there is no driver that could let go.
            let leaves = std::mem::take(&mut self.leaving);
            let occupied = !leaves && Self::is_occupied(cx);
            self.clear(true, occupied, cx);
            if leaves {
                cx.children(0).iter().for_each(|(child, _)| cx.request_unplug(*child));
            }
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            slot: _,
            single: _,
            root: _,
            shut: _,
            pci,
            told,
            leaving,
        } = self;
        SavedState::of(
            VERSION,
            &Saved {
                pci: pci.save(),
                told: *told,
                leaving: *leaving,
            },
        )
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let Saved { pci, told, leaving } = state.read(VERSION)?;
        self.pci.load(pci)?;
        self.told = told;
        self.leaving = leaving;
        Ok(())
    }
}
