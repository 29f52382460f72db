//! What rings do for a driver that keeps the rules.

mod common;

use common::{Echo, KINDS, guest};
use southbridge_bus_virtio::spec::{feature, isr, status};
use southbridge_bus_virtio::testing::{Buffer, RAM};

#[test]
fn a_request_comes_back_on_every_kind_of_ring() {
    for (name, features) in KINDS {
        for indirect in [false, true] {
            let mut g = guest();
            g.start(features | feature::INDIRECT_DESC);
            g.indirect = indirect;
            // Several times around the ring, with chains that do not divide its size.
            for round in 0u32..200 {
                let text = format!("request {round} of {name}");
                let (a, b) = text.as_bytes().split_at(5);
                let used = g.request(0, &[a, b], &[3, 100]);
                assert_eq!(used.data, text.as_bytes(), "{name}, indirect: {indirect}");
                assert_eq!(used.len as usize, text.len());
            }
            assert!(!g.needs_reset());
        }
    }
}

#[test]
fn a_batch_is_shown_at_once_and_costs_one_interrupt() {
    for (name, features) in KINDS {
        let mut g = guest();
        g.start(features);
        g.interrupts();
        let ids: Vec<u16> = (0..10).map(|n| g.add(0, &[&[n]], &[1])).collect();
        assert_eq!(g.interrupts(), 0, "{name}: nobody kicked yet");
        g.kick(0);
        assert_eq!(g.interrupts(), isr::QUEUE, "{name}");
        for (n, id) in (0..).zip(ids) {
            let used = g.used(0).expect("a chain");
            assert_eq!((used.id, used.data), (id, vec![n]), "{name}");
        }
        assert!(g.used(0).is_none());
    }
}

#[test]
fn chains_come_back_in_any_order_unless_order_was_agreed_on() {
    for (name, features) in KINDS {
        for in_order in [0, feature::IN_ORDER] {
            let mut g = guest();
            g.start(features | in_order);
            let ids: Vec<u16> = (0..4).map(|n| g.add(1, &[&[n]], &[1])).collect();
            g.kick(1);
            // The last first.
            for _ in 0..3 {
                g.with_model(|e: &mut Echo, cx| e.answer(e.kept.len() - 1, cx));
            }
            let early: Vec<u16> = std::iter::from_fn(|| g.used(1)).map(|u| u.id).collect();
            g.with_model(|e: &mut Echo, cx| e.answer(0, cx));
            let late: Vec<u16> = std::iter::from_fn(|| g.used(1)).map(|u| u.id).collect();
            if in_order == 0 {
                assert_eq!((early, late), (vec![ids[3], ids[2], ids[1]], vec![ids[0]]), "{name}");
            } else {
                assert_eq!((early, late), (vec![], ids), "{name} in order");
            }
        }
    }
}

#[test]
fn an_interrupt_comes_when_the_driver_wants_one() {
    for (name, features) in [KINDS[0], KINDS[2]] {
        let mut g = guest();
        g.start(features);
        g.rings[0].set_interrupts(&mut g.sys, false);
        g.request(0, &[b"x"], &[1]);
        assert_eq!(g.interrupts(), 0, "{name}: switched off");
        g.rings[0].set_interrupts(&mut g.sys, true);
        g.request(0, &[b"x"], &[1]);
        assert_eq!(g.interrupts(), isr::QUEUE, "{name}: switched on");
    }
}

#[test]
fn an_interrupt_comes_at_the_index_that_the_driver_names() {
    for (name, features) in [KINDS[1], KINDS[3]] {
        let mut g = guest();
        g.start(features);
        let packed = g.rings[0].packed;
        let size = g.rings[0].size;
        // Always for the third request from here on, around the ring more than once.
        let mut done = 0u16;
        g.request(0, &[b"x"], &[]);
        done += 1;
        g.interrupts();
        for round in 0..100 {
            let step = 3;
            // One request takes one entry of either ring.
            let at = if packed {
                let place = (u32::from(done) + step - 1) % u32::from(size);
                let wrap = (u32::from(done) + step - 1) / u32::from(size) % 2 == 0;
                place as u16 | u16::from(wrap) << 15
            } else {
                done.wrapping_add(step as u16 - 1)
            };
            g.rings[0].want_interrupt_at(&mut g.sys, at);
            for n in 1..=step {
                g.request(0, &[b"x"], &[]);
                done = done.wrapping_add(1);
                let expected = if n == step { isr::QUEUE } else { 0 };
                assert_eq!(g.interrupts(), expected, "{name}: round {round}, request {n}");
            }
            if packed {
                done %= 2 * size;
            }
        }
    }
}

