//! Both devices behind a host bridge, as a guest finds them, with memory and servers played by the test.

use rustix::fd::AsFd;
use southbridge_backend_chardev::testing::Loop;
use southbridge_backend_memory::{Config, Kind, MemoryBackend};
use southbridge_bus_pci::wiring::{devfn, plug};
use southbridge_core::log::Log;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{BusId, ClockRate, DeviceId, DeviceType, LogItems, PropValue, Properties, System};
use southbridge_device_pci::gpex;
use southbridge_testing::{Bench, Noise, check_device};

use super::*;
use crate::rig::{Paper, count, event, ring};

const ECAM: u64 = 0x3000_0000;
const MMIO: u64 = 0x4000_0000;
const RAM: u64 = 0x8000_0000;
/// Where the test's guest puts the BARs.
const REGS: u64 = MMIO;
const TABLE: u64 = MMIO + 0x1_0000;
const SHMEM: u64 = 0x4_0000_0000;
const SIZE: u64 = 1 << 16;

const STATUS: u64 = REGS + 4;
const POSITION: u64 = REGS + 8;
const DOORBELL_AT: u64 = REGS + 12;

/// A machine with a host bridge and nothing on its bus.
struct Guest {
    sys: System,
    bus: BusId,
    dut: DeviceId,
    log: Paper,
    warnings: Paper,
}

fn host_properties() -> Properties {
    let uint = PropValue::Uint;
    Properties::default()
        .with("x-ecam-base", uint(ECAM))
        .with("x-ecam-size", uint(1 << 20))
        .with("x-below-4g-mmio-base", uint(MMIO))
        .with("x-below-4g-mmio-size", uint(1 << 30))
        .with("x-above-4g-mmio-base", uint(SHMEM))
        .with("x-above-4g-mmio-size", uint(16 << 30))
}

fn system() -> (System, Paper, Paper) {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
    let (log, warnings) = (Paper::default(), Paper::default());
    sys.log = Log::new(LogItems::GUEST_ERRORS, Box::new(log.clone()));
    sys.log.set_warnings(Box::new(warnings.clone()));
    (sys, log, warnings)
}

impl Guest {
    fn new() -> Self {
        let (mut sys, log, warnings) = system();
        sys.memory.map(Mapping {
            start: RAM,
            len: SIZE,
            priority: 0,
            name: "ram".into(),
            target: Target::Ram {
                block: RamBlock::new("ram", SIZE).unwrap(),
                offset: 0,
                readonly: false,
            },
        });
        let host = sys.add_device(&gpex::TYPE, None, host_properties(), &[]).unwrap();
        let bus = sys.buses().next().unwrap().0;
        let root = sys
            .add_device(&gpex::ROOT_TYPE, None, Properties::default(), &[])
            .unwrap();
        plug(&mut sys, bus, root, 0, false);
        Self {
            sys,
            bus,
            dut: host,
            log,
            warnings,
        }
    }

    /// Puts the device under test into slot 1.
    fn insert(&mut self, t: &'static DeviceType, p: Properties) {
        self.dut = self.sys.add_device(t, Some("dut"), p, &[]).unwrap();
        plug(&mut self.sys, self.bus, self.dut, devfn(1, 0), false);
        self.sys.reset();
    }

    fn plain(p: Properties) -> (Self, RamBlock) {
        let mut g = Self::new();
        let (p, block) = with_memory(&mut g.sys, p, SIZE, Kind::Ram);
        g.insert(&PLAIN, p);
        g.enable();
        (g, block)
    }

    fn doorbell(p: Properties) -> (Self, Server) {
        let mut g = Self::new();
        let (id, server) = Loop::new(&mut g.sys);
        g.insert(&DOORBELL, p.with("chardev", PropValue::Backend("ivsh".into(), id)));
        (g, Server(server))
    }

    /// The same, greeted with id 5, two own vectors and peer 3 with two, and set up by a driver. Also the memory and the eventfds.
    fn ready(p: Properties) -> (Self, Server, RamBlock, [OwnedFd; 4]) {
        let (mut g, server) = Self::doorbell(p.with("vectors", PropValue::Uint(2)));
        let memory = RamBlock::new("test", SIZE).unwrap();
        let fds = [event(), event(), event(), event()];
        server.greet(&mut g, 5, &memory);
        for (id, fd) in [5, 5, 3, 3].into_iter().zip(&fds) {
            server.say(&mut g, id, Some(fd));
        }
        g.drive();
        (g, server, memory, fds)
    }

    fn cfg(&mut self, offset: u64) -> u32 {
        self.read(ECAM + 0x8000 + offset)
    }

    fn set_cfg(&mut self, offset: u64, size: u8, value: u32) {
        self.sys.write(ECAM + 0x8000 + offset, size, value.into()).unwrap();
    }

