//! What is not compared, and why: one table.
//!
//! Structured streams avoid UNPREDICTABLE forms by construction (`generate/forms.rs` and its neighbours say how). For random bit
//! patterns the rule is: run what a row of those forms says is predictable, and what our decoder has no row for (so both must refuse
//! it), except what this table names.

use southbridge_cpu_armv7m::decode;

use crate::generate::forms;
use crate::layout::{CODE, result};
use crate::picture::Picture;
use crate::stream::Outcome;

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
    row("1110100 010 w l nnnn - - 1 rrrrrrrrrrrrr", "LDM and STM of SP are UNPREDICTABLE"),
    row("1110100 100 w l nnnn - - 1 rrrrrrrrrrrrr", "LDM and STM of SP are UNPREDICTABLE"),
    row("1110100 010 w 0 nnnn 1 - - rrrrrrrrrrrrr", "STM of the PC is UNPREDICTABLE"),
    row("1110100 100 w 0 nnnn 1 - - rrrrrrrrrrrrr", "STM of the PC is UNPREDICTABLE"),
    row("111110100 b 0 u nnnn 1111 dddd 1 - rr mmmm", "QEMU's cortex-m3 executes the extend-and-add forms of the DSP extension"),
    row("111110110 010 nnnn aaaa dddd 000 x mmmm", "QEMU's cortex-m3 executes SMLAD and SMUAD of the DSP extension"),
    row("111110110 100 nnnn aaaa dddd 000 x mmmm", "QEMU's cortex-m3 executes SMLSD and SMUSD of the DSP extension"),
    row("111110111100 nnnn llll hhhh 110 x mmmm", "QEMU's cortex-m3 executes SMLALD of the DSP extension"),
    row("111110111101 nnnn llll hhhh 110 x mmmm", "QEMU's cortex-m3 executes SMLSLD of the DSP extension"),
    row("111110110 011 nnnn aaaa dddd 000 x mmmm", "QEMU's cortex-m3 executes SMLAW and SMULW of the DSP extension"),
    row("111110110 111 nnnn aaaa dddd 0000 mmmm", "QEMU's cortex-m3 executes USAD8 and USADA8 of the DSP extension"),
    row("11101000110 l nnnn tttt hhhh 0111 dddd", "QEMU's cortex-m3 executes LDREXD and STREXD, which no ARMv7-M core has"),
    row("10110110 0101 e sss", "QEMU executes SETEND, which ARMv7-M does not have"),
];

/// What structured streams avoid although the architecture defines it, with the reason.
pub static BY_CONSTRUCTION: &[(&str, &str)] = &[
    (
        "SDIV and UDIV under CCR.DIV_0_TRP without an ISB before them",
        "QEMU's trap loses register writes of the same translation block that the division would overwrite",
    ),
    (
        "SBFX without an ISB before it",
        "QEMU 10.0.2 shifts zeros in where the operand is a sign-extended byte of the same translation block (seed 0x4ab1f17da386cd3a)",
    ),
    (
        "a fault while FAULTMASK is set or HardFault is active",
        "lockup: QEMU ends the whole process",
    ),
    ("WFI, and WFE without an event", "nothing is there to end the sleep"),
    (
        "the MPU, interrupts, SysTick, and writes to the System Control Space",
        "not in this test; the engine has its own",
    ),
];

/// Outcomes that are not compared, because of how the stream ended: a test of our outcome, and the reason.
type Ending = (fn(&Outcome) -> bool, &'static str);

/// The table of them.
static ENDINGS: &[Ending] = &[
    (
        |o| o.words[result::EXC_RETURN] < 0xffff_fff0,
        "bits 27 to 4 of EXC_RETURN are not all ones: UNPREDICTABLE (B1.5.8)",
    ),
    (
        |o| o.words[result::CFSR] & INVPC != 0 && matches!(o.words[result::EXC_RETURN] & 15, 9 | 13),
        "a frame of handler mode where thread mode should be: B1.5.8 pops and pushes it again, which QEMU does on the main stack and \
         we not at all (what differs is reserved bits of the frame and the alignment of SP; see cpu-diffs.md)",
    ),
    (
        |o| o.words[result::CFSR] & INVPC != 0 && o.words[result::EXC_RETURN] & 15 == 1,
        "a return to handler mode while no other exception is active: we refuse it, QEMU takes the exception number of the frame",
    ),
    (
        |o| o.words[result::CFSR] & INVSTATE != 0 && o.frame().is_none_or(|f| f[6] & 2 != 0 || !CODE.contains(&f[6])),
        "EPSR.T clear and a PC that is no word address, or where nothing is: QEMU, which fetches an ARM instruction first, says \
         UNALIGNED or IBUSERR instead of INVSTATE",
    ),
];
const INVSTATE: u32 = 1 << 17;
const INVPC: u32 = 1 << 18;

/// Why our outcome is not compared.
pub fn incomparable(ours: &Outcome) -> Option<&'static str> {
    ENDINGS.iter().find(|(test, _)| test(ours)).map(|(_, why)| *why)
}

/// Why an instruction that stands outside IT blocks is not run on both.
pub fn excluded(raw: u32, wide: bool) -> Option<&'static str> {
    if forms::find(raw, wide).is_some() {
        return None;
    }
    let bits = if wide { 32 } else { 16 };
    if let Some(e) = TABLE.iter().find(|e| e.picture.len() == bits && e.picture.matches(raw)) {
        return Some(e.reason);
    }
    match decode::find(raw, wide) {
        None => None,
        Some(e) if e.name == "coprocessor" || e.name.starts_with("UDF") || e.name == "reserved" => None,
        Some(_) => {
            Some("not in the tables of predictable forms (structured streams do loads, stores, branches and control)")
        }
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
