//! Two devices in two machines on a real server, over real sockets.

use southbridge_backend_chardev::Chardevs;
use southbridge_backend_ivshmem::{Server, ServerConfig, ServerHandle};
use southbridge_bus_pci::wiring::plug;
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, PropValue, Properties, System};
use southbridge_device_ivshmem::flat::TYPE;
use southbridge_device_ivshmem::pci::DOORBELL as DOORBELL_TYPE;
use southbridge_device_pci::gpex;
use southbridge_testing::Bench;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

const STATUS: u64 = 0x4;
const POSITION: u64 = 0x8;
const DOORBELL: u64 = 0xc;
const SHMEM: usize = 1;
const SIZE: u64 = 1 << 16;

fn server(path: &Path, vectors: u16) -> ServerHandle {
    let config = ServerConfig {
        size: SIZE,
        vectors,
        ..ServerConfig::new(path)
    };
    Server::bind(&config).unwrap().spawn(|_| ()).unwrap()
}

fn board(path: &Path) -> Bench {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
    let mut chardevs = Chardevs::default();
    let options = [("path", path.to_str().unwrap()), ("reconnect-ms", "10")];
    let id = chardevs.open(&mut sys.host, "socket", "ivsh", options).unwrap();
    let properties = Properties::default()
        .with("chardev", PropValue::Backend("ivsh".into(), id))
        .with("shmem-size", PropValue::Uint(SIZE));
    Bench::on(sys, &TYPE, properties)
}

/// Waits until the device has its first own vector.
fn greet(b: &mut Bench) -> u32 {
    b.wait_host(|b| b.sys.start_holds == 0);
    b.read32(POSITION)
}

#[test]
fn two_boards_share_memory_and_ring_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ivsh");
    let _server = server(&path, 2);
    let (mut a, mut b) = (board(&path), board(&path));
    let (id_a, id_b) = (greet(&mut a), greet(&mut b));
    assert_eq!((id_a, id_b), (0, 1));
    for round in 1..=50u64 {
        let (from, to, id) = match round % 2 {
            0 => (&mut a, &mut b, id_b),
            _ => (&mut b, &mut a, id_a),
        };
        from.write(SHMEM, 8, 8, round);
        // The first doorbell may come before the server has told who else is there; a guest asks again.
        to.wait_host(|to| {
            from.poll_host();
            from.write32(DOORBELL, id << 16 | 1);
            to.read32(STATUS) == 1
        });
        assert_eq!(to.read(SHMEM, 8, 8), round);
    }
}

#[test]
fn a_server_that_is_started_again_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ivsh");
    let first = server(&path, 1);
    let mut a = board(&path);
    a.sys.log.set_warnings(Box::new(std::io::sink()));
    assert_eq!(greet(&mut a), 0);
    a.write(SHMEM, 0, 4, 7);
    first.stop();
    let _second = server(&path, 1);
    a.wait_host(|a| a.read(SHMEM, 0, 4) == 0); // the new server's memory
    a.wait_host(|a| a.read32(POSITION) == 0);
    a.wait_host(|a| {
        a.write32(DOORBELL, 0); // itself
        a.read32(STATUS) == 1
    });
}

// ----- on PCI --------------------------------------------------------------------------------------------------------------------

const ECAM: u64 = 0x3000_0000;
const MMIO: u64 = 0x4000_0000;
const TABLE: u64 = MMIO + 0x1000;
const WINDOW: u64 = 0x4_0000_0000;
const RAM: u64 = 0x8000_0000;

/// A machine with an `ivshmem-doorbell` in slot 1.
struct Pc(System);