    fn read(&mut self, at: u64) -> u32 {
        self.sys.read(at, 4).unwrap() as u32
    }

    fn write(&mut self, at: u64, value: u32) {
        self.sys.write(at, 4, value.into()).unwrap();
    }

    fn poll(&mut self) {
        self.sys.host.wait(Some(std::time::Duration::ZERO)).unwrap();
        self.sys.deliver_completions();
    }

    /// What a guest does first: BARs and command register.
    fn enable(&mut self) {
        self.set_cfg(0x10, 4, REGS as u32);
        self.set_cfg(0x14, 4, TABLE as u32);
        self.set_cfg(0x18, 4, SHMEM as u32);
        self.set_cfg(0x1c, 4, (SHMEM >> 32) as u32);
        self.set_cfg(4, 2, 6);
    }

    /// What a driver does: MSI-X on, a word of RAM for each of two vectors.
    fn drive(&mut self) {
        self.enable();
        for vector in 0..2 {
            let entry = TABLE + u64::from(vector) * 16;
            self.write(entry, RAM as u32 + 4 * vector);
            self.write(entry + 4, 0);
            self.write(entry + 8, 0x700 + vector);
            self.write(entry + 12, 0);
        }
        self.set_cfg(0x42, 2, 0x8000);
    }

    /// Messages of both vectors since the last look.
    fn messages(&mut self) -> [u32; 2] {
        [0, 4].map(|at| {
            let value = self.read(RAM + at);
            self.write(RAM + at, 0);
            value
        })
    }

    fn blocker(&mut self) -> Option<String> {
        self.sys.with_device(self.dut, |d, _| d.migration_blocker()).unwrap()
    }

    fn save(&mut self) -> SavedState {
        self.sys.with_device(self.dut, |d, _| d.save()).unwrap()
    }

    fn load(&mut self, s: &SavedState) -> Result<(), LoadError> {
        self.sys.with_device(self.dut, |d, _| d.load(s)).unwrap()?;
        let ids: Vec<_> = self.sys.devices().map(|(d, _)| d).collect();
        for d in ids {
            self.sys.with_device(d, |d, cx| d.after_load(cx));
        }
        Ok(())
    }
}

fn with_memory(sys: &mut System, p: Properties, size: u64, kind: Kind) -> (Properties, RamBlock) {
    let config = Config {
        kind,
        size,
        share: true,
        prealloc: false,
    };
    let (id, block) = MemoryBackend::add(sys, "m", &config).unwrap();
    (p.with("memdev", PropValue::Backend("m".into(), id)), block)
}

fn text(name: &str, value: &str) -> Properties {
    Properties::default().with(name, PropValue::Str(value.into()))
}

/// The other end of the device's socket.
struct Server(Loop);

impl Server {
    fn say(&self, g: &mut Guest, number: i64, fd: Option<&OwnedFd>) {
        let fds = fd.map(|fd| fd.try_clone().unwrap()).into_iter().collect();
        self.0.feed_with_fds(&number.to_le_bytes(), fds);
        g.poll();
    }

    fn greet(&self, g: &mut Guest, id: i64, memory: &RamBlock) {
        self.say(g, 0, None);
        self.say(g, id, None);
        self.say(g, -1, Some(&memory.fd().try_clone_to_owned().unwrap()));
    }
}

fn signal(fd: &OwnedFd) {
    rustix::io::write(fd.as_fd(), &1u64.to_ne_bytes()).unwrap();
}

fn seen(block: &RamBlock, at: u64) -> u32 {
    let mut b = [0; 4];
    assert!(block.read(at, &mut b));
    u32::from_le_bytes(b)
}

// ----- what they are -------------------------------------------------------------------------------------------------------------

#[test]
fn they_are_what_every_device_is() {
    check_device(|| {
        let (mut sys, ..) = system();
        let (p, _) = with_memory(&mut sys, text("master", "on"), SIZE, Kind::Ram);
        Bench::on(sys, &PLAIN, p)
    });
    check_device(|| {
        let (mut sys, ..) = system();
        let (id, _) = Loop::new(&mut sys);
        let p = text("master", "auto").with("chardev", PropValue::Backend("c".into(), id));
        Bench::on(sys, &DOORBELL, p)
    });
}

