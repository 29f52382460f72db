//! A driver's view of the disk.

use southbridge_backend_block::{BlockBackend, Blocks, IoThread};
use southbridge_bus_virtio::spec::feature as ring_feature;
use southbridge_bus_virtio::testing::{Buffer, Guest, Used, system};
use southbridge_core::{DeviceType, PropValue, Properties, property};
use std::fs;
use std::path::Path;

use super::regs::{config, feature, request, status};

mod threads;

const SECTOR: usize = 512;
const ALL: u64 = !ring_feature::IN_ORDER & !ring_feature::ACCESS_PLATFORM & !ring_feature::RING_PACKED;

fn device_type() -> &'static DeviceType {
    super::TYPES.iter().find(|t| t.name == "virtio-blk-device").unwrap()
}

/// A guest with a disk, and the nodes of the machine.
struct Bench {
    guest: Guest,
    blocks: Blocks,
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |p: &str| p.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
    text.split(',').filter_map(pair).collect()
}

fn properties(text: &str) -> Properties {
    let mut p = Properties::default();
    for (name, value) in pairs(text) {
        let declared = device_type().properties.iter().find(|d| d.name == name).unwrap();
        p.set(declared.name, property::parse_value(declared.kind, &value).unwrap());
    }
    p
}

impl Bench {
    /// A disk `d` of these options, with a device of these properties; not started.
    fn bare(node: &str, device: &str) -> Self {
        let mut sys = system();
        let mut blocks = Blocks::default();
        IoThread::add(&mut sys.host, "t0").unwrap();
        blocks
            .add(&mut sys.host, &pairs(&format!("node-name=d,{node}")))
            .unwrap();
        let mut p = properties(device);
        p.set("drive", PropValue::Backend("d".into(), blocks.get("d").unwrap()));
        let guest = Guest::on(sys, device_type(), p);
        Self { guest, blocks }
    }

    fn new(node: &str, device: &str) -> Self {
        let mut this = Self::bare(node, device);
        this.guest.start(ALL);
        this
    }

    fn file(path: &Path, device: &str) -> Self {
        Self::new(&format!("driver=file,filename={}", path.display()), device)
    }

    fn read(&mut self, sector: u64, len: usize) -> (Vec<u8>, u8) {
        split(self.guest.request(0, &[&header(request::IN, sector)], &[len as u32, 1]))
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> u8 {
        let head = header(request::OUT, sector);
        split(self.guest.request(0, &[&head, data], &[1])).1
    }

    fn plain(&mut self, kind: u32, data: &[u8]) -> u8 {
        let head = header(kind, 0);
        let parts: &[&[u8]] = if data.is_empty() { &[&head] } else { &[&head, data] };
        split(self.guest.request(0, parts, &[1])).1
    }

    fn config(&mut self, at: usize, size: u8) -> u64 {
        self.guest.drive(|e, _| e.config_read(at as u64, size))
    }

    fn stats(&mut self) -> southbridge_backend_block::Stats {
        let id = self.blocks.get("d").unwrap();
        self.guest.sys.host.peek::<BlockBackend>(id).unwrap().stats()
    }
}

fn header(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat()
}

fn segment(sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
    [&sector.to_le_bytes()[..], &sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
}

/// What was read, and the status behind it.
fn split(mut used: Used) -> (Vec<u8>, u8) {
    let status = used.data.pop().unwrap();
    (used.data, status)
}

fn image(folder: &tempfile::TempDir, sectors: usize) -> std::path::PathBuf {
    let path = folder.path().join("image");
    let data: Vec<u8> = (0..sectors * SECTOR).map(|i| (i / SECTOR) as u8).collect();
    fs::write(&path, data).unwrap();
    path
}

#[test]
fn what_is_written_is_read_on_every_ring() {
    let folder = tempfile::tempdir().unwrap();
    for features in [
        0,
        ring_feature::EVENT_IDX,
        ring_feature::RING_PACKED,
        ring_feature::RING_PACKED | ring_feature::IN_ORDER,
    ] {
        let path = image(&folder, 64);
        let mut b = Bench::bare(
            &format!("driver=file,filename={}", path.display()),
            "packed=on,in_order=on",
        );
        let got = b.guest.start(features | feature::FLUSH);
        assert_eq!(got & ring_feature::RING_PACKED, features & ring_feature::RING_PACKED);
        for indirect in [false, true] {
            b.guest.indirect = indirect && got & ring_feature::INDIRECT_DESC != 0;
            assert_eq!(
                b.read(9, 2 * SECTOR),
                ([[9; SECTOR], [10; SECTOR]].concat(), status::OK)
            );
            assert_eq!(b.write(9, &[0xaa; SECTOR]), status::OK);
            assert_eq!(b.plain(request::FLUSH, &[]), status::OK);
            assert_eq!(fs::read(&path).unwrap()[9 * SECTOR..10 * SECTOR], [0xaa; SECTOR]);
            assert_eq!(b.write(9, &[9; SECTOR]), status::OK);
        }
    }
}

#[test]
fn many_requests_at_once_each_get_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 256);
    let mut b = Bench::file(&path, "queue-size=1024,num-queues=4");
    for queue in 0..4 {
        let ids: Vec<_> = (0..200u64)
            .map(|i| {
                (
                    b.guest.add(queue, &[&header(request::IN, i)], &[SECTOR as u32, 1]),
                    i as u8,
                )
            })
            .collect();
        b.guest.kick(queue);
        for _ in &ids {
            let used = b.guest.wait_used(queue);
            let (_, number) = ids.iter().find(|(id, _)| *id == used.id).unwrap();
            assert_eq!(split(used), (vec![*number; SECTOR], status::OK));
        }
    }
}

