//! RISC-V platform devices: timers, software interrupts, interrupt controllers, the test finisher.
//!
//! A hart is a number here: its interrupt inputs are lines that the board wires, and for messages a `CpuId`.

pub mod aclint;
pub mod aplic;
pub mod imsic;
pub mod plic;
pub mod test;

use southbridge_core::{CreateError, PropKind, Properties, Property, Registry};

/// Harts that one device of this family can serve.
pub const MAX_HARTS: u16 = 32;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&aclint::mtimer::TYPE);
    r.add(&aclint::swi::TYPE);
    r.add(&aplic::TYPE);
    r.add(&imsic::TYPE);
    r.add(&plic::TYPE);
    r.add(&test::TYPE);
}

/// A number of 32 bits with a default.
pub(crate) const fn uint32(name: &'static str, default: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Uint(32),
        default: Some(default),
        help,
    }
}

/// A flag.
pub(crate) const fn flag(name: &'static str, default: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Bool,
        default: Some(default),
        help,
    }
}

/// The value of a number property, if it is in a range.
pub(crate) fn in_range(p: &Properties, property: &'static str, least: u64, most: u64) -> Result<u64, CreateError> {
    let value = p.uint(property);
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(CreateError::BadValue {
        property,
        value: value.to_string(),
        expected: format!("{least} to {most}"),
    })
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
