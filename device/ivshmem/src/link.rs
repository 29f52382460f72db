//! The way to an ivshmem server, and through it to the peers: what every device with doorbells embeds.
//!
//! It turns what comes from the chardev into a few values ([`Heard`]), keeps the peers' eventfds and its own, and rings. What a server
//! says can at worst make the device useless: it never blocks the machine, and each failure is said once, here. It knows nothing of
//! registers, regions or interrupts.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use southbridge_backend_chardev::{CharEvent, CharFront};
use southbridge_core::{Build, Completion, CreateError, Ctx, PropKind, Properties, Property, WatchId};
use southbridge_protocol_ivshmem::client::Limits;
use southbridge_protocol_ivshmem::{Client, Event, PeerId, Phase, regs::Doorbell};

use crate::peers::Peers;

/// Our numbering of connections: the server, and the eventfds on which peers ring us.
const SERVER: u32 = 0;
pub(crate) const VECTORS: u32 = 1;

/// The property that names the server.
pub(crate) const CHARDEV: Property = Property {
    name: "chardev",
    kind: PropKind::Backend("chardev"),
    default: None,
    help: "socket that leads to an ivshmem server",
};

/// News from the server.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The id of this device.
    OwnId(PeerId),
    /// The shared memory. Its size is the size of the file.
    Memory(OwnedFd),
    /// A peer introduced one of its vectors.
    PeerJoined {
        /// Who.
        peer: PeerId,
        /// Which.
        vector: u16,
    },
    /// A peer is gone.
    PeerLeft(PeerId),
    /// The connection ended.
    ServerGone,
}

/// What became of a doorbell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rung {
    /// A peer was rung.
    Peer,
    /// It was for this device itself, which must do what it does when a peer rings.
    Myself,
    /// There is no such peer.
    NoPeer,
    /// The peer has no such vector.
    NoVector,
    /// The host refused.
    Failed(Errno),
}

impl Rung {
    /// Whether somebody was reached.
    pub(crate) const fn is_heard(self) -> bool {
        matches!(self, Self::Peer | Self::Myself)
    }

    /// Logs why nobody was.
    pub(crate) fn log(self, doorbell: Doorbell, cx: &mut Ctx<'_>) {
        let (peer, vector) = (doorbell.peer(), doorbell.vector());
        match self {
            Self::Peer | Self::Myself => {}
            Self::NoPeer => cx.guest_error(format_args!("doorbell for peer {peer}, which is not there")),
            Self::NoVector => cx.guest_error(format_args!(
                "doorbell for vector {vector}, which peer {peer} does not have"
            )),
            Self::Failed(e) => cx.guest_error(format_args!("doorbell for peer {peer}, vector {vector}: {e}")),
        }
    }
}

/// One connection to a server, from its first message to its end.
struct Connection {
    client: Client<OwnedFd>,
    peers: Peers,
    /// Where peers ring us, by vector; `None` where the host did not let us listen.
    own: Vec<Option<WatchId>>,
    /// Bytes that the back end may still send.
    asked: usize,
    /// The end has been told to the user.
    ended: bool,
}

impl Connection {
    fn new(limits: Limits) -> Self {
        Self {
            client: Client::new(limits),
            peers: Peers::default(),
            own: Vec::new(),
            asked: 0,
            ended: false,
        }
    }
}

/// The way to a server.
pub(crate) struct Link {
    // Fixed.
    limits: Limits,
    front: CharFront,
    // The server's.
    connection: Connection,
    /// Counts connections, so that a late doorbell of an earlier one is known as such.
    generation: u32,
    /// The machine waits for the end of the greeting before its first instruction.
    holds_start: bool,
}

impl Link {
    /// Attaches to the chardev that the property [`CHARDEV`] names, and has the machine's start wait for the greeting. At most
    /// `vectors` of each peer, and of this device, are kept.
    pub(crate) fn attach(p: &Properties, vectors: u16, build: &mut Build<'_>) -> Result<Self, CreateError> {
        if p.backend(CHARDEV.name).is_none() {
            return Err(CreateError::Missing {
                property: CHARDEV.name,
                expected: "ID (of a socket that leads to an ivshmem server)".into(),
            });
        }
        let front = CharFront::attach(p, CHARDEV.name, SERVER, build)?;
        build.hold_start();
        let limits = Limits {
            vectors,
            ..Limits::default()
        };
        Ok(Self {
            limits,
            front,
            connection: Connection::new(limits),
            generation: 0,
            holds_start: true,
        })
    }

    /// This device's id, once the server has told it.
    pub(crate) fn own_id(&self) -> Option<PeerId> {
        self.connection.client.own_id()
    }

    /// Rings a peer, perhaps this device itself.
    pub(crate) fn ring(&self, doorbell: Doorbell) -> Rung {
        let c = &self.connection;
        match c.peers.ring(doorbell) {
            Rung::NoPeer if c.client.own_id() == Some(doorbell.peer()) => {
                match c.own.get(usize::from(doorbell.vector())) {
                    Some(Some(_)) => Rung::Myself,
                    _ => Rung::NoVector,
                }
            }
            rung => rung,
        }
    }

