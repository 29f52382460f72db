//! Each kind over real sockets: two machines of one process, or a machine and a test.

mod common;

use common::{World, frame};
use southbridge_backend_net::{Address, Message};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

/// A port that nobody has just now.
fn free_port() -> u16 {
    let l = TcpListener::bind("127.0.0.1:0").expect("a port");
    l.local_addr().expect("its address").port()
}

/// Frames cross between two worlds, both ways, short and long.
fn talk(a: &mut World, b: &mut World) {
    for (n, len) in [(1, 60), (2, 1514), (3, 9000)] {
        exchange(a, b, n, len);
        exchange(b, a, n + 10, len);
    }
}

fn exchange(from: &mut World, to: &mut World, n: u32, len: usize) {
    let f = frame(n, len);
    assert!(from.send(0, &f));
    let mut got = Vec::new();
    to.until("a frame", |w| {
        from.poll();
        got.extend(w.take(0));
        !got.is_empty()
    });
    assert_eq!(got, [f]);
}

/// Until the peers know each other.
fn meet(a: &mut World, b: &mut World) {
    a.until("the peers to meet", |a| {
        b.poll();
        !a.describe("n").is_empty() && b.describe("n").contains(":") && !b.describe("n").contains("connecting")
    });
    a.poll();
    b.poll();
}

#[test]
fn socket_listens_and_connects() {
    let port = free_port();
    let mut a = World::with(&format!("socket,listen=127.0.0.1:{port}"));
    let mut b = World::with(&format!("socket,connect=127.0.0.1:{port}"));
    meet(&mut a, &mut b);
    talk(&mut a, &mut b);
    assert!(
        a.describe("n").starts_with("socket: connection from 127.0.0.1:"),
        "{}",
        a.describe("n")
    );
    assert_eq!(b.describe("n"), format!("socket: connect to 127.0.0.1:{port}"));
    // One goes, another comes.
    drop(b);
    let mut c = World::with(&format!("socket,connect=127.0.0.1:{port}"));
    a.until("the second peer", |a| {
        c.poll();
        a.send(0, &frame(9, 60));
        !c.take(0).is_empty()
    });
    c.poll();
    c.take(0);
    exchange(&mut c, &mut a, 4, 60);
}

#[test]
fn stream_over_unix_sockets_tells_of_its_peers() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let path = path.to_str().expect("a name");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut a = World::new();
    let ears = heard.clone();
    a.netdevs
        .messages()
        .on_message(move |m| ears.lock().expect("ears").push(m.clone()));
    a.netdev("n", &format!("stream,server=on,addr.type=unix,addr.path={path}"));
    a.nic("n", true);
    assert_eq!(a.describe("n"), "listening");
    let mut b = World::with(&format!("stream,addr.type=unix,addr.path={path}"));
    meet(&mut a, &mut b);
    talk(&mut a, &mut b);
    assert_eq!(
        (a.describe("n"), b.describe("n")),
        (format!("unix:{path}"), format!("unix:{path}"))
    );
    drop(b);
    a.until("the end", |a| a.describe("n") == "listening");
    let expected = [
        Message::Connected {
            netdev: "n".into(),
            address: Address::Unix(path.into()),
        },
        Message::Disconnected { netdev: "n".into() },
    ];
    assert_eq!(*heard.lock().expect("ears"), expected);
    drop(a);
    assert!(!std::path::Path::new(path).exists(), "its file is gone with it");
}

#[test]
fn stream_connects_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let name = path.to_str().expect("a name");
    let mut w = World::with(&format!("stream,addr.type=unix,addr.path={name},reconnect-ms=20"));
    for round in 0..2 {
        let server = UnixListener::bind(&path).expect("a server");
        w.until("an attempt", |w| w.describe("n").starts_with("unix:"));
        let (mut peer, _) = server.accept().expect("the machine");
        peer.write_all(&60u32.to_be_bytes()).expect("length");
        peer.write_all(&frame(round, 60)).expect("frame");
        let mut got = Vec::new();
        w.until("the frame", |w| {
            got.extend(w.take(0));
            !got.is_empty()
        });
        assert_eq!(got, [frame(round, 60)]);
        drop((peer, server));
        std::fs::remove_file(&path).expect("the socket's file");
        w.until("the end", |w| w.describe("n") == "connecting");
    }
}

