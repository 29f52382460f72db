//! What users see: names and properties as QEMU 10 has them.

use southbridge_backend_net::{NetFront, PCAP_PROPERTY, parse_mac};
use southbridge_bus_virtio::VirtioModel;
use southbridge_core::{Build, Category, CreateError, PropKind, Properties};

use super::device::{Config, Net};
use super::spec::feature;
use crate::types::{IOEVENTFD, ModelType, NO_BUSES, flag, property};
use crate::virtio_types;

/// Properties that stand for a feature bit each.
const FEATURES: &[(&str, u64)] = &[
    ("csum", feature::CSUM),
    ("guest_csum", feature::GUEST_CSUM),
    ("gso", feature::GSO),
    ("guest_tso4", feature::GUEST_TSO4),
    ("guest_tso6", feature::GUEST_TSO6),
    ("guest_ecn", feature::GUEST_ECN),
    ("guest_ufo", feature::GUEST_UFO),
    ("guest_announce", feature::GUEST_ANNOUNCE),
    ("host_tso4", feature::HOST_TSO4),
    ("host_tso6", feature::HOST_TSO6),
    ("host_ecn", feature::HOST_ECN),
    ("host_ufo", feature::HOST_UFO),
    ("mrg_rxbuf", feature::MRG_RXBUF),
    ("status", feature::STATUS),
    ("ctrl_vq", feature::CTRL_VQ),
    ("ctrl_rx", feature::CTRL_RX),
    ("ctrl_vlan", feature::CTRL_VLAN),
    ("ctrl_rx_extra", feature::CTRL_RX_EXTRA),
    ("ctrl_mac_addr", feature::CTRL_MAC_ADDR),
    ("ctrl_guest_offloads", feature::CTRL_GUEST_OFFLOADS),
    ("mq", feature::MQ),
    ("rss", feature::RSS),
    ("hash", feature::HASH_REPORT),
    ("guest_uso4", feature::GUEST_USO4),
    ("guest_uso6", feature::GUEST_USO6),
    ("host_uso", feature::HOST_USO),
];

/// Smallest and largest ring.
const RING: std::ops::RangeInclusive<u64> = 256..=1024;

virtio_types! {
    /// The network card.
    pub static TYPES = "virtio-net", [pci, transitional, non_transitional, device] {
        category: Category::Network,
        summary: "Network card",
        model: ModelType { class: 0x0200, legacy: true, vectors: |queues| queues.saturating_add(1), create },
        vectors: "4294967295",
        properties: [
            property("netdev", PropKind::Backend("netdev"), None, "The network back end (-netdev)"),
            property("mac", PropKind::Str, None, "Hardware address; the machine chooses one otherwise"),
            PCAP_PROPERTY,
            flag("csum", true, "The driver may leave checksums to the device"),
            flag("guest_csum", true, "The driver may get frames without checksum"),
            flag("gso", true, "Legacy: the driver may leave any segmentation to the device"),
            flag("guest_tso4", true, "The driver may get TCP over IPv4 beyond the MTU"),
            flag("guest_tso6", true, "The driver may get TCP over IPv6 beyond the MTU"),
            flag("guest_ecn", true, "The same with congestion notification"),
            flag("guest_ufo", true, "The driver may get UDP beyond the MTU"),
            flag("guest_uso4", true, "The driver may get several UDP datagrams over IPv4 as one"),
            flag("guest_uso6", true, "The driver may get several UDP datagrams over IPv6 as one"),
            flag("guest_announce", true, "The driver can announce the guest"),
            flag("host_tso4", true, "The driver may leave segmentation of TCP over IPv4 to the device"),
            flag("host_tso6", true, "The driver may leave segmentation of TCP over IPv6 to the device"),
            flag("host_ecn", true, "The same with congestion notification"),
            flag("host_ufo", true, "The driver may leave fragmentation of UDP to the device"),
            flag("host_uso", true, "The driver may leave segmentation of UDP to the device"),
            flag("mrg_rxbuf", true, "Frames may be spread over several buffers"),
            flag("status", true, "The driver sees whether the cable is in"),
            flag("ctrl_vq", true, "There is a control queue"),
            flag("ctrl_rx", true, "Receive modes can be set"),
            flag("ctrl_vlan", true, "VLAN tags can be filtered"),
            flag("ctrl_rx_extra", true, "More receive modes can be set"),
            flag("ctrl_mac_addr", true, "The address can be set"),
            flag("ctrl_guest_offloads", true, "What the driver takes can be changed while it runs"),
            flag("mq", false, "All queues of the back end can be used"),
            flag("rss", false, "Queues are chosen by hash"),
            flag("hash", false, "The driver is told the hash of each frame"),
            flag("guest_rsc_ext", false, "Accepted; frames are not put together"),
            property("rsc_interval", PropKind::Uint(32), Some("300000"), "Accepted; frames are not put together"),
            property("tx", PropKind::Str, None, "'timer': frames wait for others; 'bh': they do not"),
            property("x-txtimer", PropKind::Uint(32), Some("150000"), "How long they wait, in nanoseconds"),
            property("x-txburst", PropKind::Uint(31), Some("256"), "Accepted; a kick sends all that is there"),
            property("rx_queue_size", PropKind::Uint(16), Some("256"), "Size of receive rings"),
            property("tx_queue_size", PropKind::Uint(16), Some("256"), "Size of transmit rings"),
            property("host_mtu", PropKind::Uint(16), Some("0"), "The MTU that the driver is told; 0: none"),
            flag("x-mtu-bypass-backend", true, "Accepted; no back end has a say in the MTU"),
            property("speed", PropKind::Str, None, "The speed that the driver is told, in Mbit/s"),
            property("duplex", PropKind::Str, None, "What the driver is told of it: 'half' or 'full'"),
            flag("failover", false, "Stand in for another device during migration (not here)"),
            property("bootindex", PropKind::Str, None, "Accepted; no firmware here boots from a network")
        ],
        pci: [IOEVENTFD],
        buses: NO_BUSES,
    }
}