impl Pc {
    fn new(path: &Path) -> Self {
        let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
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
        let windows = [
            ("x-ecam-base", ECAM),
            ("x-ecam-size", 1 << 20),
            ("x-below-4g-mmio-base", MMIO),
            ("x-below-4g-mmio-size", 1 << 30),
            ("x-above-4g-mmio-base", WINDOW),
            ("x-above-4g-mmio-size", 1 << 30),
        ];
        let p = windows
            .into_iter()
            .fold(Properties::default(), |p, (name, v)| p.with(name, PropValue::Uint(v)));
        sys.add_device(&gpex::TYPE, None, p, &[]).unwrap();
        let mut chardevs = Chardevs::default();
        let options = [("path", path.to_str().unwrap())];
        let id = chardevs.open(&mut sys.host, "socket", "ivsh", options).unwrap();
        let p = Properties::default()
            .with("chardev", PropValue::Backend("ivsh".into(), id))
            .with("vectors", PropValue::Uint(2));
        let d = sys.add_device(&DOORBELL_TYPE, None, p, &[]).unwrap();
        let bus = sys.buses().next().unwrap().0;
        plug(&mut sys, bus, d, 8, false);
        sys.reset();
        let mut pc = Self(sys);
        pc.wait(|pc| pc.0.start_holds == 0);
        pc.drive();
        pc
    }

    fn wait(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !done(self) {
            assert!(
                std::time::Instant::now() < end,
                "the host did not do what the test waits for"
            );
            self.0.host.wait(Some(std::time::Duration::from_millis(20))).unwrap();
            self.0.deliver_completions();
        }
    }

    fn write(&mut self, at: u64, value: u64) {
        self.0.write(at, 4, value).unwrap();
    }

    fn read(&mut self, at: u64) -> u64 {
        self.0.read(at, 4).unwrap()
    }

    /// BARs, and a word of RAM for messages of the second vector.
    fn drive(&mut self) {
        let cfg = ECAM + 0x8000;
        for (offset, value) in [
            (0x10, MMIO),
            (0x14, TABLE),
            (0x18, 0),
            (0x1c, 4),
            (4, 6),
            (0x40, 0x8000_0000),
        ] {
            self.write(cfg + offset, value);
        }
        for (word, value) in [(0, RAM), (8, 1), (12, 0)] {
            self.write(TABLE + 16 + word, value);
        }
    }

    /// Whether the second vector was rung since the last look.
    fn rung(&mut self) -> bool {
        let rung = self.read(RAM) == 1;
        self.write(RAM, 0);
        rung
    }
}

#[test]
fn a_pci_machine_and_a_board_on_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ivsh");
    let _server = server(&path, 2);
    let mut pc = Pc::new(&path);
    let mut board = board(&path);
    let id_board = greet(&mut board);
    assert_eq!((pc.read(MMIO + 8), id_board), (0, 1));
    for round in 1..=50u64 {
        pc.write(WINDOW, round);
        // The first doorbell may come before the server has told of the board; a guest asks again.
        board.wait_host(|board| {
            pc.0.host.wait(Some(std::time::Duration::ZERO)).unwrap();
            pc.0.deliver_completions();
            pc.write(MMIO + 12, u64::from(id_board) << 16 | 1);
            board.read32(STATUS) == 1
        });
        assert_eq!(board.read(SHMEM, 0, 4), round);
        board.write(SHMEM, 4, 4, round * 3);
        board.write32(DOORBELL, 1);
        pc.wait(Pc::rung);
        assert_eq!(pc.read(WINDOW + 4), round * 3);
    }
}

#[test]
fn two_pci_machines_on_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ivsh");
    let _server = server(&path, 2);
    let (mut a, mut b) = (Pc::new(&path), Pc::new(&path));
    let mut id = 1;
    // `a` hears of `b` some time after `b` is there.
    for round in 1..=50u64 {
        let (from, to) = if round % 2 == 0 {
            (&mut b, &mut a)
        } else {
            (&mut a, &mut b)
        };
        from.write(WINDOW + 8, round);
        to.wait(|to| {
            from.0.host.wait(Some(std::time::Duration::ZERO)).unwrap();
            from.0.deliver_completions();
            from.write(MMIO + 12, id << 16 | 1);
            to.rung()
        });
        assert_eq!(to.read(WINDOW + 8), round);
        id ^= 1;
    }
}

