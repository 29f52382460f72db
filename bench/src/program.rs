//! The programs that are measured from outside: ours, and QEMU where it is installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// The QEMU to compare with.
pub(crate) const QEMU: &str = "qemu-system-arm";
/// The same for RISC-V.
pub(crate) const QEMU_RISCV: &str = "qemu-system-riscv64";

/// A prebuilt program for a board.
pub(crate) fn firmware(name: &str, board: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../firmware/prebuilt/{name}-{board}.elf"));
    path.canonicalize()
        .map_err(|e| format!("{}: {e}", path.display()).into())
}

/// Our binary, from the folder this one runs from.
pub(crate) fn southbridge() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("southbridge");
    if !path.is_file() {
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        return Err(format!(
            "{} is missing; first: cargo build{profile} -p southbridge",
            path.display()
        )
        .into());
    }
    Ok(path)
}

/// Whether there is a QEMU.
pub(crate) fn has_qemu() -> bool {
    is_installed(QEMU)
}

/// Whether that QEMU is there.
pub(crate) fn is_installed(qemu: &str) -> bool {
    let mut probe = Command::new(qemu);
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    let found = probe.status().is_ok_and(|s| s.success());
    if !found {
        eprintln!("  {qemu} is not installed: no numbers beside ours");
    }
    found
}

/// A command line from its words.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>, words: &str, kernel: &Path) -> Command {
    let mut c = Command::new(program);
    c.args(words.split_whitespace()).arg("-kernel").arg(kernel);
    c.stdin(Stdio::null()).stderr(Stdio::null());
    c
}

/// Wall time from start to the end of the process, which must be with status 0.
pub(crate) fn time_to_end(mut c: Command) -> Result<Duration> {
    c.stdout(Stdio::null());
    let begin = Instant::now();
    let status = c.status()?;
    let took = begin.elapsed();
    if !status.success() {
        return Err(format!("{c:?} ended with {status}").into());
    }
    Ok(took)
}

/// A child whose output is read; killed when dropped.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(mut c: Command) -> Result<Self> {
        let mut child = c.stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or("no stdout")?;
        Ok(Self {
            child,
            out: BufReader::new(out),
        })
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a line, where standard input is a pipe.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().ok_or("no stdin")?;
        Ok(writeln!(input, "{line}")?)
    }

    /// Waits for the first byte.
    pub(crate) fn first_byte(&mut self) -> Result<()> {
        Ok(self.out.read_exact(&mut [0])?)
    }

    /// The next line, without its end.
    pub(crate) fn next_line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.out.read_line(&mut line)? == 0 {
            return Err("the program has ended".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Waits for a line that begins so.
    pub(crate) fn line(&mut self, begin: &str) -> Result<()> {
        let lost = |e| format!("it did not print '{begin}': {e}");
        while !self.next_line().map_err(lost)?.trim_start().starts_with(begin) {}
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
