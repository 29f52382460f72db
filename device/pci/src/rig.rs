//! A guest for tests: a host bridge with the windows of the `virt` board, memory, and configuration accesses as software makes them.

use southbridge_bus_pci::wiring::{devfn, plug};
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{
    BusId, ClockRate, DeviceId, DeviceType, LineDirection, PropValue, Properties, RamBlock, System,
};

pub(crate) const ECAM: u64 = 0x3000_0000;
pub(crate) const MMIO: u64 = 0x4000_0000;
pub(crate) const MMIO64: u64 = 0x4_0000_0000;
pub(crate) const PIO: u64 = 0x300_0000;
pub(crate) const RAM: u64 = 0x8000_0000;

pub(crate) struct Rig {
    pub(crate) sys: System,
    pub(crate) host: DeviceId,
}

pub(crate) fn host_properties() -> Properties {
    let uint = PropValue::Uint;
    Properties::default()
        .with("x-ecam-base", uint(ECAM))
        .with("x-ecam-size", uint(256 << 20))
        .with("x-pio-base", uint(PIO))
        .with("x-pio-size", uint(0x10000))
        .with("x-below-4g-mmio-base", uint(MMIO))
        .with("x-below-4g-mmio-size", uint(1 << 30))
        .with("x-above-4g-mmio-base", uint(MMIO64))
        .with("x-above-4g-mmio-size", uint(16 << 30))
}

impl Rig {
    pub(crate) fn new() -> Self {
        let mut sys = System::new(ClockRate::Hz(1_000_000_000)).expect("an epoll descriptor");
        let block = RamBlock::new("ram", 1 << 20).expect("memory");
        sys.memory.map(Mapping {
            start: RAM,
            len: 1 << 20,
            priority: 0,
            name: "ram".into(),
            target: Target::Ram {
                block,
                offset: 0,
                readonly: false,
            },
        });
        let host = sys
            .add_device(&crate::gpex::TYPE, None, host_properties(), &[])
            .expect("a host bridge");
        let mut rig = Self { sys, host };
        rig.add(&crate::gpex::ROOT_TYPE, 0, 0, 0);
        rig.sys.reset();
        rig
    }

    pub(crate) fn bus(&self, n: usize) -> BusId {
        self.sys.buses().nth(n).expect("a bus").0
    }

    /// Adds a device to the `n`th bus of the machine and resets it.
    pub(crate) fn add(&mut self, t: &'static DeviceType, n: usize, slot: u8, function: u8) -> DeviceId {
        self.add_with(t, n, devfn(slot, function), Properties::default(), false)
    }

    pub(crate) fn add_with(
        &mut self,
        t: &'static DeviceType,
        n: usize,
        devfn: u8,
        p: Properties,
        hot: bool,
    ) -> DeviceId {
        let d = self.sys.add_device(t, None, p, &[]).expect("a device");
        self.sys.reset_device(d);
        let bus = self.bus(n);
        plug(&mut self.sys, bus, d, devfn, hot);
        d
    }

    pub(crate) fn ecam(bus: u8, slot: u8, function: u8, offset: u64) -> u64 {
        ECAM + (u64::from(bus) << 20) + (u64::from(devfn(slot, function)) << 12) + offset
    }

    pub(crate) fn cfg(&mut self, bus: u8, slot: u8, offset: u64, size: u8) -> u32 {
        self.sys
            .read(Self::ecam(bus, slot, 0, offset), size)
            .expect("ECAM answers") as u32
    }

    pub(crate) fn set_cfg(&mut self, bus: u8, slot: u8, offset: u64, size: u8, value: u32) {
        self.sys
            .write(Self::ecam(bus, slot, 0, offset), size, value.into())
            .expect("ECAM answers");
    }

    pub(crate) fn read32(&mut self, at: u64) -> u32 {
        self.sys.read(at, 4).expect("the address answers") as u32
    }

    pub(crate) fn write32(&mut self, at: u64, value: u32) {
        self.sys.write(at, 4, value.into()).expect("the address answers");
    }

    /// Level of the host bridge's wire `n`.
    pub(crate) fn intx(&self, n: u16) -> bool {
        let line = crate::gpex::TYPE
            .line(LineDirection::Out, "intx", n)
            .expect("an output");
        self.sys
            .net_of(self.host, line)
            .is_some_and(|net| self.sys.net_level(net))
    }

    /// The rest of the bus, saved and loaded into `other`, as a machine does it.
    pub(crate) fn copy_to(&mut self, other: &mut Self) {
        let ids: Vec<_> = self.sys.devices().map(|(d, _)| d).collect();
        let states: Vec<_> = ids
            .iter()
            .map(|d| self.sys.with_device(*d, |d, _| d.save()).expect("in its slot"))
            .collect();
        for (d, s) in ids.iter().zip(&states) {
            let r = other.sys.with_device(*d, |d, _| d.load(s));
            r.expect("the same devices").expect("a state of its own kind");
        }
        for d in ids {
            other.sys.with_device(d, |d, cx| d.after_load(cx));
        }
    }
}
