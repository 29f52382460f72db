//! virtio-net, squeezed from both sides: a driver that puts anything into the rings and into its messages, and a host that sends any
//! frames with any headers, takes what it likes and pulls the cable.
//!
//! The end is always the same: after a reset an honest driver must find a working card.

use southbridge_backend_net::VnetHeader;
use southbridge_backend_net::testing::Loop;
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::{Buffer, Guest, system};
use southbridge_core::{DeviceType, PropValue, Properties};
use std::time::Duration;

use crate::bytes::Bytes;
use crate::parts::REGISTRY;

const NAME: &str = "virtio-net-device";
/// Operations of one input.
const MOST: usize = 200;
/// Entries that are added to one ring: as many as it has, less the longest chain.
const ENTRIES: usize = 240;

struct Rig {
    guest: Guest,
    host: Loop,
    added: Vec<usize>,
}

impl Rig {
    fn new(choice: u8) -> Option<Self> {
        let t: &'static DeviceType = REGISTRY.get(NAME)?;
        let mut sys = system();
        sys.log.set_warnings(Box::new(std::io::sink()));
        let queues = if choice & 1 == 0 { 1 } else { 4 };
        let (netdev, host) = Loop::with_queues(&mut sys, queues);
        let mut p = Properties::default().with("netdev", PropValue::Backend("loop".into(), netdev));
        for name in ["packed", "mq", "rss", "hash"] {
            p.set(name, PropValue::Bool(true));
        }
        if choice & 2 != 0 {
            p.set("tx", PropValue::Str("timer".into()));
        }
        p.apply_defaults(t.properties);
        let guest = Guest::on(sys, t, p);
        Some(Self {
            guest,
            host,
            added: Vec::new(),
        })
    }

    fn start(&mut self, features: u64) {
        self.guest.start_with(features, 256);
        self.added = vec![0; self.guest.rings.len()];
    }

    fn queue(&self, byte: u8) -> u16 {
        u16::from(byte) % (self.guest.rings.len().max(1) as u16)
    }

    fn add(&mut self, bytes: &mut Bytes<'_>) {
        let queue = self.queue(bytes.byte());
        let shape = bytes.byte();
        let mut buffers = Vec::new();
        for i in 0..=(shape & 3) {
            let n = usize::from(bytes.byte());
            let write = shape >> (4 + i) & 1 != 0;
            let at = self.guest.alloc(n as u64);
            self.guest.write(at, bytes.take(if write { 0 } else { n }));
            let at = if shape & 12 == 12 { bytes.word() } else { at };
            let len = if shape & 12 == 8 { bytes.word() as u32 } else { n as u32 };
            buffers.push(Buffer { addr: at, len, write });
        }
        self.guest.indirect = shape & 12 == 4;
        let Some(added) = self.added.get_mut(usize::from(queue)) else {
            return;
        };
        if *added + buffers.len() <= ENTRIES {
            *added += buffers.len();
            self.guest.add_buffers(queue, &buffers);
        }
    }

    /// Something that a driver must not do: rings are changed under the device's hands.
    fn scribble(&mut self, bytes: &mut Bytes<'_>) {
        let queue = usize::from(self.queue(bytes.byte()));
        let Some(ring) = self.guest.rings.get(queue) else {
            return;
        };
        let at = [ring.desc, ring.driver, ring.device][usize::from(bytes.byte() % 3)];
        let offset = u64::from(bytes.byte());
        let data = bytes.take(4);
        self.guest.write(at + offset, data);
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 12 {
            0..=2 => self.add(bytes),
            3 => {
                let queue = self.queue(bytes.byte());
                self.guest.kick(queue);
            }
            4 | 5 => {
                let (queue, n) = (usize::from(bytes.byte() % 4), usize::from(bytes.byte()));
                let mut vnet = [0; VnetHeader::LEN];
                let head = bytes.take(VnetHeader::LEN);
                vnet[..head.len()].copy_from_slice(head);
                let frame = bytes.take(n);
                self.host.feed_packet(queue, VnetHeader::from_bytes(&vnet), frame);
            }
            6 => self.scribble(bytes),
            7 => {
                let (offset, size) = (u64::from(bytes.byte()), 1 << (bytes.byte() % 4));
                let value = bytes.word();
                self.guest.drive(|e, cx| e.config_write(offset, size, value, cx));
            }
            8 => {
                let n = bytes.byte();
                self.host.accept((n & 1 == 0).then_some(usize::from(n / 2)));
            }
            9 => self.host.set_link(&mut self.guest.sys, bytes.byte() & 1 == 0),
            10 => {
                let queue = self.queue(bytes.byte());
                self.guest.drive(|e, cx| e.reset_queue(queue, cx));
            }
            _ => self.load_again(),
        }
        self.guest.poll(Duration::ZERO);
        if let Some(t) = self.guest.sys.next_deadline() {
            self.guest.sys.advance_to(t);
        }
        // What came out is read, or the host's own memory would be what grows.
        let _ = self.host.take();
    }

    /// The device must take what it saved, and be as it was.
    fn load_again(&mut self) {
        let saved = self.guest.save();
        let device = self.guest.device;
        let loaded = self.guest.sys.with_device(device, |d, _| d.load(&saved));
        assert_eq!(loaded, Some(Ok(())), "its own state is refused");
        assert!(self.guest.save() == saved, "another state than was loaded");
        self.guest.sys.with_device(device, |d, cx| d.after_load(cx));
    }

    /// An honest driver after all that.
    fn works(&mut self) {
        self.host.accept(None);
        self.host.set_link(&mut self.guest.sys, true);
        self.guest.indirect = false;
        self.start(feature::EVENT_IDX | 1 << 15 | 1 << 17);
        for _ in 0..4 {
            self.guest.poll(Duration::ZERO);
        }
        let _ = self.host.take();
        self.guest.add(1, &[&[0; 12], &[0xff; 60]], &[]);
        self.guest.kick(1);
        self.guest.wait_used(1);
        assert_eq!(self.host.take(), [vec![0xff; 60]], "the frame of an honest driver");
        // What the host sent before may come first.
        for _ in 0..200 {
            self.guest.add(0, &[], &[2048]);
        }
        self.guest.kick(0);
        self.host.feed(&[0xff; 60]);
        self.guest
            .wait(|g| std::iter::from_fn(|| g.used(0)).any(|u| u.data.get(12..) == Some(&[0xff; 60])));
    }
}

/// Any driver and any host.
pub fn virtio_net(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(mut rig) = Rig::new(bytes.byte()) else { return };
    let features = bytes.word();
    rig.start(features | feature::INDIRECT_DESC | 1 << 17);
    for _ in 0..MOST {
        if bytes.0.is_empty() {
            break;
        }
        rig.step(&mut bytes);
    }
    rig.works();
}
