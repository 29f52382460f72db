//! What the router itself offers: addresses, names, files, echoes; and what it lets pass besides TCP.

mod common;

use common::{GUEST4, MAC, Rng, Wire, World, config, pattern, v4};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{dhcpv4, icmp, tcp};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr, Ipv6Address};
use southbridge_backend_usernet::{
    Channel, Config, GuestForward, GuestForwardTo, GuestTarget, HostForward, Limits, Options, Resolver,
};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn server(address: &str) -> (UdpSocket, u16) {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Answers one datagram with its bytes reversed.
fn reverse(socket: UdpSocket) -> thread::JoinHandle<SocketAddr> {
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        buffer.truncate(len);
        buffer.reverse();
        socket.send_to(&buffer, from).unwrap();
        from
    })
}

#[test]
fn dhcp_gives_what_the_options_say() {
    let options = Options {
        net: Some("192.168.76.0/24".into()),
        dhcpstart: Some("192.168.76.9".into()),
        hostname: Some("guest".into()),
        domainname: Some("example.org".into()),
        dns_search: vec!["a.example.org".into(), "b.example.org".into()],
        tftp_server_name: Some("boot.example.org".into()),
        bootfile: Some("/pxelinux.0".into()),
        mtu: Some(1400),
        ..Options::default()
    };
    let mut world = World::new(Config::parse(&options).unwrap());
    world.iface.update_ip_addrs(|a| a.clear());
    let mut socket = dhcpv4::Socket::new();
    socket.set_receive_packet_buffer(Box::leak(vec![0; 1500].into_boxed_slice()));
    let handle = world.sockets.add(socket);
    let mut got = None;
    world.until("a lease", |w| {
        if let Some(dhcpv4::Event::Configured(c)) = w.sockets.get_mut::<dhcpv4::Socket>(handle).poll() {
            let packet = c.packet.unwrap();
            let options: Vec<_> = packet.options().map(|o| (o.kind, o.data.to_vec())).collect();
            got = Some((
                c.address,
                c.router,
                c.dns_servers.to_vec(),
                packet.get_boot_file().unwrap().to_owned(),
                options,
            ));
        }
        got.is_some()
    });
    let (address, router, dns, file, options) = got.unwrap();
    assert_eq!(address.to_string(), "192.168.76.9/24");
    assert_eq!(router.unwrap().to_string(), "192.168.76.2");
    assert_eq!(dns[0].to_string(), "192.168.76.3");
    assert_eq!(file, "/pxelinux.0");
    let option = |kind: u8| options.iter().find(|o| o.0 == kind).map(|o| o.1.clone());
    assert_eq!(option(12).unwrap(), b"guest");
    assert_eq!(option(15).unwrap(), b"example.org");
    assert_eq!(option(66).unwrap(), b"boot.example.org");
    assert_eq!(option(26).unwrap(), 1400_u16.to_be_bytes());
    assert_eq!(
        option(119).unwrap(),
        b"\x01a\x07example\x03org\0\x01b\x07example\x03org\0"
    );
}

#[test]
fn datagrams_go_and_come_over_both_families() {
    for (listen, gateway) in [("127.0.0.1:0", "10.0.2.2"), ("[::1]:0", "fec0::2")] {
        let mut world = World::new(config());
        let (socket, port) = server(listen);
        let answer = reverse(socket);
        let handle = world.udp_socket(5000);
        let (data, from, from_port) = world.ask(handle, v4(gateway), port, b"olleh");
        assert_eq!(
            (data.as_slice(), IpAddr::from(from), from_port),
            (&b"hello"[..], v4(gateway), port)
        );
        answer.join().unwrap();
        assert!(world.router.net.flows()[0].protocol.starts_with("UDP["));
        world.router.now += Duration::from_secs(300);
        world.idle(5);
        assert!(world.router.net.flows().is_empty(), "a silent port closes");
    }
}