#[test]
fn the_configuration_says_what_the_disk_is() {
    let mut b = Bench::new(
        "driver=null-co,size=1000K",
        "logical_block_size=1024,physical_block_size=4096,min_io_size=8192,opt_io_size=65536,num-queues=3,queue-size=64,\
         max-discard-sectors=100,discard_granularity=2048",
    );
    let expect = [
        (config::CAPACITY, 8, 2000),
        (config::SEG_MAX, 4, 62),
        (config::BLK_SIZE, 4, 1024),
        (config::PHYSICAL_BLOCK_EXP, 1, 2),
        (config::MIN_IO_SIZE, 2, 8),
        (config::OPT_IO_SIZE, 4, 64),
        (config::WRITEBACK, 1, 1),
        (config::NUM_QUEUES, 2, 3),
        (config::MAX_DISCARD_SECTORS, 4, 100),
        (config::MAX_DISCARD_SEG, 4, 1),
        (config::DISCARD_SECTOR_ALIGNMENT, 4, 4),
        (config::MAX_WRITE_ZEROES_SECTORS, 4, 4194303),
        (config::WRITE_ZEROES_MAY_UNMAP, 1, 1),
    ];
    for (at, size, value) in expect {
        assert_eq!(b.config(at, size), value, "at {at}");
    }
    assert_eq!(b.guest.drive(|e, _| e.config_len()), 57);
    assert_eq!(b.read(1, 1024).1, status::IOERR, "not at a block");
    assert_eq!(b.read(2, 512).1, status::IOERR, "not a whole block");
    assert_eq!(b.read(2, 1024).1, status::OK);
    let mut bare = Bench::bare("driver=null-co", "discard=off,write-zeroes=off");
    assert_eq!(bare.guest.drive(|e, _| e.config_len()), 36);
    assert_eq!(bare.guest.start(ALL) & (feature::DISCARD | feature::WRITE_ZEROES), 0);
    assert_eq!(bare.plain(request::DISCARD, &segment(0, 1, 0)), status::UNSUPP);
}

#[test]
fn the_serial_number_is_twenty_bytes_at_most() {
    for (serial, answer) in [
        ("abc", &b"abc\0"[..]),
        ("12345678901234567890", b"12345678901234567890"),
        ("123456789012345678901234", b"12345678901234567890"),
    ] {
        let mut b = Bench::new("driver=null-co", &format!("serial={serial}"));
        let (id, status) = split(b.guest.request(0, &[&header(request::GET_ID, 0)], &[20, 1]));
        assert_eq!((&id[..answer.len()], status), (answer, status::OK));
        let (id, _) = split(b.guest.request(0, &[&header(request::GET_ID, 0)], &[2, 1]));
        assert_eq!(
            id,
            serial.as_bytes()[..2],
            "a short buffer gets as much as it has room for"
        );
    }
}

