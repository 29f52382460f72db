//! A driver's view of sockets, and a program's of the host.

use southbridge_bus_virtio::testing::Guest;
use southbridge_core::{DeviceType, PropValue, Properties};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use super::TYPES;
use super::regs::*;
use super::state::CREDIT;

const CID: u64 = 42;

fn device_type() -> &'static DeviceType {
    TYPES.iter().find(|t| t.name == "vhost-vsock-device").expect("a type")
}

struct Bench {
    g: Guest,
    folder: tempfile::TempDir,
}

fn make(path: PathBuf) -> Guest {
    let p = Properties::default()
        .with("guest-cid", PropValue::Uint(CID))
        .with("uds", PropValue::Str(path.display().to_string()));
    Guest::new(device_type(), p)
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut g = make(folder.path().join("v"));
        g.start(0);
        let mut this = Self { g, folder };
        this.buffers(64);
        this
    }

    fn path(&self, port: Option<u32>) -> PathBuf {
        let name = port.map_or_else(|| "v".to_owned(), |p| format!("v_{p}"));
        self.folder.path().join(name)
    }

    fn buffers(&mut self, n: usize) {
        for _ in 0..n {
            self.g.add(RX, &[], &[4096]);
        }
        self.g.kick(RX);
    }

    /// Sends a packet of the guest: port of the host, port of the guest.
    fn send(&mut self, (host, guest): (u32, u32), op: u16, flags: u32, data: &[u8]) {
        let h = Header {
            src_cid: CID,
            dst_cid: HOST_CID,
            src_port: guest,
            dst_port: host,
            len: data.len() as u32,
            kind: TYPE_STREAM,
            op,
            flags,
            buf_alloc: 10_000,
            fwd_cnt: 0,
        };
        self.send_header(&h, data);
    }

    fn send_header(&mut self, h: &Header, data: &[u8]) {
        let bytes = h.bytes();
        let parts: &[&[u8]] = if data.is_empty() { &[&bytes] } else { &[&bytes, data] };
        self.g.request(TX, parts, &[]);
    }

    fn packet(&mut self) -> Option<(Header, Vec<u8>)> {
        let used = self.g.used(RX)?;
        let header = Header::read(used.data.first_chunk().expect("a header"));
        assert_eq!(
            (header.src_cid, header.dst_cid, header.kind),
            (HOST_CID, CID, TYPE_STREAM)
        );
        assert_eq!(used.data.len(), HEADER_LEN + header.len as usize);
        Some((header, used.data[HEADER_LEN..].to_vec()))
    }

    fn wait_packet(&mut self) -> (Header, Vec<u8>) {
        let mut found = None;
        while found.is_none() {
            self.g.poll(Duration::from_millis(20));
            found = self.packet();
        }
        found.expect("a packet")
    }

    /// A stream from a port of the guest to one of the host, with its other end.
    fn connected(&mut self, ports: (u32, u32)) -> UnixStream {
        let listener = UnixListener::bind(self.path(Some(ports.0))).expect("a listener");
        self.send(ports, OP_REQUEST, 0, &[]);
        let (answer, _) = self.packet().expect("an answer");
        assert_eq!(
            (answer.op, answer.src_port, answer.dst_port),
            (OP_RESPONSE, ports.0, ports.1)
        );
        assert_eq!(answer.buf_alloc, CREDIT);
        listener.accept().expect("a connection").0
    }
}

