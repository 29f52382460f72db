//! Network controllers: what the guest sees.

pub mod lan9118;

use southbridge_core::Registry;

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&lan9118::TYPE);
}
