//! `pci-testdev`: counts writes to a BAR, for benchmarks and tests of the way there (QEMU `docs/specs/pci-testdev`).
//!
//! Each of BAR 0 (memory) and BAR 1 (I/O) has three tests: without an eventfd, with one for any data and with one for one datum. QEMU
//! hangs real eventfds on the last two, so that their writes never reach the device and are not counted; here all three count.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use southbridge_bus_pci::{Bar, Identity, Pci, PciFunction, PciState, common, pci_properties, regs};
use southbridge_core::{
    Access, Build, BusKind, Category, CreateError, Ctx, Device, DeviceType, Endian, LoadError, Mmio, PropKind,
    Properties, Property, Region, RegionKind, ResetPhase, SavedState, role,
};

const VERSION: u32 = 1;
/// Regions by number.
const MMIO: usize = 0;
const PORTS: usize = 1;
const MEMBAR: usize = 2;

const MMIO_SPAN: u32 = 2048;
const PORT_SPAN: u32 = 128;
const TESTS: u8 = 3;
const NAMES: [&str; 6] = [
    "mmio-no-eventfd",
    "mmio-wildcard-eventfd",
    "mmio-datamatch-eventfd",
    "portio-no-eventfd",
    "portio-wildcard-eventfd",
    "portio-datamatch-eventfd",
];
/// Data that a test wants, and data that only the one for any data takes.
const MATCH: u8 = 0xfa;
const NO_MATCH: u8 = 0xce;

const fn bytes(name: &'static str, size: u64) -> Region {
    Region {
        name,
        kind: RegionKind::Mmio,
        size,
        valid: (1, 8),
        native: (1, 1),
        endian: Endian::Little,
        registers: &[],
    }
}

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "pci-testdev",
    bus: BusKind::Pci,
    category: Category::Misc,
    summary: "PCI Test Device",
    user_creatable: true,
    properties: pci_properties![Property {
        name: "membar",
        kind: PropKind::Size,
        default: Some("0"),
        help: "bytes of BAR 2, which has nothing behind it; 0 for none",
    }],
    regions: &[
        bytes("pci-testdev-mmio", 2 * MMIO_SPAN as u64),
        bytes("pci-testdev-portio", 2 * PORT_SPAN as u64),
        Region::ram("pci-testdev-membar", 0),
    ],
    roles: &[role!(TestDev as dyn PciFunction), role!(TestDev as dyn Mmio)],
    create: TestDev::create,
    ..DeviceType::BASE
};

/// A `pci-testdev`.
pub struct TestDev {
    pci: Pci,
    state: State,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// The test that was started, as an index of `NAMES`.
    current: Option<u8>,
    counts: [u32; NAMES.len()],
}

#[derive(Serialize, Deserialize)]
struct Saved {
    pci: PciState,
    state: State,
}

impl TestDev {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let mut pci = Pci::conventional(Identity::new(regs::VENDOR_REDHAT, 0x0005, 0x00ff));
        pci.add_bar(0, Bar::mem32(MMIO, 2 * u64::from(MMIO_SPAN)));
        pci.add_bar(1, Bar::io(PORTS, 2 * u64::from(PORT_SPAN)));
        match p.uint("membar") {
            0 => {}
            size if size.is_power_of_two() && (16..=1 << 62).contains(&size) => {
                build.region_size(MEMBAR, size);
                pci.add_bar(2, Bar::mem64_prefetch(MEMBAR, size));
            }
            size => {
                return Err(CreateError::BadValue {
                    property: "membar",
                    value: size.to_string(),
                    expected: "0 or a power of two from 16 on".into(),
                });
            }
        }
        common::apply(&mut pci, p, build)?;
        Ok(Box::new(Self {
            pci,
            state: State::default(),
        }))
    }
}

impl State {
    /// The header of a test as the guest reads it.
    fn header(test: u8, count: u32) -> Vec<u8> {
        let i = usize::from(test).min(NAMES.len() - 1);
        let span = if test < TESTS { MMIO_SPAN } else { PORT_SPAN };
        let data = if Self::matches_data(test) { MATCH } else { NO_MATCH };
        let mut h = vec![test, 1, 0, 0];
        h.extend((span + u32::from(test)).to_le_bytes());
        h.extend([data, 0, 0, 0]);
        h.extend(count.to_le_bytes());
        h.extend(NAMES[i].bytes());
        h.push(0);
        h
    }

    const fn matches_data(test: u8) -> bool {
        test % TESTS != 1
    }

    fn read(&self, offset: u64) -> u8 {
        let Some(test) = self.current else { return 0 };
        let count = self.counts.get(usize::from(test)).copied().unwrap_or(0);
        let header = Self::header(test, count);
        // The last byte is never given: QEMU's bound is one short, and the byte is 0 anyway.
        usize::try_from(offset)
            .ok()
            .and_then(|o| header.get(o).copied())
            .unwrap_or(0)
    }

    fn write(&mut self, region: usize, offset: u64, value: u8) {
        if offset == 0 {
            let first = if region == PORTS { TESTS } else { 0 };
            self.current = (value < TESTS).then_some(first + value);
            if let Some(c) = self.current.and_then(|t| self.counts.get_mut(usize::from(t))) {
                *c = 0;
            }
            return;
        }
        let Some(test) = self.current else { return };
        let span = if test < TESTS { MMIO_SPAN } else { PORT_SPAN };
        if offset == u64::from(span) + u64::from(test)
            && (!Self::matches_data(test) || value == MATCH)
            && let Some(c) = self.counts.get_mut(usize::from(test))
        {
            *c = c.wrapping_add(1);
        }
    }
}

impl PciFunction for TestDev {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        self.state = State::default();
        self.pci.reset(false, cx);
    }
}

impl Mmio for TestDev {
    fn read(&mut self, access: Access, _cx: &mut Ctx<'_>) -> u64 {
        self.state.read(access.offset).into()
    }

    fn write(&mut self, access: Access, value: u64, _cx: &mut Ctx<'_>) {
        self.state.write(access.region, access.offset, value as u8);
    }
}

impl Device for TestDev {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.state = State::default();
            self.pci.reset(true, cx);
        }
    }

    fn save(&self) -> SavedState {
        let Self { pci, state } = self;
        SavedState::of(
            VERSION,
            &Saved {
                pci: pci.save(),
                state: state.clone(),
            },
        )
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let Saved { pci, state } = state.read(VERSION)?;
        if state.current.is_some_and(|t| usize::from(t) >= NAMES.len()) {
            return Err(LoadError::Impossible("the number of a test"));
        }
        self.pci.load(pci)?;
        self.state = state;
        Ok(())
    }
}
