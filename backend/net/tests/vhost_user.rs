//! `vhost-user` with a small back end in a thread of the test, honest or not.

mod common;

use common::cable::{CABLE, Cable};
use common::peer::{ALL, Manner, Peer, VERSION_1};
use common::{World, frame};
use southbridge_backend_net::{Message, Offloads, Packet};
use southbridge_core::{PropValue, Properties};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A chardev `c-ID` that waits for a peer, and the back end over it.
fn listen(w: &mut World, place: &Place, id: &str, options: &str) {
    let path = place.at(id);
    let pairs = [
        ("path", path.to_str().expect("a name")),
        ("server", "on"),
        ("wait", "off"),
    ];
    let (host, chardevs) = (&mut w.sys.host, &mut w.netdevs.chardevs);
    chardevs
        .open(host, "socket", &format!("c-{id}"), pairs)
        .expect("a chardev");
    w.netdev(id, &format!("vhost-user,chardev=c-{id}{options}"));
}

fn come(place: &Place, id: &str, manner: Manner) -> Peer {
    Peer::new(UnixStream::connect(place.at(id)).expect("the machine listens"), manner)
}

/// One NIC, and a peer that has joined it.
fn joined(manner: Manner) -> (World, Place, Peer) {
    let (mut w, place) = (World::new(), Place::new());
    listen(&mut w, &place, "n", "");
    w.nic("n", true);
    assert_eq!(w.describe("n"), "vhost-user0 to c-n, which nobody has joined");
    assert!(w.send(0, &frame(0, 60)), "lost, as there is nobody");
    let peer = come(&place, "n", manner);
    (w, place, peer)
}

fn until_up(w: &mut World) {
    w.until("the peer", |w| w.describe("n") == "vhost-user0 to c-n");
}

fn comes_to(w: &mut World, peer: &Peer, nic: usize, expected: &[Vec<u8>]) {
    expected.iter().for_each(|f| peer.give(0, [0; 10], f));
    let mut got = Vec::new();
    w.until("frames of the peer", |w| {
        got.extend(w.take(nic));
        got.len() >= expected.len()
    });
    assert_eq!(got, expected);
}

fn goes_from(w: &mut World, peer: &Peer, nic: usize, expected: &[Vec<u8>]) {
    expected.iter().for_each(|f| assert!(w.send(nic, f)));
    let mut got = Vec::new();
    w.until("frames at the peer", |_| {
        got.extend(peer.take().into_iter().map(|(_, _, f)| f));
        got.len() >= expected.len()
    });
    assert_eq!(got, expected);
}

#[test]
fn frames_of_all_lengths_go_both_ways() {
    for (features, protocol) in [(ALL, Manner::default().protocol), (ALL, 0), (VERSION_1 | 1 << 15, 0)] {
        let (mut w, _place, peer) = joined(Manner {
            features,
            protocol,
            ..Manner::default()
        });
        until_up(&mut w);
        let all: Vec<_> = [60, 1514, 4084, 4085, 9000, 65549]
            .iter()
            .map(|n| frame(*n as u32, *n))
            .collect();
        goes_from(&mut w, &peer, 0, &all);
        comes_to(&mut w, &peer, 0, &all);
        // Around the rings a few times.
        for round in 0..40 {
            let some: Vec<_> = (0..30).map(|n| frame(round * 30 + n, 60 + 100 * n as usize)).collect();
            goes_from(&mut w, &peer, 0, &some);
            comes_to(&mut w, &peer, 0, &some);
        }
        assert_eq!(peer.agreed().0, features);
    }
}

#[test]
fn what_is_left_to_do_is_left_where_both_agree() {
    let (vnet, tcp) = common::long_segment();
    for (features, frames) in [(ALL, 1), (VERSION_1, 3)] {
        let (mut w, _place, peer) = joined(Manner {
            features,
            ..Manner::default()
        });
        until_up(&mut w);
        assert!(w.on(0, |n, cx| n.front.send(Packet { vnet, frame: &tcp }, cx)));
        let mut got = Vec::new();
        w.until("frames", |_| {
            got.extend(peer.take());
            got.len() >= frames
        });
        assert_eq!(got.len(), frames);
        if features == ALL {
            assert_eq!(got, [(0, vnet.to_bytes(), tcp.clone())]);
            w.on(0, |n, cx| n.front.set_offloads(Offloads::CSUM | Offloads::TSO4, cx));
            peer.give(0, vnet.to_bytes(), &tcp);
            w.until("a long frame", |w| {
                w.on(0, |n, _| std::mem::take(&mut n.received)) == [(vnet, tcp.clone())]
            });
        }
    }
}

