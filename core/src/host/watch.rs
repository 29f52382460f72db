//! What a back end wants to hear of one descriptor.

use rustix::fd::AsFd;
use rustix::io::Errno;
use std::io;

use super::{HostCx, HostEvent, Interest, WatchId};

/// One descriptor's watch: what is armed, and a way out for descriptors that epoll refuses because they never block.
#[derive(Debug, Default)]
pub struct Watch {
    id: Option<WatchId>,
    read: bool,
    write: bool,
    /// Regular files and some devices: always ready, so a wake-up of our own stands in for epoll.
    always_ready: bool,
    /// Armed for edges only.
    edge: bool,
    token: u64,
}

/// What of a [`HostEvent`] concerns a [`Watch`].
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// There is something to read, and that was asked for.
    pub read: bool,
    /// There is room to write, or nobody to write to, and that was asked for.
    pub write: bool,
    /// The other side hung up.
    pub hangup: bool,
}

impl Watch {
    /// Watches nothing yet. Events are told apart by the token.
    pub fn new(token: u64) -> Self {
        Self {
            token,
            ..Self::default()
        }
    }

    /// Arms for exactly this. With nothing wanted the descriptor leaves epoll altogether: a hang-up would be reported without end.
    ///
    /// # Errors
    /// The host's.
    pub fn set(&mut self, fd: impl AsFd, read: bool, write: bool, host: &mut HostCx<'_>) -> io::Result<()> {
        if self.always_ready {
            (self.read, self.write) = (read, write);
            if read || write {
                host.waker().wake();
            }
            return Ok(());
        }
        if (read, write) == (self.read, self.write) && !(self.edge && (read || write)) {
            return Ok(());
        }
        self.edge = false;
        let mut interest = Interest::empty();
        interest.set(Interest::READ, read);
        interest.set(Interest::WRITE, write);
        match self.id {
            Some(id) if interest.is_empty() => {
                host.unwatch(id, fd);
                self.id = None;
            }
            Some(id) => host.rewatch(id, fd, interest)?,
            None => match host.watch(fd, interest, self.token) {
                Ok(id) => self.id = Some(id),
                Err(e) if e.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                    self.always_ready = true;
                    host.waker().wake();
                }
                Err(e) => return Err(e),
            },
        }
        (self.read, self.write) = (read, write);
        Ok(())
    }

    /// Changes what is asked for about reading.
    pub fn want_read(&mut self, on: bool, fd: impl AsFd, host: &mut HostCx<'_>) {
        let write = self.write;
        // A descriptor that cannot be watched (no memory) stays silent; nothing better is to be done from here.
        let _ = self.set(fd, on, write, host);
    }

    /// The same about writing.
    pub fn want_write(&mut self, on: bool, fd: impl AsFd, host: &mut HostCx<'_>) {
        let read = self.read;
        let _ = self.set(fd, read, on, host);
    }

    /// Hears of changes only (edges): of a hang-up while there is no room for input, without being asked again and again.
    ///
    /// # Errors
    /// The host's.
    pub fn idle(&mut self, fd: impl AsFd, host: &mut HostCx<'_>) -> io::Result<()> {
        let interest = Interest::READ | Interest::EDGE;
        match self.id {
            Some(id) => host.rewatch(id, fd, interest)?,
            None => self.id = Some(host.watch(fd, interest, self.token)?),
        }
        (self.read, self.write) = (false, false);
        self.edge = true;
        Ok(())
    }

    /// Leaves epoll; call it before the descriptor is closed.
    pub fn stop(&mut self, fd: impl AsFd, host: &mut HostCx<'_>) {
        if let Some(id) = self.id.take() {
            host.unwatch(id, fd);
        }
        (self.read, self.write, self.edge) = (false, false, false);
    }

    /// Whether an event is for this descriptor, and what it says.
    pub fn ready(&self, event: HostEvent) -> Option<Ready> {
        match event {
            HostEvent::Ready {
                token,
                readable,
                writable,
                hangup,
            } if token == self.token && self.id.is_some() => Some(Ready {
                read: readable && self.read,
                write: (writable || hangup) && self.write,
                hangup,
            }),
            HostEvent::Woken if self.always_ready && (self.read || self.write) => Some(Ready {
                read: self.read,
                write: self.write,
                hangup: false,
            }),
            _ => None,
        }
    }
}
