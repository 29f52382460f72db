//! `-daemonize`, `-pidfile`, `-writeconfig`: the process as the host sees it.

use rustix::fs::{FlockOperation, flock};
use southbridge_cli::config::SerialBackend;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Located, Location, OptError};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Tells the child of `-daemonize` what it is.
const CHILD: &str = "SOUTHBRIDGE_DAEMON_CHILD";
/// What the child says when its machine is ready. Before it stands what the user asked to see, such as the names of new terminals.
const READY: u8 = 0;

fn io_error(action: &str, path: &str, error: &io::Error) -> ErrorKind {
    ErrorKind::Io {
        action: action.into(),
        path: path.into(),
        error: southbridge_cli::argv::io_reason(error),
    }
}

/// `-writeconfig FILE`; `-` is standard output.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_config(path: &Located<String>, text: &str) -> Result<(), OptError> {
    let written = match path.value.as_str() {
        "-" => io::stdout().write_all(text.as_bytes()),
        file => std::fs::write(file, text),
    };
    written.map_err(|e| OptError::new(io_error("write", &path.value, &e), path.at.clone()))
}

/// With `-daemonize`, starts this program again in the background and waits until its machine is ready; gives the status with which
/// this process ends. In the child, and without the option, gives `None`: go on.
///
/// Starting again instead of forking keeps threads and descriptors in a known state. The child writes one byte to its standard output
/// when it is ready; until then its errors reach the user's terminal, and what it prints before that is passed on.
///
/// # Errors
/// When no child can be started.
pub(crate) fn become_daemon(config: &Config) -> Result<Option<u8>, OptError> {
    let Some(at) = &config.daemonize else { return Ok(None) };
    if std::env::var_os(CHILD).is_some() {
        // A session of its own: the terminal's signals no longer reach it. It fails only for a process that leads one already.
        let _ = rustix::process::setsid();
        return Ok(None);
    }
    no_terminal(config, at)?;
    let failed = |e: io::Error| OptError::new(io_error("start", "a process in the background", &e), at.clone());
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .arg0(name)
        .args(args)
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if child.stdout.take().is_some_and(|out| pass_on(out, &mut io::stdout())) {
        return Ok(Some(0));
    }
    let status = child.wait().map_err(failed)?;
    Ok(Some(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1)))
}

/// In the background there is no terminal: a channel on standard input and output would be deaf and dumb.
fn no_terminal(config: &Config, daemonize: &Location) -> Result<(), OptError> {
    let own = config.serials.iter().filter_map(|s| match &s.backend {
        SerialBackend::Own(option) => Some(&**option),
        _ => None,
    });
    match config.chardevs.iter().chain(own).find(|c| c.backend.value == "stdio") {
        Some(option) => Err(
            OptError::conflict("-daemonize", "the chardev 'stdio'", option.backend.at.clone())
                .with_also(daemonize.clone(), "asked for here"),
        ),
        None => Ok(()),
    }
}

/// Passes on what the child says until it is ready; `false` if it ends before.
fn pass_on(child: impl Read, out: &mut impl Write) -> bool {
    let mut child = BufReader::new(child);
    let mut said = Vec::new();
    // An error here is a child that is gone, as is the end.
    let _ = child.read_until(READY, &mut said);
    let ready = said.pop_if(|last| *last == READY).is_some();
    let _ = out.write_all(&said).and_then(|()| out.flush());
    ready
}

/// `-name process=`: what `ps` and `top` show; the host cuts it to 15 bytes.
pub(crate) fn take_name(config: &Config) {
    let name = config.name.process.as_deref().and_then(|n| CString::new(n).ok());
    if let Some(name) = name {
        // A name is no reason to fail.
        let _ = rustix::thread::set_name(&name);
    }
}

/// The machine is ready: lets the waiting parent go and lets go of the terminal.
pub(crate) fn ready(config: &Config) {
    if config.daemonize.is_none() {
        return;
    }
    let mut out = io::stdout();
    let _ = out.write_all(&[READY]).and_then(|()| out.flush());
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

/// The file of `-pidfile`, locked while the process lives and removed when it ends.
pub(crate) struct PidFile {
    path: PathBuf,
    _locked: File,
}

impl PidFile {
    /// Writes the file, if one is asked for.
    ///
    /// # Errors
    /// When it cannot be written, or another process holds it.
    pub(crate) fn create(config: &Config) -> Result<Option<Self>, OptError> {
        let Some(path) = &config.pidfile else { return Ok(None) };
        let failed = |e: io::Error| OptError::new(io_error("write", &path.value, &e), path.at.clone());
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path.value)
            .map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let why = format!("the process of '{}' is still running", path.value);
            return Err(OptError::new(ErrorKind::Refused { why }, path.at.clone()));
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        // The daemon may change its folder one day; the file to remove stays the same.
        let path = std::path::absolute(&path.value).map_err(failed)?;
        Ok(Some(Self { path, _locked: file }))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::pass_on;

    #[test]
    fn what_the_child_prints_before_it_is_ready_is_passed_on() {
        for (said, ready, passed) in [
            (&b"\0"[..], true, &b""[..]),
            (b"a line\n\0", true, b"a line\n"),
            (b"a line\n", false, b"a line\n"),
            (b"", false, b""),
        ] {
            let mut out = Vec::new();
            assert_eq!(pass_on(said, &mut out), ready);
            assert_eq!(out, passed);
        }
    }
}