#[test]
fn an_event_that_a_batch_jumps_over_is_not_lost() {
    for (name, features) in [KINDS[1], KINDS[3]] {
        let mut g = guest();
        g.start(features);
        let packed = g.rings[0].packed;
        g.request(0, &[b"x"], &[]);
        g.interrupts();
        let wrap = if packed { 1 << 15 } else { 0 };
        g.rings[0].want_interrupt_at(&mut g.sys, 5 | wrap);
        for _ in 0..20 {
            g.add(0, &[b"x"], &[]);
        }
        g.kick(0);
        assert_eq!(g.interrupts(), isr::QUEUE, "{name}");
    }
}

#[test]
fn a_driver_of_old_hears_of_an_empty_ring_although_it_wants_no_interrupts() {
    let mut g = guest();
    g.negotiate(feature::NOTIFY_ON_EMPTY);
    g.make_rings(u16::MAX);
    g.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK);
    g.rings[0].set_interrupts(&mut g.sys, false);
    g.request(0, &[b"x"], &[1]);
    assert_eq!(g.interrupts(), isr::QUEUE);
}

#[test]
fn the_device_says_when_it_wants_to_be_notified() {
    for (name, features) in KINDS {
        let mut g = guest();
        g.start(features);
        g.add(1, &[b"1"], &[1]);
        assert!(g.wants_kick(1), "{name}: an idle device");
        g.kick(1);
        g.add(1, &[b"2"], &[1]);
        assert!(g.wants_kick(1), "{name}: it took the first");
        if features & feature::EVENT_IDX != 0 {
            g.add(1, &[b"3"], &[1]);
            assert!(!g.wants_kick(1), "{name}: it was told already");
        }
        g.kick(1);
        g.with_model(|_: &mut Echo, cx| cx.want_kicks(1, false));
        g.add(1, &[b"4"], &[1]);
        let idle = features & (feature::EVENT_IDX | feature::RING_PACKED) == feature::EVENT_IDX;
        assert!(idle || !g.wants_kick(1), "{name}: it looks by itself");
        g.with_model(|_: &mut Echo, cx| cx.want_kicks(1, true));
        g.kick(1);
        g.add(1, &[b"5"], &[1]);
        assert!(g.wants_kick(1), "{name}: it does not any more");
    }
}

#[test]
fn what_was_put_back_comes_again() {
    for (name, features) in KINDS {
        let mut g = guest();
        g.start(features | feature::IN_ORDER);
        // So that the chains lie across the ring's end.
        for _ in 0..9 {
            g.add(1, &[b"x"], &[]);
            g.kick(1);
            g.with_model(|e: &mut Echo, cx| e.answer(0, cx));
            g.used(1).expect("a chain");
        }
        for n in 0..3 {
            g.add(1, &[&[n], &[n]], &[1]);
        }
        let order = g.with_model(|_: &mut Echo, cx| {
            let chains: Vec<_> = std::iter::from_fn(|| cx.pop(1)).collect();
            let ids: Vec<u16> = chains.iter().map(|c| c.id()).collect();
            chains.into_iter().rev().for_each(|c| cx.unpop(c));
            let again: Vec<_> = std::iter::from_fn(|| cx.pop(1)).collect();
            let same: Vec<u16> = again.iter().map(|c| c.id()).collect();
            again.into_iter().for_each(|c| cx.push(c, 0));
            (ids, same)
        });
        assert_eq!(order.0, order.1, "{name}");
        assert_eq!(std::iter::from_fn(|| g.used(1)).count(), 3, "{name}");
    }
}

