//! A private folder for sockets, removed at the end.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folder `${tmp}`: only this user can look into it. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

/// A path of a unix socket has at most 107 bytes; a longer `TMPDIR` leaves too little for the file names.
const LONGEST_PARENT: usize = 60;

impl TempDir {
    /// A new folder in the system's place for such.
    ///
    /// # Errors
    /// The host's, when it cannot be made.
    pub fn create() -> io::Result<Self> {
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() > LONGEST_PARENT {
            parent = PathBuf::from("/tmp");
        }
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..100 {
            let path = parent.join(format!("southbridge-{}-{attempt}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = e,
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // Nobody is left to tell; the folder is in the system's temporary place, which is cleaned in time.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
