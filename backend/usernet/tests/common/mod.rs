//! A guest made of smoltcp's own socket stack, a wire that may lose, repeat and reorder, and the engine with a small event loop.
//!
//! Time is counted in turns of the loop, not by the wall: a turn in which nothing happens is a millisecond.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part")]

use rustix::event::epoll;
use smoltcp::iface::{Config as IfaceConfig, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv6Address};
use southbridge_backend_usernet::{Config, Gso, Meta, Offloads, Ready, Resolver, Sink, Token, UserNet, WatchChange};
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub const GUEST4: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
pub const GUEST6: Ipv6Address = Ipv6Address::new(0xfec0, 0, 0, 0, 0, 0, 0, 0x15);

/// Chances in a thousand, of a wire in both directions.
#[derive(Clone, Copy, Default)]
pub struct Wire {
    pub lose: u32,
    pub repeat: u32,
    pub reorder: u32,
}

/// Numbers that look random and are the same in every run.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        self.next() % 1000 < per_mille
    }
}

#[derive(Default)]
pub struct Frames {
    /// Checksums of what comes are not looked at.
    pub trust: bool,
    pub to_guest: VecDeque<Vec<u8>>,
    pub to_router: VecDeque<Vec<u8>>,
}

impl Device for Frames {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx<'_>)> {
        let frame = self.to_guest.pop_front()?;
        Some((Rx(frame), Tx(&mut self.to_router)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.to_router))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        if self.trust {
            capabilities.checksum.tcp = Checksum::Tx;
        }
        capabilities
    }
}

pub struct Rx(Vec<u8>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub struct Tx<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

/// Takes at most so many frames in one turn.
struct Collect {
    frames: Vec<(Vec<u8>, Meta)>,
    room: usize,
}

impl Sink for Collect {
    fn room(&self) -> usize {
        self.room - self.frames.len()
    }

    fn frame(&mut self, frame: Vec<u8>, meta: Meta) {
        assert!(self.room() > 0, "a frame without room");
        self.frames.push((frame, meta));
    }
}

/// The engine and what waits for its descriptors.
pub struct Router {
    pub net: UserNet,
    epoll: OwnedFd,
    pub now: Duration,
    /// Frames the guest's side takes in one turn.
    pub room: usize,
}

impl Router {
    pub fn new(config: Config) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        Self {
            net: UserNet::new(config).unwrap(),
            epoll,
            now: Duration::from_secs(1),
            room: 64,
        }
    }

    fn watch(&mut self) {
        while let Some(change) = self.net.next_watch_change() {
            match change {
                WatchChange::Add { token, fd, write } => {
                    let mut flags = epoll::EventFlags::IN | epoll::EventFlags::ET | epoll::EventFlags::RDHUP;
                    flags.set(epoll::EventFlags::OUT, write);
                    epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token.0), flags).unwrap();
                }
                WatchChange::Remove { fd, .. } => {
                    epoll::delete(&self.epoll, &fd).unwrap();
                }
            }
        }
    }

    /// One turn: what the guest sent goes in, what comes out is returned.
    pub fn turn(&mut self, from_guest: impl IntoIterator<Item = Vec<u8>>, wait: bool) -> Vec<(Vec<u8>, Meta)> {
        for frame in from_guest {
            self.net.guest_frame(&frame, &Meta::default(), self.now);
        }
        self.watch();
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; 64];
        let timeout = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: if wait { 200_000 } else { 0 },
        };
        let (ready, _) = epoll::wait(&self.epoll, &mut events, Some(&timeout)).unwrap();
        for event in ready.iter() {
            let flags = event.flags;
            let gone = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
            let readable = gone || flags.contains(epoll::EventFlags::IN);
            let writable = gone || flags.contains(epoll::EventFlags::OUT);
            self.net
                .host_ready(Token(event.data.u64()), Ready { readable, writable });
        }
        let mut sink = Collect {
            frames: Vec::new(),
            room: self.room,
        };
        self.net.run(self.now, &mut sink);
        self.watch();
        sink.frames
    }
}

pub struct World {
    pub router: Router,
    pub iface: Interface,
    pub sockets: SocketSet<'static>,
    pub frames: Frames,
    pub wire: Wire,
    rng: Rng,
    /// Bytes of the longest frame that came to the guest.
    pub longest: usize,
    /// One that waits for the next to overtake it, for each direction.
    held: [Option<Vec<u8>>; 2],
}

/// The engine's defaults, but no file of the host decides where names are asked.
pub fn config() -> Config {
    Config {
        resolver: Resolver::Fixed(vec!["127.0.0.1:1".parse().unwrap()]),
        ..Config::default()
    }
}

impl World {
    pub fn new(config: Config) -> Self {
        Self::with_offloads(config, Offloads::empty())
    }

