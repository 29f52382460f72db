//! RAM as stretches that are not zero, and back.
//!
//! Copying is what takes long, so what a running machine has in RAM can be copied beforehand, on any thread, into a [`Draft`]. When the
//! machine then stands, RAM is compared with the draft and only pieces that differ are copied again. What comes out depends on the
//! contents of RAM alone. What it is not: a log of writes; the host's processors write without telling, and so do other processes.

use rustix::fs::{SeekFrom, seek};

use super::PAGE;
use super::whole::{MAX_RUN, RamImage, Run};
use crate::memory::RamBlock;

static ZERO: [u8; PAGE] = [0; PAGE];
/// RAM is looked at in pieces of so many bytes, and no stretch crosses their borders. Small enough that a page that changed costs little,
/// large enough that what is kept with each stretch does not count.
const PIECE: u64 = 16 * PAGE as u64;
const _: () = assert!(PIECE <= MAX_RUN as u64);

/// Contents of RAM at some time, or at several: made while the machine runs, it is worth nothing by itself.
#[derive(Default)]
pub struct Draft(pub(super) Vec<Vec<Run>>);

impl Draft {
    /// Copies what is in these blocks now: those of [`Machine::ram`](super::Machine::ram) in their order.
    pub fn of<'a>(blocks: impl IntoIterator<Item = &'a RamBlock>) -> Self {
        Self(blocks.into_iter().map(|b| runs_of(b, Vec::new())).collect())
    }
}

/// Stretches of a block that the host has memory for, in whole pages; the rest was never touched and is zero. Reading it would only fill
/// it.
fn touched(block: &RamBlock) -> Vec<(u64, u64)> {
    let len = block.len();
    let mut out = Vec::new();
    let mut at = 0;
    while at < len {
        let start = match seek(block.fd(), SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(_) => return vec![(0, len)],
        };
        let end = seek(block.fd(), SeekFrom::Hole(start)).unwrap_or(len);
        let end = end.next_multiple_of(PAGE as u64).min(len);
        if start >= end {
            break;
        }
        out.push((start - start % PAGE as u64, end));
        at = end;
    }
    out
}

/// All stretches that are not zero, with those of the draft that are still so.
pub(super) fn runs_of(block: &RamBlock, draft: Vec<Run>) -> Vec<Run> {
    let mut draft = draft.into_iter().peekable();
    let mut runs = Vec::new();
    for (start, end) in touched(block) {
        let mut at = start;
        while at < end {
            let next = ((at / PIECE + 1) * PIECE).min(end);
            while draft.next_if(|(offset, _)| *offset < at).is_some() {}
            let here = runs.len();
            runs.extend(std::iter::from_fn(|| draft.next_if(|(offset, _)| *offset < next)));
            if !are_all(block, at, next, &runs[here..]) {
                runs.truncate(here);
                copy(block, at, next, &mut runs);
            }
            at = next;
        }
    }
    runs
}

/// Whether these runs are all that is not zero between the two offsets.
fn are_all(block: &RamBlock, start: u64, end: u64, runs: &[Run]) -> bool {
    let mut at = start;
    for (offset, data) in runs {
        let after = offset + data.len() as u64;
        if after > end || !block.is_zero(at, (offset - at) as usize) || !block.equals(*offset, data) {
            return false;
        }
        at = after;
    }
    block.is_zero(at, (end - at) as usize)
}

fn copy(block: &RamBlock, start: u64, end: u64, runs: &mut Vec<Run>) {
    let page_end = |at: u64| (at + PAGE as u64).min(end);
    let is_zero = |at: u64| block.is_zero(at, (page_end(at) - at) as usize);
    let mut at = start;
    while at < end {
        if is_zero(at) {
            at = page_end(at);
            continue;
        }
        let first = at;
        while at < end && (at == first || !is_zero(at)) {
            at = page_end(at);
        }
        runs.extend(block.copy(first, (at - first) as usize).map(|data| (first, data)));
    }
}

/// The runs, and zero wherever there is none. They have been checked.
pub(super) fn put_runs(image: &RamImage, block: &RamBlock) {
    let mut runs = image.runs.iter().peekable();
    for (start, end) in touched(block) {
        let mut at = start;
        while at < end {
            let stop = (at + PAGE as u64).min(end);
            while runs
                .next_if(|(offset, data)| offset + data.len() as u64 <= at)
                .is_some()
            {}
            let covered = runs.peek().is_some_and(|(offset, _)| *offset <= at);
            if !covered && !block.is_zero(at, (stop - at) as usize) {
                let _ = block.write(at, &ZERO[..(stop - at) as usize]);
            }
            at = stop;
        }
    }
    for (offset, data) in &image.runs {
        let _ = block.write(*offset, data);
    }
}

#[cfg(test)]
mod tests;