#[test]
fn the_framing_is_a_length_of_four_bytes_before_each_frame() {
    let port = free_port();
    let mut w = World::with(&format!(
        "stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port={port}"
    ));
    let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("the machine");
    w.until("the peer", |w| w.describe("n").starts_with("tcp:127.0.0.1:"));
    assert!(w.send(0, &frame(1, 60)));
    let mut bytes = [0; 64];
    peer.read_exact(&mut bytes).expect("length and frame");
    assert_eq!(bytes[..4], [0, 0, 0, 60]);
    assert_eq!(bytes[4..], frame(1, 60));
    // Nonsense ends the connection, and the machine waits for the next one.
    peer.write_all(&[0xff; 8]).expect("nonsense");
    w.until("the end", |w| w.describe("n") == "listening");
    let mut next = TcpStream::connect(("127.0.0.1", port)).expect("the machine");
    w.until("the peer", |w| w.describe("n").starts_with("tcp:127.0.0.1:"));
    for part in [&[0, 0][..], &[0, 60], &frame(2, 60)[..30], &frame(2, 60)[30..]] {
        next.write_all(part).expect("a part");
        w.poll();
    }
    let mut got = Vec::new();
    w.until("the frame", |w| {
        got.extend(w.take(0));
        !got.is_empty()
    });
    assert_eq!(got, [frame(2, 60)]);
}

#[test]
fn a_peer_that_does_not_read_holds_the_nic_up_and_not_the_machine() {
    let port = free_port();
    let mut w = World::with(&format!(
        "stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port={port}"
    ));
    let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("the machine");
    w.until("the peer", |w| w.describe("n").starts_with("tcp:"));
    let mut sent = 0u32;
    while w.send(0, &frame(sent, 1514)) {
        sent += 1;
        assert!(sent < 1_000_000, "buffers have an end");
    }
    // The peer reads all, while the machine goes on.
    let reader = std::thread::spawn(move || {
        let mut bytes = vec![0; 1518];
        for n in 0..sent {
            peer.read_exact(&mut bytes).expect("a frame");
            assert_eq!(bytes[4..], frame(n, 1514));
        }
        peer
    });
    w.until("room", |w| w.events(0).contains(&"writable".to_owned()));
    w.until("the reader", |_| reader.is_finished());
    reader.join().expect("all frames, in order");
}

#[test]
fn dgram_over_unix_udp_and_a_group() {
    let dir = tempfile::tempdir().expect("a directory");
    let [x, y] = ["x", "y"].map(|n| dir.path().join(n).to_str().expect("a name").to_owned());
    let one = |l: &str, r: &str| {
        World::with(&format!(
            "dgram,local.type=unix,local.path={l},remote.type=unix,remote.path={r}"
        ))
    };
    let (mut a, mut b) = (one(&x, &y), one(&y, &x));
    talk(&mut a, &mut b);
    let (p, q) = (free_port(), free_port());
    let one = |l: u16, r: u16| {
        World::with(&format!(
            "dgram,local.type=inet,local.host=127.0.0.1,local.port={l},remote.type=inet,remote.host=127.0.0.1,remote.port={r}"
        ))
    };
    let (mut a, mut b) = (one(p, q), one(q, p));
    talk(&mut a, &mut b);
    assert_eq!(a.describe("n"), format!("udp=127.0.0.1:{p}/127.0.0.1:{q}"));
    let group = |kind: &str| World::with(&kind.replace("PORT", &p.to_string()));
    let mut a =
        group("dgram,remote.type=inet,remote.host=230.0.0.1,remote.port=PORT,local.type=inet,local.host=127.0.0.1");
    let mut b = group("socket,mcast=230.0.0.1:PORT,localaddr=127.0.0.1");
    assert!(a.send(0, &frame(5, 60)));
    let mut got = Vec::new();
    b.until("a frame of the group", |b| {
        a.poll();
        got.extend(b.take(0));
        !got.is_empty()
    });
    assert_eq!(got, [frame(5, 60)]);
    // As with QEMU, one hears oneself in a group.
    a.until("the own frame", |a| !a.take(0).is_empty());
}

#[test]
fn socket_udp_talks_to_a_program() {
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (to, own) = (peer.local_addr().expect("its address"), free_port());
    let mut w = World::with(&format!("socket,udp={to},localaddr=127.0.0.1:{own}"));
    assert!(w.send(0, &frame(1, 60)));
    let mut bytes = [0; 100];
    assert_eq!(peer.recv(&mut bytes).expect("a datagram"), 60);
    peer.send_to(&frame(2, 61), ("127.0.0.1", own)).expect("sent");
    let mut got = Vec::new();
    w.until("a frame", |w| {
        got.extend(w.take(0));
        !got.is_empty()
    });
    assert_eq!(got, [frame(2, 61)]);
}

#[test]
fn descriptors_from_outside() {
    use std::os::fd::AsRawFd;
    let (mine, theirs) = UnixStream::pair().expect("a pair");
    let (mine_too, theirs_too) = UnixStream::pair().expect("a pair");
    for (kind, mut mine, theirs) in [
        (
            format!("stream,addr.type=fd,addr.str={}", theirs.as_raw_fd()),
            mine,
            theirs,
        ),
        (format!("socket,fd={}", theirs_too.as_raw_fd()), mine_too, theirs_too),
    ] {
        let mut w = World::with(&kind);
        drop(theirs);
        assert!(w.send(0, &frame(1, 60)));
        let mut bytes = [0; 64];
        mine.read_exact(&mut bytes).expect("a frame");
        assert_eq!(bytes[4..], frame(1, 60));
    }
    let (mine, theirs) = UnixDatagram::pair().expect("a pair");
    let mut w = World::with(&format!("dgram,local.type=fd,local.str={}", theirs.as_raw_fd()));
    mine.send(&frame(3, 70)).expect("sent");
    let mut got = Vec::new();
    w.until("a frame", |w| {
        got.extend(w.take(0));
        !got.is_empty()
    });
    assert_eq!(got, [frame(3, 70)]);
}

