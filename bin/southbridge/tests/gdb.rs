//! gdb itself against the program: transcripts as golden files, in `tests/gdb`. Each begins at the first instruction of a firmware and
//! tells gdb what `NAME.gdb` says.

mod common;

use common::{Guard, firmware, program, wait};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn has_gdb(test: &str) -> bool {
    let there = Command::new("gdb-multiarch")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let there = there.is_ok_and(|s| s.success());
    if !there {
        southbridge_testing::skip(test, "gdb-multiarch is not installed");
    }
    there
}

/// In supervisor mode, below two harts: starts the second by HSM, which counts in s0 for ever, then maps the gigabyte at 0x80000000 also
/// to 0x40000000, sets fa0 to 3 and stores ascending numbers to 0x80202000. The call of HSM is at 0x80200026, the loop of stores at
/// 0x80200066, what the second hart executes at 0x80200072.
const HARTS: [u32; 30] = [
    0x00002117, 0x10810113, 0xa0736299, 0x45051002, 0x00000597, 0x06258593, 0x04d00613, 0x58b74801, 0x889b0048,
    0x007334d8, 0x12970000, 0x82930000, 0x0337fd62, 0x031b2000, 0xb4230cf3, 0xb8230062, 0xd3930062, 0x432100c2,
    0xe3b31372, 0x90730063, 0x00731803, 0x428d1200, 0xd222f553, 0x00002397, 0xfa438393, 0xb0234e15, 0x0e0501c3,
    0x0003be83, 0x84aebfdd, 0xbffd0405,
];

/// A machine that waits for gdb on a unix socket.
struct Target {
    socket: PathBuf,
    guest: Guard,
    _dir: tempfile::TempDir,
}

impl Target {
    fn start(board: &str, image: &str, more: &[&str]) -> Self {
        let image = PathBuf::from(firmware(&format!("{image}-{board}.elf")));
        Self::of(board, &image, &[&["-semihosting", "-pace", "skip"], more].concat())
    }

    fn of(board: &str, image: &Path, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("gdb.sock");
        let guest = program()
            .args(["-M", board, "-nographic", "-serial", "null", "-kernel"])
            .arg(image)
            .arg("-gdb")
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let this = Self {
            socket,
            guest: Guard(guest),
            _dir: dir,
        };
        wait("the socket", || this.socket.exists());
        this
    }

    fn connect(&self) -> UnixStream {
        let mut s = None;
        // A socket is there a moment before somebody listens at it.
        wait("somebody at the socket", || {
            s = UnixStream::connect(&self.socket).ok();
            s.is_some()
        });
        let s = s.unwrap();
        s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        s
    }
}

/// What gdb says to the commands of a file, with or without symbols.
fn gdb(target: &Target, architecture: &str, symbols: Option<&Path>, script: &Path) -> String {
    let out = Command::new("timeout")
        .args(["60", "gdb-multiarch", "-nx", "-batch"])
        .args(["-ex", "set pagination off", "-ex", "set confirm off"])
        .arg("-ex")
        .arg(format!("set architecture {architecture}"))
        .arg("-ex")
        .arg(format!("target remote {}", target.socket.display()))
        .arg("-x")
        .arg(script)
        .args(symbols)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let both = [out.stdout, out.stderr].concat();
    // Times and rates are the host's.
    let text = String::from_utf8_lossy(&both).into_owned();
    text.lines()
        .filter(|l| !l.starts_with("Transfer rate"))
        .map(|l| format!("{l}\n"))
        .collect()
}

fn transcript(name: &str, board: &str, image: &str) {
    if !has_gdb(name) {
        return;
    }
    let target = Target::start(board, image, &["-S"]);
    let symbols = firmware(&format!("{image}-{board}.elf"));
    compare(name, |script| gdb(&target, "arm", Some(Path::new(&symbols)), script));
}

/// What `NAME.gdb` leads to must be what `NAME.txt` says.
fn compare(name: &str, say: impl FnOnce(&Path) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb");
    let text = say(&folder.join(format!("{name}.gdb")));
    let golden = folder.join(format!("{name}.txt"));
    if std::env::var_os("SOUTHBRIDGE_BLESS").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(text, expected, "{name}: SOUTHBRIDGE_BLESS=1 takes a new answer over");
}

