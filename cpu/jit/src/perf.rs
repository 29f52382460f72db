//! `/tmp/perf-PID.map`: how `perf` learns the names of code that was made at run time.

use std::fs::File;
use std::io::Write;

/// The file of this process; several machines in one process share it.
pub(crate) struct PerfMap(File);

impl PerfMap {
    /// `None` if the file cannot be made: profiling is no reason to fail.
    pub(crate) fn new() -> Option<Self> {
        let path = format!("/tmp/perf-{}.map", std::process::id());
        File::options().create(true).append(true).open(path).ok().map(Self)
    }

    /// Names `len` bytes of code at `at`. Lines of one write do not mix.
    pub(crate) fn add(&mut self, at: u64, len: usize, name: &str) {
        let _ = self.0.write_all(format!("{at:x} {len:x} guest {name}\n").as_bytes());
    }
}
