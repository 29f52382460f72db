use southbridge_backend_net::{Announce, Netdev, Offloads, Passes};
use southbridge_bus_virtio::spec::isr;
use southbridge_protocol_packet::rss;

use super::super::spec::{control, feature};
use super::{ALL, Card, MAC, frame, tcp, tcp_from};

const OK: u8 = control::OK;
const ERR: u8 = control::ERR;
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 0x22];
const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];
const GROUP_2: [u8; 6] = [1, 0, 0x5e, 0, 0, 2];
const BROADCAST: [u8; 6] = [0xff; 6];

fn mode(c: &mut Card, command: u8, on: u8) {
    assert_eq!(c.command(control::RX, command, &[on]), OK);
}

#[test]
fn modes_say_which_frames_come() {
    let mut c = Card::started("", ALL);
    let gets = |c: &mut Card| [MAC, OTHER, GROUP, BROADCAST].map(|to| c.gets(&frame(to, 60)));
    assert_eq!(gets(&mut c), [true; 4], "promiscuous at first");
    mode(&mut c, control::RX_PROMISC, 0);
    assert_eq!(gets(&mut c), [true, false, false, true]);
    mode(&mut c, control::RX_ALLMULTI, 1);
    assert_eq!(gets(&mut c), [true, false, true, true]);
    mode(&mut c, control::RX_ALLUNI, 1);
    assert_eq!(gets(&mut c), [true; 4]);
    mode(&mut c, control::RX_NOMULTI, 1);
    assert_eq!(gets(&mut c), [true, true, false, true]);
    mode(&mut c, control::RX_NOUNI, 1);
    assert_eq!(gets(&mut c), [false, false, false, true]);
    mode(&mut c, control::RX_NOBCAST, 1);
    assert_eq!(gets(&mut c), [false; 4]);
    let f = c.filter();
    assert_eq!(
        (f.unicast, f.multicast, f.broadcast_allowed),
        (Passes::None, Passes::None, false)
    );
    mode(&mut c, control::RX_PROMISC, 1);
    assert_eq!(gets(&mut c), [true; 4]);
    assert_eq!(c.command(control::RX, 6, &[1]), ERR);
    assert_eq!(c.command(control::RX, 0, &[]), ERR);
}

fn tables(unicast: &[[u8; 6]], multicast: &[[u8; 6]]) -> Vec<u8> {
    let mut data = Vec::new();
    for table in [unicast, multicast] {
        data.extend((table.len() as u32).to_le_bytes());
        data.extend(table.concat());
    }
    data
}

#[test]
fn tables_let_other_addresses_in() {
    let mut c = Card::started("", ALL);
    mode(&mut c, control::RX_PROMISC, 0);
    assert_eq!(c.command(control::MAC, 0, &tables(&[OTHER], &[GROUP])), OK);
    assert!(c.gets(&frame(OTHER, 60)) && c.gets(&frame(GROUP, 60)));
    assert!(!c.gets(&frame(GROUP_2, 60)));
    let f = c.filter();
    assert_eq!((f.unicast_table, f.multicast_table), (vec![OTHER], vec![GROUP]));
    // More than fit: all pass, and only of that sort.
    let many: Vec<_> = (0..65u8).map(|i| [1, 0, 0x5e, 1, 0, i]).collect();
    assert_eq!(c.command(control::MAC, 0, &tables(&[], &many)), OK);
    assert!(c.gets(&frame(GROUP_2, 60)) && !c.gets(&frame(OTHER, 60)));
    assert!(c.filter().multicast_overflow);
    // Wrong lengths change nothing.
    let good = tables(&[OTHER], &[GROUP]);
    for bad in [
        &good[..good.len() - 1],
        &good[..3],
        &[good.clone(), vec![0]].concat(),
        &[0xff; 20],
    ] {
        assert_eq!(c.command(control::MAC, 0, bad), ERR);
    }
    assert!(c.filter().multicast_overflow);
}

