//! vhost-user: how the front end of a virtio device lends its rings to another process, over a unix socket.
//!
//! What it is: numbers and layouts of messages, and a [`Reader`] of the stream. What it is not: a connection. Descriptors travel beside the
//! first byte of a message; who owns the socket takes care of them.
//!
//! Source: "Vhost-user Protocol", docs/interop/vhost-user of the QEMU project, sections "Message Specification" and "Communication". All
//! numbers are little endian here: the protocol has them in the order of the host, and big-endian hosts are none of ours.

use std::fmt;

/// Messages of the front end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Request {
    /// Which virtio features the back end has. Answered by a number.
    GetFeatures = 1,
    /// The features that the driver chose.
    SetFeatures = 2,
    /// The session begins.
    SetOwner = 3,
    /// The memory that descriptors and rings lie in, with a descriptor for each region.
    SetMemTable = 5,
    /// Size of a ring.
    SetVringNum = 8,
    /// Where a ring lies.
    SetVringAddr = 9,
    /// The first index that the back end looks at.
    SetVringBase = 10,
    /// Stops a ring. Answered by the index that would have been next.
    GetVringBase = 11,
    /// The descriptor that says "there is something" to the back end.
    SetVringKick = 12,
    /// The descriptor by which the back end says so.
    SetVringCall = 13,
    /// Features of the protocol. Answered by a number.
    GetProtocolFeatures = 15,
    /// Those that are used.
    SetProtocolFeatures = 16,
    /// The most queues. Answered by a number.
    GetQueueNum = 17,
    /// Whether a ring may be used.
    SetVringEnable = 18,
}

impl Request {
    const ALL: [Self; 14] = [
        Self::GetFeatures,
        Self::SetFeatures,
        Self::SetOwner,
        Self::SetMemTable,
        Self::SetVringNum,
        Self::SetVringAddr,
        Self::SetVringBase,
        Self::GetVringBase,
        Self::SetVringKick,
        Self::SetVringCall,
        Self::GetProtocolFeatures,
        Self::SetProtocolFeatures,
        Self::GetQueueNum,
        Self::SetVringEnable,
    ];

    /// The request of that number, if it is one of these.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|r| *r as u32 == number)
    }
}

/// Feature bit of virtio that says there are features of the protocol.
pub const F_PROTOCOL_FEATURES: u64 = 1 << 30;

/// Features of the protocol.
pub mod protocol_feature {
    /// Several queues; the back end tells how many.
    pub const MQ: u64 = 1 << 0;
    /// A message may ask to be answered.
    pub const REPLY_ACK: u64 = 1 << 3;
}

/// A part of memory that the back end may map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where descriptors say it is.
    pub guest: u64,
    /// Bytes.
    pub size: u64,
    /// Where [`Body::VringAddr`] says it is.
    pub user: u64,
    /// Where it begins behind its descriptor.
    pub offset: u64,
}

/// Most regions of one table without the protocol's feature of more.
pub const MAX_REGIONS: usize = 8;

/// What a message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// A number.
    Number(u64),
    /// Something about a ring: which, and what.
    Vring {
        /// The ring.
        index: u32,
        /// Size, index or switch.
        value: u32,
    },
    /// Where a ring lies, in addresses of [`Region::user`].
    VringAddr {
        /// The ring.
        index: u32,
        /// Table of descriptors.
        descriptors: u64,
        /// Used ring.
        used: u64,
        /// Available ring.
        available: u64,
    },
    /// Memory.
    Memory(Vec<Region>),
}

/// A descriptor number that stands for none, in [`Request::SetVringKick`] and [`Request::SetVringCall`].
pub const NO_DESCRIPTOR: u64 = 1 << 8;
/// The bits of the ring there.
pub const RING_MASK: u64 = 0xff;

/// A message, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Number of the request that it is, or that it answers.
    pub request: u32,
    /// It is an answer.
    pub reply: bool,
    /// It wants an answer ([`protocol_feature::REPLY_ACK`]): a number, 0 for success.
    pub need_reply: bool,
    /// The rest, as bytes.
    pub payload: Vec<u8>,
}

/// Bytes before the payload.
pub const HEADER: usize = 12;
/// The longest payload that is read: a table of memory is 264 bytes.
pub const MAX_PAYLOAD: usize = 4096;

const VERSION: u32 = 1;
const VERSION_MASK: u32 = 3;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

impl Message {
    /// A request of the front end.
    pub fn request(request: Request, body: &Body) -> Self {
        Self {
            request: request as u32,
            reply: false,
            need_reply: false,
            payload: body.to_bytes(),
        }
    }

    /// The answer to a request.
    pub fn answer(request: u32, body: &Body) -> Self {
        Self {
            request,
            reply: true,
            need_reply: false,
            payload: body.to_bytes(),
        }
    }

    /// As it goes over the socket.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut flags = VERSION;
        if self.reply {
            flags |= REPLY;
        }
        if self.need_reply {
            flags |= NEED_REPLY;
        }
        let mut out = Vec::with_capacity(HEADER + self.payload.len());
        for word in [self.request, flags, self.payload.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend_from_slice(&self.payload);
        out
    }

