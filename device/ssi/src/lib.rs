//! Devices on the synchronous serial bus, and SD cards.

mod crc;
pub mod sd_card;
pub mod ssd0323;
pub mod ssi_sd;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&sd_card::TYPE);
    r.add(&sd_card::TYPE_SPI);
    r.add(&ssd0323::TYPE);
    r.add(&ssi_sd::TYPE);
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
