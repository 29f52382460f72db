//! QEMU as the other implementation: one process for many streams, driven over a gdb connection on its standard streams.
//!
//! No socket file and no port is left behind. The process ends with its owner, and where `setpriv` is there, also when the owner is
//! killed.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::gdb::Gdb;
use crate::layout::{DONE, HARNESS, INPUT, RESET, RESULT, RESULT_WORDS, SCRATCH, SCRATCH_LEN, START};
use crate::stream::{Outcome, Stream};

/// The program: `SOUTHBRIDGE_ORACLE_QEMU` if set, else the one in the path.
fn program() -> OsString {
    std::env::var_os("SOUTHBRIDGE_ORACLE_QEMU").unwrap_or_else(|| "qemu-system-arm".into())
}

/// The first line that QEMU says about its version; an error where there is none.
pub fn version() -> io::Result<String> {
    version_of(program())
}

/// The same of another of QEMU's programs.
pub(crate) fn version_of(program: OsString) -> io::Result<String> {
    let out = Command::new(program).arg("--version").stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    match text.lines().next() {
        Some(line) if line.contains("QEMU") => Ok(line.to_owned()),
        _ => Err(io::Error::other("it does not say its version as QEMU does")),
    }
}

/// A running QEMU with the harness in its memory.
pub struct Qemu {
    child: Child,
    gdb: Gdb,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Qemu {
    /// Starts one, up to [`DONE`].
    pub fn start() -> io::Result<Self> {
        let (here, there) = UnixStream::pair()?;
        let there = OwnedFd::from(there);
        let child = command()
            .stdin(Stdio::from(there.try_clone()?))
            .stdout(Stdio::from(there))
            .spawn()?;
        let mut qemu = Qemu {
            child,
            gdb: Gdb::new(here),
        };
        let gdb = &mut qemu.gdb;
        gdb.hello()?;
        gdb.write(0, HARNESS)?;
        gdb.breakpoint(DONE)?;
        gdb.set_register(13, INPUT + 0x800)?;
        gdb.run_from(RESET | 1)?;
        let pc = gdb.register(15)?;
        if pc != DONE {
            return Err(io::Error::other(format!("the harness does not come up: PC {pc:#x}")));
        }
        gdb.patience = Duration::from_secs(5);
        Ok(qemu)
    }

    /// Runs a stream to its end. `None`: it did not end; the process is no good any more, and so after an error.
    pub fn run(&mut self, stream: &Stream) -> io::Result<Option<Outcome>> {
        self.gdb.write(INPUT, &stream.image())?;
        if let Err(e) = self.gdb.run_from(START | 1) {
            if e.kind() != io::ErrorKind::TimedOut {
                return Err(e);
            }
            self.gdb.interrupt()?;
            return Ok(None);
        }
        let bytes = self
            .gdb
            .read(SCRATCH.start, SCRATCH_LEN + (RESULT.end - RESULT.start) as usize)?;
        debug_assert_eq!(bytes.len(), SCRATCH_LEN + 4 * RESULT_WORDS);
        Ok(Outcome::from_memory(&bytes))
    }

    /// Registers (R0 to R15 and xPSR) after each instruction, from the first of the harness on.
    pub fn trace(&mut self, stream: &Stream, most: usize) -> io::Result<Vec<[u32; 17]>> {
        self.gdb.write(INPUT, &stream.image())?;
        let mut out = Vec::new();
        let mut from = Some(START | 1);
        while out.len() < most {
            self.gdb.step(from.take())?;
            let mut r = [0; 17];
            for (slot, number) in r.iter_mut().zip((0..16).chain([25])) {
                *slot = self.gdb.register(number)?;
            }
            if r[15] == DONE {
                break;
            }
            out.push(r);
        }
        Ok(out)
    }
}

/// The program, so that it ends when its owner is killed.
pub(crate) fn guarded(program: OsString) -> Command {
    let guard = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !guard {
        return Command::new(program);
    }
    let mut c = Command::new("setpriv");
    c.args(["--pdeathsig", "KILL", "--"]).arg(program);
    c
}

fn command() -> Command {
    let mut c = guarded(program());
    c.args([
        "-M",
        "mps2-an385",
        "-accel",
        "tcg",
        "-S",
        "-nodefaults",
        "-display",
        "none",
    ])
    .args(["-serial", "none", "-monitor", "none", "-gdb", "stdio"])
    .stderr(Stdio::null());
    c
}