#[test]
fn names_are_asked_of_the_hosts_server() {
    let (socket, port) = server("127.0.0.1:0");
    let resolver = Resolver::Fixed(vec![SocketAddr::new(v4("127.0.0.1"), port)]);
    for dns in ["10.0.2.3", "fec0::3"] {
        let mut world = World::new(Config {
            resolver: resolver.clone(),
            ..config()
        });
        let answer = reverse(socket.try_clone().unwrap());
        let handle = world.udp_socket(5000);
        let (data, from, from_port) = world.ask(handle, v4(dns), 53, b"?eman");
        assert_eq!(
            (data.as_slice(), IpAddr::from(from), from_port),
            (&b"name?"[..], v4(dns), 53)
        );
        answer.join().unwrap();
    }
}

#[test]
fn a_forwarded_datagram_finds_its_way_back() {
    let mut world = World::new(config());
    let rule = HostForward::parse("udp:127.0.0.1:0-:69").unwrap();
    let bound = world.router.net.add_hostfwd(&rule).unwrap().unwrap();
    let handle = world.udp_socket(69);
    let (client, port) = server("127.0.0.1:0");
    client.send_to(b"knock", bound).unwrap();
    let mut from = None;
    world.until("a datagram", |w| {
        from = w.udp(handle).recv().ok().map(|(d, m)| {
            assert_eq!(d, b"knock");
            m.endpoint
        });
        from.is_some()
    });
    let from = from.unwrap();
    assert_eq!((from.addr.to_string(), from.port), ("10.0.2.2".to_owned(), port));
    world.udp(handle).send_slice(b"who is there", from).unwrap();
    client.set_nonblocking(true).unwrap();
    let mut buffer = [0; 64];
    world.until("the answer", |_| {
        client.recv_from(&mut buffer).is_ok_and(|(len, from)| {
            assert_eq!((&buffer[..len], from), (&b"who is there"[..], bound));
            true
        })
    });
}

/// smoltcp takes no fragments here, so those are seen as frames.
#[test]
fn long_datagrams_are_cut_and_put_together() {
    let mut world = World::new(config());
    let (socket, port) = server("127.0.0.1:0");
    let answer = thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&pattern(9000, 4), from).unwrap();
        buffer[..len].to_vec()
    });
    world.introduce(v4("10.0.2.2"));
    let datagram = [
        &[0x13, 0x88][..],
        &port.to_be_bytes(),
        &4008_u16.to_be_bytes(),
        &[0, 0],
        &pattern(4000, 6),
    ]
    .concat();
    let mut pieces: Vec<_> = datagram.chunks(1480).enumerate().collect();
    pieces.reverse();
    let last = datagram.len().div_ceil(1480) - 1;
    let frames: Vec<_> = pieces
        .iter()
        .map(|(i, part)| fragment(*i * 1480, *i != last, part))
        .collect();
    let mut came = world.router.turn(frames, false);
    assert_eq!(answer.join().unwrap(), pattern(4000, 6));
    for _ in 0..50 {
        came.extend(world.router.turn([], true));
    }
    let mut back = vec![0; 9008];
    let mut held = 0;
    for (frame, _) in came {
        if frame[12..14] == [8, 0] && frame[23] == 17 && u16::from_be_bytes([frame[20], frame[21]]) & 0x3fff != 0 {
            let offset = usize::from(u16::from_be_bytes([frame[20], frame[21]]) & 0x1fff) * 8;
            back[offset..offset + frame.len() - 34].copy_from_slice(&frame[34..]);
            held += frame.len() - 34;
        }
    }
    assert_eq!(held, 9008);
    assert!(back[8..] == pattern(9000, 4));
}

fn fragment(offset: usize, more: bool, part: &[u8]) -> Vec<u8> {
    use smoltcp::wire::{IpProtocol, Ipv4Packet};
    let mut frame = vec![0x52, 0x55, 10, 0, 2, 2];
    frame.extend_from_slice(&MAC);
    frame.extend_from_slice(&[8, 0]);
    frame.resize(34, 0);
    let mut header = Ipv4Packet::new_unchecked(&mut frame[14..]);
    header.set_version(4);
    header.set_header_len(20);
    header.set_total_len(part.len() as u16 + 20);
    header.set_ident(77);
    header.set_more_frags(more);
    header.set_frag_offset(offset as u16);
    header.set_hop_limit(64);
    header.set_next_header(IpProtocol::Udp);
    header.set_src_addr(GUEST4);
    header.set_dst_addr("10.0.2.2".parse().unwrap());
    header.fill_checksum();
    frame.extend_from_slice(part);
    frame
}

