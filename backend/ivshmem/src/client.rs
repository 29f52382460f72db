//! A peer without a guest: connects to a server, keeps what it is given, rings doorbells and hears its own.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use southbridge_protocol_ivshmem::client::{Client as Machine, Event, Limits, Phase, Violation};
use southbridge_protocol_ivshmem::{PeerId, wire};
use thiserror::Error;

use crate::{doorbell, transfer};

/// Receives per [`Client::pump`], so that a server that never stops talking does not hold its client.
const RECEIVES_PER_PUMP: usize = 256;

/// What a server told, without the descriptors, which the client keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The id of this client.
    OwnId(PeerId),
    /// The shared memory has come; see [`Client::memory`].
    SharedMemory,
    /// A peer can be interrupted on this vector.
    PeerVector {
        /// Who.
        peer: PeerId,
        /// On which vector.
        vector: u16,
    },
    /// This client can be interrupted on this vector.
    OwnVector(u16),
    /// A peer, or this client itself, has more vectors than are kept.
    Surplus(PeerId),
    /// A peer is gone.
    PeerGone(PeerId),
    /// The server closed the connection. Peers that are known can still be reached.
    ServerGone,
}

/// The connection to a server failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The server broke the protocol.
    #[error(transparent)]
    Protocol(#[from] Violation),
    /// The host refuses.
    #[error("ivshmem client: {0}")]
    Host(#[from] io::Error),
    /// [`Client::wait_until`] ran out of time.
    #[error("ivshmem client: what was waited for did not come in time")]
    TimedOut,
}

impl From<Errno> for ClientError {
    fn from(error: Errno) -> Self {
        Self::Host(error.into())
    }
}

/// A doorbell could not be rung.
#[derive(Debug, Error)]
pub enum RingError {
    /// No such peer is connected.
    #[error("no peer {0} is connected")]
    NoPeer(PeerId),
    /// The peer has fewer vectors.
    #[error("peer {peer} has {count} vectors, not vector {vector}")]
    NoVector {
        /// Who.
        peer: PeerId,
        /// Which vector was asked for.
        vector: u16,
        /// How many there are, from 0.
        count: usize,
    },
    /// The host refuses.
    #[error("cannot ring vector {vector} of peer {peer}: {source}")]
    Host {
        /// Who.
        peer: PeerId,
        /// On which vector.
        vector: u16,
        /// What the host says.
        source: io::Error,
    },
}

/// A connection to a server, and what came over it.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    machine: Machine<OwnedFd>,
    memory: Option<OwnedFd>,
    own: Vec<OwnedFd>,
    peers: BTreeMap<PeerId, Vec<OwnedFd>>,
    ended: bool,
}