#[test]
fn each_queue_has_its_rings() {
    let (mut w, place) = (World::new(), Place::new());
    for id in ["one", "other"] {
        listen(&mut w, &place, id, ",queues=3");
    }
    let mut props = Properties::default();
    for id in ["one", "other"] {
        props.set(id, PropValue::Backend(id.into(), w.netdevs.get(id).expect("it")));
    }
    let device = w.sys.add_device(&CABLE, None, props, &[]).expect("a cable");
    w.sys
        .with_device(device, |d, cx| Cable::of(d).start(cx))
        .expect("it is there");
    let peers = ["one", "other"].map(|id| come(&place, id, Manner::default()));
    for id in ["one", "other"] {
        w.until("the peer", |w| w.describe(id) == format!("vhost-user0 to c-{id}"));
    }
    let mut enable = |queues: usize| {
        w.sys
            .with_device(device, |d, cx| Cable::of(d).use_queues(queues, cx))
            .expect("it is there");
        w.until("rings of those", |_| peers.iter().all(|p| p.agreed().1 == 2 * queues));
    };
    [3, 1, 3].into_iter().for_each(&mut enable);
    for (queue, n) in [(2, 1), (0, 2), (1, 3)] {
        peers[0].give(queue, [0; 10], &frame(n, 1000));
        let mut got = Vec::new();
        w.until("the frame at the other peer", |_| {
            got.extend(peers[1].take());
            !got.is_empty()
        });
        assert_eq!(got, [(queue, [0; 10], frame(n, 1000))]);
    }
}

#[test]
fn a_peer_that_takes_nothing_holds_the_nic_up() {
    let (mut w, _place, peer) = joined(Manner {
        lazy: true,
        ..Manner::default()
    });
    until_up(&mut w);
    let mut sent = 0;
    while w.send(0, &frame(sent, 1000)) {
        sent += 1;
        assert!(sent < 10_000, "rings and queues have an end");
    }
    assert!(sent >= 256 && w.events(0).is_empty());
    peer.set_lazy(false);
    let mut got = Vec::new();
    w.until("all of them", |_| {
        got.extend(peer.take().into_iter().map(|(_, _, f)| f));
        got.len() >= sent as usize
    });
    assert!(got.iter().enumerate().all(|(n, f)| *f == frame(n as u32, 1000)));
    w.until("word of room", |w| w.events(0) == ["writable"]);
}

#[test]
fn a_nic_without_room_holds_the_peer_up() {
    let (mut w, place) = (World::new(), Place::new());
    listen(&mut w, &place, "n", "");
    w.nic("n", false);
    let peer = come(&place, "n", Manner::default());
    until_up(&mut w);
    (0..600).for_each(|n| peer.give(0, [0; 10], &frame(n, 500)));
    let mut got = Vec::new();
    while got.len() < 600 {
        w.set_room(0, 7);
        let target = (got.len() + 7).min(600);
        w.until("seven frames", |w| {
            let new = w.take(0);
            assert!(new.len() <= 7);
            got.extend(new);
            got.len() == target
        });
    }
    assert!(
        got.iter().enumerate().all(|(n, f)| *f == frame(n as u32, 500)),
        "none is lost"
    );
}

#[test]
fn peers_come_and_go() {
    let (mut w, place) = (World::new(), Place::new());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    w.netdevs
        .messages()
        .on_message(move |m| ears.lock().expect("ears").push(m.clone()));
    let path = place.at("s");
    let pairs = [("path", path.to_str().expect("a name")), ("reconnect-ms", "20")];
    let (host, chardevs) = (&mut w.sys.host, &mut w.netdevs.chardevs);
    chardevs.open(host, "socket", "c-n", pairs).expect("a chardev");
    w.netdev("n", "vhost-user,chardev=c-n");
    w.nic("n", true);
    for round in 0..3 {
        let server = UnixListener::bind(&path).expect("a socket");
        server.set_nonblocking(true).expect("it does not wait");
        let mut peer = None;
        w.until("the machine", |_| {
            peer = server.accept().ok();
            peer.is_some()
        });
        let peer = Peer::new(peer.expect("a connection").0, Manner::default());
        until_up(&mut w);
        goes_from(&mut w, &peer, 0, &[frame(round, 100)]);
        comes_to(&mut w, &peer, 0, &[frame(round, 200)]);
        drop((peer, server));
        std::fs::remove_file(&path).expect("the socket's file");
        w.until("the end", |w| w.describe("n").ends_with("which nobody has joined"));
        assert!(w.send(0, &frame(9, 100)), "lost, as there is nobody");
    }
    let netdev = || "n".to_owned();
    let one = [
        Message::Lent {
            netdev: netdev(),
            chardev: "c-n".into(),
        },
        Message::Returned { netdev: netdev() },
    ];
    assert_eq!(*heard.lock().expect("ears"), [one.clone(), one.clone(), one].concat());
}

