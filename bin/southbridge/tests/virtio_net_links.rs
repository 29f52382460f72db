//! Linux guests over every back end that leads out of the process: an interface of the host's kernel with several queues, another guest
//! over sockets, tunnels and switches, hubs.

mod common;

use common::cards::{BOTH_WAYS, HostPeer, IPERF, PIECE, Side, boot, checksum, iperf_from_host, iperf_server, transfer};
use common::linux::have_guest;
use common::switches::{dpdk, vde_switch};
use serde_json::json;
use southbridge_testing::private::is_private;
use std::collections::BTreeMap;

#[test]
fn an_interface_of_the_kernel_has_two_queues() {
    const NAME: &str = "an_interface_of_the_kernel_has_two_queues";
    if !have_guest(NAME) || !is_private(NAME, &["/dev/net/tun"], &["iperf3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let up = folder.path().join("up");
    let script =
        "#!/bin/sh -e\nip addr add 10.1.0.1/24 dev $1\nip addr add fd01::1/64 dev $1 nodad\nip link set $1 up\n";
    std::fs::write(&up, script).unwrap();
    std::fs::set_permissions(&up, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let words = format!(
        "-smp 2 -netdev tap,id=n,queues=2,script={},downscript=no -device virtio-net-pci,netdev=n,mq=on,rss=on,hash=on,vectors=6",
        up.display()
    );
    let mut a = boot(folder.path(), "a", &["net"], &words);
    a.set_up(2);
    a.guest.shell("ping -c 2 10.1.0.1 && ping -6 -c 2 fd01::1");
    let _server = iperf_server(IPERF);
    let host = HostPeer::new(4);
    a.iperf_server();
    for (address, own) in [("10.1.0.1", "10.1.0.2"), ("fd01::1", "fd01::2")] {
        a.streams_with(&host, address);
        for words in BOTH_WAYS {
            a.iperf(address, words);
        }
        iperf_from_host(&format!("-c {own} -n 16M -P 4"));
    }
    // Datagrams beyond the MTU.
    a.iperf("10.1.0.1", "-u -b 20M -n 1M -l 8000");
    a.iperf("10.1.0.1", "-u -b 20M -n 1M -l 8000 -R");
    queues(&mut a);
    toggles(&mut a);
    assert_eq!(
        a.guest.shell("ethtool -t eth0 2>&1; true"),
        "Cannot test: Operation not supported",
        "virtio-net's driver has no test of itself"
    );
}

/// How many chains the device has given back in the queues of two pairs while something was done: received and sent by the first pair,
/// received and sent by the second one.
fn moved(a: &mut Side, what: impl FnOnce(&mut Side)) -> [u16; 4] {
    let used = |a: &mut Side| {
        let path = a.qmp.ok("x-query-virtio", json!({}))[0]["path"].clone();
        [0, 1, 2, 3].map(|queue| {
            let of = json!({"path": path, "queue": queue});
            let status = a.qmp.ok("x-query-virtio-queue-status", of);
            status["used-idx"].as_u64().unwrap() as u16
        })
    };
    let before = used(a);
    what(a);
    let after = used(a);
    [0, 1, 2, 3].map(|n| after[n].wrapping_sub(before[n]))
}

/// Many streams go through all queues that there are.
fn queues(a: &mut Side) {
    // (A count of bytes does not end several streams of the server's.)
    let load = |a: &mut Side| {
        a.iperf("10.1.0.1", "-n 4M -P 8");
        a.iperf("10.1.0.1", "-t 1 -P 8 -R");
    };
    assert!(a.guest.shell("ethtool -l eth0 | tail -n 1").ends_with("\t2"));
    let both = moved(a, load);
    assert!(both.iter().all(|n| *n > 20), "{both:?}");
    a.guest.shell("ethtool -L eth0 combined 1");
    let one = moved(a, load);
    assert!(one[0] > 20 && one[1] > 20 && one[2] == 0 && one[3] == 0, "{one:?}");
    a.guest.shell("ethtool -L eth0 combined 2");
    let both = moved(a, load);
    assert!(both.iter().all(|n| *n > 20), "{both:?}");
    let table = a.guest.shell("ethtool -x eth0");
    assert!(table.contains("RX flow hash indirection table"), "{table}");
    // All to the one, by the table of the hash; then to the other.
    for (weights, quiet) in [("1 0", 2), ("0 1", 0)] {
        a.guest.shell(&format!("ethtool -X eth0 weight {weights}"));
        let one = moved(a, load);
        assert!(one[quiet] < 10 && one[2 - quiet] > 20, "{weights}: {one:?}");
    }
    a.guest.shell("ethtool -X eth0 equal 2");
    let both = moved(a, load);
    assert!(both.iter().all(|n| *n > 20), "{both:?}");
    let drops = a
        .guest
        .shell("ethtool -S eth0 | grep -E 'drops|timeouts' | grep -v ': 0$'; true");
    assert_eq!(drops, "", "the driver has lost frames");
}

/// Each offload that the driver lets be switched is off and on again, with the same streams.
fn toggles(a: &mut Side) {
    let host = HostPeer::new(1);
    let features = |a: &mut Side| -> BTreeMap<String, String> {
        let text = a.guest.shell("ethtool -k eth0");
        let pairs = text.lines().filter_map(|l| l.trim().split_once(": "));
        pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    };
    let check = |a: &mut Side| {
        a.streams_with(&host, "10.1.0.1");
        a.streams_with(&host, "fd01::1");
        a.iperf("10.1.0.1", "-u -b 50M -n 256K -l 3000");
    };
    let before = features(a);
    for name in [
        "tx-checksumming",
        "scatter-gather",
        "tx-tcp-segmentation",
        "tx-tcp6-segmentation",
        "tx-udp-segmentation",
        "generic-segmentation-offload",
        "generic-receive-offload",
        "rx-gro-hw",
    ] {
        let change = |a: &mut Side, to: &str| {
            a.guest.shell(&format!("ethtool -K eth0 {name} {to} >/dev/null"));
            let is = features(a);
            assert_eq!(is[name], to, "{is:?}");
        };
        let (now, other) = match &*before[name] {
            "on" => ("on", "off"),
            "off" => ("off", "on"),
            _ => panic!("{name} cannot be switched: {before:?}"),
        };
        change(a, other);
        check(a);
        change(a, now);
    }
    check(a);
    assert_eq!(features(a), before);
}

/// The cards of two guests: what they are called, and the words of both.
struct Cards {
    names: Vec<&'static str>,
    words: [String; 2],
}

impl Cards {
    fn add(&mut self, name: &'static str, netdevs: [String; 2]) {
        let n = self.names.len();
        self.names.push(name);
        for (side, (words, netdev)) in self.words.iter_mut().zip(netdevs).enumerate() {
            let card = if netdev.is_empty() {
                String::new()
            } else {
                format!(" {netdev} -device virtio-net-pci,netdev=n{n},mac=52:54:00:00:0{n}:0{side}")
            };
            words.push_str(&card);
        }
    }
}

#[test]
fn two_guests_meet_on_every_cable() {
    const NAME: &str = "two_guests_meet_on_every_cable";
    if !have_guest(NAME) || !is_private(NAME, &[], &["vde_switch", "dpdk-testpmd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut cards = Cards {
        names: Vec::new(),
        words: Default::default(),
    };
    let stream = |id: &str, server: bool| {
        let on = if server { "server=on" } else { "reconnect-ms=100" };
        format!("-netdev stream,id={id},addr.type=unix,addr.path={},{on}", at("cable"))
    };
    // A hub in the first machine: its card, our NAT, and the cable to the other machine.
    cards.add(
        "hub",
        [
            format!(
                "{} -netdev user,id=u -netdev hubport,id=n0,hubid=7 -netdev hubport,id=h1,hubid=7,netdev=c \
                 -netdev hubport,id=h2,hubid=7,netdev=u",
                stream("c", true)
            ),
            stream("n0", false),
        ],
    );
    let _switch = vde_switch(&at("vde"));
    cards.add("vde", [(); 2].map(|()| format!("-netdev vde,id=n1,sock={}", at("vde"))));
    let session = |src: &str, dst: &str, own: u32, other: u32| {
        format!(
            "-netdev l2tpv3,id=n2,src={src},dst={dst},udp=on,srcport={own},dstport={other},txsession={own},rxsession={other},counter=on"
        )
    };
    cards.add(
        "l2tpv3",
        [
            session("127.0.0.1", "127.0.0.2", 6001, 6002),
            session("127.0.0.2", "127.0.0.1", 6002, 6001),
        ],
    );
    let group = "-netdev dgram,id=n3,remote.type=inet,remote.host=230.0.0.1,remote.port=1234,\
                 local.type=inet,local.host=127.0.0.1,local.port=0";
    cards.add("dgram", [group.into(), group.into()]);
    let _dpdk = dpdk([&folder.path().join("one"), &folder.path().join("other")]);
    cards.add(
        "vhost-user",
        ["one", "other"].map(|n| {
            format!(
                "-chardev socket,id=c4,path={},reconnect-ms=100 -netdev vhost-user,id=n4,chardev=c4",
                at(n)
            )
        }),
    );
    let [mut a, mut b] = [0, 1].map(|n| boot(folder.path(), ["a", "b"][n], &["net"], &cards.words[n]));
    for (side, own) in [(&mut a, 1), (&mut b, 2)] {
        side.guest.wait_for_shell();
        side.load();
        side.guest.shell(&format!("{PIECE} >/tmp/piece"));
        for n in 0..5 {
            side.until(&format!("ip link show eth{n}"));
            side.guest.shell(&format!(
                "echo 0 >/proc/sys/net/ipv6/conf/eth{n}/accept_dad; ip link set eth{n} up; \
                 ip addr add 10.1.{n}.{own}/24 dev eth{n}; ip -6 addr add fd0{n}::{own}/64 dev eth{n}"
            ));
        }
    }
    b.iperf_server();
    let expected = checksum(10);
    for (n, name) in cards.names.iter().enumerate().take(5) {
        eprintln!("over {name}");
        for ping in [
            format!("ping -c 1 -W 1 10.1.{n}.2"),
            format!("ping -6 -c 1 -W 1 fd0{n}::2"),
        ] {
            a.until(&ping);
        }
        transfer(&mut a, &mut b, &format!("10.1.{n}.2"), 10, &expected);
        transfer(&mut b, &mut a, &format!("fd0{n}::1"), 10, &expected);
        a.iperf(&format!("10.1.{n}.2"), "-n 16M");
        a.iperf(&format!("fd0{n}::2"), "-n 16M -R");
        a.iperf(&format!("10.1.{n}.2"), "-u -b 20M -n 512K");
        a.iperf(&format!("10.1.{n}.2"), "-u -b 20M -n 512K -R");
    }
    // The NAT of the first machine serves the other one too, through the hub and the cable.
    b.guest
        .shell(&format!("{}; udhcpc -i eth0 -n -q -s /tmp/dhcp", common::cards::DHCP));
    b.guest.shell("ping -c 2 10.0.2.2");
}
