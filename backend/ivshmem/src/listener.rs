//! A listening socket whose file is replaced when dead, respected when alive, and removed in the end.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::ServerError;

/// A socket file that this process listens on.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and inode of our file, so that a successor's is not removed.
    identity: Option<(u64, u64)>,
}

impl Listener {
    /// Listens on `path`. A socket file there that nobody serves is replaced.
    pub(crate) fn bind(path: &Path) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Listen {
            path: path.into(),
            source,
        };
        let socket = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                UnixListener::bind(path).map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        let listener = Self {
            socket,
            path: path.into(),
            identity: identity(path),
        };
        listener.socket.set_nonblocking(true).map_err(failed)?;
        Ok(listener)
    }

    /// The next waiting client.
    pub(crate) fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.socket.accept()?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn remove_stale(path: &Path) -> Result<(), ServerError> {
    let failed = |source| ServerError::Listen {
        path: path.into(),
        source,
    };
    let file = fs::symlink_metadata(path).map_err(failed)?;
    if !file.file_type().is_socket() {
        return Err(ServerError::NotASocket(path.into()));
    }
    // Not UnixStream::connect: that one blocks while the other server's queue is full.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(|e| failed(e.into()))?;
    let address = SocketAddrUnix::new(path).map_err(|e| failed(e.into()))?;
    match connect(&probe, &address) {
        Err(rustix::io::Errno::CONNREFUSED) => fs::remove_file(path).map_err(failed),
        Ok(()) | Err(rustix::io::Errno::AGAIN) => Err(ServerError::InUse(path.into())),
        Err(error) => Err(failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = Listener::bind(&path).unwrap();
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_socket_is_replaced_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let first = Listener::bind(&path).unwrap();
        assert!(matches!(Listener::bind(&path), Err(ServerError::InUse(_))));
        assert!(path.exists(), "the loser must not take the winner's file away");
        drop(first);
    }

    #[test]
    fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(Listener::bind(&path), Err(ServerError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn a_successors_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = Listener::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
    }

    #[test]
    fn a_long_path_says_so() {
        let path = Path::new("/tmp").join("x".repeat(200));
        assert!(
            Listener::bind(&path)
                .unwrap_err()
                .to_string()
                .starts_with("cannot listen on '/tmp/xxx")
        );
    }
}