#[test]
fn stretches_are_given_back_or_made_zero() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 256);
    let mut b = Bench::new(
        &format!("driver=file,filename={},discard=unmap", path.display()),
        "max-discard-sectors=64",
    );
    let zero =
        |path: &Path, sector: usize| fs::read(path).unwrap()[sector * SECTOR..(sector + 8) * SECTOR] == [0; 8 * SECTOR];
    assert_eq!(b.plain(request::DISCARD, &segment(8, 8, 0)), status::OK);
    assert_eq!(b.plain(request::WRITE_ZEROES, &segment(24, 8, 0)), status::OK);
    assert_eq!(b.plain(request::WRITE_ZEROES, &segment(40, 8, 1)), status::OK);
    assert!(zero(&path, 8) && zero(&path, 24) && zero(&path, 40) && !zero(&path, 16));
    let before = fs::read(&path).unwrap();
    for (kind, data, expect) in [
        (request::DISCARD, segment(0, 8, 1), status::UNSUPP),
        (request::DISCARD, segment(0, 8, 2), status::UNSUPP),
        (request::WRITE_ZEROES, segment(0, 8, 2), status::UNSUPP),
        (request::DISCARD, segment(0, 65, 0), status::IOERR),
        (request::DISCARD, segment(256, 1, 0), status::IOERR),
        (request::WRITE_ZEROES, segment(250, 7, 0), status::IOERR),
        (request::WRITE_ZEROES, segment(u64::MAX, 1, 0), status::IOERR),
        (
            request::DISCARD,
            [segment(0, 1, 0), segment(1, 1, 0)].concat(),
            status::UNSUPP,
        ),
        (request::DISCARD & !request::OUT, segment(0, 8, 0), status::UNSUPP),
    ] {
        assert_eq!(b.plain(kind, &data), expect, "{kind} {data:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn requests_that_make_no_sense_fail_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut b = Bench::file(&path, "");
    let before = fs::read(&path).unwrap();
    assert_eq!(b.read(64, SECTOR).1, status::IOERR, "behind the end");
    assert_eq!(b.read(63, 2 * SECTOR).1, status::IOERR, "over the end");
    assert_eq!(b.read(u64::MAX, SECTOR).1, status::IOERR);
    assert_eq!(b.read(0, 100).1, status::IOERR, "no whole sector");
    assert_eq!(b.write(64, &[0; SECTOR]), status::IOERR);
    assert_eq!(b.write(63, &[0; 2 * SECTOR]), status::IOERR);
    assert_eq!(b.write(0, &[0; SECTOR + 1]), status::IOERR);
    let stats = b.stats();
    assert_eq!((stats.read.invalid, stats.write.invalid), (4, 3));
    for kind in [5u32, 7, 9, 15, 16, 18, 26, 1000] {
        let expected = if kind == 5 || kind == 9 {
            status::OK
        } else {
            status::UNSUPP
        };
        assert_eq!(
            b.plain(kind, &[]),
            expected,
            "{kind}: a flush or id whatever the direction; the rest is unknown"
        );
    }
    assert_eq!(
        b.plain(request::FLUSH | request::BARRIER, &[]),
        status::OK,
        "barriers are no matter"
    );
    assert_eq!(
        b.plain(request::SCSI_CMD, &[]),
        status::IOERR,
        "SCSI with too few buffers"
    );
    let head = header(request::SCSI_CMD, 0);
    let scsi = b.guest.request(0, &[&head, &[0; 6]], &[96, 16, 1]);
    assert_eq!(
        (&scsi.data[96..100], scsi.data[112]),
        (&[255, 0, 0, 0][..], status::UNSUPP)
    );
    assert_eq!(b.plain(request::IN, &[]), status::OK, "nothing can be read");
    assert!(!b.guest.needs_reset());
    assert_eq!(fs::read(&path).unwrap(), before, "nothing was written");
}

#[test]
fn requests_without_a_form_end_the_device_until_its_reset() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut b = Bench::file(&path, "");
    let head = header(request::IN, 0);
    let dead = |b: &mut Bench, what: &str| {
        b.guest.kick(0);
        b.guest.poll(std::time::Duration::ZERO);
        assert!(b.guest.needs_reset(), "{what}");
        b.guest.start(ALL);
        assert_eq!(
            b.read(3, SECTOR),
            (vec![3; SECTOR], status::OK),
            "after the reset, {what}"
        );
    };
    b.guest.add(0, &[&head], &[]);
    dead(&mut b, "no room for a status");
    b.guest.add(0, &[], &[SECTOR as u32, 1]);
    dead(&mut b, "no header");
    b.guest.add(0, &[&head[..15]], &[1]);
    dead(&mut b, "a short header");
    b.guest.add(0, &[&header(request::DISCARD, 0), &[0; 15]], &[1]);
    dead(&mut b, "a short segment");
    b.guest
        .add_buffers(0, &[Buffer::readable(0x10, 16), Buffer::writable(0x20, 1)]);
    dead(&mut b, "a header in no memory");
    let at = b.guest.alloc(16);
    b.guest.write(at, &header(request::OUT, 0));
    let status_at = b.guest.alloc(1);
    let nowhere = [
        Buffer::readable(at, 16),
        Buffer::readable(0x1000, 512),
        Buffer::writable(status_at, 1),
    ];
    b.guest.add_buffers(0, &nowhere);
    dead(&mut b, "data in no memory");
}

