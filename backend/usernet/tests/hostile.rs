//! A guest, a host and an owner that do anything. `fuzz` checks every frame that comes out.

use proptest::prelude::*;
use southbridge_backend_usernet::fuzz;

/// Steps that reach deep more often than bytes without any order: a connection, then anything on it.
fn steps() -> impl Strategy<Value = Vec<u8>> {
    let arp = Just(vec![7, 0, 15, 2]);
    let run = any::<u8>().prop_map(|room| vec![11, room]);
    let syn = any::<u8>().prop_map(|shape| {
        vec![
            1,
            shape & !3,
            0,
            0,
            0,
            0,
            0,
            0,
            2,
            2,
            4,
            5,
            180,
            3,
            3,
            7,
            0,
            0xff,
            0xff,
            0,
        ]
    });
    let flags = prop_oneof![12 => Just(0x10), 3 => Just(0x18), 2 => Just(0x11), 1 => Just(0x14), 1 => any::<u8>()];
    let segment = (flags, any::<[u8; 2]>(), any::<u8>())
        .prop_map(|(flags, window, size)| vec![2, 3, flags & !2, window[0], window[1], size, 11, 200]);
    let open = (any::<u8>(), any::<bool>()).prop_map(|(shape, far)| {
        let syn = [
            1,
            shape & !3,
            0,
            0,
            0,
            0,
            0,
            0,
            2,
            2,
            4,
            5,
            180,
            3,
            3,
            7,
            0,
            0xff,
            0xff,
            0,
        ];
        let from_host = [8, 1, 0, 0, 11, 255, 1, 3, 0x12, 2, 4, 5, 180, 1, 3, 3, 7, 0xff, 0xff, 0];
        let ack = [11, 255, 2, 3, 0x10, 0xff, 0xff, 0, 11, 255, 8, 0, 0, 0, 8, 4, 0, 200];
        if far {
            [&from_host[..], &ack].concat()
        } else {
            [&syn[..], &ack].concat()
        }
    });
    let any_segment = proptest::collection::vec(any::<u8>(), 12).prop_map(|mut bytes| {
        bytes.splice(0..2, [1, bytes[1] | 1]);
        bytes
    });
    let opens = open.clone();
    let host = any::<[u8; 3]>().prop_map(|b| vec![8, b[0], b[1], b[2]]);
    let time = (0_u8..14).prop_map(|t| vec![9, t]);
    let other = (4_u8..12, proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(kind, mut bytes)| {
        bytes.insert(0, kind);
        bytes
    });
    let step = prop_oneof![1 => arp, 6 => run, 1 => syn, 2 => open, 8 => segment, 4 => any_segment, 5 => host, 2 => time, 4 => other];
    (any::<u8>(), opens, proptest::collection::vec(step, 0..80)).prop_map(|(kind, open, steps)| {
        let mut bytes = vec![kind, 7, 0, 15, 2];
        bytes.extend(open);
        bytes.extend(steps.concat());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&data);
    }

    #[test]
    fn any_steps(data in steps()) {
        fuzz(&data);
    }
}
