//! Commands of the SSD0323.
//!
//! Source: Solomon Systech, "SSD0323: 128 x 80, 16 gray scale dot matrix OLED/PLED segment/common driver", command table.

/// Bytes of a row in display memory; each has two pixels.
pub(crate) const COLUMNS: usize = 64;
/// Rows of display memory; the panel shows [`HEIGHT`] of them.
pub(crate) const ROWS: usize = 80;
/// Pixels of a row.
pub const WIDTH: usize = 2 * COLUMNS;
/// Rows of the panel (OSRAM Pictiva 128x64).
pub const HEIGHT: usize = 64;

/// Set column address: start, end.
pub(crate) const COLUMN: u8 = 0x15;
/// Set row address: start, end.
pub(crate) const ROW: u8 = 0x75;
/// Set contrast.
pub(crate) const CONTRAST: u8 = 0x81;
/// Set current range: quarter, half, full.
pub(crate) const CURRENT_FIRST: u8 = 0x84;
/// The last of those.
pub(crate) const CURRENT_LAST: u8 = 0x86;
/// Set remap; see [`REMAP_VERTICAL`].
pub(crate) const REMAP: u8 = 0xa0;
/// Set display start line.
pub(crate) const START_LINE: u8 = 0xa1;
/// Set display offset.
pub(crate) const OFFSET: u8 = 0xa2;
/// Display mode: normal, all on, all off, inverse.
pub(crate) const MODE_FIRST: u8 = 0xa4;
/// The last of those.
pub(crate) const MODE_LAST: u8 = 0xa7;
/// Set multiplex ratio.
pub(crate) const MULTIPLEX: u8 = 0xa8;
/// Set master configuration (DC-DC converter).
pub(crate) const CONVERTER: u8 = 0xad;
/// Display off.
pub(crate) const OFF: u8 = 0xae;
/// Display on.
pub(crate) const ON: u8 = 0xaf;
/// Set phase length.
pub(crate) const PHASE: u8 = 0xb1;
/// Set row period.
pub(crate) const PERIOD: u8 = 0xb2;
/// Set clock divider and oscillator frequency.
pub(crate) const CLOCK: u8 = 0xb3;
/// Set gray scale table: 8 bytes.
pub(crate) const GRAY: u8 = 0xb8;
/// Set precharge voltage.
pub(crate) const PRECHARGE: u8 = 0xbc;
/// Set VCOMH.
pub(crate) const VCOMH: u8 = 0xbe;
/// Set segment low voltage.
pub(crate) const SEGMENT_LOW: u8 = 0xbf;
/// Nothing.
pub(crate) const NOP: u8 = 0xe3;

/// In [`REMAP`]'s argument: the address goes down a column first.
pub(crate) const REMAP_VERTICAL: u8 = 1 << 2;

/// Most argument bytes of any command.
pub(crate) const MOST_ARGUMENTS: usize = 8;

/// How many argument bytes a command has; `None` if there is no such command.
pub(crate) const fn arguments(command: u8) -> Option<usize> {
    match command {
        COLUMN | ROW => Some(2),
        CONTRAST | REMAP | START_LINE | OFFSET | MULTIPLEX | CONVERTER => Some(1),
        PHASE | PERIOD | CLOCK | PRECHARGE | VCOMH | SEGMENT_LOW => Some(1),
        CURRENT_FIRST..=CURRENT_LAST | MODE_FIRST..=MODE_LAST | OFF | ON | NOP => Some(0),
        GRAY => Some(MOST_ARGUMENTS),
        _ => None,
    }
}
