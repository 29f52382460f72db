//! What every function embeds: configuration space with its capabilities, BARs, interrupts, and DMA that asks for permission.

mod access;
mod make;
mod saved;
mod work;

use serde::{Deserialize, Serialize};
use southbridge_core::LineId;

use crate::bar::Bar;
use crate::bridge::{self, Windows};
use crate::caps::{self, PM_CONTROL, PM_STATE, express::regs as express};
use crate::config::{ConfigSpace, SavedConfig};
use crate::decode::{BridgeDecode, Decode, Window};
use crate::errors::Logged;
use crate::msi::{Msi, Msix, SavedMsix};
use crate::regs::*;
use crate::sriov::{Physical, VirtualOf, Virtuals};

/// Who a function says it is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Base class and sub-class.
    pub class: u16,
    /// Programming interface.
    pub prog_if: u8,
    /// Subsystem vendor and subsystem.
    pub subsystem: (u16, u16),
}

impl Identity {
    /// Revision 0, no programming interface, the subsystem that QEMU gives (1af4:1100).
    pub const fn new(vendor: u16, device: u16, class: u16) -> Self {
        Self {
            vendor,
            device,
            revision: 0,
            class,
            prog_if: 0,
            subsystem: (VENDOR_QUMRANET, SUBSYSTEM_QEMU),
        }
    }

    /// The same with a revision.
    #[must_use]
    pub const fn revision(mut self, revision: u8) -> Self {
        self.revision = revision;
        self
    }
}

bitflags::bitflags! {
    /// What a write to configuration space led to.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Effects: u8 {
        /// The function must reset itself (function-level reset, or power came back).
        const RESET = 1;
        /// All that is below a bridge must reset itself.
        const RESET_BELOW = 2;
        /// What is in the slot is to leave: the guest cut its power.
        const EJECT = 4;
    }
}

/// The embedded half of a function.
#[derive(Debug, Clone)]
pub struct Pci {
    // Fixed.
    bars: [Option<Bar>; 6],
    rom: Option<Bar>,
    windows: Option<Windows>,
    /// Number of the root bus below, of an expander.
    expander: Option<u8>,
    intx: Option<LineId>,
    pm: Option<u16>,
    express: Option<u16>,
    msi: Option<(u16, Msi)>,
    aer: Option<u16>,
    /// Errors that can wait for the log.
    pub(crate) errors_max: u16,
    physical: Option<Physical>,
    /// Of a virtual function; whose it is comes when it is plugged in.
    is_virtual: bool,
    virtual_of: Option<VirtualOf>,
    // Volatile.
    /// Configuration space. Devices may set bits of their own capabilities; the standard header is this module's.
    pub config: ConfigSpace,
    msix: Option<Msix>,
    /// The device wants its INTx, whatever masks say.
    wants_intx: bool,
    /// Errors that wait for the log.
    pub(crate) errors: Vec<Logged>,
    /// Sources of power events that wait, of a root port.
    pub(crate) power_events: Vec<u16>,
}

/// The saved form of a [`Pci`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PciState {
    config: SavedConfig,
    msix: Option<SavedMsix>,
    wants_intx: bool,
    errors: Vec<Logged>,
    power_events: Vec<u16>,
}

impl Pci {
    /// BAR `n`, if there is one.
    pub fn bar(&self, n: usize) -> Option<&Bar> {
        self.bars.get(n)?.as_ref()
    }

    /// The expansion ROM, if there is one.
    pub fn rom(&self) -> Option<&Bar> {
        self.rom.as_ref()
    }

    /// Whether the header is a bridge's.
    pub fn is_bridge(&self) -> bool {
        self.windows.is_some()
    }

    /// Whether the bus below is a root bus of its own.
    pub fn is_expander(&self) -> bool {
        self.expander.is_some()
    }

    /// Interrupt pin: 0 for none, 1 to 4 for A to D.
    pub fn interrupt_pin(&self) -> u8 {
        self.config.u8(INTERRUPT_PIN)
    }

    /// Output line for INTx.
    pub fn intx_line(&self) -> Option<LineId> {
        self.intx
    }

    /// How many virtual functions it can have.
    pub fn virtual_total(&self) -> u16 {
        self.physical.as_ref().map_or(0, Physical::total)
    }

    /// Slot and function of virtual function `n` of a function at `devfn`; `None` where there is no room for it on the bus.
    pub fn virtual_devfn(&self, devfn: u8, n: u16) -> Option<u8> {
        self.physical.as_ref()?.devfn(devfn, n)
    }

    /// What its virtual functions answer to now; `None` if it cannot have any.
    pub fn virtuals(&self) -> Option<Virtuals> {
        Some(self.physical.as_ref()?.now(&self.config))
    }

