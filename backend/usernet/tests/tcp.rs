//! TCP through the engine, with smoltcp's stack as the guest.

mod common;

use common::{Wire, World, config, pattern, v4};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use southbridge_backend_usernet::{Config, HostForward, Limits, Offloads};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::thread;

/// A server on the host's loopback that answers one connection.
fn serve<T: Send + 'static>(
    address: &str,
    act: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (u16, thread::JoinHandle<T>) {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, thread::spawn(move || act(listener.accept().unwrap().0)))
}

fn send_all(world: &mut World, handle: SocketHandle, data: &[u8]) {
    let mut sent = 0;
    world.until("everything sent", |w| {
        let socket = w.tcp(handle);
        if socket.can_send() {
            sent += socket.send_slice(&data[sent..]).unwrap();
        }
        sent == data.len()
    });
}

fn receive_all(world: &mut World, handle: SocketHandle, expect: usize) -> Vec<u8> {
    let mut data = Vec::new();
    world.until("everything received", |w| {
        let socket = w.tcp(handle);
        while socket.can_recv() {
            socket.recv(|b| (b.len(), data.extend_from_slice(b))).unwrap();
        }
        data.len() >= expect && !socket.may_recv()
    });
    data
}

fn to_host(address: &str, gateway: &str, wire: Wire, len: usize, config: Config) {
    let mut world = World::new(config);
    world.wire = wire;
    let (port, server) = serve(address, |mut stream| {
        let mut data = Vec::new();
        stream.read_to_end(&mut data).unwrap();
        data
    });
    let handle = world.connect(v4(gateway), port, 40_000);
    world.until("a connection", |w| w.tcp(handle).may_send());
    let data = pattern(len, 3);
    send_all(&mut world, handle, &data);
    world.tcp(handle).close();
    world.until("an end", |w| {
        !w.tcp(handle).is_open() || w.tcp(handle).state() == State::TimeWait
    });
    assert!(server.join().unwrap() == data);
    world.until("no flow left", |w| {
        w.router.net.flows().iter().all(|f| f.protocol.contains("TIME_WAIT"))
    });
}

fn to_guest(address: &str, gateway: &str, wire: Wire, len: usize, config: Config) {
    let mut world = World::new(config);
    world.wire = wire;
    let (port, server) = serve(address, move |mut stream| {
        let data = pattern(len, 5);
        stream.write_all(&data).unwrap();
        data
    });
    let handle = world.connect(v4(gateway), port, 40_000);
    let got = receive_all(&mut world, handle, len);
    world.tcp(handle).close();
    assert!(server.join().unwrap() == got);
    world.until("an end", |w| !w.tcp(handle).is_open());
}

const BAD: Wire = Wire {
    lose: 20,
    repeat: 10,
    reorder: 30,
};

#[test]
fn a_small_segment_is_acknowledged_with_the_answer_or_a_little_later() {
    let mut world = World::new(config());
    let (port, server) = serve("127.0.0.1:0", |mut stream| stream.read_to_end(&mut Vec::new()).unwrap());
    let handle = world.connect(v4("10.0.2.2"), port, 40_000);
    world.until("a connection", |w| w.tcp(handle).may_send());
    world.tcp(handle).set_nagle_enabled(false);
    world.idle(10);
    world.tcp(handle).send_slice(b"question").unwrap();
    world.turn(false);
    assert_eq!(world.tcp(handle).send_queue(), 8, "an answer may come");
    let now = world.router.now;
    world.tcp(handle).send_slice(b"question").unwrap();
    world.turn(false);
    world.turn(false);
    assert_eq!(world.tcp(handle).send_queue(), 0, "the second one is not left waiting");
    assert!(world.router.now < now + std::time::Duration::from_millis(1));
    world.tcp(handle).send_slice(b"question").unwrap();
    world.turn(false);
    assert_eq!(world.tcp(handle).send_queue(), 8);
    world.idle(4);
    assert_eq!(world.tcp(handle).send_queue(), 0, "no answer has come");
    world.tcp(handle).close();
    world.until("an end", |w| {
        w.tcp(handle).state() == State::TimeWait || !w.tcp(handle).is_open()
    });
    assert_eq!(server.join().unwrap(), 24);
}

