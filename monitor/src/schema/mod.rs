//! The schema of QMP: types, checks, introspection and the reference page, all from the text in `schema/`.

mod check;
mod introspect;
mod page;

#[allow(unreachable_pub, reason = "one text, read by the build script, too")]
mod text;
mod types;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use page::page;
pub use text::{Command, Entity, Kind, Member, Schema, Type};
pub use types::*;

/// The whole schema. A constant by its nature, read when somebody first asks.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let mut schema = Schema::default();
        // The build script has read the same text without a fault.
        let _ = schema.read(include_str!(concat!(env!("OUT_DIR"), "/all.schema")));
        schema
    });
    &SCHEMA
}

pub(crate) use check::{answer as check_answer, arguments as check_arguments, event as check_event};
pub(crate) use introspect::introspect;