#[test]
fn what_cannot_be_made_says_why() {
    let create = |t: &'static DeviceType, p: Properties, size: u64| {
        let (mut sys, ..) = system();
        let p = match (t.name, size) {
            (_, 0) => p,
            ("ivshmem-plain", _) => with_memory(&mut sys, p, size, Kind::Ram).0,
            _ => p.with("chardev", PropValue::Backend("c".into(), Loop::new(&mut sys).0)),
        };
        sys.add_device(t, None, p, &[]).map(|_| ()).map_err(|e| e.to_string())
    };
    let none = Properties::default;
    assert!(create(&PLAIN, none(), 0).unwrap_err().starts_with("needs 'memdev=ID"));
    assert!(
        create(&DOORBELL, none(), 0)
            .unwrap_err()
            .starts_with("needs 'chardev=ID")
    );
    let odd = create(&PLAIN, none(), 3 << 20).unwrap_err();
    assert!(odd.contains("power of two") && odd.contains("3145728"), "{odd}");
    for (vectors, ok) in [(0, false), (1, true), (2048, true), (2049, false)] {
        let p = none().with("vectors", PropValue::Uint(vectors));
        assert_eq!(create(&DOORBELL, p, 1).is_ok(), ok, "{vectors}");
    }
    let (mut sys, ..) = system();
    let (id, _) = Loop::new(&mut sys);
    let p = none().with("memdev", PropValue::Backend("c".into(), id));
    let e = sys.add_device(&PLAIN, None, p, &[]).unwrap_err().to_string();
    assert!(e.contains("this is none"), "{e}");
}

/// As QEMU 10.0.2 shows it on `virt`, from offset 0; the rest is 0.
fn assert_config(g: &mut Guest, qemu: &[u32]) {
    for n in 0..64 {
        let expected = qemu.get(n).copied().unwrap_or(0);
        assert_eq!(g.cfg(4 * n as u64), expected, "offset {:#x}", 4 * n);
    }
    assert_eq!(g.cfg(0x100), u32::MAX);
}

const PLAIN_CONFIG: [u32; 12] = [0x1110_1af4, 0, 0x0500_0001, 0, 0, 0, 0xc, 0, 0, 0, 0, 0x1100_1af4];

#[test]
fn configuration_space_of_plain_is_as_in_qemu() {
    let mut g = Guest::new();
    let (p, _) = with_memory(&mut g.sys, Properties::default(), 1 << 20, Kind::Ram);
    g.insert(&PLAIN, p);
    assert_config(&mut g, &PLAIN_CONFIG);
}

#[test]
fn configuration_space_of_doorbell_is_as_in_qemu() {
    for (vectors, flags, pba, bar) in [
        (1, 0x0000_0011, 0x801, 0xffff_f000u32),
        (2, 0x0001_0011, 0x801, 0xffff_f000),
        (200, 0x00c7_0011, 0xc81, 0xffff_f000),
        (2048, 0x07ff_0011, 0x8001, 0xffff_0000),
    ] {
        let (mut g, server) = Guest::doorbell(Properties::default().with("vectors", PropValue::Uint(vectors)));
        server.greet(&mut g, 0, &RamBlock::new("test", SIZE).unwrap());
        let mut qemu = PLAIN_CONFIG.to_vec();
        qemu[1] = 0x10_0000;
        qemu.extend([0, 0x40, 0, 0, flags, 1, pba]);
        assert_config(&mut g, &qemu);
        g.set_cfg(0x14, 4, u32::MAX);
        assert_eq!(g.cfg(0x14), bar, "{vectors} vectors");
    }
}

#[test]
fn bars_have_their_sizes() {
    let (mut g, _block) = Guest::plain(Properties::default());
    for (at, size) in [
        (0x10, 0xffff_ff00),
        (0x14, 0),
        (0x18, 0xffff_000c),
        (0x1c, 0xffff_ffff),
        (0x20, 0),
    ] {
        g.set_cfg(at, 4, u32::MAX);
        assert_eq!(g.cfg(at), size, "{at:#x}");
    }
}

// ----- plain ---------------------------------------------------------------------------------------------------------------------

#[test]
fn guest_and_host_see_each_others_writes() {
    let (mut g, block) = Guest::plain(Properties::default());
    g.write(SHMEM + SIZE - 4, 0x1234_5678);
    assert_eq!(seen(&block, SIZE - 4), 0x1234_5678);
    assert!(block.write(8, &[7]));
    assert_eq!(g.sys.read(SHMEM + 8, 1), Ok(7));
    assert_eq!(g.read(POSITION), 0);
    g.write(DOORBELL_AT, 0);
    assert!(g.log.take().contains("no server"));
    // Below 4 GiB it works too.
    g.set_cfg(0x18, 4, MMIO as u32 + 0x10_0000);
    g.set_cfg(0x1c, 4, 0);
    assert_eq!(g.read(MMIO + 0x10_0000 + SIZE - 4), 0x1234_5678);
    assert_eq!(g.read(SHMEM), u32::MAX);
}

