//! Debian's kernel with its own driver on virtio-net: two guests on one cable, a move of one of them while they talk, network cards that
//! come and go, our own NAT. The guests are made by `guest/build`; without it these tests are skipped, visibly.

mod common;

use common::cards::{DHCP, MANY, PIECE, Side, boot, checksum, stream, sum_of, transfer};
use common::linux::{PATIENCE, have_guest};
use common::wait;
use serde_json::json;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

fn cable(folder: &Path, server: bool) -> String {
    let on = if server { "on" } else { "off" };
    // The client comes when the server is there, and again after it was gone.
    let again = if server { "" } else { ",reconnect-ms=500" };
    let path = folder.join("cable");
    format!(
        "-netdev stream,id=n,server={on},addr.type=unix,addr.path={}{again}",
        path.display()
    )
}

/// One on PCI, the other on MMIO.
fn two_guests(folder: &Path, sets: &[&str]) -> (Side, Side) {
    let card = |server: bool, of: &str, n: u8| {
        let cable = cable(folder, server);
        format!("{cable} -device {of},netdev=n,mac=52:54:00:01:00:0{n}")
    };
    let mut a = boot(folder, "a", sets, &card(true, "virtio-net-pci", 1));
    let mut b = boot(folder, "b", sets, &card(false, "virtio-net-device", 2));
    a.set_up(1);
    b.set_up(2);
    (a, b)
}

#[test]
fn two_guests_talk_and_a_hundred_megabytes_go_each_way() {
    if !have_guest("two_guests_talk_and_a_hundred_megabytes_go_each_way") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut a, mut b) = two_guests(folder.path(), &["net"]);
    b.until("ping -c 1 -W 1 10.1.0.1");
    b.guest.shell("ping -c 3 10.1.0.1 && ping -6 -c 3 fd01::1");
    a.guest.shell("ping -c 3 -s 8000 10.1.0.2");
    let expected = checksum(MANY);
    transfer(&mut a, &mut b, "10.1.0.2", MANY, &expected);
    transfer(&mut b, &mut a, "10.1.0.1", MANY, &expected);
    let expected = checksum(2);
    transfer(&mut a, &mut b, "fd01::2", 2, &expected);
    offloads(&mut a, &mut b, &expected);
    filter(&mut a, &mut b);
    cable_is_pulled(&mut a);
}

/// With every offload on and off there is the same stream.
fn offloads(a: &mut Side, b: &mut Side, expected: &str) {
    let features = a.guest.shell("ethtool -k eth0");
    for on in [
        "tx-checksumming",
        "scatter-gather",
        "tcp-segmentation-offload",
        "rx-checksumming",
    ] {
        assert!(features.contains(&format!("{on}: on")), "{features}");
    }
    assert!(a.guest.shell("ethtool -i eth0").contains("driver: virtio_net"));
    for toggle in [
        "tso off",
        "tx off sg off",
        "tx on sg on tso on",
        "gro off",
        "lro off",
        "rx off",
        "rx on lro on gro on",
    ] {
        // What a driver cannot change it says; the stream must be right all the same.
        for side in [&mut *a, &mut *b] {
            side.guest.shell(&format!("ethtool -K eth0 {toggle} 2>/dev/null; true"));
        }
        transfer(a, b, "10.1.0.2", 2, expected);
        transfer(b, a, "10.1.0.1", 2, expected);
    }
}

/// The driver's filter is what the monitor tells.
fn filter(a: &mut Side, b: &mut Side) {
    let tell = |a: &mut Side| a.qmp.ok("query-rx-filter", json!({}))[0].clone();
    let before = tell(a);
    assert_eq!(
        (&before["promiscuous"], &before["main-mac"]),
        (&json!(false), &json!("52:54:00:01:00:01"))
    );
    a.guest.shell("ip link set eth0 promisc on");
    assert_eq!(tell(a)["promiscuous"], json!(true));
    a.guest
        .shell("ip link set eth0 promisc off; ip link set eth0 down; ip link set eth0 address 52:54:00:01:00:99");
    a.guest
        .shell("ip link set eth0 up; ip -6 addr add fd01::1/64 dev eth0 2>/dev/null; true");
    assert_eq!(tell(a)["main-mac"], json!("52:54:00:01:00:99"));
    b.guest.shell("ip neigh flush dev eth0");
    b.until("ping -c 1 -W 1 10.1.0.1");
}

fn cable_is_pulled(a: &mut Side) {
    a.qmp.ok("set_link", json!({"name": "n", "up": false}));
    a.until("[ $(cat /sys/class/net/eth0/carrier) = 0 ]");
    a.qmp.ok("set_link", json!({"name": "n", "up": true}));
    a.until("[ $(cat /sys/class/net/eth0/carrier) = 1 ]");
    a.until("ping -c 1 -W 1 10.1.0.2");
}

