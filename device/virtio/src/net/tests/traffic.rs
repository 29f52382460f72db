use southbridge_backend_net::{Offloads, VnetHeader};
use southbridge_bus_virtio::spec::{feature as ring_feature, isr};
use southbridge_bus_virtio::testing::{Buffer, Guest};
use southbridge_core::CreateError;
use southbridge_protocol_packet::checksum;

use super::super::spec::feature;
use super::{ALL, Card, MAC, frame, properties, tcp};

const BROADCAST: [u8; 6] = [0xff; 6];

fn gso(size: u16) -> VnetHeader {
    VnetHeader {
        flags: VnetHeader::NEEDS_CSUM,
        gso_type: VnetHeader::GSO_TCPV4,
        hdr_len: 54,
        gso_size: size,
        csum_start: 34,
        csum_offset: 16,
    }
}

fn header(vnet: VnetHeader) -> Vec<u8> {
    let mut h = vnet.to_bytes().to_vec();
    h.extend([0, 0]);
    h
}

#[test]
fn frames_go_out_from_every_sort_of_ring() {
    for features in [ALL, ALL | ring_feature::EVENT_IDX, ALL | ring_feature::RING_PACKED] {
        for indirect in [false, true] {
            let mut c = Card::new("packed=on");
            c.guest.indirect = indirect;
            c.guest.start(features | ring_feature::INDIRECT_DESC);
            let f = frame(BROADCAST, 100);
            for _ in 0..600 {
                let used = c.guest.request(1, &[&[0; 12], &f[..14], &f[14..]], &[]);
                assert_eq!(used.len, 0);
            }
            assert_eq!(c.host.take(), vec![f; 600]);
        }
    }
}

