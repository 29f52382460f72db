//! Going to the background without `fork`: the program starts itself again, detached, and waits for its word.
//!
//! A bare `fork` is not available without `unsafe` (and would copy a process that may have threads). So the first process
//! runs the same program with the same arguments, with a mark in its environment and a pipe for its standard output, and
//! ends when the second one says that it listens. Scripts therefore can connect as soon as the command returns.

use std::env;
use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Set in the environment of the second process.
const MARK: &str = "SOUTHBRIDGE_IVSHMEM_DAEMON";

/// What the second process says when it listens.
const READY: &[u8] = b"ready\n";

/// Whether this is the second process.
pub(super) fn is_second() -> bool {
    env::var_os(MARK).is_some()
}

/// In the first process: starts the second one and waits until it listens or fails. It reports its own errors.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start() -> io::Result<ExitCode> {
    let mut words = env::args_os();
    let name = words.next().unwrap_or_default();
    let mut child = Command::new(env::current_exe()?)
        .arg0(name)
        .args(words)
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(READY.len() as u64).read_to_end(&mut said)?;
    }
    if said == READY {
        return Ok(ExitCode::SUCCESS);
    }
    let code = child
        .wait()?
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(code.max(1)))
}

/// In the second process, first thing: leaves the session of whoever started it, and takes the program's name.
///
/// # Errors
/// When the host refuses.
pub(super) fn detach(name: &CStr) -> io::Result<()> {
    rustix::process::setsid()?;
    // Else it would go by the name of the file behind a link, and `pidof` would not find it. Cosmetic if it fails.
    let _ = rustix::thread::set_name(name);
    Ok(())
}

/// In the second process, once it listens: lets the first one end and gives up its standard streams.
///
/// # Errors
/// When the host refuses.
pub(super) fn report_ready() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(READY)?;
    stdout.flush()?;
    let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    Ok(())
}

/// A file with the number of this process, removed when dropped.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it, over what is there.
    ///
    /// # Errors
    /// When the host refuses.
    pub(super) fn write(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let made = Self(path.into());
        writeln!(file, "{}", std::process::id())?;
        Ok(made)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
