//! The front end: credit, full queues, links, several queues, offloads in software, announcing.

mod common;

use common::{World, frame};
use southbridge_backend_net::testing::Loop;
use southbridge_backend_net::{Announce, NetFront, Netdev, Offloads, Packet};
use southbridge_core::{BackendId, PropValue, Properties};

fn looped() -> (World, Loop) {
    let mut w = World::new();
    let (id, other) = Loop::new(&mut w.sys);
    w.nic_at("loop", id, false);
    (w, other)
}

#[test]
fn frames_come_by_credit_and_in_order() {
    let (mut w, other) = looped();
    for n in 0..5 {
        other.feed(&frame(n, 60));
    }
    w.poll();
    assert!(w.take(0).is_empty(), "nobody has made room");
    w.set_room(0, 2);
    w.poll();
    assert_eq!(w.take(0), [frame(0, 60), frame(1, 60)]);
    assert_eq!(other.waiting(), 3, "the rest stays with the other side");
    w.set_room(0, 10);
    w.poll();
    assert_eq!(w.take(0).len(), 3);
}

#[test]
fn credit_is_not_given_twice_for_what_is_under_way() {
    let (mut w, other) = looped();
    (0..10).for_each(|n| other.feed(&frame(n, 60)));
    w.set_room(0, 3);
    w.sys.host.wait(Some(std::time::Duration::ZERO)).expect("epoll");
    // Three are posted and not delivered; saying the same again must not bring more.
    w.set_room(0, 3);
    w.set_room(0, 3);
    w.poll();
    assert_eq!(w.take(0).len(), 3);
}

#[test]
fn a_full_back_end_says_when_to_go_on() {
    let (mut w, other) = looped();
    other.accept(Some(0));
    w.poll();
    let mut taken = 0;
    while w.send(0, &frame(taken, 60)) {
        taken += 1;
        assert!(taken < 10_000, "the queue has an end");
    }
    assert!(w.events(0).is_empty());
    other.accept(None);
    w.poll();
    assert_eq!(w.events(0), ["writable"]);
    let out = other.take();
    assert_eq!(out.len(), taken as usize);
    assert!(
        out.iter().enumerate().all(|(i, f)| *f == frame(i as u32, 60)),
        "in order"
    );
    assert!(w.send(0, &frame(taken, 60)));
    assert_eq!(other.take().len(), 1);
}

#[test]
fn a_pulled_cable_loses_frames_both_ways() {
    let (mut w, other) = looped();
    w.set_room(0, 10);
    other.set_link(&mut w.sys, false);
    w.poll();
    assert_eq!(w.events(0), ["link false"]);
    assert!(w.send(0, &frame(1, 60)), "taken, and lost");
    other.feed(&frame(2, 60));
    w.poll();
    assert!(w.take(0).is_empty() && other.take().is_empty());
    other.set_link(&mut w.sys, true);
    other.feed(&frame(3, 60));
    w.poll();
    assert_eq!(
        (w.events(0), w.take(0)),
        (vec!["link true".to_owned()], vec![frame(3, 60)])
    );
}

#[test]
fn one_back_end_has_one_nic() {
    let (mut w, _other) = looped();
    let id = w.sys.host.peek::<Netdev>(backend_of(&w, 0)).map(|n| n.is_used());
    assert_eq!(id, Some(true));
    let props = Properties::default().with("netdev", PropValue::Backend("loop".into(), backend_of(&w, 0)));
    let second = w.sys.add_device(&common::NIC, None, props.clone(), &[]);
    assert!(second.is_err_and(|e| e.to_string().contains("in use by another NIC")));
    let first = w.nics[0];
    w.sys.remove_device(first);
    assert!(w.sys.add_device(&common::NIC, None, props, &[]).is_ok(), "free again");
}

/// The back end of a NIC.
fn backend_of(w: &World, nic: usize) -> BackendId {
    let slot = w.sys.slot(w.nics[nic]).expect("the NIC");
    slot.properties.backend("netdev").expect("its back end")
}

#[test]
fn offloads_that_the_other_side_lacks_are_done_in_software() {
    let (mut w, other) = looped();
    let (vnet, tcp) = common::long_segment();
    let send = |w: &mut World| w.on(0, |n, cx| n.front.send(Packet { vnet, frame: &tcp }, cx));
    assert!(send(&mut w));
    assert_eq!(
        other.take().iter().map(Vec::len).collect::<Vec<_>>(),
        [1514, 1514, 1134]
    );
    other.set_takes(Offloads::CSUM | Offloads::TSO4);
    assert!(send(&mut w));
    assert_eq!(other.take_packets(), [(0, (vnet, tcp.clone()))]);
    // The other way: until the NIC says that it takes them, frames come whole.
    w.set_room(0, 10);
    other.feed_packet(0, vnet, &tcp);
    w.poll();
    assert_eq!(w.take(0).len(), 3);
    w.on(0, |n, cx| n.front.set_offloads(Offloads::CSUM | Offloads::TSO4, cx));
    assert_eq!(other.offloads(), Offloads::CSUM | Offloads::TSO4);
    other.feed_packet(0, vnet, &tcp);
    w.poll();
    assert_eq!(w.on(0, |n, _| std::mem::take(&mut n.received)), [(vnet, tcp)]);
}

#[test]
fn nobody_in_front_swallows() {
    let mut w = World::new();
    let device = w
        .sys
        .add_device(&common::NIC, None, Default::default(), &[])
        .expect("a NIC without back end");
    w.nics.push(device);
    assert!(w.send(0, &frame(1, 60)));
    assert!(!w.on(0, |n, _| n.front.is_connected()));
    assert!(!NetFront::none().is_connected());
}

#[test]
fn a_nic_is_announced_as_often_as_asked() {
    let (mut w, other) = looped();
    let id = backend_of(&w, 0);
    let (n, mut cx) = w.sys.host.get::<Netdev>(id).expect("the back end");
    let quick = Announce {
        initial: 1,
        max: 2,
        rounds: 3,
        step: 1,
    };
    n.announce(quick, &mut cx);
    let mut out = Vec::new();
    w.until("three frames", |_| {
        out.extend(other.take());
        out.len() == 3
    });
    assert_eq!(out[0].len(), 60);
    assert_eq!(
        &out[0][..14],
        [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x80, 0x35
        ]
    );
    w.poll();
    assert_eq!(w.events(0), ["announce"; 3]);
}
