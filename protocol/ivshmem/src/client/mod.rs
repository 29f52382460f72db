//! The client's half: turns what a server sends into [`Event`]s, and refuses what a server must not send.
//!
//! The machine owns no descriptor longer than one message: each goes out in an event or is dropped (that is, closed). It
//! is generic over what a descriptor is, so that tests and the fuzzer need none of the host's.
//!
//! # Which message a descriptor belongs to
//! A stream socket hands over descriptors with the first byte of what they were sent with, and a single receive never
//! reads past that. So the rule is: *the descriptor of a chunk belongs to the message that holds the chunk's last byte*,
//! where a chunk is the result of one `recvmsg`. Who merges several receives must cut at message ends instead, for which
//! [`Client::wanted`] says how many bytes are left.

mod violation;

use std::collections::BTreeMap;

use crate::wire::{self, MESSAGE_LEN, PeerId};
pub use violation::{Expected, Fault, Violation};

/// What a server told its client.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<F> {
    /// The id of this client; always the first event.
    OwnId(PeerId),
    /// The shared memory; always the second event. Its size is the size of the file.
    SharedMemory(F),
    /// A way to interrupt another peer. Vectors of one peer arrive in order, from 0.
    PeerVector {
        /// Who will be interrupted.
        peer: PeerId,
        /// On which vector.
        vector: u16,
        /// Write an 8-byte 1 here.
        fd: F,
    },
    /// A way in which peers interrupt this client. Vectors arrive in order, from 0.
    OwnVector {
        /// Which vector becomes pending.
        vector: u16,
        /// Readable when it does.
        fd: F,
    },
    /// A vector beyond [`Limits::vectors`]: its descriptor is closed already, as the specification asks.
    Surplus(PeerId),
    /// A peer is gone, with all its vectors. It may never have shown any.
    PeerGone(PeerId),
}

/// How much a client is ready to keep. What the server controls is bounded by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Vectors kept per peer, and for itself; more are closed and reported as [`Event::Surplus`].
    pub vectors: u16,
    /// Peers known at one time; one more is a [`Violation`].
    pub peers: usize,
    /// Vectors known at one time over all peers, each of which costs the process a descriptor; one more is a
    /// [`Violation`].
    pub descriptors: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            vectors: wire::MAX_VECTORS,
            peers: 4096,
            descriptors: 16384,
        }
    }
}

/// How far the greeting has come. A device exists from [`Phase::Peers`] on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the protocol version.
    Version,
    /// Waiting for the own id.
    OwnId,
    /// Waiting for the shared memory.
    SharedMemory,
    /// Greeted: peers and vectors come and go.
    Peers,
}

/// The client's state. One per connection; there is no way to resume on another one.
#[derive(Debug)]
pub struct Client<F> {
    limits: Limits,

    // The message being collected.
    partial: [u8; MESSAGE_LEN],
    filled: usize,
    descriptor: Option<F>,

    // What is known.
    phase: Phase,
    own: PeerId,
    vectors: BTreeMap<PeerId, u16>,
    total_vectors: usize,
    messages: u64,
    failed: Option<Violation>,
}

