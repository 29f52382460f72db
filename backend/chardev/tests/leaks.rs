//! Peers without end leave nothing behind. Alone in its file: it counts the descriptors of the whole process.

mod common;

use common::Bench;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_thousand_clients_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let mut b = Bench::new();
    b.open(
        "socket",
        "s",
        &[("path", path.to_str().unwrap()), ("server", "on"), ("wait", "off")],
    );
    let d = b.attach("s");
    let before = descriptors();
    for i in 0..1000 {
        let mut c = UnixStream::connect(&path).unwrap();
        c.write_all(b"x").unwrap();
        b.until("its byte", |b| b.probe(d, |p, _| p.received.len() == i + 1));
        if i % 3 == 0 {
            b.write(d, b"y");
            c.read_exact(&mut [0]).unwrap();
        }
        drop(c);
        b.until("its end", |b| !b.chardev("s", |c| c.is_open()));
    }
    b.pump();
    assert_eq!(descriptors(), before);
    let events = b.events(d);
    assert_eq!(events.iter().filter(|e| **e == "opened").count(), 1000);
    assert_eq!(events.iter().filter(|e| **e == "closed").count(), 1000);
    b.close();
    drop(b);
    assert!(descriptors() < before);
}
