//! Kinds that are files, terminals and memory, end to end.

mod common;

use common::{Bench, PROBE};
use rustix::fs::{Mode, OFlags};
use southbridge_core::{PropValue, Properties};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn null_swallows() {
    let mut b = Bench::new();
    b.open("null", "n", &[]);
    let d = b.attach("n");
    assert_eq!(b.write(d, b"hello"), 5);
    assert_eq!(b.events(d), [""; 0], "nobody is there, so nobody is announced");
}

#[test]
fn ringbuf_keeps_the_newest() {
    let mut b = Bench::new();
    b.open("ringbuf", "r", &[("size", "8")]);
    let d = b.attach("r");
    assert_eq!(b.write(d, b"abcdef"), 6);
    assert_eq!(b.chardev("r", |c| c.ringbuf_read(2)), Some(b"ab".to_vec()));
    b.write(d, b"ghijkl");
    assert_eq!(b.chardev("r", |c| c.ringbuf_read(100)), Some(b"efghijkl".to_vec()));
    b.write(d, b"0123456789");
    assert_eq!(b.chardev("r", |c| c.ringbuf_read(100)), Some(b"23456789".to_vec()));
    assert_eq!(b.events(d), ["opened"]);
}

#[test]
fn one_front_end_unless_shared() {
    let mut b = Bench::new();
    b.open("ringbuf", "r", &[]);
    let first = b.attach("r");
    let refused = b.try_attach("r").unwrap_err().to_string();
    assert_eq!(
        refused,
        "'chardev' cannot be 'r'; it takes a chardev that nobody uses yet: this one is in use by another front end; a \
         chardev with mux=on can be shared"
    );
    b.sys.remove_device(first);
    b.attach("r");
}

#[test]
fn file_takes_output_and_gives_input_by_credit() {
    let dir = tempfile::tempdir().unwrap();
    let (out, input, log) = (dir.path().join("out"), dir.path().join("in"), dir.path().join("log"));
    std::fs::write(&out, "old ").unwrap();
    std::fs::write(&input, "typed before").unwrap();
    std::fs::write(&log, "kept ").unwrap();
    let mut b = Bench::new();
    b.open(
        "file",
        "f",
        &[
            ("path", out.to_str().unwrap()),
            ("input-path", input.to_str().unwrap()),
            ("append", "on"),
            ("logfile", log.to_str().unwrap()),
            ("logappend", "on"),
        ],
    );
    let d = b.attach_slow("f");
    assert_eq!(b.write(d, b"new"), 3);
    b.room(d, 5);
    assert_eq!(b.received(d), "typed", "exactly the credit, in the same turn");
    b.room(d, 100);
    b.room(d, 100);
    assert_eq!(b.received(d), "typed before");
    b.close();
    assert_eq!((text(&out), text(&log)), ("old new".into(), "kept new".into()));

    let mut b = Bench::new();
    b.open("file", "f", &[("path", out.to_str().unwrap())]);
    assert_eq!(text(&out), "", "without append the file starts empty");
}

#[test]
fn a_missing_input_file_spares_the_output() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    std::fs::write(&out, "precious").unwrap();
    let mut b = Bench::new();
    let e = b.error(
        "file",
        &[("path", out.to_str().unwrap()), ("input-path", "/nonexistent/x")],
    );
    assert_eq!(
        e,
        "[input-path] cannot open '/nonexistent/x': No such file or directory (os error 2)"
    );
    assert_eq!(text(&out), "precious");
}

#[test]
fn a_device_that_epoll_refuses_gives_input() {
    let mut b = Bench::new();
    b.open("file", "f", &[("path", "/dev/null"), ("input-path", "/dev/zero")]);
    let d = b.attach_slow("f");
    b.room(d, 10);
    b.until("zeros", |b| b.received(d).len() == 10);
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
}

#[test]
fn pipe_of_two_fifos() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("p");
    let (i, o) = (dir.path().join("p.in"), dir.path().join("p.out"));
    fifo(&i);
    fifo(&o);
    let mut b = Bench::new();
    b.open("pipe", "p", &[("path", base.to_str().unwrap())]);
    let d = b.attach("p");
    assert_eq!(b.write(d, b"out"), 3);
    let mut reader = std::fs::File::open(&o).unwrap();
    let mut got = [0; 3];
    reader.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"out");
    for part in ["first ", "second"] {
        // Each writer comes and goes.
        std::fs::OpenOptions::new()
            .write(true)
            .open(&i)
            .unwrap()
            .write_all(part.as_bytes())
            .unwrap();
    }
    b.until_received(d, "first second");
}

