//! Drivers that break the rules: each way is a case, on each kind of ring that has it. The device stops and says that it needs a reset;
//! it neither panics nor loops, and after a reset it works again.

mod common;

use common::{Echo, guest};
use southbridge_bus_virtio::spec::{feature, isr, ring};
use southbridge_bus_virtio::testing::{Buffer, Guest, RAM, RAM_LEN, Ring};

const NOWHERE: u64 = RAM + RAM_LEN + 0x1000;

struct Case {
    name: &'static str,
    features: u64,
    spoil: fn(&mut Guest),
}

const SPLIT: u64 = feature::INDIRECT_DESC;
const PACKED: u64 = feature::INDIRECT_DESC | feature::RING_PACKED;

/// Writes descriptor `n` of queue 0 and, of a split ring, makes it available.
fn split(g: &mut Guest, descriptors: &[(u16, u64, u32, u16, u16)], head: u16) {
    let (desc, driver) = (g.rings[0].desc, g.rings[0].driver);
    for (n, addr, len, flags, next) in descriptors {
        Ring::write_descriptor(&mut g.sys, desc + 16 * u64::from(*n), *addr, *len, (*flags, *next));
    }
    g.write(driver + 4, &head.to_le_bytes());
    g.write(driver + 2, &1u16.to_le_bytes());
}

/// Writes the first descriptors of queue 0's packed ring, available.
fn packed(g: &mut Guest, descriptors: &[(u64, u32, u16, u16)]) {
    let desc = g.rings[0].desc;
    for (n, (addr, len, id, flags)) in (0u64..).zip(descriptors) {
        Ring::write_descriptor(&mut g.sys, desc + 16 * n, *addr, *len, (*id, flags | ring::AVAIL));
    }
}

/// A table of one readable descriptor for each flags, next.
fn table(g: &mut Guest, entries: &[(u16, u16)]) -> u64 {
    let at = g.alloc(16 * entries.len() as u64);
    for (n, (flags, next)) in (0u64..).zip(entries) {
        Ring::write_descriptor(&mut g.sys, at + 16 * n, RAM, 8, (*flags, *next));
    }
    at
}