/// A client of the TFTP server, with a wire that may lose.
fn fetch(world: &mut World, server: &str, name: &str, options: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    static PORT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(6000);
    let handle = world.udp_socket(PORT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let ask = [b"\0\x01", name.as_bytes(), b"\0octet\0", options].concat();
    let (mut answer, _, port) = world.ask(handle, v4(server), 69, &ask);
    assert_eq!(port, 69);
    let (mut agreed, mut size) = (Vec::new(), 512);
    let (mut data, mut next) = (Vec::new(), 1_u16);
    if answer[1] == 6 {
        agreed = answer[2..].to_vec();
        let words: Vec<_> = agreed
            .split(|b| *b == 0)
            .map(|w| String::from_utf8_lossy(w).into_owned())
            .collect();
        if let Some(at) = words.iter().position(|w| w == "blksize") {
            size = words[at + 1].parse().unwrap();
        }
        answer = world.ask(handle, v4(server), 69, &[0, 4, 0, 0]).0;
    }
    loop {
        match answer[1] {
            5 => return Err(String::from_utf8_lossy(&answer[4..answer.len() - 1]).into_owned()),
            3 if answer[2..4] == next.to_be_bytes() => {
                data.extend_from_slice(&answer[4..]);
                let ack = [&[0, 4][..], &answer[2..4]].concat();
                next = next.wrapping_add(1);
                if answer.len() - 4 < size {
                    world
                        .udp(handle)
                        .send_slice(&ack, (IpAddress::from(v4(server)), 69))
                        .unwrap();
                    world.turn(false);
                    return Ok((data, agreed));
                }
                answer = world.ask(handle, v4(server), 69, &ack).0;
            }
            _ => {
                let mut more = None;
                world.until("another block", |w| {
                    more = w.udp(handle).recv().ok().map(|(d, _)| d.to_vec());
                    more.is_some()
                });
                answer = more.unwrap();
            }
        }
    }
}

#[test]
fn files_are_fetched_and_nothing_else() {
    let outside = tempfile::tempdir().unwrap();
    let directory = outside.path().join("tftp");
    std::fs::create_dir_all(directory.join("sub")).unwrap();
    let file = pattern(700_001, 8);
    std::fs::write(directory.join("kernel"), &file).unwrap();
    std::fs::write(directory.join("sub/exact"), [7; 1024]).unwrap();
    std::fs::write(outside.path().join("secret"), b"no").unwrap();
    std::os::unix::fs::symlink("../secret", directory.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), directory.join("absolute")).unwrap();
    std::os::unix::fs::symlink("sub/exact", directory.join("inside")).unwrap();
    let mut world = World::new(Config {
        tftp: Some(directory),
        ..config()
    });
    let (data, agreed) = fetch(
        &mut world,
        "10.0.2.2",
        "/kernel",
        b"blksize\x001400\0tsize\x000\0timeout\x005\0",
    )
    .unwrap();
    assert!(data == file);
    assert_eq!(agreed, b"blksize\x001400\0tsize\x00700001\0timeout\x005\0");
    assert!(fetch(&mut world, "fec0::2", "kernel", b"").unwrap().0 == file);
    assert_eq!(fetch(&mut world, "10.0.2.2", "sub/exact", b"").unwrap().0, [7; 1024]);
    assert_eq!(
        fetch(&mut world, "10.0.2.2", "inside", b"blksize\x0065464\0")
            .unwrap()
            .0,
        [7; 1024]
    );
    for name in [
        "nothing",
        "../secret",
        "sub/../../secret",
        "link",
        "absolute",
        "sub",
        "",
        "/",
        "kernel/x",
    ] {
        assert!(fetch(&mut world, "10.0.2.2", name, b"").is_err(), "{name}");
    }
    world.wire = Wire {
        lose: 100,
        repeat: 100,
        reorder: 0,
    };
    let directory = world.router.net.config().tftp.clone().unwrap();
    std::fs::write(directory.join("short"), pattern(20_000, 2)).unwrap();
    // The very first request is the client's to repeat, which this one does not.
    world.wire.lose = 0;
    assert!(fetch(&mut world, "10.0.2.2", "short", b"").unwrap().0 == pattern(20_000, 2));
}

