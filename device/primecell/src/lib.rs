//! Arm PrimeCell peripherals, and the variants of them that Luminary Micro built into its Stellaris chips.

pub mod pl011;
pub mod pl022;
pub mod pl061;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&pl011::TYPE);
    r.add(&pl011::TYPE_LUMINARY);
    r.add(&pl022::TYPE);
    r.add(&pl061::TYPE);
    r.add(&pl061::TYPE_LUMINARY);
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