    /// Whose virtual function it is.
    pub fn virtual_of(&self) -> Option<VirtualOf> {
        self.virtual_of
    }

    /// Says whose virtual function it is; does nothing to others.
    pub(crate) fn set_virtual_of(&mut self, of: VirtualOf) {
        self.virtual_of = Some(of).filter(|_| self.is_virtual);
    }

    /// Offset of the PCI Express capability.
    pub fn express_at(&self) -> Option<u16> {
        self.express
    }

    /// Offset of advanced error reporting.
    pub fn aer_at(&self) -> Option<u16> {
        self.aer
    }

    /// Offset of power management.
    pub fn pm_at(&self) -> Option<u16> {
        self.pm
    }

    /// The command register.
    pub fn command(&self) -> Command {
        Command::from_bits_retain(self.config.u16(COMMAND))
    }

    /// The address of BAR `n` if the guest has it switched on; 6 is the ROM.
    pub fn bar_address(&self, n: usize) -> Option<u64> {
        let command = self.command();
        if n == 6 {
            let value = self.config.u32(self.rom_at());
            let on = command.contains(Command::MEMORY) && value & ROM_ENABLE != 0 && self.is_awake();
            return self.rom.filter(|_| on)?.address(value.into());
        }
        let bar = self.bar(n).filter(|_| !self.is_virtual)?;
        let enable = if bar.kind.is_io() { Command::IO } else { Command::MEMORY };
        let on = command.contains(enable) && self.is_awake();
        bar.address(self.bar_value(n)).filter(|_| on)
    }

    /// What the registers of BAR `n` hold.
    fn bar_value(&self, n: usize) -> u64 {
        let at = BAR0 + 4 * n as u16;
        let wide = self.bars.get(n).copied().flatten().is_some_and(|b| b.kind.is_64());
        let high = if wide {
            u64::from(self.config.u32(at + 4)) << 32
        } else {
            0
        };
        high | u64::from(self.config.u32(at))
    }

    /// Whether it is in power state D0: others answer to configuration accesses alone.
    fn is_awake(&self) -> bool {
        self.pm
            .is_none_or(|at| self.config.u16(at + PM_CONTROL) & PM_STATE == 0)
    }

    /// What it answers to now. A bridge with a slot adds whether what is below has power.
    pub fn decode(&self) -> Decode {
        let bars = self.bars.iter().chain([&self.rom]).enumerate();
        let mut decode = Decode::default();
        for (n, bar) in bars.filter_map(|(n, b)| b.map(|b| (n, b))) {
            decode.regions.push(bar.region);
            decode.windows.extend(self.bar_address(n).map(|start| Window {
                region: bar.region,
                start,
                size: bar.size,
                io: bar.kind.is_io(),
            }));
        }
        decode.bridge = self.bridge_decode();
        decode.virtuals = self.virtuals();
        decode.virtual_of = self.virtual_of;
        if self.is_virtual {
            let bars = self.bars.iter().enumerate();
            decode.bars = bars.filter_map(|(n, b)| Some((n, (*b)?))).collect();
        }
        decode
    }

    /// What a bridge lets through; `None` of other functions.
    pub fn bridge_decode(&self) -> Option<BridgeDecode> {
        if let Some(secondary) = self.expander {
            return Some(BridgeDecode {
                secondary,
                subordinate: u8::MAX,
                powered: true,
                transparent: true,
                ..BridgeDecode::default()
            });
        }
        self.is_bridge()
            .then(|| bridge::decode(&self.config, self.slot_has_power(), self.leads_to_slot0()))
    }

    /// Whether it is a root port or the downstream port of a switch: below it is a link of PCI Express.
    pub fn is_downstream_port(&self) -> bool {
        self.express
            .is_some_and(|at| matches!(self.config.u16(at + 2) >> 4 & 0xf, 4 | 6))
    }

    /// Whether configuration accesses go to slot 0 of the bus below alone: below a root or downstream port there is one device, and
    /// slot numbers are functions above 7 once software enabled ARI forwarding (PCI Express Base 6.0, section 6.13).
    fn leads_to_slot0(&self) -> bool {
        let Some(at) = self.express else { return false };
        self.is_downstream_port() && self.config.u16(at + express::DEVCTL2) & caps::express::DEVCTL2_ARI == 0
    }

    /// Whether the slot below a port has power; always without a power controller.
    pub fn slot_has_power(&self) -> bool {
        let Some(at) = self.express else { return true };
        let has_controller = self.config.u32(at + express::SLTCAP) & caps::sltcap::POWER_CONTROLLER != 0;
        !has_controller || self.config.u16(at + express::SLTCTL) & caps::sltctl::POWER_CUT == 0
    }
}
