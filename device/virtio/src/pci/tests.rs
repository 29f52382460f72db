//! Software that finds a virtio function on a bus, as it is in configuration space and through its registers.

use southbridge_bus_pci::wiring::{devfn, plug};
use southbridge_bus_virtio::testing::{Guest, RAM, system};
use southbridge_core::{DeviceId, DeviceType, LineDirection, PropValue, Properties, System};

use crate::rng;

const ECAM: u64 = 0x3000_0000;
const PIO: u64 = 0x300_0000;
const MMIO: u64 = 0x4000_0000;
/// Where tests put the modern BAR.
const MODERN: u64 = 0x4010_0000;
const MSIX: u64 = 0x4020_0000;
const PORTS: u64 = 0x1000;
const COMMAND_ALL: u64 = 7;

struct Rig {
    sys: System,
    host: DeviceId,
    device: DeviceId,
    bus: u8,
    slot: u8,
}

fn type_of(name: &str) -> &'static DeviceType {
    let all = rng::TYPES.iter().chain(crate::input::KEYBOARD);
    all.copied().find(|t| t.name == name).expect("a type")
}

fn on(text: &str) -> PropValue {
    match text {
        "on" => PropValue::Bool(true),
        "off" => PropValue::Bool(false),
        number => PropValue::Uint(number.parse().expect("a number")),
    }
}

/// Properties as words: `vectors=0 packed=on`.
fn properties(words: &str) -> Properties {
    words.split_whitespace().fold(Properties::default(), |p, word| {
        let (name, value) = word.split_once('=').expect("name=value");
        let value = match name {
            "disable-legacy" => PropValue::OnOffAuto(match value {
                "auto" => None,
                v => Some(v == "on"),
            }),
            _ => on(value),
        };
        p.with(name, value)
    })
}

impl Rig {
    /// A device on the root bus, or below a root port.
    fn new(name: &str, words: &str, below_port: bool) -> Self {
        let mut sys = system();
        let uint = PropValue::Uint;
        let p = Properties::default()
            .with("x-ecam-base", uint(ECAM))
            .with("x-ecam-size", uint(256 << 20))
            .with("x-pio-base", uint(PIO))
            .with("x-pio-size", uint(0x10000))
            .with("x-below-4g-mmio-base", uint(MMIO))
            .with("x-below-4g-mmio-size", uint(1 << 30));
        let host = sys
            .add_device(&southbridge_device_pci::gpex::TYPE, None, p, &[])
            .expect("a host bridge");
        let bus = |sys: &System, n: usize| sys.buses().nth(n).expect("a bus").0;
        let root = sys
            .add_device(
                &southbridge_device_pci::gpex::ROOT_TYPE,
                None,
                Properties::default(),
                &[],
            )
            .expect("a root");
        let on_root = bus(&sys, 0);
        plug(&mut sys, on_root, root, 0, false);
        if below_port {
            let port = sys
                .add_device(
                    &southbridge_device_pci::port::ROOT_PORT,
                    Some("rp"),
                    Properties::default(),
                    &[],
                )
                .expect("a port");
            plug(&mut sys, on_root, port, devfn(1, 0), false);
        }
        let device = sys
            .add_device(type_of(name), None, properties(words), &[])
            .expect("a device");
        let (n, slot) = if below_port { (1, 0) } else { (0, 2) };
        let at = bus(&sys, n);
        plug(&mut sys, at, device, devfn(slot, 0), false);
        sys.reset();
        let mut rig = Self {
            sys,
            host,
            device,
            bus: n as u8,
            slot,
        };
        if below_port {
            // Bus numbers of the port.
            let port = ECAM + (u64::from(devfn(1, 0)) << 12);
            rig.sys.write(port + 0x18, 4, 0x01_0100).expect("ECAM");
            rig.sys.write(port + 0x20, 4, 0x4ff0_4000).expect("ECAM");
            rig.sys.write(port + 4, 2, 7).expect("ECAM");
        }
        rig
    }

    fn at(&self, offset: u64) -> u64 {
        ECAM + (u64::from(self.bus) << 20) + (u64::from(devfn(self.slot, 0)) << 12) + offset
    }

