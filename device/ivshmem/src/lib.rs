//! Inter-VM shared memory devices: memory that several machines see, and doorbells between them.

pub mod flat;
mod link;
pub mod pci;
mod peers;
#[cfg(test)]
mod rig;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&flat::TYPE);
    r.add(&pci::PLAIN);
    r.add(&pci::DOORBELL);
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