#[test]
fn a_hub_joins_nics_and_back_ends() {
    let mut w = World::new();
    for id in ["a", "b", "c"] {
        w.netdev(id, "hubport,hubid=1");
        w.nic(id, true);
    }
    w.netdev("elsewhere", "hubport,hubid=2");
    w.nic("elsewhere", true);
    assert!(w.send(0, &frame(1, 60)));
    w.poll();
    assert_eq!(
        (w.take(0).len(), w.take(1), w.take(2), w.take(3).len()),
        (0, vec![frame(1, 60)], vec![frame(1, 60)], 0)
    );
    // A fourth port leads out of the machine.
    let port = free_port();
    w.netdev("out", &format!("socket,listen=127.0.0.1:{port}"));
    w.netdev("d", "hubport,hubid=1,netdev=out");
    let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("the machine");
    w.until("the peer", |w| !w.describe("out").is_empty());
    assert!(w.send(1, &frame(2, 60)));
    w.poll();
    let mut bytes = [0; 64];
    peer.read_exact(&mut bytes).expect("a frame");
    assert_eq!(bytes[4..], frame(2, 60));
    w.take(0);
    w.take(2);
    peer.write_all(&60u32.to_be_bytes()).expect("length");
    peer.write_all(&frame(3, 60)).expect("frame");
    w.until("a frame from outside", |w| !w.take(0).is_empty());
    w.poll();
    assert_eq!((w.take(1), w.take(2)), (vec![frame(3, 60)], vec![frame(3, 60)]));
    assert_eq!(w.describe("d"), "hubid=1,netdev=out");
}

#[test]
fn a_hub_takes_no_more_than_its_ports_do() {
    let mut w = World::new();
    for (id, greedy) in [("a", true), ("b", false)] {
        w.netdev(id, "hubport,hubid=0");
        w.nic(id, greedy);
    }
    let mut sent = 0;
    while w.send(0, &frame(sent, 60)) {
        sent += 1;
        assert!(sent < 10_000, "queues have an end");
        w.poll();
    }
    for _ in 0..100 {
        w.set_room(1, 50);
        w.poll();
    }
    let got = w.take(1);
    assert_eq!(got.len(), sent as usize, "none is lost");
    assert!(got.iter().enumerate().all(|(i, f)| *f == frame(i as u32, 60)));
    assert!(w.events(0).contains(&"writable".to_owned()));
}

#[test]
fn what_is_wrong_is_named() {
    let mut w = World::new();
    for (options, what) in [
        ("sockets", "did you mean 'socket'?"),
        ("socket", "'socket' needs 'listen="),
        ("socket,listen=:1,udp=:2", "'udp' does not go with 'listen'"),
        ("socket,listen=1", "an address like 127.0.0.1:1234"),
        ("socket,listen=:99999", "a port number from 0 to 65535"),
        (
            "socket,connect=:1,localaddr=:2",
            "'localaddr' has a meaning with mcast= and udp=",
        ),
        ("socket,udp=127.0.0.1:1", "'socket' needs 'localaddr="),
        ("socket,mcast=10.0.0.1:5", "a group address"),
        ("socket,fd=banana", "the number of an open descriptor"),
        ("socket,lisen=:1", "did you mean 'listen'?"),
        ("stream", "'stream' needs 'addr.type="),
        ("stream,addr.type=tcp", "inet, unix, fd or vsock"),
        ("stream,addr.type=unix", "'stream' needs 'addr.path="),
        (
            "stream,addr.type=inet,addr.port=1,server=on,reconnect-ms=5",
            "'reconnect-ms' is for clients",
        ),
        ("dgram,remote.type=unix,remote.path=/x", "'dgram' needs 'local.type="),
        ("dgram,local.type=inet,local.port=1", "'dgram' needs 'remote.type="),
        (
            "dgram,local.type=unix,local.path=/x,remote.type=inet,remote.host=1.1.1.1,remote.port=1",
            "must be what",
        ),
        ("hubport", "'hubport' needs 'hubid=NUMBER'"),
        (
            "hubport,hubid=1,netdev=x",
            "the id of a netdev that stands before this one (there is none)",
        ),
    ] {
        let e = w.try_netdev("n", options).expect_err(options).to_string();
        assert!(e.contains(what), "{options}: {e}");
    }
    w.netdev("n", "hubport,hubid=1");
    let e = w.try_netdev("n", "hubport,hubid=1").expect_err("twice").to_string();
    assert_eq!(e, "there is a netdev 'n' already");
}
