//! A guest with Debian's kernel behind a pipe that is its console, driven as a person would. `guest/build` makes its files.

use super::{program, root};
use southbridge_testing::skip;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// No boot takes so long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(150);
pub const SHELL: &str = "guest: shell after";

/// The program that is the machine: ours, or another with the same command line, to try the tests themselves on
/// (`SOUTHBRIDGE_LINUX_PROGRAM=qemu-system-riscv64`).
pub fn machine() -> Command {
    std::env::var_os("SOUTHBRIDGE_LINUX_PROGRAM").map_or_else(program, Command::new)
}

pub fn guest_file(name: &str) -> PathBuf {
    root().join("target/guest").join(name)
}

/// The initramfs with sets of programs behind it; a file that each test makes anew, so that it is as `guest/build` has left its parts.
pub fn initramfs(sets: &[&str]) -> PathBuf {
    if sets.is_empty() {
        return guest_file("initramfs.cpio.gz");
    }
    let mut all = std::fs::read(guest_file("initramfs.cpio.gz")).unwrap();
    for set in sets {
        // The kernel takes archives behind each other on multiples of four bytes.
        all.resize(all.len().next_multiple_of(4), 0);
        let file = guest_file(&format!("extra/{set}.cpio.gz"));
        all.extend(std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}; run guest/build", file.display())));
    }
    // One test may read it while another writes it, so it appears as a whole.
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.cpio.gz", sets.join("-")));
    let mut new = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    new.write_all(&all).unwrap();
    new.persist(&path).unwrap();
    path
}

/// Whether the guest is there; says so if not.
pub fn have_guest(test: &str) -> bool {
    let have = guest_file("vmlinux").exists() && guest_file("initramfs.cpio.gz").exists();
    if !have {
        skip(
            test,
            "there is no Linux guest: make it with guest/build (Debian, network)",
        );
    }
    have
}

/// A machine with Linux whose console is our pipe.
pub struct Guest {
    pub child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// All that it has printed.
    pub text: String,
    /// How much of that was looked at.
    seen: usize,
    commands: u32,
}

impl Guest {
    pub fn boot(args: &[&str]) -> Self {
        Self::boot_with(args, "")
    }

    pub fn boot_with(args: &[&str], append: &str) -> Self {
        Self::boot_extra(&[], args, append)
    }

    /// The same with sets of programs that are not in every guest (`guest/build` names them): `net`, `block`, `fio`, `input`, `vsock`.
    pub fn boot_extra(sets: &[&str], args: &[&str], append: &str) -> Self {
        let mut command = machine();
        command
            .args(["-M", "virt", "-m", "512M", "-nographic", "-no-reboot", "-kernel"])
            .arg(guest_file("vmlinux"))
            .arg("-initrd")
            .arg(initramfs(sets))
            .args(["-append", &format!("console=ttyS0 {append}")])
            .args(args);
        Self::start(&mut command)
    }

    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut out, keys) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let (send, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut buffer) {
                let _ = send.send(buffer[..n].to_vec());
            }
        });
        Self {
            child,
            keys,
            screen,
            text: String::new(),
            seen: 0,
            commands: 0,
        }
    }

    /// Reads on until `what` has come, and gives what came before it.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text[self.seen..].find(what) {
                let before = self.text[self.seen..self.seen + at].to_owned();
                self.seen += at + what.len();
                return before;
            }
            match self.screen.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => panic!("no '{what}' after {PATIENCE:?} of\n{}", self.text),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without '{what}' after\n{}", self.text),
            }
        }
    }

    #[track_caller]
    pub fn wait_for_shell(&mut self) {
        self.wait_for(SHELL);
        self.wait_for("# ");
    }

    pub fn type_line(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Runs a command in the guest's shell and gives what it printed; its status must be 0.
    #[track_caller]
    pub fn shell(&mut self, command: &str) -> String {
        self.commands += 1;
        let n = self.commands;
        // What is typed comes back as an echo, perhaps twice and wrapped; so the marks are not yet whole in it.
        self.type_line(&format!("echo '[beg''in {n}]'; {command}; echo \"[e\"\"nd $?.{n}]\""));
        self.wait_for(&format!("[begin {n}]"));
        let printed = self.wait_for("[end ");
        let status = self.wait_for(&format!(".{n}]"));
        assert_eq!(status, "0", "'{command}' printed\n{printed}");
        printed.replace('\r', "").trim().to_owned()
    }

    /// What the program still prints until it closes its console.
    pub fn rest(&mut self) -> String {
        while let Ok(bytes) = self.screen.recv_timeout(PATIENCE) {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
        let rest = self.text[self.seen..].to_owned();
        self.seen = self.text.len();
        rest
    }

    /// Waits until the program ends by itself, and gives its status.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `lspci` line of a device, by its ids: where it is.
#[track_caller]
pub fn slot_of(guest: &mut Guest, ids: &str) -> String {
    let line = guest.shell(&format!("lspci -n -d {ids}"));
    let slot = line.split(' ').next().unwrap_or_default().to_owned();
    assert!(slot.contains(':'), "no device {ids}: {line}");
    format!("0000:{slot}")
}

/// Lets a device decode, and gives the first address of a window.
#[track_caller]
pub fn window(guest: &mut Guest, slot: &str, bar: usize) -> u64 {
    let device = format!("/sys/bus/pci/devices/{slot}");
    guest.shell(&format!("[ $(cat {device}/enable) = 1 ] || echo 1 >{device}/enable"));
    let line = guest.shell(&format!("sed -n {}p {device}/resource", bar + 1));
    let first = line.split(' ').next().unwrap_or_default();
    u64::from_str_radix(first.trim_start_matches("0x"), 16).unwrap()
}

#[track_caller]
pub fn peek(guest: &mut Guest, address: u64, bits: u32) -> u64 {
    let text = guest.shell(&format!("devmem {address:#x} {bits}"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

#[track_caller]
pub fn poke(guest: &mut Guest, address: u64, bits: u32, value: u64) {
    guest.shell(&format!("devmem {address:#x} {bits} {value:#x}"));
}

/// What the host's own checker says of an image: whether it is clean, without repairing anything.
#[track_caller]
pub fn is_clean(image: &Path) {
    let out = Command::new("/usr/sbin/e2fsck").arg("-fn").arg(image).output();
    match out {
        Ok(out) => assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout)),
        Err(_) => skip(
            "e2fsck of the host",
            "it is not installed; the guest's own has been asked",
        ),
    }
}
