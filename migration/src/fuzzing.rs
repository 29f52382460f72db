//! What fuzz targets call: any bytes as a stream for a machine, and what must hold then.

use southbridge_core::Machine;

use crate::stream::{self, Picture};

/// Bytes that may be anything, for a machine. Whether it took them. A machine that did not is as it was, and one that did saves the same
/// state again; both are asserted.
///
/// # Panics
/// When one of them does not hold: that is the finding.
pub fn stream(machine: &mut Machine, board: &str, bytes: &[u8]) -> bool {
    let before = Picture::take(machine, board).ok();
    let Some(before) = before else { return false };
    let taken = match stream::read(bytes, &before.about) {
        Ok(picture) => machine.load_whole(&picture.whole).is_ok(),
        Err(_) => false,
    };
    if !taken {
        let after = Picture::take(machine, board).ok();
        assert!(
            after.as_ref() == Some(&before),
            "a stream that was refused has changed the machine"
        );
    }
    taken
}

/// Bytes that may be anything, as a recording.
pub fn recording(bytes: &[u8]) -> bool {
    crate::replay::can_be_read(bytes)
}
