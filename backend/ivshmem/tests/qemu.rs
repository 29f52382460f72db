//! QEMU's own `ivshmem-doorbell` and our peers on one server, ours or theirs.
//!
//! QEMU runs no guest here: the test drives the device as a guest would, through PCI configuration space and BARs, over
//! QEMU's qtest socket. Where QEMU is not installed the tests say `SKIPPED` (see `common::skip`).

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{PATIENCE, Process, eventually, installed, join, knows, server, skip};
use southbridge_backend_ivshmem::{Client, Server, ServerConfig};
use southbridge_protocol_ivshmem::regs;

/// The `virt` board of QEMU with `highmem=off`: configuration space, a window for BARs, and RAM.
const ECAM: u64 = 0x3f00_0000;
const WINDOW: u64 = 0x1000_0000;
const RAM: u64 = 0x4000_0000;

/// Slot of the device, as offset into configuration space.
const SLOT: u64 = 4;
const CONFIG: u64 = ECAM + (SLOT << 15);

const REGS: u64 = WINDOW;
const MSIX: u64 = WINDOW + 0x1000;
const MEMORY: u64 = WINDOW + 0x0100_0000;

/// A QEMU whose CPU is stopped (its qtest accelerator is not in every build), and the wire to poke it.
struct Qemu {
    process: Process,
    stream: BufReader<UnixStream>,
}