#[test]
fn the_router_answers_echoes() {
    let mut world = World::new(config());
    for host in ["10.0.2.2", "10.0.2.3"] {
        assert!(ping(&mut world, host), "{host}");
    }
    let config = Config {
        restrict: true,
        ..config()
    };
    let mut world = World::new(config);
    assert!(ping(&mut world, "10.0.2.2"));
    assert!(!ping(&mut world, "127.0.0.1"));
    assert!(!ping(&mut world, "192.0.2.1"));
}

fn ping(world: &mut World, to: &str) -> bool {
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 1024]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(icmp::Endpoint::Ident(9)).unwrap();
    let repr = Icmpv4Repr::EchoRequest {
        ident: 9,
        seq_no: 1,
        data: b"ping",
    };
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut Icmpv4Packet::new_unchecked(&mut packet), &Default::default());
    socket.send_slice(&packet, IpAddress::from(v4(to))).unwrap();
    let handle = world.sockets.add(socket);
    let mut answered = false;
    for _ in 0..300 {
        world.turn(true);
        world.router.now += Duration::from_millis(10);
        let socket = world.sockets.get_mut::<icmp::Socket>(handle);
        if let Ok((data, from)) = socket.recv() {
            answered |= IpAddr::from(from) == v4(to) && data[0] == 0 && data.ends_with(b"ping");
        }
    }
    world.sockets.remove(handle);
    answered
}

/// Where the host has no ping sockets for us, the guest is told so.
#[test]
fn the_world_is_pinged_where_the_host_lets() {
    use rustix::net::{AddressFamily, SocketType, ipproto, socket};
    let allowed = socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP)).is_ok();
    // Nobody but the gateway stands for the host, so an address of the host's own is needed.
    let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
    if !allowed || probe.connect("192.0.2.1:9").is_err() {
        return;
    }
    let own = probe.local_addr().unwrap().ip().to_string();
    let mut world = World::new(config());
    assert!(ping(&mut world, &own));
}

#[test]
fn a_guest_finds_its_ipv6_address_alone() {
    let mut world = World::new(config());
    world.iface.update_ip_addrs(|a| a.clear());
    // A router solicitation by hand: from the unspecified address to all routers.
    let solicit: Vec<u8> = {
        let to = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        let mut frame = vec![0x33, 0x33, 0, 0, 0, 2];
        frame.extend_from_slice(&MAC);
        frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 255]);
        frame.extend_from_slice(&[0; 16]);
        frame.extend_from_slice(&to.octets());
        let sum = !(0xff02_u32 + 2 + 58 + 8 + 0x8500) as u16;
        frame.extend_from_slice(&[133, 0, (sum >> 8) as u8, sum as u8, 0, 0, 0, 0]);
        frame
    };
    let frames = world.router.turn([solicit], false);
    let advert = frames
        .iter()
        .map(|f| &f.0)
        .rfind(|f| f[12..14] == [0x86, 0xdd] && f[54] == 134)
        .expect("an advertisement");
    assert_eq!(advert[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(u16::from_be_bytes([advert[60], advert[61]]), 1800);
    let options = &advert[70..];
    let find = |kind: u8| {
        let mut rest = options;
        while rest.len() >= 8 && rest[0] != kind {
            rest = &rest[usize::from(rest[1]) * 8..];
        }
        rest.to_vec()
    };
    assert_eq!(find(3)[2..4], [64, 0xc0]);
    assert_eq!(find(3)[16..32], "fec0::".parse::<Ipv6Address>().unwrap().octets());
    assert_eq!(find(5)[4..8], 1500_u32.to_be_bytes());
    assert_eq!(find(25)[8..24], "fec0::3".parse::<Ipv6Address>().unwrap().octets());
}

#[test]
fn dhcpv6_tells_names() {
    let config = Config {
        dns_search: vec!["example.org".into()],
        bootfile: Some("boot.efi".into()),
        ..config()
    };
    let mut world = World::new(config);
    let handle = world.udp_socket(546);
    world.iface.update_ip_addrs(|a| {
        a.clear();
        a.push(IpCidr::new(IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 0x99), 64))
            .unwrap();
    });
    let ask = [
        &[11, 1, 2, 3][..],
        &[0, 1, 0, 4, 9, 9, 9, 9],
        &[0, 6, 0, 6, 0, 23, 0, 24, 0, 59],
    ]
    .concat();
    let (answer, from, _) = world.ask(handle, "fe80::2".parse().unwrap(), 547, &ask);
    assert_eq!(from.to_string(), "fe80::2");
    assert_eq!(answer[..4], [7, 1, 2, 3]);
    let has = |needle: &[u8]| answer.windows(needle.len()).any(|w| w == needle);
    assert!(has(&[0, 1, 0, 4, 9, 9, 9, 9]));
    assert!(has(&[
        &[0, 23, 0, 16][..],
        &"fec0::3".parse::<Ipv6Address>().unwrap().octets()
    ]
    .concat()));
    assert!(has(b"\x07example\x03org\0") && has(b"tftp://[fec0::2]/boot.efi"));
}

