//! PCI Express host bridge, bridges and switches, and devices that test PCI itself.

pub mod edu;
pub mod gpex;
pub mod port;
pub mod pvpanic;
#[cfg(test)]
mod rig;
pub mod testdev;
#[cfg(test)]
mod virtuals;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&gpex::TYPE);
    r.add(&gpex::ROOT_TYPE);
    for port in [
        &port::ROOT_PORT,
        &port::UPSTREAM,
        &port::DOWNSTREAM,
        &port::PCI_BRIDGE,
        &port::TO_PCI,
        &port::EXPANDER,
    ] {
        r.add(port);
    }
    r.add(&edu::TYPE);
    r.add(&testdev::TYPE);
    r.add(&pvpanic::TYPE);
}

#[cfg(test)]
mod tests {
    #[test]
    fn type_tables_are_sound() {
        let mut registry = southbridge_core::Registry::default();
        super::register(&mut registry);
        assert_eq!(registry.check(), Vec::<String>::new());
    }
}
