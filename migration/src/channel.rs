//! The other end of a migration as something to read or write, which can be given up at any moment.

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::uri::Uri;

/// Ends a transfer from another thread.
#[derive(Clone)]
pub(crate) struct Cancel(Arc<(AtomicBool, OwnedFd)>);

impl Cancel {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new((AtomicBool::new(false), fd))))
    }

    pub(crate) fn cancel(&self) {
        self.0.0.store(true, Ordering::Release);
        // A full counter is readable all the same.
        let _ = rustix::io::write(&self.0.1, &1u64.to_ne_bytes());
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.0.load(Ordering::Acquire)
    }

    /// Waits until the descriptor is ready.
    fn wait(&self, fd: impl AsFd, flags: PollFlags) -> io::Result<()> {
        loop {
            if self.is_cancelled() {
                return Err(cancelled());
            }
            let mut fds = [
                PollFd::from_borrowed_fd(fd.as_fd(), flags),
                PollFd::new(&self.0.1, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) if fds[0].revents().is_empty() => {}
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

fn cancelled() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cancelled")
}

/// An open end.
pub(crate) struct Channel {
    fd: OwnedFd,
    child: Option<Running>,
    cancel: Cancel,
}

/// A command; it ends when nobody wants anything of it any more.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // It leads a group of its own: what it has started ends with it.
            let group = Pid::from_child(&self.0);
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

impl Channel {
    fn new(fd: OwnedFd, cancel: &Cancel) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self {
            fd,
            child: None,
            cancel: cancel.clone(),
        })
    }

    /// Everything is through: the command, if there is one, must end well.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        // Its standard input or output closes with this.
        drop(self.fd);
        loop {
            match child.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(io::Error::other(format!("the command failed: {status}"))),
                None if self.cancel.is_cancelled() => return Err(cancelled()),
                None => std::thread::sleep(std::time::Duration::from_millis(2)),
            }
        }
    }
}

impl Read for Channel {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            self.cancel.wait(&self.fd, PollFlags::IN)?;
            match rustix::io::read(&self.fd, &mut *out) {
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                done => return Ok(done?),
            }
        }
    }
}

impl Write for Channel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        loop {
            self.cancel.wait(&self.fd, PollFlags::OUT)?;
            match rustix::io::write(&self.fd, data) {
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                done => return Ok(done?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shell(command: &str) -> Command {
    let mut c = Command::new("/bin/sh");
    c.arg("-c").arg(command).process_group(0);
    c
}

/// A descriptor by its number in this process. Asking the kernel for a copy is the way that needs no trust in the number.
fn inherited(name: &str) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let none = || {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no descriptor called '{name}'"),
        )
    };
    let number: i32 = name.parse().map_err(|_| none())?;
    let me = pidfd_open(getpid(), PidfdFlags::empty())?;
    pidfd_getfd(me, number, PidfdGetfdFlags::empty()).map_err(|_| none())
}

/// Where a descriptor comes from: the one that the caller was given by that name, or an inherited one.
pub(crate) fn descriptor(uri: &Uri, given: Option<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    match (uri, given) {
        (Uri::Fd(_), Some(fd)) => Ok(Some(fd)),
        (Uri::Fd(name), None) => inherited(name).map(Some),
        _ => Ok(None),
    }
}

/// Opens the way out. Called on a thread of its own: names are looked up and peers waited for.
pub(crate) fn open(uri: &Uri, given: Option<OwnedFd>, cancel: &Cancel) -> io::Result<Channel> {
    match uri {
        Uri::File { path, offset } => {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(*offset == 0)
                .open(path)?;
            if *offset > 0 {
                file.seek(SeekFrom::Start(*offset))?;
            }
            Channel::new(file.into(), cancel)
        }
        Uri::Unix(path) => Channel::new(UnixStream::connect(path)?.into(), cancel),
        Uri::Tcp { host, port } => connect_tcp(host, *port, cancel),
        Uri::Fd(name) => {
            let none = || io::Error::new(io::ErrorKind::NotFound, format!("there is no descriptor '{name}'"));
            Channel::new(given.ok_or_else(none)?, cancel)
        }
        Uri::Exec(command) => {
            let mut child = shell(command).stdin(Stdio::piped()).spawn()?;
            let input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
            let mut channel = Channel::new(input.into(), cancel)?;
            channel.child = Some(Running(child));
            Ok(channel)
        }
    }
}

fn connect_tcp(host: &str, port: u16, cancel: &Cancel) -> io::Result<Channel> {
    let host = if host.is_empty() { "localhost" } else { host };
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("'{host}' has no address"));
    for address in (host, port).to_socket_addrs()? {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(family, SocketType::STREAM, flags, None)?;
        let done = match connect(&fd, &address) {
            Err(rustix::io::Errno::INPROGRESS) => {
                cancel.wait(&fd, PollFlags::OUT)?;
                sockopt::socket_error(&fd)?
            }
            done => done,
        };
        match done {
            Ok(()) => return Channel::new(fd, cancel),
            Err(e) => last = e.into(),
        }
    }
    Err(last)
}

/// Where a state is awaited.
pub(crate) enum Awaiting {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
    Open(OwnedFd, Option<Running>),
}

impl Awaiting {
    /// Opens the way in, so that peers find it from now on. Does not wait.
    pub(crate) fn new(uri: &Uri, given: Option<OwnedFd>) -> io::Result<Self> {
        match uri {
            Uri::File { path, offset } => {
                let mut file = OpenOptions::new().read(true).open(path)?;
                file.seek(SeekFrom::Start(*offset))
                    .or_else(|e| if *offset == 0 { Ok(0) } else { Err(e) })?;
                Ok(Self::Open(file.into(), None))
            }
            Uri::Unix(path) => {
                remove_socket(path);
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(listener, path.clone()))
            }
            Uri::Tcp { host, port } => {
                // `0` is QEMU's short form of any address.
                let host = if matches!(host.as_str(), "" | "0") {
                    "0.0.0.0"
                } else {
                    host
                };
                let listener = TcpListener::bind((host, *port))?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            Uri::Fd(name) => {
                let none = || io::Error::new(io::ErrorKind::NotFound, format!("there is no descriptor '{name}'"));
                Ok(Self::Open(given.ok_or_else(none)?, None))
            }
            Uri::Exec(command) => {
                let mut child = shell(command).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
                let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
                Ok(Self::Open(output.into(), Some(Running(child))))
            }
        }
    }

    /// The port that the kernel chose.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(listener) => Some(listener.local_addr().ok()?.port()),
            _ => None,
        }
    }

    /// Waits for the peer.
    pub(crate) fn accept(self, cancel: &Cancel) -> io::Result<Channel> {
        match self {
            Self::Unix(listener, path) => {
                let fd = retry(|| {
                    cancel.wait(&listener, PollFlags::IN)?;
                    Ok(listener.accept()?.0.into())
                });
                remove_socket(&path);
                Channel::new(fd?, cancel)
            }
            Self::Tcp(listener) => {
                let fd = retry(|| {
                    cancel.wait(&listener, PollFlags::IN)?;
                    Ok(listener.accept()?.0.into())
                });
                Channel::new(fd?, cancel)
            }
            Self::Open(fd, child) => {
                let mut channel = Channel::new(fd, cancel)?;
                channel.child = child;
                Ok(channel)
            }
        }
    }
}

/// A peer may be gone again before it is taken in.
fn retry(mut accept: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    loop {
        match accept() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

fn remove_socket(path: &Path) {
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        let _ = std::fs::remove_file(path);
    }
}