fn bad(property: &'static str, value: impl ToString, expected: &str) -> CreateError {
    CreateError::BadValue {
        property,
        value: value.to_string(),
        expected: expected.into(),
    }
}

fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError> {
    let config = config(p)?;
    let several = config.features & (feature::MQ | feature::RSS) != 0;
    let queues = if several {
        NetFront::queues(p, "netdev", build).clamp(1, MOST_PAIRS)
    } else {
        1
    };
    let fronts = (0..queues)
        .map(|queue| NetFront::attach_queue(p, "netdev", queue, queue as u32, build))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(Net::new(config, fronts)))
}

/// Pairs of queues that fit beside a control queue.
const MOST_PAIRS: usize = (southbridge_bus_virtio::spec::MAX_QUEUES - 1) / 2;

fn config(p: &Properties) -> Result<Config, CreateError> {
    let mut features = FEATURES
        .iter()
        .filter(|(name, _)| p.bool(name))
        .fold(feature::MAC, |all, f| all | f.1);
    let mtu = p.uint("host_mtu") as u16;
    if mtu != 0 {
        features |= feature::MTU;
    }
    let speed = match p.str("speed") {
        None | Some("-1") => u32::MAX,
        Some(text) => text
            .parse::<i32>()
            .ok()
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| bad("speed", text, "a number of Mbit/s up to 2147483647, or -1 for unknown"))?,
    };
    let duplex = match p.str("duplex") {
        None => 0xff,
        Some("half") => 0,
        Some("full") => 1,
        Some(other) => return Err(bad("duplex", other, "'half' or 'full'")),
    };
    if speed != u32::MAX || duplex != 0xff {
        features |= feature::SPEED_DUPLEX;
    }
    if p.bool("failover") {
        return Err(bad(
            "failover",
            "on",
            "off: standing in for another device is not here yet",
        ));
    }
    Ok(Config {
        features,
        mac: mac(p)?,
        mtu,
        speed,
        duplex,
        rx_size: ring(p, "rx_queue_size")?,
        tx_size: ring(p, "tx_queue_size")?,
        tx_delay: match p.str("tx") {
            Some("timer") => Some(p.uint("x-txtimer")),
            None | Some("bh") => None,
            Some(other) => return Err(bad("tx", other, "'timer' or 'bh'")),
        },
    })
}

fn ring(p: &Properties, name: &'static str) -> Result<u16, CreateError> {
    let size = p.uint(name);
    let fits = RING.contains(&size) && size.is_power_of_two();
    match fits {
        true => Ok(size as u16),
        false => Err(bad(name, size, "a power of two from 256 to 1024")),
    }
}

fn mac(p: &Properties) -> Result<[u8; 6], CreateError> {
    match p.str("mac") {
        None => Ok(DEFAULT_MAC),
        Some(text) => {
            parse_mac(text).ok_or_else(|| bad("mac", text, "an address of one station such as 52:54:00:12:34:56"))
        }
    }
}

/// Where nobody has chosen: the first that QEMU gives.
const DEFAULT_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