#[test]
fn mask_and_status_hold_what_is_written_until_reset() {
    let (mut g, _block) = Guest::plain(Properties::default());
    g.write(REGS, 0xdead_beef);
    g.write(STATUS, 0x8000_0001);
    assert_eq!(
        (g.read(REGS), g.read(STATUS), g.read(STATUS)),
        (0xdead_beef, 0x8000_0001, 0)
    );
    g.write(STATUS, 1);
    g.sys.reset();
    g.enable();
    assert_eq!((g.read(REGS), g.read(STATUS)), (0, 0));
    assert_eq!(g.read(REGS + 0x10), 0, "reserved");
    // Halves, bytes and pairs.
    g.write(REGS, 0x1122_3344);
    assert_eq!(g.sys.read(REGS + 2, 2), Ok(0x1122));
    assert_eq!(g.sys.read(REGS, 8), Ok(0x1122_3344));
}

#[test]
fn read_only_memory_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rom");
    std::fs::write(&path, vec![0x5a; SIZE as usize]).unwrap();
    let mut g = Guest::new();
    let config = Config {
        kind: Kind::File {
            path,
            offset: 0,
            readonly: true,
            discard: false,
        },
        size: SIZE,
        share: false,
        prealloc: false,
    };
    let (id, block) = MemoryBackend::add(&mut g.sys, "m", &config).unwrap();
    let p = Properties::default().with("memdev", PropValue::Backend("m".into(), id));
    g.insert(&PLAIN, p);
    g.enable();
    let _ = g.sys.write(SHMEM, 4, 0);
    assert_eq!((g.read(SHMEM), seen(&block, 0)), (0x5a5a_5a5a, 0x5a5a_5a5a));
}

#[test]
fn huge_pages() {
    let size = 2 << 20;
    let mut g = Guest::new();
    let kind = Kind::Memfd {
        huge: Some(size),
        seal: false,
    };
    let config = Config {
        kind: kind.clone(),
        size,
        share: true,
        prealloc: true,
    };
    if let Err(e) = MemoryBackend::open("probe", &config) {
        return println!("skipped, the host has no huge pages: {e}");
    }
    let (p, block) = with_memory(&mut g.sys, Properties::default(), size, kind);
    g.insert(&PLAIN, p);
    g.enable();
    g.write(SHMEM + size - 4, 5);
    assert_eq!(seen(&block, size - 4), 5);
    drop(g);
    let (mut g, server) = Guest::doorbell(Properties::default());
    server.greet(&mut g, 0, &block);
    g.enable();
    assert_eq!(g.read(SHMEM + size - 4), 5);
}

// ----- doorbell: the server ------------------------------------------------------------------------------------------------------

#[test]
fn the_memory_appears_with_the_greeting() {
    let (mut g, server) = Guest::doorbell(Properties::default());
    g.enable();
    assert_eq!((g.read(POSITION), g.cfg(0x18), g.cfg(0x1c)), (u32::MAX, 0, 0));
    assert_eq!(g.sys.start_holds, 1);
    let memory = RamBlock::new("test", SIZE).unwrap();
    server.greet(&mut g, 5, &memory);
    assert_eq!((g.read(POSITION), g.cfg(0x18)), (5, 0xc));
    assert_eq!(g.sys.start_holds, 1);
    server.say(&mut g, 5, Some(&event()));
    assert_eq!(g.sys.start_holds, 0);
    g.enable();
    g.write(SHMEM + SIZE - 4, 9);
    assert_eq!(seen(&memory, SIZE - 4), 9);
    assert_eq!(g.read(SHMEM + SIZE), u32::MAX, "and no more");
    assert_eq!(g.warnings.take(), "");
}

#[test]
fn memory_that_no_bar_can_show_is_refused() {
    let (mut g, server) = Guest::doorbell(Properties::default());
    server.greet(&mut g, 5, &RamBlock::new("test", 3 << 12).unwrap());
    g.enable();
    let text = g.warnings.take();
    assert!(text.contains("12288 bytes") && text.contains("power of two"), "{text}");
    assert_eq!((g.read(POSITION), g.cfg(0x18)), (5, 0));
    // Doorbells work.
    let peer = event();
    server.say(&mut g, 3, Some(&peer));
    g.write(DOORBELL_AT, ring(3, 0));
    assert_eq!(count(&peer), 1);
}

#[test]
fn a_file_that_only_claims_to_be_large() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 42).unwrap();
    let fd: OwnedFd = file.into();
    let (mut g, server) = Guest::doorbell(Properties::default());
    server.say(&mut g, 0, None);
    server.say(&mut g, 5, None);
    server.say(&mut g, -1, Some(&fd));
    assert!(g.warnings.take().contains("is the most"));
}

