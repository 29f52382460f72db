//! Inter-VM shared memory devices: memory that several machines see, and doorbells between them.

pub mod flat;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&flat::TYPE);
}
