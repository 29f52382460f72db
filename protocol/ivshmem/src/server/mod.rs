//! The server's half: peers come and go, and each is owed messages.
//!
//! The machine keeps one outbox per peer and names descriptors instead of holding them ([`Descriptor`]): the engine that
//! owns sockets and eventfds looks a name up when it sends. A peer that leaves takes every unsent mention of itself out of
//! the others' outboxes, so a name in an outbox always has its owner, and a client that never reads cannot keep the
//! descriptors of the departed alive.
//!
//! Ids are given as QEMU's server gives them: the next number after the last one given, wrapping at 16 bits, skipping
//! those in use.

mod outbox;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::wire::{self, MESSAGE_LEN, PeerId};
use outbox::{Message, Outbox};

/// A descriptor by name; the engine knows which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// The memory that all peers share.
    SharedMemory,
    /// The eventfd of one peer's vector.
    Vector {
        /// Whose.
        peer: PeerId,
        /// Which, from 0.
        vector: u16,
    },
}

/// The next thing to send to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    bytes: [u8; MESSAGE_LEN],
    sent: usize,
    /// To be attached to the first of [`Outgoing::bytes`].
    pub descriptor: Option<Descriptor>,
}

impl Outgoing {
    /// What is left of the message, 1 to 8 bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or(&[])
    }
}

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Vectors that each peer gets.
    pub vectors: u16,
    /// Peers at one time, at most 65536.
    pub peers: usize,
    /// Messages that may wait for a peer besides those of its greeting.
    pub backlog: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vectors: 1,
            peers: 1 << 16,
            backlog: 4096,
        }
    }
}

/// No id is left, or [`Config::peers`] are connected already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no room for another peer: {0} are connected")]
pub struct Full(pub usize);

/// The server's state.
#[derive(Debug)]
pub struct Server {
    config: Config,
    next: PeerId,
    peers: BTreeMap<PeerId, Outbox>,
}

impl Server {
    /// A server without peers; the first one gets id 0.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            next: 0,
            peers: BTreeMap::new(),
        }
    }

    /// Ids of the connected peers, ascending.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.keys().copied()
    }

    /// Vectors that each peer has.
    pub fn vectors(&self) -> u16 {
        self.config.vectors
    }

    /// A client has connected: gives it an id, greets it and announces it to the others.
    ///
    /// # Errors
    /// [`Full`]; nothing has changed then.
    pub fn join(&mut self) -> Result<PeerId, Full> {
        let id = self.free_id()?;
        let mut outbox = Outbox::default();
        outbox.push(Message::plain(wire::PROTOCOL_VERSION));
        outbox.push(Message::plain(i64::from(id)));
        outbox.push(Message {
            value: wire::SHARED_MEMORY,
            descriptor: Some(Descriptor::SharedMemory),
        });
        for (other, theirs) in &mut self.peers {
            for vector in 0..self.config.vectors {
                outbox.push(Message::vector(*other, vector));
                theirs.push(Message::vector(id, vector));
            }
        }
        for vector in 0..self.config.vectors {
            outbox.push(Message::vector(id, vector));
        }
        outbox.set_limit(self.config.backlog);
        self.peers.insert(id, outbox);
        self.next = id.wrapping_add(1);
        Ok(id)
    }

    /// A client is gone: forgets it and tells those who had heard of it. Unknown ids are ignored.
    pub fn leave(&mut self, id: PeerId) {
        if self.peers.remove(&id).is_none() {
            return;
        }
        for theirs in self.peers.values_mut() {
            if theirs.retract(id) < usize::from(self.config.vectors) {
                theirs.push(Message::plain(i64::from(id)));
            }
        }
    }

    /// What to send next to this peer, if anything.
    pub fn front(&self, id: PeerId) -> Option<Outgoing> {
        self.peers.get(&id)?.front()
    }

    /// So many bytes of [`Server::front`] have been sent (its descriptor with the first of them).
    pub fn advance(&mut self, id: PeerId, bytes: usize) {
        if let Some(outbox) = self.peers.get_mut(&id) {
            outbox.advance(bytes);
        }
    }

    /// Messages that wait for this peer.
    pub fn waiting(&self, id: PeerId) -> usize {
        self.peers.get(&id).map_or(0, Outbox::len)
    }

    /// A peer that has let more pile up than it may. The engine drops its connection and calls [`Server::leave`].
    pub fn overrun(&self) -> Option<PeerId> {
        self.peers
            .iter()
            .find(|(_, outbox)| outbox.is_overrun())
            .map(|(id, _)| *id)
    }

    fn free_id(&self) -> Result<PeerId, Full> {
        let full = Full(self.peers.len());
        if self.peers.len() >= self.config.peers {
            return Err(full);
        }
        let mut candidate = self.next;
        for _ in 0..=PeerId::MAX {
            if !self.peers.contains_key(&candidate) {
                return Ok(candidate);
            }
            candidate = candidate.wrapping_add(1);
        }
        Err(full)
    }
}

#[cfg(test)]
mod tests;