    fn cfg(&mut self, offset: u64, size: u8) -> u64 {
        self.sys.read(self.at(offset), size).expect("ECAM answers")
    }

    fn set_cfg(&mut self, offset: u64, size: u8, value: u64) {
        self.sys.write(self.at(offset), size, value).expect("ECAM answers");
    }

    fn ids(&mut self) -> String {
        let (id, class, sub, header) = (self.cfg(0, 4), self.cfg(8, 4), self.cfg(0x2c, 4), self.cfg(0x3d, 1));
        format!("{id:08x} {class:08x} {sub:08x} pin {header}")
    }

    /// Capabilities, the first of the list first: offset, id, and of vendor ones kind, BAR, offset, length.
    fn caps(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let mut at = self.cfg(0x34, 1);
        while at != 0 {
            let id = self.cfg(at, 1);
            let more = if id == 9 {
                let (kind, bar) = (self.cfg(at + 3, 1), self.cfg(at + 4, 1));
                let (offset, len) = (self.cfg(at + 8, 4), self.cfg(at + 12, 4));
                format!(" kind {kind} bar {bar} {offset:#x}+{len:#x}")
            } else {
                String::new()
            };
            out.push(format!("[{at:02x}] {id:02x}{more}"));
            at = self.cfg(at + 1, 1);
        }
        out
    }

    /// Size and type of each BAR.
    fn bars(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let mut n = 0;
        while n < 6 {
            let at = 0x10 + 4 * n;
            let before = self.cfg(at, 4);
            self.set_cfg(at, 4, 0xffff_ffff);
            let mask = self.cfg(at, 4);
            self.set_cfg(at, 4, before);
            let this = n;
            // A wide one takes two registers.
            n += if mask & 5 == 4 { 2 } else { 1 };
            let size = match mask {
                0 => continue,
                m if m & 1 != 0 => (!(m & !3) + 1) & 0xffff_ffff,
                m => (!(m & !15) + 1) & 0xffff_ffff,
            };
            out.push(format!("{this}: {size:#x} type {:x}", before & 15));
        }
        out
    }

    /// Gives the BARs addresses and lets the function decode and master the bus.
    fn enable(&mut self) {
        self.set_cfg(0x10, 4, PORTS);
        self.set_cfg(0x14, 4, MSIX);
        self.set_cfg(0x20, 4, MODERN);
        self.set_cfg(0x24, 4, 0);
        self.set_cfg(4, 2, COMMAND_ALL);
    }

    fn get(&mut self, offset: u64, size: u8) -> u64 {
        self.sys.read(MODERN + offset, size).expect("the BAR answers")
    }

    fn set(&mut self, offset: u64, size: u8, value: u64) {
        self.sys.write(MODERN + offset, size, value).expect("the BAR answers");
    }

    fn port(&mut self, offset: u64, size: u8) -> u64 {
        self.sys.read(PIO + PORTS + offset, size).expect("the port answers")
    }

    fn set_port(&mut self, offset: u64, size: u8, value: u64) {
        self.sys
            .write(PIO + PORTS + offset, size, value)
            .expect("the port answers");
    }

    fn intx(&self) -> bool {
        (0..4).any(|n| {
            let line = southbridge_device_pci::gpex::TYPE
                .line(LineDirection::Out, "intx", n)
                .expect("an output");
            self.sys
                .net_of(self.host, line)
                .is_some_and(|net| self.sys.net_level(net))
        })
    }

    /// A split ring of 8 entries at the start of memory with one buffer of 16 bytes, made available.
    fn ring_with_a_buffer(&mut self) {
        let (desc, driver, buffer) = (RAM + 0x10_0000, RAM + 0x10_0080, RAM + 0x20_0000);
        self.sys.write(desc, 8, buffer).expect("memory");
        self.sys.write(desc + 8, 8, 16 | 2 << 32).expect("memory");
        self.sys.write(driver, 8, 0x1_0000).expect("memory");
    }

