//! Network controllers: what the guest sees.

pub mod lan9118;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&lan9118::TYPE);
}

#[cfg(test)]
mod tests {
    use southbridge_core::Registry;

    #[test]
    fn the_tables_have_no_faults() {
        let mut r = Registry::default();
        super::register(&mut r);
        assert_eq!(r.check(), [] as [String; 0]);
    }
}
