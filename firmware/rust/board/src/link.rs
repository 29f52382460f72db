//! How two boards find each other in the shared memory, whoever comes first, and again when one was restarted.
//!
//! Each role owns a slot, and only its owner writes it. A slot begins with a magic word, which is written last. A start
//! gets a new generation number (the old one in memory, plus one), so that a slot left over from an earlier run, or a peer
//! that came back, is told from the one we know.
//!
//! Two boards have met when each has *heard the doorbell* of the other's present generation and says so in its slot. So a
//! stale slot of a dead board is never taken for a living one, and once they have met both doorbells are known to work:
//! no timer is needed from there on. Until then each rings at every tick, because the first rings may come before the
//! server has told the other's device that we exist.

use crate::{
    Role,
    ivshmem::{self, MEMORY},
    mmio::{Block, barrier},
};

const SLOT_SIZE: usize = 0x1000;

// Words of a slot.
const MAGIC: usize = 0x00;
const POSITION: usize = 0x04;
const GENERATION: usize = 0x08;
const HEARD: usize = 0x0c;
const STATE: usize = 0x10;
const ROUNDS: usize = 0x14;
/// Messages written to the ring in this session.
const HEAD: usize = 0x20;
/// Start of the ring's records.
const RING: usize = 0x100;

/// "SBPG", little endian.
const LIVE: u32 = u32::from_le_bytes(*b"SBPG");

/// Bytes of a record in the ring.
pub const RECORD_SIZE: usize = 64;
/// Records of a ring.
pub const RING_LENGTH: u32 = 16;

/// What a board says of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Here, meeting or talking.
    Here,
    /// All is said and heard.
    Done,
    /// Gave up because of an error.
    Failed,
}

impl State {
    const fn word(self) -> u32 {
        match self {
            Self::Here => 1,
            Self::Done => 2,
            Self::Failed => 3,
        }
    }
}

/// One board's end.
pub struct Link {
    mine: Block,
    theirs: Block,
    generation: u32,
    /// The peer's generation whose doorbell we heard; 0 = none yet (generations begin with 1).
    heard: u32,
}

impl Link {
    /// Writes our hello into the slot of `role`; `None` while we have no number among the peers.
    pub fn open(role: Role, rounds: u32) -> Option<Self> {
        let position = ivshmem::position()?;
        let (leader, follower) = (MEMORY.part(0, SLOT_SIZE), MEMORY.part(SLOT_SIZE, SLOT_SIZE));
        let (mine, theirs) = match role {
            Role::Leader => (leader, follower),
            Role::Follower => (follower, leader),
        };
        let generation = mine.read(GENERATION).wrapping_add(1).max(1);
        mine.write(MAGIC, 0);
        barrier();
        mine.write(POSITION, position.into());
        mine.write(GENERATION, generation);
        mine.write(HEARD, 0);
        mine.write(STATE, State::Here.word());
        mine.write(ROUNDS, rounds);
        mine.write(HEAD, 0);
        barrier();
        mine.write(MAGIC, LIVE);
        let link = Self {
            mine,
            theirs,
            generation,
            heard: 0,
        };
        // Both write first and look second, so at least one of two that start together sees the other.
        link.ring();
        Some(link)
    }

    /// Our generation: 1 at the first start on this memory.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The peer's number and generation, while its slot is live.
    pub fn peer(&self) -> Option<(u16, u32)> {
        if self.theirs.read(MAGIC) != LIVE {
            return None;
        }
        barrier();
        Some((
            u16::try_from(self.theirs.read(POSITION)).ok()?,
            self.theirs.read(GENERATION),
        ))
    }

    /// Rings the peer's doorbell, if there is a peer.
    pub fn ring(&self) {
        barrier();
        if let Some((peer, _)) = self.peer() {
            ivshmem::ring(peer);
        }
    }

    /// One step of the meeting, at a doorbell (`bell`) or a tick. True once both have met.
    pub fn meet(&mut self, bell: bool) -> bool {
        let Some((_, generation)) = self.peer() else {
            return false;
        };
        if !self.says(State::Here) {
            return false; // an earlier run's slot
        }
        let news = bell && self.heard != generation;
        if news {
            // The session's ring begins empty, and is so before the peer may know that we heard it.
            self.mine.write(HEAD, 0);
            barrier();
            self.heard = generation;
            self.mine.write(HEARD, generation);
            barrier();
        }
        let met = self.heard == generation && self.theirs.read(HEARD) == self.generation;
        if news || !(met || bell) {
            self.ring();
        }
        met
    }

    /// Whether the peer we met is still that one, and not one started since.
    pub fn same_peer(&self) -> bool {
        self.peer().is_some_and(|(_, generation)| generation == self.heard)
    }

    /// Whether the peer says `state` of itself.
    pub fn says(&self, state: State) -> bool {
        barrier();
        self.theirs.read(STATE) == state.word()
    }

    /// Says `state` of us, and rings.
    pub fn say(&self, state: State) {
        barrier();
        self.mine.write(STATE, state.word());
        self.ring();
    }

    /// The rounds that the peer asks for.
    pub fn rounds(&self) -> u32 {
        self.theirs.read(ROUNDS)
    }

    /// A word that both boards compute alike and that no other session of theirs has (in 65536 starts).
    pub fn session(&self, role: Role) -> u32 {
        match role {
            Role::Leader => self.generation << 16 | self.heard & 0xffff,
            Role::Follower => self.heard << 16 | self.generation & 0xffff,
        }
    }

    /// The record that our `n`th message (from 0) goes to; [`Link::publish`] makes it visible.
    pub fn outgoing(&self, n: u32) -> Block {
        record(self.mine, n)
    }

    /// Says that `count` messages are written in all.
    pub fn publish(&self, count: u32) {
        barrier();
        self.mine.write(HEAD, count);
    }

    /// How many messages the peer has written in all.
    pub fn published(&self) -> u32 {
        let count = self.theirs.read(HEAD);
        barrier();
        count
    }

    /// The record with the peer's `n`th message.
    pub fn incoming(&self, n: u32) -> Block {
        record(self.theirs, n)
    }
}

fn record(slot: Block, n: u32) -> Block {
    slot.part(RING + (n % RING_LENGTH) as usize * RECORD_SIZE, RECORD_SIZE)
}
