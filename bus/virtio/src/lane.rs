//! A queue that the machine has lent to another thread.
//!
//! The thread takes one chain after another, does what the device does, and gives them back, while processors go on. It does only what is
//! usual. Whatever is not (a ring that breaks the rules, an address that is no RAM, a page from which processors execute) is an [`Odd`]:
//! it leaves the chain where it is, and the machine takes the queue back ([`crate::VirtioCx::recall`]) and finds everything as if that
//! chain had never been taken. So each exception is handled once, by the machine.
//!
//! The machine takes a queue back at any time, and never waits for the thread longer than a copy takes: what the thread does with a chain
//! after that has no effect.

use southbridge_core::RamView;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::chain::{Chain, ChainError, Segment, slice};
use crate::dma::Memory;
use crate::queue::{Queue, RingError};

/// Something that only the machine can deal with: it takes the queue back and tries the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Odd;

/// A queue on loan.
#[derive(Debug)]
pub struct Lane {
    lent: Mutex<Option<Lent>>,
    /// Somebody works on it, or is about to.
    at_work: AtomicBool,
}

#[derive(Debug)]
struct Lent {
    queue: Queue,
    memory: View,
    /// What the thread has in its hands.
    out: Option<Chain>,
}

#[derive(Debug)]
struct View(RamView);

impl Memory for View {
    fn read(&mut self, at: u64, out: &mut [u8]) -> Result<(), RingError> {
        self.0.read(at, out).then_some(()).ok_or(RingError::Memory(at))
    }

    fn write(&mut self, at: u64, data: &[u8]) -> Result<(), RingError> {
        self.0.write(at, data).then_some(()).ok_or(RingError::Memory(at))
    }

    fn order(&mut self, ordering: Ordering) {
        fence(ordering);
    }
}

impl Lent {
    /// The queue as if the chain that is out had not been taken.
    fn whole(mut self) -> Queue {
        if let Some(chain) = self.out.take() {
            self.queue.unpop(&chain);
        }
        self.queue
    }
}

impl Lane {
    pub(crate) fn new(queue: Queue, memory: RamView) -> Self {
        Self {
            lent: Mutex::new(Some(Lent {
                queue,
                memory: View(memory),
                out: None,
            })),
            at_work: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Lent>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with the queue for a moment; `f` does nothing that waits. `None` when the machine has taken the queue back: whatever the
    /// thread has in its hands is not its own any more.
    pub fn enter<T>(&self, f: impl FnOnce(&mut LaneCx<'_>) -> T) -> Option<T> {
        self.lock().as_mut().map(|lent| f(&mut LaneCx { lent }))
    }

    /// Whether the caller has to see that somebody works on it: the driver has notified of something, and nobody is there.
    pub fn begin(&self) -> bool {
        !self.at_work.swap(true, Ordering::AcqRel)
    }

    /// Whoever worked on it found nothing more to do. Whether there is something after all, and the caller has to go on.
    pub fn rest(&self) -> bool {
        self.at_work.swap(false, Ordering::AcqRel);
        // Who notified before this line saw somebody at work and went; what it notified of is seen now.
        fence(Ordering::SeqCst);
        self.enter(|lane| lane.has_next()).unwrap_or(false) && self.begin()
    }

    /// Takes the queue back.
    pub(crate) fn take(&self) -> Option<Queue> {
        self.lock().take().map(Lent::whole)
    }

    /// What [`Lane::take`] would give now.
    pub(crate) fn copy(&self) -> Option<Queue> {
        let lent = self.lock();
        let lent = lent.as_ref()?;
        let mut queue = lent.queue.clone();
        if let Some(chain) = &lent.out {
            queue.unpop(chain);
        }
        Some(queue)
    }

    /// Has the thread see memory as it is mapped now, if it is not what it sees.
    pub(crate) fn renew(&self, generation: u64, view: impl FnOnce() -> RamView) {
        if let Some(lent) = self.lock().as_mut()
            && lent.memory.0.generation() != generation
        {
            lent.memory = View(view());
        }
    }
}

/// What a thread does with a queue that it has on loan.
pub struct LaneCx<'a> {
    lent: &'a mut Lent,
}

impl LaneCx<'_> {
    /// Takes the next chain; the one before must have been pushed. `None` if there is none, and then the driver notifies of the next.
    ///
    /// # Errors
    /// [`Odd`] when the ring is not as it should be.
    pub fn pop(&mut self) -> Result<Option<Chain>, Odd> {
        let Lent { queue, memory, out } = &mut *self.lent;
        if out.is_some() {
            return Err(Odd);
        }
        let mut next = queue.pop(memory).map_err(odd)?;
        if next.is_none() {
            queue.ask_for_kicks(memory).map_err(odd)?;
            // The driver may have looked before it saw that it should notify, and we before it added something.
            memory.order(Ordering::SeqCst);
            next = queue.pop(memory).map_err(odd)?;
        }
        out.clone_from(&next);
        Ok(next)
    }

    /// Whether [`LaneCx::pop`] would give a chain, or something odd.
    fn has_next(&mut self) -> bool {
        let Lent { queue, memory, out: _ } = &mut *self.lent;
        queue.has_next(memory).unwrap_or(true)
    }

    /// Gives back the chain that was taken; `written` bytes of it are new. The driver sees it at once; whether it wants an interrupt.
    ///
    /// # Errors
    /// [`Odd`] when the ring cannot be written.
    pub fn push(&mut self, chain: &Chain, written: u32) -> Result<bool, Odd> {
        let Lent { queue, memory, out } = &mut *self.lent;
        queue.push(chain, written, memory).map_err(odd)?;
        *out = None;
        queue.flush(memory).map_err(odd)
    }

    /// Reads the readable part of a chain from a byte offset on.
    ///
    /// # Errors
    /// As with [`crate::VirtioCx::read`]; [`ChainError::Memory`] is an [`Odd`].
    pub fn read(&mut self, chain: &Chain, offset: u64, out: &mut [u8]) -> Result<(), ChainError> {
        let mut rest = out;
        self.each(chain.readable(), offset, rest.len(), |memory, at, len| {
            let (here, after) = std::mem::take(&mut rest).split_at_mut_checked(len)?;
            rest = after;
            memory.read(at, here).ok()
        })
    }

    /// Writes into the writable part of a chain from a byte offset on.
    ///
    /// # Errors
    /// As with [`crate::VirtioCx::write`]; [`ChainError::Memory`] is an [`Odd`], and then a part may have been written.
    pub fn write(&mut self, chain: &Chain, offset: u64, data: &[u8]) -> Result<(), ChainError> {
        let mut rest = data;
        self.each(chain.writable(), offset, rest.len(), |memory, at, len| {
            let (here, after) = rest.split_at_checked(len)?;
            rest = after;
            memory.write(at, here).ok()
        })
    }

    fn each(
        &mut self,
        segments: &[Segment],
        offset: u64,
        len: usize,
        mut f: impl FnMut(&mut View, u64, usize) -> Option<()>,
    ) -> Result<(), ChainError> {
        let mut parts = slice(segments, offset, len as u64).ok_or(ChainError::Short)?;
        let memory = &mut self.lent.memory;
        match parts.all(|(at, len)| f(memory, at, len).is_some()) {
            true => Ok(()),
            false => Err(ChainError::Memory),
        }
    }
}

fn odd(_: RingError) -> Odd {
    Odd
}