#[test]
fn a_device_moves_with_requests_in_its_hands() {
    for (name, features) in KINDS {
        for in_order in [0, feature::IN_ORDER] {
            let mut g = guest();
            g.start(features | in_order);
            for n in 0..6 {
                g.add(1, &[&[n, n]], &[2]);
            }
            g.kick(1);
            g.with_model(|e: &mut Echo, cx| e.answer(2, cx));
            // One more waits in the ring.
            g.add(1, &[b"hi"], &[2]);
            let mut g = g.move_to(guest());
            g.kick(1);
            g.with_model(|e: &mut Echo, cx| {
                while !e.kept.is_empty() {
                    e.answer(0, cx);
                }
            });
            let mut data: Vec<_> = std::iter::from_fn(|| g.used(1)).map(|u| u.data).collect();
            data.sort();
            let expected: Vec<Vec<u8>> = (0..6).map(|n| vec![n, n]).chain([b"hi".to_vec()]).collect();
            assert_eq!(data, expected, "{name}, order {in_order:#x}");
            assert_eq!(g.request(0, &[b"still"], &[9]).data, b"still", "{name}");
        }
    }
}

#[test]
fn a_chain_from_before_a_reset_is_nobodys() {
    for (name, features) in KINDS {
        let mut g = guest();
        g.start(features);
        g.add(1, &[b"old"], &[3]);
        g.kick(1);
        g.set_status(0);
        g.start(features);
        let before = g.read(g.rings[1].desc, 0x3000);
        g.with_model(|e: &mut Echo, cx| {
            let chain = e.kept[0].clone();
            assert!(!cx.is_current(&chain));
            assert_eq!(
                cx.write(&chain, 0, b"new").unwrap_err().to_string(),
                "the chain belongs to the past"
            );
            e.answer(0, cx);
        });
        assert_eq!(g.read(g.rings[1].desc, 0x3000), before, "{name}: the ring is untouched");
        assert!(!g.needs_reset());
    }
}

#[test]
fn one_queue_is_reset_and_the_other_goes_on() {
    for (name, features) in KINDS {
        let mut g = guest();
        g.start(features | feature::RING_RESET);
        g.add(1, &[b"old"], &[3]);
        g.kick(1);
        g.drive(|e, cx| e.reset_queue(1, cx));
        let events = g.with_model(|e: &mut Echo, _| {
            e.kept.clear();
            e.events.clone()
        });
        assert_eq!(events.last().map(String::as_str), Some("queue_reset 1"));
        assert!(!g.drive(|e, _| e.queue(1).is_some_and(|q| q.config().enabled)));
        g.kick(1);
        assert_eq!(g.request(0, &[b"other"], &[9]).data, b"other", "{name}");
        // A new ring for it.
        g.make_rings(u16::MAX);
        let fresh = g.rings.split_off(3);
        g.rings = fresh;
        g.add(1, &[b"new"], &[3]);
        g.kick(1);
        g.with_model(|e: &mut Echo, cx| e.answer(0, cx));
        assert_eq!(g.used(1).expect("a chain").data, b"new", "{name}");
    }
}

#[test]
fn configuration_is_frozen_once_a_queue_is_enabled() {
    let mut g = guest();
    g.start(0);
    let before = g.drive(|e, _| *e.queue(0).expect("a queue").config());
    g.drive(|e, cx| {
        e.configure(0, cx, |q| {
            (q.size, q.desc, q.driver, q.device) = (8, RAM, RAM, RAM);
            q.vector = 7;
        });
    });
    let after = g.drive(|e, _| *e.queue(0).expect("a queue").config());
    assert_eq!(
        (after.size, after.desc, after.driver, after.device),
        (before.size, before.desc, before.driver, before.device)
    );
    assert_eq!(after.vector, 7, "the vector may still move");
    assert_eq!(g.request(0, &[b"x"], &[1]).data, b"x");
}