#[test]
fn a_full_pipe_holds_the_device_up_and_lets_it_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("p");
    let o = dir.path().join("p.out");
    fifo(&dir.path().join("p.in"));
    fifo(&o);
    let mut b = Bench::new();
    b.open("pipe", "p", &[("path", base.to_str().unwrap())]);
    let d = b.attach("p");
    let chunk = [b'x'; 4096];
    let mut sent = 0;
    loop {
        let n = b.write(d, &chunk);
        sent += n;
        assert!(sent < 1 << 20, "the buffer has no bound");
        if n < chunk.len() {
            break;
        }
    }
    assert_eq!(b.write(d, b"y"), 0);
    b.pump();
    assert_eq!(b.events(d), ["opened"]);
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(&o)
        .unwrap();
    let mut got = 0;
    b.until("all of it", |b| {
        b.pump();
        let mut part = vec![0; 1 << 16];
        got += reader.read(&mut part).unwrap_or(0);
        got == sent
    });
    assert_eq!(b.events(d), ["writable"]);
    assert_eq!(b.write(d, b"y"), 1);
}

#[test]
fn pty_is_opened_and_closed_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("tty");
    std::os::unix::fs::symlink("/dev/pts/no-such", &link).unwrap();
    let mut b = Bench::new();
    let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let hears = said.clone();
    b.chardevs
        .messages()
        .on_message(move |m| hears.lock().unwrap().push(m.clone()));
    b.open("pty", "t", &[("path", link.to_str().unwrap())]);
    let name = std::fs::read_link(&link).unwrap();
    assert_eq!(
        *said.lock().unwrap(),
        [southbridge_backend_chardev::Message::Info(format!(
            "char device redirected to {} (label t)",
            name.display()
        ))]
    );
    let d = b.attach("t");
    assert_eq!(b.write(d, b"nobody hears this"), 17);
    assert_eq!(b.events(d), [""; 0]);
    for round in 0..2 {
        let mut tty = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits() as i32)
            .open(&link)
            .unwrap();
        b.until_event(d, "opened");
        b.write(d, b"boo\n");
        let mut got = [0; 4];
        tty.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"boo\n", "raw, and nothing of before");
        tty.write_all(b"k").unwrap();
        b.until_received(d, &"k".repeat(round + 1));
        drop(tty);
        b.until_event(d, "closed");
    }
    b.close();
    assert!(
        !link.exists() && std::fs::read_link(&link).is_err(),
        "the link goes with the terminal"
    );
}

#[test]
fn pty_input_survives_the_hangup_of_who_typed_it() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("tty");
    let mut b = Bench::new();
    b.open("pty", "t", &[("path", link.to_str().unwrap())]);
    let d = b.attach_slow("t");
    let mut tty = std::fs::OpenOptions::new().write(true).open(&link).unwrap();
    b.until_event(d, "opened");
    tty.write_all(b"typed").unwrap();
    drop(tty);
    b.pump();
    b.room(d, 2);
    b.until_received(d, "ty");
    b.room(d, 10);
    b.until_received(d, "typed");
    b.until_event(d, "closed");
}

#[test]
fn a_path_that_is_taken_is_not_made_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tty");
    std::fs::write(&path, "mine").unwrap();
    let mut b = Bench::new();
    let e = b.error("pty", &[("path", path.to_str().unwrap())]);
    assert!(e.starts_with("[path] cannot link"), "{e}");
    assert_eq!(text(&path), "mine");
}

#[test]
fn serial_drives_a_terminal_device() {
    // A pseudo-terminal is the serial port; the test is at the other end of the cable.
    let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new())
        .unwrap()
        .into_string()
        .unwrap();
    let mut b = Bench::new();
    b.open("tty", "s", &[("path", &name)]);
    let d = b.attach("s");
    b.write(d, b"AT\r");
    let mut got = [0; 3];
    let mut cable = std::fs::File::from(master);
    cable.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"AT\r");
    cable.write_all(b"OK\r").unwrap();
    b.until_received(d, "OK\r");
    drop(cable);
    b.until_event(d, "closed");
    assert_eq!(
        Bench::new().error("serial", &[("path", "/dev/null")]),
        "[path] path=/dev/null: expected a serial port (this is no terminal device; for plain files there is 'file')"
    );
}

