//! Entry points for a fuzzer: any bytes in, no panic, no growth without bound, and the promises of both machines checked.
//!
//! They stand here, not in the fuzz crate, because the short runs of the ordinary tests use them too.

use std::collections::BTreeMap;

use crate::client::{Client, Event, Limits, Phase};
use crate::server::{Config, Descriptor, Server};
use crate::wire::PeerId;

/// Feeds arbitrary bytes to a [`Client`]: each chunk is announced by one byte (low 5 bits its length, upper 3 the count
/// of descriptors beside it).
///
/// # Panics
/// When a promise of the machine does not hold; that is the finding.
pub fn fuzz_client(data: &[u8]) {
    let limits = Limits {
        vectors: 3,
        peers: 5,
        descriptors: 9,
    };
    let mut client = Client::new(limits);
    let mut failed = None;
    let mut rest = data;
    while let Some((head, tail)) = rest.split_first() {
        let (chunk, later) = tail.split_at(usize::from(head & 0x1f).min(tail.len()));
        rest = later;
        let mut events = Vec::new();
        let result = client.feed(chunk, (0..head >> 5).map(|_| ()), &mut events);
        assert!(events.len() <= chunk.len() / 8 + 1);
        assert!(failed.is_none() || (events.is_empty() && result.err() == failed));
        failed = result.err();
        assert!((1..=8).contains(&client.wanted()));
        assert!(client.peers().count() <= limits.peers);
        assert!(client.peers().map(|(_, count)| usize::from(count)).sum::<usize>() <= limits.descriptors);
        assert!(client.peers().all(|(_, count)| count <= limits.vectors));
    }
    let _ = client.finish();
}

/// What a client of [`fuzz_server`] has been told; must agree with the server once everything is delivered.
struct Shadow {
    client: Client<Descriptor>,
    seen: BTreeMap<PeerId, u16>,
}

/// Lets peers come, go and read at an arbitrary pace, one operation a byte, and holds a [`Client`] against every outbox.
///
/// # Panics
/// When a client would be told a lie, hears something out of protocol, or an outbox outgrows its bound.
pub fn fuzz_server(data: &[u8]) {
    let vectors = u16::from(data.first().map_or(1, |byte| byte % 4));
    let config = Config {
        vectors,
        peers: 6,
        backlog: 20,
    };
    let mut server = Server::new(config);
    let mut shadows: BTreeMap<PeerId, Shadow> = BTreeMap::new();
    for operation in data.iter().skip(1) {
        let nth = usize::from(operation >> 5);
        let chosen = shadows.keys().nth(nth % shadows.len().max(1)).copied();
        match (operation & 3, chosen) {
            (0, _) => join(&mut server, &mut shadows),
            (1, Some(id)) => leave(&mut server, &mut shadows, id),
            (_, Some(id)) => deliver(&mut server, &mut shadows, id, usize::from(operation >> 2 & 7) + 1),
            (_, None) => {}
        }
        while let Some(id) = server.overrun() {
            leave(&mut server, &mut shadows, id);
        }
        for id in shadows.keys() {
            assert!(server.waiting(*id) <= 3 + 6 * 3 + config.backlog);
        }
    }
    let ids: Vec<PeerId> = shadows.keys().copied().collect();
    for id in &ids {
        while server.front(*id).is_some() {
            deliver(&mut server, &mut shadows, *id, 8);
        }
    }
    let all: BTreeMap<PeerId, u16> = ids.iter().filter(|_| vectors > 0).map(|id| (*id, vectors)).collect();
    assert!(
        shadows
            .values()
            .all(|shadow| shadow.seen == all && shadow.client.phase() == Phase::Peers)
    );
}

fn join(server: &mut Server, shadows: &mut BTreeMap<PeerId, Shadow>) {
    if let Ok(id) = server.join() {
        let before = shadows.insert(
            id,
            Shadow {
                client: Client::default(),
                seen: BTreeMap::new(),
            },
        );
        assert!(before.is_none(), "id given twice");
    }
}

fn leave(server: &mut Server, shadows: &mut BTreeMap<PeerId, Shadow>, id: PeerId) {
    server.leave(id);
    shadows.remove(&id);
}

fn deliver(server: &mut Server, shadows: &mut BTreeMap<PeerId, Shadow>, id: PeerId, most: usize) {
    let (Some(message), Some(shadow)) = (server.front(id), shadows.get_mut(&id)) else {
        return;
    };
    let (now, _) = message.bytes().split_at(most.min(message.bytes().len()));
    if let Some(Descriptor::Vector { peer, .. }) = message.descriptor {
        assert!(
            server.peers().any(|live| live == peer),
            "descriptor of a peer that is gone"
        );
    }
    let mut events = Vec::new();
    let result = shadow.client.feed(now, message.descriptor, &mut events);
    assert!(result.is_ok(), "{result:?}");
    server.advance(id, now.len());
    for event in events {
        match event {
            Event::OwnId(own) => assert_eq!(own, id),
            Event::SharedMemory(fd) => assert_eq!(fd, Descriptor::SharedMemory),
            Event::PeerVector { peer, vector, fd } => note(shadow, id, peer, vector, fd),
            Event::OwnVector { vector, fd } => note(shadow, id, id, vector, fd),
            Event::Surplus(_) => unreachable!("the default limits are larger"),
            Event::PeerGone(peer) => assert!(shadow.seen.remove(&peer).is_some(), "gone before it came"),
        }
    }
}

fn note(shadow: &mut Shadow, id: PeerId, peer: PeerId, vector: u16, fd: Descriptor) {
    assert_eq!(fd, Descriptor::Vector { peer, vector });
    let count = shadow.seen.entry(peer).or_insert(0);
    assert_eq!(*count, vector, "client {id}: vectors of {peer} out of order");
    *count += 1;
}