    /// The vector on which a peer rings, if that is what a completion is.
    pub(crate) fn vector(&self, done: &Completion) -> Option<u16> {
        let now = done.port == VECTORS && done.token >> 16 == u64::from(self.generation);
        now.then_some(done.token as u16)
    }

    /// What the server says, if that is what a completion is.
    pub(crate) fn hear(&mut self, done: Completion, cx: &mut Ctx<'_>) -> Vec<Heard> {
        let mut heard = Vec::new();
        if done.port != SERVER {
            return heard;
        }
        match CharEvent::from_completion(done) {
            Some(CharEvent::Data { bytes, fds }) => self.take(&bytes, fds, &mut heard, cx),
            Some(CharEvent::Opened) => self.open(cx),
            Some(CharEvent::Closed) => {
                heard.push(Heard::ServerGone);
                self.closed(cx);
            }
            Some(CharEvent::Writable | CharEvent::Break) | None => {}
        }
        heard
    }

    /// A new connection knows nothing of an earlier one. What the device has of its memory is the device's affair.
    fn open(&mut self, cx: &mut Ctx<'_>) {
        self.hang_up(cx);
        self.connection = Connection::new(self.limits);
        self.listen(cx);
    }

    /// One message at a time, so that descriptors stay with the message they came with. What was asked for may be on its way, so more
    /// is asked for only when it has come. The device calls this when reset is released.
    pub(crate) fn listen(&mut self, cx: &mut Ctx<'_>) {
        let c = &mut self.connection;
        if !c.ended && c.asked == 0 {
            c.asked = c.client.wanted();
            self.front.set_room(c.asked, cx);
        }
    }

    fn take(&mut self, bytes: &[u8], fds: Vec<OwnedFd>, heard: &mut Vec<Heard>, cx: &mut Ctx<'_>) {
        // Nothing came of what was asked for: it got lost on the way, and what follows speaks for itself.
        let lost = bytes.is_empty();
        self.connection.asked = if lost {
            0
        } else {
            self.connection.asked.saturating_sub(bytes.len())
        };
        let mut events = Vec::new();
        let result = self.connection.client.feed(bytes, fds, &mut events);
        for event in events {
            heard.extend(self.note(event, cx));
        }
        match result {
            Ok(()) => self.listen(cx),
            Err(violation) => self.fail(format_args!("{violation}"), cx),
        }
    }

    fn note(&mut self, event: Event<OwnedFd>, cx: &mut Ctx<'_>) -> Option<Heard> {
        match event {
            Event::OwnId(id) => Some(Heard::OwnId(id)),
            Event::SharedMemory(fd) => Some(Heard::Memory(fd)),
            Event::Surplus(_) => None,
            Event::PeerVector { peer, vector, fd } => {
                if let Err(e) = self.connection.peers.add(peer, fd) {
                    cx.warning(format_args!("vector {vector} of peer {peer} cannot be used: {e}"));
                }
                Some(Heard::PeerJoined { peer, vector })
            }
            Event::OwnVector { vector, fd } => {
                self.listen_on(vector, fd, cx);
                None
            }
            Event::PeerGone(peer) => {
                self.connection.peers.remove(peer);
                Some(Heard::PeerLeft(peer))
            }
        }
    }

    fn listen_on(&mut self, vector: u16, fd: OwnedFd, cx: &mut Ctx<'_>) {
        let token = u64::from(self.generation) << 16 | u64::from(vector);
        let watch = cx.watch_notifier(fd, VECTORS, token);
        if let Err(e) = &watch {
            cx.warning(format_args!("vector {vector} cannot be heard: {e}"));
        }
        // They come in order, from 0.
        self.connection.own.push(watch.ok());
        // Servers introduce all others before: the device is complete with its first own vector.
        self.release_start(cx);
    }

    /// The server went away. After a complete greeting that is allowed: peers that know each other go on ringing.
    fn closed(&mut self, cx: &mut Ctx<'_>) {
        match self.connection.client.finish() {
            _ if self.connection.ended => {}
            Err(violation) => self.fail(format_args!("{violation}"), cx),
            Ok(()) => {
                self.connection.ended = true;
                self.release_start(cx);
                cx.warning(format_args!(
                    "the ivshmem server is gone: memory and known peers stay, nobody new will be heard of"
                ));
            }
        }
    }

    fn fail(&mut self, why: std::fmt::Arguments<'_>, cx: &mut Ctx<'_>) {
        if !self.connection.ended {
            let rest = match self.connection.client.phase() {
                Phase::Peers => "no more doorbells; the memory stays",
                _ => "neither memory nor doorbells",
            };
            cx.warning(format_args!("{why} ({rest})"));
        }
        self.hang_up(cx);
        self.connection.ended = true;
        self.front.set_room(0, cx);
        self.release_start(cx);
    }

    /// Forgets all peers and stops listening for them.
    fn hang_up(&mut self, cx: &mut Ctx<'_>) {
        self.generation = self.generation.wrapping_add(1);
        self.connection.peers.clear();
        for id in self.connection.own.drain(..).flatten() {
            cx.drop_notifier(id);
        }
    }

    fn release_start(&mut self, cx: &mut Ctx<'_>) {
        if std::mem::take(&mut self.holds_start) {
            cx.release_start();
        }
    }
}
