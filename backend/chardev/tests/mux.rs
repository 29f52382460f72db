//! Several front ends on one back end, with the menu.

mod common;

use common::Bench;
use southbridge_backend_chardev::{CharEvent, CharHandle};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Shared {
    b: Bench,
    c: UnixStream,
    _dir: tempfile::TempDir,
}

fn shared() -> Shared {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let mut b = Bench::new();
    let options = [
        ("path", path.to_str().unwrap()),
        ("server", "on"),
        ("wait", "off"),
        ("mux", "on"),
    ];
    b.open("socket", "s", &options);
    let c = UnixStream::connect(&path).unwrap();
    b.until("the peer", |b| b.chardev("s", |c| c.is_open()));
    Shared { b, c, _dir: dir }
}

impl Shared {
    fn says(&mut self, n: usize) -> String {
        let mut got = vec![0; n];
        self.c.read_exact(&mut got).unwrap();
        String::from_utf8(got).unwrap()
    }
}

const HELP: &str = "\n\rC-a h    print this help\n\r\
                    C-a x    exit emulator\n\r\
                    C-a s    save disk data back to file (if -snapshot)\n\r\
                    C-a t    toggle console timestamps\n\r\
                    C-a b    send break (magic sysrq)\n\r\
                    C-a c    switch between console and monitor\n\r\
                    C-a C-a  sends C-a\n\r";

#[test]
fn a_session_at_the_menu() {
    let mut s = shared();
    let (one, two) = (s.b.attach("s"), s.b.attach("s"));
    assert_eq!((s.b.events(one), s.b.events(two)), (vec!["opened"], vec!["opened"]));
    s.c.write_all(b"to two \x01c to one\x01\x01\x01b\x01z!").unwrap();
    s.b.until_received(one, " to one\x01!");
    assert_eq!(s.b.received(two), "to two ");
    assert_eq!(s.b.events(one), ["break"]);
    s.c.write_all(b"\x01h").unwrap();
    s.b.write(one, b"");
    s.b.until("help", |b| {
        b.pump();
        true
    });
    assert_eq!(s.says(HELP.len()), HELP);
    s.b.write(one, b"from one, ");
    s.b.write(two, b"from two");
    assert_eq!(s.says(18), "from one, from two", "output needs no focus");
    s.c.write_all(b"\x01cagain").unwrap();
    s.b.until_received(two, "to two again");
}

#[test]
fn timestamps_at_line_starts() {
    let mut s = shared();
    let d = s.b.attach("s");
    s.c.write_all(b"\x01t.").unwrap();
    s.b.until_received(d, ".");
    assert_eq!(s.b.write(d, b"first\nsecond\n"), 13);
    assert_eq!(s.says(6 + 15 + 7), "first\n[00:00:00.000] second\n");
    s.c.write_all(b"\x01t.").unwrap();
    s.b.until_received(d, "..");
    s.b.write(d, b"a\nb\n");
    assert_eq!(s.says(4), "a\nb\n");
}

#[test]
fn exit_is_reported_once_and_in_words() {
    let mut s = shared();
    let d = s.b.attach_slow("s");
    let stops = Arc::new(AtomicUsize::new(0));
    let count = stops.clone();
    s.b.chardevs.quit_request().on_quit(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    // A guest that takes nothing cannot keep the menu from working.
    s.c.write_all(b"a hanging guest\x01x").unwrap();
    s.b.until("the end", |b| b.chardevs.quit_request().is_raised());
    assert_eq!(stops.load(Ordering::Relaxed), 1);
    assert_eq!(s.says(18), "QEMU: Terminated\n\r");
    s.b.room(d, 100);
    assert_eq!(s.b.received(d), "a hanging guest");
}

#[test]
fn held_input_is_bounded() {
    let mut s = shared();
    let d = s.b.attach_slow("s");
    s.c.set_nonblocking(true).unwrap();
    let mut sent = 0;
    s.b.until("the peer is held up", |b| {
        for _ in 0..50 {
            b.pump();
        }
        match s.c.write(&[b'k'; 4096]) {
            Ok(n) => {
                sent += n;
                assert!(sent < 8 << 20, "input has no bound");
                false
            }
            Err(_) => true,
        }
    });
    s.b.until("all arrived", |b| {
        b.room(d, 1 << 20);
        b.received(d).len() == sent
    });
}

#[test]
fn a_front_end_that_goes_gives_the_focus_back() {
    let mut s = shared();
    let (one, two) = (s.b.attach("s"), s.b.attach("s"));
    s.b.sys.remove_device(two);
    s.c.write_all(b"\x01cx").unwrap();
    s.b.until_received(one, "x");
}

#[test]
fn a_monitor_shares_through_a_handle() {
    let mut s = shared();
    let id = s.b.chardevs.get("s").unwrap();
    let rings = Arc::new(AtomicUsize::new(0));
    let count = rings.clone();
    let notify = Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let monitor = CharHandle::attach(&mut s.b.sys.host, id, Some(notify)).unwrap();
    let d = s.b.attach("s");
    s.c.write_all(b"guest\x01chelp\r").unwrap();
    s.b.until_received(d, "guest");
    let mut heard = Vec::new();
    s.b.until("the monitor's line", |_| {
        while let Some(e) = monitor.next() {
            if let CharEvent::Data { bytes, .. } = e {
                heard.extend(bytes);
            }
        }
        heard == b"help\r"
    });
    assert!(rings.load(Ordering::Relaxed) >= 2, "opened and data");
    assert_eq!(monitor.write(b"(qemu) "), 7);
    s.b.pump();
    assert_eq!(s.says(7), "(qemu) ");
}

#[test]
fn a_handle_never_runs_dry() {
    let mut s = shared();
    let id = s.b.chardevs.get("s").unwrap();
    let monitor = CharHandle::attach(&mut s.b.sys.host, id, None).unwrap();
    let mut c = s.c.try_clone().unwrap();
    let writer = std::thread::spawn(move || c.write_all(&vec![b'.'; 300_000]).unwrap());
    let mut heard = 0;
    s.b.until("all of it", |_| {
        while let Some(e) = monitor.next() {
            if let CharEvent::Data { bytes, .. } = e {
                heard += bytes.len();
            }
        }
        heard == 300_000
    });
    writer.join().unwrap();
}

#[test]
fn mux_over_another_chardev() {
    let mut b = Bench::new();
    b.open("ringbuf", "base", &[]);
    let m = b.open("mux", "m", &[("chardev", "base")]);
    assert_eq!(b.chardevs.get("base"), Some(m));
    let (one, two) = (b.attach("m"), b.attach("m"));
    b.write(one, b"one ");
    b.write(two, b"two");
    assert_eq!(b.chardev("base", |c| c.ringbuf_read(99)), Some(b"one two".to_vec()));
    assert_eq!(
        b.error("mux", &[("chardev", "basis")]),
        "[chardev] chardev=basis: expected the id of a chardev that stands before this one: base, m"
    );
    assert_eq!(
        b.error("mux", &[("chardev", "base")]),
        "[chardev] 'chardev' names 'base', which is in use already"
    );
}

#[test]
fn another_escape_character() {
    let mut b = Bench::new();
    b.chardevs.escape = 0x14;
    let (near, mut far) = UnixStream::pair().unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&near).to_string();
    b.open("socket", "s", &[("fd", &fd), ("mux", "on")]);
    let d = b.attach("s");
    far.write_all(b"\x01x\x14h.").unwrap();
    b.until_received(d, "\x01x.");
    let mut got = [0; 30];
    far.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"\n\rC-t h    print this help\n\rC-");
    assert!(!b.chardevs.quit_request().is_raised());
}