#[test]
fn a_later_server_must_have_the_same_size() {
    let (mut g, server, ..) = Guest::ready(Properties::default());
    g.write(SHMEM, 1);
    for (size, works) in [(2 * SIZE, false), (SIZE, true)] {
        server.0.disconnect();
        g.poll();
        assert!(g.warnings.take().contains("server is gone"));
        server.0.reconnect();
        g.poll();
        assert_eq!(g.read(POSITION), u32::MAX);
        let memory = RamBlock::new("test", size).unwrap();
        assert!(memory.write(0, &[8]));
        server.greet(&mut g, 6, &memory);
        let text = g.warnings.take();
        assert_eq!(text.contains("the guest knows of 65536"), !works, "{text}");
        assert_eq!((g.read(POSITION), g.read(SHMEM)), (6, if works { 8 } else { 0 }));
        assert_eq!(g.cfg(0x18), 0xc, "the BAR stays");
    }
}

#[test]
fn a_server_that_dies_leaves_what_there_is() {
    let (mut g, server, _memory, [own, _, peer, _]) = Guest::ready(Properties::default());
    g.write(SHMEM, 7);
    server.0.disconnect();
    g.poll();
    assert!(g.warnings.take().contains("server is gone"));
    signal(&own);
    g.poll();
    g.write(DOORBELL_AT, ring(3, 0));
    assert_eq!((g.messages(), count(&peer), g.read(SHMEM)), ([0x700, 0], 1, 7));
}

#[test]
fn a_server_that_lies_takes_the_doorbells_with_it() {
    let (mut g, server, _memory, [own, _, peer, _]) = Guest::ready(Properties::default());
    g.write(SHMEM, 7);
    server.say(&mut g, -7, None);
    let text = g.warnings.take();
    assert!(
        text.starts_with("warning: ivshmem-doorbell 'dut': ivshmem server: message"),
        "{text}"
    );
    signal(&own);
    g.poll();
    g.write(DOORBELL_AT, ring(3, 0));
    assert_eq!((g.messages(), count(&peer), g.read(SHMEM)), ([0, 0], 0, 7));
}

// ----- doorbell: ringing ---------------------------------------------------------------------------------------------------------

#[test]
fn a_peer_that_rings_is_a_message() {
    let (mut g, _server, _memory, [zero, one, ..]) = Guest::ready(Properties::default());
    signal(&one);
    g.poll();
    assert_eq!(g.messages(), [0, 0x701]);
    signal(&zero);
    signal(&one);
    g.poll();
    assert_eq!(g.messages(), [0x700, 0x701]);
    assert_eq!(g.read(STATUS), 0, "reserved in revision 1");
    // Without MSI-X there is nothing to tell, then or later.
    g.set_cfg(0x42, 2, 0);
    signal(&zero);
    g.poll();
    g.set_cfg(0x42, 2, 0x8000);
    assert_eq!(g.messages(), [0, 0]);
    // Without bus mastering the message is lost.
    g.set_cfg(4, 2, 2);
    signal(&zero);
    g.poll();
    assert!(g.log.take().contains("is lost"));
    g.set_cfg(4, 2, 6);
    assert_eq!(g.messages(), [0, 0]);
}

#[test]
fn a_masked_vector_pends_and_fires() {
    let (mut g, _server, _memory, [zero, one, ..]) = Guest::ready(Properties::default());
    g.write(TABLE + 12, 1);
    signal(&zero);
    signal(&one);
    g.poll();
    assert_eq!((g.messages(), g.read(TABLE + 0x800)), ([0, 0x701], 1));
    g.write(TABLE + 12, 0);
    assert_eq!((g.messages(), g.read(TABLE + 0x800)), ([0x700, 0], 0));
    // All at once.
    g.set_cfg(0x42, 2, 0xc000);
    for fd in [&zero, &one, &one] {
        signal(fd);
        g.poll();
    }
    assert_eq!((g.messages(), g.read(TABLE + 0x800)), ([0, 0], 3));
    g.set_cfg(0x42, 2, 0x8000);
    assert_eq!(g.messages(), [0x700, 0x701]);
}

#[test]
fn reset_clears_what_pends_and_keeps_the_peers() {
    let (mut g, _server, _memory, [zero, _, peer, _]) = Guest::ready(Properties::default());
    g.write(TABLE + 12, 1);
    signal(&zero);
    g.poll();
    g.write(SHMEM, 3);
    g.sys.reset();
    assert_eq!((g.cfg(4) & 0xffff, g.cfg(0x18), g.cfg(0x40)), (0, 0xc, 0x0001_0011));
    g.enable();
    assert_eq!((g.read(TABLE + 0x800), g.read(TABLE + 12)), (0, 1));
    g.drive();
    assert_eq!((g.messages(), g.read(SHMEM), g.read(POSITION)), ([0, 0], 3, 5));
    signal(&zero);
    g.poll();
    g.write(DOORBELL_AT, ring(3, 0));
    assert_eq!((g.messages(), count(&peer)), ([0x700, 0], 1));
}