#[test]
fn the_address_can_be_changed() {
    let mut c = Card::started("", ALL);
    mode(&mut c, control::RX_PROMISC, 0);
    assert_eq!(c.command(control::MAC, 1, &OTHER), OK);
    assert_eq!(c.config()[..6], OTHER);
    assert!(c.gets(&frame(OTHER, 60)) && !c.gets(&frame(MAC, 60)));
    assert_eq!(c.filter().main_mac, OTHER);
    for bad in [&OTHER[..5], &[0; 7][..], &[]] {
        assert_eq!(c.command(control::MAC, 1, bad), ERR);
    }
    assert_eq!(c.command(control::MAC, 2, &OTHER), ERR);
    c.guest.start(ALL);
    assert_eq!(c.config()[..6], MAC);
}

fn write_address(c: &mut Card) {
    for (i, byte) in (0..).zip(OTHER) {
        c.guest.drive(|e, cx| e.config_write(i, 1, byte.into(), cx));
    }
}

#[test]
fn an_old_driver_writes_the_address_and_a_new_one_does_not() {
    let mut c = Card::new("");
    write_address(&mut c);
    assert_eq!(c.config()[..6], OTHER);
    c.guest.start(ALL);
    write_address(&mut c);
    assert_eq!(c.config()[..6], MAC);
}

fn tagged(tag: u16) -> Vec<u8> {
    let mut f = frame(MAC, 12);
    f.truncate(12);
    f.extend([0x81, 0]);
    f.extend(tag.to_be_bytes());
    f.resize(60, 0);
    f
}

#[test]
fn tags_pass_when_they_are_set() {
    let mut c = Card::started("", ALL);
    mode(&mut c, control::RX_PROMISC, 0);
    assert!(!c.gets(&tagged(5)));
    assert_eq!(c.filter().vlan, Passes::None);
    assert_eq!(c.command(control::VLAN, 0, &5u16.to_le_bytes()), OK);
    // The priority is no part of the tag.
    assert!(c.gets(&tagged(5 | 0xe000)) && !c.gets(&tagged(6)));
    assert_eq!((c.filter().vlan, c.filter().vlan_table), (Passes::Normal, vec![5]));
    assert_eq!(c.command(control::VLAN, 1, &5u16.to_le_bytes()), OK);
    assert!(!c.gets(&tagged(5)));
    assert_eq!(c.command(control::VLAN, 0, &4096u16.to_le_bytes()), ERR);
    assert_eq!(c.command(control::VLAN, 2, &5u16.to_le_bytes()), ERR);
    assert_eq!(c.command(control::VLAN, 0, &[5]), ERR);
    // A driver that cannot set them gets all.
    c.guest.start(ALL & !feature::CTRL_VLAN);
    mode(&mut c, control::RX_PROMISC, 0);
    assert!(c.gets(&tagged(7)));
    assert_eq!((c.filter().vlan, c.filter().vlan_table), (Passes::All, vec![]));
}

#[test]
fn the_driver_is_asked_to_announce_itself() {
    let mut c = Card::started("", ALL);
    assert_eq!(c.command(control::ANNOUNCE, 0, &[]), ERR, "nobody asked");
    c.guest.interrupts();
    announce(&mut c);
    assert_eq!(c.status(), 3);
    assert_eq!(c.guest.interrupts() & isr::CONFIG, isr::CONFIG);
    assert_eq!(c.command(control::ANNOUNCE, 0, &[]), OK);
    assert_eq!(c.status(), 1);
    assert_eq!(c.command(control::ANNOUNCE, 1, &[]), ERR);
    // One that cannot is not asked.
    c.guest.start(ALL & !feature::GUEST_ANNOUNCE);
    announce(&mut c);
    assert_eq!(c.status(), 1);
}

fn announce(c: &mut Card) {
    let (netdev, mut host) = c.guest.sys.host.get::<Netdev>(c.netdev).unwrap();
    netdev.announce(
        Announce {
            rounds: 1,
            ..Announce::default()
        },
        &mut host,
    );
    c.settle();
}

#[test]
fn what_the_driver_takes_can_be_changed() {
    let mut c = Card::started("", ALL & !feature::GUEST_UFO);
    let set = |c: &mut Card, bits: u64| c.command(control::GUEST_OFFLOADS, 0, &bits.to_le_bytes());
    assert_eq!(set(&mut c, feature::GUEST_CSUM | feature::GUEST_TSO4), OK);
    assert_eq!(c.host.offloads(), Offloads::CSUM | Offloads::TSO4);
    for bad in [feature::GUEST_UFO, feature::CSUM, 1 << 40] {
        assert_eq!(set(&mut c, bad), ERR);
    }
    assert_eq!(c.host.offloads(), Offloads::CSUM | Offloads::TSO4);
    assert_eq!(c.command(control::GUEST_OFFLOADS, 0, &[0; 7]), ERR);
    assert_eq!(c.command(control::GUEST_OFFLOADS, 1, &[0; 8]), ERR);
    c.guest.start(ALL & !feature::CTRL_GUEST_OFFLOADS);
    assert_eq!(set(&mut c, 0), ERR);
}

