//! The conversation as the specification lists it, every way to break it, and every way to cut it.

use proptest::prelude::*;

use super::*;
use crate::fuzzing::fuzz_client;

type Message = (i64, Option<u32>);

fn run(limits: Limits, messages: &[Message]) -> (Vec<Event<u32>>, Result<(), Violation>, Client<u32>) {
    let mut client = Client::new(limits);
    let mut events = Vec::new();
    let mut result = Ok(());
    for (value, fd) in messages {
        result = client.feed(&wire::encode(*value), *fd, &mut events);
        if result.is_err() {
            break;
        }
    }
    (events, result, client)
}

fn violation(messages: &[Message]) -> Violation {
    run(Limits::default(), messages).1.unwrap_err()
}

const GREETING: [Message; 3] = [(0, None), (7, None), (-1, Some(100))];

#[test]
fn whole_conversation() {
    let messages = [
        GREETING.as_slice(),
        &[
            (3, Some(30)),
            (3, Some(31)),
            (7, Some(70)),
            (7, Some(71)),
            (9, Some(90)),
            (3, None),
            (3, Some(32)),
        ],
    ]
    .concat();
    let (events, result, client) = run(Limits::default(), &messages);
    assert_eq!(result, Ok(()));
    assert_eq!(
        events,
        [
            Event::OwnId(7),
            Event::SharedMemory(100),
            Event::PeerVector {
                peer: 3,
                vector: 0,
                fd: 30
            },
            Event::PeerVector {
                peer: 3,
                vector: 1,
                fd: 31
            },
            Event::OwnVector { vector: 0, fd: 70 },
            Event::OwnVector { vector: 1, fd: 71 },
            Event::PeerVector {
                peer: 9,
                vector: 0,
                fd: 90
            },
            Event::PeerGone(3),
            Event::PeerVector {
                peer: 3,
                vector: 0,
                fd: 32
            },
        ]
    );
    assert_eq!(client.peers().collect::<Vec<_>>(), [(3, 1), (7, 2), (9, 1)]);
    assert_eq!(
        (client.own_id(), client.vectors_of(7), client.vectors_of(8)),
        (Some(7), 2, 0)
    );
}

#[test]
fn extreme_ids() {
    let (events, result, _) = run(
        Limits::default(),
        &[(0, None), (65535, None), (-1, Some(1)), (0, Some(2))],
    );
    assert_eq!(result, Ok(()));
    assert_eq!(events[0], Event::OwnId(65535));
    assert_eq!(
        events[2],
        Event::PeerVector {
            peer: 0,
            vector: 0,
            fd: 2
        }
    );
}

#[test]
fn each_message_of_the_greeting_is_checked() {
    let at = |message, expected, fault| Violation {
        message,
        expected,
        fault,
    };
    let with = |n: usize, bad: Message| violation(&[&GREETING[..n], &[bad]].concat());
    assert_eq!(with(0, (1, None)), at(0, Expected::Version, Fault::Value(1)));
    assert_eq!(
        with(0, (0, Some(5))),
        at(0, Expected::Version, Fault::UnwantedDescriptor)
    );
    assert_eq!(with(1, (-1, None)), at(1, Expected::OwnId, Fault::Value(-1)));
    assert_eq!(with(1, (65536, None)), at(1, Expected::OwnId, Fault::Value(65536)));
    assert_eq!(with(1, (4, Some(5))), at(1, Expected::OwnId, Fault::UnwantedDescriptor));
    assert_eq!(with(2, (-1, None)), at(2, Expected::SharedMemory, Fault::NoDescriptor));
    assert_eq!(with(2, (4, Some(5))), at(2, Expected::SharedMemory, Fault::Value(4)));
    assert_eq!(with(3, (-1, Some(5))), at(3, Expected::Peer, Fault::Value(-1)));
    assert_eq!(with(3, (i64::MIN, None)), at(3, Expected::Peer, Fault::Value(i64::MIN)));
    assert_eq!(with(3, (65536, Some(5))), at(3, Expected::Peer, Fault::Value(65536)));
    assert_eq!(with(3, (7, None)), at(3, Expected::Peer, Fault::OwnIdGone));
}

#[test]
fn a_violation_reads_well_and_is_final() {
    let (_, result, mut client) = run(Limits::default(), &[(0, None), (3, None), (9, Some(1))]);
    let violation = result.unwrap_err();
    assert_eq!(
        violation.to_string(),
        "ivshmem server: message 2 is 9, expected -1 with the descriptor of the shared memory"
    );
    let mut events = Vec::new();
    assert_eq!(client.feed(&wire::encode(-1), Some(4), &mut events), Err(violation));
    assert_eq!(
        (client.finish(), client.descriptors_lost(), events.len()),
        (Err(violation), violation, 0)
    );
}

#[test]
fn a_peer_without_vectors_may_go() {
    let (events, result, _) = run(Limits::default(), &[GREETING.as_slice(), &[(4, None)]].concat());
    assert_eq!((result, events.last()), (Ok(()), Some(&Event::PeerGone(4))));
}

