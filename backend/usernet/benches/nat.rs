//! What the NAT alone costs: a scripted guest, which does no more than TCP needs, against a sink or source on the host's loopback.
//!
//! `cargo bench -p southbridge-backend-usernet` prints for each case bits per second of wall time, and bits per second of processor
//! time of the thread that runs the engine and the scripted guest: the speed of one core that has nothing else to do. The sink or
//! source is another thread and stands for the rest of the host.

use rustix::event::epoll;
use rustix::time::{ClockId, clock_gettime};
use southbridge_backend_usernet::{Config, Gso, Meta, Offloads, Ready, Sink, Token, UserNet, WatchChange};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

const BATCH: usize = 64;
const WINDOW_SCALE: u8 = 7;
const HEADERS: usize = 54;

/// Frames for the scripted guest; buffers go round.
struct Out {
    frames: Vec<(Vec<u8>, Meta)>,
    spare: Vec<Vec<u8>>,
}

impl Sink for Out {
    fn room(&self) -> usize {
        256 - self.frames.len()
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn frame(&mut self, frame: Vec<u8>, meta: Meta) {
        self.frames.push((frame, meta));
    }
}

fn sum(data: &[u8]) -> u32 {
    let mut total = 0_u32;
    for pair in data.chunks(2) {
        total += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    total
}

fn fold(mut total: u32) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// As little of a TCP as gets bytes across a wire that loses nothing.
struct Guest {
    port: u16,
    seq: u32,
    acked: u32,
    window: u32,
    ack: u32,
    scale: u8,
    connected: bool,
    received: u64,
    offload: bool,
    /// A full segment and the sum of its payload.
    frame: Vec<u8>,
    payload: usize,
    payload_sum: u32,
}

impl Guest {
    fn new(port: u16, payload: usize, offload: bool) -> Self {
        let mut frame = vec![
            0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6,
        ];
        frame.extend_from_slice(&[0, 0, 10, 0, 2, 15, 10, 0, 2, 2]);
        frame.resize(HEADERS, 0);
        frame.extend((0..payload).map(|i| i as u8));
        let payload_sum = u32::from(fold(sum(&frame[HEADERS..])));
        Self {
            port,
            seq: 1000,
            acked: 1000,
            window: 0,
            ack: 0,
            scale: 0,
            connected: false,
            received: 0,
            offload,
            frame,
            payload,
            payload_sum,
        }
    }

    /// Writes the headers of the next segment over the prepared frame; returns how long it is.
    fn segment(&mut self, flags: u8, payload: usize) -> usize {
        let length = HEADERS - 14 + payload;
        let f = &mut self.frame;
        f[16..18].copy_from_slice(&(length as u16).to_be_bytes());
        f[24..26].fill(0);
        let header = !fold(sum(&f[14..34]));
        f[24..26].copy_from_slice(&header.to_be_bytes());
        f[34..36].copy_from_slice(&40_000_u16.to_be_bytes());
        f[36..38].copy_from_slice(&self.port.to_be_bytes());
        f[38..42].copy_from_slice(&self.seq.to_be_bytes());
        f[42..46].copy_from_slice(&self.ack.to_be_bytes());
        f[46] = 0x50;
        f[47] = flags;
        f[48..50].copy_from_slice(&0xffff_u16.to_be_bytes());
        f[50..54].fill(0);
        if !self.offload {
            let payload_sum = if payload > 0 { self.payload_sum } else { 0 };
            let check = !fold(sum(&f[26..34]) + 6 + (length - 20) as u32 + sum(&f[34..54]) + payload_sum);
            f[50..52].copy_from_slice(&check.to_be_bytes());
        }
        HEADERS + payload
    }

    fn meta(&self) -> Meta {
        Meta {
            partial_checksum: self.offload.then_some((34, 16)),
            ..Meta::default()
        }
    }

    fn syn(&mut self) -> Vec<u8> {
        self.segment(2, 0);
        let mut frame = self.frame[..HEADERS].to_vec();
        frame.extend_from_slice(&[2, 4, 5, 180, 1, 3, 3, WINDOW_SCALE]);
        frame[46] = 0x70;
        frame[16..18].copy_from_slice(&48_u16.to_be_bytes());
        frame[24..26].fill(0);
        let header = !fold(sum(&frame[14..34]));
        frame[24..26].copy_from_slice(&header.to_be_bytes());
        frame[50..52].fill(0);
        let check = !fold(sum(&frame[26..34]) + 6 + 28 + sum(&frame[34..]));
        frame[50..52].copy_from_slice(&check.to_be_bytes());
        frame
    }

    /// Takes what the router sent; `true` if there is something to acknowledge.
    fn take(&mut self, frames: &mut Out) -> bool {
        let mut data = false;
        for (frame, _) in frames.frames.drain(..) {
            if frame[12..14] == [8, 0] && frame[23] == 6 {
                let word = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
                let (seq, ack, flags) = (word(38), word(42), frame[47]);
                assert_eq!(flags & 4, 0, "a reset");
                self.acked = ack;
                let window = u32::from(u16::from_be_bytes([frame[48], frame[49]]));
                if flags & 2 != 0 {
                    self.connected = true;
                    self.seq += 1;
                    self.ack = seq + 1;
                    self.scale = if frame[46] >> 4 > 6 { frame[61] } else { 0 };
                    self.window = window;
                    data = true;
                } else {
                    self.window = window << self.scale;
                    let payload = usize::from(u16::from_be_bytes([frame[16], frame[17]])) - 40;
                    if payload > 0 {
                        assert_eq!(seq, self.ack, "a hole");
                        self.ack = self.ack.wrapping_add(payload as u32);
                        self.received += payload as u64;
                        data = true;
                    }
                }
            }
            frames.spare.push(frame);
        }
        data
    }

    fn may_send(&self) -> bool {
        self.connected && self.seq.wrapping_sub(self.acked) + self.payload as u32 <= self.window
    }
}

struct Bench {
    net: UserNet,
    epoll: OwnedFd,
    out: Out,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        let out = Out {
            frames: Vec::new(),
            spare: Vec::new(),
        };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        Self {
            net: UserNet::new(Config::default()).unwrap(),
            epoll,
            out,
            start: Instant::now(),
        }
    }

    fn turn(&mut self, idle: bool) {
        while let Some(change) = self.net.next_watch_change() {
            if let WatchChange::Add { token, fd, .. } = change {
                let flags =
                    epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET | epoll::EventFlags::RDHUP;
                epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token.0), flags).unwrap();
            }
        }
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; 16];
        let timeout = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: if idle { 1_000_000 } else { 0 },
        };
        let (ready, _) = epoll::wait(&self.epoll, &mut events, Some(&timeout)).unwrap();
        for event in ready.iter() {
            let flags = event.flags;
            let gone = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
            let (readable, writable) = (
                flags.contains(epoll::EventFlags::IN),
                flags.contains(epoll::EventFlags::OUT),
            );
            self.net.host_ready(
                Token(event.data.u64()),
                Ready {
                    readable: readable || gone,
                    writable: writable || gone,
                },
            );
        }
        self.net.run(self.start.elapsed(), &mut self.out);
    }

    fn connect(&mut self, guest: &mut Guest) {
        // The router learns where the guest is from the packet itself.
        let syn = guest.syn();
        self.net.guest_frame(&syn, &guest.meta(), self.start.elapsed());
        while !guest.connected {
            self.turn(true);
            guest.take(&mut self.out);
        }
        guest.acked = guest.seq;
        let len = guest.segment(0x10, 0);
        self.net
            .guest_frame(&guest.frame[..len], &guest.meta(), self.start.elapsed());
    }
}