#[test]
fn unknown_commands_are_answered() {
    let mut c = Card::started("", ALL);
    for (class, command) in [(6, 0), (0xff, 0xff), (3, 9), (4, 9)] {
        assert_eq!(c.command(class, command, &[0; 64]), ERR);
    }
}

#[test]
fn a_message_may_be_cut_anywhere() {
    let mut c = Card::started("", ALL);
    let bytes = [&[control::MAC, 0][..], &tables(&[OTHER], &[GROUP])].concat();
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(c.command_on(2, &single), OK);
    assert_eq!(c.filter().unicast_table, [OTHER]);
}

fn rss_config(types: u32, unclassified: u16, table: &[u16], queues: u16, key: &[u8]) -> Vec<u8> {
    let mut data = types.to_le_bytes().to_vec();
    data.extend((table.len() as u16).wrapping_sub(1).to_le_bytes());
    data.extend(unclassified.to_le_bytes());
    data.extend(table.iter().flat_map(|q| q.to_le_bytes()));
    data.extend(queues.to_le_bytes());
    data.push(key.len() as u8);
    data.extend(key);
    data
}

/// Four pairs of queues with a buffer in each receive queue; the control queue is the last.
fn four(features: u64) -> Card {
    let mut c = Card::with_queues("mq=on,rss=on,hash=on", 4);
    c.guest.start(features);
    for pair in 0..4 {
        for _ in 0..8 {
            c.guest.add(pair * 2, &[], &[2048]);
        }
        c.guest.kick(pair * 2);
    }
    c
}

/// The receive queue at which one frame arrived, with its header.
fn where_from(c: &mut Card, queue: usize, frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    c.host
        .feed_packet(queue, southbridge_backend_net::VnetHeader::NONE, frame);
    c.settle();
    (0..4).find_map(|pair| c.guest.used(pair * 2).map(|u| (pair, u.data)))
}

#[test]
fn pairs_of_queues_are_switched_on() {
    let mut c = four(ALL & !feature::RSS & !feature::HASH_REPORT);
    let set = |c: &mut Card, n: u16| c.command_on(8, &[&[control::MQ, 0], &n.to_le_bytes()]);
    c.host
        .feed_packet(2, southbridge_backend_net::VnetHeader::NONE, &frame(MAC, 60));
    c.settle();
    assert_eq!(c.host.waiting(), 1, "only the first pair is in use");
    for bad in [0, 5, 0x8001] {
        assert_eq!(set(&mut c, bad), ERR);
    }
    assert_eq!(c.command_on(8, &[&[control::MQ, 0, 1]]), ERR);
    assert_eq!(c.host.used_queues(), 1, "the host gives the others nothing");
    assert_eq!(set(&mut c, 4), OK);
    assert_eq!(c.host.used_queues(), 4);
    c.settle();
    assert_eq!(c.guest.used(4).unwrap().len, 72);
    for queue in 0..4 {
        let (at, _) = where_from(&mut c, queue, &frame(MAC, 60)).unwrap();
        assert_eq!(at, queue as u16);
        c.guest.request(queue as u16 * 2 + 1, &[&[0; 12], &frame(MAC, 60)], &[]);
        assert_eq!(c.host.take_packets()[0].0, queue);
    }
    assert_eq!(set(&mut c, 2), OK);
    assert_eq!(c.host.used_queues(), 2);
    c.guest.sys.reset();
    assert_eq!(c.host.used_queues(), 1);
}

#[test]
fn queues_of_a_card_that_is_gone_are_free() {
    let mut c = four(ALL & !feature::RSS & !feature::HASH_REPORT);
    assert_eq!(c.command_on(8, &[&[control::MQ, 0], &4u16.to_le_bytes()]), OK);
    assert_eq!(c.host.used_queues(), 4);
    c.guest.sys.remove_device(c.guest.device);
    let next = southbridge_backend_net::NetHandle::attach(&mut c.guest.sys.host, c.netdev, None);
    assert!(next.is_ok());
    assert_eq!(c.host.used_queues(), 1, "whoever comes next may have one queue");
}

