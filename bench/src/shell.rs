//! Debian's kernel on `virt` of ours and of QEMU, with a shell that answers: what benchmarks inside a guest have in common.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::program::{QEMU_RISCV, Running, command, is_installed, southbridge};
use crate::report::Row;
use crate::stats::Series;

/// Ours, and QEMU where it is installed.
pub(crate) fn programs() -> Result<Vec<PathBuf>> {
    let mut all = vec![southbridge()?];
    if is_installed(QEMU_RISCV) {
        all.push(QEMU_RISCV.into());
    }
    Ok(all)
}

/// One row of both, from the series of each program.
pub(crate) fn row(what: String, unit: &'static str, mut series: Vec<Series>) -> Row {
    let peer = series.split_off(1).pop().unwrap_or_default();
    Row::new(what, unit, series.pop().unwrap_or_default()).beside("QEMU (JIT)", peer)
}

/// One series for each program.
pub(crate) fn empty(programs: &[PathBuf]) -> Vec<Series> {
    programs.iter().map(|_| Series::default()).collect()
}

/// Kernel and initramfs, as `guest/build` makes them.
pub(crate) struct Guest {
    kernel: PathBuf,
    initramfs: PathBuf,
    /// Holds an initramfs with sets of programs behind it.
    _folder: Option<tempfile::TempDir>,
}

impl Guest {
    /// With these sets of programs, which `guest/build` names.
    pub(crate) fn find(sets: &[&str]) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guest");
        let found = |name: &str| {
            let path = folder.join(name);
            path.canonicalize()
                .map_err(|e| format!("{}: {e}; guest/build makes it", path.display()))
        };
        let (kernel, initramfs) = (found("vmlinux")?, found("initramfs.cpio.gz")?);
        if sets.is_empty() {
            return Ok(Self {
                kernel,
                initramfs,
                _folder: None,
            });
        }
        let mut all = std::fs::read(initramfs)?;
        for set in sets {
            // The kernel takes archives behind each other on multiples of four bytes.
            all.resize(all.len().next_multiple_of(4), 0);
            all.extend(std::fs::read(found(&format!("extra/{set}.cpio.gz"))?)?);
        }
        let folder = tempfile::tempdir()?;
        let initramfs = folder.path().join("initramfs");
        std::fs::write(&initramfs, all)?;
        Ok(Self {
            kernel,
            initramfs,
            _folder: Some(folder),
        })
    }

    /// The command that boots it on a program, with more words.
    pub(crate) fn on(&self, program: &Path, words: &str, append: &str) -> Command {
        let mut c = command(program, &format!("-M virt -m 512M -nographic {words}"), &self.kernel);
        c.arg("-initrd").arg(&self.initramfs);
        c.arg("-append").arg(format!("console=ttyS0 {append}"));
        c
    }
}

/// A guest that has come to its shell.
pub(crate) struct Shell {
    running: Running,
    commands: u32,
}

impl Shell {
    /// Boots, and waits for the shell.
    pub(crate) fn boot(guest: &Guest, program: &Path, words: &str) -> Result<Self> {
        let mut c = guest.on(program, words, "quiet");
        c.stdin(Stdio::piped());
        let mut running = Running::start(c)?;
        running.line("guest: shell after")?;
        Ok(Self { running, commands: 0 })
    }

    /// Runs a command; what it printed, line by line. Its status must be 0.
    pub(crate) fn run(&mut self, command: &str) -> Result<Vec<String>> {
        let end = self.begin(command)?;
        let mut printed = Vec::new();
        loop {
            let line = self.running.next_line()?;
            let Some((before, status)) = line.split_once(&end) else {
                printed.push(line);
                continue;
            };
            if !before.is_empty() {
                printed.push(before.to_owned());
            }
            if status.trim() != "0" {
                return Err(format!("'{command}' ended with {status} in the guest: {}", printed.join("\n")).into());
            }
            return Ok(printed);
        }
    }

    /// Runs a command that prints `ready` and, some time later, `done`: that time.
    pub(crate) fn time(&mut self, command: &str) -> Result<Duration> {
        let end = self.begin(command)?;
        let (mut begin, mut printed) = (None, String::new());
        loop {
            let line = self.running.next_line()?;
            match (line.trim(), begin) {
                ("ready", None) => begin = Some(Instant::now()),
                ("done", Some(begin)) => {
                    let took = begin.elapsed();
                    while !self.running.next_line()?.contains(&end) {}
                    return Ok(took);
                }
                (l, _) if l.contains(&end) => {
                    return Err(format!("'{command}' has failed in the guest: {printed}").into());
                }
                (l, _) => printed += l,
            }
        }
    }

    /// Types a command; the mark behind which its status will be printed. What is typed comes back, perhaps twice; so the marks are not
    /// yet whole in it.
    fn begin(&mut self, command: &str) -> Result<String> {
        self.commands += 1;
        let n = self.commands;
        let line = format!("echo '[beg''in {n}]'; {command}; echo \"[e\"\"nd {n}]$?\"");
        self.running.say(&line)?;
        while !self.running.next_line()?.contains(&format!("[begin {n}]")) {}
        Ok(format!("[end {n}]"))
    }
}
