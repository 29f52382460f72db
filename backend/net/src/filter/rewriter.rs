//! `filter-rewriter`: two guests that run the same, one in the other's shadow, count their TCP bytes from different beginnings.
//!
//! A peer talks to the first guest alone. Its frames reach the shadow too, and acknowledge numbers that the shadow never sent. For each
//! connection the filter learns the distance between the two guests' first numbers, from the shadow's own SYN and from the first number
//! that the peer acknowledges; from then on it adds the distance to what the peer acknowledges, and takes it off the numbers that the
//! shadow sends. Where both guests began at the same number nothing is changed.
//!
//! What it is not: an engine of lock-stepping. There is none that would tell it of checkpoints or of the first guest's end, so a distance
//! holds as long as its connection. Blocks of selective acknowledgement are left as they are; a guest ignores those that it never sent.

use southbridge_protocol_packet::{Layers, Network, Transport};
use std::collections::HashMap;

use super::{Direction, Filter, FilterCx, Verdict};
use crate::packet::Packet;

/// Connections that are remembered; QEMU's number.
const MOST: usize = 16_384;

// Places in the TCP header and its flags (RFC 9293, section 3.1).
const SEQUENCE: usize = 4;
const ACKNOWLEDGED: usize = 8;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Addresses and ports, the guest's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    addresses: [[u8; 16]; 2],
    ports: [[u8; 2]; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Connection {
    /// The guest's first number.
    first: u32,
    /// Whether the guest answered somebody's SYN.
    answers: bool,
    /// How much further the guest's numbers are than those that the peer knows, once that is known.
    ahead: Option<u32>,
    /// Somebody has ended it.
    ending: bool,
}

/// The connections of a guest.
#[derive(Debug, Default)]
pub(crate) struct Rewriter(HashMap<Key, Connection>);

/// What there is to change in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    /// Position of the TCP header.
    at: usize,
    /// Position of the number in it.
    field: usize,
    value: u32,
}

/// A TCP segment's place and what it says.
struct Segment {
    at: usize,
    key: Key,
    flags: u8,
    sequence: u32,
    acknowledged: u32,
}

