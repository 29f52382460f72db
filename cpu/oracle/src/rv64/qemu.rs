//! QEMU as the other implementation: one process for a whole batch of cases. Its memory is a file, in which cases are put before it
//! starts and outcomes found when it is over; nothing has to be said in between.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::case::Case;
use super::exclude;
use super::layout::*;

/// Bytes of its memory.
pub const MEMORY: u64 = 256 << 20;
/// The same hart as [`super::ours::config`]: what QEMU has beyond ours is off.
pub const MODEL: &str = "rv64,h=false,zfa=false,zihintntl=false,svvptc=false,sstc=true,svadu=true,svade=true,zfh=true,zacas=true,\
    zicond=true,smstateen=true,svinval=true,svnapot=true,svpbmt=true,debug=false";
/// How long a case may take, from the start of the process on.
const PATIENCE: Duration = Duration::from_secs(8);

/// The program: `SOUTHBRIDGE_ORACLE_QEMU_RV64` if set, else the one in the path.
fn program() -> OsString {
    std::env::var_os("SOUTHBRIDGE_ORACLE_QEMU_RV64").unwrap_or_else(|| "qemu-system-riscv64".into())
}

/// The first line that QEMU says about its version; an error where there is none.
pub fn version() -> io::Result<String> {
    crate::qemu::version_of(program())
}

/// A file in memory where the host has such, and gone with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Scratch {
    fn new() -> Self {
        let shm = PathBuf::from("/dev/shm");
        let dir = if shm.is_dir() { shm } else { std::env::temp_dir() };
        let name = format!(
            "southbridge-oracle-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        Self(dir.join(name.replace(['(', ')'], "")))
    }
}

/// Runs cases, which must stand in slots of rising numbers from 0 on: the memory of each when it was over; how QEMU ended where it was
/// never.
pub fn run(cases: &[Case]) -> io::Result<Vec<Result<Box<[u8]>, String>>> {
    let scratch = Scratch::new();
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&scratch.0)?;
    file.set_len(MEMORY)?;
    file.write_all_at(HARNESS, 0)?;
    file.write_all_at(&(cases.len() as u64).to_le_bytes(), COUNT)?;
    for (i, case) in cases.iter().enumerate() {
        debug_assert_eq!(case.slot as usize, i);
        for (page, bytes) in case
            .image
            .chunks(4096)
            .enumerate()
            .filter(|(_, b)| b.iter().any(|b| *b != 0))
        {
            file.write_all_at(bytes, case.base() - RAM + 4096 * page as u64)?;
        }
    }
    let mut done = Vec::with_capacity(cases.len());
    while done.len() < cases.len() {
        file.write_all_at(&(done.len() as u64).to_le_bytes(), COUNT + 8)?;
        let end = wait(&mut command(&scratch), &file)?;
        let n = progress(&file)?.min(cases.len());
        for case in &cases[done.len()..n] {
            let mut out = vec![0; SLOT];
            file.read_exact_at(&mut out, case.base() - RAM)?;
            exclude::mend(&mut out);
            exclude::forget(&mut out, case.base());
            done.push(Ok(out.into()));
        }
        if n < cases.len() {
            done.push(Err(end));
        }
    }
    Ok(done)
}

/// How many cases are done.
fn progress(file: &File) -> io::Result<usize> {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, COUNT + 8)?;
    Ok(u64::from_le_bytes(word) as usize)
}

/// Until it ends, or stays at one case for too long; which of both, in words.
fn wait(command: &mut Command, file: &File) -> io::Result<String> {
    let mut child = command.spawn()?;
    let (mut since, mut at) = (Instant::now(), 0);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(format!("QEMU ends by itself ({status})"));
        }
        let now = progress(file)?;
        if now != at {
            (since, at) = (Instant::now(), now);
        }
        if since.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok("QEMU does not end".to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn command(scratch: &Scratch) -> Command {
    let memory = format!(
        "memory-backend-file,id=ram,mem-path={},share=on,size={MEMORY}",
        scratch.0.display()
    );
    let mut c = crate::qemu::guarded(program());
    c.args([
        "-M",
        "virt,memory-backend=ram",
        "-smp",
        "2",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        MODEL,
        "-object",
        &memory,
    ])
    .args([
        "-m",
        &format!("{}M", MEMORY >> 20),
        "-bios",
        "none",
        "-nodefaults",
        "-display",
        "none",
    ])
    .args(["-serial", "none", "-monitor", "none"])
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .stderr(Stdio::inherit());
    c
}