    fn start_modern(&mut self, vectors: Option<(u16, u16)>) {
        self.set(0x14, 1, 0);
        self.set(0x14, 1, 1);
        self.set(0x14, 1, 3);
        self.set(8, 4, 1);
        self.set(0xc, 4, 1);
        self.set(0x14, 1, 11);
        assert_eq!(self.get(0x14, 1), 11, "features are accepted");
        if let Some((config, queue)) = vectors {
            self.set(0x10, 2, config.into());
            self.set(0x1a, 2, queue.into());
            assert_eq!((self.get(0x10, 2), self.get(0x1a, 2)), (config.into(), queue.into()));
        }
        self.ring_with_a_buffer();
        self.set(0x16, 2, 0);
        self.set(0x20, 4, RAM + 0x10_0000);
        self.set(0x28, 4, RAM + 0x10_0080);
        self.set(0x30, 8, RAM + 0x10_1000);
        self.set(0x1c, 2, 1);
        self.set(0x14, 1, 15);
    }

    /// Waits for the buffer to come back.
    fn wait_used(&mut self) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while self.sys.read(RAM + 0x10_1002, 2).expect("memory") == 0 {
            assert!(std::time::Instant::now() < end, "the device does not answer");
            self.sys
                .host
                .wait(Some(std::time::Duration::from_millis(5)))
                .expect("host");
            self.sys.deliver_completions();
        }
        assert_eq!(self.sys.read(RAM + 0x10_1008, 4), Ok(16));
    }
}

#[test]
fn a_function_on_the_root_bus_is_transitional() {
    let mut r = Rig::new("virtio-rng-pci", "", false);
    assert_eq!(r.ids(), "10051af4 00ff0000 00041af4 pin 1");
    assert_eq!(
        r.caps(),
        [
            "[98] 11",
            "[84] 09 kind 5 bar 0 0x0+0x0",
            "[70] 09 kind 2 bar 4 0x3000+0x1000",
            "[60] 09 kind 4 bar 4 0x2000+0x1000",
            "[50] 09 kind 3 bar 4 0x1000+0x1000",
            "[40] 09 kind 1 bar 4 0x0+0x1000",
        ]
    );
    assert_eq!(r.bars(), ["0: 0x20 type 1", "1: 0x1000 type 0", "4: 0x4000 type c",]);
    assert_eq!(r.cfg(0x9a, 2), 1, "two vectors");
}

#[test]
fn a_function_below_a_port_is_modern_and_express() {
    let mut r = Rig::new("virtio-rng-pci", "", true);
    assert_eq!(r.ids(), "10441af4 00ff0001 11001af4 pin 1");
    assert_eq!(
        r.caps(),
        [
            "[dc] 11",
            "[c8] 09 kind 5 bar 0 0x0+0x0",
            "[b4] 09 kind 2 bar 4 0x3000+0x1000",
            "[a4] 09 kind 4 bar 4 0x2000+0x1000",
            "[94] 09 kind 3 bar 4 0x1000+0x1000",
            "[84] 09 kind 1 bar 4 0x0+0x1000",
            "[7c] 01",
            "[40] 10",
        ]
    );
    assert_eq!(r.bars(), ["1: 0x1000 type 0", "4: 0x4000 type c"]);
}