const CASES: &[Case] = &[
    Case {
        name: "available index too far ahead",
        features: SPLIT,
        spoil: |g| {
            let at = g.rings[0].driver + 2;
            g.write(at, &65u16.to_le_bytes());
        },
    },
    Case {
        name: "available index runs backwards",
        features: SPLIT,
        spoil: |g| {
            g.request(0, &[b"x"], &[1]);
            let at = g.rings[0].driver + 2;
            g.write(at, &0u16.to_le_bytes());
        },
    },
    Case {
        name: "a head that does not exist",
        features: SPLIT,
        spoil: |g| split(g, &[], 64),
    },
    Case {
        name: "a head far beyond",
        features: SPLIT,
        spoil: |g| split(g, &[], u16::MAX),
    },
    Case {
        name: "a next that does not exist",
        features: SPLIT,
        spoil: |g| split(g, &[(0, RAM, 8, ring::NEXT, 64)], 0),
    },
    Case {
        name: "a chain that leads to itself",
        features: SPLIT,
        spoil: |g| split(g, &[(0, RAM, 8, ring::NEXT, 0)], 0),
    },
    Case {
        name: "a chain that leads back",
        features: SPLIT,
        spoil: |g| split(g, &[(0, RAM, 8, ring::NEXT, 1), (1, RAM, 8, ring::NEXT, 0)], 0),
    },
    Case {
        name: "a readable buffer behind a writable one",
        features: SPLIT,
        spoil: |g| split(g, &[(0, RAM, 8, ring::NEXT | ring::WRITE, 1), (1, RAM, 8, 0, 0)], 0),
    },
    Case {
        name: "a buffer of no bytes",
        features: SPLIT,
        spoil: |g| split(g, &[(0, RAM, 0, 0, 0)], 0),
    },
    Case {
        name: "a table with a successor",
        features: SPLIT,
        spoil: |g| {
            let t = table(g, &[(0, 0)]);
            split(g, &[(0, t, 16, ring::INDIRECT | ring::NEXT, 1), (1, RAM, 8, 0, 0)], 0);
        },
    },
    Case {
        name: "a table that was not agreed on",
        features: 0,
        spoil: |g| {
            let t = table(g, &[(0, 0)]);
            split(g, &[(0, t, 16, ring::INDIRECT, 0)], 0);
        },
    },
    Case {
        name: "a table of no bytes",
        features: SPLIT,
        spoil: |g| split(g, &[(0, RAM, 0, ring::INDIRECT, 0)], 0),
    },
    Case {
        name: "a table with half a descriptor",
        features: SPLIT,
        spoil: |g| {
            let t = table(g, &[(0, 0), (0, 0)]);
            split(g, &[(0, t, 24, ring::INDIRECT, 0)], 0);
        },
    },
    Case {
        name: "a table in a table",
        features: SPLIT,
        spoil: |g| {
            let t = table(g, &[(ring::INDIRECT, 0)]);
            split(g, &[(0, t, 16, ring::INDIRECT, 0)], 0);
        },
    },
    Case {
        name: "a loop in a table",
        features: SPLIT,
        spoil: |g| {
            let t = table(g, &[(ring::NEXT, 1), (ring::NEXT, 0)]);
            split(g, &[(0, t, 32, ring::INDIRECT, 0)], 0);
        },
    },
    Case {
        name: "a next beyond the table",
        features: SPLIT,
        spoil: |g| {
            let t = table(g, &[(ring::NEXT, 2)]);
            split(g, &[(0, t, 16, ring::INDIRECT, 0)], 0);
        },
    },
    Case {
        name: "an endless table that loops",
        features: SPLIT,
        spoil: |g| {
            let t = table(g, &[(ring::NEXT, 0)]);
            split(g, &[(0, t, 0xffff_fff0, ring::INDIRECT, 0)], 0);
        },
    },
    Case {
        name: "a table nowhere",
        features: SPLIT,
        spoil: |g| split(g, &[(0, NOWHERE, 16, ring::INDIRECT, 0)], 0),
    },
    Case {
        name: "a table at the end of the address space",
        features: SPLIT,
        spoil: |g| split(g, &[(0, u64::MAX - 7, 32, ring::INDIRECT, 0)], 0),
    },
    Case {
        name: "a buffer nowhere",
        features: SPLIT,
        spoil: |g| {
            g.add_buffers(0, &[Buffer::readable(NOWHERE, 8), Buffer::writable(RAM, 8)]);
        },
    },
    Case {
        name: "a buffer across the end of the address space",
        features: SPLIT,
        spoil: |g| {
            g.add_buffers(0, &[Buffer::readable(u64::MAX - 3, 8), Buffer::writable(RAM, 8)]);
        },
    },
    Case {
        name: "an answer nowhere",
        features: SPLIT,
        spoil: |g| {
            g.add_buffers(0, &[Buffer::readable(RAM, 8), Buffer::writable(NOWHERE, 8)]);
        },
    },
    Case {
        name: "an answer nowhere, packed",
        features: PACKED,
        spoil: |g| {
            g.add_buffers(0, &[Buffer::readable(RAM, 8), Buffer::writable(NOWHERE, 8)]);
        },
    },
    Case {
        name: "packed: every descriptor has a successor",
        features: PACKED,
        spoil: |g| packed(g, &[(RAM, 8, 0, ring::NEXT); 64]),
    },
    Case {
        name: "packed: a readable buffer behind a writable one",
        features: PACKED,
        spoil: |g| packed(g, &[(RAM, 8, 0, ring::NEXT | ring::WRITE), (RAM, 8, 0, 0)]),
    },
    Case {
        name: "packed: a buffer of no bytes",
        features: PACKED,
        spoil: |g| packed(g, &[(RAM, 0, 0, 0)]),
    },
    Case {
        name: "packed: an id that does not exist",
        features: PACKED,
        spoil: |g| packed(g, &[(RAM, 8, 64, 0)]),
    },
    Case {
        name: "packed: a table with a successor",
        features: PACKED,
        spoil: |g| {
            let t = table(g, &[(0, 0)]);
            packed(g, &[(t, 16, 0, ring::INDIRECT | ring::NEXT), (RAM, 8, 0, 0)]);
        },
    },
    Case {
        name: "packed: a table in the middle of a chain",
        features: PACKED,
        spoil: |g| {
            let t = table(g, &[(0, 0)]);
            packed(g, &[(RAM, 8, 0, ring::NEXT), (t, 16, 0, ring::INDIRECT)]);
        },
    },
    Case {
        name: "packed: a table that was not agreed on",
        features: feature::RING_PACKED,
        spoil: |g| {
            let t = table(g, &[(0, 0)]);
            packed(g, &[(t, 16, 0, ring::INDIRECT)]);
        },
    },
    Case {
        name: "packed: a table of no bytes",
        features: PACKED,
        spoil: |g| packed(g, &[(RAM, 0, 0, ring::INDIRECT)]),
    },
    Case {
        name: "packed: a table with half a descriptor",
        features: PACKED,
        spoil: |g| packed(g, &[(RAM, 20, 0, ring::INDIRECT)]),
    },
    Case {
        name: "packed: a table of thousands",
        features: PACKED,
        spoil: |g| {
            let t = table(g, &[(0, 0); 2000]);
            packed(g, &[(t, 32000, 0, ring::INDIRECT)]);
        },
    },
    Case {
        name: "packed: a table in a table",
        features: PACKED,
        spoil: |g| {
            // Flags are the last word here.
            let t = table(g, &[(0, ring::INDIRECT)]);
            packed(g, &[(t, 16, 0, ring::INDIRECT)]);
        },
    },
    Case {
        name: "packed: a table nowhere",
        features: PACKED,
        spoil: |g| packed(g, &[(NOWHERE, 16, 0, ring::INDIRECT)]),
    },
];