#[test]
fn a_size_that_cannot_be_is_refused() {
    let mut g = guest();
    g.negotiate(feature::VERSION_1);
    for size in [65, 128, 3, u16::MAX] {
        g.drive(|e, cx| e.configure(0, cx, |q| q.size = size));
        assert_eq!(g.drive(|e, _| e.queue(0).expect("a queue").config().size), 64, "{size}");
    }
    g.negotiate(feature::VERSION_1 | feature::RING_PACKED);
    g.drive(|e, cx| e.configure(0, cx, |q| q.size = 3));
    assert_eq!(
        g.drive(|e, _| e.queue(0).expect("a queue").config().size),
        3,
        "packed rings have any size"
    );
}

#[test]
fn packed_rings_of_odd_sizes_work() {
    for size in [2, 3, 5, 7, 13] {
        let mut g = guest();
        g.start_with(feature::RING_PACKED | feature::EVENT_IDX, size);
        for n in 0..50u8 {
            assert_eq!(g.request(0, &[&[n]], &[1]).data, [n], "{size}");
        }
    }
}

#[test]
fn features_are_refused_that_do_not_go_together() {
    let mut g = guest();
    let ok = |g: &mut southbridge_bus_virtio::testing::Guest, bits: u64| {
        g.set_status(0);
        g.set_status(status::ACKNOWLEDGE | status::DRIVER);
        g.drive(|e, cx| {
            e.choose_features(false, bits as u32, cx);
            e.choose_features(true, (bits >> 32) as u32, cx);
        });
        g.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK);
        g.status() & status::FEATURES_OK != 0
    };
    assert!(ok(&mut g, feature::VERSION_1));
    assert!(ok(&mut g, feature::VERSION_1 | 0b01));
    assert!(!ok(&mut g, feature::VERSION_1 | 0b10), "the model's own word");
    assert!(!ok(&mut g, feature::VERSION_1 | 1 << 20), "not offered");
    assert!(!ok(&mut g, feature::RING_PACKED), "packed without version 1");
    // Once they are settled they stay.
    assert!(ok(&mut g, feature::VERSION_1));
    g.drive(|e, cx| e.choose_features(false, 1, cx));
    assert_eq!(g.drive(|e, _| e.driver_features()), feature::VERSION_1);
}

#[test]
fn a_change_of_configuration_is_told_to_a_driver_that_is_there() {
    let mut g = guest();
    g.negotiate(feature::VERSION_1);
    let before = g.drive(|e, _| e.generation());
    g.drive(|e, cx| e.config_write(2, 4, 0x0403_0201, cx));
    assert_eq!(g.interrupts(), 0);
    assert_eq!(g.drive(|e, _| e.config_read(0, 8)), 0x0403_0201_0000);
    assert_ne!(g.drive(|e, _| e.generation()), before);
    g.start(0);
    g.drive(|e, cx| e.config_write(7, 1, 9, cx));
    assert_eq!(g.interrupts() & isr::CONFIG, isr::CONFIG);
    // Beyond the end there is nothing, and nothing happens.
    g.drive(|e, cx| e.config_write(7, 2, 0xffff, cx));
    g.drive(|e, cx| e.config_write(u64::MAX, 8, 0xffff, cx));
    assert_eq!(g.drive(|e, _| e.config_read(7, 2)), 9);
    assert_eq!(g.drive(|e, _| e.config_read(u64::MAX, 8)), 0);
}

#[test]
fn data_crosses_buffers_wherever_they_are_divided() {
    let mut g = guest();
    g.start(0);
    let text: Vec<u8> = (0..=255).collect();
    let at = g.alloc(256);
    g.write(at, &text);
    let back = g.alloc(256);
    for cut in [1u32, 7, 64, 100] {
        let pieces = |base: u64, write: bool| {
            (0..256u32).step_by(cut as usize).map(move |o| Buffer {
                addr: base + u64::from(o),
                len: cut.min(256 - o),
                write,
            })
        };
        if 512 / cut > 60 {
            continue;
        }
        let buffers: Vec<Buffer> = pieces(at, false).chain(pieces(back, true)).collect();
        g.add_buffers(0, &buffers);
        g.kick(0);
        assert_eq!(g.used(0).expect("a chain").data, text, "cut at {cut}");
    }
}
