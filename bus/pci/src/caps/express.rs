//! The PCI Express capability (PCI Express Base 6.0, section 7.5.3), version 2.

use super::Capability;
use crate::config::ConfigSpace;
use crate::regs::cap;

/// Offsets in the capability.
pub mod regs {
    /// Device capabilities.
    pub const DEVCAP: u16 = 0x04;
    /// Device control.
    pub const DEVCTL: u16 = 0x08;
    /// Device status.
    pub const DEVSTA: u16 = 0x0a;
    /// Link capabilities.
    pub const LNKCAP: u16 = 0x0c;
    /// Link control.
    pub const LNKCTL: u16 = 0x10;
    /// Link status.
    pub const LNKSTA: u16 = 0x12;
    /// Slot capabilities.
    pub const SLTCAP: u16 = 0x14;
    /// Slot control.
    pub const SLTCTL: u16 = 0x18;
    /// Slot status.
    pub const SLTSTA: u16 = 0x1a;
    /// Root control.
    pub const RTCTL: u16 = 0x1c;
    /// Root status.
    pub const RTSTA: u16 = 0x20;
    /// Device capabilities 2.
    pub const DEVCAP2: u16 = 0x24;
    /// Device control 2.
    pub const DEVCTL2: u16 = 0x28;
    /// Link capabilities 2.
    pub const LNKCAP2: u16 = 0x2c;
    /// Link control 2.
    pub const LNKCTL2: u16 = 0x30;
    /// Bytes of the capability.
    pub const LEN: u8 = 0x3c;
    /// Link status: the data link layer is up.
    pub const LNKSTA_ACTIVE: u16 = 1 << 13;
}

/// Bits of device capabilities.
pub mod devcap {
    /// 8-bit tags.
    pub const EXTENDED_TAG: u32 = 1 << 5;
    /// Role-based error reporting.
    pub const ROLE_BASED_ERRORS: u32 = 1 << 15;
    /// Function-level reset.
    pub const FLR: u32 = 1 << 28;
}

/// Bits of device control.
pub mod devctl {
    /// Error reporting enables.
    pub const ERRORS: u32 = 0xf;
    /// Starts a function-level reset; reads as 0.
    pub const FLR: u16 = 1 << 15;
}

/// Device control 2: ARI forwarding.
pub const DEVCTL2_ARI: u16 = 1 << 5;

/// Bits of slot capabilities.
pub mod sltcap {
    /// Attention button.
    pub const ATTENTION_BUTTON: u32 = 1;
    /// Power controller.
    pub const POWER_CONTROLLER: u32 = 1 << 1;
    /// Attention indicator.
    pub const ATTENTION_INDICATOR: u32 = 1 << 3;
    /// Power indicator.
    pub const POWER_INDICATOR: u32 = 1 << 4;
    /// A device may vanish without notice.
    pub const SURPRISE: u32 = 1 << 5;
    /// Hot-plug capable.
    pub const HOT_PLUG: u32 = 1 << 6;
    /// Electromechanical interlock.
    pub const INTERLOCK: u32 = 1 << 17;
    /// First bit of the physical slot number.
    pub const NUMBER_SHIFT: u32 = 19;
}

/// Bits of slot control.
pub mod sltctl {
    /// Tell of attention button presses.
    pub const ATTENTION_ENABLE: u16 = 1;
    /// Tell of presence changes.
    pub const PRESENCE_ENABLE: u16 = 1 << 3;
    /// Tell of completed commands.
    pub const COMMAND_ENABLE: u16 = 1 << 4;
    /// Tell by interrupt.
    pub const INTERRUPT_ENABLE: u16 = 1 << 5;
    /// Attention indicator field.
    pub const ATTENTION_INDICATOR: u16 = 3 << 6;
    /// Attention indicator off.
    pub const ATTENTION_OFF: u16 = 3 << 6;
    /// Power indicator field.
    pub const POWER_INDICATOR: u16 = 3 << 8;
    /// Power indicator on.
    pub const POWER_ON: u16 = 1 << 8;
    /// Power indicator blinks.
    pub const POWER_BLINK: u16 = 2 << 8;
    /// Power indicator off.
    pub const POWER_OFF: u16 = 3 << 8;
    /// Power controller: 1 cuts the power.
    pub const POWER_CUT: u16 = 1 << 10;
    /// Toggles the interlock; reads as 0.
    pub const INTERLOCK: u16 = 1 << 11;
}