#[test]
fn a_doorbell_reaches_its_vector() {
    let (mut g, server, _memory, [_, _, zero, one]) = Guest::ready(Properties::default());
    for vector in [1, 1, 0] {
        g.write(DOORBELL_AT, ring(3, vector));
    }
    assert_eq!((count(&zero), count(&one), g.log.take()), (1, 2, String::new()));
    for (value, text) in [
        (ring(3, 2), "vector 2, which peer 3 does not have"),
        (ring(3, 0x100), "vector 256"),
        (ring(4, 0), "peer 4, which is not there"),
        (u32::MAX, "peer 65535, which is not there"),
    ] {
        g.write(DOORBELL_AT, value);
        let log = g.log.take();
        assert!(log.contains(text), "{log}");
    }
    server.say(&mut g, 3, None);
    g.write(DOORBELL_AT, ring(3, 0));
    assert!(g.log.take().contains("not there"), "a peer that died");
    assert_eq!((count(&zero), count(&one)), (0, 0));
    // It cannot be read, and IVPosition not be written.
    assert_eq!(g.read(DOORBELL_AT), 0);
    g.write(POSITION, 9);
    assert_eq!(g.read(POSITION), 5);
}

#[test]
fn one_can_ring_oneself() {
    let (mut g, ..) = Guest::ready(Properties::default());
    g.write(DOORBELL_AT, ring(5, 1));
    assert_eq!(g.messages(), [0, 0x701]);
    g.write(DOORBELL_AT, ring(5, 2));
    assert_eq!(g.messages(), [0, 0]);
    assert!(g.log.take().contains("vector 2"));
    // A message to the device's own doorbell ends there.
    g.write(TABLE, DOORBELL_AT as u32);
    g.write(TABLE + 8, ring(5, 0));
    g.write(DOORBELL_AT, ring(5, 0));
    assert_eq!(g.messages(), [0, 0]);
    assert!(g.log.take().contains("is lost"));
}

#[test]
fn vectors_beyond_ones_own_number_are_closed() {
    let (mut g, server) = Guest::doorbell(Properties::default());
    server.greet(&mut g, 5, &RamBlock::new("test", SIZE).unwrap());
    let fds = [event(), event(), event(), event()];
    for (id, fd) in [3, 3, 5, 5].into_iter().zip(&fds) {
        server.say(&mut g, id, Some(fd));
    }
    g.drive();
    g.write(DOORBELL_AT, ring(3, 0));
    g.write(DOORBELL_AT, ring(3, 1));
    assert_eq!(count(&fds[0]), 1);
    assert!(g.log.take().contains("vector 1, which peer 3 does not have"));
    signal(&fds[3]);
    signal(&fds[2]);
    g.poll();
    assert_eq!(g.messages(), [0x700, 0]);
    assert_eq!(g.warnings.take(), "");
}

#[test]
fn a_device_that_leaves_is_not_rung() {
    let (mut g, server, _memory, [own, ..]) = Guest::ready(Properties::default());
    signal(&own);
    g.sys.host.wait(Some(std::time::Duration::ZERO)).unwrap();
    g.sys.remove_device(g.dut);
    g.sys.deliver_completions();
    signal(&own);
    server.0.feed(&3i64.to_le_bytes());
    g.poll();
    assert_eq!(g.messages(), [0, 0]);
    assert_eq!(g.sys.read(SHMEM, 4), Ok(0xffff_ffff), "its memory is gone from the bus");
    assert_eq!(g.cfg(0), u32::MAX);
}

// ----- two machines --------------------------------------------------------------------------------------------------------------

#[test]
fn two_machines_ring_each_other() {
    let (mut a, server_a) = Guest::doorbell(Properties::default().with("vectors", PropValue::Uint(2)));
    let (mut b, server_b) = Guest::doorbell(Properties::default().with("vectors", PropValue::Uint(2)));
    let memory = RamBlock::new("test", SIZE).unwrap();
    server_a.greet(&mut a, 0, &memory);
    server_b.greet(&mut b, 1, &memory);
    for (id, fd) in [(0, event()), (0, event()), (1, event()), (1, event())] {
        server_a.say(&mut a, id, Some(&fd));
        server_b.say(&mut b, id, Some(&fd));
    }
    a.drive();
    b.drive();
    for round in 1..100 {
        let (from, to, id) = if round % 2 == 0 {
            (&mut a, &mut b, 1)
        } else {
            (&mut b, &mut a, 0)
        };
        from.write(SHMEM + 16, round);
        from.write(DOORBELL_AT, ring(id, (round / 2 % 2) as u16));
        to.poll();
        let expected = if round / 2 % 2 == 0 { [0x700, 0] } else { [0, 0x701] };
        assert_eq!((to.messages(), to.read(SHMEM + 16)), (expected, round));
    }
}

