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

/// The machine's own stream as it is now, if it can be saved.
pub fn saved(machine: &mut Machine, board: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    stream::write(&Picture::take(machine, board).ok()?, &mut out).ok()?;
    Some(out)
}

/// Makes every sum of a stream right again, as somebody would who wants to get past them. Whatever is no section stays as it is.
pub fn resealed(bytes: &[u8]) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(bytes.len().min(16));
    let mut out = head.to_vec();
    let (mut sections, mut all) = (0u32, crc32fast::Hasher::new());
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, length @ ..] = *head;
        let length = u32::from_le_bytes(length) as usize;
        let Some((contents, after)) = after.split_at_checked(length) else {
            break;
        };
        let Some((_, after)) = after.split_first_chunk::<4>() else {
            break;
        };
        let mut contents = contents.to_vec();
        if [a, b, c, d] == stream::END && length == 8 {
            contents = [sections.to_le_bytes(), all.clone().finalize().to_le_bytes()].concat();
        }
        let mut sum = crc32fast::Hasher::new();
        sum.update(head);
        sum.update(&contents);
        let sum = sum.finalize().to_le_bytes();
        out.extend([&head[..], &contents, &sum].concat());
        all.update(&sum);
        sections = sections.wrapping_add(1);
        rest = after;
    }
    out.extend(rest);
    out
}