#[test]
fn data_may_be_divided_in_any_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut b = Bench::file(&path, "");
    let head = header(request::OUT, 5);
    let data: Vec<u8> = (0..1024).map(|i| i as u8).collect();
    let used = b.guest.request(
        0,
        &[&head[..3], &head[3..], &data[..1], &data[1..700], &data[700..]],
        &[1],
    );
    assert_eq!(used.data, [status::OK]);
    assert_eq!(fs::read(&path).unwrap()[5 * SECTOR..7 * SECTOR], data);
    let all = [&head[..], &data].concat();
    assert_eq!(
        b.guest.request(0, &[&all], &[1]).data,
        [status::OK],
        "header and data in one"
    );
    let (read, status) = split(b.guest.request(0, &[&header(request::IN, 5)], &[100, 900, 25]));
    assert_eq!((&read[..], status), (&data[..], status::OK), "data and status in one");
}

#[test]
fn long_requests_are_done_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 1);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(8 << 20)
        .unwrap();
    let mut b = Bench::file(&path, "");
    let data: Vec<u8> = (0..5 << 20).map(|i: u32| (i >> 8) as u8 ^ i as u8).collect();
    assert_eq!(b.write(2, &data), status::OK);
    assert_eq!(fs::read(&path).unwrap()[1024..1024 + data.len()], data);
    assert_eq!(b.read(2, data.len()), (data, status::OK));
    assert_eq!((b.stats().read.operations, b.stats().write.operations), (3, 3));
}

#[test]
fn who_has_the_write_cache_on() {
    let mut b = Bench::bare("driver=null-co", "");
    let got = b.guest.start(feature::FLUSH | feature::CONFIG_WCE);
    assert_eq!(
        got & (feature::FLUSH | feature::CONFIG_WCE),
        feature::FLUSH | feature::CONFIG_WCE
    );
    assert_eq!(b.config(config::WRITEBACK, 1), 1);
    b.guest
        .drive(|e, cx| e.config_write(config::WRITEBACK as u64, 1, 0, cx));
    assert_eq!(b.config(config::WRITEBACK, 1), 0);
    b.guest.drive(|e, cx| e.config_write(0, 4, 99, cx));
    assert_eq!(b.config(config::CAPACITY, 4), 1 << 21, "nothing else can be written");
    b.guest.start(feature::FLUSH | feature::CONFIG_WCE);
    assert_eq!(b.config(config::WRITEBACK, 1), 1, "a reset takes it back");
    b.guest.start(0);
    assert_eq!(
        b.config(config::WRITEBACK, 1),
        0,
        "a driver that cannot flush has no cache"
    );
    let mut off = Bench::bare("driver=null-co", "write-cache=off,config-wce=off");
    assert_eq!(off.guest.start(ALL) & (feature::FLUSH | feature::CONFIG_WCE), 0);
    assert_eq!(off.config(config::WRITEBACK, 1), 0);
    let mut off = Bench::bare("driver=null-co", "write-cache=off");
    assert_ne!(off.guest.start(ALL) & feature::FLUSH, 0, "it can be switched on");
    assert_eq!(off.config(config::WRITEBACK, 1), 0);
}

