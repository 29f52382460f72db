//! Sockets end to end: both roles, both families, peers that come and go.

mod common;

use common::Bench;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use southbridge_core::DeviceId;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

struct Unix {
    b: Bench,
    d: DeviceId,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

fn server(more: &[(&str, &str)], slow: bool) -> Unix {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let mut b = Bench::new();
    let mut options = vec![("path", path.to_str().unwrap()), ("server", "on"), ("wait", "off")];
    options.extend(more);
    b.open("socket", "s", &options);
    let d = if slow { b.attach_slow("s") } else { b.attach("s") };
    Unix { b, d, path, _dir: dir }
}

impl Unix {
    fn connect(&mut self) -> UnixStream {
        let c = UnixStream::connect(&self.path).unwrap();
        let d = self.d;
        self.b.until_event(d, "opened");
        c
    }
}

fn read_exactly(s: &mut impl Read, n: usize) -> Vec<u8> {
    let mut got = vec![0; n];
    s.read_exact(&mut got).unwrap();
    got
}

#[test]
fn clients_come_and_go() {
    let mut u = server(&[], false);
    assert_eq!(u.b.write(u.d, b"to nobody"), 9);
    for _ in 0..3 {
        let mut c = u.connect();
        u.b.write(u.d, b"hi");
        assert_eq!(read_exactly(&mut c, 2), b"hi");
        c.write_all(b"x").unwrap();
        drop(c);
        u.b.until_event(u.d, "closed");
    }
    assert_eq!(u.b.received(u.d), "xxx");
    u.b.close();
    assert!(!u.path.exists(), "the socket file goes with the server");
}

#[test]
fn a_second_client_waits_for_the_first_to_leave() {
    let mut u = server(&[], false);
    let first = u.connect();
    let mut second = UnixStream::connect(&u.path).unwrap();
    second.write_all(b"2").unwrap();
    u.b.pump();
    assert_eq!(u.b.received(u.d), "");
    drop(first);
    u.b.until_received(u.d, "2");
    assert_eq!(u.b.events(u.d), ["closed", "opened"]);
}

#[test]
fn a_peer_that_vanishes_in_mid_message_is_read_to_its_end() {
    let mut u = server(&[], true);
    let mut c = u.connect();
    c.write_all(b"message").unwrap();
    drop(c);
    u.b.pump();
    u.b.room(u.d, 3);
    u.b.until_received(u.d, "mes");
    assert_eq!(
        u.b.events(u.d),
        [""; 0],
        "not gone as long as there is something to read"
    );
    u.b.room(u.d, 100);
    u.b.until_received(u.d, "message");
    u.b.until_event(u.d, "closed");
}

#[test]
fn a_new_client_displaces_what_a_dead_one_left() {
    let mut u = server(&[], true);
    let mut c = u.connect();
    c.write_all(b"nobody takes this").unwrap();
    drop(c);
    u.b.pump();
    let mut c = UnixStream::connect(&u.path).unwrap();
    u.b.until_event(u.d, "opened");
    c.write_all(b"new").unwrap();
    u.b.room(u.d, 100);
    u.b.until_received(u.d, "new");
}

#[test]
fn a_slow_reader_holds_up_the_device_only() {
    let mut u = server(&[], false);
    let mut c = u.connect();
    let chunk: Vec<u8> = (0..8192u32).map(|i| i as u8).collect();
    let mut sent = Vec::new();
    loop {
        let n = u.b.write(u.d, &chunk);
        sent.extend_from_slice(&chunk[..n]);
        assert!(sent.len() < 4 << 20, "the buffer has no bound");
        if n < chunk.len() {
            break;
        }
    }
    assert_eq!(u.b.write(u.d, b"x"), 0);
    c.set_nonblocking(true).unwrap();
    let mut got = Vec::new();
    u.b.until("all of it", |b| {
        b.pump();
        let mut part = vec![0; 1 << 16];
        match c.read(&mut part) {
            Ok(n) => got.extend_from_slice(&part[..n]),
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
        got.len() >= sent.len()
    });
    assert!(got == sent);
    u.b.until_event(u.d, "writable");
    assert_eq!(u.b.write(u.d, b"x"), 1);
}

#[test]
fn a_reader_that_leaves_frees_the_device() {
    let mut u = server(&[], false);
    let c = u.connect();
    while u.b.write(u.d, &[0; 8192]) == 8192 {}
    drop(c);
    u.b.until_event(u.d, "writable");
    assert_eq!(u.b.write(u.d, &[0; 8192]), 8192, "dropped: nobody is there");
    let mut c = UnixStream::connect(&u.path).unwrap();
    u.b.until("a client", |b| b.chardev("s", |c| c.is_open()));
    let d = u.d;
    u.b.write(d, b"fresh");
    assert_eq!(
        read_exactly(&mut c, 5),
        b"fresh",
        "nothing that was meant for the old one"
    );
}

#[test]
fn stale_socket_files_are_replaced_and_live_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let options = [("path", path.to_str().unwrap()), ("server", "on"), ("wait", "off")];
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut b = Bench::new();
    b.open("socket", "s", &options);
    let e = Bench::new().error("socket", &options);
    assert_eq!(
        e,
        format!(
            "[path] cannot listen on '{}': Address already in use (os error 98)",
            path.display()
        )
    );
    b.close();
    std::fs::write(&path, "a file").unwrap();
    let e = Bench::new().error("socket", &options);
    assert!(e.starts_with("[path] cannot listen"), "{e}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}

#[test]
fn the_next_owner_of_a_path_keeps_it() {
    let mut u = server(&[], false);
    std::fs::remove_file(&u.path).unwrap();
    let _other = UnixListener::bind(&u.path).unwrap();
    u.b.close();
    assert!(u.path.exists());
}

#[test]
fn abstract_names() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("southbridge-test-{}", std::process::id());
    let mut padded = [0u8; 107];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    for (tight, bytes) in [("on", name.as_bytes()), ("off", &padded[..])] {
        let mut b = Bench::new();
        let options = [
            ("path", name.as_str()),
            ("abstract", "on"),
            ("tight", tight),
            ("server", "on"),
            ("wait", "off"),
        ];
        b.open("socket", "s", &options);
        let d = b.attach("s");
        let at = std::os::unix::net::SocketAddr::from_abstract_name(bytes).unwrap();
        let mut c = UnixStream::connect_addr(&at).unwrap();
        c.write_all(b"x").unwrap();
        b.until_received(d, "x");
    }
}

#[test]
fn descriptors_pass_both_ways() {
    let mut u = server(&[], false);
    let c = u.connect();
    // In.
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    let fds = [far.as_fd()];
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
    let flags = rustix::net::SendFlags::empty();
    rustix::net::sendmsg(&c, &[IoSlice::new(b"take it")], &mut control, flags).unwrap();
    u.b.until_received(u.d, "take it");
    let got: OwnedFd = u.b.probe(u.d, |p, _| p.fds.pop()).expect("a descriptor came");
    rustix::io::write(&got, b"through").unwrap();
    assert_eq!(read_exactly(&mut near, 7), b"through");
    let flags = rustix::io::fcntl_getfd(&got).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    // Out.
    let n = u.b.probe(u.d, |p, cx| p.front.write_with_fds(b"back", vec![got], cx));
    assert_eq!(n, 4);
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 16];
    let flags = rustix::net::RecvFlags::empty();
    let n = rustix::net::recvmsg(&c, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags).unwrap();
    assert_eq!(&bytes[..n.bytes], b"back");
    let mut came = Vec::new();
    for m in control.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(r) = m {
            came.extend(r);
        }
    }
    assert_eq!(came.len(), 1);
    rustix::io::write(&came[0], b"again").unwrap();
    assert_eq!(read_exactly(&mut near, 5), b"again");
}

