//! What happens to network cards while frames pass: others come and go, back ends go away from under them, cables are pulled.

mod common;

use common::cards::{DHCP, HostPeer, IPERF, PIECE, Side, boot, iperf_server};
use common::linux::have_guest;
use common::wait;
use serde_json::json;
use southbridge_testing::private::is_private;

#[test]
fn cards_change_while_others_and_they_themselves_are_busy() {
    const NAME: &str = "cards_change_while_others_and_they_themselves_are_busy";
    if !have_guest(NAME) || !is_private(NAME, &[], &["iperf3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = HostPeer::new(4);
    let _server = [iperf_server(IPERF), iperf_server(IPERF + 1)];
    let words =
        "-netdev user,id=n,ipv6=off -device virtio-net-pci,netdev=n -device pcie-root-port,id=slot1,chassis=1,slot=1";
    let mut a = boot(folder.path(), "a", &["net"], words);
    a.guest.wait_for_shell();
    a.load();
    a.guest.shell(&format!(
        "{DHCP}; {PIECE} >/tmp/piece; ip link set lo up; ip link set eth0 up"
    ));
    a.guest.shell("udhcpc -i eth0 -n -q -s /tmp/dhcp");
    load(&mut a, "10.0.2.2", IPERF);
    for round in 0..3 {
        a.qmp.ok(
            "netdev_add",
            json!({"type": "user", "id": "m", "net": "10.0.3.0/24", "ipv6": false}),
        );
        a.qmp.ok(
            "device_add",
            json!({"driver": "virtio-net-pci", "id": "card", "bus": "slot1", "netdev": "m"}),
        );
        // Debian's kernel for this architecture has no driver of hot-plug slots: it must look.
        a.guest.shell("echo 1 >/sys/bus/pci/rescan");
        a.until("ip link show eth1");
        a.guest.shell("ip link set eth1 up; ip addr add 10.0.3.15/24 dev eth1");
        a.streams_with(&host, "10.0.3.2");
        load(&mut a, "10.0.3.2", IPERF + 1);
        if round == 1 {
            // The back end first: the card stays, with its cable out.
            a.qmp.ok("netdev_del", json!({"id": "m"}));
            a.until("[ $(cat /sys/class/net/eth1/carrier) = 0 ]");
        }
        if round == 2 {
            pulled(&mut a, "card", "eth1");
        }
        a.guest
            .shell("echo 1 >$(readlink -f /sys/class/net/eth1/device/..)/remove");
        a.qmp.ok("device_del", json!({"id": "card"}));
        wait("the card's end", || {
            let left = a.qmp.ok("qom-list", json!({"path": "/machine/peripheral"}));
            !left.to_string().contains("\"card\"")
        });
        a.until("[ ! -e /sys/class/net/eth1 ]");
        if round != 1 {
            a.qmp.ok("netdev_del", json!({"id": "m"}));
        }
        a.guest.shell("kill $(cat /tmp/load5202); rm /tmp/load5202");
        grows(&mut a, "eth0");
    }
    // The one that has been busy all the time.
    pulled(&mut a, "n", "eth0");
    a.guest.shell("kill $(cat /tmp/load5201)");
    a.streams_with(&host, "10.0.2.2");
}

/// iperf3 for longer than the test is, both ways.
fn load(side: &mut Side, address: &str, port: u16) {
    side.guest.shell(&format!(
        "(exec iperf3 -c {address} -p {port} -t 3600 --bidir >/tmp/out{port} 2>&1) & echo $! >/tmp/load{port}"
    ));
    side.until(&format!("grep -q 'MBytes' /tmp/out{port}"));
}

/// Frames pass a card in both directions.
fn grows(side: &mut Side, card: &str) {
    for way in ["rx", "tx"] {
        let file = format!("/sys/class/net/{card}/statistics/{way}_bytes");
        side.guest.shell(&format!("before=$(cat {file})"));
        side.until(&format!("[ $(cat {file}) -gt $((before + 1000000)) ]"));
    }
}

/// The cable is out and in again, and what passed before passes again.
fn pulled(side: &mut Side, name: &str, card: &str) {
    grows(side, card);
    for _ in 0..3 {
        for (up, carrier) in [(false, 0), (true, 1)] {
            side.qmp.ok("set_link", json!({"name": name, "up": up}));
            side.until(&format!("[ $(cat /sys/class/net/{card}/carrier) = {carrier} ]"));
        }
    }
    grows(side, card);
}
