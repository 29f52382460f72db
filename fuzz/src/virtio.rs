//! virtio devices through their rings: a driver that keeps the rules, breaks them, changes its mind, and is saved and loaded.
//!
//! Of each type of device that plugs into a virtio transport; what stands between a ring and its device (the registers of transports) is
//! the target `device`'s affair.

use southbridge_backend_block::Blocks;
use southbridge_backend_chardev::testing::Loop;
use southbridge_bus_virtio::spec::{feature, ring, status};
use southbridge_bus_virtio::testing::{Guest, RAM, RAM_LEN, Ring, system};
use southbridge_core::property::PropKind;
use southbridge_core::{BusKind, DeviceType, PropValue, System};

use crate::parts::{REGISTRY, peer_does, peers, place, poll_host};

/// Where buffers are, and how many of which size.
const BUFFERS: u64 = RAM + 0x200_0000;
const BUFFER: u64 = 0x1_0000;
const BUFFER_COUNT: u64 = 16;
/// Restarts in one input: each zeroes rings.
const MOST_RESTARTS: u32 = 8;

/// The type that two bytes pick, of those on a virtio bus.
fn pick(key: [u8; 2]) -> Option<&'static DeviceType> {
    let key = u16::from_le_bytes(key);
    let types = REGISTRY.iter().filter(|t| t.bus == BusKind::Virtio);
    types.min_by_key(|t| place(t.name).wrapping_sub(key))
}

/// Every type of this target with the two bytes that pick it.
pub fn virtio_keys() -> Vec<(&'static str, [u8; 2])> {
    let types = REGISTRY.iter().filter(|t| t.bus == BusKind::Virtio);
    types.map(|t| (t.name, place(t.name).to_le_bytes())).collect()
}

struct Rig {
    guest: Guest,
    peers: Vec<Loop>,
    /// Next available index or entry of each ring, as this driver counts.
    next: Vec<u16>,
    features: u64,
    size: u16,
    restarts: u32,
}

/// A disk that holds nothing.
fn disk(sys: &mut System) -> Option<southbridge_core::BackendId> {
    let words = [
        ("driver", "null-co"),
        ("node-name", "d0"),
        ("size", "1048576"),
        ("read-zeroes", "on"),
    ];
    let pairs: Vec<_> = words.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    Blocks::of(&mut sys.host, |blocks, host| blocks.add(host, &pairs)).ok()?;
    Blocks::find(&sys.host, "d0")
}

fn make(t: &'static DeviceType, choice: u8) -> Option<(Guest, Vec<Loop>)> {
    let mut sys = system();
    let (mut properties, peers) = peers(&mut sys, t);
    for p in t.properties {
        match p.kind {
            PropKind::Backend("drive") => {
                let id = disk(&mut sys)?;
                properties.set(p.name, PropValue::Backend("d0".into(), id));
            }
            PropKind::Uint(64) if p.name == "guest-cid" => properties.set(p.name, PropValue::Uint(3)),
            PropKind::Bool if p.name == "packed" => properties.set(p.name, PropValue::Bool(choice & 1 != 0)),
            PropKind::Bool if p.name == "in_order" => properties.set(p.name, PropValue::Bool(choice & 2 != 0)),
            _ => {}
        }
    }
    let device = sys.add_device(t, Some("dut"), properties, &[]).ok()?;
    Some((Guest::around(sys, device), peers))
}

/// Two bytes pick the type, one its features and one the size of rings; then twelve bytes an operation.
pub fn virtio_rings(data: &[u8]) {
    play(data);
}

fn play(data: &[u8]) -> Option<Rig> {
    let ([a, b, choice, size], operations) = data.split_first_chunk()?;
    let (guest, peers) = make(pick([*a, *b])?, *choice)?;
    let bits = [
        (1, feature::RING_PACKED),
        (2, feature::IN_ORDER),
        (4, feature::EVENT_IDX),
        (8, feature::INDIRECT_DESC),
        (16, feature::RING_RESET),
    ];
    let rings = bits
        .iter()
        .filter(|(bit, _)| choice & bit != 0)
        .fold(0, |all, b| all | b.1);
    let own = if choice & 32 != 0 { 0xff_ffff | 0xffff << 48 } else { 0 };
    let mut rig = Rig {
        guest,
        peers,
        next: Vec::new(),
        features: rings | own,
        size: 1 << (size % 8),
        restarts: 0,
    };
    rig.restart();
    for op in operations.as_chunks::<12>().0 {
        rig.step(op);
    }
    Some(rig)
}