#[test]
fn twenty_megabytes_to_the_host() {
    to_host("127.0.0.1:0", "10.0.2.2", Wire::default(), 20 << 20, config());
}

#[test]
fn twenty_megabytes_to_the_guest() {
    to_guest("127.0.0.1:0", "10.0.2.2", Wire::default(), 20 << 20, config());
}

#[test]
fn both_ways_over_ipv6() {
    to_host("[::1]:0", "fec0::2", Wire::default(), 2 << 20, config());
    to_guest("[::1]:0", "fec0::2", Wire::default(), 2 << 20, config());
}

#[test]
fn a_bad_wire_to_the_host() {
    to_host("127.0.0.1:0", "10.0.2.2", BAD, 3 << 20, config());
}

#[test]
fn a_bad_wire_to_the_guest() {
    to_guest("127.0.0.1:0", "10.0.2.2", BAD, 3 << 20, config());
}

#[test]
fn a_card_that_cuts_gets_big_segments() {
    let mut world = World::with_offloads(config(), Offloads::CHECKSUM | Offloads::TSO4);
    let (port, server) = serve("127.0.0.1:0", |mut stream| stream.write_all(&pattern(4 << 20, 5)));
    let handle = world.connect(v4("10.0.2.2"), port, 40_000);
    assert!(receive_all(&mut world, handle, 4 << 20) == pattern(4 << 20, 5));
    server.join().unwrap().unwrap();
    assert!(world.longest > 20_000, "{}", world.longest);
}

/// Connections that have been busy and are idle now do not keep others from memory.
#[test]
fn idle_connections_give_their_memory_back() {
    let limits = Limits {
        tcp_buffer: 32 << 10,
        tcp_memory: 64 << 10,
        ..Limits::default()
    };
    let mut world = World::new(Config { limits, ..config() });
    let (done, until) = std::sync::mpsc::channel::<()>();
    let until = std::sync::Arc::new(std::sync::Mutex::new(until));
    for i in 0..6 {
        let until = until.clone();
        let (port, _server) = serve("127.0.0.1:0", move |mut stream| {
            stream.write_all(&pattern(100_000, 5)).unwrap();
            let _ = until.lock().unwrap().recv();
        });
        let handle = world.connect(v4("10.0.2.2"), port, 40_000 + i);
        let mut data = Vec::new();
        world.until("all of it", |w| {
            while w.tcp(handle).can_recv() {
                w.tcp(handle).recv(|b| (b.len(), data.extend_from_slice(b))).unwrap();
            }
            data.len() == 100_000
        });
    }
    assert_eq!(world.router.net.flows().len(), 6);
    drop(done);
}

#[test]
fn little_memory_is_enough() {
    let limits = Limits {
        tcp_buffer: 4096,
        tcp_memory: 16 << 10,
        ..Limits::default()
    };
    to_host(
        "127.0.0.1:0",
        "10.0.2.2",
        BAD,
        40 << 10,
        Config {
            limits: limits.clone(),
            ..config()
        },
    );
    to_guest("127.0.0.1:0", "10.0.2.2", BAD, 40 << 10, Config { limits, ..config() });
}

#[test]
fn a_small_sink_holds_everything_back_and_loses_nothing() {
    let mut world = World::new(config());
    world.router.room = 1;
    let (port, server) = serve("127.0.0.1:0", |mut stream| stream.write_all(&pattern(1 << 20, 5)));
    let handle = world.connect(v4("10.0.2.2"), port, 40_000);
    world.until("a connection", |w| w.tcp(handle).may_send());
    world.router.room = 0;
    world.idle(3000);
    assert_eq!(world.tcp(handle).recv_queue(), 0);
    world.router.room = 1;
    assert!(receive_all(&mut world, handle, 1 << 20) == pattern(1 << 20, 5));
    server.join().unwrap().unwrap();
}