#[test]
fn a_board_with_the_flat_device_is_a_peer_like_any_other() {
    let (mut g, _server, memory, [own, _, board, _]) = Guest::ready(Properties::default());
    let (mut sys, ..) = system();
    let (id, loop_) = Loop::new(&mut sys);
    let p = Properties::default()
        .with("chardev", PropValue::Backend("c".into(), id))
        .with("shmem-size", PropValue::Uint(SIZE));
    let mut flat = Bench::on(sys, &crate::flat::TYPE, p);
    let shmem = memory.fd().try_clone_to_owned().unwrap();
    let messages = [
        (0, None),
        (3, None),
        (-1, Some(&shmem)),
        (5, Some(&own)),
        (3, Some(&board)),
    ];
    for (number, fd) in messages {
        let number: i64 = number;
        let fds = fd.map(|fd| fd.try_clone().unwrap()).into_iter().collect();
        loop_.feed_with_fds(&number.to_le_bytes(), fds);
        flat.poll_host();
    }
    for round in 1..50 {
        g.write(SHMEM, round);
        g.write(DOORBELL_AT, ring(3, 0));
        flat.poll_host();
        assert_eq!((flat.read32(4), flat.read(1, 0, 4)), (1, round.into()));
        flat.write(1, 4, 4, u64::from(round) * 2);
        flat.write32(12, ring(5, 0));
        g.poll();
        assert_eq!((g.messages(), g.read(SHMEM + 4)), ([0x700, 0], round * 2));
    }
}

// ----- saving --------------------------------------------------------------------------------------------------------------------

#[test]
fn only_a_master_can_be_saved() {
    let (mut g, _block) = Guest::plain(Properties::default());
    assert!(g.blocker().unwrap().starts_with("peer mode"));
    for master in ["on", "auto"] {
        let (mut g, _block) = Guest::plain(text("master", master));
        assert_eq!(g.blocker(), None);
    }
    for (master, id, expected) in [
        ("off", 0, Some("peer mode")),
        ("auto", 0, None),
        ("auto", 5, Some("peer mode")),
        ("on", 0, None),
        ("on", 5, Some("id 0")),
    ] {
        let (mut g, server) = Guest::doorbell(text("master", master));
        if master != "off" {
            assert!(g.blocker().unwrap().contains("has not told"));
        }
        server.greet(&mut g, id, &RamBlock::new("test", SIZE).unwrap());
        let blocker = g.blocker();
        match expected {
            None => assert_eq!(blocker, None),
            Some(text) => assert!(blocker.as_ref().unwrap().contains(text), "{blocker:?}"),
        }
        let warned = g.warnings.take().contains("is a peer");
        assert_eq!(warned, master == "on" && id != 0);
    }
}

#[test]
fn a_master_takes_the_memory_along() {
    let (mut a, from) = Guest::plain(text("master", "on"));
    a.write(REGS, 6);
    a.write(SHMEM + 0x2000, 7);
    a.write(SHMEM + SIZE - 4, 8);
    let saved = a.save();
    assert!(
        saved.cbor.len() < 3 * 4096,
        "only what is not zero: {}",
        saved.cbor.len()
    );
    let (mut b, to) = Guest::plain(text("master", "on"));
    assert!(to.write(0x4000, &[1; 0x1000]));
    b.load(&saved).unwrap();
    assert_eq!(
        (b.read(REGS), b.read(SHMEM + 0x2000), b.read(SHMEM + 0x4000)),
        (6, 7, 0)
    );
    assert_eq!((seen(&from, SIZE - 4), seen(&to, SIZE - 4)), (8, 8));
    assert_eq!(b.save(), saved);
    // A peer does not take them, nor does memory of another size.
    let (mut c, block) = Guest::plain(Properties::default());
    assert!(c.load(&saved).is_err());
    assert_eq!(seen(&block, 0x2000), 0);
    let mut d = Guest::new();
    let (p, _) = with_memory(&mut d.sys, text("master", "on"), 2 * SIZE, Kind::Ram);
    d.insert(&PLAIN, p);
    assert!(d.load(&saved).is_err());
}