#[test]
fn a_disk_that_can_only_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut b = Bench::bare(
        &format!("driver=file,filename={},read-only=on,discard=unmap", path.display()),
        "",
    );
    assert_ne!(b.guest.start(ALL) & feature::RO, 0);
    assert_eq!(b.write(0, &[1; SECTOR]), status::IOERR);
    assert_eq!(b.plain(request::DISCARD, &segment(0, 8, 0)), status::IOERR);
    assert_eq!(b.plain(request::WRITE_ZEROES, &segment(0, 8, 0)), status::IOERR);
    assert_eq!(b.plain(request::FLUSH, &[]), status::OK);
    assert_eq!(b.read(7, SECTOR), (vec![7; SECTOR], status::OK));
}

#[test]
fn another_length_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut b = Bench::file(&path, "");
    b.guest.interrupts();
    assert_eq!(b.read(64, SECTOR).1, status::IOERR);
    b.guest.interrupts();
    let Bench { guest, blocks } = &mut b;
    blocks.resize(&mut guest.sys.host, "d", 100 * 512).unwrap();
    b.guest.poll(std::time::Duration::ZERO);
    assert_eq!(b.config(config::CAPACITY, 8), 100);
    assert_eq!(b.guest.interrupts() & 2, 2, "the configuration changed");
    assert_eq!(b.read(64, SECTOR), (vec![0; SECTOR], status::OK));
}

#[test]
fn a_reset_forgets_what_is_under_way() {
    let mut b = Bench::new("driver=null-co,latency-ns=3600000000000", "");
    for _ in 0..10 {
        b.guest.add(0, &[&header(request::IN, 0)], &[SECTOR as u32, 1]);
    }
    b.guest.kick(0);
    assert!(b.guest.used(0).is_none());
    b.guest.start(ALL);
    b.guest.sys.host.drain();
    b.guest.poll(std::time::Duration::ZERO);
    assert!(b.guest.used(0).is_none(), "answers to the driver before vanish");
    assert!(!b.guest.needs_reset());
    let id = b.guest.add(0, &[&header(request::GET_ID, 0)], &[20, 1]);
    b.guest.kick(0);
    assert_eq!(b.guest.wait_used(0).id, id);
}

#[test]
fn requests_under_way_are_done_where_they_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    for features in [0, ring_feature::RING_PACKED] {
        let slow = "driver=null-co,size=32K,latency-ns=3600000000000";
        let mut here = Bench::bare(slow, "packed=on");
        here.guest.start(features);
        let read = here.guest.add(0, &[&header(request::IN, 3)], &[SECTOR as u32, 1]);
        let write = here.guest.add(0, &[&header(request::OUT, 5), &[0xee; SECTOR]], &[1]);
        here.guest.kick(0);
        assert!(here.guest.used(0).is_none());
        let there = Bench::bare(&format!("driver=file,filename={}", path.display()), "packed=on");
        let Bench { guest, blocks } = there;
        let mut there = Bench {
            guest: here.guest.move_to(guest),
            blocks,
        };
        let mut seen = Vec::new();
        for _ in 0..2 {
            let used = there.guest.wait_used(0);
            let id = used.id;
            seen.push(id);
            let (data, status) = split(used);
            assert_eq!(status, status::OK);
            assert!(id != read || data == [3; SECTOR]);
        }
        seen.sort_unstable();
        let mut both = [read, write];
        both.sort_unstable();
        assert_eq!(seen, both);
        assert_eq!(fs::read(&path).unwrap()[5 * SECTOR..6 * SECTOR], [0xee; SECTOR]);
        assert_eq!(
            there.config(config::CAPACITY, 8),
            64,
            "the disk is as long as it is here"
        );
        assert_eq!(there.blocks.nodes().count(), 1);
        fs::write(&path, (0..64 * SECTOR).map(|i| (i / SECTOR) as u8).collect::<Vec<_>>()).unwrap();
    }
}