#[test]
fn a_guest_that_does_not_read_closes_the_window_and_opens_it_again() {
    let mut world = World::new(config());
    let (port, server) = serve("127.0.0.1:0", |mut stream| stream.write_all(&pattern(4 << 20, 5)));
    let handle = world.connect(v4("10.0.2.2"), port, 40_000);
    world.until("a full buffer", |w| w.tcp(handle).recv_queue() >= 127 << 10);
    world.idle(5000);
    // Losing the window update is what the probe is for.
    world.wire.lose = 1000;
    let mut data = Vec::new();
    world
        .tcp(handle)
        .recv(|b| (b.len(), data.extend_from_slice(b)))
        .unwrap();
    world.idle(10);
    world.wire.lose = 0;
    data.extend(receive_all(&mut world, handle, (4 << 20) - data.len()));
    assert!(data == pattern(4 << 20, 5));
    server.join().unwrap().unwrap();
}

#[test]
fn half_closed_connections_go_on_the_other_way() {
    let mut world = World::new(config());
    let (port, server) = serve("127.0.0.1:0", |mut stream| {
        let mut data = Vec::new();
        stream.read_to_end(&mut data).unwrap();
        data.reverse();
        stream.write_all(&data).unwrap();
    });
    let handle = world.connect(v4("10.0.2.2"), port, 40_000);
    world.until("a connection", |w| w.tcp(handle).may_send());
    let data = pattern(300 << 10, 1);
    send_all(&mut world, handle, &data);
    world.tcp(handle).close();
    let mut back = receive_all(&mut world, handle, data.len());
    back.reverse();
    assert!(back == data);
    server.join().unwrap();
    world.until("no flow", |w| w.router.net.flows().is_empty());
}

#[test]
fn nobody_listening_is_a_reset() {
    let mut world = World::new(config());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let handle = world.connect(v4("10.0.2.2"), port, 40_000);
    world.until("a refusal", |w| !w.tcp(handle).is_open());
    assert!(world.router.net.flows().is_empty());
}

#[test]
fn a_reset_crosses_in_both_directions() {
    let mut world = World::new(config());
    let (port, server) = serve("127.0.0.1:0", |mut stream| {
        stream.read(&mut [0; 10]).map_err(|e| e.kind())
    });
    let handle = world.connect(v4("10.0.2.2"), port, 40_000);
    world.until("a connection", |w| w.tcp(handle).may_send());
    world.tcp(handle).abort();
    world.until("no flow", |w| w.router.net.flows().is_empty());
    assert_eq!(server.join().unwrap(), Err(ErrorKind::ConnectionReset));

    let (port, server) = serve("127.0.0.1:0", |stream| {
        rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
    });
    let handle = world.connect(v4("10.0.2.2"), port, 40_001);
    world.until("a reset", |w| !w.tcp(handle).is_open());
    server.join().unwrap();
}

fn forwarded(rule: &str, guest_sees: IpAddr) {
    let mut world = World::new(config());
    let bound = world
        .router
        .net
        .add_hostfwd(&HostForward::parse(rule).unwrap())
        .unwrap()
        .unwrap();
    let handle = world.listen(80);
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(bound).unwrap();
        stream.write_all(&pattern(1 << 20, 9)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    });
    let got = receive_all(&mut world, handle, 1 << 20);
    assert!(got == pattern(1 << 20, 9));
    assert_eq!(
        IpAddr::from(world.tcp(handle).remote_endpoint().unwrap().addr),
        guest_sees
    );
    send_all(&mut world, handle, b"thank you");
    world.tcp(handle).close();
    world.until("an end", |w| {
        !w.tcp(handle).is_open() || w.tcp(handle).state() == State::TimeWait
    });
    assert_eq!(client.join().unwrap(), b"thank you");
}