fn exchange(world: &mut World, to: &str, port: u16, say: &[u8], expect: &[u8]) -> SocketHandle {
    let local = 50_000 + Rng(u64::from(port) + to.len() as u64).next() as u16 % 10_000;
    let handle = world.connect(v4(to), port, local);
    world.until("a connection", |w| w.tcp(handle).may_send());
    world.tcp(handle).send_slice(say).unwrap();
    let mut heard = Vec::new();
    world.until("an answer", |w| {
        while w.tcp(handle).can_recv() {
            w.tcp(handle).recv(|b| (b.len(), heard.extend_from_slice(b))).unwrap();
        }
        heard.len() >= expect.len()
    });
    assert_eq!(heard, expect);
    handle
}

#[derive(Clone, Default)]
struct Tube(Arc<Mutex<(Vec<u8>, usize, usize)>>);

impl Channel for Tube {
    fn write(&mut self, data: &[u8]) -> usize {
        // Three bytes at a time, to see what becomes of the rest.
        let taken = data.len().min(3);
        self.0.lock().unwrap().0.extend_from_slice(&data[..taken]);
        taken
    }

    fn opened(&mut self) {
        self.0.lock().unwrap().1 += 1;
    }

    fn closed(&mut self) {
        self.0.lock().unwrap().2 += 1;
    }
}

#[test]
fn forwarded_addresses_reach_a_program_an_address_and_a_channel() {
    for restrict in [false, true] {
        let mut world = World::new(Config { restrict, ..config() });
        let rule = GuestForward::parse("tcp:10.0.2.100:7-cmd:tr a-z 'A-Z'").unwrap();
        let GuestForwardTo::Command(command) = rule.to.clone() else {
            panic!()
        };
        world
            .router
            .net
            .add_guestfwd(&rule, GuestTarget::Command(command))
            .unwrap();
        // `tr` writes when its input ends.
        let handle = world.connect(v4("10.0.2.100"), 7, 41_000);
        world.until("a connection", |w| w.tcp(handle).may_send());
        world.tcp(handle).send_slice(b"shout").unwrap();
        world.tcp(handle).close();
        let mut heard = Vec::new();
        world.until("the end", |w| {
            while w.tcp(handle).can_recv() {
                w.tcp(handle).recv(|b| (b.len(), heard.extend_from_slice(b))).unwrap();
            }
            !w.tcp(handle).may_recv()
        });
        assert_eq!(heard, b"SHOUT");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4];
            stream.read_exact(&mut buffer).unwrap();
            stream.write_all(b"pong").unwrap();
        });
        let rule = GuestForward::parse("tcp:10.0.2.101:8-x").unwrap();
        world.router.net.add_guestfwd(&rule, GuestTarget::Address(to)).unwrap();
        assert!(
            world.router.net.add_guestfwd(&rule, GuestTarget::Address(to)).is_err(),
            "twice"
        );
        exchange(&mut world, "10.0.2.101", 8, b"ping", b"pong");
        server.join().unwrap();

        let tube = Tube::default();
        let rule = GuestForward::parse("tcp::9-chardev").unwrap();
        let id = world
            .router
            .net
            .add_guestfwd(&rule, GuestTarget::Channel(Box::new(tube.clone())))
            .unwrap();
        assert_eq!(world.router.net.channel_input(id, b"lost"), 0, "nobody is connected");
        let handle = world.connect(v4("10.0.2.4"), 9, 42_000);
        world.until("a connection", |w| w.tcp(handle).may_send());
        world.until("an open channel", |w| w.router.net.channel_room(id) > 0);
        world.tcp(handle).send_slice(b"a longer word").unwrap();
        world.until("all written", |w| {
            w.router.net.channel_writable(id);
            tube.0.lock().unwrap().0 == b"a longer word"
        });
        assert_eq!(world.router.net.channel_input(id, b"back"), 4);
        world.until("the answer", |w| w.tcp(handle).recv_queue() == 4);
        world.tcp(handle).close();
        world.until("the end", |_| tube.0.lock().unwrap().2 == 1);
        assert_eq!(tube.0.lock().unwrap().1, 1);
    }
}

