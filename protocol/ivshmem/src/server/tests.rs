//! Who is told what, in which order, and what a client that does not read can cost.

use proptest::prelude::*;

use super::*;
use crate::fuzzing::fuzz_server;

fn vector(peer: PeerId, vector: u16) -> (i64, Option<Descriptor>) {
    (i64::from(peer), Some(Descriptor::Vector { peer, vector }))
}

fn drain(server: &mut Server, id: PeerId) -> Vec<(i64, Option<Descriptor>)> {
    let mut all = Vec::new();
    while let Some(message) = server.front(id) {
        all.push((wire::decode(message.bytes().try_into().unwrap()), message.descriptor));
        server.advance(id, MESSAGE_LEN);
    }
    all
}

fn server(vectors: u16) -> Server {
    Server::new(Config {
        vectors,
        ..Config::default()
    })
}

#[test]
fn greeting_and_introductions() {
    let mut server = server(2);
    assert_eq!(server.join(), Ok(0));
    let memory = (-1, Some(Descriptor::SharedMemory));
    assert_eq!(
        drain(&mut server, 0),
        [(0, None), (0, None), memory, vector(0, 0), vector(0, 1)]
    );
    assert_eq!(server.join(), Ok(1));
    assert_eq!(drain(&mut server, 0), [vector(1, 0), vector(1, 1)]);
    assert_eq!(
        drain(&mut server, 1),
        [
            (0, None),
            (1, None),
            memory,
            vector(0, 0),
            vector(0, 1),
            vector(1, 0),
            vector(1, 1)
        ]
    );
    server.leave(0);
    assert_eq!(drain(&mut server, 1), [(0, None)]);
    assert_eq!((server.front(0), server.waiting(0)), (None, 0));
}

#[test]
fn ids_go_up_wrap_and_skip_those_in_use() {
    let mut server = server(0);
    assert_eq!((server.join(), server.join()), (Ok(0), Ok(1)));
    server.leave(0);
    assert_eq!(server.join(), Ok(2), "a free id is not reused before the numbers wrap");
    server.leave(2);
    for id in 3..=PeerId::MAX {
        assert_eq!(server.join(), Ok(id));
        server.leave(id);
    }
    assert_eq!((server.join(), server.join()), (Ok(0), Ok(2)));
}

#[test]
fn full_is_an_error_that_changes_nothing() {
    let mut server = Server::new(Config {
        vectors: 1,
        peers: 2,
        backlog: 8,
    });
    server.join().unwrap();
    server.join().unwrap();
    let waiting = server.waiting(0);
    assert_eq!(server.join(), Err(Full(2)));
    assert_eq!((server.waiting(0), server.peers().count()), (waiting, 2));
    server.leave(1);
    assert_eq!(server.join(), Ok(2));
}

#[test]
fn nobody_hears_of_a_peer_that_came_and_went_unread() {
    let mut server = server(2);
    server.join().unwrap();
    drain(&mut server, 0);
    server.join().unwrap();
    server.leave(1);
    assert_eq!(drain(&mut server, 0), []);
}

#[test]
fn a_half_heard_peer_is_taken_back() {
    let mut server = server(3);
    server.join().unwrap();
    drain(&mut server, 0);
    server.join().unwrap();
    server.advance(0, 5);
    server.leave(1);
    let rest = server.front(0).unwrap();
    assert_eq!((rest.bytes(), rest.descriptor), ([0u8, 0, 0].as_slice(), None));
    server.advance(0, 3);
    assert_eq!(drain(&mut server, 0), [(1, None)]);
}

#[test]
fn who_does_not_read_is_named() {
    let mut server = Server::new(Config {
        vectors: 1,
        peers: 100,
        backlog: 10,
    });
    server.join().unwrap();
    for id in 1..=10 {
        server.join().unwrap();
        drain(&mut server, id);
        assert_eq!(server.overrun(), None);
    }
    server.join().unwrap();
    assert_eq!(server.overrun(), Some(0));
    server.leave(0);
    assert_eq!(server.overrun(), None);
}

#[test]
fn a_large_greeting_is_no_overrun() {
    let mut server = Server::new(Config {
        vectors: 64,
        peers: 100,
        backlog: 64,
    });
    for id in 0..100 {
        server.join().unwrap();
        for reader in 0..id {
            drain(&mut server, reader);
        }
        assert_eq!(server.overrun(), None);
    }
}

proptest! {
    #[test]
    fn clients_are_told_the_truth(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_server(&data);
    }
}
