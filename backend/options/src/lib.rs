//! What the option tables of back ends have in common: words that are read by a table, and errors so told that a command line can mark the
//! wrong word.
//!
//! A family (chardevs, netdevs, shared folders) has kinds, and a kind has options. What makes a back end out of them is the family's own.

mod error;
mod read;

pub use error::{Family, OptionError};
pub use read::{fill, nearest, value};

/// `, did you mean 'X'?`, where there is something near.
pub fn hint(nearest: Option<&str>) -> String {
    nearest.map(|n| format!(", did you mean '{n}'?")).unwrap_or_default()
}
