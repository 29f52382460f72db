//! PCI as a guest sees it: configuration accesses of any size anywhere, bus numbers and windows that make no sense, BARs over each
//! other, messages to wherever, devices that come and go, and states saved and loaded in between.

use southbridge_bus_pci::errors::{self, ErrorReport};
use southbridge_bus_pci::wiring::{add_virtual_functions, may_plug, plug};
use southbridge_bus_pci::{PciFunction, PciSlot};
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, DeviceId, DeviceType, PropValue, Properties, System};
use southbridge_device_pci::{edu, gpex, port, pvpanic, testdev};

use crate::functions::PHYSICAL;

const ECAM: u64 = 0x3000_0000;
const MMIO: u64 = 0x4000_0000;
const MMIO64: u64 = 0x4_0000_0000;
const PIO: u64 = 0x300_0000;
const RAM: u64 = 0x8000_0000;
/// Type, number of the bus in order of creation, slot and function.
type Place = (&'static DeviceType, usize, u8);
const TREE: [Place; 14] = [
    (&gpex::ROOT_TYPE, 0, 0x00),
    (&edu::TYPE, 0, 0x08),
    (&testdev::TYPE, 0, 0x10),
    (&port::ROOT_PORT, 0, 0x18),
    (&port::ROOT_PORT, 0, 0x20),
    (&port::EXPANDER, 0, 0x28),
    (&port::TO_PCI, 0, 0x30),
    (&port::UPSTREAM, 1, 0x00),
    (&port::DOWNSTREAM, 5, 0x00),
    (&edu::TYPE, 6, 0x00),
    (&testdev::TYPE, 4, 0x09),
    (&pvpanic::TYPE, 3, 0x10),
    (&PHYSICAL, 0, 0x38),
    (&PHYSICAL, 1, 0x01),
];

struct Rig {
    sys: System,
    /// The second root port, whose slot devices come to and leave.
    slot: Option<DeviceId>,
}

fn host() -> Properties {
    [
        ("x-ecam-base", ECAM),
        ("x-ecam-size", 256 << 20),
        ("x-pio-base", PIO),
        ("x-pio-size", 0x1_0000),
        ("x-below-4g-mmio-base", MMIO),
        ("x-below-4g-mmio-size", 1 << 30),
        ("x-above-4g-mmio-base", MMIO64),
        ("x-above-4g-mmio-size", 16 << 30),
    ]
    .into_iter()
    .fold(Properties::default(), |p, (name, value)| {
        p.with(name, PropValue::Uint(value))
    })
}

impl Rig {
    fn new() -> Option<Self> {
        let mut sys = System::new(ClockRate::Hz(1_000_000_000)).ok()?;
        let block = RamBlock::new("fuzz", 0x1_0000).ok()?;
        sys.memory.map(Mapping {
            start: RAM,
            len: 0x1_0000,
            priority: 0,
            name: "memory".into(),
            target: Target::Ram {
                block,
                offset: 0,
                readonly: false,
            },
        });
        sys.add_device(&gpex::TYPE, None, host(), &[]).ok()?;
        let mut rig = Self { sys, slot: None };
        for (i, (t, bus, devfn)) in TREE.into_iter().enumerate() {
            let device = rig.add(t, bus, devfn, false)?;
            if i == 4 {
                rig.slot = Some(device);
            }
        }
        rig.sys.reset();
        Some(rig)
    }

    fn add(&mut self, t: &'static DeviceType, bus: usize, devfn: u8, hot: bool) -> Option<DeviceId> {
        let bus = self.sys.buses().nth(bus)?.0;
        may_plug(&mut self.sys, bus, devfn, hot).ok()?;
        let properties = Properties::default()
            .with("bus_nr", PropValue::Uint(64))
            .with("dma_mask", PropValue::Uint(u64::MAX));
        let device = self.sys.add_device(t, None, properties, &[]).ok()?;
        self.sys.reset_device(device);
        add_virtual_functions(&mut self.sys, bus, device, devfn).ok()?;
        plug(&mut self.sys, bus, device, devfn, hot);
        Some(device)
    }

    /// What a guest does; bus errors are a legal answer.
    fn access(&mut self, at: u64, size: u8, write: bool, value: u64) {
        let at = at & !(u64::from(size) - 1);
        if write {
            let _ = self.sys.write(at, size, value);
        } else {
            let _ = self.sys.read(at, size);
        }
    }

    fn hot_plug(&mut self, what: u8) {
        match (what % 3, self.slot) {
            (0, _) => drop(self.add(&edu::TYPE, 2, 0, true)),
            (1, Some(port)) => {
                let answer = self.sys.with_role::<dyn PciSlot, _>(port, |s, cx| s.unplug(0, cx));
                let there = self.sys.buses().nth(2).and_then(|(_, b)| b.children.first().copied());
                if let (Some(Ok(southbridge_bus_pci::Leaves::Now)), Some((device, _))) = (answer, there) {
                    self.sys.remove_device(device);
                }
            }
            _ => self.inject(what),
        }
        for device in self.sys.take_unplugs() {
            self.sys.remove_device(device);
        }
    }

    /// An error of one of the functions.
    fn inject(&mut self, what: u8) {
        let all: Vec<DeviceId> = self.sys.devices().map(|(id, _)| id).collect();
        let error = ErrorReport {
            status: 1 << (what & 31),
            correctable: what & 0x20 != 0,
            advisory: what & 0x40 != 0,
            header: Some([what.into(); 4]),
            prefix: (what & 0x80 != 0).then_some([1; 4]),
        };
        let device = all[usize::from(what) % all.len()];
        self.sys
            .with_role::<dyn PciFunction, _>(device, |f, cx| errors::report(f, &error, cx));
        self.sys.settle();
    }

    /// A restored machine has the same map as the one that was saved.
    fn save_and_load(&mut self) {
        let there: Vec<_> = self.sys.devices().map(|(id, s)| (id, s.device_type.name)).collect();
        let Some(mut other) = Self::new() else { return };
        if other
            .sys
            .devices()
            .map(|(id, s)| (id, s.device_type.name))
            .ne(there.iter().copied())
        {
            return;
        }
        for (id, name) in &there {
            let state = self
                .sys
                .with_device(*id, |d, _| d.save())
                .expect("the device is at rest");
            let loaded = other.sys.with_device(*id, |d, _| d.load(&state));
            assert_eq!(loaded, Some(Ok(())), "{name}");
        }
        for (id, _) in there {
            other.sys.with_device(id, |d, cx| d.after_load(cx));
        }
        assert_eq!(map(&self.sys), map(&other.sys));
    }
}

/// A stretch of the address space: first and last address, and which device, region and offset it shows.
type Stretch = (u64, u64, Option<(DeviceId, usize, u64)>);

fn map(sys: &System) -> Vec<Stretch> {
    let target = |t: &Target| match t {
        Target::Device { device, region, offset } => Some((*device, *region, *offset)),
        _ => None,
    };
    let flat = sys.memory.flat().iter();
    flat.map(|r| (r.start, r.last, target(&r.target))).collect()
}

/// Values that mean something somewhere.
fn value(kind: u8, raw: u32) -> u64 {
    match kind % 8 {
        0 => u64::MAX,
        1 => ECAM | u64::from(raw & 0xf_ffff),
        2 => MMIO | u64::from(raw & 0xff_ffff),
        3 => RAM | u64::from(raw & 0xffff),
        4 => u64::from(raw & 7),
        5 => 0x4010_4000 | u64::from(raw & 0x00f0_00f0),
        _ => raw.into(),
    }
}

/// Eight bytes an operation: what; bus, or part of an address; slot and function; offset, twice; kind of value; value, twice.
pub fn pci_config(data: &[u8]) {
    let Some(mut rig) = Rig::new() else { return };
    for &[what, bus, devfn, low, high, kind, v0, v1] in data.as_chunks::<8>().0 {
        let raw = u32::from_le_bytes([v0, v1, bus, devfn]);
        let value = value(kind, raw);
        let (write, size) = (what & 1 != 0, 1 << (what >> 1 & 3));
        let offset = u64::from(u16::from_le_bytes([low, high]));
        match what >> 3 {
            // Most functions are on low buses and slots.
            0..=19 => {
                let (bus, devfn) = if high & 0x80 == 0 {
                    (bus & 3, devfn & 0x3b)
                } else {
                    (bus, devfn)
                };
                let at = ECAM + (u64::from(bus) << 20) + (u64::from(devfn) << 12) + (offset & 0xfff);
                rig.access(at, size, write, value);
            }
            20..=23 => rig.access(MMIO + (u64::from(bus) << 20) + offset, size, write, value),
            24 => rig.access(MMIO64 + (u64::from(bus) << 20) + offset, size, write, value),
            25 => rig.access(PIO + offset, size, write, value),
            26 | 27 => {
                let end = rig.sys.clock.now().after_ns(u64::from(raw & 0x0fff_ffff));
                rig.sys.advance_at_most(end, 100);
            }
            28 | 29 => rig.hot_plug(devfn),
            30 => rig.save_and_load(),
            _ => rig.sys.reset(),
        }
    }
    rig.save_and_load();
}