#[test]
fn udp_datagrams_in_pieces() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = peer.local_addr().unwrap().port().to_string();
    let mut b = Bench::new();
    b.open(
        "udp",
        "u",
        &[("host", "127.0.0.1"), ("port", &port), ("localaddr", "127.0.0.1")],
    );
    let d = b.attach_slow("u");
    b.write(d, b"hello");
    let mut got = [0; 100];
    let (n, from) = peer.recv_from(&mut got).unwrap();
    assert_eq!(&got[..n], b"hello");
    peer.send_to(b"one", from).unwrap();
    peer.send_to(b"two", from).unwrap();
    b.room(d, 2);
    b.until_received(d, "on");
    b.room(d, 10);
    b.until_received(d, "onetwo");
}

#[test]
fn hub_is_all_of_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut b = Bench::new();
    b.open("ringbuf", "a", &[]);
    b.open(
        "socket",
        "b",
        &[("path", path.to_str().unwrap()), ("server", "on"), ("wait", "off")],
    );
    b.open("hub", "h", &[("chardevs.0", "a"), ("chardevs.1", "b")]);
    let d = b.attach("h");
    b.until_event(d, "opened");
    b.write(d, b"first ");
    b.pump();
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    b.until("a client", |b| b.chardev("b", |c| c.is_open()));
    b.write(d, b"second");
    b.pump();
    let mut got = [0; 6];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"second", "what was sent before it came is not kept for it");
    assert_eq!(b.chardev("a", |c| c.ringbuf_read(99)), Some(b"first second".to_vec()));
    client.write_all(b"typed").unwrap();
    b.until_received(d, "typed");
    drop(client);
    b.until("it left", |b| !b.chardev("b", |c| c.is_open()));
    assert_eq!(b.events(d), [""; 0], "one part is still there");
    assert_eq!(
        b.error("hub", &[("chardevs.0", "a")]),
        "[chardevs.0] 'chardevs.0' names a chardev that is in use by another front end; a chardev with mux=on can be \
         shared"
    );
    assert_eq!(
        b.error("hub", &[("chardevs.0", "h")]),
        "[chardevs.0] 'chardevs.0' names a hub or a shared chardev, and those cannot be stacked"
    );
}

#[test]
fn hub_goes_at_the_pace_of_the_slowest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut b = Bench::new();
    b.open("ringbuf", "a", &[("size", "4M")]);
    b.open(
        "socket",
        "b",
        &[("path", path.to_str().unwrap()), ("server", "on"), ("wait", "off")],
    );
    b.open("hub", "h", &[("chardevs.0", "a"), ("chardevs.1", "b")]);
    let d = b.attach("h");
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    b.until("a client", |b| b.chardev("b", |c| c.is_open()));
    let data: Vec<u8> = (0..2_000_000u32).map(|i| (i % 251) as u8).collect();
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        got
    });
    let mut done = 0;
    b.until("all written", |b| {
        let end = data.len().min(done + 10_000);
        done += b.write(d, &data[done..end]);
        done == data.len()
    });
    b.until("all out", |b| {
        b.pump();
        b.chardev("b", |c| c.buffered()) == 0 && b.chardev("h", |c| c.buffered()) == 0
    });
    b.close();
    assert!(reader.join().unwrap() == data);
}

#[test]
fn input_on_its_way_counts_against_the_room_that_a_device_tells_of() {
    let mut b = Bench::new();
    let (backend, other_side) = southbridge_backend_chardev::testing::Loop::new(&mut b.sys);
    let props = Properties::default().with("chardev", PropValue::Backend("loop".into(), backend));
    let d = b.sys.add_device(&PROBE, None, props, &[]).unwrap();
    b.pump();
    b.room(d, 4);
    other_side.feed(b"abcdefgh");
    // The back end posts four bytes; before they are delivered the device says again, truly, that it has room for four.
    b.sys.host.wait(Some(std::time::Duration::ZERO)).unwrap();
    b.probe(d, |p, cx| p.front.set_room(4, cx));
    b.pump();
    assert_eq!(b.received(d), "abcd");
    b.room(d, 4);
    assert_eq!(b.received(d), "abcdefgh");
}
