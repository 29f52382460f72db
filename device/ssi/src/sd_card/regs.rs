//! Commands, status bits and registers of an SD card in SPI mode.
//!
//! Source: SD Physical Layer Simplified Specification 6.00: section 4.10.1 (card status), chapter 5 (registers), section 7.3.1.3 (SPI-mode
//! commands).

use crate::crc::crc7;

/// Bytes of a block.
pub(crate) const BLOCK: u64 = 512;
/// Largest standard-capacity card; larger ones count in blocks.
pub(crate) const MOST_SDSC: u64 = 2 << 30;

bitflags::bitflags! {
    /// Card status (section 4.10.1), without the state of the card.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Status: u32 {
        const APP_CMD = 1 << 5;
        const READY_FOR_DATA = 1 << 8;
        const CSD_OVERWRITE = 1 << 16;
        const ERROR = 1 << 19;
        const COM_CRC_ERROR = 1 << 23;
        const WP_VIOLATION = 1 << 26;
        const ERASE_PARAM = 1 << 27;
        const ERASE_SEQ_ERROR = 1 << 28;
        const BLOCK_LEN_ERROR = 1 << 29;
        const ADDRESS_ERROR = 1 << 30;
        const OUT_OF_RANGE = 1 << 31;
    }
}

/// CURRENT_STATE of the card status, as far as SPI mode knows states.
pub(crate) const STATE_SHIFT: u32 = 9;
/// Waiting for ACMD41.
pub(crate) const STATE_IDLE: u32 = 0;
/// Waiting for a command.
pub(crate) const STATE_TRANSFER: u32 = 4;
/// Sending data.
pub(crate) const STATE_DATA: u32 = 5;
/// Receiving data.
pub(crate) const STATE_RECEIVE: u32 = 6;

/// OCR (section 5.1): 2.7 to 3.6 V; powered up; counts in blocks.
pub(crate) const OCR_VOLTAGES: u32 = 0x00ff_8000;
pub(crate) const OCR_POWERED: u32 = 1 << 31;
pub(crate) const OCR_HIGH_CAPACITY: u32 = 1 << 30;

/// Bits of the CSD that CMD27 may change: copy, write protection, file format (section 5.3).
const CSD_WRITABLE: [u8; 2] = [0xfc, 0xfe];
/// In byte 14 of the CSD: the contents are a copy; once set it stays.
const CSD_COPY: u8 = 0x40;
/// In byte 14 of the CSD: permanent write protection; once set it stays.
const CSD_PERM_PROTECT: u8 = 0x20;
/// In byte 14 of the CSD: temporary write protection.
const CSD_TMP_PROTECT: u8 = 0x10;

/// SCR (section 5.6): version 3.0x, 1 and 4 data lines, security of standard-capacity cards.
pub(crate) const SCR: [u8; 8] = [0x02, 0x25, 0x80, 0, 0, 0, 0, 0];

fn with_crc(mut register: [u8; 16]) -> [u8; 16] {
    register[15] = crc7(&register[..15]) << 1 | 1;
    register
}

/// CID (section 5.2): nobody's manufacturer number, made in January 2026.
pub(crate) fn cid() -> [u8; 16] {
    with_crc([
        0, b'S', b'B', b'S', b'B', b'S', b'D', b'1', 0x10, 0, 0, 0, 1, 0x01, 0xa1, 0,
    ])
}

/// CSD (section 5.3) of a card of `size` bytes; version 1 up to 2 GiB, else version 2. Sizes are rounded down to what the register can say.
pub(crate) fn csd(size: u64) -> [u8; 16] {
    let common = |structure: u8, length: u8| {
        [
            structure << 6,
            0x0e,
            0,
            0x32,
            0x5b,
            0x50 | length,
            0,
            0,
            0,
            0,
            0x7f,
            0x80,
            0x0a,
            0x40,
            0,
            0,
        ]
    };
    if size > MOST_SDSC {
        let units = (size >> 19).saturating_sub(1).min(0x3f_ffff) as u32;
        let [_, a, b, c] = units.to_be_bytes();
        let mut r = common(1, 9);
        r[7..10].copy_from_slice(&[a, b, c]);
        return with_crc(r);
    }
    // (C_SIZE + 1) * 2^(C_SIZE_MULT + 2) blocks of 2^READ_BL_LEN bytes, with C_SIZE of 12 bits and C_SIZE_MULT of 3.
    let length: u32 = if size == MOST_SDSC { 10 } else { 9 };
    let multiplier = (0..8u32).find(|m| size >> (m + 2 + length) <= 4096).unwrap_or(7);
    let c_size = (size >> (multiplier + 2 + length)).saturating_sub(1).min(4095) as u16;
    let mut r = common(0, length as u8);
    r[6] = 0x80 | (c_size >> 10) as u8;
    r[7] = (c_size >> 2) as u8;
    r[8] = (c_size << 6) as u8 | 0x3f;
    r[9] = 0xfc | (multiplier >> 1) as u8;
    r[10] = ((multiplier & 1) << 7) as u8 | 0x7f;
    r[12] = 0x0a | (length >> 2) as u8;
    r[13] = ((length & 3) << 6) as u8;
    with_crc(r)
}

/// Whether a CSD forbids writing.
pub(crate) fn csd_protects(csd: &[u8; 16]) -> bool {
    csd[14] & (CSD_PERM_PROTECT | CSD_TMP_PROTECT) != 0
}

/// What CMD27 makes of a CSD, if it may.
pub(crate) fn csd_programmed(old: &[u8; 16], new: &[u8; 16]) -> Option<[u8; 16]> {
    let fixed = old[..14] == new[..14] && (old[14] ^ new[14]) & !CSD_WRITABLE[0] == 0;
    let lost = old[14] & !new[14] & (CSD_COPY | CSD_PERM_PROTECT);
    let whole = with_crc(*new)[15] ^ new[15];
    (fixed && lost == 0 && whole & CSD_WRITABLE[1] == 0).then(|| with_crc(*new))
}

/// The answer to CMD6 (section 4.3.10): default and high speed in group 1, only the default elsewhere.
pub(crate) fn switch_status(argument: u32) -> [u8; 64] {
    let mut s = [0; 64];
    s[1] = 1; // mA
    for group in 0..6 {
        let supported: u16 = if group == 0 { 0x8003 } else { 0x8001 };
        let at = 12 - 2 * group;
        s[at..at + 2].copy_from_slice(&supported.to_be_bytes());
        let asked = (argument >> (4 * group) & 0xf) as u8;
        let chosen = match asked {
            0xf => 0, // no influence
            n if supported >> n & 1 != 0 => n,
            _ => 0xf,
        };
        s[16 - group / 2] |= chosen << (4 * (group % 2));
    }
    s
}
