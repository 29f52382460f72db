//! Disks whose queues threads of the user's serve.

use southbridge_core::CpuId;
use std::time::{Duration, Instant};

use super::*;

/// A bench whose disk has a thread of its own.
fn threaded(path: &Path, features: u64) -> Bench {
    let mut b = Bench::bare(&format!("driver=file,filename={}", path.display()), "iothread=t0");
    b.guest.start(ALL & !ring_feature::RING_PACKED | features);
    assert!(IoThread::is_used(&b.guest.sys.host, "t0"));
    b
}

#[test]
fn a_thread_serves_reads_writes_and_flushes() {
    let folder = tempfile::tempdir().unwrap();
    for features in [0, ring_feature::RING_PACKED, ring_feature::IN_ORDER] {
        let path = image(&folder, 8192);
        let mut b = threaded(&path, features);
        let (data, status) = b.read(3, 2 * SECTOR);
        assert_eq!((data[0], data[SECTOR], status), (3, 4, status::OK));
        let data: Vec<u8> = (0..16 * SECTOR).map(|i| (i % 251) as u8).collect();
        assert_eq!(b.write(100, &data), status::OK);
        assert_eq!(fs::read(&path).unwrap()[100 * SECTOR..116 * SECTOR], data);
        assert_eq!(b.plain(request::FLUSH, &[]), status::OK);
        // Longer than a piece.
        let (long, status) = b.read(0, 4 << 20);
        assert_eq!(status, status::OK);
        assert_eq!(long, fs::read(&path).unwrap());
        let stats = b.stats();
        assert_eq!((stats.write.bytes, stats.read.bytes), (16 * 512, 1024 + (4 << 20)));
    }
}

#[test]
fn code_that_the_thread_writes_over_is_told_of_before_the_driver_hears() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut b = threaded(&path, 0);
    b.guest.sys.set_cpu_count(1);
    let buffer = b.guest.alloc(SECTOR as u64);
    let window = b.guest.sys.ram_window(buffer).unwrap();
    let at = window.block_offset() + (buffer - window.start);
    window.block().mark_code(at);
    let head = b.guest.alloc(16);
    b.guest.write(head, &header(request::IN, 5));
    let status = b.guest.alloc(1);
    let buffers = [
        Buffer {
            addr: head,
            len: 16,
            write: false,
        },
        Buffer {
            addr: buffer,
            len: SECTOR as u32,
            write: true,
        },
        Buffer {
            addr: status,
            len: 1,
            write: true,
        },
    ];
    b.guest.add_buffers(0, &buffers);
    b.guest.kick(0);
    assert_eq!(
        b.guest.sys.take_code_writes(CpuId(0)),
        [],
        "nothing is told before it is done"
    );
    b.guest.wait_used(0);
    let writes = b.guest.sys.take_code_writes(CpuId(0));
    assert!(
        writes.iter().any(|w| w.block == window.block().id() && w.offset == at),
        "{writes:?}"
    );
    assert_eq!(b.guest.read(buffer, 1), [5]);
}

/// Resets come at any time; what the thread has in hand then reaches neither buffers that are the driver's again nor, half old and half
/// new, the disk.
#[test]
fn a_reset_takes_the_buffers_away_from_the_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 8192);
    for round in 0..50 {
        let mut b = threaded(&path, 0);
        let head = header(request::IN, 1);
        for _ in 0..8 {
            b.guest.add(0, &[&head], &[1 << 20, 1]);
        }
        b.guest.kick(0);
        if round % 2 == 0 {
            b.guest.set_status(0);
        } else {
            b.guest.drive(|e, cx| e.reset_queue(0, cx));
        }
        // The driver's own from here on.
        let all = b.guest.alloc(0);
        let from = all - (8 << 20);
        let mark = vec![0xa5; 8 << 20];
        b.guest.write(from, &mark);
        b.guest.poll(std::time::Duration::from_millis(2));
        b.guest.sys.host.drain();
        b.guest.sys.deliver_completions();
        assert!(b.guest.read(from, 8 << 20) == mark, "round {round}");
        assert!(!b.guest.needs_reset());
    }
}

#[test]
fn a_machine_with_a_thread_at_work_moves() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 8192);
    let make = || {
        Bench::bare(
            &format!("driver=file,filename={},locking=off", path.display()),
            "iothread=t0",
        )
    };
    let mut b = make();
    b.guest.start(ALL);
    let head = header(request::IN, 2);
    for _ in 0..4 {
        b.guest.add(0, &[&head], &[512, 1]);
    }
    b.guest.kick(0);
    let other = make();
    let mut moved = b.guest.move_to(other.guest);
    for _ in 0..4 {
        let (data, status) = split(moved.wait_used(0));
        assert_eq!((data[0], status), (2, status::OK));
    }
}