#[test]
fn surplus_vectors_cost_nothing() {
    let limits = Limits {
        vectors: 1,
        ..Limits::default()
    };
    let mut messages = GREETING.to_vec();
    messages.extend((0..100_000).map(|n| (if n & 1 == 0 { 3 } else { 7 }, Some(n))));
    let (events, result, client) = run(limits, &messages);
    assert_eq!(result, Ok(()));
    assert_eq!(
        events.iter().filter(|e| matches!(e, Event::Surplus(_))).count(),
        100_000 - 2
    );
    assert_eq!(client.peers().collect::<Vec<_>>(), [(3, 1), (7, 1)]);
    let none = Limits {
        vectors: 0,
        ..Limits::default()
    };
    let (_, result, client) = run(none, &messages);
    assert_eq!((result, client.peers().count()), (Ok(()), 0));
}

#[test]
fn peers_and_descriptors_are_bounded() {
    let flood = |distinct: i64| -> Vec<Message> {
        GREETING
            .into_iter()
            .chain((0..65536).map(move |n| (8 + n % distinct, Some(1))))
            .collect()
    };
    let limits = Limits {
        vectors: 64,
        peers: 10,
        descriptors: 100,
    };
    let fault = |distinct| run(limits, &flood(distinct)).1.unwrap_err().fault;
    assert_eq!(fault(11), Fault::TooManyPeers(10));
    assert_eq!(fault(5), Fault::TooManyDescriptors(100));
    assert_eq!(run(limits, &flood(1)).1, Ok(()));
}

#[test]
fn a_peer_that_went_makes_room() {
    let limits = Limits {
        vectors: 2,
        peers: 1,
        descriptors: 2,
    };
    let mut messages = GREETING.to_vec();
    for id in 100..200 {
        messages.extend([(id, Some(1)), (id, Some(2)), (id, None)]);
    }
    assert_eq!(run(limits, &messages).1, Ok(()));
}

#[test]
fn closing_is_fine_only_between_messages_after_the_greeting() {
    for messages in 0..=3 {
        let (_, _, mut client) = run(Limits::default(), &GREETING[..messages]);
        assert_eq!(client.finish().is_ok(), messages == 3, "after {messages}");
    }
    let (events, _, mut client) = run(Limits::default(), &GREETING);
    client.feed(&[3, 0, 0], None, &mut Vec::from_iter(events)).unwrap();
    assert_eq!(client.finish().unwrap_err().fault, Fault::Closed { bytes: 3 });
}

#[test]
fn two_descriptors_for_one_message() {
    let (_, _, mut client) = run(Limits::default(), &GREETING);
    let mut events = Vec::new();
    assert_eq!(
        client.feed(&[3], [1, 2], &mut events).unwrap_err().fault,
        Fault::SecondDescriptor
    );
    let (_, _, mut client) = run(Limits::default(), &GREETING);
    client.feed(&[3], [1], &mut events).unwrap();
    assert_eq!(
        client.feed(&[0], [2], &mut events).unwrap_err().fault,
        Fault::SecondDescriptor
    );
}

#[test]
fn events_before_a_violation_are_delivered() {
    let mut client: Client<u32> = Client::default();
    let mut events = Vec::new();
    let bytes = [wire::encode(0), wire::encode(5), wire::encode(5)].concat();
    assert_eq!(client.feed(&bytes, None, &mut events).unwrap_err().message, 2);
    assert_eq!(events, [Event::OwnId(5)]);
}

/// Cuts a conversation as a kernel may: descriptors come with the first byte received of their message, and no receive
/// reads past such a message.
fn chunks(messages: &[Message], cuts: &[usize]) -> Vec<(Vec<u8>, Vec<u32>)> {
    let mut cuts = cuts.iter().cycle();
    let mut chunks = Vec::new();
    let mut open = (Vec::new(), Vec::new());
    let mut room = *cuts.next().unwrap();
    for (value, fd) in messages {
        let mut fd = *fd;
        let carries = fd.is_some();
        for byte in wire::encode(*value) {
            if room == 0 {
                chunks.push(std::mem::take(&mut open));
                room = *cuts.next().unwrap();
            }
            open.0.push(byte);
            open.1.extend(fd.take());
            room -= 1;
        }
        if carries {
            chunks.push(std::mem::take(&mut open));
            room = *cuts.next().unwrap();
        }
    }
    chunks.push(open);
    chunks
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![8 => (0i64..12, any::<Option<u32>>()), 1 => (-3i64..70_000, any::<Option<u32>>())]
}

proptest! {
    #[test]
    fn cutting_changes_nothing(tail in prop::collection::vec(message(), 0..60), cuts in prop::collection::vec(1usize..40, 1..9)) {
        let messages = [GREETING.as_slice(), &tail].concat();
        let (whole, whole_result, _) = run(Limits { vectors: 3, ..Limits::default() }, &messages);
        let mut client = Client::new(Limits { vectors: 3, ..Limits::default() });
        let mut events = Vec::new();
        let mut result = Ok(());
        for (bytes, fds) in chunks(&messages, &cuts) {
            result = client.feed(&bytes, fds, &mut events);
            if result.is_err() {
                break;
            }
        }
        prop_assert_eq!(events, whole);
        prop_assert_eq!(result, whole_result);
    }

    #[test]
    fn garbage_is_survived(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        fuzz_client(&data);
    }

    #[test]
    fn nearly_right_conversations_are_survived(tail in prop::collection::vec((0u8..9, any::<bool>()), 0..200)) {
        let mut data = Vec::new();
        for (value, fd) in [(0i64, false), (7, false), (-1, true)].into_iter()
            .chain(tail.into_iter().map(|(value, fd)| (i64::from(value), fd))) {
            data.push(8 | u8::from(fd) << 5);
            data.extend(wire::encode(value));
        }
        fuzz_client(&data);
    }
}
