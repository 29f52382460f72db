//! Filters between a NIC that is the test and a back end that is the test, too.

use southbridge_backend_chardev::testing::Loop as CharLoop;
use southbridge_core::host::BackendId;
use southbridge_core::{ClockRate, System};
use std::time::Duration;

use super::wire::Parser;
use super::{FilterError, PlaceError, Position, Ways, Wish, Work, add, remove};
use crate::testing::Loop;
use crate::{NetHandle, Netdev, Packet};

struct Bench {
    sys: System,
    netdev: BackendId,
    host: Loop,
    nic: NetHandle,
}

const TO_HOST: &[u8] = &[1; 60];
const TO_NIC: &[u8] = &[2; 60];

impl Bench {
    fn new() -> Self {
        let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
        let (netdev, host) = Loop::new(&mut sys);
        let nic = NetHandle::attach(&mut sys.host, netdev, None).unwrap();
        Self { sys, netdev, host, nic }
    }

    fn settle(&mut self) {
        for _ in 0..8 {
            self.sys.host.wait(Some(Duration::ZERO)).unwrap();
        }
    }

    fn add(&mut self, id: &str, work: Work<'_>, ways: Ways) {
        self.add_at(id, work, ways, Position::Tail).unwrap();
    }

    fn add_at(&mut self, id: &str, work: Work<'_>, ways: Ways, position: Position<'_>) -> Result<(), FilterError> {
        let wish = Wish {
            id,
            work,
            ways,
            on: true,
            position,
        };
        add(&mut self.sys.host, self.netdev, &wish)
    }

    /// One frame each way; what arrived at host and NIC.
    fn exchange(&mut self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        assert!(self.nic.send(Packet::plain(TO_HOST)));
        self.host.feed(TO_NIC);
        self.settle();
        self.arrived()
    }

    fn arrived(&mut self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        (self.host.take(), std::iter::from_fn(|| self.nic.take()).collect())
    }
}

fn records(file: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut rest = &file[24..];
    let mut out = Vec::new();
    while !rest.is_empty() {
        let word = |i: usize| u32::from_le_bytes(rest[i..i + 4].try_into().unwrap()) as usize;
        let (kept, length) = (word(8), word(12));
        out.push((length, rest[16..16 + kept].to_vec()));
        rest = &rest[16 + kept..];
    }
    out
}

#[test]
fn a_capture_has_all_frames_cut_to_length() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pcap");
    let mut b = Bench::new();
    let dump = Work::Dump {
        file: &file,
        max_len: 16,
    };
    b.add("f", dump, Ways::All);
    let (host, nic) = b.exchange();
    assert_eq!((host, nic), (vec![TO_HOST.to_vec()], vec![TO_NIC.to_vec()]));
    let mut found = records(&std::fs::read(&file).unwrap());
    found.sort();
    assert_eq!(found, [(60, vec![1; 16]), (60, vec![2; 16])]);
}

#[test]
fn a_filter_sees_the_ways_that_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut b = Bench::new();
    for (name, ways) in [("rx", Ways::Rx), ("tx", Ways::Tx)] {
        let work = Work::Dump {
            file: &path(name),
            max_len: 100,
        };
        b.add(name, work, ways);
    }
    b.exchange();
    // What the back end receives is what the NIC sends.
    assert_eq!(records(&std::fs::read(path("rx")).unwrap()), [(60, TO_HOST.to_vec())]);
    assert_eq!(records(&std::fs::read(path("tx")).unwrap()), [(60, TO_NIC.to_vec())]);
}

#[test]
fn a_filter_that_is_off_or_gone_sees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pcap");
    let mut b = Bench::new();
    let wish = Wish {
        id: "f",
        work: Work::Dump {
            file: &file,
            max_len: 100,
        },
        ways: Ways::All,
        on: false,
        position: Position::Tail,
    };
    add(&mut b.sys.host, b.netdev, &wish).unwrap();
    b.exchange();
    assert!(remove(&mut b.sys.host, b.netdev, "f"));
    assert!(!remove(&mut b.sys.host, b.netdev, "f"));
    b.exchange();
    assert_eq!(std::fs::read(&file).unwrap().len(), 24);
}

#[test]
fn filters_stand_where_they_are_put() {
    let mut b = Bench::new();
    let buffer = Work::Replay;
    b.add_at("b", buffer, Ways::All, Position::Tail).unwrap();
    b.add_at("d", buffer, Ways::All, Position::Tail).unwrap();
    b.add_at("a", buffer, Ways::All, Position::Head).unwrap();
    b.add_at("c", buffer, Ways::All, Position::Behind("b")).unwrap();
    b.add_at("e", buffer, Ways::All, Position::Before("b")).unwrap();
    let (netdev, _) = b.sys.host.get::<Netdev>(b.netdev).unwrap();
    // The tail is at the NIC's side.
    let row: Vec<_> = netdev.filter_ids().map(str::to_owned).collect();
    assert_eq!(row, ["d", "c", "b", "e", "a"]);
    let gone = b.add_at("x", buffer, Ways::All, Position::Behind("nobody"));
    assert_eq!(gone, Err(FilterError::Place(PlaceError::NoFilter("nobody".into()))));
}

#[test]
fn a_buffer_lets_frames_go_together_and_none_stays_behind() {
    let mut b = Bench::new();
    // Long enough that no machine under test is so slow.
    b.add("f", Work::Buffer(Duration::from_secs(3600)), Ways::All);
    let (host, nic) = b.exchange();
    assert_eq!((host.len(), nic.len()), (0, 0));
    b.exchange();
    assert!(remove(&mut b.sys.host, b.netdev, "f"));
    b.settle();
    let (host, nic) = b.arrived();
    assert_eq!((host.len(), nic.len()), (2, 2));
}

