//! A server on a thread of its own, for a process that has other things to do.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::server::{Server, ServerNotice};

/// Holds a server's thread. Dropping it ends the server: connections closed, files removed, thread joined.
#[derive(Debug)]
pub struct ServerHandle {
    path: PathBuf,
    memory_size: u64,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl ServerHandle {
    /// The socket file to which clients connect; it accepts them already.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the shared memory in bytes.
    pub fn memory_size(&self) -> u64 {
        self.memory_size
    }

    /// Ends the server and waits until nothing of it is left. So does dropping the handle.
    pub fn stop(self) {}
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        // An eventfd that was never written takes a 1.
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Server {
    /// Moves the server to a thread of its own. `notice` is called there.
    ///
    /// # Errors
    /// When the host gives no thread or descriptor; the server is gone then.
    pub fn spawn(self, mut notice: impl FnMut(ServerNotice) + Send + 'static) -> io::Result<ServerHandle> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (path, memory_size) = (self.path().to_path_buf(), self.memory_size());
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("ivshmem-server".into()).spawn(move || {
            if let Err(error) = run(self, &stopped, &mut notice) {
                notice(ServerNotice::Failed(error.to_string()));
            }
        })?;
        Ok(ServerHandle {
            path,
            memory_size,
            stop,
            thread: Some(thread),
        })
    }
}

/// Drives a server until `stop` is readable.
pub(crate) fn run(
    mut server: Server,
    stop: &impl std::os::fd::AsFd,
    notice: &mut dyn FnMut(ServerNotice),
) -> io::Result<()> {
    loop {
        let mut sources = [PollFd::new(&server, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut sources, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let [_, stopped] = sources.map(|source| !source.revents().is_empty());
        if stopped {
            return Ok(());
        }
        server.step(Some(std::time::Duration::ZERO), notice)?;
    }
}