#[test]
fn descriptors_wait_in_the_buffer_with_their_bytes() {
    let mut u = server(&[], false);
    let mut c = u.connect();
    while u.b.write(u.d, &[b'.'; 8192]) == 8192 {}
    u.b.until("room", |b| {
        // A little room, behind much that waits.
        let mut part = vec![0; 1 << 15];
        c.read_exact(&mut part).unwrap();
        b.pump();
        b.chardev("s", |s| s.buffered()) < 60 << 10
    });
    let (near, far) = UnixStream::pair().unwrap();
    let n =
        u.b.probe(u.d, |p, cx| p.front.write_with_fds(b"!", vec![far.into()], cx));
    assert_eq!(n, 1);
    c.set_nonblocking(true).unwrap();
    let mut came = Vec::new();
    let mut last = 0;
    u.b.until("the mark", |b| {
        b.pump();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 4096];
        let flags = rustix::net::RecvFlags::empty();
        if let Ok(n) = rustix::net::recvmsg(&c, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)
            && n.bytes > 0
        {
            last = bytes[n.bytes - 1];
            assert!(came.is_empty() || last == b'!');
        }
        for m in control.drain() {
            if let rustix::net::RecvAncillaryMessage::ScmRights(r) = m {
                came.extend(r);
            }
        }
        last == b'!'
    });
    assert_eq!(came.len(), 1);
    drop(near);
}