/// Bits of slot status.
pub mod sltsta {
    /// The attention button was pressed.
    pub const ATTENTION: u16 = 1;
    /// Presence changed.
    pub const PRESENCE_CHANGED: u16 = 1 << 3;
    /// A command is complete.
    pub const COMMAND_DONE: u16 = 1 << 4;
    /// Something is in the slot.
    pub const PRESENT: u16 = 1 << 6;
    /// The interlock holds.
    pub const INTERLOCKED: u16 = 1 << 7;
    /// Events that this model can have.
    pub const EVENTS: u16 = ATTENTION | PRESENCE_CHANGED | COMMAND_DONE;
    /// Every event bit of the specification.
    pub const ALL_EVENTS: u16 = 0x1f;
}

/// What a function is in the PCI Express tree: values of the type field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortType {
    /// Endpoint.
    Endpoint,
    /// Root port.
    RootPort,
    /// Upstream port of a switch.
    Upstream,
    /// Downstream port of a switch.
    Downstream,
    /// Bridge from PCI Express to PCI.
    ToPci,
    /// Endpoint inside the root complex, on the root bus.
    RootComplexEndpoint,
}

impl PortType {
    const fn code(self) -> u32 {
        match self {
            Self::Endpoint => 0,
            Self::RootPort => 4,
            Self::Upstream => 5,
            Self::Downstream => 6,
            Self::ToPci => 7,
            Self::RootComplexEndpoint => 9,
        }
    }
}

/// What a slot behind a port has.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlotCap {
    /// Physical slot number.
    pub number: u16,
    /// Hot-plug capable.
    pub hot_plug: bool,
    /// Has a power controller.
    pub power_controller: bool,
}

/// A PCI Express capability.
#[derive(Debug, Clone, Copy)]
pub struct Express {
    /// Type.
    pub port_type: PortType,
    /// Port number.
    pub port: u8,
    /// Function-level reset.
    pub flr: bool,
    /// 8-bit tags.
    pub extended_tag: bool,
    /// Highest link speed: 1 (2.5 GT/s) to 6 (64 GT/s).
    pub speed: u8,
    /// Link width in lanes.
    pub width: u8,
    /// Slot, of a root port or downstream port.
    pub slot: Option<SlotCap>,
    /// Error reporting registers.
    pub errors: bool,
    /// Forwards requests to functions beyond 7.
    pub ari_forwarding: bool,
}

impl Express {
    /// An endpoint with a link of one lane at 2.5 GT/s.
    pub const fn endpoint(port_type: PortType) -> Self {
        Self {
            port_type,
            port: 0,
            flr: false,
            extended_tag: true,
            speed: 1,
            width: 1,
            slot: None,
            errors: false,
            ari_forwarding: false,
        }
    }

