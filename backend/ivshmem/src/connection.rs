//! One client of the server: its socket, the eventfds of its vectors, and what is waited for.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::event::epoll;
use rustix::io::Errno;

/// Whether a client's socket takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// As far as is known.
    Ready,
    /// Until the socket is writable.
    Full,
    /// Until the timer: the kernel lacks something of which it will not say when it is back.
    Starved,
}

/// A client that has an id.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: UnixStream,
    pub(crate) vectors: Vec<OwnedFd>,
    /// By which epoll names it: unlike the id, never given twice.
    pub(crate) token: u64,
    /// What epoll watches for now.
    interest: epoll::EventFlags,
    pub(crate) sending: Sending,
}

impl Sending {
    fn interest(self) -> epoll::EventFlags {
        let reading = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        match self {
            Self::Full => reading | epoll::EventFlags::OUT,
            Self::Ready | Self::Starved => reading,
        }
    }
}

impl Connection {
    /// A connection that epoll watches from now on.
    pub(crate) fn watched(
        stream: UnixStream,
        vectors: Vec<OwnedFd>,
        token: u64,
        epoll: &OwnedFd,
    ) -> Result<Self, Errno> {
        let interest = Sending::Ready.interest();
        epoll::add(epoll, &stream, epoll::EventData::new_u64(token), interest)?;
        Ok(Self {
            stream,
            vectors,
            token,
            interest,
            sending: Sending::Ready,
        })
    }

    /// Notes whether the client's socket takes more, and has epoll watch accordingly.
    pub(crate) fn switch(&mut self, sending: Sending, epoll: &OwnedFd) -> Result<(), Errno> {
        self.sending = sending;
        if self.interest != sending.interest() {
            self.interest = sending.interest();
            epoll::modify(
                epoll,
                &self.stream,
                epoll::EventData::new_u64(self.token),
                self.interest,
            )?;
        }
        Ok(())
    }
}