/// QEMU with an `ivshmem-doorbell` in slot 1, driven by its qtest protocol.
struct Qemu {
    process: std::process::Child,
    talk: BufReader<UnixStream>,
}

impl Qemu {
    /// `None` where it is not installed.
    fn start(dir: &Path, server: &Path) -> Option<Self> {
        let socket = dir.join("qtest");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut process = std::process::Command::new("qemu-system-riscv64")
            .args([
                "-M", "virt", "-S", "-display", "none", "-serial", "none", "-monitor", "none",
            ])
            .args([
                "-qtest-log",
                "/dev/null",
                "-qtest",
                &format!("unix:{}", socket.display()),
            ])
            .args(["-chardev", &format!("socket,id=c,path={}", server.display())])
            .args(["-device", "ivshmem-doorbell,chardev=c,vectors=2"])
            .spawn()
            .ok()?;
        listener.set_nonblocking(true).unwrap();
        loop {
            match listener.accept() {
                Ok((talk, _)) => {
                    talk.set_nonblocking(false).unwrap();
                    let talk = BufReader::new(talk);
                    return Some(Self { process, talk });
                }
                // It ended instead.
                Err(_) if process.try_wait().unwrap().is_some() => return None,
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
            }
        }
    }

    fn ask(&mut self, line: &str) -> u64 {
        writeln!(self.talk.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.talk.read_line(&mut answer).unwrap();
        let mut words = answer.split_whitespace();
        assert_eq!(words.next(), Some("OK"), "{line}: {answer}");
        let value = words.next().and_then(|w| w.strip_prefix("0x"));
        value.map_or(0, |v| u64::from_str_radix(v, 16).unwrap())
    }

    fn read(&mut self, at: u64) -> u64 {
        self.ask(&format!("readl {at:#x}"))
    }

    fn write(&mut self, at: u64, value: u64) {
        self.ask(&format!("writel {at:#x} {value:#x}"));
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_pci_machine_and_qemu_on_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ivsh");
    let _server = server(&path, 2);
    let mut pc = Pc::new(&path);
    let Some(mut qemu) = Qemu::start(dir.path(), &path) else {
        return println!("skipped: there is no qemu-system-riscv64 that runs");
    };
    // Configuration space of both is the same, before any driver.
    for offset in (0..0x100)
        .step_by(4)
        .filter(|o| !(0x10..0x20).contains(o) && *o != 4 && *o != 0x40)
    {
        let at = ECAM + 0x8000 + offset;
        assert_eq!(pc.read(at), qemu.read(at), "{offset:#x}");
    }
    let cfg = ECAM + 0x8000;
    for (offset, value) in [
        (0x10, MMIO),
        (0x14, TABLE),
        (0x18, 0),
        (0x1c, 4),
        (4, 6),
        (0x40, 0x8000_0000),
    ] {
        qemu.write(cfg + offset, value);
    }
    for (word, value) in [(0, RAM), (4, 0), (8, 1), (12, 0)] {
        qemu.write(TABLE + 16 + word, value);
    }
    assert_eq!((pc.read(MMIO + 8), qemu.read(MMIO + 8)), (0, 1));
    // Our machine hears of QEMU some time after QEMU is there; a guest asks again.
    pc.write(WINDOW, 1);
    pc.wait(|pc| {
        pc.write(MMIO + 12, 1 << 16 | 1);
        qemu.read(RAM) == 1
    });
    for round in 2..=100 {
        qemu.write(RAM, 0);
        qemu.write(WINDOW + 4, round);
        qemu.write(MMIO + 12, 1);
        pc.wait(Pc::rung);
        assert_eq!(pc.read(WINDOW + 4), round);
        pc.write(WINDOW, round);
        pc.write(MMIO + 12, 1 << 16 | 1);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while qemu.read(RAM) != 1 {
            assert!(std::time::Instant::now() < end, "QEMU was not rung");
        }
        assert_eq!(qemu.read(WINDOW), round);
    }
}