impl<F> Default for Client<F> {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl<F> Client<F> {
    /// A client that has heard nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            partial: [0; MESSAGE_LEN],
            filled: 0,
            descriptor: None,
            phase: Phase::Version,
            own: 0,
            vectors: BTreeMap::new(),
            total_vectors: 0,
            messages: 0,
            failed: None,
        }
    }

    /// How far the greeting has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// This client's id, once known.
    pub fn own_id(&self) -> Option<PeerId> {
        matches!(self.phase, Phase::SharedMemory | Phase::Peers).then_some(self.own)
    }

    /// Vectors known of a peer (or of this client, by its own id), at most [`Limits::vectors`].
    pub fn vectors_of(&self, peer: PeerId) -> u16 {
        self.vectors.get(&peer).copied().unwrap_or(0)
    }

    /// Whoever has shown a vector and is not gone, with the count; includes this client. In order of id.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, u16)> + '_ {
        self.vectors.iter().map(|(id, count)| (*id, *count))
    }

    /// Why the conversation has ended, if the server broke the protocol.
    pub fn failure(&self) -> Option<Violation> {
        self.failed
    }

    /// Bytes missing to the end of the current message, 1 to 8.
    pub fn wanted(&self) -> usize {
        MESSAGE_LEN.saturating_sub(self.filled).max(1)
    }

    /// Takes one chunk (see the module's head for what that is) and appends what it means to `events`.
    ///
    /// # Errors
    /// The first [`Violation`] ends the conversation: this and every later call return it, and drop what they are given.
    /// Events from before the violation have been appended.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        descriptors: impl IntoIterator<Item = F>,
        events: &mut impl Extend<Event<F>>,
    ) -> Result<(), Violation> {
        if let Some(violation) = self.failed {
            return Err(violation);
        }
        let result = self.take(bytes, descriptors, events);
        if let Err(violation) = result {
            self.failed = Some(violation);
            self.descriptor = None;
        }
        result
    }

    /// Tells the machine that the host could not take over a descriptor (`MSG_CTRUNC`), without which a connection would
    /// be mistaken for a disconnection. The conversation cannot go on, for the reason returned.
    pub fn descriptors_lost(&mut self) -> Violation {
        let violation = self.failed.unwrap_or(self.violation(Fault::DescriptorLost));
        self.failed = Some(violation);
        self.descriptor = None;
        violation
    }

    /// Tells the machine that the server has closed the connection.
    ///
    /// # Errors
    /// When that was too early: within the greeting or within a message. A greeted client may go on with what it has.
    pub fn finish(&mut self) -> Result<(), Violation> {
        if let Some(violation) = self.failed {
            return Err(violation);
        }
        if self.phase == Phase::Peers && self.filled == 0 {
            return Ok(());
        }
        let violation = self.violation(Fault::Closed { bytes: self.filled });
        self.failed = Some(violation);
        self.descriptor = None;
        Err(violation)
    }

    fn take(
        &mut self,
        bytes: &[u8],
        descriptors: impl IntoIterator<Item = F>,
        events: &mut impl Extend<Event<F>>,
    ) -> Result<(), Violation> {
        let last = self.last_message_start(bytes.len());
        let (earlier, newest) = bytes.split_at_checked(last).unwrap_or((bytes, &[]));
        self.collect(earlier, events)?;
        for descriptor in descriptors {
            if self.descriptor.replace(descriptor).is_some() {
                return Err(self.violation(Fault::SecondDescriptor));
            }
        }
        self.collect(newest, events)
    }

    /// Where, in a chunk of `len` bytes, the message begins that holds the last byte.
    fn last_message_start(&self, len: usize) -> usize {
        match len.checked_sub(self.wanted() + 1) {
            None => 0,
            Some(beyond) => self.wanted() + beyond / MESSAGE_LEN * MESSAGE_LEN,
        }
    }

    fn collect(&mut self, mut bytes: &[u8], events: &mut impl Extend<Event<F>>) -> Result<(), Violation> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.wanted().min(bytes.len()));
            for (slot, byte) in self.partial.iter_mut().skip(self.filled).zip(now) {
                *slot = *byte;
            }
            self.filled += now.len();
            bytes = later;
            if self.filled == MESSAGE_LEN {
                let descriptor = self.descriptor.take();
                let event = self.message(wire::decode(self.partial), descriptor)?;
                self.filled = 0;
                self.messages = self.messages.wrapping_add(1);
                events.extend(event);
            }
        }
        Ok(())
    }

    fn message(&mut self, value: i64, descriptor: Option<F>) -> Result<Option<Event<F>>, Violation> {
        match self.phase {
            Phase::Version => self.version(value, descriptor).map(|()| None),
            Phase::OwnId => self.own_id_message(value, descriptor).map(Some),
            Phase::SharedMemory => self.shared_memory(value, descriptor).map(Some),
            Phase::Peers => match descriptor {
                Some(fd) => self.connected(value, fd).map(Some),
                None => self.disconnected(value).map(Some),
            },
        }
    }

    fn version(&mut self, value: i64, descriptor: Option<F>) -> Result<(), Violation> {
        if value != wire::PROTOCOL_VERSION {
            return Err(self.violation(Fault::Value(value)));
        }
        self.none(descriptor)?;
        self.phase = Phase::OwnId;
        Ok(())
    }

    fn own_id_message(&mut self, value: i64, descriptor: Option<F>) -> Result<Event<F>, Violation> {
        let id = self.peer_id(value)?;
        self.none(descriptor)?;
        self.own = id;
        self.phase = Phase::SharedMemory;
        Ok(Event::OwnId(id))
    }

    fn shared_memory(&mut self, value: i64, descriptor: Option<F>) -> Result<Event<F>, Violation> {
        if value != wire::SHARED_MEMORY {
            return Err(self.violation(Fault::Value(value)));
        }
        let fd = descriptor.ok_or_else(|| self.violation(Fault::NoDescriptor))?;
        self.phase = Phase::Peers;
        Ok(Event::SharedMemory(fd))
    }

    fn connected(&mut self, value: i64, fd: F) -> Result<Event<F>, Violation> {
        let peer = self.peer_id(value)?;
        let known = self.vectors.get(&peer).copied();
        let vector = known.unwrap_or(0);
        if vector >= self.limits.vectors {
            return Ok(Event::Surplus(peer));
        }
        if known.is_none() && self.vectors.len() >= self.limits.peers {
            return Err(self.violation(Fault::TooManyPeers(self.limits.peers)));
        }
        if self.total_vectors >= self.limits.descriptors {
            return Err(self.violation(Fault::TooManyDescriptors(self.limits.descriptors)));
        }
        self.vectors.insert(peer, vector.saturating_add(1));
        self.total_vectors += 1;
        Ok(match peer == self.own {
            true => Event::OwnVector { vector, fd },
            false => Event::PeerVector { peer, vector, fd },
        })
    }

    fn disconnected(&mut self, value: i64) -> Result<Event<F>, Violation> {
        let peer = self.peer_id(value)?;
        if peer == self.own {
            return Err(self.violation(Fault::OwnIdGone));
        }
        let count = self.vectors.remove(&peer).unwrap_or(0);
        self.total_vectors = self.total_vectors.saturating_sub(usize::from(count));
        Ok(Event::PeerGone(peer))
    }

    fn peer_id(&self, value: i64) -> Result<PeerId, Violation> {
        PeerId::try_from(value).map_err(|_| self.violation(Fault::Value(value)))
    }

    fn none(&self, descriptor: Option<F>) -> Result<(), Violation> {
        descriptor.map_or(Ok(()), |_| Err(self.violation(Fault::UnwantedDescriptor)))
    }

    fn violation(&self, fault: Fault) -> Violation {
        let expected = match self.phase {
            Phase::Version => Expected::Version,
            Phase::OwnId => Expected::OwnId,
            Phase::SharedMemory => Expected::SharedMemory,
            Phase::Peers => Expected::Peer,
        };
        Violation {
            message: self.messages,
            expected,
            fault,
        }
    }
}

#[cfg(test)]
mod tests;
