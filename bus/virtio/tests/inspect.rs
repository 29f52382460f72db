//! What monitors see of a queue, with what hostile drivers leave there.

mod common;

use common::guest;
use southbridge_bus_virtio::inspect::{Element, Hidden};
use southbridge_bus_virtio::spec::{MAX_SEGMENTS, feature, ring};
use southbridge_bus_virtio::testing::{Guest, RAM, RAM_LEN, Ring};

fn element(g: &mut Guest, queue: u16, index: Option<u16>) -> Result<Element, Hidden> {
    let report = g.drive(|e, _| e.queue_report(queue)).expect("the queue is there");
    let sys = &mut g.sys;
    report.element(index, &mut |at, out| {
        let inside = at >= RAM && at.checked_add(out.len() as u64).is_some_and(|end| end <= RAM + RAM_LEN);
        inside && sys.read_bytes(at, out).is_ok()
    })
}

/// Descriptors of queue 0, and entry 0 of its available ring.
fn put(g: &mut Guest, descriptors: &[(u16, u64, u32, u16, u16)], head: u16) {
    let (desc, driver) = (g.rings[0].desc, g.rings[0].driver);
    for (n, addr, len, flags, next) in descriptors {
        Ring::write_descriptor(&mut g.sys, desc + 16 * u64::from(*n), *addr, *len, (*flags, *next));
    }
    g.write(driver + 4, &head.to_le_bytes());
}

#[test]
fn a_request_is_seen_where_it_stands() {
    let mut g = guest();
    g.start(0);
    g.add(1, &[b"question", b"more"], &[16]);
    g.kick(1);
    let report = g.drive(|e, _| e.queue_report(1)).unwrap();
    assert_eq!((report.in_use, report.avail, report.seen, report.used), (1, 1, 1, 0));
    let e = element(&mut g, 1, Some(0)).unwrap();
    assert_eq!((e.avail_index, e.used_index), (1, 0));
    let shape: Vec<_> = e.chain.iter().map(|d| (d.len, d.flags)).collect();
    assert_eq!(
        shape,
        [(8, ring::NEXT), (4, ring::NEXT), (16, ring::WRITE)],
        "in the chain's order"
    );
    // Looking took nothing away.
    assert_eq!(g.drive(|e, _| e.queue_report(1)), Some(report));
}

#[test]
fn a_queue_that_is_not_there_or_not_split_says_so() {
    let mut g = guest();
    assert_eq!(element(&mut g, 0, None), Err(Hidden::NotThere));
    assert_eq!(g.drive(|e, _| e.queue_report(9)), None);
    g.start(feature::RING_PACKED | feature::VERSION_1);
    assert_eq!(element(&mut g, 0, None), Err(Hidden::Packed));
}

#[test]
fn what_a_driver_wrote_is_bounded() {
    let mut g = guest();
    g.start(feature::INDIRECT_DESC);
    let all = g.rings[0].size;
    put(&mut g, &[(0, RAM, 8, ring::NEXT, 0)], 0);
    assert_eq!(
        element(&mut g, 0, Some(0)).unwrap().chain.len(),
        usize::from(all),
        "a chain that leads to itself"
    );
    put(&mut g, &[(0, RAM, 8, ring::NEXT, 999)], 0);
    assert_eq!(
        element(&mut g, 0, Some(0)).unwrap().chain.len(),
        1,
        "a chain that leads out"
    );
    put(&mut g, &[], 999);
    assert_eq!(element(&mut g, 0, Some(0)).unwrap().chain, [], "a head beyond the ring");
    // A table that claims all memory there could be, and leads back to its beginning.
    let table = g.alloc(16);
    Ring::write_descriptor(&mut g.sys, table, RAM, 8, (ring::NEXT, 0));
    put(&mut g, &[(0, table, u32::MAX, ring::INDIRECT, 0)], 0);
    assert_eq!(element(&mut g, 0, Some(0)).unwrap().chain.len(), MAX_SEGMENTS);
    let own = g.rings[0].desc;
    put(&mut g, &[(0, own, 16, ring::INDIRECT, 0)], 0);
    assert_eq!(
        element(&mut g, 0, Some(0)).unwrap().chain,
        [],
        "a table that is the ring"
    );
    put(&mut g, &[(0, RAM + RAM_LEN, 16, ring::INDIRECT, 0)], 0);
    assert_eq!(element(&mut g, 0, Some(0)), Err(Hidden::Memory(RAM + RAM_LEN)));
    put(&mut g, &[(0, u64::MAX - 3, 64, ring::INDIRECT, 0)], 0);
    assert_eq!(element(&mut g, 0, Some(0)), Err(Hidden::Memory(u64::MAX - 3)));
}