/// Waits for a chain to be used while the machine does nothing at all.
fn used_without_the_machine(b: &mut Bench, queue: u16) -> Used {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match b.guest.used(queue) {
            Some(used) => return used,
            None => assert!(Instant::now() < end, "nobody serves queue {queue}"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn rings_are_served_while_the_machine_does_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    for features in [0, ring_feature::RING_PACKED, ring_feature::IN_ORDER] {
        let mut b = threaded(&path, features);
        for n in 1..40 {
            b.guest.add(0, &[&header(request::IN, n)], &[512, 1]);
            if b.guest.wants_kick(0) {
                b.guest.kick(0);
            }
            let (data, status) = split(used_without_the_machine(&mut b, 0));
            assert_eq!((data[0], status), (n as u8, status::OK));
        }
        b.guest.wait(|g| g.interrupts() & 1 != 0);
        // What only the machine can answer comes between, and the thread goes on.
        for n in 0..4 {
            let id = b.guest.request(0, &[&header(request::GET_ID, 0)], &[20, 1]);
            assert_eq!(id.data.last(), Some(&status::OK));
            assert_eq!(b.read(n, SECTOR), (vec![n as u8; SECTOR], status::OK));
            assert_eq!(b.read(64, SECTOR).1, status::IOERR, "beyond the end");
        }
        b.guest.add(0, &[&header(request::IN, 7)], &[512, 1]);
        b.guest.kick(0);
        assert_eq!(split(used_without_the_machine(&mut b, 0)).0[0], 7);
    }
}

#[test]
fn each_queue_has_its_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut sys = system();
    let mut blocks = Blocks::default();
    for name in ["t0", "t1"] {
        IoThread::add(&mut sys.host, name).unwrap();
    }
    let node = format!("node-name=d,driver=file,filename={}", path.display());
    blocks.add(&mut sys.host, &pairs(&node)).unwrap();
    let mut p = properties("num-queues=3");
    p.set("drive", PropValue::Backend("d".into(), blocks.get("d").unwrap()));
    p.add_part("iothread-vq-mapping", "0.iothread", "t0");
    p.add_part("iothread-vq-mapping", "1.iothread", "t1");
    let guest = Guest::on(sys, device_type(), p);
    let mut b = Bench { guest, blocks };
    b.guest.start(ALL);
    assert!(["t0", "t1"].iter().all(|t| IoThread::is_used(&b.guest.sys.host, t)));
    for queue in [0, 1, 2] {
        b.guest.add(queue, &[&header(request::IN, u64::from(queue))], &[512, 1]);
        b.guest.kick(queue);
    }
    for queue in [2, 1, 0] {
        assert_eq!(split(used_without_the_machine(&mut b, queue)).0[0], queue as u8);
    }
}

/// A ring that breaks the rules is found by the machine, as one without threads is.
#[test]
fn a_broken_ring_ends_the_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut b = threaded(&path, 0);
    assert_eq!(b.read(1, SECTOR).1, status::OK);
    let nowhere = Buffer {
        addr: 0x10,
        len: 16,
        write: false,
    };
    b.guest.add_buffers(0, &[nowhere]);
    b.guest.kick(0);
    b.guest.wait(Guest::needs_reset);
    b.guest.set_status(0);
    b.guest.start(ALL);
    assert_eq!(b.read(1, SECTOR).1, status::OK);
}

/// What was asked for before a reset is on the disk before what is asked for after it, whoever does which.
#[test]
fn writes_stay_in_order_across_resets() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 8192);
    let mut b = threaded(&path, 0);
    for round in 0..60u8 {
        let old = vec![0xee; 1 << 20];
        b.guest.add(0, &[&header(request::OUT, 0), &old], &[1]);
        b.guest.kick(0);
        b.guest.set_status(0);
        b.guest.forget_memory();
        b.guest.start(ALL);
        assert_eq!(b.write(0, &[round; SECTOR]), status::OK);
        b.guest.sys.host.drain();
        assert_eq!(fs::read(&path).unwrap()[..SECTOR], [round; SECTOR], "round {round}");
    }
}

#[test]
fn a_disk_goes_while_its_thread_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 8192);
    for _ in 0..20 {
        let mut b = threaded(&path, 0);
        for _ in 0..8 {
            b.guest.add(0, &[&header(request::IN, 0)], &[1 << 20, 1]);
        }
        b.guest.kick(0);
        let device = b.guest.device;
        b.guest.sys.remove_device(device);
        b.guest.sys.host.drain();
        assert!(!IoThread::is_used(&b.guest.sys.host, "t0"));
        assert!(IoThread::remove(&mut b.guest.sys.host, "t0"));
    }
}

/// A rule of fault injection has to see what the host says: the machine serves the queue then.
#[test]
fn a_fault_rule_has_the_machine_serve() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder, 64);
    let mut b = threaded(&path, 0);
    assert_eq!(b.read(3, SECTOR).1, status::OK);
    b.guest.sys.add_fault(fault()).unwrap();
    assert_eq!(b.read(3, SECTOR).1, status::IOERR);
    assert_eq!(b.read(3, SECTOR), (vec![3; SECTOR], status::OK));
}

#[test]
fn answers_with_a_time_of_their_own_are_the_machines() {
    let mut b = Bench::bare("driver=null-co,size=1M,latency-ns=1000", "iothread=t0");
    b.guest.start(ALL);
    assert!(!IoThread::is_used(&b.guest.sys.host, "t0"));
    assert_eq!(b.read(3, SECTOR).1, status::OK);
}