#[test]
fn a_guest_moves_while_it_sends() {
    if !have_guest("a_guest_moves_while_it_sends") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut a, mut b) = two_guests(folder.path(), &[]);
    b.until("ping -c 1 -W 1 10.1.0.1");
    let pieces = 40;
    a.listen(5001);
    // The other one goes on by itself while nobody looks.
    b.guest.shell(&format!(
        "({} | nc 10.1.0.1 5001) >/dev/null 2>&1 & true",
        stream(pieces)
    ));
    a.until("[ $(cat /sys/class/net/eth0/statistics/rx_bytes) -gt 3000000 ]");
    let state = folder.path().join("state");
    b.qmp.ok("migrate", json!({"uri": format!("file:{}", state.display())}));
    wait("the end of the migration", || {
        b.qmp.ok("query-migrate", json!({}))["status"] == json!("completed")
    });
    assert_ne!(
        a.guest.shell("cat /tmp/sum"),
        checksum(pieces),
        "it was over before it began"
    );
    eprintln!(
        "gone after {} bytes",
        a.guest.shell("cat /sys/class/net/eth0/statistics/rx_bytes")
    );
    b.qmp.ok("quit", json!({}));
    b.guest.ended();
    let card = "-device virtio-net-device,netdev=n,mac=52:54:00:01:00:02";
    let words = format!(
        "{} {card} -incoming file:{}",
        cable(folder.path(), false),
        state.display()
    );
    let mut b = boot(folder.path(), "b2", &[], &words);
    b.guest.type_line("");
    b.guest.wait_for("# ");
    eprintln!(
        "there with {} bytes sent",
        b.guest.shell("cat /sys/class/net/eth0/statistics/tx_bytes")
    );
    assert_eq!(a.sum(), checksum(pieces));
    transfer(&mut a, &mut b, "10.1.0.2", 2, &checksum(2));
    assert!(b.guest.shell("ip link show eth0").contains("52:54:00:01:00:02"));
}

#[test]
fn cards_come_and_go() {
    if !have_guest("cards_come_and_go") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = "-device pcie-root-port,id=slot1,chassis=1,slot=1";
    let mut a = boot(
        folder.path(),
        "a",
        &[],
        &format!("{} {port}", cable(folder.path(), true)),
    );
    let card = "-device virtio-net-pci,netdev=n,mac=52:54:00:01:00:02";
    let mut b = boot(
        folder.path(),
        "b",
        &[],
        &format!("{} {card}", cable(folder.path(), false)),
    );
    b.set_up(2);
    a.guest.wait_for_shell();
    a.load();
    a.guest.shell(&format!("{PIECE} >/tmp/piece"));
    let expected = checksum(2);
    for round in 0..2 {
        let device = json!({"driver": "virtio-net-pci", "id": "card", "bus": "slot1", "netdev": "n", "mac": "52:54:00:01:00:01"});
        a.qmp.ok("device_add", device);
        // Debian's kernel for this architecture has no driver of hot-plug slots: it must look.
        a.guest.shell("echo 1 >/sys/bus/pci/rescan");
        a.address("eth0", 1);
        a.until("ping -c 1 -W 1 10.1.0.2");
        transfer(&mut b, &mut a, "10.1.0.1", 2, &expected);
        if round == 1 {
            // Under load, from both sides.
            b.guest.shell("(while :; do cat /tmp/piece; done | nc 10.1.0.1 9) >/dev/null 2>&1 & ping -A -s 1400 10.1.0.1 >/dev/null & true");
            a.guest.shell("ping -A -s 1400 10.1.0.2 >/dev/null & true");
        }
        a.guest
            .shell("echo 1 >$(readlink -f /sys/class/net/eth0/device/..)/remove");
        a.qmp.ok("device_del", json!({"id": "card"}));
        wait("the card's end", || {
            let left = a.qmp.ok("qom-list", json!({"path": "/machine/peripheral"}));
            !left.to_string().contains("\"card\"")
        });
        a.until("[ ! -e /sys/class/net/eth0 ]");
    }
    assert_eq!(a.guest.shell("echo alive"), "alive");
}

#[test]
fn our_nat_gives_an_address_and_carries_streams() {
    if !have_guest("our_nat_gives_an_address_and_carries_streams") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("nat.pcap");
    let (outside, free) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let (out_port, in_port) = (outside.local_addr().unwrap().port(), free.local_addr().unwrap().port());
    drop(free);
    let words = format!(
        "-netdev user,id=n,hostfwd=tcp:127.0.0.1:{in_port}-:5001 -device virtio-net-device,netdev=n \
         -object filter-dump,id=f,netdev=n,file={}",
        capture.display()
    );
    let mut a = boot(folder.path(), "a", &[], &words);
    a.guest.wait_for_shell();
    a.load();
    a.guest.shell(&format!(
        "{DHCP}; {PIECE} >/tmp/piece; ip link set lo up; ip link set eth0 up"
    ));
    a.guest.shell("udhcpc -i eth0 -n -q -s /tmp/dhcp");
    assert!(a.guest.shell("ip addr show eth0").contains("10.0.2.15/24"));
    a.guest.shell("ping -c 3 10.0.2.2");
    a.until("ip -6 addr show eth0 | grep -q 'inet6 fec0'");
    a.guest.shell("ping -6 -c 3 fec0::2");
    let expected = checksum(MANY);
    // Out.
    let receiver = std::thread::spawn(move || sum_of(&mut outside.accept().unwrap().0));
    let begin = Instant::now();
    a.guest.shell(&format!("{} | nc 10.0.2.2 {out_port}", stream(MANY)));
    assert_eq!(receiver.join().unwrap(), expected);
    eprintln!("{MANY} MiB out in {:.1} s", begin.elapsed().as_secs_f64());
    // In.
    a.listen(5001);
    let begin = Instant::now();
    let mut peer = TcpStream::connect(("127.0.0.1", in_port)).unwrap();
    let piece = Command::new("sh").args(["-c", PIECE]).output().unwrap().stdout;
    for _ in 0..MANY {
        peer.write_all(&piece).unwrap();
    }
    drop(peer);
    assert_eq!(a.sum(), expected);
    eprintln!("{MANY} MiB in in {:.1} s", begin.elapsed().as_secs_f64());
    assert!(begin.elapsed() < 4 * PATIENCE);
    let bytes = std::fs::read(&capture).unwrap();
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    assert!(
        bytes.len() > (2 * MANY as usize) << 20,
        "{} bytes of capture",
        bytes.len()
    );
}