#[test]
fn each_way_to_break_a_ring_stops_the_device_until_a_reset() {
    for case in CASES {
        let name = case.name;
        let mut g = guest();
        g.start(case.features);
        (case.spoil)(&mut g);
        g.interrupts();
        g.kick(0);
        assert!(g.needs_reset(), "{name}");
        assert_eq!(g.interrupts() & isr::CONFIG, isr::CONFIG, "{name}: the driver is told");
        // It stands still, whatever comes.
        g.kick(0);
        g.kick(1);
        assert!(g.needs_reset(), "{name}");
        g.start(case.features);
        assert!(!g.needs_reset(), "{name}");
        assert_eq!(g.request(0, &[b"again"], &[5]).data, b"again", "{name}");
    }
}

#[test]
fn rings_in_no_memory_stop_the_device() {
    for features in [SPLIT, PACKED] {
        for part in 0..3 {
            let mut g = guest();
            g.negotiate(features | feature::VERSION_1);
            g.make_rings(u16::MAX);
            let mut at = [g.rings[0].desc, g.rings[0].driver, g.rings[0].device];
            g.negotiate(features | feature::VERSION_1);
            at[part] = NOWHERE;
            g.drive(|e, cx| {
                e.configure(0, cx, |q| [q.desc, q.driver, q.device] = at);
                e.enable_queue(0);
            });
            g.set_status(1 | 2 | 8 | 4);
            // A request in the parts that are there.
            if part != 0 {
                Ring::write_descriptor(&mut g.sys, at[0], RAM, 8, (0, ring::AVAIL));
            }
            if part != 1 && features == SPLIT {
                Ring::write_descriptor(&mut g.sys, at[0].min(RAM + 0x1_0000), RAM, 8, (0, 0));
                g.write(at[1] + 2, &1u16.to_le_bytes());
            }
            g.kick(0);
            assert!(g.needs_reset(), "features {features:#x}, part {part}");
        }
    }
}