#[test]
fn a_client_connects_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let mut b = Bench::new();
    let warned = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = warned.clone();
    b.chardevs.messages().on_message(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    b.open(
        "socket",
        "s",
        &[("path", path.to_str().unwrap()), ("reconnect-ms", "1")],
    );
    let d = b.attach("s");
    for round in 0..3 {
        for _ in 0..5 {
            b.sys.host.wait(Some(Duration::from_millis(3))).unwrap();
        }
        let listener = UnixListener::bind(&path).unwrap();
        b.until_event(d, "opened");
        let (mut c, _) = listener.accept().unwrap();
        b.write(d, b"here");
        assert_eq!(read_exactly(&mut c, 4), b"here");
        std::fs::remove_file(&path).unwrap();
        drop((c, listener));
        b.until_event(d, "closed");
        assert_eq!(
            warned.load(std::sync::atomic::Ordering::Relaxed),
            round + 1,
            "one word for each absence"
        );
    }
}

#[test]
fn a_client_without_a_server_is_an_error() {
    let e = Bench::new().error("socket", &[("path", "/nonexistent/sock")]);
    assert_eq!(
        e,
        "[path] cannot connect to 'unix:/nonexistent/sock': No such file or directory (os error 2)"
    );
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let e = Bench::new().error("socket", &[("host", "127.0.0.1"), ("port", &free)]);
    assert_eq!(
        e,
        format!("[port] cannot connect to 'tcp:127.0.0.1:{free}': Connection refused (os error 111)")
    );
}

/// The port out of `disconnected:tcp:HOST:PORT,server=on`.
fn port(b: &mut Bench) -> u16 {
    let text = b.chardev("s", |c| c.describe());
    let text = text.strip_suffix(",server=on").unwrap();
    text.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn tcp_server_on_all_addresses() {
    let mut b = Bench::new();
    b.open(
        "socket",
        "s",
        &[
            ("host", ""),
            ("port", "0"),
            ("server", "on"),
            ("wait", "off"),
            ("nodelay", "on"),
        ],
    );
    let d = b.attach("s");
    let port = port(&mut b);
    let mut c = TcpStream::connect(("127.0.0.1", port)).unwrap();
    b.until_event(d, "opened");
    b.write(d, b"v4");
    assert_eq!(read_exactly(&mut c, 2), b"v4");
    let said = b.chardev("s", |c| c.describe());
    assert_eq!(
        said,
        format!("tcp:127.0.0.1:{port},server=on <-> {}", c.local_addr().unwrap())
    );
    drop(c);
    b.until_event(d, "closed");
    if let Ok(mut c) = TcpStream::connect(("::1", port)) {
        b.until_event(d, "opened");
        c.write_all(b"v6").unwrap();
        b.until_received(d, "v6");
    }
}

#[test]
fn tcp_port_range_and_families() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = taken.local_addr().unwrap().port();
    let (text, to) = (first.to_string(), first.saturating_add(50).to_string());
    let options = [
        ("host", "127.0.0.1"),
        ("port", &text),
        ("server", "on"),
        ("wait", "off"),
    ];
    let e = Bench::new().error("socket", &options);
    assert_eq!(
        e,
        format!("[port] cannot listen on 'tcp:127.0.0.1:{first}': Address already in use (os error 98)")
    );
    let mut b = Bench::new();
    b.open("socket", "s", &[&options[..], &[("to", &to)]].concat());
    let found = port(&mut b);
    assert!(found > first && found <= first + 50);
    TcpStream::connect(("127.0.0.1", found)).unwrap();

    let mut b = Bench::new();
    b.open(
        "socket",
        "s",
        &[
            ("host", "localhost"),
            ("port", "0"),
            ("ipv4", "on"),
            ("server", "on"),
            ("wait", "off"),
        ],
    );
    let only4 = port(&mut b);
    TcpStream::connect(("127.0.0.1", only4)).unwrap();
    assert!(TcpStream::connect(("::1", only4)).is_err());
}

#[test]
fn tcp_client_with_reconnect_waits_for_its_server() {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = probe.local_addr().unwrap();
    drop(probe);
    let mut b = Bench::new();
    // A name, so that the worker that asks the name service is in the way too; spelt so it is none of the literals.
    b.open(
        "socket",
        "s",
        &[
            ("host", "LOCALHOST"),
            ("port", &at.port().to_string()),
            ("ipv4", "on"),
            ("reconnect-ms", "5"),
        ],
    );
    let d = b.attach("s");
    b.until("some attempts", |b| !b.chardev("s", |c| c.is_open()));
    let listener = TcpListener::bind(at).unwrap();
    b.until_event(d, "opened");
    let (mut c, _) = listener.accept().unwrap();
    c.write_all(b"welcome").unwrap();
    b.until_received(d, "welcome");
}