#[test]
fn names_and_properties_choose_the_interfaces() {
    let cases = [
        (
            "virtio-rng-pci",
            "disable-legacy=on",
            false,
            "10441af4 00ff0001 11001af4",
            6,
            2,
        ),
        (
            "virtio-rng-pci",
            "disable-modern=on",
            false,
            "10051af4 00ff0000 00041af4",
            1,
            2,
        ),
        (
            "virtio-rng-pci",
            "disable-legacy=off",
            true,
            "10051af4 00ff0000 00041af4",
            8,
            3,
        ),
        (
            "virtio-rng-pci",
            "x-disable-pcie=on",
            true,
            "10441af4 00ff0001 11001af4",
            6,
            2,
        ),
        (
            "virtio-rng-pci-transitional",
            "",
            true,
            "10051af4 00ff0000 00041af4",
            8,
            3,
        ),
        (
            "virtio-rng-pci-non-transitional",
            "",
            false,
            "10441af4 00ff0001 11001af4",
            6,
            2,
        ),
        ("virtio-rng-pci", "vectors=0", false, "10051af4 00ff0000 00041af4", 5, 2),
        (
            "virtio-rng-pci",
            "modern-pio-notify=on",
            false,
            "10051af4 00ff0000 00041af4",
            7,
            4,
        ),
        ("virtio-keyboard-pci", "", false, "10521af4 09000001 11001af4", 6, 2),
    ];
    for (name, words, below_port, ids, caps, bars) in cases {
        let mut r = Rig::new(name, words, below_port);
        let have = r.ids();
        assert_eq!(have.trim_end_matches(" pin 1"), ids, "{name} {words}");
        assert_eq!((r.caps().len(), r.bars().len()), (caps, bars), "{name} {words}");
    }
    let mut r = Rig::new("virtio-rng-pci", "page-per-vq=on", false);
    assert_eq!(r.bars()[2], "4: 0x800000 type c");
    let refused = |words: &str| {
        let t = type_of("virtio-rng-pci");
        let e = system().add_device(t, None, properties(words), &[]);
        e.expect_err("refused").to_string()
    };
    assert!(refused("disable-legacy=on disable-modern=on").contains("disable-modern"));
    assert!(refused("disable-legacy=off iommu_platform=on").contains("iommu_platform"));
}

#[test]
fn a_modern_driver_gets_a_buffer_filled_and_messages() {
    let mut r = Rig::new("virtio-rng-pci", "", false);
    r.enable();
    assert_eq!((r.get(0x12, 2), r.get(0x18, 2), r.get(0x1a, 2)), (1, 8, 0xffff));
    // Queues that are not there.
    r.set(0x16, 2, 5);
    assert_eq!((r.get(0x18, 2), r.get(0x1c, 2)), (0, 0));
    r.set(0x16, 2, 0);
    // A vector that is not there is refused.
    r.set(0x1a, 2, 2);
    assert_eq!(r.get(0x1a, 2), 0xffff);
    // The queue's vector 1 writes 0x55 to memory.
    let message = RAM + 0x30_0000;
    r.set_cfg(0x9a, 2, 0x8000);
    let table = MSIX + 16;
    for (offset, value) in [(0, message), (4, 0), (8, 0x55), (12, 0)] {
        r.sys.write(table + offset, 4, value).expect("the table");
    }
    r.start_modern(Some((0, 1)));
    r.set(0x3000, 2, 0);
    r.wait_used();
    assert_eq!(r.sys.read(message, 4), Ok(0x55));
    assert!(!r.intx());
    assert_eq!(r.get(0x1000, 1), 1, "the status says it, too");
    assert_eq!(r.get(0x1000, 1), 0, "and is cleared by reading");
    // After a reset nothing is left.
    r.set(0x14, 1, 0);
    assert_eq!(
        (r.get(0x14, 1), r.get(0x1c, 2), r.get(0x1a, 2), r.get(0x20, 4)),
        (0, 0, 0xffff, 0)
    );
}

#[test]
fn without_messages_there_is_a_wire() {
    let mut r = Rig::new("virtio-rng-pci-non-transitional", "vectors=0", false);
    r.enable();
    r.start_modern(None);
    r.set(0x3000, 2, 0);
    r.wait_used();
    assert!(r.intx());
    assert_eq!(r.get(0x1000, 1), 1);
    assert!(!r.intx());
}

#[test]
fn a_function_that_may_not_master_the_bus_touches_nothing() {
    let mut r = Rig::new("virtio-rng-pci", "", false);
    r.enable();
    r.start_modern(None);
    r.set_cfg(4, 2, 3);
    r.set(0x3000, 2, 0);
    r.sys
        .host
        .wait(Some(std::time::Duration::from_millis(5)))
        .expect("host");
    r.sys.deliver_completions();
    assert_eq!(r.sys.read(RAM + 0x10_1002, 2), Ok(0));
    r.set_cfg(4, 2, 7);
    r.set(0x3000, 2, 0);
    r.wait_used();
}

