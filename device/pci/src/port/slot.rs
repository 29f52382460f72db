//! A hot-plug slot behind a port (PCI Express Base 6.0, section 6.7): what its registers do when something comes, is asked to leave, or
//! software writes them. Pure: the port sends interrupts and lets devices go.

use southbridge_bus_pci::caps::express::regs;
use southbridge_bus_pci::caps::{sltcap, sltctl, sltsta};
use southbridge_bus_pci::{ConfigSpace, Leaves, SlotError};

/// The slot registers of the PCI Express capability at an offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    at: u16,
}

/// Control and status as they were before a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    control: u16,
    status: u16,
}

impl Slot {
    pub(super) const fn new(at: u16) -> Self {
        Self { at }
    }

    fn control(self, c: &ConfigSpace) -> u16 {
        c.u16(self.at + regs::SLTCTL)
    }

    fn status(self, c: &ConfigSpace) -> u16 {
        c.u16(self.at + regs::SLTSTA)
    }

    fn set_status(self, c: &mut ConfigSpace, bits: u16, on: bool) {
        c.set_bits16(self.at + regs::SLTSTA, bits, on);
    }

    fn has(self, c: &ConfigSpace, capability: u32) -> bool {
        c.u32(self.at + regs::SLTCAP) & capability != 0
    }

    pub(super) fn before(self, c: &ConfigSpace) -> Before {
        Before {
            control: self.control(c),
            status: self.status(c),
        }
    }

    /// Whether an event waits to be told by interrupt.
    pub(super) fn wants_interrupt(self, c: &ConfigSpace) -> bool {
        let control = self.control(c);
        control & sltctl::INTERRUPT_ENABLE != 0 && self.status(c) & control & sltsta::EVENTS != 0
    }

    fn set_present(self, c: &mut ConfigSpace, present: bool) {
        self.set_status(c, sltsta::PRESENT, present);
        c.set_bits16(self.at + regs::LNKSTA, regs::LNKSTA_ACTIVE, present);
    }

    /// What reset leaves: indicators off and power cut if the slot is empty; else both on.
    pub(super) fn reset(self, c: &mut ConfigSpace, occupied: bool) {
        self.set_present(c, occupied);
        if self.has(c, sltcap::POWER_CONTROLLER) {
            let control = c.u16(self.at + regs::SLTCTL) & !(sltctl::POWER_CUT | sltctl::POWER_INDICATOR);
            let power = if occupied {
                sltctl::POWER_ON
            } else {
                sltctl::POWER_OFF | sltctl::POWER_CUT
            };
            c.set_u16(self.at + regs::SLTCTL, control | power);
        }
    }

    pub(super) fn may_plug(self, c: &ConfigSpace, hot: bool) -> Result<(), SlotError> {
        if hot && !self.has(c, sltcap::HOT_PLUG) {
            return Err(SlotError::NoHotPlug);
        }
        match self.status(c) & sltsta::INTERLOCKED {
            0 => Ok(()),
            _ => Err(SlotError::Locked),
        }
    }

    /// Whether the guest has a driver for the slot: it asked to be told of something.
    pub(super) fn is_managed(self, c: &ConfigSpace) -> bool {
        let asks = sltctl::ATTENTION_ENABLE | sltctl::PRESENCE_ENABLE | sltctl::INTERRUPT_ENABLE;
        self.control(c) & asks != 0
    }

    /// Something is in the slot. What comes while the machine runs is told to the guest's driver, which gives it power; without one
    /// the slot has power at once, so that a guest finds the device when it looks again.
    pub(super) fn plugged(self, c: &mut ConfigSpace, hot: bool) {
        if !hot || !self.is_managed(c) {
            return self.reset(c, true);
        }
        self.set_present(c, true);
        self.set_status(c, sltsta::PRESENCE_CHANGED | sltsta::ATTENTION, true);
    }

    /// The user wants what is in the slot gone: the attention button, unless the guest has cut the power. Nobody hears that in a guest
    /// without a driver of slots: what no driver uses goes at once, the other when its driver lets it go (pulled from under it, it would
    /// leave requests behind that never end).
    pub(super) fn unplug(self, c: &mut ConfigSpace, driven: bool) -> Result<Leaves, SlotError> {
        self.may_plug(c, true)?;
        let control = self.control(c);
        if control & sltctl::POWER_INDICATOR == sltctl::POWER_BLINK {
            return Err(SlotError::Busy);
        }
        if is_off(control) || (!driven && !self.is_managed(c)) {
            self.emptied(c);
            return Ok(Leaves::Now);
        }
        self.set_status(c, sltsta::ATTENTION, true);
        Ok(Leaves::WhenReleased)
    }

    pub(super) fn emptied(self, c: &mut ConfigSpace) {
        self.set_present(c, false);
        self.set_status(c, sltsta::PRESENCE_CHANGED, true);
    }

    /// Software wrote; tells whether what is in the slot leaves now.
    pub(super) fn written(self, c: &mut ConfigSpace, before: Before, offset: u16, size: u8, value: u32) -> bool {
        let (control_at, status_at) = (self.at + regs::SLTCTL, self.at + regs::SLTSTA);
        if ConfigSpace::touches(offset, size, status_at, 2) {
            self.keep_unseen_events(c, before, written_bits(status_at, offset, size, value));
        }
        if !ConfigSpace::touches(offset, size, control_at, 2) {
            return false;
        }
        let control = self.control(c);
        if control & sltctl::INTERLOCK != 0 {
            c.set_bits16(control_at, sltctl::INTERLOCK, false);
            let held = self.status(c) & sltsta::INTERLOCKED != 0;
            self.set_status(c, sltsta::INTERLOCKED, !held);
        }
        let leaves = self.status(c) & sltsta::PRESENT != 0 && is_off(control) && !is_off(before.control);
        if leaves {
            self.emptied(c);
        }
        // Every command is done at once.
        self.set_status(c, sltsta::COMMAND_DONE, true);
        leaves
    }

    /// Guests clear all event bits when they start. Where that would clear one that they have not seen, QEMU keeps them all, and its
    /// guests rely on it.
    fn keep_unseen_events(self, c: &mut ConfigSpace, before: Before, written: u16) {
        if written & !before.status & sltsta::ALL_EVENTS != 0 {
            self.set_status(c, before.status & sltsta::ALL_EVENTS, true);
        }
    }
}

/// Power cut and indicator off: the slot is safe to empty.
const fn is_off(control: u16) -> bool {
    control & sltctl::POWER_CUT != 0 && control & sltctl::POWER_INDICATOR == sltctl::POWER_OFF
}

/// The bits of the word at `at` that a write covers.
fn written_bits(at: u16, offset: u16, size: u8, value: u32) -> u16 {
    (0..2).fold(0, |bits, i| {
        let byte = (at + i).checked_sub(offset).filter(|n| *n < u16::from(size.min(4)));
        bits | byte.map_or(0, |n| ((value >> (8 * n)) as u16 & 0xff) << (8 * i))
    })
}