#[test]
fn telnet_greets_and_reads_commands() {
    let mut u = server(&[("telnet", "on")], false);
    let mut c = UnixStream::connect(&u.path).unwrap();
    u.b.until_event(u.d, "opened");
    let greeting = [255, 251, 1, 255, 251, 3, 255, 251, 0, 255, 253, 0];
    assert_eq!(read_exactly(&mut c, 12), greeting);
    c.write_all(&[255, 253, 1, b'l', 255, 243, b's', 255, 255]).unwrap();
    let d = u.d;
    u.b.until("input", |b| b.probe(d, |p, _| p.received == [b'l', b's', 255]));
    assert_eq!(u.b.events(u.d), ["break"]);
    u.b.write(u.d, &[b'a', 255, b'b']);
    assert_eq!(read_exactly(&mut c, 4), [b'a', 255, 255, b'b']);
}

#[test]
fn tn3270_asks_for_the_terminal() {
    let mut u = server(&[("tn3270", "on")], true);
    let mut c = UnixStream::connect(&u.path).unwrap();
    u.b.until_event(u.d, "opened");
    let greeting = [
        255, 253, 25, 255, 251, 25, 255, 253, 0, 255, 251, 0, 255, 253, 24, 255, 250, 24, 1, 255, 240,
    ];
    assert_eq!(read_exactly(&mut c, 21), greeting);
    c.write_all(&[b'x', 255, 239]).unwrap();
    let d = u.d;
    // One byte at a time, though a record's end is two that come together.
    for n in 1..=3 {
        u.b.room(d, 1);
        u.b.until("a byte", |b| b.probe(d, |p, _| p.received.len() == n));
    }
    assert_eq!(u.b.probe(d, |p, _| p.received.clone()), [b'x', 255, 239]);
}

#[test]
fn a_telnet_client_that_does_not_read_is_no_trouble() {
    let mut u = server(&[("telnet", "on")], false);
    let mut c = UnixStream::connect(&u.path).unwrap();
    u.b.until_event(u.d, "opened");
    let mut sent = 0;
    loop {
        let n = u.b.write(u.d, &[255; 1000]);
        sent += n;
        if n < 1000 {
            break;
        }
    }
    let mut got = 0;
    let d = u.d;
    c.set_nonblocking(true).unwrap();
    u.b.until("all of it", |b| {
        b.pump();
        let mut part = vec![0; 1 << 16];
        got += c.read(&mut part).unwrap_or(0);
        got == 12 + 2 * sent
    });
    assert_eq!(u.b.write(d, b"x"), 1);
}

#[test]
fn inherited_descriptors() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut b = Bench::new();
    b.open("socket", "s", &[("fd", &ours.as_raw_fd().to_string())]);
    let d = b.attach("s");
    assert_eq!(b.events(d), ["opened"]);
    b.write(d, b"hello");
    assert_eq!(read_exactly(&mut theirs, 5), b"hello");
    b.close();
    assert_eq!(theirs.read(&mut [0; 8]).unwrap(), 0, "the peer hears of the end");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = listener.as_raw_fd().to_string();
    let mut b = Bench::new();
    b.open("socket", "s", &[("fd", &number), ("server", "on"), ("wait", "off")]);
    let d = b.attach("s");
    let mut c = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    c.write_all(b"x").unwrap();
    b.until_received(d, "x");

    let mut b = Bench::new();
    assert_eq!(
        b.error("socket", &[("fd", &number)]),
        format!("[fd] fd={number}: expected a connected socket (this one listens: add 'server=on')")
    );
    assert_eq!(
        b.error("socket", &[("fd", "9999")]),
        "[fd] cannot use descriptor 9999: Bad file descriptor (os error 9)"
    );
}

#[test]
fn wait_on_holds_the_start_until_a_client_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let mut b = Bench::new();
    b.open("socket", "s", &[("path", path.to_str().unwrap()), ("server", "on")]);
    let there = path.clone();
    let client = std::thread::spawn(move || UnixStream::connect(there).unwrap());
    let mut said = Vec::new();
    let done = b
        .chardevs
        .wait_for_clients(&mut b.sys.host, |s| said.push(s.to_owned()), || false);
    assert_eq!(done, Ok(()));
    let expected = format!(
        "QEMU waiting for connection on: disconnected:unix:{},server=on",
        path.display()
    );
    assert_eq!(said, [expected]);
    let _client = client.join().unwrap();
    assert!(b.chardev("s", |c| c.is_open()));
}

#[test]
fn waiting_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let mut b = Bench::new();
    b.open("socket", "s", &[("path", path.to_str().unwrap()), ("server", "on")]);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (flag, kick) = (stop.clone(), b.sys.host.reactor.kick_handle());
    let signal = std::thread::spawn(move || {
        flag.store(true, std::sync::atomic::Ordering::Release);
        kick.kick();
    });
    let asked = || stop.load(std::sync::atomic::Ordering::Acquire);
    let done = b.chardevs.wait_for_clients(&mut b.sys.host, |_| {}, asked);
    assert!(done.is_err());
    signal.join().unwrap();
    b.close();
    assert!(!path.exists());
}