#[test]
fn the_host_reaches_the_guest() {
    forwarded("tcp:127.0.0.1:0-:80", v4("10.0.2.2"));
    forwarded("tcp:127.0.0.1:0-10.0.2.15:80", v4("10.0.2.2"));
    forwarded("tcp:[::1]:0-[fec0::15]:80", v4("fec0::2"));
    forwarded("tcp:[::1]:0-:80", v4("10.0.2.2"));
}

#[test]
fn a_rule_that_is_removed_listens_no_more() {
    let mut world = World::new(config());
    let rule = HostForward::parse("tcp:127.0.0.1:0-:80").unwrap();
    let bound = world.router.net.add_hostfwd(&rule).unwrap().unwrap();
    world.turn(false);
    let again = HostForward::parse(&format!("tcp:127.0.0.1:{}-:81", bound.port())).unwrap();
    assert!(world.router.net.add_hostfwd(&again).is_err(), "the port is taken");
    let side = HostForward::parse_host_side(&format!("tcp:127.0.0.1:{}", bound.port())).unwrap();
    assert!(world.router.net.remove_hostfwd(&side));
    assert!(!world.router.net.remove_hostfwd(&side));
    world.turn(false);
    assert!(TcpStream::connect(bound).is_err());
}

#[test]
fn a_guest_that_refuses_resets_the_host() {
    let mut world = World::new(config());
    let rule = HostForward::parse("tcp:127.0.0.1:0-:80").unwrap();
    let bound = world.router.net.add_hostfwd(&rule).unwrap().unwrap();
    let client = thread::spawn(move || {
        TcpStream::connect(bound)
            .unwrap()
            .read(&mut [0; 1])
            .map_err(|e| e.kind())
    });
    world.until("the end of the client", |_| client.is_finished());
    assert_eq!(client.join().unwrap(), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_guest_that_is_not_there_is_given_up() {
    let mut world = World::new(config());
    let rule = HostForward::parse("tcp:127.0.0.1:0-10.0.2.77:80").unwrap();
    let bound = world.router.net.add_hostfwd(&rule).unwrap().unwrap();
    let client = thread::spawn(move || TcpStream::connect(bound).unwrap().read(&mut [0; 1]).is_err());
    world.until("the end of the client", |w| {
        w.router.now += std::time::Duration::from_millis(100);
        client.is_finished()
    });
    assert!(client.join().unwrap());
    assert_eq!(world.router.net.flows().len(), 1, "the rule alone");
}

#[test]
fn unix_sockets_are_forwarded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ssh");
    let mut world = World::new(config());
    let rule = HostForward::parse(&format!("unix:{}-:80", path.display())).unwrap();
    world.router.net.add_hostfwd(&rule).unwrap();
    let handle = world.listen(80);
    let client = thread::spawn({
        let path = path.clone();
        move || {
            std::os::unix::net::UnixStream::connect(path)
                .unwrap()
                .write_all(b"hello")
                .unwrap()
        }
    });
    assert_eq!(receive_all(&mut world, handle, 5), b"hello");
    client.join().unwrap();
    drop(world);
    assert!(!path.exists());
}

#[test]
fn as_many_connections_as_there_are_places() {
    let limits = Limits {
        tcp_flows: 8,
        ..Limits::default()
    };
    let mut world = World::new(Config { limits, ..config() });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handles: Vec<_> = (0..12)
        .map(|i| world.connect(v4("10.0.2.2"), port, 41_000 + i))
        .collect();
    world.until("an answer to each", |w| {
        handles
            .iter()
            .all(|h| matches!(w.tcp(*h).state(), State::Established | State::Closed))
    });
    let open = handles
        .iter()
        .filter(|h| world.tcp(**h).state() == State::Established)
        .count();
    assert_eq!(open, 8);
    assert_eq!(world.router.net.flows().len(), 8);
    assert!(world.router.net.info().contains("TCP[ESTABLISHED]"));
}
