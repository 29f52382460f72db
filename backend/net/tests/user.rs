//! `user`: the engine behind a NIC, with real sockets of this host.

mod common;

use common::World;
use southbridge_backend_net::Netdev;
use std::net::{TcpListener, UdpSocket};

/// A question for the address of the gateway, and so proof of life.
fn arp() -> Vec<u8> {
    let mut f = vec![0xff; 6];
    f.extend([0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    f.extend([
        0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
    ]);
    f.resize(60, 0);
    f
}

fn first(w: &mut World, what: &str, is: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut got = None;
    w.until(what, |w| {
        got = w.take(0).into_iter().find(|f| is(f));
        got.is_some()
    });
    got.expect("just seen")
}

#[test]
fn the_gateway_answers() {
    let mut w = World::with("user");
    assert!(w.send(0, &arp()));
    let answer = first(&mut w, "an answer", |f| f[12..14] == [8, 6]);
    assert_eq!(answer[28..32], [10, 0, 2, 2]);
    assert_eq!(w.describe("n"), "net=10.0.2.0,restrict=off");
}

/// An IPv4 packet of the guest to its router.
fn to_router(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 20 + body.len() as u8, 0, 1, 0, 0, 64, protocol, 0, 0];
    ip.extend([10, 0, 2, 15, 10, 0, 2, 2]);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut frame = vec![0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0];
    frame.extend(ip);
    frame.extend(body);
    frame
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    (!(((sum >> 16) + (sum & 0xffff)) as u16)).to_be_bytes()
}

/// The first segment of a connection.
fn syn(port: u16) -> Vec<u8> {
    let mut tcp = [
        0x30, 0x39, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
    ];
    tcp[2..4].copy_from_slice(&port.to_be_bytes());
    let mut pseudo = vec![10, 0, 2, 15, 10, 0, 2, 2, 0, 6, 0, 20];
    pseudo.extend(tcp);
    tcp[16..18].copy_from_slice(&checksum(&pseudo));
    to_router(6, &tcp)
}

/// Without a checksum.
fn datagram(port: u16, data: &[u8]) -> Vec<u8> {
    let mut udp = vec![0x30, 0x39];
    udp.extend(port.to_be_bytes());
    udp.extend((8 + data.len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(data);
    to_router(17, &udp)
}

#[test]
fn who_comes_later_is_heard_too() {
    let mut w = World::with("user");
    assert!(w.send(0, &arp()));
    first(&mut w, "an answer", |f| f[12..14] == [8, 6]);
    // What the engine watched for these is free for others then.
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("it")
        .port();
    for _ in 0..3 {
        assert!(w.send(0, &syn(closed)));
        let reset = first(&mut w, "a reset", |f| f[12..14] == [8, 0] && f[23] == 6);
        assert_eq!(reset[47] & 4, 4, "{reset:x?}");
    }
    let host = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = host.local_addr().expect("its address").port();
    assert!(w.send(0, &datagram(port, b"ping")));
    w.poll();
    let mut bytes = [0; 16];
    let (n, from) = host.recv_from(&mut bytes).expect("a datagram");
    assert_eq!(&bytes[..n], b"ping");
    host.send_to(b"pong", from).expect("sent");
    let answer = first(&mut w, "the answer", |f| f[12..14] == [8, 0] && f[23] == 17);
    assert_eq!(&answer[42..46], b"pong");
}

#[test]
fn rules_come_and_go_while_it_runs() {
    let mut w = World::with("user,hostfwd=tcp:127.0.0.1:0-:22");
    let id = w.netdevs.get("n").expect("it");
    let (n, mut cx) = w.sys.host.get::<Netdev>(id).expect("it");
    let at = n
        .add_hostfwd("tcp:127.0.0.1:0-:80", &mut cx)
        .expect("a rule")
        .expect("an address");
    assert!(TcpListener::bind(at).is_err(), "the port is taken");
    let text = n.usernet_info(&mut cx).expect("its table");
    assert_eq!(text.matches("HOST_FORWARD").count(), 2, "{text}");
    assert!(n.remove_hostfwd(&format!("tcp:{at}"), &mut cx).expect("a rule"));
    assert!(!n.remove_hostfwd(&format!("tcp:{at}"), &mut cx).expect("well written"));
    assert!(TcpListener::bind(at).is_ok(), "free again");
    w.netdev("h", "hubport,hubid=0");
    let id = w.netdevs.get("h").expect("it");
    let (h, mut cx) = w.sys.host.get::<Netdev>(id).expect("it");
    assert!(h.usernet_info(&mut cx).is_none());
    let e = h
        .add_hostfwd("tcp:127.0.0.1:0-:80", &mut cx)
        .expect_err("no network of our own");
    assert!(e.to_string().contains("not of the type 'user'"));
}

#[test]
fn wrong_options_are_named() {
    let mut w = World::new();
    for (options, what) in [
        ("user,net=10.0.0.0/33", "'net' cannot be '10.0.0.0/33'"),
        ("user,ipv4=off,ipv6=off", "both off"),
        ("user,hostfwd=tcp:1", "invalid host forwarding rule"),
        ("user,guestfwd=tcp:10.0.2.100:80-chardev:none", "chardev 'none'"),
        ("user,guestfwd=tcp:1.1.1.1:80-cmd:cat", "not in the guest's network"),
        ("user,tftp=/nonexistent", "cannot open directory"),
        ("user,smb=/tmp", "'smb' is not supported yet"),
        ("user,ipv6-net=fec0::/x", "a prefix and its bits"),
        ("tap,queues=0", "a number from 1 to 1024"),
        ("tap,fd=3,ifname=x", "'ifname' does not go with 'fd'"),
        ("tap,fd=0", "descriptor 0 is no tap"),
        ("tap,ifname=much-too-long-for-it", "at most 15 bytes"),
        ("tap,vhostfd=x", "the number of an open descriptor"),
        ("tap,vhostfd=9999", "cannot use descriptor 9999"),
        ("tap,vhostfd=0,vhost=off", "'vhostfd' is nothing without 'vhost'"),
        ("passt,path=/nonexistent", "cannot run '/nonexistent'"),
        (
            "l2tpv3,src=127.0.0.1,dst=127.0.0.1",
            "'l2tpv3' needs 'txsession=NUMBER'",
        ),
        (
            "l2tpv3,src=127.0.0.1,dst=127.0.0.1,txsession=1,txcookie=1",
            "needs 'rxcookie' beside it",
        ),
    ] {
        let e = w.try_netdev("n", options).expect_err(options).to_string();
        assert!(e.contains(what), "{options}: {e}");
    }
    if !std::path::Path::new("/dev/vhost-net").exists() {
        let e = w
            .try_netdev("n", "tap,vhost=on,script=no")
            .expect_err("no vhost")
            .to_string();
        assert!(e.contains("/dev/vhost-net"), "{e}");
    }
}

#[test]
fn l2tpv3_sessions_know_their_own() {
    let port = || {
        let s = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        s.local_addr().expect("its address").port()
    };
    let (p, q) = (port(), port());
    let end = |a: u16, b: u16, tx: u32, rx: u32| {
        World::with(&format!(
            "l2tpv3,src=127.0.0.1,dst=127.0.0.1,udp=on,srcport={a},dstport={b},txsession={tx},rxsession={rx},txcookie=7,rxcookie=7,\
             cookie64=on,counter=on,offset=4"
        ))
    };
    let (mut a, mut b) = (end(p, q, 1, 2), end(q, p, 2, 1));
    assert!(a.send(0, &arp()));
    assert_eq!(first(&mut b, "a frame", |_| true), arp());
    assert!(b.send(0, &arp()));
    assert_eq!(first(&mut a, "a frame", |_| true), arp());
    drop(b);
    let mut stranger = end(q, p, 9, 1);
    assert!(stranger.send(0, &arp()));
    a.poll();
    a.poll();
    assert!(a.take(0).is_empty());
    // What goes over the wire: data of version 3, session, cookie, counter, offset, frame.
    drop(stranger);
    let wire = std::net::UdpSocket::bind(("127.0.0.1", q)).expect("the other end");
    assert!(a.send(0, &arp()));
    let mut bytes = [0; 200];
    let n = wire.recv(&mut bytes).expect("a packet");
    assert_eq!(n, 4 + 4 + 8 + 4 + 4 + 60);
    assert_eq!(bytes[..16], [0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
}

#[test]
fn passt_is_a_process_over_a_socket() {
    // A program in its place that gives back what it gets, by the descriptor that the command line names.
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("passt");
    std::fs::write(
        &path,
        "#!/bin/bash\n[ \"$1 $2 $3\" = \"--foreground --one-off --fd\" ] || exit 1\nexec cat <&$4 >&$4\n",
    )
    .expect("a script");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let mut w = World::with(&format!("passt,path={}", path.display()));
    assert!(w.send(0, &arp()));
    assert_eq!(first(&mut w, "the frame again", |_| true), arp());
    assert!(w.describe("n").starts_with("stream,connected to pid "));
}