#[test]
fn a_guest_reaches_a_listener_and_back() {
    let mut b = Bench::new();
    assert_eq!(b.g.drive(|e, _| (e.config_read(0, 8), e.config_len())), (CID, 8));
    let ports = (5000, 99);
    let mut host = b.connected(ports);
    b.send(ports, OP_RW, 0, b"hello");
    let mut got = [0; 5];
    host.read_exact(&mut got).expect("data");
    assert_eq!(&got, b"hello");
    host.write_all(b"you too").expect("written");
    let (h, data) = b.wait_packet();
    assert_eq!((h.op, h.fwd_cnt, data.as_slice()), (OP_RW, 5, &b"you too"[..]));
    // The host says that it has no more; the guest goes on, and then ends it.
    host.shutdown(std::net::Shutdown::Write).expect("half closed");
    let (h, _) = b.wait_packet();
    assert_eq!((h.op, h.flags), (OP_SHUTDOWN, SHUTDOWN_SEND));
    b.send(ports, OP_RW, 0, b"more");
    let mut got = [0; 4];
    host.read_exact(&mut got).expect("data");
    b.send(ports, OP_SHUTDOWN, SHUTDOWN_SEND | SHUTDOWN_RCV, &[]);
    assert_eq!(b.packet().map(|p| p.0.op), Some(OP_RST));
    assert_eq!(host.read(&mut got).expect("the end"), 0);
}

#[test]
fn a_program_of_the_host_reaches_a_port_of_the_guest() {
    let mut b = Bench::new();
    let mut host = UnixStream::connect(b.path(None)).expect("a listener");
    host.write_all(b"CONNECT 1234\nearly").expect("written");
    let (h, _) = b.wait_packet();
    assert_eq!((h.op, h.dst_port, h.src_port), (OP_REQUEST, 1234, 1 << 30));
    let ports = (h.src_port, h.dst_port);
    b.send(ports, OP_RESPONSE, 0, &[]);
    let (h, data) = b.wait_packet();
    assert_eq!((h.op, data.as_slice()), (OP_RW, &b"early"[..]));
    b.send(ports, OP_RW, 0, b"answer");
    let mut got = [0; 20];
    host.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let n = host.read(&mut got).expect("data");
    assert_eq!(&got[..n], b"OK 1073741824\nanswer");
    drop(host);
    let (h, _) = b.wait_packet();
    assert_eq!(h.op, OP_SHUTDOWN);
}

#[test]
fn refusals() {
    let mut b = Bench::new();
    let rst = |b: &mut Bench| b.packet().map(|(h, _)| (h.op, h.src_port, h.dst_port));
    // Nobody listens there.
    b.send((77, 1), OP_REQUEST, 0, &[]);
    assert_eq!(rst(&mut b), Some((OP_RST, 77, 1)));
    // No such stream; packets with borders; no such operation.
    b.send((77, 1), OP_RW, 0, b"x");
    assert_eq!(rst(&mut b), Some((OP_RST, 77, 1)));
    let seqpacket = Header {
        src_cid: CID,
        dst_cid: HOST_CID,
        kind: 2,
        op: OP_REQUEST,
        ..Header::default()
    };
    b.send_header(&seqpacket, &[]);
    assert_eq!(b.g.used(RX).map(|u| u.data[30]), Some(OP_RST as u8));
    // From and to others, and RST for nothing: silence.
    let strange = Header {
        src_cid: 7,
        ..seqpacket
    };
    b.send_header(&strange, &[]);
    b.send((77, 1), OP_RST, 0, &[]);
    // Less than a header, and less data than it says.
    b.g.request(TX, &[b"short"], &[]);
    let liar = Header {
        op: OP_RW,
        len: 100,
        kind: 1,
        ..seqpacket
    };
    b.send_header(&liar, &[1; 10]);
    assert_eq!(rst(&mut b), None);
    assert!(!b.g.needs_reset());
    // A program that says nonsense is sent away.
    let mut host = UnixStream::connect(b.path(None)).expect("a listener");
    host.write_all(b"GET / HTTP/1.1\r\n").expect("written");
    b.g.poll(Duration::from_millis(20));
    b.g.poll(Duration::from_millis(20));
    host.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    assert!(matches!(host.read(&mut [0; 4]), Ok(0) | Err(_)));
}