#[test]
fn a_peer_that_breaks_the_rules_is_left() {
    let wrong = |head, len, by| Manner {
        wrong: Some((head, len, by)),
        ..Manner::default()
    };
    let answer = |request: u8, flags: u8| vec![request, 0, 0, 0, flags, 0, 0, 0, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let says = |nonsense| Manner {
        nonsense,
        ..Manner::default()
    };
    let odd = |f: fn(&mut Manner)| {
        let mut m = Manner::default();
        f(&mut m);
        m
    };
    let cases = [
        (wrong(7, 60, 300), "it has used buffers that it was not given"),
        (wrong(256, 60, 0), "it has used a buffer that is none"),
        (wrong(70_000, 60, 0), "it has used a buffer that is none"),
        (wrong(7, 11, 0), "it has given a frame without its header"),
        (says(vec![0xff; 12]), "it sends messages of version 3, and not 1"),
        (says(answer(1, 1)), "it sends something that is no answer"),
        (says(answer(11, 5)), "it answers what it was not asked"),
        (
            odd(|m| m.features = 1 << 15),
            "it knows only virtio from before version 1",
        ),
        (odd(|m| m.queues = 1), "it has 1 queues, and queues=2 are wanted"),
        (odd(|m| m.protocol = 0), "it has one queue, and queues=2 are wanted"),
        (odd(|m| m.memory = 1), "it could not take the memory of the rings"),
    ];
    for (manner, why) in cases {
        let (mut w, place) = (World::new(), Place::new());
        let heard = Arc::new(Mutex::new(String::new()));
        let ears = heard.clone();
        w.netdevs.messages().on_message(move |m| {
            if let Message::Warning(text) = m {
                ears.lock().expect("ears").push_str(text);
            }
        });
        listen(
            &mut w,
            &place,
            "n",
            if why.contains("queues=2") { ",queues=2" } else { "" },
        );
        w.nic("n", true);
        let peer = come(&place, "n", manner);
        peer.give(0, [0; 10], &frame(1, 60));
        w.until(why, |w| {
            w.describe("n") == "vhost-user0 to c-n, whose other side is of no use"
        });
        let text = format!("netdev 'n': the other side of 'c-n' is of no use: {why}");
        assert_eq!(*heard.lock().expect("ears"), text);
        // What it says of the memory may come behind a good frame.
        assert!(why.contains("memory") || w.take(0).is_empty());
        assert!(w.send(0, &frame(1, 60)), "lost");
        // The next one may be better.
        drop(peer);
        w.until("the end", |w| w.describe("n").ends_with("which nobody has joined"));
        let peer = come(&place, "n", Manner::default());
        until_up(&mut w);
        goes_from(&mut w, &peer, 0, &[frame(3, 60)]);
    }
}

#[test]
fn the_chardev_must_be_a_unix_socket_of_its_own() {
    let (mut w, place) = (World::new(), Place::new());
    listen(&mut w, &place, "n", "");
    let (host, chardevs) = (&mut w.sys.host, &mut w.netdevs.chardevs);
    chardevs.open(host, "null", "zero", []).expect("a chardev");
    let tcp = [("host", "127.0.0.1"), ("port", "0"), ("server", "on"), ("wait", "off")];
    chardevs.open(host, "socket", "tcp", tcp).expect("a chardev");
    for (options, what) in [
        ("vhost-user", "'vhost-user' needs 'chardev=ID'"),
        (
            "vhost-user,chardev=none",
            "the id of a -chardev socket (there is none of this id)",
        ),
        ("vhost-user,chardev=zero", "only a unix socket hands memory over"),
        ("vhost-user,chardev=tcp", "only a unix socket hands memory over"),
        ("vhost-user,chardev=c-n", "a chardev that is free: this one"),
        ("vhost-user,chardev=c-n,queues=0", "a number from 1 to 64"),
    ] {
        let e = w.try_netdev("m", options).expect_err(options).to_string();
        assert!(e.contains(what), "{options}: {e}");
    }
}