#[test]
fn frames_come_in_with_a_header_before_them() {
    for features in [ALL, ALL | ring_feature::RING_PACKED] {
        let mut c = Card::started("packed=on", features);
        c.guest.add(0, &[], &[12, 1600]);
        c.guest.kick(0);
        let f = frame(MAC, 100);
        c.arrive(&f);
        let used = c.guest.used(0).unwrap();
        assert_eq!(used.data[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(used.data[12..], f);
        assert_eq!(c.guest.interrupts() & isr::QUEUE, isr::QUEUE);
    }
}

#[test]
fn a_large_frame_is_spread_over_buffers() {
    let mut c = Card::started("", ALL);
    for _ in 0..5 {
        c.guest.add(0, &[], &[1000]);
    }
    c.guest.kick(0);
    let f = tcp(3000);
    c.arrive_with(gso(1448), &f);
    let parts: Vec<_> = std::iter::from_fn(|| c.guest.used(0)).collect();
    assert_eq!(parts.iter().map(|u| u.len).collect::<Vec<_>>(), [1000, 1000, 1000, 66]);
    assert_eq!(parts[0].data[..10], gso(1448).to_bytes());
    assert_eq!(parts[0].data[10..12], [4, 0]);
    let whole: Vec<u8> = parts.iter().flat_map(|u| u.data.clone()).collect();
    assert_eq!(whole[12..], f);
    // The fifth buffer is still the device's.
    c.arrive(&frame(MAC, 60));
    assert_eq!(c.guest.used(0).unwrap().len, 72);
}

#[test]
fn a_large_frame_that_finds_too_few_buffers_hears_of_the_next_one() {
    for ring in [0, ring_feature::RING_PACKED] {
        let mut c = Card::started("packed=on", ALL | ring_feature::EVENT_IDX | ring);
        for _ in 0..3 {
            c.guest.add(0, &[], &[1000]);
        }
        c.guest.kick(0);
        let f = tcp(3000);
        c.arrive_with(gso(1448), &f);
        assert!(c.guest.used(0).is_none());
        // The driver tells of buffers where it is asked to, and of those that it has told of never again.
        c.guest.wants_kick(0);
        c.guest.add(0, &[], &[1000]);
        assert!(c.guest.wants_kick(0), "the card must hear of the fourth buffer");
        c.guest.kick(0);
        let parts: Vec<_> = std::iter::from_fn(|| c.guest.used(0)).map(|u| u.len).collect();
        assert_eq!(parts, [1000, 1000, 1000, 66]);
    }
}

#[test]
fn a_driver_without_merging_gets_what_fits_its_buffers() {
    let mut c = Card::started("mrg_rxbuf=off,guest_tso4=off,guest_csum=off", ALL);
    c.guest.add(0, &[], &[100]);
    c.guest.kick(0);
    c.arrive(&frame(MAC, 200));
    assert_eq!(c.guest.used(0), None, "too long for the buffer: lost");
    c.arrive(&frame(MAC, 88));
    assert_eq!(c.guest.used(0).unwrap().len, 100);
    // What the driver does not take is done for it before: segments with checksums.
    for _ in 0..3 {
        c.guest.add(0, &[], &[1600]);
    }
    c.guest.kick(0);
    c.arrive_with(gso(1448), &tcp(3000));
    for length in [1448, 1448, 104] {
        let used = c.guest.used(0).unwrap();
        assert_eq!(used.data.len(), 12 + 54 + length);
        assert_eq!(used.data[..10], [0; 10]);
        assert!(checksum::verify(&used.data[12..]));
    }
}

#[test]
fn an_old_driver_has_shorter_headers() {
    for (features, length) in [(0, 10), (feature::MRG_RXBUF, 12)] {
        let mut c = Card::new("");
        c.guest.negotiate(features);
        c.guest.make_rings(256);
        c.guest.set_status(15);
        c.guest.add(0, &[], &[200]);
        c.guest.kick(0);
        let f = frame(MAC, 60);
        c.arrive(&f);
        let used = c.guest.used(0).unwrap();
        assert_eq!(used.data[length..], f);
        c.send(&vec![0; length], &f);
        assert_eq!(c.host.take(), [f]);
    }
}

#[test]
fn what_the_driver_leaves_to_be_done_is_passed_on_or_done() {
    let mut c = Card::started("", ALL);
    let f = tcp(3000);
    c.send(&header(gso(1448)), &f);
    let segments = c.host.take();
    assert_eq!(segments.len(), 3);
    assert!(segments.iter().all(|s| checksum::verify(s)));
    c.host.set_takes(Offloads::all());
    c.send(&header(gso(1448)), &f);
    assert_eq!(c.host.take_packets(), [(0, (gso(1448), f))]);
}

#[test]
fn the_back_end_hears_what_the_driver_takes() {
    let c = Card::started("", ALL & !(feature::GUEST_UFO | feature::GUEST_TSO6));
    let expected = Offloads::all() & !(Offloads::UFO | Offloads::TSO6);
    assert_eq!(c.host.offloads(), expected);
}

#[test]
fn frames_wait_for_buffers_and_the_host_for_the_frames() {
    let mut c = Card::started("", ALL);
    for _ in 0..200 {
        c.host.feed(&frame(MAC, 60));
    }
    c.settle();
    // Some are with the card, the others with whoever sends.
    assert!(c.host.waiting() > 100, "{}", c.host.waiting());
    assert!(c.guest.wants_kick(0), "the card must hear of buffers");
    let mut got = 0;
    while got < 200 {
        for _ in 0..16 {
            c.guest.add(0, &[], &[100]);
        }
        c.guest.kick(0);
        c.settle();
        while c.guest.used(0).is_some() {
            got += 1;
        }
    }
    assert_eq!((got, c.host.waiting()), (200, 0));
}

#[test]
fn before_the_driver_is_there_frames_stay_with_the_host() {
    let mut c = Card::new("");
    c.arrive(&frame(MAC, 60));
    assert_eq!(c.host.waiting(), 1);
    c.guest.start(ALL);
    c.guest.add(0, &[], &[100]);
    c.guest.kick(0);
    c.settle();
    assert!(c.guest.used(0).is_some());
}

#[test]
fn a_full_host_makes_the_driver_wait() {
    let mut c = Card::started("", ALL);
    c.host.accept(Some(0));
    c.settle();
    // The back end keeps some itself.
    let f = frame(BROADCAST, 60);
    let mut added = 0;
    while c.guest.used(1).is_some() || added < 250 {
        c.guest.add(1, &[&[0; 12], &f], &[]);
        c.guest.kick(1);
        added += 1;
        assert!(added < 5000, "no bound");
        while added < 250 && c.guest.used(1).is_some() {}
    }
    assert!(c.guest.rings[1].pending() > 0);
    c.host.accept(None);
    c.settle();
    while c.guest.used(1).is_some() {}
    assert_eq!(c.guest.rings[1].pending(), 0);
    assert_eq!(c.host.take().len(), added);
}

#[test]
fn a_timer_lets_frames_wait_for_others() {
    let mut c = Card::started("tx=timer,x-txtimer=1000000", ALL);
    let f = frame(BROADCAST, 60);
    c.guest.add(1, &[&[0; 12], &f], &[]);
    c.guest.kick(1);
    assert_eq!((c.guest.used(1), c.host.take().len()), (None, 0));
    // Time passes.
    c.guest.wait_used(1);
    assert_eq!(c.host.take().len(), 1);
    // A second kick does not wait.
    c.guest.add(1, &[&[0; 12], &f], &[]);
    c.guest.kick(1);
    c.guest.add(1, &[&[0; 12], &f], &[]);
    c.guest.kick(1);
    assert_eq!(c.host.take().len(), 2);
}

#[test]
fn a_pulled_cable_is_seen_and_swallows_frames() {
    let mut c = Card::started("", ALL);
    assert_eq!(c.status(), 1);
    c.guest.interrupts();
    c.host.set_link(&mut c.guest.sys, false);
    c.settle();
    assert_eq!(c.status(), 0);
    assert_eq!(c.guest.interrupts() & isr::CONFIG, isr::CONFIG);
    c.send(&[0; 12], &frame(BROADCAST, 60));
    assert_eq!(c.host.take().len(), 0);
    // A reset does not plug it in.
    c.guest.start(ALL);
    assert_eq!(c.status(), 0);
    c.host.set_link(&mut c.guest.sys, true);
    c.settle();
    assert_eq!(c.status(), 1);
    c.send(&[0; 12], &frame(BROADCAST, 60));
    assert_eq!(c.host.take().len(), 1);
}

#[test]
fn traffic_goes_on_where_the_machine_is_loaded() {
    for features in [ALL, ALL | ring_feature::RING_PACKED] {
        let mut c = Card::started("packed=on", features);
        assert_eq!(c.command(1, 1, &[2, 0, 0, 0, 0, 9]), 0);
        // Frames for which there are no buffers, and frames for which the host has no room.
        for i in 0..10 {
            c.host.feed(&frame(MAC, 60 + i));
        }
        c.settle();
        assert_eq!(c.host.waiting(), 0);
        c.host.accept(Some(0));
        c.settle();
        let sent = 300;
        let f = frame(BROADCAST, 60);
        for i in 0..sent {
            c.guest.add(1, &[&[0; 12], &f], &[]);
            c.guest.kick(1);
            if i < 200 {
                while c.guest.used(1).is_some() {}
            }
        }
        while c.guest.used(1).is_some() {}
        let held = c.guest.rings[1].pending();
        assert!(held > 0);
        let other = Card::new("packed=on");
        let (host, netdev) = (other.host.clone(), other.netdev);
        let mut c = Card {
            guest: c.guest.move_to(other.guest),
            host,
            netdev,
        };
        c.settle();
        while c.guest.used(1).is_some() {}
        assert_eq!((c.guest.rings[1].pending(), c.host.take().len()), (0, held));
        for _ in 0..10 {
            c.guest.add(0, &[], &[200]);
        }
        c.guest.kick(0);
        for i in 0..10 {
            assert_eq!(c.guest.used(0).map(|u| u.len), Some(72 + i as u32));
        }
        assert_eq!(c.config()[..6], [2, 0, 0, 0, 0, 9]);
        assert_eq!(c.host.offloads(), Offloads::all());
        assert_eq!(c.filter().main_mac, [2, 0, 0, 0, 0, 9]);
        c.guest.add(0, &[], &[200]);
        c.guest.kick(0);
        c.arrive(&frame(MAC, 64));
        assert_eq!(c.guest.used(0).unwrap().len, 76);
    }
}

#[test]
fn a_state_of_other_queues_is_refused() {
    let mut one = Card::started("", ALL);
    let mut four = Card::with_queues("mq=on", 4);
    four.guest.start(ALL);
    let state = four.guest.save();
    let loaded = one.guest.sys.with_device(one.guest.device, |d, _| d.load(&state));
    assert!(loaded.unwrap().is_err());
    assert!(one.gets(&frame(MAC, 60)));
}

#[test]
fn configuration_space_has_what_is_offered() {
    assert_eq!(Card::new("").config().len(), 8);
    assert_eq!(Card::new("status=off").config().len(), 6);
    assert_eq!(Card::new("status=off,mq=on").config().len(), 10);
    let mut c = Card::new("mac=52:54:00:aa:bb:cc,host_mtu=9000,speed=10000,duplex=full");
    let expected = [
        0x52, 0x54, 0, 0xaa, 0xbb, 0xcc, 1, 0, 1, 0, 0x28, 0x23, 0x10, 0x27, 0, 0, 1,
    ];
    assert_eq!(c.config(), expected);
    let mut c = Card::with_queues("rss=on,duplex=half", 4);
    let expected = [1, 0, 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 40, 128, 0, 0xff, 1, 0, 0];
    assert_eq!(c.config()[6..], expected);
}

#[test]
fn every_feature_follows_its_property() {
    for (name, bit) in [
        ("csum", feature::CSUM),
        ("guest_tso4", feature::GUEST_TSO4),
        ("host_uso", feature::HOST_USO),
        ("mrg_rxbuf", feature::MRG_RXBUF),
        ("status", feature::STATUS),
        ("ctrl_vq", feature::CTRL_VQ),
        ("guest_announce", feature::GUEST_ANNOUNCE),
        ("mq", feature::MQ),
        ("rss", feature::RSS),
        ("hash", feature::HASH_REPORT),
    ] {
        for (word, on) in [("on", true), ("off", false)] {
            let mut c = Card::new(&format!("{name}={word}"));
            assert_eq!(c.guest.drive(|e, _| e.offered()) & bit != 0, on, "{name}={word}");
        }
    }
}

#[test]
fn properties_that_cannot_be_are_refused() {
    for (words, property) in [
        ("rx_queue_size=128", "rx_queue_size"),
        ("rx_queue_size=300", "rx_queue_size"),
        ("tx_queue_size=2048", "tx_queue_size"),
        ("mac=53:54:00:12:34:56", "mac"),
        ("speed=fast", "speed"),
        ("speed=-2", "speed"),
        ("duplex=both", "duplex"),
        ("tx=later", "tx"),
        ("failover=on", "failover"),
    ] {
        let mut sys = southbridge_bus_virtio::testing::system();
        let refused = sys.add_device(super::device_type(), None, properties(words), &[]);
        match refused {
            Err(CreateError::BadValue { property: p, .. }) => assert_eq!(p, property),
            other => panic!("{words}: {other:?}"),
        }
    }
}

#[test]
fn a_card_without_back_end_swallows_frames() {
    let mut g = Guest::new(super::device_type(), properties(""));
    g.start(ALL);
    g.request(1, &[&[0; 12], &frame(BROADCAST, 60)], &[]);
    g.add_buffers(0, &[Buffer::writable(southbridge_bus_virtio::testing::RAM, 2000)]);
    g.kick(0);
    assert_eq!(g.used(0), None);
}

#[test]
fn a_card_writes_its_own_capture() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pcap");
    let mut c = Card::started(&format!("pcap={}", file.display()), ALL);
    c.send(&header(gso(1448)), &tcp(3000));
    assert!(c.gets(&frame(MAC, 60)));
    let bytes = std::fs::read(&file).unwrap();
    // Segments as they are on the wire, not what the driver gave.
    assert_eq!(bytes.len(), 24 + 4 * 16 + (1448 + 54) * 2 + 104 + 54 + 60);
}

#[test]
fn answers_of_dhcp_come_with_their_checksum() {
    let mut c = Card::started("", ALL);
    let mut f = MAC.to_vec();
    f.extend([2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0]);
    f.extend([10, 0, 2, 2, 10, 0, 2, 15, 0, 67, 0, 68, 0, 12, 0, 0, 1, 2, 3, 4]);
    checksum::refill(&mut f).unwrap();
    let (whole, mut partial) = (f.clone(), f);
    let network = southbridge_protocol_packet::Layers::of(&partial)
        .unwrap()
        .network
        .unwrap();
    let sum = checksum::pseudo(&partial, network, 17, 12).unwrap().partial();
    partial[40..42].copy_from_slice(&sum.to_be_bytes());
    let vnet = VnetHeader {
        flags: VnetHeader::NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 6,
        ..VnetHeader::NONE
    };
    c.guest.add(0, &[], &[200]);
    c.guest.kick(0);
    c.arrive_with(vnet, &partial);
    let used = c.guest.used(0).unwrap();
    assert_eq!((used.data[0], &used.data[12..]), (0, &whole[..]));
}
