//! RAM as stretches that are not zero, and back.
//!
//! Copying is what takes long, so what a running machine has in RAM can be copied beforehand, on any thread, into a [`Draft`]. When the
//! machine then stands, RAM is compared with the draft and only pieces that differ are copied again. What comes out depends on the
//! contents of RAM alone. What it is not: a log of writes; the host's processors write without telling, and so do other processes.

use rustix::fs::{SeekFrom, seek};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::state::PAGE;
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

    /// The same draft as of now; only what has changed is copied. The blocks are those that it was made of.
    #[must_use]
    pub fn again<'a>(self, blocks: impl IntoIterator<Item = &'a RamBlock>) -> Self {
        let mut before = self.0.into_iter();
        let again = |block| runs_of(block, before.next().unwrap_or_default());
        Self(blocks.into_iter().map(again).collect())
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

/// Stretches of whole pages between two offsets of a block that are not zero and as in the runs.
pub(super) fn unchanged(block: &RamBlock, runs: &[Run], first: u64, last: u64) -> Vec<(u64, u64)> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    let begin = runs.partition_point(|(offset, data)| offset + data.len() as u64 <= first);
    for (offset, data) in runs[begin..].iter().take_while(|(offset, _)| *offset < last) {
        for (at, page) in (*offset..).step_by(PAGE).zip(data.chunks_exact(PAGE)) {
            let end = at + PAGE as u64;
            if at < first || end > last || !block.equals(at, page) {
                continue;
            }
            match out.last_mut() {
                Some(before) if before.1 == at => before.1 = end,
                _ => out.push((at, end)),
            }
        }
    }
    out
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

/// How many pages are kept in memory by [`KeptPages`] that came from this.
#[derive(Default)]
pub(super) struct Kept(Arc<AtomicUsize>);

struct Page {
    bytes: [u8; PAGE],
    all: Arc<AtomicUsize>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The pages of a block that are not zero, by their number, ascending; shared with others where they are the same.
pub(super) struct KeptPages(Vec<(u32, Arc<Page>)>);

impl Kept {
    /// Bytes of pages that live.
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed) * PAGE
    }

    /// What is in a block now. Pages that are as they were in `last` are shared with it.
    pub(super) fn pages_of(&self, block: &RamBlock, last: Option<&KeptPages>) -> KeptPages {
        let mut last = last.map(|l| l.0.iter()).unwrap_or_default().peekable();
        let mut pages = Vec::new();
        for (number, at, len) in touched_pages(block) {
            while last.next_if(|(n, _)| *n < number).is_some() {}
            let before = last.next_if(|(n, _)| *n == number);
            match before {
                Some((_, page)) if block.equals(at, &page.bytes[..len]) => pages.push((number, page.clone())),
                _ if block.is_zero(at, len) => {}
                _ => {
                    let mut bytes = ZERO;
                    let _ = block.read(at, &mut bytes[..len]);
                    self.0.fetch_add(1, Ordering::Relaxed);
                    let all = self.0.clone();
                    pages.push((number, Arc::new(Page { bytes, all })));
                }
            }
        }
        KeptPages(pages)
    }
}

impl KeptPages {
    /// Puts a block's contents back.
    pub(super) fn put(&self, block: &RamBlock) {
        let mut pages = self.0.iter().peekable();
        for (number, at, len) in touched_pages(block) {
            while pages.next_if(|(n, _)| *n < number).is_some() {}
            if pages.next_if(|(n, _)| *n == number).is_none() && !block.is_zero(at, len) {
                let _ = block.write(at, &ZERO[..len]);
            }
        }
        for (number, page) in &self.0 {
            let at = u64::from(*number) * PAGE as u64;
            let bytes = &page.bytes[..block.len().saturating_sub(at).min(PAGE as u64) as usize];
            if !block.equals(at, bytes) {
                let _ = block.write(at, bytes);
            }
        }
    }
}

/// Pages that the host has memory for: number, byte offset, and length, as the last one may be short.
fn touched_pages(block: &RamBlock) -> impl Iterator<Item = (u32, u64, usize)> {
    touched(block).into_iter().flat_map(|(start, end)| {
        (start..end).step_by(PAGE).map(move |at| {
            // A block has fewer than 2^32 pages: that would be 16 TiB.
            let number = u32::try_from(at / PAGE as u64).unwrap_or(u32::MAX);
            (number, at, (end - at).min(PAGE as u64) as usize)
        })
    })
}

#[cfg(test)]
mod tests;
