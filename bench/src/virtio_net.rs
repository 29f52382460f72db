//! virtio-net by a driver in this process, without a guest CPU: a frame there and one back, and frames one way.
//!
//! What is timed is rings, card, back end and the completion's way, with the test's own driver on top. Beside a round stands what no way
//! to another process can do without: a datagram into a socket pair, a wait, and the datagram out again. Beside frames one way stands a
//! copy of their bytes.

use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use southbridge_backend_net::testing::Loop;
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::{Buffer, Guest, system};
use southbridge_core::{PropValue, Properties};

use crate::Result;
use crate::report::Row;
use crate::stats::{Series, keep};

const RUNS: usize = 9;
const ROUNDS: u32 = 20_000;
/// Frames in the ring at once.
const BATCH: u32 = 64;
const MRG_RXBUF: u64 = 1 << 15;
const HEADER: u32 = 12;

struct Rig {
    guest: Guest,
    host: Loop,
    /// Where the driver's buffers are.
    sent: u64,
    received: u64,
}

/// Rows for split and packed rings.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for packed in [false, true] {
        let kind = if packed { "packed" } else { "split" };
        let (mut round, mut bare) = (Series::default(), Series::default());
        for _ in 0..RUNS {
            round.push(Rig::new(packed)?.rounds());
            bare.push(socket_rounds()?);
        }
        let row = Row::new(format!("virtio-net, round trip of 60 bytes, {kind} rings"), "us", round);
        rows.push(row.beside("socket pair in one thread", bare));
        for size in [1514, 65_226] {
            let (mut rate, mut copy) = (Series::default(), Series::default());
            for _ in 0..RUNS {
                rate.push(Rig::new(packed)?.one_way(size));
                copy.push(copies(size));
            }
            let row = Row::new(
                format!("virtio-net, frames of {size} bytes to the host, {kind} rings"),
                "Gbit/s",
                rate,
            );
            rows.push(row.beside("a copy of their bytes", copy));
        }
    }
    Ok(rows)
}

impl Rig {
    fn new(packed: bool) -> Result<Self> {
        let mut registry = southbridge_core::Registry::default();
        southbridge_device_virtio::register(&mut registry);
        let t = registry.get("virtio-net-device").ok_or("no virtio-net")?;
        let mut sys = system();
        let (netdev, host) = Loop::new(&mut sys);
        let mut p = Properties::default()
            .with("netdev", PropValue::Backend("loop".into(), netdev))
            .with("packed", PropValue::Bool(packed));
        p.apply_defaults(t.properties);
        let mut guest = Guest::on(sys, t, p);
        let ring = if packed { feature::RING_PACKED } else { 0 };
        guest.start(MRG_RXBUF | feature::EVENT_IDX | ring);
        let sent = guest.alloc(0x2_0000);
        let received = guest.alloc(0x2_0000);
        Ok(Self {
            guest,
            host,
            sent,
            received,
        })
    }

    /// Microseconds a round.
    fn rounds(&mut self) -> f64 {
        let frame = [0xff; 60];
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            self.guest.add_buffers(0, &[Buffer::writable(self.received, 2048)]);
            self.guest.add_buffers(1, &[Buffer::readable(self.sent, HEADER + 60)]);
            self.guest.kick(1);
            for _ in self.host.take() {
                self.host.feed(&frame);
            }
            self.guest.poll(Duration::ZERO);
            keep((self.guest.used(0), self.guest.used(1)));
        }
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
    }

    /// Gbit/s of frames of one size.
    fn one_way(&mut self, size: u32) -> f64 {
        let total = 400_000_000 / size / BATCH;
        let begin = Instant::now();
        for _ in 0..total {
            for _ in 0..BATCH {
                self.guest.add_buffers(1, &[Buffer::readable(self.sent, HEADER + size)]);
            }
            self.guest.kick(1);
            keep(self.host.take());
            while self.guest.used(1).is_some() {}
        }
        gbit(u64::from(total) * u64::from(BATCH) * u64::from(size), begin)
    }
}

fn gbit(bytes: u64, begin: Instant) -> f64 {
    bytes as f64 * 8.0 / begin.elapsed().as_secs_f64() / 1e9
}

/// Gbit/s of copies from one place to another.
fn copies(size: u32) -> f64 {
    let from = vec![1u8; size as usize];
    let mut to = vec![0u8; size as usize];
    let total = 400_000_000 / size;
    let begin = Instant::now();
    for _ in 0..total {
        to.copy_from_slice(keep(&from));
        keep(&mut to);
    }
    gbit(u64::from(total) * u64::from(size), begin)
}

/// Microseconds a round of a datagram through a pair of sockets, with a wait for it.
fn socket_rounds() -> Result<f64> {
    let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::NONBLOCK, None)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &b, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; 4];
    let mut buffer = [0; 2048];
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        send(&a, &[0xff; 60], SendFlags::empty())?;
        epoll::wait(&poll, &mut events, None)?;
        recv(&b, &mut buffer, RecvFlags::empty())?;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS))
}
