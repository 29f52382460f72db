//! The card as a driver sees it, with a test at the other end of the cable.

mod control;
mod rings;
mod traffic;

use southbridge_backend_net::testing::Loop;
use southbridge_backend_net::{Netdev, VnetHeader};
use southbridge_bus_virtio::spec::feature as ring_feature;
use southbridge_bus_virtio::testing::{Guest, system};
use southbridge_core::host::BackendId;
use southbridge_core::property::parse_value;
use southbridge_core::{DeviceType, PropValue, Properties};
use std::time::Duration;

use super::TYPES;

pub(super) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// All features of the device.
pub(super) const ALL: u64 = !(0xffff_ffff << 24) | 0xff << 54 | ring_feature::VERSION_1;

pub(super) struct Card {
    pub(super) guest: Guest,
    pub(super) host: Loop,
    pub(super) netdev: BackendId,
}

fn device_type() -> &'static DeviceType {
    TYPES.iter().find(|t| t.name == "virtio-net-device").unwrap()
}

pub(super) fn properties(words: &str) -> Properties {
    let t = device_type();
    let mut p = Properties::default();
    for word in words.split(',').filter(|w| !w.is_empty()) {
        let (name, text) = word.split_once('=').unwrap();
        let kind = t.properties.iter().find(|p| p.name == name).unwrap().kind;
        p.set(name, parse_value(kind, text).unwrap());
    }
    p.apply_defaults(t.properties);
    p
}

impl Card {
    /// A card with these properties on a back end with one queue.
    pub(super) fn new(words: &str) -> Self {
        Self::with_queues(words, 1)
    }

    pub(super) fn with_queues(words: &str, queues: usize) -> Self {
        let mut sys = system();
        let (netdev, host) = Loop::with_queues(&mut sys, queues);
        let p = properties(words).with("netdev", PropValue::Backend("loop".into(), netdev));
        let guest = Guest::on(sys, device_type(), p);
        Self { guest, host, netdev }
    }

    /// The same, with a driver that wants `features`.
    pub(super) fn started(words: &str, features: u64) -> Self {
        let mut card = Self::new(words);
        card.guest.start(features);
        card
    }

    /// Lets happen what is under way.
    pub(super) fn settle(&mut self) {
        for _ in 0..4 {
            self.guest.poll(Duration::ZERO);
        }
    }

    /// A frame from the host.
    pub(super) fn arrive(&mut self, frame: &[u8]) {
        self.arrive_with(VnetHeader::NONE, frame);
    }

    pub(super) fn arrive_with(&mut self, vnet: VnetHeader, frame: &[u8]) {
        self.host.feed_packet(0, vnet, frame);
        self.settle();
    }

    /// Sends a frame with a header, both in one buffer; the driver has it back.
    pub(super) fn send(&mut self, header: &[u8], frame: &[u8]) {
        let used = self.guest.request(1, &[&[header, frame].concat()], &[]);
        assert_eq!(used.len, 0);
    }

    /// A control message in pieces, to the queue where the driver expects it; the answer.
    pub(super) fn command_on(&mut self, queue: u16, pieces: &[&[u8]]) -> u8 {
        let pieces: Vec<_> = pieces.iter().copied().filter(|p| !p.is_empty()).collect();
        let used = self.guest.request(queue, &pieces, &[1]);
        assert_eq!(used.len, 1);
        used.data[0]
    }

    /// The same where there is one pair of queues.
    pub(super) fn command(&mut self, class: u8, command: u8, data: &[u8]) -> u8 {
        self.command_on(2, &[&[class, command], data])
    }

    /// Configuration space.
    pub(super) fn config(&mut self) -> Vec<u8> {
        let bytes = |e: &southbridge_bus_virtio::Endpoint| {
            (0..e.config_len()).map(|i| e.config_read(i as u64, 1) as u8).collect()
        };
        self.guest.drive(|e, _| bytes(e))
    }

    pub(super) fn status(&mut self) -> u16 {
        let config = self.config();
        u16::from_le_bytes([config[6], config[7]])
    }

    /// What the monitor would tell of the receive filter.
    pub(super) fn filter(&mut self) -> southbridge_backend_net::RxFilter {
        let (netdev, _) = self.guest.sys.host.get::<Netdev>(self.netdev).unwrap();
        netdev.rx_filter().unwrap().clone()
    }

    /// Whether a frame to that address arrives.
    pub(super) fn gets(&mut self, frame: &[u8]) -> bool {
        self.guest.add(0, &[], &[2048]);
        self.guest.kick(0);
        self.arrive(frame);
        self.guest.used(0).is_some()
    }
}

/// A frame from nobody in particular.
pub(super) fn frame(to: [u8; 6], len: usize) -> Vec<u8> {
    let mut f = to.to_vec();
    f.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    f.extend((f.len()..len).map(|i| (i * 7) as u8));
    f
}

/// TCP over IPv4 with so many bytes of payload.
pub(super) fn tcp(payload: usize) -> Vec<u8> {
    tcp_from(1000, payload)
}

pub(super) fn tcp_from(port: u16, payload: usize) -> Vec<u8> {
    let mut f = MAC.to_vec();
    f.extend([2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0]);
    f.extend((40 + payload as u16).to_be_bytes());
    f.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15]);
    f.extend(port.to_be_bytes());
    f.extend([0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    f.extend((0..payload).map(|i| (i * 3) as u8));
    southbridge_protocol_packet::checksum::refill(&mut f).unwrap();
    f
}