    fn link(&self, config: &mut ConfigSpace, at: u16) {
        let link = u32::from(self.speed & 0xf) | u32::from(self.width & 0x3f) << 4;
        let is_slot = self.slot.is_some();
        // Data link layer reporting and bandwidth notification come with fast ports.
        let reports = if is_slot && self.speed > 1 { 1 << 20 } else { 0 };
        let notifies = if is_slot && (self.speed > 1 || self.width > 1) {
            1 << 21
        } else {
            0
        };
        let l0s = 1 << 10;
        let cap = link | l0s | reports | notifies | u32::from(self.port) << 24;
        config.declare(at + regs::LNKCAP, 4, cap, 0, 0);
        let ports = !matches!(
            self.port_type,
            PortType::Endpoint | PortType::RootComplexEndpoint | PortType::ToPci
        );
        let control = if ports { 0xc0 } else { 0 };
        config.declare(at + regs::LNKCTL, 2, 0, control, 0);
        config.declare(at + regs::LNKSTA, 2, link, 0, 0);
        if self.speed > 1 {
            config.declare(at + regs::LNKCTL2, 2, u32::from(self.speed & 0xf), 0, 0);
        }
        if self.speed > 2 {
            config.declare(at + regs::LNKCAP2, 4, ((1 << (self.speed & 0xf)) - 1) << 1, 0, 0);
        }
    }

    fn slot(slot: &SlotCap, config: &mut ConfigSpace, at: u16) {
        let fixed =
            sltcap::INTERLOCK | sltcap::POWER_INDICATOR | sltcap::ATTENTION_INDICATOR | sltcap::ATTENTION_BUTTON;
        let plug = if slot.hot_plug {
            sltcap::SURPRISE | sltcap::HOT_PLUG
        } else {
            0
        };
        let power = if slot.power_controller {
            sltcap::POWER_CONTROLLER
        } else {
            0
        };
        let number = u32::from(slot.number & 0x1fff) << sltcap::NUMBER_SHIFT;
        config.declare(at + regs::SLTCAP, 4, fixed | plug | power | number, 0, 0);
        let cut = if slot.power_controller { sltctl::POWER_CUT } else { 0 };
        let writable = sltctl::POWER_INDICATOR
            | sltctl::ATTENTION_INDICATOR
            | sltctl::INTERRUPT_ENABLE
            | sltctl::COMMAND_ENABLE
            | sltctl::PRESENCE_ENABLE
            | sltctl::ATTENTION_ENABLE
            | sltctl::INTERLOCK
            | cut;
        let initial = sltctl::POWER_OFF | sltctl::ATTENTION_OFF;
        config.declare(at + regs::SLTCTL, 2, initial.into(), writable.into(), 0);
        config.declare(at + regs::SLTSTA, 2, 0, 0, sltsta::EVENTS.into());
    }
}

impl Capability for Express {
    const ID: u8 = cap::EXPRESS;

    fn size(&self) -> u8 {
        regs::LEN
    }

    fn declare(&self, config: &mut ConfigSpace, at: u16) {
        let slot = if self.slot.is_some() { 1 << 8 } else { 0 };
        config.declare(at + 2, 2, 2 | self.port_type.code() << 4 | slot, 0, 0);
        let tag = if self.extended_tag { devcap::EXTENDED_TAG } else { 0 };
        let flr = if self.flr { devcap::FLR } else { 0 };
        config.declare(at + regs::DEVCAP, 4, devcap::ROLE_BASED_ERRORS | tag | flr, 0, 0);
        let errors = if self.errors { devctl::ERRORS } else { 0 };
        let reset = if self.flr { u32::from(devctl::FLR) } else { 0 };
        config.declare(at + regs::DEVCTL, 2, 0, errors | reset, 0);
        config.declare(at + regs::DEVSTA, 2, 0, 0, errors);
        self.link(config, at);
        if let Some(slot) = &self.slot {
            Self::slot(slot, config, at);
        }
        if self.port_type == PortType::RootPort {
            config.declare(at + regs::RTCTL, 2, 0, 0xf, 0);
            config.declare(at + regs::RTSTA, 4, 0, 0, 1 << 16);
        }
        // Extended format field and end-to-end prefixes.
        let ari = if self.ari_forwarding { 1 << 5 } else { 0 };
        config.declare(at + regs::DEVCAP2, 4, 0x0030_0000 | ari, 0, 0);
        config.declare(at + regs::DEVCTL2, 2, 0, 0x8000 | ari, 0);
    }
}