#[test]
fn look_and_step() {
    transcript("look-and-step", "mps2-an385", "t-exceptions");
}

#[test]
fn stops() {
    transcript("stops", "mps2-an385", "t-exceptions");
}

#[test]
fn backwards() {
    transcript("backwards", "mps2-an385", "t-exceptions");
}

/// The same conversation in the replay of a recorded run, where what was recorded is the past.
#[test]
fn backwards_in_a_replay() {
    if !has_gdb("backwards_in_a_replay") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let time = |mode: &str| format!("shift=3,rr={mode},rrfile={}", dir.path().join("run").display());
    let kernel = firmware("t-exceptions-mps2-an385.elf");
    let record = time("record");
    let words = [
        "-M",
        "mps2-an385",
        "-nographic",
        "-semihosting",
        "-kernel",
        &kernel,
        "-icount",
        &record,
    ];
    let recorded = common::run(program().args(words));
    assert!(recorded.status.success(), "{}", common::err(&recorded));
    let target = Target::start("mps2-an385", "t-exceptions", &["-S", "-icount", &time("replay")]);
    compare("backwards", |script| {
        gdb(&target, "arm", Some(Path::new(&kernel)), script)
    });
}

/// Harts, CSRs, translated and physical memory, and time that goes back, on `virt`.
#[test]
fn harts_above_the_built_in_firmware() {
    if !has_gdb("harts_above_the_built_in_firmware") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("harts.bin");
    let bytes: Vec<u8> = HARTS.iter().flat_map(|w| w.to_le_bytes()).collect();
    std::fs::write(&image, bytes).unwrap();
    let target = Target::of("virt", &image, &["-S", "-smp", "2", "-icount", "shift=1"]);
    compare("harts", |script| gdb(&target, "riscv:rv64", None, script));
}

#[test]
fn load_into_flash() {
    transcript("flash", "lm3s6965evb", "hello");
}

fn packet(text: &str) -> Vec<u8> {
    let sum = text.bytes().fold(0u8, u8::wrapping_add);
    format!("${text}#{sum:02x}").into_bytes()
}

/// Reads until what came ends a packet.
fn reply(s: &mut UnixStream) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    while all.len() < 4 || all[all.len() - 3] != b'#' {
        assert_eq!(s.read(&mut byte).unwrap(), 1, "the other side went away");
        all.push(byte[0]);
    }
    String::from_utf8_lossy(&all).trim_start_matches('+').to_owned()
}

#[test]
fn a_client_that_is_killed_makes_room_for_the_next() {
    // A guest that goes on for ever: one of the clients sets it running and is gone.
    let target = Target::start(
        "mps2-an385",
        "coremark-like",
        &["-S", "-append", "iterations=1000000000"],
    );
    for half in ["$g", "$m0,4#", "", "$vCont;c#a8", "\x03"] {
        let mut s = target.connect();
        s.write_all(half.as_bytes()).unwrap();
        drop(s);
    }
    let mut s = target.connect();
    s.write_all(&packet("m4,4")).unwrap();
    assert!(reply(&mut s).starts_with('$'));
    s.write_all(&packet("vKill;1")).unwrap();
    assert!(reply(&mut s).starts_with("$OK"));
    let mut guest = target.guest;
    assert_eq!(guest.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_guest_that_locks_up_stays_for_the_debugger() {
    let target = Target::start("mps2-an385", "hello", &["-S"]);
    let mut s = target.connect();
    for (say, answer) in [
        // Every fault is one in HardFault without a handler.
        ("M8,8:0000000000000000", "$OK"),
        ("Pf=00000060", "$OK"),
        ("c", "$O"),
    ] {
        s.write_all(&packet(say)).unwrap();
        let got = reply(&mut s);
        assert!(got.starts_with(answer), "{say}: {got}");
    }
    assert!(reply(&mut s).starts_with("$T0bthread:01;"));
    s.write_all(&packet("pf")).unwrap();
    assert!(reply(&mut s).starts_with('$'));
    assert!(target.guest.terminate().success());
}
