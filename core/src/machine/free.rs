//! Memory that a guest has no use for, looked for while its machine is about to move.
//!
//! A device with a way to ask its guest (a balloon) hears of a [`FreeSearch`], and tells which memory the guest calls free. The guest may
//! take such memory back and write to it at any moment, and nothing logs its writes. So what is free is not left out of the picture by a
//! note, which would have to be taken back in time, but given back to the host at once: from then on it is zero, a picture leaves out what
//! is zero, and what is written later is in the picture like all else. And it is only given back if it is what it was before the guest was
//! asked (Virtio 1.3, section 5.5.6.6, allows no other change): memory that was free and is in use again by the time its hint comes stays.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pages::{Draft, unchanged};
use super::{Machine, RunState};
use crate::memory::RamBlock;
use crate::tape::Mode;

/// A step on the way of a machine that is about to move.
#[derive(Clone)]
pub enum Moving {
    /// The guest may be asked which memory it has no use for.
    Search(Arc<FreeSearch>),
    /// Memory is copied as it is from here on, or nothing came of the move.
    Over,
}

/// One search, shared by whoever waits for it and by the devices that ask their guests.
pub struct FreeSearch {
    blocks: Vec<u64>,
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    draft: Option<Draft>,
    /// Devices that ask.
    asked: usize,
    /// Whether any did.
    any: bool,
    /// Hints that came.
    hints: u64,
    /// Bytes that hints may still be about: a guest that calls all of its memory free twice has nothing new to say.
    budget: u64,
    /// Bytes that went back to the host.
    given: u64,
}

/// A device's part in a search: it asks until this is dropped.
pub struct Asking(Arc<FreeSearch>);

impl FreeSearch {
    /// A search in these blocks as they are now, outside of a machine.
    pub fn of(ram: &[RamBlock]) -> Arc<Self> {
        Arc::new(Self::new(Draft::of(ram), ram.iter()))
    }

    fn new<'a>(draft: Draft, ram: impl Iterator<Item = &'a RamBlock>) -> Self {
        let (mut blocks, mut bytes) = (Vec::new(), 0u64);
        for block in ram {
            blocks.push(block.id());
            bytes = bytes.saturating_add(block.len());
        }
        Self {
            blocks,
            inner: Mutex::new(Inner {
                draft: Some(draft),
                asked: 0,
                any: false,
                hints: 0,
                budget: bytes.saturating_mul(2),
                given: 0,
            }),
            changed: Condvar::new(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device asks its guest.
    pub fn ask(self: &Arc<Self>) -> Asking {
        let mut inner = self.inner();
        inner.asked += 1;
        inner.any = true;
        drop(inner);
        Asking(self.clone())
    }

    /// A hint about so many bytes has come. `false` if it is one too many: who asks had better stop.
    pub fn hear(&self, bytes: u64) -> bool {
        let mut inner = self.inner();
        inner.hints += 1;
        inner.budget = inner.budget.saturating_sub(bytes.max(1));
        self.changed.notify_all();
        inner.budget > 0
    }

    /// Waits until nobody asks any more, `patience` has passed without a hint, `limit` has passed in all, or `ended` says so.
    pub fn wait(&self, patience: Duration, limit: Duration, ended: impl Fn() -> bool) {
        const LOOK: Duration = Duration::from_millis(50);
        let began = Instant::now();
        let mut inner = self.inner();
        let (mut heard, mut last) = (inner.hints, began);
        while inner.asked > 0 && last.elapsed() < patience && began.elapsed() < limit && !ended() {
            let waited = self.changed.wait_timeout(inner, LOOK);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            if inner.hints != heard {
                (heard, last) = (inner.hints, Instant::now());
            }
        }
    }

    /// Ends the search: the draft that it began with, and whether anybody was asked. Hints that come later are about nothing.
    pub fn end(&self) -> (Draft, bool) {
        let mut inner = self.inner();
        (inner.draft.take().unwrap_or_default(), inner.any)
    }

    /// Bytes that went back to the host by this search.
    pub fn given(&self) -> u64 {
        self.inner().given
    }

    /// Gives to the host what between two offsets of a block is as it was before the search. How many bytes that is; `gave` is told of
    /// each stretch.
    pub(crate) fn give_back(&self, block: &RamBlock, first: u64, last: u64, mut gave: impl FnMut(u64, u64)) -> u64 {
        let mut inner = self.inner();
        let at = self.blocks.iter().position(|id| *id == block.id());
        let runs = at.and_then(|at| inner.draft.as_ref()?.0.get(at));
        let Some(runs) = runs else { return 0 };
        let mut given = 0;
        for (start, end) in unchanged(block, runs, first, last) {
            if block.discard(start, end - start) {
                given += end - start;
                gave(start, end - start);
            }
        }
        inner.given += given;
        given
    }
}

impl Asking {
    /// The search.
    pub fn search(&self) -> &FreeSearch {
        &self.0
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.asked = inner.asked.saturating_sub(1);
        self.0.changed.notify_all();
    }
}

impl Machine {
    /// Has the devices ask their guests which memory is free, where that may be: the guest runs, and nobody relies on its doing again what
    /// it does now. The draft must have been made since this machine moved last.
    pub fn search_free(&mut self, draft: Draft) -> Arc<FreeSearch> {
        let search = Arc::new(FreeSearch::new(draft, self.ram.iter().map(|(_, block)| block)));
        if self.state == RunState::Running && self.sys.tape.mode() == Mode::Off {
            self.tell_moving(&Moving::Search(search.clone()));
        }
        search
    }

    /// The search is over, and what the guest holds back for it is the guest's again. To be called before the picture is taken, so that it
    /// is so at the other end, and whatever becomes of the move. Nothing happens if there was none.
    pub fn end_search(&mut self) {
        self.tell_moving(&Moving::Over);
    }

    fn tell_moving(&mut self, step: &Moving) {
        let devices: Vec<_> = self.sys.devices().map(|(id, _)| id).collect();
        for id in devices {
            self.sys.with_device(id, |device, cx| device.on_moving(step, cx));
        }
        // A guest that sleeps must hear of it now.
        self.sys.settle();
    }
}

#[cfg(test)]
mod tests;