impl Rig {
    fn restart(&mut self) {
        self.restarts += 1;
        if self.restarts > MOST_RESTARTS {
            return;
        }
        self.guest.forget_memory();
        let offered = self.guest.drive(|e, _| e.offered());
        self.guest.choose(offered & (self.features | feature::VERSION_1));
        self.guest.make_rings(self.size);
        self.next = vec![0; self.guest.rings.len()];
        self.guest
            .set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK);
    }

    fn step(&mut self, op: &[u8; 12]) {
        let [what, queue, a, b, rest @ ..] = *op;
        let value = u64::from_le_bytes(rest);
        let queue = u16::from(queue) % (self.guest.rings.len() as u16).max(1);
        match what % 16 {
            0..=2 => self.fill(a, b, &rest),
            3..=6 => self.chain(queue, a, b, rest),
            7 => self.raw_descriptor(queue, a, b, value),
            8 => self.raw_word(queue, a, value),
            9 => self.guest.kick(queue),
            10 => self.configuration(a, b, value),
            11 => self.control(queue, a, b),
            12 => {
                if let Some(peer) = self.peers.get(usize::from(a) % self.peers.len().max(1)) {
                    peer_does(peer, b, &rest);
                }
                poll_host(&mut self.guest.sys);
            }
            13 => self.time(),
            _ => self.save_and_load(),
        }
    }

    /// Eight bytes of a buffer.
    fn fill(&mut self, a: u8, b: u8, bytes: &[u8]) {
        let at = BUFFERS + u64::from(a % 16) * BUFFER + u64::from(b) * 4;
        self.guest.write(at, bytes);
    }

    /// A chain as it should be, of one or two buffers for each direction, and a kick.
    fn chain(&mut self, queue: u16, a: u8, b: u8, rest: [u8; 8]) {
        let [r0, r1, w0, w1, w2, parts, x, y] = rest;
        let buffer = |n: u8| BUFFERS + u64::from(n % 16) * BUFFER;
        let readable = u32::from(u16::from_le_bytes([r0, r1])) % 4096;
        let writable = u32::from_le_bytes([w0, w1, w2, 0]) % 0x8000;
        let mut list = Vec::new();
        let cut = u32::from(x) + 1;
        let from = buffer(a) + u64::from(y & 0xfc);
        for (len, write, at) in [(readable, 0, from), (writable, ring::WRITE, buffer(b) + 0x8000)] {
            match len {
                0 => {}
                n if parts & 1 != 0 && n > cut => {
                    list.push((at, cut, write));
                    list.push((at + u64::from(cut), n - cut, write));
                }
                n => list.push((at, n, write)),
            }
        }
        self.put(queue, &list, parts & 2 != 0);
        if parts & 4 == 0 {
            self.guest.kick(queue);
        }
    }

    fn put(&mut self, queue: u16, list: &[(u64, u32, u16)], table: bool) {
        let q = usize::from(queue);
        let (Some(ring_of), Some(next)) = (self.guest.rings.get(q), self.next.get_mut(q)) else {
            return;
        };
        let (size, desc, driver, packed) = (ring_of.size, ring_of.desc, ring_of.driver, ring_of.packed);
        if size == 0 || list.is_empty() || list.len() > size.into() {
            return;
        }
        let sys = &mut self.guest.sys;
        let outside = BUFFERS + BUFFER_COUNT * BUFFER + u64::from(queue % 256) * 0x1000;
        let mut written = list.to_vec();
        if table {
            for (i, (at, len, flags)) in (0u16..).zip(list) {
                let more = if usize::from(i) + 1 < list.len() { ring::NEXT } else { 0 };
                let last = if packed { (0, *flags) } else { (flags | more, i + 1) };
                Ring::write_descriptor(sys, outside + 16 * u64::from(i), *at, *len, last);
            }
            written = vec![(outside, 16 * list.len() as u32, ring::INDIRECT)];
        }
        let first = *next;
        for (i, (at, len, flags)) in (0u16..).zip(&written) {
            let more = if usize::from(i) + 1 < written.len() {
                ring::NEXT
            } else {
                0
            };
            if packed {
                // Entries count on through both wraps.
                let index = u32::from(first) + u32::from(i);
                let wrapped = index / u32::from(size) % 2 != 0;
                let mark = if wrapped { ring::USED } else { ring::AVAIL };
                let place = desc + 16 * u64::from(index % u32::from(size));
                Ring::write_descriptor(sys, place, *at, *len, (first % size, flags | more | mark));
            } else {
                let n = first.wrapping_add(i) % size;
                let then = first.wrapping_add(i + 1) % size;
                Ring::write_descriptor(sys, desc + 16 * u64::from(n), *at, *len, (flags | more, then));
            }
        }
        if packed {
            *next = (first + written.len() as u16) % (2 * size);
        } else {
            let head = first % size;
            // The available ring and the descriptors go round at different speeds; that is the driver's affair.
            let slot = sys.read(driver + 2, 2).unwrap_or(0);
            let _ = sys.write(driver + 4 + 2 * (slot % u64::from(size)), 2, head.into());
            let _ = sys.write(driver + 2, 2, slot + 1);
            *next = first.wrapping_add(written.len() as u16);
        }
    }

    /// A descriptor with any content.
    fn raw_descriptor(&mut self, queue: u16, a: u8, b: u8, value: u64) {
        let Some(r) = self.guest.rings.get(usize::from(queue)).filter(|r| r.size > 0) else {
            return;
        };
        let place = r.desc + 16 * u64::from(u16::from(a) % r.size);
        let addr = match b % 4 {
            0 => BUFFERS + (value & 0xf_ffff),
            1 => RAM + RAM_LEN - (value & 0xff),
            2 => r.desc + (value & 0xfff),
            _ => value.wrapping_mul(0x1_0001_0001),
        };
        let [_, _, _, l0, l1, f, n, i] = value.to_le_bytes();
        let len = u32::from_le_bytes([l0, l1, 0, 0]) << (b >> 5);
        let marks = u16::from(f & 1) << 7 | u16::from(f & 2) << 14 | u16::from(f >> 2 & 7);
        let last = if r.packed {
            (u16::from(n), marks)
        } else {
            (u16::from(f & 7), u16::from(n))
        };
        let _ = i;
        Ring::write_descriptor(&mut self.guest.sys, place, addr, len, last);
    }

    /// Two bytes of what the driver writes: an index, a flag, an event.
    fn raw_word(&mut self, queue: u16, a: u8, value: u64) {
        if let Some(r) = self.guest.rings.get(usize::from(queue)) {
            let offset = if a & 0x80 != 0 { 2 } else { u64::from(a & 0x3f) * 2 };
            let _ = self.guest.sys.write(r.driver + offset, 2, value & 0xffff);
        }
    }

    fn configuration(&mut self, a: u8, b: u8, value: u64) {
        let size = 1 << (b % 4);
        let offset = u64::from(a) << (b >> 5);
        self.guest.drive(|e, cx| {
            e.config_read(offset, size);
            e.config_write(offset, size, value, cx);
        });
    }

    fn control(&mut self, queue: u16, a: u8, b: u8) {
        match a % 8 {
            0 => self.restart(),
            1 => self.guest.set_status(b),
            2 => self.guest.drive(|e, cx| e.reset_queue(queue, cx)),
            3 => self.guest.drive(|e, _| e.enable_queue(queue)),
            4 => self.guest.drive(|e, _| e.set_may_dma(b & 1 != 0)),
            5 => self.guest.kick(u16::from(b)),
            6 => self.guest.drive(|e, _| e.acknowledge(b)),
            _ => self.guest.sys.reset(),
        }
    }

    fn time(&mut self) {
        poll_host(&mut self.guest.sys);
        if let Some(t) = self.guest.sys.next_deadline() {
            self.guest.sys.advance_at_most(t, 4);
        }
    }

    /// What a device saved it takes back at any moment.
    fn save_and_load(&mut self) {
        let blocked = self
            .guest
            .sys
            .with_device(self.guest.device, |d, _| d.migration_blocker());
        if blocked.flatten().is_some() {
            return;
        }
        let saved = self.guest.save();
        let loaded = self.guest.sys.with_device(self.guest.device, |d, _| d.load(&saved));
        assert_eq!(loaded, Some(Ok(())), "a device loads what it saved");
        self.guest.sys.with_device(self.guest.device, |d, cx| d.after_load(cx));
        self.guest.sys.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far the device came in its rings.
    fn progress(rig: &mut Rig) -> u64 {
        let places: Vec<_> = rig.guest.rings.iter().map(|r| (r.packed, r.device)).collect();
        let sys = &mut rig.guest.sys;
        // The used index; or where the device wants its next notification, which the seed with packed rings lets it say.
        let mut word = |(packed, device)| sys.read(if packed { device } else { device + 2 }, 2).expect("memory");
        places.into_iter().map(&mut word).sum()
    }

    #[test]
    fn the_seeds_reach_the_devices() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/virtio-rings");
        for entry in std::fs::read_dir(folder).expect("the seeds") {
            let path = entry.expect("a seed").path();
            let mut rig = play(&std::fs::read(&path).expect("a seed")).expect("a device");
            for _ in 0..20 {
                rig.time();
            }
            assert!(progress(&mut rig) > 0, "{}: the device did nothing", path.display());
        }
    }
}
