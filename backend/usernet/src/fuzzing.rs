//! A guest and a host that do what bytes tell them, for the fuzz target and the crate's own tests.
//!
//! The guest reaches nothing but sockets made here. What leaves towards the guest is checked: whole frames, right checksums, never
//! without room.

use rustix::fd::OwnedFd;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::{
    Channel, ChannelId, Config, GuestForward, GuestTarget, HostForward, Limits, MAX_FRAME, Meta, Offloads, Reach,
    Ready, Resolver, Sink, Token, UserNet, WatchChange, checksum,
};

const STEPS: usize = 256;
const ROUTER: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
const GUEST: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const PORT: u16 = 80;

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn some(&mut self, most: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        first
    }
}

/// A channel that takes a little at a time.
struct Slow(u8);

impl Channel for Slow {
    fn write(&mut self, data: &[u8]) -> usize {
        self.0 = self.0.wrapping_add(7);
        data.len().min(usize::from(self.0 % 40))
    }
}

/// Checks every frame, and remembers how far the router's side of each connection is.
struct Checked {
    room: usize,
    /// Of the router's last segment: ports, next sequence number, acknowledgement.
    last: Option<(u16, u16, u32, u32)>,
}

impl Sink for Checked {
    fn room(&self) -> usize {
        self.room
    }

    fn frame(&mut self, frame: Vec<u8>, meta: Meta) {
        assert!(self.room > 0, "a frame without room");
        self.room -= 1;
        assert!(frame.len() <= MAX_FRAME);
        let ethernet = EthernetFrame::new_checked(&frame[..]).expect("a whole header");
        assert_ne!(ethernet.dst_addr().0, [0; 6], "sent to nobody");
        let (from, to, protocol, payload): (IpAddr, IpAddr, IpProtocol, &[u8]) = match ethernet.ethertype() {
            EthernetProtocol::Ipv4 => {
                let packet = Ipv4Packet::new_checked(ethernet.payload()).expect("a whole packet");
                assert!(packet.verify_checksum());
                if packet.more_frags() || packet.frag_offset() > 0 {
                    return;
                }
                (
                    packet.src_addr().into(),
                    packet.dst_addr().into(),
                    packet.next_header(),
                    packet.payload(),
                )
            }
            EthernetProtocol::Ipv6 => {
                let packet = Ipv6Packet::new_checked(ethernet.payload()).expect("a whole packet");
                (
                    packet.src_addr().into(),
                    packet.dst_addr().into(),
                    packet.next_header(),
                    packet.payload(),
                )
            }
            _ => return,
        };
        let has_pseudo = matches!(protocol, IpProtocol::Tcp | IpProtocol::Udp | IpProtocol::Icmpv6);
        if has_pseudo && meta.partial_checksum.is_none() {
            assert!(checksum::verify(from, to, protocol.into(), payload), "a wrong checksum");
        }
        if protocol == IpProtocol::Tcp
            && let Some(s) = crate::tcp::peek(payload)
        {
            self.last = Some(s);
        }
    }
}

struct Scene {
    net: UserNet,
    now: Duration,
    tokens: Vec<Token>,
    sink: Checked,
    listener: TcpListener,
    names: UdpSocket,
    streams: Vec<TcpStream>,
    forwarded: Option<SocketAddr>,
    forwarded_udp: Option<SocketAddr>,
    channel: Option<ChannelId>,
}

/// Does what `data` says. Panics only if something is wrong.
pub fn fuzz(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(mut scene) = scene(bytes.byte()) else { return };
    for _ in 0..STEPS {
        if bytes.0.is_empty() {
            break;
        }
        scene.step(&mut bytes);
    }
    scene.run(usize::MAX >> 1);
}

fn scene(kind: u8) -> Option<Scene> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let names = UdpSocket::bind("127.0.0.1:0").ok()?;
    listener.set_nonblocking(true).ok()?;
    names.set_nonblocking(true).ok()?;
    let config = Config {
        reach: Reach::Names,
        restrict: kind & 1 != 0,
        tftp: (kind & 2 != 0).then(|| ".".into()),
        mtu: if kind & 4 != 0 { 1280 } else { 1500 },
        resolver: Resolver::Fixed(vec![names.local_addr().ok()?]),
        limits: Limits {
            tcp_flows: 8,
            udp_flows: 4,
            pings: 2,
            tcp_buffer: 32 << 10,
            tcp_memory: 192 << 10,
            fragments: 3,
        },
        ..Config::default()
    };
    let mut net = UserNet::new(config).ok()?;
    let mut forward = |rule: &str, target| net.add_guestfwd(&GuestForward::parse(rule).ok()?, target).ok();
    forward("tcp:10.0.2.100:80-x", GuestTarget::Address(listener.local_addr().ok()?))?;
    forward(
        "tcp:[fec0::100]:80-x",
        GuestTarget::Address(listener.local_addr().ok()?),
    )?;
    let channel = forward("tcp:10.0.2.4:80-x", GuestTarget::Channel(Box::new(Slow(0))));
    let mut listen = |rule: &str| {
        HostForward::parse(rule)
            .ok()
            .and_then(|r| net.add_hostfwd(&r).ok().flatten())
    };
    let (forwarded, forwarded_udp) = (listen("tcp:127.0.0.1:0-:80"), listen("udp:127.0.0.1:0-:80"));
    let sink = Checked { room: 0, last: None };
    let now = Duration::from_secs(1);
    Some(Scene {
        net,
        now,
        tokens: Vec::new(),
        sink,
        listener,
        names,
        streams: Vec::new(),
        forwarded,
        forwarded_udp,
        channel,
    })
}

