//! Identification registers, the same on every CMSDK peripheral but for the part number (DDI 0479, "Peripheral ID registers").

use southbridge_core::Register;

/// First of the twelve.
pub(crate) const FIRST: u64 = 0xfd0;

/// PID4..PID7, PID0..PID3, CID0..CID3 as they stand in the window.
pub(crate) const REGISTERS: Register = Register::ro(FIRST, "PID/CID").times(12, 4);

/// The identification bytes of the part with the low byte `part` of the part number, designed by Arm (JEP106 0x3b, bank 4).
pub(crate) const fn cmsdk(part: u8) -> [u8; 12] {
    [0x04, 0, 0, 0, part, 0xb8, 0x1b, 0, 0x0d, 0xf0, 0x05, 0xb1]
}

/// The register at an offset that lies in this block.
pub(crate) fn read(bytes: &[u8; 12], offset: u64) -> u32 {
    let i = offset.wrapping_sub(FIRST) / 4;
    usize::try_from(i)
        .ok()
        .and_then(|i| bytes.get(i))
        .copied()
        .unwrap_or(0)
        .into()
}
