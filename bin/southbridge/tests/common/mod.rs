//! What tests of the program share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod cards;
pub mod linux;
pub mod qmp;
pub mod switches;

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub fn program() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_southbridge"));
    c.stdin(Stdio::null());
    c
}

/// A prebuilt firmware file.
pub fn firmware(name: &str) -> String {
    format!("{}/../../firmware/prebuilt/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs to the end; a run that hangs is killed after a minute and fails the test.
pub fn run(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = done.clone();
    std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end && !seen.load(std::sync::atomic::Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        if !seen.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    });
    let out = child.wait_with_output().unwrap();
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    out
}

/// Standard error as text.
pub fn err(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Standard output as text.
pub fn out(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Waits until `done`; panics after 20 seconds without.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A child that is killed when the test ends, however it ends.
pub struct Guard(pub Child);

impl Guard {
    /// Sends SIGTERM and gives the exit status.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        signal("TERM", self.0.id());
        self.0.wait().unwrap()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal by name.
pub fn signal(name: &str, pid: u32) {
    assert!(
        Command::new("kill")
            .args([&format!("-{name}"), &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}