impl Scene {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 12 {
            0 => {
                let length = usize::from(bytes.byte()) * 8;
                let frame = bytes.some(length);
                self.net.guest_frame(frame, &Meta::default(), self.now);
            }
            1..=4 => self.tcp(bytes),
            5 => self.datagram(bytes),
            6 => self.packet6(bytes),
            7 => self.arp(bytes),
            8 => self.host(bytes),
            9 => self.now += Duration::from_millis(1 << (bytes.byte() % 20)),
            10 => self.owner(bytes),
            _ => {
                let room = usize::from(bytes.byte());
                self.run(room);
            }
        }
    }

    fn run(&mut self, room: usize) {
        for token in &self.tokens {
            self.net.host_ready(
                *token,
                Ready {
                    readable: true,
                    writable: true,
                },
            );
        }
        self.sink.room = room;
        self.net.run(self.now, &mut self.sink);
        while let Some(change) = self.net.next_watch_change() {
            match change {
                WatchChange::Add { token, .. } => self.tokens.push(token),
                WatchChange::Remove { token, fd } => {
                    self.tokens.retain(|t| *t != token);
                    drop::<OwnedFd>(fd);
                }
            }
        }
        assert!(self.net.flows().len() < 64);
    }

    fn ipv4(&mut self, to: [u8; 4], protocol: u8, place: u16, payload: &[u8]) {
        let mut frame = [&ROUTER[..], &GUEST, &[8, 0, 0x45, 0]].concat();
        frame.extend_from_slice(&(payload.len() as u16 + 20).to_be_bytes());
        frame.extend_from_slice(&[0, 1]);
        frame.extend_from_slice(&place.to_be_bytes());
        frame.extend_from_slice(&[64, protocol, 0, 0, 10, 0, 2, 15]);
        frame.extend_from_slice(&to);
        let sum = !checksum::sum(&frame[14..]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame.extend_from_slice(payload);
        self.net.guest_frame(
            &frame,
            &Meta {
                partial_checksum: Some((34, 16)),
                ..Meta::default()
            },
            self.now,
        );
    }

    /// A segment near where the connection really is.
    fn tcp(&mut self, bytes: &mut Bytes<'_>) {
        let shape = bytes.byte();
        let (source, port, next, ack) = match self.sink.last {
            Some((router, guest, next, ack)) if shape & 1 != 0 => (guest, router, next, ack),
            _ => (1000 + u16::from(shape >> 5), PORT, 0, 5000),
        };
        let near = |bytes: &mut Bytes<'_>| i32::from(bytes.word() as i16) >> (bytes.byte() % 16);
        let (seq, ack) = if shape & 2 != 0 {
            (ack, next)
        } else {
            (
                ack.wrapping_add_signed(near(bytes)),
                next.wrapping_add_signed(near(bytes)),
            )
        };
        let flags = bytes.byte();
        let mut segment = [source.to_be_bytes(), port.to_be_bytes()].concat();
        segment.extend_from_slice(&seq.to_be_bytes());
        segment.extend_from_slice(&ack.to_be_bytes());
        let options = if flags & 2 != 0 { bytes.some(8) } else { &[] };
        let options = &options[..options.len() & !3];
        segment.extend_from_slice(&[((5 + options.len() / 4) << 4) as u8, flags]);
        segment.extend_from_slice(&bytes.word().to_be_bytes());
        segment.extend_from_slice(&[0, 0, 0, 0]);
        segment.extend_from_slice(options);
        segment.resize(segment.len() + usize::from(bytes.byte()) * 6, 0xaa);
        let to = [[10, 0, 2, 100], [10, 0, 2, 4], [10, 0, 2, 2], [10, 0, 2, 100]][usize::from(shape >> 2) % 4];
        self.ipv4(to, 6, 0, &segment);
    }

    fn datagram(&mut self, bytes: &mut Bytes<'_>) {
        let (kind, place) = (bytes.byte(), bytes.word());
        let (to, port) = [
            ([10, 0, 2, 3], 53),
            ([10, 0, 2, 2], 69),
            ([255; 4], 67),
            ([10, 0, 2, 2], 80),
        ][usize::from(kind) % 4];
        let length = usize::from(bytes.byte()) * 2;
        let mut payload = bytes.some(length).to_vec();
        if port == 67 && kind & 4 != 0 {
            let mut head = vec![1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0];
            head.resize(28, 0);
            head.extend_from_slice(&GUEST);
            head.resize(236, 0);
            head.extend_from_slice(&[0x63, 0x82, 0x53, 0x63]);
            payload.splice(0..0, head);
        }
        if port == 69 && kind & 4 != 0 {
            payload.splice(0..0, *b"\0\x01Cargo.toml\0octet\0blksize\0");
            payload.push(0);
        }
        let source = 2000 + u16::from(kind >> 4);
        let mut datagram = [source.to_be_bytes(), u16::to_be_bytes(port)].concat();
        datagram.extend_from_slice(&(payload.len() as u16 + 8).to_be_bytes());
        datagram.extend_from_slice(&[0, 0]);
        datagram.extend_from_slice(&payload);
        self.ipv4(
            to,
            if kind & 8 != 0 { 1 } else { 17 },
            if kind & 0x10 != 0 { place & 0x203f } else { 0 },
            &datagram,
        );
    }

    /// Any IPv6 packet, of the right length and from and to sensible places.
    fn packet6(&mut self, bytes: &mut Bytes<'_>) {
        let (kind, protocol) = (bytes.byte(), bytes.byte());
        let protocol = [58, 58, 58, 17, 6, 44, 0, 60, protocol][usize::from(kind) % 9];
        let length = usize::from(bytes.byte());
        let mut payload = bytes.some(length).to_vec();
        let ends = [
            "fe80::2",
            "fec0::2",
            "fec0::3",
            "ff02::2",
            "ff02::1:2",
            "fec0::100",
            "::",
            "fec0::15",
        ];
        let end = |i: u8| {
            ends[usize::from(i) % 8]
                .parse()
                .map_or([0; 16], |a: std::net::Ipv6Addr| a.octets())
        };
        let (from, to) = (end(bytes.byte() | 6), end(bytes.byte()));
        if payload.len() >= 4 && protocol == 58 {
            payload[2..4].fill(0);
            let sum = checksum::fill(IpAddr::from(from), IpAddr::from(to), 58, &payload);
            payload[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        let mut frame = [&[0x33, 0x33, 0, 0, 0, 2][..], &GUEST, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
        frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        frame.extend_from_slice(&[protocol, 255]);
        frame.extend_from_slice(&from);
        frame.extend_from_slice(&to);
        frame.extend_from_slice(&payload);
        self.net.guest_frame(
            &frame,
            &Meta {
                partial_checksum: Some((54, 16)),
                ..Meta::default()
            },
            self.now,
        );
    }

    fn arp(&mut self, bytes: &mut Bytes<'_>) {
        let mut frame = [
            &[0xff; 6][..],
            &GUEST,
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + bytes.byte() % 2],
        ]
        .concat();
        frame.extend_from_slice(&GUEST);
        frame.extend_from_slice(&[10, 0, 2, bytes.byte(), 0, 0, 0, 0, 0, 0, 10, 0, 2, bytes.byte()]);
        self.net.guest_frame(&frame, &Meta::default(), self.now);
    }

    fn host(&mut self, bytes: &mut Bytes<'_>) {
        let (what, which, amount) = (bytes.byte(), usize::from(bytes.byte()), usize::from(bytes.byte()) * 64);
        match what % 8 {
            0 => {
                if let Ok((stream, _)) = self.listener.accept() {
                    self.keep(stream);
                }
            }
            1 => {
                if let Some(address) = self.forwarded
                    && let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100))
                {
                    self.keep(stream);
                }
            }
            2 => {
                if let Some(address) = self.forwarded_udp {
                    let _ = self.names.send_to(&vec![1; amount], address);
                }
            }
            3 => {
                if let Ok((len, from)) = self.names.recv_from(&mut [0; 2048]) {
                    let _ = self.names.send_to(&vec![2; len + amount], from);
                }
            }
            _ if self.streams.is_empty() => {}
            kind => {
                let which = which % self.streams.len();
                let stream = &mut self.streams[which];
                match kind {
                    4 => drop(stream.write(&vec![3; amount])),
                    5 => drop(stream.read(&mut vec![0; amount + 1])),
                    6 => drop(stream.shutdown(std::net::Shutdown::Write)),
                    _ => {
                        let _ = rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO));
                        self.streams.remove(which);
                    }
                }
            }
        }
    }

    fn keep(&mut self, stream: TcpStream) {
        if self.streams.len() < 8 && stream.set_nonblocking(true).is_ok() {
            self.streams.push(stream);
        }
    }

    fn owner(&mut self, bytes: &mut Bytes<'_>) {
        let (what, amount) = (bytes.byte(), usize::from(bytes.byte()));
        match (what % 8, self.channel) {
            (0, _) => self.net.reset_flows(),
            (1, _) => self.net.set_offloads(Offloads::from_bits_truncate(what >> 3)),
            (2, _) => drop(self.net.info()),
            (3 | 4, Some(channel)) => {
                let room = self.net.channel_room(channel);
                assert!(self.net.channel_input(channel, &vec![4; amount]) <= room.min(amount));
            }
            (5 | 6, Some(channel)) => self.net.channel_writable(channel),
            _ => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::from(what)));
                self.net.remove_hostfwd(&crate::HostSide::Tcp(address));
            }
        }
    }
}
