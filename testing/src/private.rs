//! A network of one's own for a test: a network namespace of Linux, in which a test may make interfaces and bridges that nobody else sees.
//!
//! A process is moved into a namespace as a whole, so the test runs itself again in a child of `unshare`. Where the host does not let a
//! test do this, the test says that it is skipped, and why.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{File, read_link};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MARK: &str = "SOUTHBRIDGE_TEST_IS_PRIVATE";

/// Whether the test should go on: it is in a network of its own (and may mount what it likes). If not, it has been run there by this call,
/// where a failure is a failure here; or it is skipped, because the host gives no network, or lacks one of the `files` (which are opened to
/// be read and written) or `programs`.
///
/// `test` is the test's full name. Programs are names in `PATH`, or paths.
pub fn is_private(test: &str, files: &[&str], programs: &[&str]) -> bool {
    if let Some(sign) = std::env::var_os(MARK) {
        File::create(sign).expect("the sign that the test was found");
        sh("ip link set lo up");
        return true;
    }
    if let Some(why) = obstacle(files, programs) {
        crate::skip(test, &why);
        return false;
    }
    let me = std::env::current_exe().expect("the name of this program");
    let sign = std::env::temp_dir().join(format!("southbridge-private-{}-{test}", std::process::id()));
    let mut again = unshare();
    again.arg(me).args(["--exact", test, "--nocapture"]).env(MARK, &sign);
    let status = again.status().expect("unshare was there a moment ago");
    assert!(status.success(), "{test} failed in its own network");
    // A name that is no test's would have run nothing, and well.
    std::fs::remove_file(&sign).expect("the test by its full name");
    false
}

fn unshare() -> Command {
    let mut c = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        c.arg("--map-root-user");
    }
    c.args(["--net", "--mount"]);
    c
}

fn obstacle(files: &[&str], programs: &[&str]) -> Option<String> {
    for file in files {
        if let Err(e) = File::options().read(true).write(true).open(file) {
            return Some(format!("cannot open {file}: {e}"));
        }
    }
    let mut all = programs.iter().chain(&["unshare", "ip"]);
    if let Some(program) = all.find(|p| find(p).is_none()) {
        return Some(format!("there is no program '{program}'"));
    }
    let tried = unshare().args(["ip", "link", "set", "lo", "up"]).output();
    match tried {
        Ok(o) if o.status.success() => None,
        Ok(o) => Some(format!(
            "no right to make a network: {}",
            String::from_utf8_lossy(&o.stderr).trim()
        )),
        Err(e) => Some(format!("cannot run unshare: {e}")),
    }
}

/// Where a program is, by its name in `PATH` or its path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // An absolute path stays as it is when it is joined.
    let mut all = std::env::split_paths(&path).map(|folder| folder.join(program));
    all.find(|p| p.is_file())
}

/// Runs a line of shell, which must succeed.
///
/// # Panics
/// If it does not.
pub fn sh(line: &str) {
    let o = Command::new("sh").args(["-ec", line]).output().expect("a shell");
    assert!(o.status.success(), "{line}: {}", String::from_utf8_lossy(&o.stderr));
}

/// A second network beside the test's own: another host, as far as the kernel is concerned. It ends with this value.
#[derive(Debug)]
pub struct Elsewhere {
    /// Somebody has to be there for the network to be.
    keeper: Child,
}

impl Elsewhere {
    /// Makes one, whose loopback interface is up.
    ///
    /// # Panics
    /// If the host refuses what it allowed before.
    #[allow(clippy::new_without_default, reason = "it starts a process")]
    pub fn new() -> Self {
        let mut c = Command::new("unshare");
        let keeper = c.args(["--net", "sleep", "3600"]).stdin(Stdio::null()).spawn();
        let me = Self {
            keeper: keeper.expect("unshare was there a moment ago"),
        };
        let ours = read_link("/proc/self/ns/net").ok();
        let end = Instant::now() + Duration::from_secs(60);
        while read_link(me.path()).ok() == ours {
            assert!(Instant::now() < end, "waited in vain for a second network");
            std::thread::sleep(Duration::from_millis(5));
        }
        me.sh("ip link set lo up");
        me
    }

    /// The process that holds it, as `ip link set … netns` takes it.
    pub fn pid(&self) -> u32 {
        self.keeper.id()
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.pid())
    }

    /// Runs a line of shell there, which must succeed.
    ///
    /// # Panics
    /// If it does not.
    pub fn sh(&self, line: &str) {
        self.run(|| sh(line));
    }

    /// Runs something there, in a thread of its own whose sockets are of that network, to its end.
    ///
    /// # Panics
    /// With what `f` panics with.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|s| {
            let there = s.spawn(|| {
                let file = File::open(self.path()).expect("the second network");
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("the second network");
                f()
            });
            match there.join() {
                Ok(r) => r,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
