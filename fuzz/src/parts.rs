//! Taking an input apart: what targets that drive machines share.

use std::sync::LazyLock;

use southbridge_backend_chardev::testing::Loop;
use southbridge_backend_memory::{Config, Kind, MemoryBackend};
use southbridge_core::property::PropKind;
use southbridge_core::{DeviceType, PropValue, Properties, Region, Registry, System};

/// Every type that the program has.
pub(crate) static REGISTRY: LazyLock<Registry> = LazyLock::new(southbridge_machine::registry);

/// The type that two bytes pick. Types are spread over all numbers by their names, so that a new type takes over a few numbers and
/// the seeds of all others keep their meaning.
pub(crate) fn pick_type(key: [u8; 2]) -> Option<&'static DeviceType> {
    let key = u16::from_le_bytes(key);
    REGISTRY.iter().min_by_key(|t| place(t.name).wrapping_sub(key))
}

/// FNV-1a, folded to 16 bits.
pub(crate) fn place(name: &str) -> u16 {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 16) as u16
}

/// What a type that shares memory is given.
const MEMORY: Config = Config {
    kind: Kind::Ram,
    size: 0x1_0000,
    share: true,
    prealloc: false,
};

/// Gives every serial connection of a type a peer that the target plays, and memory to a type that shares some.
pub(crate) fn peers(sys: &mut System, device_type: &DeviceType) -> (Properties, Vec<Loop>) {
    let mut properties = Properties::default();
    let mut peers = Vec::new();
    for property in device_type.properties {
        if property.kind == PropKind::Backend("chardev") {
            let (id, peer) = Loop::new(sys);
            properties.set(property.name, PropValue::Backend("loop".to_owned(), id));
            peers.push(peer);
        } else if property.kind == PropKind::Backend("memdev")
            && let Ok((id, _)) = MemoryBackend::add(sys, property.name, &MEMORY)
        {
            properties.set(property.name, PropValue::Backend("memory".to_owned(), id));
        }
    }
    (properties, peers)
}

/// Something that the peer of a serial connection does.
pub(crate) fn peer_does(peer: &Loop, what: u8, bytes: &[u8]) {
    match what % 8 {
        0..=3 => peer.feed(bytes),
        4 => peer.disconnect(),
        5 => peer.reconnect(),
        6 => peer.send_break(),
        _ => peer.accept((bytes.first() != Some(&0)).then_some(bytes.len())),
    }
    // What came out is read, or the peer's own memory would be what grows.
    let _ = (peer.take(), peer.take_fds());
}

/// Lets the host's events come in: whatever is ready now.
pub(crate) fn poll_host(sys: &mut System) {
    let _ = sys.host.wait(Some(std::time::Duration::ZERO));
    sys.deliver_completions();
}

/// Offsets of a region's registers; of long arrays the first few.
pub(crate) fn registers(region: &Region) -> impl Iterator<Item = u64> {
    region
        .registers
        .iter()
        .flat_map(|r| (0..r.count.min(8)).map(|i| r.offset + u64::from(i) * u64::from(r.stride)))
}

/// Every type with the two bytes that pick it.
pub fn keys() -> Vec<(&'static str, [u8; 2])> {
    let key = |t: &DeviceType| (t.name, place(t.name).to_le_bytes());
    REGISTRY.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_can_be_picked() {
        for (name, key) in keys() {
            assert_eq!(
                pick_type(key).map(|t| t.name),
                Some(name),
                "another type has the same place"
            );
        }
    }
}