#[test]
fn what_waits_for_room_comes_in_the_end() {
    let mut b = Bench::new("driver=null-co,size=1G,latency-ns=1000000", "queue-size=256");
    let at = b.guest.alloc(2 << 20);
    let status_at = b.guest.alloc(1);
    let head = b.guest.alloc(16);
    b.guest.write(head, &header(request::OUT, 0));
    // 80 requests of 2 MiB each, all of the same memory: more than may be under way.
    for _ in 0..80 {
        let buffers = [
            Buffer::readable(head, 16),
            Buffer::readable(at, 2 << 20),
            Buffer::writable(status_at, 1),
        ];
        b.guest.add_buffers(0, &buffers);
    }
    b.guest.kick(0);
    for _ in 0..80 {
        b.guest.wait_used(0);
    }
    assert_eq!(b.stats().write.bytes, 160 << 20);
}

#[test]
fn a_request_that_the_host_fails() {
    for (device, kind, expect) in [
        ("", request::IN, status::IOERR),
        ("", request::OUT, status::IOERR),
        ("rerror=ignore", request::IN, status::OK),
        ("werror=ignore", request::OUT, status::OK),
        ("werror=ignore", request::IN, status::IOERR),
        ("werror=enospc", request::FLUSH, status::IOERR),
    ] {
        let mut b = Bench::new("driver=null-co", device);
        b.guest.sys.add_fault(fault()).unwrap();
        let head = header(kind, 0);
        let (out, room): (&[u8], &[u32]) = match kind {
            request::IN => (&[], &[SECTOR as u32, 1]),
            request::OUT => (&[1; SECTOR], &[1]),
            _ => (&[], &[1]),
        };
        let parts: &[&[u8]] = if out.is_empty() { &[&head] } else { &[&head, out] };
        assert_eq!(split(b.guest.request(0, parts, room)).1, expect, "{device} {kind}");
    }
}

fn fault() -> southbridge_core::inject::FaultRule {
    use southbridge_core::inject::{FaultAction, FaultKind, FaultRule};
    FaultRule::new("f", FaultKind::Completion, FaultAction::Fail)
}

#[test]
fn a_request_that_stops_the_machine_is_tried_again() {
    let mut b = Bench::new("driver=null-co", "werror=stop");
    b.guest.sys.add_fault(fault()).unwrap();
    let id = b.guest.add(0, &[&header(request::OUT, 0), &[1; SECTOR]], &[1]);
    b.guest.kick(0);
    b.guest.poll(std::time::Duration::ZERO);
    assert!(b.guest.used(0).is_none(), "it waits");
    let used = b.guest.wait_used(0);
    assert_eq!(
        (used.id, &used.data[..]),
        (id, &[status::OK][..]),
        "time goes on, and it is done"
    );
}

#[test]
fn words_are_judged() {
    for (device, part) in [
        ("queue-size=3", "a power of two from 4 to 1024"),
        ("queue-size=2048", "a power of two"),
        ("num-queues=0", "1 or more"),
        ("logical_block_size=513", "a power of two from 512"),
        (
            "logical_block_size=4096,physical_block_size=1024",
            "at least the logical 4096",
        ),
        ("min_io_size=100", "a multiple of the logical block size"),
        ("max-discard-sectors=0", "a number from 1 to 4194303"),
        ("discard_granularity=100", "a multiple"),
        ("heads=3", "cyls"),
        ("iothread=t0", "-object iothread"),
    ] {
        let mut sys = system();
        let mut blocks = Blocks::default();
        blocks.add(&mut sys.host, &pairs("driver=null-co,node-name=d")).unwrap();
        let mut p = properties(device);
        p.set("drive", PropValue::Backend("d".into(), blocks.get("d").unwrap()));
        let error = sys
            .add_device(device_type(), None, p, &[])
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{device}: {error}");
    }
    let mut sys = system();
    let error = sys
        .add_device(device_type(), None, Properties::default(), &[])
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains("drive"), "{error}");
}
