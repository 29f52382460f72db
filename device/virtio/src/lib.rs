//! virtio devices: the transports and the device models.

pub mod balloon;
pub mod blk;
pub mod input;
pub mod mmio;
pub mod net;
pub mod p9;
pub mod pci;
pub mod rng;
pub mod serial;
pub mod types;
pub mod vsock;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&mmio::TYPE);
    for types in MODELS {
        types.iter().for_each(|t| r.add(t));
    }
}

/// The types of every model: one line each.
const MODELS: &[&[&southbridge_core::DeviceType]] = &[
    blk::TYPES,
    net::TYPES,
    input::KEYBOARD,
    input::MOUSE,
    input::TABLET,
    input::MULTITOUCH,
    input::HOST,
    serial::TYPES,
    serial::PORTS,
    balloon::TYPES,
    vsock::TYPES,
    p9::TYPES,
    rng::TYPES,
];

#[cfg(test)]
mod tests {
    #[test]
    fn type_tables_are_sound() {
        let mut registry = southbridge_core::Registry::default();
        super::register(&mut registry);
        assert_eq!(registry.check(), Vec::<String>::new());
    }
}
