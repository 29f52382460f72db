//! The two checksums of SD cards. Source: SD Physical Layer Simplified Specification 6.00, section 4.5.

/// CRC7 of a command or register, as its 7 bits stand on the wire above the end bit.
pub(crate) fn crc7(data: &[u8]) -> u8 {
    data.iter().fold(0u8, |crc, byte| {
        (0..8).rev().fold(crc, |crc, bit| {
            let feedback = (crc >> 6 ^ byte >> bit) & 1;
            ((crc << 1) ^ (feedback * 0x09)) & 0x7f
        })
    })
}

/// CRC16 of a data block, continued from `crc` (0 at the start).
pub(crate) fn crc16(crc: u16, byte: u8) -> u16 {
    (0..8).rev().fold(crc, |crc, bit| {
        let feedback = (crc >> 15 ^ u16::from(byte >> bit)) & 1;
        (crc << 1) ^ (feedback * 0x1021)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_specification() {
        assert_eq!(crc7(&[0x40, 0, 0, 0, 0]), 0b100_1010);
        assert_eq!(crc7(&[0x51, 0, 0, 0, 0]), 0b010_1010);
        assert_eq!(crc7(&[0x48, 0, 0, 1, 0xaa]), 0x43);
        assert_eq!([0xff; 512].into_iter().fold(0, crc16), 0x7fa1);
    }
}
