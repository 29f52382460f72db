//! A function while its device is made: what it says it is, its BARs and its capabilities.

use southbridge_core::LineId;

use super::{Identity, Pci};
use crate::bar::{Bar, BarKind};
use crate::bridge::{self, Windows};
use crate::caps::{self, Capability, Express, ExtendedCapability};
use crate::config::ConfigSpace;
use crate::msi::{Msi, Msix, MsixLayout};
use crate::regs::*;
use crate::sriov::Physical;

impl Pci {
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

    pub(super) const fn rom_at(&self) -> u16 {
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
}
