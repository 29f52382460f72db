//! Parts that virtual platforms of several architectures share.

pub mod flash;
pub mod fw_cfg;
pub mod goldfish_rtc;
pub mod serial;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&flash::TYPE);
    r.add(&fw_cfg::TYPE);
    r.add(&goldfish_rtc::TYPE);
    r.add(&serial::TYPE);
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