#[test]
fn a_buffer_lets_go_by_itself() {
    let mut b = Bench::new();
    b.add("f", Work::Buffer(Duration::from_millis(1)), Ways::Rx);
    assert!(b.nic.send(Packet::plain(TO_HOST)));
    let mut host = Vec::new();
    while host.is_empty() {
        b.sys.host.wait(None).unwrap();
        host = b.host.take();
    }
    assert_eq!(host, [TO_HOST]);
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let mut out = (frame.len() as u32).to_be_bytes().to_vec();
    out.extend(frame);
    out
}

#[test]
fn a_mirror_copies_and_a_slow_reader_costs_nothing() {
    let mut b = Bench::new();
    let (to, reader) = CharLoop::new(&mut b.sys);
    b.settle();
    b.add("f", Work::Mirror { to, with_header: false }, Ways::Tx);
    b.settle();
    let (host, nic) = b.exchange();
    assert_eq!((host.len(), nic.len()), (1, 1));
    assert_eq!(reader.take(), framed(TO_NIC));
    // Nobody reads any more: the frames of the machine go on, and what the reader gets later are whole frames.
    reader.accept(Some(10));
    for _ in 0..20_000 {
        b.host.feed(TO_NIC);
        if b.host.waiting() > 100 {
            b.settle();
            assert!(b.arrived().1.iter().all(|f| f == TO_NIC));
        }
    }
    b.settle();
    reader.accept(None);
    b.settle();
    let mut bytes = reader.take();
    let mut count = 0;
    let mut parser = Parser::new(false);
    parser.feed(&std::mem::take(&mut bytes), &mut |f| {
        assert_eq!(f, TO_NIC);
        count += 1;
    });
    assert!((1..20_000).contains(&count), "{count}");
}

#[test]
fn a_redirector_takes_frames_out_and_puts_others_in() {
    let mut b = Bench::new();
    let (to, reader) = CharLoop::new(&mut b.sys);
    let (from, writer) = CharLoop::new(&mut b.sys);
    let work = Work::Redirect {
        to: Some(to),
        from: Some(from),
        with_header: false,
    };
    b.add("f", work, Ways::Rx);
    b.settle();
    let (host, nic) = b.exchange();
    assert_eq!((host.len(), nic.len()), (0, 1));
    assert_eq!(reader.take(), framed(TO_HOST));
    let bytes = [framed(b"in pieces"), framed(b"and two")].concat();
    for byte in &bytes {
        writer.feed(&[*byte]);
        b.settle();
    }
    assert_eq!(b.arrived().0, [b"in pieces".to_vec(), b"and two".to_vec()]);
    // With its reader gone a redirector is none.
    reader.disconnect();
    b.settle();
    assert_eq!(b.exchange().0, [TO_HOST]);
}

#[test]
fn a_stream_that_makes_no_sense_gives_nothing_and_keeps_nothing() {
    for bytes in [&[0xff; 40][..], &[0; 40], &[0, 0, 0, 4, 0, 0, 0, 5, 1, 2, 3, 4]] {
        let mut p = Parser::new(true);
        p.feed(bytes, &mut |_| panic!("a frame"));
        p.feed(&framed(b"late"), &mut |_| panic!("a frame"));
        assert!(format!("{p:?}").contains("partial: []"), "{p:?}");
        p.restart();
        let mut got = Vec::new();
        p.feed(&[0, 0, 0, 12, 0, 0, 0, 10], &mut |f| got.push(f.to_vec()));
        p.feed(&[0; 10], &mut |f| got.push(f.to_vec()));
        p.feed(b"ok", &mut |f| got.push(f.to_vec()));
        assert_eq!(got, [b"ok"]);
    }
}

#[test]
fn a_rewriter_takes_part_in_the_row() {
    let mut b = Bench::new();
    b.add("f", Work::Rewrite, Ways::All);
    let segment = |from: u8, flags: u8, sequence: u8, acknowledged: u8| {
        let mut f = vec![0; 12];
        f.extend([
            8,
            0,
            0x45,
            0,
            0,
            40,
            0,
            0,
            0,
            0,
            64,
            6,
            0,
            0,
            10,
            0,
            0,
            from,
            10,
            0,
            0,
            3 - from,
        ]);
        f.extend([
            from,
            0,
            3 - from,
            0,
            0,
            0,
            0,
            sequence,
            0,
            0,
            0,
            acknowledged,
            0x50,
            flags,
            1,
            0,
            0,
            0,
            0,
            0,
        ]);
        southbridge_protocol_packet::checksum::refill(&mut f).unwrap();
        f
    };
    // The guest begins at 100, and the one that the peer knows at 30.
    assert!(b.nic.send(Packet::plain(&segment(1, 0x12, 100, 8))));
    b.settle();
    b.host.feed(&segment(2, 0x10, 8, 31));
    b.settle();
    assert!(b.nic.send(Packet::plain(&segment(1, 0x10, 101, 8))));
    // What is no TCP goes by.
    let (host, nic) = b.exchange();
    let expected = [segment(1, 0x12, 100, 8), segment(1, 0x10, 31, 8), TO_HOST.to_vec()];
    assert_eq!(host, expected);
    assert_eq!(nic, [segment(2, 0x10, 8, 101), TO_NIC.to_vec()]);
}