    /// The number that it carries.
    pub fn number(&self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.payload.first_chunk()?))
    }

    /// The ring and the value that it carries.
    pub fn vring(&self) -> Option<(u32, u32)> {
        Some((self.word(0)?, self.word(4)?))
    }

    /// Where a ring lies: its number, descriptors, used and available ring.
    pub fn vring_addr(&self) -> Option<(u32, u64, u64, u64)> {
        Some((self.word(0)?, self.long(8)?, self.long(16)?, self.long(24)?))
    }

    /// The regions of a table of memory.
    pub fn regions(&self) -> Option<Vec<Region>> {
        let count = usize::try_from(self.word(0)?).ok().filter(|n| *n <= MAX_REGIONS)?;
        (0..count)
            .map(|i| {
                let at = 8 + i * 32;
                Some(Region {
                    guest: self.long(at)?,
                    size: self.long(at + 8)?,
                    user: self.long(at + 16)?,
                    offset: self.long(at + 24)?,
                })
            })
            .collect()
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.payload.get(at..)?.first_chunk()?))
    }

    fn long(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*self.payload.get(at..)?.first_chunk()?))
    }
}

impl Body {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Empty => {}
            Self::Number(n) => out.extend(n.to_le_bytes()),
            Self::Vring { index, value } => [index, value].iter().for_each(|w| out.extend(w.to_le_bytes())),
            Self::VringAddr {
                index,
                descriptors,
                used,
                available,
            } => {
                out.extend(index.to_le_bytes());
                // Flags: the back end logs nothing; and no address for a log.
                out.extend([0; 4]);
                for long in [descriptors, used, available, &0] {
                    out.extend(long.to_le_bytes());
                }
            }
            Self::Memory(regions) => {
                out.extend((regions.len() as u32).to_le_bytes());
                out.extend([0; 4]);
                for r in regions {
                    for long in [r.guest, r.size, r.user, r.offset] {
                        out.extend(long.to_le_bytes());
                    }
                }
            }
        }
        out
    }
}

/// Why a stream is no stream of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Of another version.
    #[error("messages of version {0}, and not 1")]
    Version(u32),
    /// Longer than any message is.
    #[error("a message of {0} bytes")]
    Length(u32),
}

/// Takes a stream apart.
#[derive(Default)]
pub struct Reader(Vec<u8>);

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes)", self.0.len())
    }
}

impl Reader {
    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message. Call it until there is none, so that the reader holds no more than one.
    ///
    /// # Errors
    /// This is no stream of messages; nothing more will come of it.
    #[allow(clippy::should_implement_trait, reason = "a stream that goes on is no iterator")]
    pub fn next(&mut self) -> Result<Option<Message>, Malformed> {
        let word = |at: usize| {
            self.0
                .get(at..)
                .and_then(|b| b.first_chunk())
                .map(|b| u32::from_le_bytes(*b))
        };
        let (Some(request), Some(flags), Some(length)) = (word(0), word(4), word(8)) else {
            return Ok(None);
        };
        if flags & VERSION_MASK != VERSION {
            return Err(Malformed::Version(flags & VERSION_MASK));
        }
        let end = usize::try_from(length).ok().filter(|n| *n <= MAX_PAYLOAD);
        let end = HEADER + end.ok_or(Malformed::Length(length))?;
        let Some(payload) = self.0.get(HEADER..end) else {
            return Ok(None);
        };
        let message = Message {
            request,
            reply: flags & REPLY != 0,
            need_reply: flags & NEED_REPLY != 0,
            payload: payload.to_vec(),
        };
        self.0.drain(..end);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_lie_as_the_protocol_has_them() {
        let m = Message::request(Request::SetVringNum, &Body::Vring { index: 1, value: 256 });
        let bytes = [8, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(m.to_bytes(), bytes);
        let addr = Body::VringAddr {
            index: 3,
            descriptors: 0x10,
            used: 0x20,
            available: 0x30,
        };
        let m = Message::request(Request::SetVringAddr, &addr);
        assert_eq!(m.payload.len(), 40);
        assert_eq!(m.vring_addr(), Some((3, 0x10, 0x20, 0x30)));
        let region = Region {
            guest: 1,
            size: 2,
            user: 3,
            offset: 4,
        };
        let m = Message::request(Request::SetMemTable, &Body::Memory(vec![region; 2]));
        assert_eq!((m.payload.len(), m.regions()), (72, Some(vec![region; 2])));
        assert_eq!(Message::answer(1, &Body::Number(7)).to_bytes()[4], 5);
    }

    #[test]
    fn a_stream_in_any_pieces_gives_the_same_messages() {
        let all = [
            Message::request(Request::GetFeatures, &Body::Empty),
            Message::answer(1, &Body::Number(u64::MAX)),
        ];
        let bytes: Vec<u8> = all.iter().flat_map(Message::to_bytes).collect();
        for size in 1..bytes.len() {
            let (mut reader, mut got) = (Reader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.feed(piece);
                while let Some(m) = reader.next().expect("messages") {
                    got.push(m);
                }
            }
            assert_eq!(got, all);
        }
    }

    #[test]
    fn what_is_no_message_is_named() {
        let next = |bytes: &[u8]| {
            let mut r = Reader::default();
            r.feed(bytes);
            r.next()
        };
        assert_eq!(next(&[0; 12]), Err(Malformed::Version(0)));
        assert_eq!(
            next(&[1, 0, 0, 0, 1, 0, 0, 0, 1, 0x10, 0, 0]),
            Err(Malformed::Length(4097))
        );
        let m = Message::answer(1, &Body::Empty);
        assert_eq!(
            (m.number(), m.vring(), m.vring_addr(), m.regions()),
            (None, None, None, None)
        );
        let mut many = Message::request(Request::SetMemTable, &Body::Memory(Vec::new()));
        many.payload[0] = 9;
        assert_eq!(many.regions(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut r = Reader::default();
            r.feed(&bytes);
            while let Ok(Some(m)) = r.next() {
                let _ = (m.number(), m.vring(), m.vring_addr(), m.regions());
                prop_assert!(m.payload.len() <= bytes.len());
            }
        }
    }
}