    /// A guest whose card computes checksums and cuts segments.
    pub fn with_offloads(config: Config, offloads: Offloads) -> Self {
        let mut frames = Frames {
            trust: !offloads.is_empty(),
            ..Frames::default()
        };
        let mut iface_config = IfaceConfig::new(HardwareAddress::Ethernet(EthernetAddress(MAC)));
        iface_config.random_seed = 7;
        let mut iface = Interface::new(iface_config, &mut frames, Instant::ZERO);
        iface.update_ip_addrs(|a| {
            a.push(IpCidr::new(IpAddress::Ipv4(GUEST4), 24)).unwrap();
            a.push(IpCidr::new(IpAddress::Ipv6(GUEST6), 64)).unwrap();
        });
        iface
            .routes_mut()
            .add_default_ipv4_route(Ipv4Address::new(10, 0, 2, 2))
            .unwrap();
        iface
            .routes_mut()
            .add_default_ipv6_route("fe80::2".parse().unwrap())
            .unwrap();
        let mut router = Router::new(config);
        router.net.set_offloads(offloads);
        Self {
            router,
            iface,
            sockets: SocketSet::new(Vec::new()),
            frames,
            wire: Wire::default(),
            rng: Rng(1),
            longest: 0,
            held: [None, None],
        }
    }

    fn impair(&mut self, direction: usize, frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for frame in frames {
            if self.rng.chance(self.wire.lose) {
                continue;
            }
            if self.rng.chance(self.wire.repeat) {
                out.push(frame.clone());
            }
            if self.held[direction].is_none() && self.rng.chance(self.wire.reorder) {
                self.held[direction] = Some(frame);
                continue;
            }
            out.push(frame);
            out.extend(self.held[direction].take());
        }
        out
    }

    /// One turn of everything; `true` if something happened.
    pub fn turn(&mut self, wait: bool) -> bool {
        let instant = Instant::from_micros(self.router.now.as_micros() as i64);
        let polled = self.iface.poll(instant, &mut self.frames, &mut self.sockets) != PollResult::None;
        let from_guest: Vec<_> = self.frames.to_router.drain(..).collect();
        let busy = !from_guest.is_empty();
        let from_guest = self.impair(0, from_guest);
        let to_guest = self.router.turn(from_guest, wait && !busy);
        self.longest = to_guest
            .iter()
            .map(|(frame, _)| frame.len())
            .fold(self.longest, usize::max);
        let to_guest: Vec<_> = to_guest
            .into_iter()
            .map(|(frame, meta)| checked(frame, &meta))
            .collect();
        let any = busy || polled || !to_guest.is_empty();
        let to_guest = self.impair(1, to_guest);
        self.frames.to_guest.extend(to_guest);
        self.router.now += Duration::from_micros(if any { 50 } else { 1000 });
        any
    }

    /// Turns until `done` says so; fails after very many.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut World) -> bool) {
        let mut quiet = false;
        for _ in 0..300_000 {
            if done(self) {
                return;
            }
            quiet = !self.turn(quiet);
        }
        panic!("{what} did not happen; flows: {:#?}", self.router.net.flows());
    }

    /// So many quiet milliseconds.
    pub fn idle(&mut self, millis: u32) {
        for _ in 0..millis {
            self.turn(false);
            self.router.now += Duration::from_millis(1);
        }
    }

    pub fn tcp_socket(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 128 << 10]);
        self.sockets.add(tcp::Socket::new(buffer(), buffer()))
    }

    pub fn connect(&mut self, to: IpAddr, port: u16, local: u16) -> SocketHandle {
        let handle = self.tcp_socket();
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        socket
            .connect(self.iface.context(), (IpAddress::from(to), port), local)
            .unwrap();
        handle
    }

    pub fn listen(&mut self, port: u16) -> SocketHandle {
        let handle = self.tcp_socket();
        self.sockets.get_mut::<tcp::Socket>(handle).listen(port).unwrap();
        handle
    }

    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub fn udp_socket(&mut self, port: u16) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 256 << 10]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).unwrap();
        self.sockets.add(socket)
    }

    pub fn udp(&mut self, handle: SocketHandle) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Lets the router learn where the guest lives.
    pub fn introduce(&mut self, to: IpAddr) {
        let hello = self.udp_socket(4999);
        self.udp(hello).send_slice(b"", (IpAddress::from(to), 1)).unwrap();
        self.idle(3);
    }

    /// Sends a datagram and waits for one back.
    pub fn ask(&mut self, handle: SocketHandle, to: IpAddr, port: u16, data: &[u8]) -> (Vec<u8>, IpAddress, u16) {
        self.udp(handle).send_slice(data, (IpAddress::from(to), port)).unwrap();
        let mut answer = None;
        self.until("an answer", |w| {
            answer = w
                .udp(handle)
                .recv()
                .ok()
                .map(|(d, m)| (d.to_vec(), m.endpoint.addr, m.endpoint.port));
            answer.is_some()
        });
        answer.unwrap()
    }
}

/// What comes with a frame must be what a card could carry out.
fn checked(frame: Vec<u8>, meta: &Meta) -> Vec<u8> {
    if let Some((start, offset)) = meta.partial_checksum {
        assert!(usize::from(start) + usize::from(offset) + 2 <= frame.len());
    }
    if meta.gso == Gso::None {
        assert!(frame.len() <= 1514);
    } else {
        assert!(meta.partial_checksum.is_some() && meta.segment > 0);
        assert!(frame.len() > usize::from(meta.headers) + usize::from(meta.segment));
        assert!(usize::from(meta.headers) + usize::from(meta.segment) <= 1514);
    }
    frame
}

/// Bytes that tell their place, so that anything lost, doubled or moved shows.
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
    (0..len).map(|_| rng.next() as u8).collect()
}

pub fn v4(text: &str) -> IpAddr {
    text.parse().unwrap()
}
