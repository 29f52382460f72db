//! The hash against the published verification suite (Microsoft, "Verifying the RSS Hash Calculation").

mod common;
use common::{frame, ipv6, tcp, udp};
use southbridge_protocol_packet::rss::{self, Report, hash};
use std::net::IpAddr;

const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b,
    0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac,
    0x01, 0xfa,
];

/// Source and destination with ports, hash of the addresses, hash with the ports.
const VECTORS: &[(&str, u16, &str, u16, u32, u32)] = &[
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323e_8fc2, 0x51cc_c178),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xd718_262a, 0xc626_b0ea),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xd2d0_a5de, 0x5c2b_394a),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x8298_9176, 0xafc7_327f),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5d18_09c5, 0x10e8_28a2),
    (
        "3ffe:2501:200:1fff::7",
        2794,
        "3ffe:2501:200:3::1",
        1766,
        0x2cc1_8cd5,
        0x4020_7d3d,
    ),
    (
        "3ffe:501:8::260:97ff:fe40:efab",
        14230,
        "ff02::1",
        4739,
        0x0f0c_461c,
        0xdde5_1bbf,
    ),
    (
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        "fe80::200:f8ff:fe21:67cf",
        38024,
        0x4b61_e985,
        0x02d1_feef,
    ),
];

#[test]
fn the_published_hashes_come_out() {
    for &(from, from_port, to, to_port, plain, with_ports) in VECTORS {
        let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let v6 = from.is_ipv6();
        let (addresses, tcps, udps) = match v6 {
            false => (
                (rss::IPV4, Report::Ipv4),
                (rss::TCPV4, Report::Tcpv4),
                (rss::UDPV4, Report::Udpv4),
            ),
            true => (
                (rss::IPV6, Report::Ipv6),
                (rss::TCPV6, Report::Tcpv6),
                (rss::UDPV6, Report::Udpv6),
            ),
        };
        let as_tcp = frame(from, to, 6, &tcp(from_port, to_port, b"payload"));
        let as_udp = frame(from, to, 17, &udp(from_port, to_port, b"payload"));
        let as_other = frame(from, to, 1, b"what no hash knows");
        assert_eq!(hash(&KEY, addresses.0 | tcps.0, &as_tcp), Some((with_ports, tcps.1)));
        assert_eq!(hash(&KEY, addresses.0 | udps.0, &as_tcp), Some((plain, addresses.1)));
        assert_eq!(hash(&KEY, rss::ALL & !0x1c0, &as_udp), Some((with_ports, udps.1)));
        assert_eq!(hash(&KEY, tcps.0, &as_udp), None);
        assert_eq!(hash(&KEY, rss::ALL & !0x1c0, &as_other), Some((plain, addresses.1)));
    }
}

#[test]
fn all_fragments_of_a_datagram_have_one_hash() {
    let (from, to): (IpAddr, IpAddr) = ("66.9.149.187".parse().unwrap(), "161.142.100.80".parse().unwrap());
    let mut first = frame(from, to, 17, &udp(1, 2, &[0; 16]));
    first[14 + 6] = 0x20;
    let mut second = frame(from, to, 17, b"the rest of it");
    second[14 + 7] = 3;
    assert_eq!(hash(&KEY, rss::ALL, &first), Some((0x323e_8fc2, Report::Ipv4)));
    assert_eq!(hash(&KEY, rss::ALL, &second), Some((0x323e_8fc2, Report::Ipv4)));
}

#[test]
fn extension_headers_give_other_addresses() {
    let home: [u8; 16] = "3ffe:2501:200:1fff::7".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let last: [u8; 16] = "3ffe:2501:200:3::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    // Destination options: next 43, length 24, PadN of 4 bytes, home address.
    let mut body = vec![43, 2, 1, 2, 0, 0, 0xc9, 16];
    body.extend(home);
    // Routing type 2: next TCP, length 24, one address left.
    body.extend([6, 2, 2, 1, 0, 0, 0, 0]);
    body.extend(last);
    body.extend(tcp(2794, 1766, b"x"));
    let frame = ipv6("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap(), 60, &body);
    assert_eq!(hash(&KEY, rss::ALL, &frame), Some((0x4020_7d3d, Report::Tcpv6Ex)));
    assert_eq!(
        hash(&KEY, rss::IP_EX | rss::TCPV4, &frame),
        Some((0x2cc1_8cd5, Report::Ipv6Ex))
    );
    let (without, report) = hash(&KEY, rss::TCPV6, &frame).unwrap();
    assert_eq!(report, Report::Tcpv6);
    assert_ne!(without, 0x4020_7d3d);
}

#[test]
fn what_is_not_ip_has_no_hash() {
    let mut arp = vec![0xff; 60];
    arp[12..14].copy_from_slice(&[8, 6]);
    assert_eq!(hash(&KEY, rss::ALL, &arp), None);
    assert_eq!(hash(&KEY, rss::ALL, &[]), None);
}