fn processor() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn report(name: &str, bytes: u64, wall: Duration, cpu: Duration) {
    let rate = |time: Duration| bytes as f64 * 8.0 / time.as_secs_f64() / 1e9;
    println!(
        "{name:<44} {:>7.2} Gbit/s  {:>7.2} Gbit/s of processor time",
        rate(wall),
        rate(cpu)
    );
}

/// From the guest to the host. `payload`: bytes in one frame of the guest, more than 1460 for a big segment.
fn upload(name: &str, payload: usize, offload: bool, seconds: f64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut guest = Guest::new(listener.local_addr().unwrap().port(), payload, offload);
    let server = thread::spawn(move || swallow(listener.accept().unwrap().0));
    let mut bench = Bench::new();
    bench.connect(&mut guest);
    let mut meta = guest.meta();
    if payload > 1460 {
        meta = Meta {
            gso: Gso::Tcp4,
            segment: 1460,
            headers: HEADERS as u16,
            ..meta
        };
    }
    let (wall, cpu) = (Instant::now(), processor());
    let mut bytes = 0;
    while wall.elapsed().as_secs_f64() < seconds {
        let now = bench.start.elapsed();
        let mut sent = 0;
        while sent < BATCH && guest.may_send() {
            let len = guest.segment(0x10, payload);
            bench.net.guest_frame(&guest.frame[..len], &meta, now);
            guest.seq = guest.seq.wrapping_add(payload as u32);
            sent += 1;
        }
        bytes += (sent * payload) as u64;
        bench.turn(sent == 0);
        guest.take(&mut bench.out);
    }
    report(name, bytes, wall.elapsed(), processor() - cpu);
    drop(bench);
    server.join().unwrap();
}

fn swallow(mut stream: TcpStream) {
    let mut buffer = vec![0; 1 << 20];
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

/// From the host to the guest.
fn download(name: &str, offloads: Offloads, seconds: f64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut guest = Guest::new(listener.local_addr().unwrap().port(), 0, true);
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let data = vec![7; 1 << 20];
        while stream.write_all(&data).is_ok() {}
    });
    let mut bench = Bench::new();
    bench.net.set_offloads(offloads);
    bench.connect(&mut guest);
    let (wall, cpu) = (Instant::now(), processor());
    let mut idle = false;
    while wall.elapsed().as_secs_f64() < seconds {
        bench.turn(idle);
        idle = !guest.take(&mut bench.out);
        if !idle {
            let len = guest.segment(0x10, 0);
            bench
                .net
                .guest_frame(&guest.frame[..len], &guest.meta(), bench.start.elapsed());
        }
    }
    report(name, guest.received, wall.elapsed(), processor() - cpu);
    drop(bench);
    server.join().unwrap();
}

fn main() {
    // Seconds for each case, and a part of the names of those wanted. Cargo adds an option of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let seconds = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(2.0);
    let wanted = arguments.iter().find(|a| a.parse::<f64>().is_err());
    let runs = |name: &&str| wanted.is_none_or(|w| name.contains(w.as_str()));
    let up = [
        ("guest to host, MTU 1500, checksums", 1460, false),
        ("guest to host, MTU 1500, checksum offload", 1460, true),
        ("guest to host, big segments", 43 * 1460, true),
    ];
    for (name, payload, offload) in up.into_iter().filter(|(name, ..)| runs(name)) {
        upload(name, payload, offload, seconds);
    }
    let down = [
        ("host to guest, MTU 1500, checksums", Offloads::empty()),
        ("host to guest, MTU 1500, checksum offload", Offloads::CHECKSUM),
        ("host to guest, big segments", Offloads::CHECKSUM | Offloads::TSO4),
    ];
    for (name, offloads) in down.into_iter().filter(|(name, _)| runs(name)) {
        download(name, offloads, seconds);
    }
}