impl Qemu {
    fn start(program: &Path, folder: &Path, name: &str, server: &Path, vectors: u16) -> Self {
        let socket = folder.join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        let mut command = Command::new(program);
        command.args([
            "-M",
            "virt,highmem=off",
            "-accel",
            "tcg",
            "-S",
            "-m",
            "64M",
            "-nodefaults",
            "-display",
            "none",
        ]);
        command.args([
            "-qtest",
            &format!("unix:{}", socket.display()),
            "-qtest-log",
            "/dev/null",
        ]);
        command.args(["-chardev", &format!("socket,id=iv,path={}", server.display())]);
        command.args([
            "-device",
            &format!("ivshmem-doorbell,chardev=iv,vectors={vectors},addr={SLOT}"),
        ]);
        let mut process = Process(command.stdin(Stdio::null()).spawn().unwrap());
        listener.set_nonblocking(true).unwrap();
        let mut accepted = None;
        eventually("QEMU connects its qtest socket", || {
            assert_eq!(process.0.try_wait().unwrap(), None, "QEMU ended");
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut qemu = Self {
            process,
            stream: BufReader::new(stream),
        };
        qemu.set_up();
        qemu
    }

    fn command(&mut self, line: &str) -> String {
        writeln!(self.stream.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.stream.read_line(&mut answer).unwrap();
        let answer = answer.trim_end();
        answer
            .strip_prefix("OK")
            .unwrap_or_else(|| panic!("{line}: {answer}"))
            .trim()
            .to_owned()
    }

    fn read(&mut self, address: u64) -> u32 {
        let answer = self.command(&format!("readl {address:#x}"));
        u32::try_from(u64::from_str_radix(answer.trim_start_matches("0x"), 16).unwrap()).unwrap()
    }

    fn write(&mut self, address: u64, value: u32) {
        self.command(&format!("writel {address:#x} {value:#x}"));
    }

    /// What firmware and driver do: place the BARs, enable memory, bus mastering and MSI-X, and aim vector `n` at the
    /// `n`th word of RAM, where its message will appear.
    fn set_up(&mut self) {
        let identity = u32::from(regs::PCI_DEVICE) << 16 | u32::from(regs::PCI_VENDOR);
        assert_eq!(self.read(CONFIG), identity);
        assert_eq!(self.read(CONFIG + 8) & 0xff, u32::from(regs::PCI_REVISION));
        for (bar, address) in [
            (regs::PCI_BAR_REGS, REGS),
            (regs::PCI_BAR_MSIX, MSIX),
            (regs::PCI_BAR_MEMORY, MEMORY),
            (3, 0),
        ] {
            self.write(CONFIG + 0x10 + 4 * bar as u64, u32::try_from(address).unwrap());
        }
        self.write(CONFIG + 4, 0x6);
        let capability = self.msix_capability();
        let control = self.read(capability);
        self.write(capability, control | 1 << 31);
        for vector in 0..=(control >> 16 & 0x7ff) {
            let entry = MSIX + 16 * u64::from(vector);
            self.write(entry, u32::try_from(RAM).unwrap() + 4 * vector);
            self.write(entry + 4, 0);
            self.write(entry + 8, message(vector));
            self.write(entry + 12, 0);
        }
    }

    fn msix_capability(&mut self) -> u64 {
        let mut next = self.read(CONFIG + 0x34) & 0xfc;
        while next != 0 {
            let head = self.read(CONFIG + u64::from(next));
            if head & 0xff == 0x11 {
                return CONFIG + u64::from(next);
            }
            next = head >> 8 & 0xfc;
        }
        panic!("no MSI-X");
    }

    fn id(&mut self) -> u16 {
        u16::try_from(self.read(REGS + u64::from(regs::IVPOSITION))).unwrap()
    }

    fn ring(&mut self, peer: u16, vector: u16) {
        let value = regs::Doorbell::new().with_peer(peer).with_vector(vector);
        self.write(REGS + u64::from(regs::DOORBELL), value.into());
    }

    /// Waits until the interrupt message of `vector` has been written, and clears it.
    fn wait_interrupt(&mut self, vector: u16) {
        let address = RAM + 4 * u64::from(vector);
        eventually("QEMU is interrupted", || self.read(address) == message(vector.into()));
        self.write(address, 0);
    }
}

fn message(vector: u32) -> u32 {
    0xd00d_0000 | vector
}

/// QEMU with PCI, or `None` after saying that there is none.
fn qemu(test: &str) -> Option<std::path::PathBuf> {
    let program = installed(&["qemu-system-arm", "qemu-system-aarch64"]);
    let Some(program) = program else {
        skip(test, "neither qemu-system-arm nor qemu-system-aarch64 is installed");
        return None;
    };
    let devices = Command::new(&program)
        .args(["-M", "virt", "-device", "help"])
        .output()
        .ok()?
        .stdout;
    if !String::from_utf8_lossy(&devices).contains("\"ivshmem-doorbell\"") {
        skip(test, &format!("{} has no ivshmem-doorbell", program.display()));
        return None;
    }
    Some(program)
}

fn exchange(qemu: &mut Qemu, peer: &mut Client, vectors: u16) {
    let id = qemu.id();
    peer.wait_until(PATIENCE, |peer| peer.vectors_of(id).len() >= usize::from(vectors))
        .unwrap();
    let own = peer.own_id().unwrap();

    qemu.write(MEMORY + 0x1000, 0x1234_5678);
    let mut bytes = [0; 4];
    rustix::io::pread(peer.memory().unwrap(), &mut bytes, 0x1000).unwrap();
    assert_eq!(u32::from_le_bytes(bytes), 0x1234_5678);
    rustix::io::pwrite(peer.memory().unwrap(), &0x9abc_def0u32.to_le_bytes(), 0xf_fffc).unwrap();
    assert_eq!(qemu.read(MEMORY + 0xf_fffc), 0x9abc_def0);

    for vector in (0..vectors).rev() {
        // QEMU learns of a peer's vectors one by one when its loop comes round to it; until then it ignores the doorbell,
        // by specification. Afterwards the eventfd is written before QEMU answers.
        eventually("QEMU interrupts its peer", || {
            qemu.ring(own, vector);
            peer.take_interrupts() == [vector]
        });
        peer.ring(id, vector).unwrap();
        qemu.wait_interrupt(vector);
    }
    assert_eq!(peer.take_interrupts(), []);
}

#[test]
fn qemu_is_a_peer_on_our_server() {
    let Some(program) = qemu("qemu_is_a_peer_on_our_server") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ivshmem");
    let _server = server(&socket, &["-l", "1M", "-n", "3", "-m", folder.path().to_str().unwrap()]);
    let mut early = join(&socket, 3);
    let mut qemu = Qemu::start(&program, folder.path(), "qtest", &socket, 3);
    let id = qemu.id();
    assert_ne!(id, early.own_id().unwrap());
    exchange(&mut qemu, &mut early, 3);
    let mut late = join(&socket, 3);
    exchange(&mut qemu, &mut late, 3);

    drop(early);
    knows(&mut late, &[id], 3);
    exchange(&mut qemu, &mut late, 3);
    qemu.process.0.kill().unwrap();
    knows(&mut late, &[], 3);
}

fn rings(from: &mut Qemu, to: &mut Qemu, to_id: u16, vector: u16) {
    eventually("one QEMU interrupts the other", || {
        from.ring(to_id, vector);
        to.read(RAM + 4 * u64::from(vector)) == message(vector.into())
    });
}

#[test]
fn two_qemus_talk_over_our_server() {
    let Some(program) = qemu("two_qemus_talk_over_our_server") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ivshmem");
    let _server = server(&socket, &["-l", "1M", "-n", "2", "-m", folder.path().to_str().unwrap()]);
    let mut witness = join(&socket, 2);
    let mut a = Qemu::start(&program, folder.path(), "qtest-a", &socket, 2);
    let mut b = Qemu::start(&program, folder.path(), "qtest-b", &socket, 2);
    let (a_id, b_id) = (a.id(), b.id());
    knows(&mut witness, &[a_id, b_id], 2);
    a.write(MEMORY, 0xcafe);
    assert_eq!(b.read(MEMORY), 0xcafe);
    // As in `exchange`: until QEMU knows the vector, it ignores the doorbell.
    rings(&mut a, &mut b, b_id, 1);
    rings(&mut b, &mut a, a_id, 0);
}

#[test]
fn qemu_with_other_numbers_of_vectors_than_the_server() {
    let Some(program) = qemu("qemu_with_other_numbers_of_vectors_than_the_server") else {
        return;
    };
    for (ours, theirs) in [(4, 2), (1, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("ivshmem");
        let (count, place) = (ours.to_string(), folder.path().to_str().unwrap().to_owned());
        let _server = server(&socket, &["-l", "1M", "-n", &count, "-m", &place]);
        let mut peer = join(&socket, ours);
        let mut qemu = Qemu::start(&program, folder.path(), "qtest", &socket, theirs);
        exchange(&mut qemu, &mut peer, theirs.min(ours as u16));
    }
}

#[test]
fn qemu_survives_the_end_of_our_server() {
    let Some(program) = qemu("qemu_survives_the_end_of_our_server") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ivshmem");
    // As an object inside of a process, with sealed memory.
    let config = ServerConfig {
        size: 1 << 20,
        ..ServerConfig::new(&socket)
    };
    let server = Server::bind(&config).unwrap().spawn(drop).unwrap();
    let mut peer = join(&socket, 1);
    let mut qemu = Qemu::start(&program, folder.path(), "qtest", &socket, 1);
    exchange(&mut qemu, &mut peer, 1);
    server.stop();
    eventually("the end is noticed", || {
        peer.pump().unwrap();
        peer.is_ended()
    });
    let (id, own) = (qemu.id(), peer.own_id().unwrap());
    qemu.ring(own, 0);
    assert_eq!(peer.take_interrupts(), [0]);
    peer.ring(id, 0).unwrap();
    qemu.wait_interrupt(0);
}

#[test]
fn our_client_joins_qemus_server() {
    let test = "our_client_joins_qemus_server";
    let Some(program) = installed(&["ivshmem-server"]) else {
        return skip(test, "ivshmem-server of QEMU is not installed");
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ivshmem");
    let mut command = Command::new(program);
    command
        .args(["-F", "-l", "1M", "-n", "2", "-m"])
        .arg(folder.path())
        .arg("-S")
        .arg(&socket);
    let _server = Process(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    eventually("QEMU's server listens", || UnixStream::connect(&socket).is_ok());
    let mut a = join(&socket, 2);
    let b = join(&socket, 2);
    let (a_id, b_id) = (a.own_id().unwrap(), b.own_id().unwrap());
    knows(&mut a, &[b_id], 2);
    a.ring(b_id, 1).unwrap();
    b.wait_interrupt(1, PATIENCE).unwrap();
    b.ring(a_id, 0).unwrap();
    a.wait_interrupt(0, PATIENCE).unwrap();
    if let Some(program) = qemu(test) {
        exchange(
            &mut Qemu::start(&program, folder.path(), "qtest", &socket, 2),
            &mut a,
            2,
        );
    }
}