#[test]
fn a_master_with_doorbells_moves_before_or_after_the_greeting() {
    let (mut a, server) = Guest::doorbell(text("master", "auto").with("vectors", PropValue::Uint(2)));
    let memory = RamBlock::new("test", SIZE).unwrap();
    server.greet(&mut a, 0, &memory);
    let own = event();
    server.say(&mut a, 0, Some(&own));
    a.drive();
    a.write(TABLE + 12, 1);
    signal(&own);
    a.poll();
    a.write(SHMEM + 64, 0x55);
    let saved = a.save();
    for early in [false, true] {
        let (mut b, server) = Guest::doorbell(text("master", "auto").with("vectors", PropValue::Uint(2)));
        let memory = RamBlock::new("test", SIZE).unwrap();
        if early {
            server.greet(&mut b, 0, &memory);
        }
        b.load(&saved).unwrap();
        assert_eq!(b.save(), saved, "early: {early}");
        assert_eq!(b.read(SHMEM + 64), if early { 0x55 } else { 0 });
        if !early {
            server.greet(&mut b, 0, &memory);
        }
        assert_eq!(
            (b.read(SHMEM + 64), seen(&memory, 64), b.read(POSITION)),
            (0x55, 0x55, 0)
        );
        b.write(TABLE + 12, 0);
        assert_eq!(b.messages(), [0x700, 0], "what pended goes on");
    }
    // Saved before there was memory, loaded where there is some.
    let (mut c, _server) = Guest::doorbell(text("master", "auto").with("vectors", PropValue::Uint(2)));
    let empty = c.save();
    a.load(&empty).unwrap();
    assert_eq!(a.cfg(0x18), 0xc);
    // The contents come to a device that turns out to be a peer.
    let (mut d, server) = Guest::doorbell(text("master", "auto").with("vectors", PropValue::Uint(2)));
    d.load(&saved).unwrap();
    server.greet(&mut d, 4, &memory);
    assert!(d.warnings.take().contains("not taken over"));
}

#[test]
fn too_much_is_not_saved() {
    let size = 2 * contents::LIMIT;
    let mut g = Guest::new();
    let (p, block) = with_memory(&mut g.sys, text("master", "on"), size, Kind::Ram);
    g.insert(&PLAIN, p);
    assert!(block.write(size - contents::LIMIT, &vec![1; contents::LIMIT as usize]));
    assert_eq!(g.blocker(), None);
    assert!(block.write(0, &[1]));
    assert!(g.blocker().unwrap().contains("more than 64 MiB"));
}

// ----- whatever happens ----------------------------------------------------------------------------------------------------------

/// A descriptor of any kind but the right one, or the right one.
fn some_descriptor(n: u64) -> OwnedFd {
    match n % 4 {
        0 => std::fs::File::open("/dev/null").unwrap().into(),
        1 => RamBlock::new("test", SIZE << (n >> 2 & 1))
            .unwrap()
            .fd()
            .try_clone_to_owned()
            .unwrap(),
        2 => std::io::pipe().unwrap().1.into(),
        _ => event(),
    }
}

#[test]
fn whatever_guest_and_server_do_is_survived() {
    let mut noise = Noise::new(23);
    for _ in 0..40 {
        let (mut g, server) = Guest::doorbell(text("master", "auto").with("vectors", PropValue::Uint(2)));
        for value in [0, 5, -1] {
            let fd = (value < 0).then(|| some_descriptor(noise.next_u64() | 1));
            server.say(&mut g, value, fd.as_ref());
        }
        g.drive();
        for _ in 0..200 {
            let n = noise.next_u64();
            let size = 1 << (n & 3);
            let value = match n >> 2 & 7 {
                0 => u64::MAX,
                1 => u64::from(ring((n >> 8 & 7) as u16, (n >> 12 & 3) as u16)),
                // BARs over each other, over RAM, over the configuration space.
                2 => [REGS, TABLE, RAM, ECAM + 0x8000][(n >> 8 & 3) as usize],
                3 => 0x8006,
                _ => noise.next_u64(),
            };
            let at = match n >> 16 & 7 {
                0..=2 => REGS + (n >> 20 & 0x1f),
                3 => TABLE + (n >> 20 & 0x8ff),
                4 => SHMEM + (n >> 20 & 0x1_ffff),
                _ => ECAM + 0x8000 + (n >> 20 & 0x4f),
            } & !(size - 1);
            let _ = g.sys.write(at, size as u8, value);
            let _ = g.sys.read(at, size as u8);
            match n >> 56 {
                0..16 => {
                    let fd = (n & 2 == 0).then(|| some_descriptor(n >> 40));
                    server.say(&mut g, (n >> 44 & 7) as i64, fd.as_ref());
                }
                16 => server.0.disconnect(),
                17 => server.0.reconnect(),
                18 => {
                    let saved = g.save();
                    g.load(&saved).unwrap();
                }
                19 => g.sys.reset(),
                _ => {}
            }
            g.poll();
        }
        g.sys.reset();
        assert_eq!(g.cfg(0), 0x1110_1af4);
    }
}
