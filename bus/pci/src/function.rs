//! What every function embeds: configuration space with its capabilities, BARs, interrupts, and DMA that asks for permission.

use serde::{Deserialize, Serialize};
use southbridge_core::{Access, BusError, Ctx, LineId, LoadError};

use crate::bar::{Bar, BarKind};
use crate::bridge::{self, Windows};
use crate::caps::{
    self, Capability, Express, ExtendedCapability, PM_CONTROL, PM_NO_SOFT_RESET, PM_STATE, devctl,
    express::regs as express,
};
use crate::config::{ConfigSpace, SavedConfig};
use crate::decode::{BridgeDecode, Decode, Window};
use crate::errors::Logged;
use crate::msi::{Message, Msi, Msix, MsixLayout, SavedMsix};
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
    // ----- while the device is made --------------------------------------------------------------------------------------------

    /// A conventional function with a type 0 header and 256 bytes.
    pub fn conventional(id: Identity) -> Self {
        Self::with_header(id, false, None)
    }

    /// A PCI Express function with a type 0 header and 4096 bytes. It needs an [`Express`] capability too.
    pub fn express(id: Identity) -> Self {
        Self::with_header(id, true, None)
    }

    /// A bridge with a type 1 header.
    pub fn bridge(id: Identity, express: bool, windows: Windows) -> Self {
        Self::with_header(id, express, Some(windows))
    }

    /// A virtual function: PCI Express, without ids and BARs in its header and without INTx (SR-IOV 1.1, section 3.4.1). It has
    /// permission to master the bus alone in its command register.
    pub fn virtual_function(id: Identity) -> Self {
        let mut pci = Self::with_header(id, true, None);
        let c = &mut pci.config;
        c.declare(VENDOR_ID, 4, u32::MAX, 0, 0);
        c.declare(COMMAND, 2, 0, Command::BUS_MASTER.bits().into(), 0);
        c.declare(CACHE_LINE, 1, 0, 0, 0);
        c.declare(INTERRUPT_LINE, 1, 0, 0, 0);
        pci.is_virtual = true;
        pci
    }

    fn with_header(id: Identity, express: bool, windows: Option<Windows>) -> Self {
        let mut c = ConfigSpace::new(express);
        c.declare(VENDOR_ID, 4, u32::from(id.vendor) | u32::from(id.device) << 16, 0, 0);
        c.declare(COMMAND, 2, 0, COMMAND_WRITABLE.into(), 0);
        c.declare(STATUS, 2, 0, 0, STATUS_W1C.into());
        c.declare(REVISION, 1, id.revision.into(), 0, 0);
        c.declare(CLASS_PROG, 1, id.prog_if.into(), 0, 0);
        c.declare(CLASS, 2, id.class.into(), 0, 0);
        c.declare(CACHE_LINE, 1, 0, 0xff, 0);
        c.declare(INTERRUPT_LINE, 1, 0, 0xff, 0);
        match windows {
            Some(w) => {
                c.declare(HEADER_TYPE, 1, 1, 0, 0);
                c.declare(LATENCY, 1, 0, 0xff, 0);
                bridge::declare(&mut c, w);
            }
            None => {
                let (vendor, device) = id.subsystem;
                c.declare(SUBSYSTEM_VENDOR, 4, u32::from(vendor) | u32::from(device) << 16, 0, 0);
            }
        }
        Self {
            bars: [None; 6],
            rom: None,
            windows,
            expander: None,
            intx: None,
            pm: None,
            express: None,
            msi: None,
            aer: None,
            errors_max: 0,
            physical: None,
            is_virtual: false,
            virtual_of: None,
            config: c,
            msix: None,
            wants_intx: false,
            errors: Vec::new(),
            power_events: Vec::new(),
        }
    }

    /// Declares BAR `n` (0 to 5; 0 and 1 of bridges). A 64-bit one takes `n + 1` too. Numbers that do not exist are ignored.
    pub fn add_bar(&mut self, n: usize, bar: Bar) {
        let limit = if self.windows.is_some() { 2 } else { 6 };
        if n >= limit || (bar.kind.is_64() && n + 1 >= limit) {
            return;
        }
        self.bars[n] = Some(bar);
        if self.is_virtual {
            return;
        }
        let at = BAR0 + 4 * n as u16;
        let mask = !(bar.size - 1);
        self.config.declare(at, 4, bar.kind.type_bits(), mask as u32, 0);
        if bar.kind.is_64() {
            self.config.declare(at + 4, 4, 0, (mask >> 32) as u32, 0);
        }
    }

    /// Declares an expansion ROM.
    pub fn add_rom(&mut self, region: usize, size: u64) {
        // Address bits 31:11 exist.
        let bar = Bar::new(BarKind::Memory32 { prefetch: false }, region, size.max(2048));
        let mask = !(bar.size - 1) as u32;
        self.config.declare(self.rom_at(), 4, 0, mask | ROM_ENABLE, 0);
        self.rom = Some(bar);
    }

    const fn rom_at(&self) -> u16 {
        if self.windows.is_some() { BRIDGE_ROM } else { ROM }
    }

    /// Declares that the function has INTx: `pin` 1 to 4 for A to D, and the output line of the device type for it.
    pub fn set_intx_pin(&mut self, pin: u8, line: LineId) {
        self.config.declare(INTERRUPT_PIN, 1, pin.into(), 0, 0);
        self.intx = Some(line);
    }

    /// Says that the device has other functions (header type bit 7).
    pub fn set_multifunction(&mut self) {
        let header = self.config.u8(HEADER_TYPE) | MULTI_FUNCTION;
        self.config.declare(HEADER_TYPE, 1, header.into(), 0, 0);
    }

    /// Makes it an expander: the bus below is a root bus of this number, and all addresses go through.
    pub fn set_expander(&mut self, bus: u8) {
        self.expander = Some(bus);
    }

    /// A conventional bus runs at 66 MHz with fast back-to-back transactions, on both sides of a bridge.
    pub fn set_bus_speed(&mut self) {
        let both = 0xa0;
        let status = self.config.u16(STATUS) | both;
        self.config.declare(STATUS, 2, status.into(), 0, STATUS_W1C.into());
        self.config
            .declare(SECONDARY_STATUS, 2, both.into(), 0, STATUS_W1C.into());
    }

    /// Puts a capability at `at`, a multiple of 4 from 0x40 on. The list begins with the last one added, as QEMU's does.
    pub fn add_capability<C: Capability>(&mut self, at: u16, capability: &C) {
        caps::add(&mut self.config, at, capability);
    }

    /// Puts a capability into extended configuration space; the first at 0x100, then in ascending order.
    pub fn add_extended<C: ExtendedCapability>(&mut self, at: u16, capability: &C) {
        caps::add_extended(&mut self.config, at, capability);
        if C::ID == ext::AER {
            self.aer = Some(at);
        }
    }

    /// How many errors wait for the log of advanced error reporting.
    pub fn set_error_log(&mut self, errors: u16) {
        self.errors_max = errors;
    }

    /// Adds power management.
    pub fn add_pm(&mut self, at: u16, pm: &caps::PowerManagement) {
        self.add_capability(at, pm);
        self.pm = Some(at);
    }

    /// Adds the PCI Express capability.
    pub fn add_express(&mut self, at: u16, e: &Express) {
        self.add_capability(at, e);
        self.express = Some(at);
    }

    /// Adds MSI.
    pub fn add_msi(&mut self, at: u16, msi: Msi) {
        self.add_capability(at, &msi);
        self.msi = Some((at, msi));
    }

    /// Adds MSI-X. The device sends accesses of the BARs with table and pending bits to [`Pci::msix_read`] and [`Pci::msix_write`].
    pub fn add_msix(&mut self, at: u16, layout: MsixLayout) {
        self.add_capability(at, &layout);
        self.msix = Some(Msix::new(at, layout));
    }

    /// Adds virtual functions.
    pub fn add_sriov(&mut self, at: u16, sriov: &caps::Sriov) {
        self.add_extended(at, sriov);
        self.physical = Some(Physical::new(at, sriov));
    }

    /// Declares BAR `n` of the virtual functions, after [`Pci::add_sriov`]: memory alone, of at least 4 KiB.
    pub fn add_virtual_bar(&mut self, n: usize, kind: BarKind, size: u64) {
        if let Some(p) = &mut self.physical {
            p.add_bar(&mut self.config, n, kind, size);
        }
    }

    // ----- what it is ----------------------------------------------------------------------------------------------------------

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

    // ----- accesses of software ------------------------------------------------------------------------------------------------

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

    // ----- what the device does ------------------------------------------------------------------------------------------------

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
    fn sync(&mut self, cx: &mut Ctx<'_>) {
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

    // ----- reset, save, load ---------------------------------------------------------------------------------------------------

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