impl Segment {
    fn of(frame: &[u8], direction: Direction) -> Option<Self> {
        let layers = Layers::of(frame)?;
        let (network, transport) = (layers.network?, layers.transport?);
        let Transport::Tcp { at, .. } = transport else {
            return None;
        };
        // The sum of a fragment is over more than is here.
        if network.is_fragment() {
            return None;
        }
        let word = |i: usize| frame.get(at + i..at + i + 4)?.try_into().ok().map(u32::from_be_bytes);
        let ports = frame.get(at..at + 4)?;
        let mut key = Key {
            addresses: addresses(frame, network)?,
            ports: [[ports[0], ports[1]], [ports[2], ports[3]]],
        };
        if direction == Direction::ToNic {
            key.addresses.reverse();
            key.ports.reverse();
        }
        Some(Self {
            at,
            key,
            flags: *frame.get(at + FLAGS)?,
            sequence: word(SEQUENCE)?,
            acknowledged: word(ACKNOWLEDGED)?,
        })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Source and destination.
fn addresses(frame: &[u8], network: Network) -> Option<[[u8; 16]; 2]> {
    let (at, len) = match network {
        Network::V4 { at, .. } => (at + 12, 4),
        Network::V6 { at, .. } => (at + 8, 16),
    };
    let one = |at: usize| {
        let mut address = [0; 16];
        address[..len].copy_from_slice(frame.get(at..at + len)?);
        Some(address)
    };
    Some([one(at)?, one(at + len)?])
}

impl Rewriter {
    fn see(&mut self, direction: Direction, frame: &[u8]) -> Option<Change> {
        let segment = Segment::of(frame, direction)?;
        let (field, value) = match direction {
            Direction::FromNic => (SEQUENCE, self.guest_sends(&segment)?),
            Direction::ToNic => (ACKNOWLEDGED, self.peer_sends(&segment)?),
        };
        Some(Change {
            at: segment.at,
            field,
            value,
        })
    }

    fn guest_sends(&mut self, s: &Segment) -> Option<u32> {
        if s.has(SYN) {
            self.open(s);
            return None;
        }
        let connection = self.0.get_mut(&s.key)?;
        connection.ending |= s.has(FIN | RST);
        connection.ahead.map(|ahead| s.sequence.wrapping_sub(ahead))
    }

    /// A connection begins. A SYN that is sent again begins nothing.
    fn open(&mut self, s: &Segment) {
        let new = Connection {
            first: s.sequence,
            answers: s.has(ACK),
            ahead: None,
            ending: false,
        };
        let known = self.0.get(&s.key);
        if known.is_some_and(|c| (c.first, c.answers, c.ending) == (new.first, new.answers, false)) {
            return;
        }
        if known.is_none() && self.0.len() >= MOST {
            self.0.retain(|_, c| !c.ending);
            if self.0.len() >= MOST {
                self.0.clear();
            }
        }
        self.0.insert(s.key, new);
    }

    fn peer_sends(&mut self, s: &Segment) -> Option<u32> {
        let connection = self.0.get_mut(&s.key)?;
        connection.ending |= s.has(FIN | RST);
        if !s.has(ACK) {
            return None;
        }
        // Who answered is acknowledged by a plain one; who asked, by a SYN that comes back. Others are about an older connection.
        if connection.ahead.is_none() && connection.answers != s.has(SYN) {
            let theirs = s.acknowledged.wrapping_sub(1);
            connection.ahead = Some(connection.first.wrapping_sub(theirs)).filter(|_| !s.has(RST));
        }
        connection.ahead.map(|ahead| s.acknowledged.wrapping_add(ahead))
    }
}

impl Change {
    /// Does it; `None` if there is nothing to do. The sum is kept as right, or as wrong, as it was (RFC 1624, equation 3).
    fn apply(self, frame: &[u8]) -> Option<Vec<u8>> {
        let (place, sum_at) = (self.at + self.field, self.at + CHECKSUM);
        let before: [u8; 4] = frame.get(place..place + 4)?.try_into().ok()?;
        let after = self.value.to_be_bytes();
        if before == after {
            return None;
        }
        let sum = u16::from_be_bytes(frame.get(sum_at..sum_at + 2)?.try_into().ok()?);
        let halves = |w: [u8; 4]| [u16::from_be_bytes([w[0], w[1]]), u16::from_be_bytes([w[2], w[3]])];
        let taken = halves(before).map(|h| u32::from(!h));
        let put = halves(after).map(u32::from);
        let mut new: u32 = u32::from(!sum) + taken.iter().chain(&put).sum::<u32>();
        while new > 0xffff {
            new = (new & 0xffff) + (new >> 16);
        }
        let mut frame = frame.to_vec();
        frame[place..place + 4].copy_from_slice(&after);
        frame[sum_at..sum_at + 2].copy_from_slice(&(!(new as u16)).to_be_bytes());
        Some(frame)
    }
}

impl Filter for Rewriter {
    fn pass(&mut self, direction: Direction, queue: usize, packet: Packet<'_>, cx: &mut FilterCx<'_, '_>) -> Verdict {
        let change = self.see(direction, packet.frame);
        match change.and_then(|c| c.apply(packet.frame)) {
            Some(frame) => {
                cx.release(direction, queue, frame);
                Verdict::Taken
            }
            None => Verdict::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use southbridge_protocol_packet::checksum::{refill, verify};
    use southbridge_protocol_packet::frame::TCP;

    const GUEST: u8 = 1;
    const PEER: u8 = 2;

    /// A segment between the two, by its flags and numbers.
    fn frame(v6: bool, from: u8, flags: u8, sequence: u32, acknowledged: u32) -> Vec<u8> {
        let mut f = vec![0; 12];
        let other = GUEST + PEER - from;
        let length = 20 + 5;
        if v6 {
            f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, length, TCP, 64]);
            f.extend([[0; 15], [0; 15]].iter().zip([from, other]).flat_map(|(zero, last)| {
                let mut a = zero.to_vec();
                a.push(last);
                a
            }));
        } else {
            f.extend([8, 0, 0x45, 0, 0, 20 + length, 0, 0, 0, 0, 64, TCP, 0, 0]);
            f.extend([10, 0, 0, from, 10, 0, 0, other]);
        }
        f.extend([from, 0, other, 0]);
        f.extend(sequence.to_be_bytes());
        f.extend(acknowledged.to_be_bytes());
        f.extend([0x50, flags, 1, 0, 0, 0, 0, 0]);
        f.extend(b"hello");
        refill(&mut f).unwrap();
        f
    }

    struct Link {
        rewriter: Rewriter,
        v6: bool,
    }

    impl Link {
        fn new(v6: bool) -> Self {
            let rewriter = Rewriter::default();
            Self { rewriter, v6 }
        }

        /// The numbers of a segment on its other side.
        fn send(&mut self, from: u8, flags: u8, sequence: u32, acknowledged: u32) -> (u32, u32) {
            let direction = if from == GUEST {
                Direction::FromNic
            } else {
                Direction::ToNic
            };
            let before = frame(self.v6, from, flags, sequence, acknowledged);
            let change = self.rewriter.see(direction, &before);
            let after = change.and_then(|c| c.apply(&before)).unwrap_or(before);
            assert!(verify(&after));
            let s = Segment::of(&after, direction).unwrap();
            (s.sequence, s.acknowledged)
        }
    }

    #[test]
    fn a_shadow_that_answers_speaks_with_the_numbers_of_the_first() {
        for v6 in [false, true] {
            let mut l = Link::new(v6);
            assert_eq!(l.send(PEER, SYN, 500, 0), (500, 0));
            // The shadow's number, which the peer does not see, goes as it is.
            assert_eq!(l.send(GUEST, SYN | ACK, 0xffff_ff00, 501), (0xffff_ff00, 501));
            // The first guest began at 1000.
            assert_eq!(l.send(PEER, ACK, 501, 1001), (501, 0xffff_ff01));
            assert_eq!(l.send(GUEST, ACK, 0xffff_ff01, 506), (1001, 506));
            assert_eq!(l.send(PEER, ACK, 506, 1001 + 0x1000), (506, 0x0f01));
            assert_eq!(l.send(GUEST, ACK | FIN, 0x0f01, 506), (1001 + 0x1000, 506));
            assert_eq!(l.send(PEER, ACK | FIN, 506, 1002 + 0x1000), (506, 0x0f02));
            assert_eq!(l.send(GUEST, RST, 0x0f02, 0), (1002 + 0x1000, 0));
        }
    }

    #[test]
    fn a_shadow_that_asks_does_too() {
        let mut l = Link::new(false);
        l.send(GUEST, SYN, 9000, 0);
        // An answer to an older one with the same ports.
        assert_eq!(l.send(PEER, ACK, 1, 77), (1, 77));
        assert_eq!(l.send(PEER, SYN | ACK, 300, 7001), (300, 9001));
        assert_eq!(l.send(GUEST, ACK, 9001, 301), (7001, 301));
        // Sent again: nothing is learned anew.
        l.send(GUEST, SYN, 9000, 0);
        assert_eq!(l.send(PEER, ACK, 301, 7001), (301, 9001));
    }

    #[test]
    fn guests_that_began_alike_are_left_alone() {
        let mut l = Link::new(false);
        l.send(GUEST, SYN | ACK, 40, 1);
        let frames = [
            (Direction::ToNic, frame(false, PEER, ACK, 1, 41)),
            (Direction::FromNic, frame(false, GUEST, ACK, 41, 1)),
        ];
        for (direction, f) in frames {
            let change = l.rewriter.see(direction, &f).unwrap();
            assert_eq!(change.apply(&f), None);
        }
    }

    #[test]
    fn a_connection_that_began_unseen_is_left_alone() {
        let mut l = Link::new(true);
        assert_eq!(l.send(PEER, ACK, 1, 2), (1, 2));
        assert_eq!(l.send(GUEST, ACK, 2, 1), (2, 1));
        assert!(l.rewriter.0.is_empty());
    }

    #[test]
    fn ports_that_are_used_again_begin_anew() {
        let mut l = Link::new(false);
        for first in [100, 5000] {
            l.send(GUEST, SYN | ACK, first, 1);
            assert_eq!(l.send(PEER, ACK, 1, 71), (1, first + 1));
            l.send(PEER, RST, 1, 0);
        }
        assert_eq!(l.rewriter.0.len(), 1);
    }

    #[test]
    fn a_sum_that_was_wrong_stays_wrong() {
        let mut l = Link::new(false);
        l.send(GUEST, SYN | ACK, 100, 1);
        l.send(PEER, ACK, 1, 71);
        let mut bad = frame(false, GUEST, ACK, 101, 1);
        *bad.last_mut().unwrap() ^= 1;
        let change = l.rewriter.see(Direction::FromNic, &bad).unwrap();
        assert!(!verify(&change.apply(&bad).unwrap()));
    }

    #[test]
    fn memory_for_connections_has_an_end_and_those_that_ended_go_first() {
        let mut l = Link::new(false);
        let mut open = |n: usize, flags: u8| {
            let mut f = frame(false, GUEST, flags, 1, 1);
            f[34..36].copy_from_slice(&(n as u16).to_be_bytes());
            l.rewriter.see(Direction::FromNic, &f);
            l.rewriter.0.len()
        };
        (0..MOST).for_each(|n| {
            open(n, SYN);
        });
        (0..100).for_each(|n| {
            open(n, RST);
        });
        assert_eq!(open(MOST, SYN), MOST - 99);
        (0..99).for_each(|n| {
            open(MOST + 1 + n, SYN);
        });
        assert_eq!(open(0xffff, SYN), 1);
    }

    #[test]
    fn frames_of_any_shape_are_survived() {
        let whole = frame(true, GUEST, SYN | ACK, 1, 1);
        let mut r = Rewriter::default();
        for cut in 0..whole.len() {
            let _ = r.see(Direction::FromNic, &whole[..cut]);
            let _ = r
                .see(Direction::ToNic, &whole[..cut])
                .and_then(|c| c.apply(&whole[..cut]));
        }
    }
}
