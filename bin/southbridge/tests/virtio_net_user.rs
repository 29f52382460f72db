//! All that our own NAT gives a Linux guest, in one boot: addresses, names, files, streams and datagrams of both families. And what passt
//! gives it.

mod common;

use common::cards::{BOTH_WAYS, DHCP, HostPeer, IPERF, PIECE, boot, iperf_from_host, iperf_server};
use common::linux::have_guest;
use southbridge_testing::private::{is_private, sh};
use std::net::UdpSocket;

#[test]
fn our_nat_gives_all_that_it_has() {
    const NAME: &str = "our_nat_gives_all_that_it_has";
    if !have_guest(NAME) || !is_private(NAME, &[], &["iperf3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    name_server(&at("resolv.conf"));
    std::fs::create_dir(at("tftp")).unwrap();
    sh(&format!("({PIECE}; {PIECE}; {PIECE}; echo end) >{}", at("tftp/file")));
    let _server = iperf_server(IPERF);
    let words = format!(
        "-netdev user,id=n,tftp={},hostfwd=tcp:127.0.0.1:5301-:5201,hostfwd=udp:127.0.0.1:5301-:5201 -device virtio-net-pci,netdev=n",
        at("tftp")
    );
    let mut a = boot(folder.path(), "a", &["net"], &words);
    a.guest.wait_for_shell();
    a.load();
    a.guest
        .shell(&format!("{DHCP}; {PIECE} >/tmp/piece; ip link set eth0 up"));
    a.guest.shell("udhcpc -i eth0 -n -q -s /tmp/dhcp");
    assert!(a.guest.shell("ip addr show eth0").contains("10.0.2.15/24"));
    a.until("ip -6 addr show eth0 | grep 'inet6 fec0' | grep -qv tentative");
    for (ping, host) in [("ping", "10.0.2.2"), ("ping -6", "fec0::2")] {
        a.guest.shell(&format!("{ping} -c 3 {host}"));
    }
    names(&mut a);
    let sum = a.guest.shell(
        "cd /tmp; (tftp -g -r file -l one 10.0.2.2; tftp -g -b 1400 -r file -l other fec0::2) 2>/dev/null; cat one other | md5sum",
    );
    let expected = std::process::Command::new("sh")
        .args(["-c", "cat file file | md5sum"])
        .current_dir(at("tftp"))
        .output()
        .unwrap();
    assert_eq!(sum[..32], String::from_utf8_lossy(&expected.stdout)[..32]);
    assert!(
        a.guest
            .shell("tftp -g -r ../a -l x 10.0.2.2 2>&1; true")
            .contains("error")
    );
    let host = HostPeer::new(4);
    a.iperf_server();
    for address in ["10.0.2.2", "fec0::2"] {
        a.streams_with(&host, address);
        for words in BOTH_WAYS {
            a.iperf(address, words);
        }
    }
    a.iperf("10.0.2.2", "-n 16M -P 4");
    for words in BOTH_WAYS {
        iperf_from_host(&format!("-c 127.0.0.1 -p 5301 {words}"));
    }
}

/// The lookups of busybox, over both families.
fn names(a: &mut common::cards::Side) {
    for server in ["10.0.2.3", "fec0::3"] {
        let text = a.guest.shell(&format!("nslookup name.example {server}"));
        assert!(text.contains("192.0.2.77") && text.contains("2001:db8::77"), "{text}");
        let text = a.guest.shell(&format!("nslookup other.example {server} 2>&1; true"));
        assert!(text.contains("NXDOMAIN"), "{text}");
    }
}

/// A name server of one name, which is that of this host from now on.
fn name_server(file: &str) {
    std::fs::write(file, "nameserver 127.0.0.53\n").unwrap();
    sh(&format!("mount --bind {file} /etc/resolv.conf"));
    let socket = UdpSocket::bind("127.0.0.53:53").unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut question) {
            socket.send_to(&answer(&question[..n]), from).unwrap();
        }
    });
}

/// RFC 1035: header, the question as it came, and an address if the name has one of that type.
fn answer(question: &[u8]) -> Vec<u8> {
    let known = question[12..].starts_with(b"\x04name\x07example\0");
    let end = 12 + question[12..].iter().position(|b| *b == 0).unwrap() + 5;
    let address: &[u8] = match question[end - 4..end] {
        [0, 1, ..] => &[192, 0, 2, 77],
        [0, 28, ..] => &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77],
        _ => &[],
    };
    let answers = u8::from(known && !address.is_empty());
    let mut all = question[..2].to_vec();
    all.extend([0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, answers, 0, 0, 0, 0]);
    all.extend(&question[12..end]);
    if answers == 1 {
        all.extend([
            0xc0,
            12,
            0,
            question[end - 3],
            0,
            1,
            0,
            0,
            0,
            60,
            0,
            address.len() as u8,
        ]);
        all.extend(address);
    }
    all
}

#[test]
fn passt_gives_a_way_out() {
    const NAME: &str = "passt_gives_a_way_out";
    if !have_guest(NAME) || !is_private(NAME, &[], &["iperf3", "passt"]) {
        return;
    }
    // The network that passt tells of; this host is at the routers' addresses.
    sh("ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 up");
    sh("ip addr add 192.0.2.2/24 dev d0 && ip route add default via 192.0.2.1");
    sh("ip addr add 2001:db8::2/64 dev d0 nodad && ip route add default via 2001:db8::1 dev d0");
    let folder = tempfile::tempdir().unwrap();
    let _server = iperf_server(IPERF);
    let words = "-netdev passt,id=n,quiet=on -device virtio-net-pci,netdev=n";
    let mut a = boot(folder.path(), "a", &["net"], words);
    a.guest.wait_for_shell();
    a.load();
    a.guest
        .shell(&format!("{DHCP}; {PIECE} >/tmp/piece; ip link set eth0 up"));
    a.guest.shell("udhcpc -i eth0 -n -q -s /tmp/dhcp");
    assert!(a.guest.shell("ip addr show eth0").contains("192.0.2.2/24"));
    a.until("ip -6 addr show eth0 | grep 'inet6 2001:db8:' | grep -qv tentative");
    let host = HostPeer::new(4);
    // passt of Debian 12 sends no more to a guest that has said its last word and then no longer had room.
    a.guest.shell("mkfifo /tmp/silence; exec 9<>/tmp/silence");
    // And it answers datagrams to its host over IPv6 from another address.
    for (address, all) in [("192.0.2.1", &BOTH_WAYS[..]), ("2001:db8::1", &BOTH_WAYS[..2])] {
        a.streams_hearing(&host, address, "<&9");
        for words in all {
            a.iperf(address, words);
        }
    }
}
