//! ivshmem on PCI, squeezed from both sides: a guest that does what it likes through configuration space and BARs, and a server that
//! hands out descriptors of every kind and comes and goes.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use southbridge_backend_chardev::testing::Loop;
use southbridge_backend_memory::{Config, Kind, MemoryBackend};
use southbridge_bus_pci::wiring::plug;
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, DeviceId, PropValue, Properties, System};
use southbridge_device_ivshmem::pci::{DOORBELL, PLAIN};
use southbridge_device_pci::gpex;

use crate::parts::poll_host;

const ECAM: u64 = 0x3000_0000;
const MMIO: u64 = 0x4000_0000;
const MMIO64: u64 = 0x4_0000_0000;
const RAM: u64 = 0x8000_0000;
const SIZE: u64 = 0x1_0000;

struct Rig {
    sys: System,
    server: Loop,
    /// `ivshmem-doorbell` in slot 1, `ivshmem-plain` in slot 2.
    devices: [DeviceId; 2],
    /// Eventfds that were handed out, to be rung.
    given: Vec<OwnedFd>,
}

fn uint(name: &'static str, value: u64) -> (&'static str, PropValue) {
    (name, PropValue::Uint(value))
}

fn properties(list: impl IntoIterator<Item = (&'static str, PropValue)>) -> Properties {
    list.into_iter()
        .fold(Properties::default(), |p, (name, value)| p.with(name, value))
}

impl Rig {
    fn new(choice: u8) -> Option<Self> {
        let mut sys = System::new(ClockRate::Hz(1_000_000_000)).ok()?;
        sys.log.set_warnings(Box::new(std::io::sink()));
        sys.memory.map(Mapping {
            start: RAM,
            len: SIZE,
            priority: 0,
            name: "memory".into(),
            target: Target::Ram {
                block: RamBlock::new("fuzz", SIZE).ok()?,
                offset: 0,
                readonly: false,
            },
        });
        let host = properties([
            uint("x-ecam-base", ECAM),
            uint("x-ecam-size", 1 << 20),
            uint("x-below-4g-mmio-base", MMIO),
            uint("x-below-4g-mmio-size", 1 << 30),
            uint("x-above-4g-mmio-base", MMIO64),
            uint("x-above-4g-mmio-size", 16 << 30),
        ]);
        sys.add_device(&gpex::TYPE, None, host, &[]).ok()?;
        let (chardev, server) = Loop::new(&mut sys);
        let config = Config {
            kind: Kind::Ram,
            size: SIZE,
            share: true,
            prealloc: false,
        };
        let (memory, _) = MemoryBackend::add(&mut sys, "m", &config).ok()?;
        let master = PropValue::Str(["off", "on", "auto", "auto"][usize::from(choice & 3)].into());
        let doorbell = properties([
            ("chardev", PropValue::Backend("c".into(), chardev)),
            ("master", master.clone()),
            uint("vectors", [1, 2, 3, 200][usize::from(choice >> 2 & 3)]),
        ]);
        let plain = properties([("memdev", PropValue::Backend("m".into(), memory)), ("master", master)]);
        let bus = sys.buses().next()?.0;
        let mut devices = Vec::new();
        for (devfn, t, p) in [(8, &DOORBELL, doorbell), (16, &PLAIN, plain)] {
            let device = sys.add_device(t, None, p, &[]).ok()?;
            plug(&mut sys, bus, device, devfn, false);
            devices.push(device);
        }
        sys.reset();
        Some(Self {
            sys,
            server,
            devices: devices.try_into().ok()?,
            given: Vec::new(),
        })
    }

    fn access(&mut self, at: u64, size: u8, write: bool, value: u64) {
        let at = at & !(u64::from(size) - 1);
        // Bus errors are a legal answer.
        if write {
            let _ = self.sys.write(at, size, value);
        } else {
            let _ = self.sys.read(at, size);
        }
    }

    /// What a driver does, so that the rest finds BARs and messages where it looks.
    fn drive(&mut self) {
        for (slot, at) in [(1, 0), (2, 0x10_0000)] {
            let cfg = ECAM + (slot << 15);
            let writes = [
                (0x10, MMIO + at),
                (0x14, MMIO + at + 0x1_0000),
                (0x18, at),
                (0x1c, 4),
                (4, 6),
                (0x40, 0x8000_0000),
            ];
            for (offset, value) in writes {
                self.access(cfg + offset, 4, true, value & 0xffff_ffff);
            }
        }
        for vector in 0..2 {
            for (word, value) in [(0, RAM + vector * 4), (4, 0), (8, vector), (12, 0)] {
                self.access(MMIO + 0x1_0000 + vector * 16 + word, 4, true, value);
            }
        }
    }

    /// One message of the server, usually one that is in its place.
    fn say(&mut self, number: i64, kind: u8) {
        let fds = self.descriptor(kind).into_iter().collect();
        self.server.feed_with_fds(&number.to_le_bytes(), fds);
        poll_host(&mut self.sys);
    }

    fn descriptor(&mut self, kind: u8) -> Option<OwnedFd> {
        let memory = |size| RamBlock::new("fuzz", size).ok()?.fd().try_clone_to_owned().ok();
        match kind % 8 {
            0 | 1 => None,
            2 => memory(SIZE),
            3 => memory([2 * SIZE, 3 << 12, 1, 0x1000][usize::from(kind >> 3 & 3)]),
            4 => std::fs::File::open("/dev/null").ok().map(Into::into),
            _ => {
                let fd = eventfd(0, EventfdFlags::CLOEXEC).ok()?;
                // A bounded number of them is rung later.
                if self.given.len() < 16 {
                    self.given.push(fd.try_clone().ok()?);
                }
                Some(fd)
            }
        }
    }

    fn server_does(&mut self, what: u8, number: u8, kind: u8) {
        match what % 8 {
            0..=2 => self.say((number & 7).into(), kind),
            // A whole greeting; the next connection needs one too.
            3 => {
                for (number, kind) in [
                    (0, 0),
                    (i64::from(number & 1) * 5, 0),
                    (-1, 2 + (kind & 1) * (kind & 0x18 | 1)),
                ] {
                    self.say(number, kind);
                }
            }
            4 => self.say(i64::from(number as i8) << (kind % 56), kind),
            5 => self.server.disconnect(),
            6 => self.server.reconnect(),
            _ => {
                if let Some(fd) = self.given.get(usize::from(number) % self.given.len().max(1)) {
                    let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
                }
            }
        }
        poll_host(&mut self.sys);
    }

    /// What a device saved it takes back, at any moment.
    fn save_and_load(&mut self) {
        for device in self.devices {
            let saved = self.sys.with_device(device, |d, _| d.save());
            let Some(saved) = saved else { continue };
            let again = self.sys.with_device(device, |d, cx| {
                let loaded = d.load(&saved);
                let again = d.save();
                d.after_load(cx);
                loaded.map(|()| again)
            });
            assert_eq!(
                again,
                Some(Ok(saved)),
                "a device loads what it saved, and saves the same again"
            );
        }
    }
}

/// A byte of choices, then eight bytes an operation: what; slot; offset, twice; kind of value; value, three times.
pub fn ivshmem_pci(data: &[u8]) {
    let Some((choice, operations)) = data.split_first() else {
        return;
    };
    let Some(mut rig) = Rig::new(*choice) else { return };
    if choice & 0x10 != 0 {
        rig.server_does(3, 0, 0);
    }
    if choice & 0x20 != 0 {
        rig.drive();
    }
    for &[what, slot, low, high, kind, v0, v1, v2] in operations.as_chunks::<8>().0 {
        let raw = u32::from_le_bytes([v0, v1, v2, slot]);
        let value = match kind % 8 {
            0 => u64::MAX,
            1 => MMIO | u64::from(raw & 0x1f_ffff),
            2 => [RAM, ECAM + 0x8000, MMIO + 12, MMIO + 0x1_000c][usize::from(v0 & 3)],
            3 => 4,
            // A doorbell.
            4 => u64::from(v0 & 7) << 16 | u64::from(v1 & 3),
            5 => 0x8000_0006,
            _ => raw.into(),
        };
        let (write, size) = (what & 1 != 0, 1 << (what >> 1 & 3));
        let offset = u64::from(u16::from_le_bytes([low, high]));
        let second = u64::from(slot & 1);
        match what >> 3 {
            0..=7 => rig.access(ECAM + 0x8000 + (second << 15) + (offset & 0xff), size, write, value),
            8..=13 => rig.access(MMIO + (second << 20) + (offset & 0x1f), size, write, value),
            14..=16 => rig.access(MMIO + 0x1_0000 + (offset & 0x1fff), size, write, value),
            17..=19 => rig.access(MMIO64 + (second << 20) + offset, size, write, value),
            20..=27 => rig.server_does(slot, low, high),
            28 => rig.drive(),
            29 | 30 => rig.save_and_load(),
            _ => rig.sys.reset(),
        }
    }
    rig.save_and_load();
    rig.sys.reset();
    for slot in [1, 2] {
        assert_eq!(rig.sys.read(ECAM + (slot << 15), 4), Ok(0x1110_1af4));
    }
}
