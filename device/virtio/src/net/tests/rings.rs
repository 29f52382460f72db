//! What no honest driver does.

use proptest::prelude::*;
use southbridge_bus_virtio::spec::feature as ring_feature;
use southbridge_bus_virtio::testing::{Buffer, RAM};

use super::{ALL, Card, MAC, frame};

/// The device says that it needs a reset, and works again after one.
fn is_broken_until_reset(c: &mut Card, why: &str) {
    assert!(c.guest.needs_reset(), "{why}");
    c.guest.start(ALL);
    assert!(!c.guest.needs_reset());
    assert!(c.gets(&frame(MAC, 60)), "{why}");
    c.host.take();
    c.send(&[0; 12], &frame(MAC, 60));
    assert_eq!(c.host.take().len(), 1, "{why}");
}

#[test]
fn chains_that_break_the_rules_end_the_work() {
    type Chain = (u16, &'static [Buffer], &'static str);
    const CHAINS: &[Chain] = &[
        (1, &[Buffer::readable(RAM, 11)], "a frame shorter than its header"),
        (1, &[Buffer::writable(RAM, 200)], "a frame that nobody wrote"),
        (1, &[Buffer::readable(0x10, 200)], "a frame outside of memory"),
        (
            1,
            &[Buffer::readable(u64::MAX - 10, 200)],
            "a frame at the end of the world",
        ),
        (2, &[Buffer::readable(RAM, 2)], "a command without room for an answer"),
        (
            2,
            &[Buffer::readable(RAM, 1), Buffer::writable(RAM, 1)],
            "half a command",
        ),
        (2, &[Buffer::writable(RAM, 1)], "no command"),
        (
            2,
            &[Buffer::readable(0x10, 8), Buffer::writable(RAM, 1)],
            "a command outside of memory",
        ),
        (
            2,
            &[Buffer::readable(RAM, 8), Buffer::writable(0x10, 1)],
            "an answer outside of memory",
        ),
    ];
    for (queue, chain, why) in CHAINS {
        let mut c = Card::started("", ALL);
        c.guest.add_buffers(*queue, chain);
        c.guest.kick(*queue);
        is_broken_until_reset(&mut c, why);
    }
}

#[test]
fn receive_buffers_that_break_the_rules_end_the_work() {
    const CHAINS: &[(&[Buffer], &str)] = &[
        (&[Buffer::writable(RAM, 11)], "no room for a header"),
        (&[Buffer::readable(RAM, 2000)], "a buffer that cannot be written"),
        (&[Buffer::writable(0x10, 2000)], "a buffer outside of memory"),
    ];
    for (chain, why) in CHAINS {
        let mut c = Card::started("", ALL);
        c.guest.add_buffers(0, chain);
        c.guest.kick(0);
        c.arrive(&frame(MAC, 60));
        is_broken_until_reset(&mut c, why);
    }
}

#[test]
fn frames_of_no_length_and_of_too_much_are_lost_and_nothing_else() {
    let mut c = Card::started("", ALL);
    c.guest.request(1, &[&[0; 12]], &[]);
    let long = [Buffer::readable(RAM, 2 << 20)];
    c.guest.add_buffers(1, &long);
    c.guest.kick(1);
    assert!(c.guest.used(1).is_some());
    assert_eq!(c.host.take().len(), 0);
    // A message far too long is answered without being read.
    let long = [Buffer::readable(RAM, 16 << 20), Buffer::writable(RAM + (20 << 20), 1)];
    c.guest.add_buffers(2, &long);
    c.guest.kick(2);
    assert_eq!(c.guest.used(2).unwrap().data, [1]);
    assert!(!c.guest.needs_reset());
}

#[test]
fn buffers_of_one_byte_hold_a_frame() {
    let mut c = Card::started("", ALL);
    c.guest.add(0, &[], &[12]);
    for _ in 0..60 {
        c.guest.add(0, &[], &[1]);
    }
    c.guest.kick(0);
    c.arrive(&frame(MAC, 60));
    let parts: Vec<_> = std::iter::from_fn(|| c.guest.used(0)).collect();
    assert_eq!(parts.len(), 61);
    assert_eq!(parts[0].data[10..12], [61, 0]);
}

#[test]
fn a_reset_of_one_queue_leaves_the_others() {
    let mut c = Card::started("", ALL | ring_feature::RING_RESET);
    c.arrive(&frame(MAC, 60));
    c.guest.drive(|e, cx| e.reset_queue(0, cx));
    assert_eq!(c.command(0, 0, &[0]), 0);
    c.send(&[0; 12], &frame(MAC, 60));
    assert_eq!(c.host.take().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is in the rings: the device works, or needs a reset and works after it.
    #[test]
    fn nothing_in_the_rings_ends_badly(
        packed: bool, indirect: bool,
        chains in prop::collection::vec(
            (0u16..3, prop::collection::vec(any::<u8>(), 0..80), 0u32..100, 0usize..40), 1..12),
    ) {
        let mut c = Card::new("packed=on");
        c.guest.indirect = indirect;
        let packed = if packed { ring_feature::RING_PACKED } else { 0 };
        c.guest.start(ALL | ring_feature::INDIRECT_DESC | packed);
        for (queue, data, room, cut) in chains {
            let (a, b) = data.split_at(cut.min(data.len()));
            let readable: Vec<&[u8]> = [a, b].into_iter().filter(|p| !p.is_empty()).collect();
            let writable: &[u32] = if room > 0 { &[room] } else { &[] };
            if readable.is_empty() && writable.is_empty() {
                continue;
            }
            c.guest.add(queue, &readable, writable);
            c.guest.kick(queue);
            c.arrive(&frame(MAC, 60));
        }
        c.host.take();
        c.guest.indirect = false;
        c.guest.start(ALL);
        // What waited for buffers before the reset is gone; what waits at the host comes.
        c.settle();
        prop_assert!(c.gets(&frame(MAC, 60)));
        c.send(&[0; 12], &frame(MAC, 60));
        prop_assert_eq!(c.host.take().len(), 1);
    }
}