#[test]
fn a_legacy_driver_gets_a_buffer_filled() {
    for name in ["virtio-rng-pci", "virtio-rng-pci-transitional"] {
        let mut r = Rig::new(name, "", false);
        r.enable();
        assert_eq!(r.port(0, 4), 0x3900_0000, "{name}: features of old rings");
        r.set_port(18, 1, 0);
        r.set_port(18, 1, 1);
        // Software of old does not care for bus mastering.
        r.set_cfg(4, 2, 3);
        r.set_port(18, 1, 3);
        assert_eq!(r.cfg(4, 2) & 4, 4, "{name}");
        r.set_port(4, 4, 0);
        r.set_port(14, 2, 0);
        assert_eq!(r.port(12, 2), 8);
        assert_eq!(r.port(8, 4), 0);
        r.ring_with_a_buffer();
        r.set_port(8, 4, (RAM + 0x10_0000) >> 12);
        assert_eq!(r.port(8, 4), (RAM + 0x10_0000) >> 12);
        r.set_port(18, 1, 7);
        r.set_port(16, 2, 0);
        r.wait_used();
        assert!(r.intx());
        assert_eq!(r.port(19, 1), 1);
        assert!(!r.intx());
        // A page of 0 resets.
        r.set_port(8, 4, 0);
        assert_eq!((r.port(18, 1), r.port(8, 4)), (0, 0));
    }
}

#[test]
fn registers_can_be_reached_through_configuration_space() {
    let mut r = Rig::new("virtio-rng-pci", "", false);
    r.enable();
    let window = 0x84;
    let access = |r: &mut Rig, offset: u64, size: u64, write: Option<u64>| {
        r.set_cfg(window + 4, 1, 4);
        r.set_cfg(window + 8, 4, offset);
        r.set_cfg(window + 12, 4, size);
        if let Some(v) = write {
            r.set_cfg(window + 16, size as u8, v);
        }
        r.cfg(window + 16, size as u8)
    };
    assert_eq!(access(&mut r, 0x18, 2, None), 8, "the queue's size");
    access(&mut r, 0x14, 1, Some(1));
    assert_eq!(r.get(0x14, 1), 1, "device status");
    // Places that are none.
    for (offset, size) in [(0x4000, 4), (u64::from(u32::MAX), 4), (1, 2), (0, 3), (0, 0)] {
        r.set_cfg(window + 8, 4, offset);
        r.set_cfg(window + 12, 4, size);
        r.set_cfg(window + 16, 4, 0xffff_ffff);
        r.cfg(window + 16, 4);
    }
    assert_eq!(r.get(0x14, 1), 1);
}

#[test]
fn a_function_is_saved_and_loaded_between_ports_and_the_root_bus_only_in_kind() {
    let mut r = Rig::new("virtio-rng-pci", "", false);
    r.enable();
    r.start_modern(None);
    let state = r.sys.with_device(r.device, |d, _| d.save()).expect("in its slot");
    let mut same = Rig::new("virtio-rng-pci", "", false);
    let loaded = same
        .sys
        .with_device(same.device, |d, cx| d.load(&state).map(|()| d.after_load(cx)));
    assert_eq!(loaded, Some(Ok(())));
    let again = same.sys.with_device(same.device, |d, _| d.save()).expect("in its slot");
    assert_eq!(again, state);
    let mut other = Rig::new("virtio-rng-pci", "", true);
    let refused = other.sys.with_device(other.device, |d, _| d.load(&state));
    assert!(refused.expect("in its slot").is_err());
}

#[test]
fn the_test_driver_works_behind_a_function() {
    let r = Rig::new("virtio-rng-pci-non-transitional", "packed=on", false);
    let (device, at) = (r.device, r.at(4));
    let mut g = Guest::around(r.sys, device);
    g.sys.write(at, 2, COMMAND_ALL).expect("ECAM");
    g.start(southbridge_bus_virtio::spec::feature::RING_PACKED);
    assert_eq!(g.request(0, &[], &[32]).len, 32);
}