#[test]
fn a_driver_that_wants_one_pair_has_its_control_queue_third() {
    let mut c = Card::with_queues("mq=on", 4);
    c.guest.start(ALL & !feature::MQ);
    assert_eq!(c.command(control::RX, control::RX_PROMISC, &[0]), OK);
    assert_eq!(c.command(control::MQ, 0, &[1, 0]), ERR);
}

#[test]
fn hashes_choose_queues_and_are_told() {
    let mut c = four(ALL);
    let key: Vec<u8> = (0..40u8).map(|i| i.wrapping_mul(7) + 3).collect();
    let config = rss_config(rss::TCPV4 | rss::IPV4, 3, &[0, 1, 2, 3], 4, &key);
    assert_eq!(c.command_on(8, &[&[control::MQ, 1], &config]), OK);
    let mut seen = [0; 4];
    for port in 0..20 {
        let f = tcp_from(1000 + port, 10);
        let (hash, _) = rss::hash(&key.clone().try_into().unwrap(), rss::ALL, &f).unwrap();
        let (queue, data) = where_from(&mut c, 0, &f).unwrap();
        assert_eq!(u32::from(queue), hash & 3);
        assert_eq!(data[12..16], hash.to_le_bytes());
        assert_eq!(data[16..20], [2, 0, 0, 0]);
        assert_eq!(data[20..], f);
        seen[usize::from(queue)] += 1;
        c.guest.add(queue * 2, &[], &[2048]);
    }
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
    // What has no hash goes where it is said to go.
    let (queue, data) = where_from(&mut c, 1, &frame(MAC, 60)).unwrap();
    assert_eq!((queue, &data[12..20]), (3, &[0; 8][..]));
    // No types and no key: no more hashes.
    let off = rss_config(0, 0, &[0], 4, &[]);
    assert_eq!(c.command_on(8, &[&[control::MQ, 1], &off]), OK);
    let (queue, data) = where_from(&mut c, 2, &tcp(10)).unwrap();
    assert_eq!((queue, &data[12..20]), (2, &[0; 8][..]));
}

#[test]
fn hashes_can_be_told_without_choosing_queues() {
    let mut c = four(ALL & !feature::RSS);
    let config = rss_config(rss::ALL, 0, &[0], 0, &[1; 40]);
    assert_eq!(c.command_on(8, &[&[control::MQ, 2], &config]), OK);
    let (queue, data) = where_from(&mut c, 0, &tcp(10)).unwrap();
    assert_eq!((queue, data[16]), (0, 2));
    assert_eq!(c.command_on(8, &[&[control::MQ, 1], &config]), ERR, "not negotiated");
}

#[test]
fn hash_parameters_that_cannot_be_are_refused() {
    let mut c = four(ALL);
    let good = rss_config(rss::ALL, 0, &[0, 1], 2, &[1; 40]);
    for (bad, why) in [
        (rss_config(rss::ALL, 4, &[0], 4, &[1; 40]), "no such queue for the rest"),
        (
            rss_config(rss::ALL, 0, &[0, 4], 4, &[1; 40]),
            "no such queue in the table",
        ),
        (rss_config(rss::ALL, 0, &[0, 1, 2], 4, &[1; 40]), "no power of two"),
        (rss_config(rss::ALL, 0, &[0; 256], 4, &[1; 40]), "a long table"),
        (rss_config(rss::ALL, 0, &[0], 0, &[1; 40]), "no queues"),
        (rss_config(rss::ALL, 0, &[0], 5, &[1; 40]), "too many queues"),
        (rss_config(rss::ALL, 0, &[0], 4, &[1; 41]), "a long key"),
        (rss_config(rss::ALL, 0, &[0], 4, &[]), "no key"),
        (good[..good.len() - 1].to_vec(), "half a key"),
        (good[..10].to_vec(), "half a table"),
        (good[..3].to_vec(), "nothing"),
    ] {
        assert_eq!(c.command_on(8, &[&[control::MQ, 1], &bad]), ERR, "{why}");
    }
    assert_eq!(c.command_on(8, &[&[control::MQ, 1], &good]), OK);
}