#[test]
fn wrong_places_for_forwarding_are_refused() {
    let mut world = World::new(config());
    for rule in ["tcp:10.0.2.2:80-x", "tcp:10.0.2.3:80-x", "tcp:1.2.3.4:80-x"] {
        let rule = GuestForward::parse(rule).unwrap();
        assert!(
            world
                .router
                .net
                .add_guestfwd(&rule, GuestTarget::Command("true".into()))
                .is_err()
        );
    }
}

/// Everything the guest tries, with nothing getting to the host.
#[test]
fn a_restricted_guest_reaches_nothing() {
    let (secret, port) = server("127.0.0.1:0");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp_port = listener.local_addr().unwrap().port();
    let resolver = Resolver::Fixed(vec![SocketAddr::new(v4("127.0.0.1"), port)]);
    let mut world = World::new(Config {
        restrict: true,
        resolver,
        ..config()
    });
    let handle = world.udp_socket(5000);
    for to in [
        "10.0.2.2",
        "10.0.2.3",
        "192.0.2.1",
        "127.0.0.1",
        "255.255.255.255",
        "fec0::2",
        "fec0::3",
        "fe80::2",
        "::1",
    ] {
        for port in [port, 53] {
            let _ = world.udp(handle).send_slice(b"out", (IpAddress::from(v4(to)), port));
        }
        let socket = world.tcp_socket();
        let context = world.iface.context();
        let socket: &mut tcp::Socket = world.sockets.get_mut(socket);
        let _ = socket.connect(context, (IpAddress::from(v4(to)), tcp_port), 45_000);
        world.idle(30);
    }
    secret.set_nonblocking(true).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(secret.recv_from(&mut [0; 10]).is_err());
    assert!(listener.accept().is_err());
    assert!(world.router.net.flows().is_empty());
}

/// Addresses that are the host's by another name are not reached through the router either.
#[test]
fn no_other_name_leads_to_the_hosts_loopback() {
    let (secret, port) = server("127.0.0.1:0");
    let mut world = World::new(config());
    let handle = world.udp_socket(5000);
    for to in ["127.0.0.1", "127.1.2.3", "0.0.0.0", "224.0.0.1", "10.0.2.9"] {
        let _ = world.udp(handle).send_slice(b"in", (IpAddress::from(v4(to)), port));
        world.idle(30);
    }
    secret.set_nonblocking(true).unwrap();
    assert!(secret.recv_from(&mut [0; 10]).is_err());
}

#[test]
fn ports_beyond_the_limit_close_the_oldest() {
    let limits = Limits {
        udp_flows: 3,
        ..Limits::default()
    };
    let mut world = World::new(Config { limits, ..config() });
    let (_socket, port) = server("127.0.0.1:0");
    for local in 0..6 {
        let handle = world.udp_socket(7000 + local);
        world
            .udp(handle)
            .send_slice(b"x", (IpAddress::from(v4("10.0.2.2")), port))
            .unwrap();
        world.idle(5);
    }
    let ports: Vec<_> = world
        .router
        .net
        .flows()
        .iter()
        .map(|f| f.source.unwrap().port())
        .collect();
    assert_eq!(ports.len(), 3);
    assert!(ports.iter().all(|p| (7003..7006).contains(p)));
}
