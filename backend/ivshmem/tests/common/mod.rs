//! What the tests of this crate share: patience, raw peers, child processes that do not outlive a test, skipping aloud.
#![allow(dead_code, reason = "each test program uses its part of this")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use southbridge_backend_ivshmem::Client;

/// Long enough for a loaded machine; no test takes it unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done`, and panics with `what` when it takes forever.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client that has its `vectors` own vectors, which come last in the greeting.
pub(crate) fn join(path: &Path, vectors: usize) -> Client {
    let mut client = Client::connect(path).expect("connect");
    let complete = |client: &Client| client.is_greeted() && client.own_vectors().len() == vectors;
    client.wait_until(PATIENCE, complete).expect("greeting");
    client
}

/// Waits until `client` knows exactly these peers, each with `vectors` vectors.
pub(crate) fn knows(client: &mut Client, peers: &[u16], vectors: usize) {
    let known = |client: &Client| {
        client.peers().map(|(id, _)| id).eq(peers.iter().copied()) && client.peers().all(|(_, v)| v.len() == vectors)
    };
    let result = client.wait_until(PATIENCE, known);
    let seen: Vec<_> = client.peers().map(|(id, v)| (id, v.len())).collect();
    assert!(
        result.is_ok(),
        "{:?} knows {seen:?}, not {peers:?}: {result:?}",
        client.own_id()
    );
}

/// A child process that ends with the test.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).expect("kill");
    }
}

/// This crate's `ivshmem-server` or `ivshmem-client`.
pub(crate) fn tool(which: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ivshmem-tools"));
    command.arg(which).stdin(Stdio::null());
    command
}

/// Starts a server in the foreground and waits until it listens.
pub(crate) fn server(path: &Path, args: &[&str]) -> Process {
    let process = Process(
        tool("server")
            .arg("-F")
            .arg("-S")
            .arg(path)
            .args(args)
            .spawn()
            .expect("spawn"),
    );
    eventually("the server listens", || {
        std::os::unix::net::UnixStream::connect(path).is_ok()
    });
    process
}

/// Says that a test could not run here: on stderr, and in the file that `SOUTHBRIDGE_SKIP_LOG` names, so that a run can
/// count them.
pub(crate) fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}");
    eprintln!("{line}");
    if let Some(log) = std::env::var_os("SOUTHBRIDGE_SKIP_LOG") {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("open SOUTHBRIDGE_SKIP_LOG");
        // In one piece, because tests that run side by side share the file.
        file.write_all(format!("{line}\n").as_bytes())
            .expect("write SOUTHBRIDGE_SKIP_LOG");
    }
}

/// The first of `names` that is installed.
pub(crate) fn installed(names: &[&str]) -> Option<std::path::PathBuf> {
    let folders = std::env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&folders).map(move |folder| folder.join(name)))
        .find(|p| p.exists())
}