#[test]
fn the_guest_keeps_to_its_credit() {
    let mut b = Bench::new();
    let ports = (6000, 1);
    let mut host = b.connected(ports);
    let piece = vec![7; 16 * 1024];
    // The host's own buffer takes some; then the credit is used up, and nothing is lost.
    let mut sent = 0;
    let mut told = 0;
    let refused = loop {
        assert!(sent < 64 << 20, "credit has an end");
        while let Some((h, _)) = b.packet() {
            if h.op == OP_RST {
                break;
            }
            told = h.fwd_cnt;
            b.buffers(1);
        }
        if sent - told as usize + piece.len() > CREDIT as usize {
            break sent;
        }
        b.send(ports, OP_RW, 0, &piece);
        sent += piece.len();
    };
    let mut got = 0;
    let mut buffer = [0; 65536];
    host.set_nonblocking(true).expect("a mode");
    while got < refused {
        match host.read(&mut buffer) {
            Ok(n) => got += n,
            Err(_) => b.g.poll(Duration::from_millis(5)),
        }
    }
    assert_eq!(got, sent);
    let (h, _) = b.wait_packet();
    assert_eq!(h.op, OP_CREDIT_UPDATE);
    // Beyond it the stream ends.
    for _ in 0..40 {
        b.send(ports, OP_RW, 0, &piece);
    }
    let ops: Vec<u16> = std::iter::from_fn(|| b.packet()).map(|p| p.0.op).collect();
    assert!(ops.contains(&OP_RST));
}

#[test]
fn the_host_keeps_to_the_guests() {
    let mut b = Bench::new();
    let ports = (6001, 1);
    let mut host = b.connected(ports);
    host.set_nonblocking(true).expect("a mode");
    let _ = host.write(&[3; 60_000]);
    let mut got = 0;
    for _ in 0..40 {
        b.g.poll(Duration::from_millis(1));
        while let Some((h, _)) = b.packet() {
            got += h.len;
            b.buffers(1);
        }
    }
    assert_eq!(got, 10_000, "what the guest has said that it takes");
    let more = Header {
        src_cid: CID,
        dst_cid: HOST_CID,
        src_port: 1,
        dst_port: 6001,
        kind: TYPE_STREAM,
        op: OP_CREDIT_UPDATE,
        buf_alloc: 10_000,
        fwd_cnt: 10_000,
        ..Header::default()
    };
    b.send_header(&more, &[]);
    let mut again = 0;
    while again < 10_000 {
        again += b.wait_packet().0.len;
        b.buffers(1);
    }
    assert_eq!(again, 10_000);
}

#[test]
fn a_reset_closes_all_and_a_move_tells_the_guest() {
    let mut b = Bench::new();
    let mut host = b.connected((7000, 3));
    b.g.set_status(0);
    assert_eq!(host.read(&mut [0; 4]).expect("the end"), 0);
    b.g.start(0);
    b.buffers(8);
    let mut host = b.connected((7001, 3));
    b.g.add(EVENT, &[], &[16]);
    b.g.kick(EVENT);
    assert!(b.g.used(EVENT).is_none());
    let other = make(b.folder.path().join("other"));
    let mut g = b.g.move_to(other);
    assert_eq!(
        g.used(EVENT).map(|u| u.data),
        Some(EVENT_TRANSPORT_RESET.to_le_bytes().to_vec())
    );
    assert_eq!(host.read(&mut [0; 4]).expect("the end"), 0);
}

#[test]
fn properties_are_checked() {
    for cid in [0, 2, u64::from(u32::MAX)] {
        let p = Properties::default().with("guest-cid", PropValue::Uint(cid));
        let e = southbridge_bus_virtio::testing::system()
            .add_device(device_type(), None, p, &[])
            .expect_err("refused")
            .to_string();
        assert_eq!(
            e,
            format!("'guest-cid' cannot be '{cid}'; it takes a number from 3 to 4294967294")
        );
    }
}
