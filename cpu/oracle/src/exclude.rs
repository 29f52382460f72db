//! What is not compared, and why: one table.
//!
//! Structured streams avoid UNPREDICTABLE forms by construction (`generate/forms.rs` and its neighbours say how). For random bit
//! patterns the rule is: run what a row of those forms says is predictable, and what our decoder has no row for (so both must refuse
//! it), except what this table names.

use southbridge_cpu_armv7m::decode;

use crate::generate::forms;
use crate::picture::Picture;

/// One exclusion.
pub struct Exclusion {
    /// Which encodings.
    pub picture: Picture,
    /// Why.
    pub reason: &'static str,
}

const fn row(picture: &'static str, reason: &'static str) -> Exclusion {
    Exclusion {
        picture: Picture(picture),
        reason,
    }
}

/// The table.
#[rustfmt::skip]
pub static TABLE: &[Exclusion] = &[
    row("10111110 iiiiiiii", "BKPT: what it does depends on the debugger, and one is attached"),
    row("10110110011 i 0 s ss", "CPS with bit 3 or 2 set or nothing selected is UNPREDICTABLE"),
];

/// Why an instruction that stands outside IT blocks is not run on both.
pub fn excluded(raw: u32, wide: bool) -> Option<&'static str> {
    let bits = if wide { 32 } else { 16 };
    if let Some(e) = TABLE.iter().find(|e| e.picture.len() == bits && e.picture.matches(raw)) {
        return Some(e.reason);
    }
    if forms::find(raw, wide).is_some() {
        return None;
    }
    match decode::find(raw, wide) {
        None => None,
        Some(e) if e.name == "coprocessor" || e.name.starts_with("UDF") || e.name == "reserved" => None,
        Some(_) => Some("not in the tables of predictable forms (structured streams do loads, stores, branches and control)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_16_or_32_bits() {
        assert!(TABLE.iter().all(|e| matches!(e.picture.len(), 16 | 32)));
    }

    #[test]
    fn the_forms_are_run() {
        assert_eq!(excluded(0x1888, false), None); // adds r0, r1, r2
        assert_eq!(excluded(0xea4f_0001, true), None); // mov.w r0, r1
        assert!(excluded(0xbe00, false).is_some());
        assert!(excluded(0x6800, false).is_some());
    }
}