#[test]
fn more_chains_than_the_ring_has_entries_stop_the_device() {
    let mut g = guest();
    g.start(0);
    let (desc, driver) = (g.rings[1].desc, g.rings[1].driver);
    Ring::write_descriptor(&mut g.sys, desc, RAM, 8, (0, 0));
    // The same head again and again; the device keeps what it gets.
    for n in 1..=17u16 {
        g.write(driver + 2, &n.to_le_bytes());
        g.kick(1);
    }
    assert!(g.needs_reset());
    assert_eq!(g.with_model(|e: &mut Echo, _| e.kept.len()), 16);
}

#[test]
fn a_chain_of_all_descriptors_is_fine_and_one_segment_too_many_is_not() {
    for (features, count, ok) in [
        (SPLIT, 1024, true),
        (SPLIT, 1025, false),
        (PACKED, 1024, true),
        (PACKED, 1025, false),
    ] {
        let mut g = guest();
        g.start(features);
        g.indirect = true;
        let buffers = vec![Buffer::readable(RAM, 1); count];
        g.add_buffers(0, &buffers);
        g.kick(0);
        assert_eq!(!g.needs_reset(), ok, "{count} with {features:#x}");
        assert_eq!(g.used(0).is_some(), ok);
    }
}

#[test]
fn a_table_may_follow_plain_descriptors() {
    // Virtio 1.3, section 2.7.5.3.2: unusual but valid.
    let mut g = guest();
    g.start(SPLIT);
    let answer = g.alloc(16);
    let t = g.alloc(16);
    Ring::write_descriptor(&mut g.sys, t, answer, 16, (ring::WRITE, 0));
    let text = g.alloc(8);
    g.write(text, b"plain...");
    split(&mut g, &[(0, text, 8, ring::NEXT, 1), (1, t, 16, ring::INDIRECT, 0)], 0);
    g.kick(0);
    assert!(!g.needs_reset());
    assert_eq!(g.read(answer, 8), b"plain...");
}

#[test]
fn a_claim_of_gigabytes_costs_nothing() {
    let mut g = guest();
    g.start(SPLIT);
    g.indirect = true;
    let huge = vec![Buffer::readable(RAM, u32::MAX); 512];
    g.add_buffers(1, &huge);
    g.kick(1);
    assert!(!g.needs_reset(), "a length alone is no mistake");
    let len = g.with_model(|e: &mut Echo, _| e.kept[0].readable_len());
    assert_eq!(len, 512 * u64::from(u32::MAX));
}

#[test]
fn queues_that_do_not_exist_or_are_not_set_up_are_ignored() {
    let mut g = guest();
    g.negotiate(feature::VERSION_1);
    g.set_status(1 | 2 | 8 | 4);
    for n in [0, 1, 2, 3, 100, u16::MAX] {
        g.kick(n);
        g.drive(|e, cx| {
            e.configure(n, cx, |q| q.vector = 1);
            e.reset_queue(n, cx);
            e.disable_queue(n);
        });
    }
    assert!(!g.needs_reset());
    // A queue of no entries.
    g.drive(|e, _| e.enable_queue(2));
    g.kick(2);
    assert!(!g.needs_reset());
}

#[test]
fn a_kick_before_the_driver_is_ready_waits() {
    let mut g = guest();
    g.negotiate(feature::VERSION_1);
    g.make_rings(u16::MAX);
    g.add(0, &[b"early"], &[5]);
    g.kick(0);
    assert!(g.used(0).is_none());
    g.set_status(1 | 2 | 8 | 4);
    assert_eq!(g.used(0).expect("a chain").data, b"early");
}

#[test]
fn a_device_that_may_not_reach_memory_waits() {
    let mut g = guest();
    g.start(0);
    g.drive(|e, _| e.set_may_dma(false));
    g.add(0, &[b"x"], &[1]);
    g.kick(0);
    assert!(g.used(0).is_none() && !g.needs_reset());
    g.drive(|e, _| e.set_may_dma(true));
    g.kick(0);
    assert_eq!(g.used(0).expect("a chain").data, b"x");
}