impl Client {
    /// Connects to the server that listens on `path`. Nothing is received yet.
    ///
    /// # Errors
    /// When nobody listens there, or the host refuses.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::adopt(UnixStream::connect(path)?, Limits::default())
    }

    /// Takes over a connection that exists already.
    ///
    /// # Errors
    /// When the host refuses to make it non-blocking.
    pub fn adopt(stream: UnixStream, limits: Limits) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let machine = Machine::new(limits);
        Ok(Self {
            stream,
            machine,
            memory: None,
            own: Vec::new(),
            peers: BTreeMap::new(),
            ended: false,
        })
    }

    /// This client's id, once known.
    pub fn own_id(&self) -> Option<PeerId> {
        self.machine.own_id()
    }

    /// The shared memory, once known. Its size is the file's.
    pub fn memory(&self) -> Option<BorrowedFd<'_>> {
        self.memory.as_ref().map(AsFd::as_fd)
    }

    /// Whether the greeting is complete.
    pub fn is_greeted(&self) -> bool {
        self.machine.phase() == Phase::Peers
    }

    /// Whether the server has closed the connection.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Descriptors on which this client is interrupted, vector 0 first.
    pub fn own_vectors(&self) -> &[OwnedFd] {
        &self.own
    }

    /// The other peers, ascending, each with its vectors, 0 first.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, &[OwnedFd])> {
        self.peers.iter().map(|(id, vectors)| (*id, vectors.as_slice()))
    }

    /// Vectors of a peer or of this client; empty when there is none by that id.
    pub fn vectors_of(&self, peer: PeerId) -> &[OwnedFd] {
        match self.own_id() == Some(peer) {
            true => &self.own,
            false => self.peers.get(&peer).map_or(&[], Vec::as_slice),
        }
    }

    /// Takes in what the server has sent so far, without waiting.
    ///
    /// # Errors
    /// [`ClientError`]; the connection is of no more use then.
    pub fn pump(&mut self) -> Result<Vec<Notice>, ClientError> {
        if let Some(violation) = self.machine.failure() {
            return Err(violation.into());
        }
        let mut notices = Vec::new();
        for _ in 0..RECEIVES_PER_PUMP {
            if self.ended {
                break;
            }
            let mut buffer = [0; 32 * wire::MESSAGE_LEN];
            let received = match transfer::receive(&self.stream, &mut buffer) {
                Ok(received) => received,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                // What an abrupt end looks like when something of ours was still unread there.
                Err(Errno::CONNRESET) => transfer::Received {
                    len: 0,
                    descriptors: Vec::new(),
                    truncated: false,
                },
                Err(error) => return Err(error.into()),
            };
            if received.truncated {
                return Err(self.machine.descriptors_lost().into());
            }
            if received.len == 0 {
                self.ended = true;
                self.machine.finish()?;
                notices.push(Notice::ServerGone);
                break;
            }
            let mut events = Vec::new();
            let result = self.machine.feed(
                buffer.get(..received.len).unwrap_or(&[]),
                received.descriptors,
                &mut events,
            );
            notices.extend(events.into_iter().map(|event| self.keep(event)));
            result?;
        }
        Ok(notices)
    }

    /// Pumps until `done`, waiting for the server in between. Notices are dropped.
    ///
    /// # Errors
    /// As [`Client::pump`], and [`ClientError::TimedOut`].
    pub fn wait_until(&mut self, timeout: Duration, mut done: impl FnMut(&Self) -> bool) -> Result<(), ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.pump()?;
            if done(self) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.ended || left.is_zero() {
                return Err(ClientError::TimedOut);
            }
            wait(&self.stream, left)?;
        }
    }

    /// Interrupts a peer (or this client itself) on a vector.
    ///
    /// # Errors
    /// [`RingError`] when it cannot be reached. A doorbell that is pending already is no error.
    pub fn ring(&self, peer: PeerId, vector: u16) -> Result<(), RingError> {
        let vectors = self.vectors_of(peer);
        if vectors.is_empty() && self.own_id() != Some(peer) {
            return Err(RingError::NoPeer(peer));
        }
        let count = vectors.len();
        let fd = vectors
            .get(usize::from(vector))
            .ok_or(RingError::NoVector { peer, vector, count })?;
        doorbell::ring(fd).map_err(|error| RingError::Host {
            peer,
            vector,
            source: error.into(),
        })
    }

    /// Vectors on which this client has been interrupted since the last call, ascending.
    pub fn take_interrupts(&self) -> Vec<u16> {
        (0..)
            .zip(&self.own)
            .filter(|(_, fd)| doorbell::take(fd))
            .map(|(vector, _)| vector)
            .collect()
    }

    /// Waits until this client is interrupted on `vector`, and clears it.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`], also when there is no such vector.
    pub fn wait_interrupt(&self, vector: u16, timeout: Duration) -> Result<(), ClientError> {
        let fd = self.own.get(usize::from(vector)).ok_or(ClientError::TimedOut)?;
        wait(fd, timeout)?;
        doorbell::take(fd).then_some(()).ok_or(ClientError::TimedOut)
    }

    fn keep(&mut self, event: Event<OwnedFd>) -> Notice {
        match event {
            Event::OwnId(id) => Notice::OwnId(id),
            Event::SharedMemory(fd) => {
                self.memory = Some(fd);
                Notice::SharedMemory
            }
            Event::PeerVector { peer, vector, fd } => {
                doorbell::prepare(&fd);
                self.peers.entry(peer).or_default().push(fd);
                Notice::PeerVector { peer, vector }
            }
            Event::OwnVector { vector, fd } => {
                doorbell::prepare(&fd);
                self.own.push(fd);
                Notice::OwnVector(vector)
            }
            Event::Surplus(peer) => Notice::Surplus(peer),
            Event::PeerGone(peer) => {
                self.peers.remove(&peer);
                Notice::PeerGone(peer)
            }
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn wait(fd: &impl AsFd, timeout: Duration) -> Result<(), Errno> {
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut [PollFd::new(fd, PollFlags::IN)], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}
