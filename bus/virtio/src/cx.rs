//! A model's ways out while one of its methods runs.

use southbridge_core::Ctx;
use std::sync::Arc;

use crate::chain::{Chain, ChainError, Segment, slice};
use crate::dma::{Dma, Memory};
use crate::endpoint::Virtio;
use crate::lane::Lane;

/// A model's only way out, while one of its methods runs: its queues, and by [`VirtioCx::ctx`] timers and back ends.
pub struct VirtioCx<'a, 'c> {
    pub(crate) virtio: &'a mut Virtio,
    pub(crate) ctx: &'a mut Ctx<'c>,
}

impl<'c> VirtioCx<'_, 'c> {
    /// The core's context: timers, back ends, log, time.
    pub fn ctx(&mut self) -> &mut Ctx<'c> {
        self.ctx
    }

    /// Features that driver and device agreed on.
    pub fn features(&self) -> u64 {
        self.virtio.driver_features
    }

    /// Whether all of these bits were agreed on.
    pub fn has(&self, features: u64) -> bool {
        self.virtio.driver_features & features == features
    }

    /// Whether the driver is ready and the device works.
    pub fn ready(&self) -> bool {
        self.virtio.is_ready()
    }

    /// Whether a queue is set up and enabled.
    pub fn queue_live(&self, queue: u16) -> bool {
        self.virtio.queue(queue).is_some_and(|q| q.is_live())
    }

    /// Takes the next chain of buffers that the driver made available, if there is one. A ring that breaks the rules ends the device's
    /// work until the next reset; then and when the device is not ready there is none.
    pub fn pop(&mut self, queue: u16) -> Option<Chain> {
        // Who may not reach memory waits, as for a driver that has nothing for it.
        if !self.ready() || !self.virtio.may_dma {
            return None;
        }
        let (q, mut dma) = self.virtio.queue_and_dma(queue, self.ctx)?;
        match q.pop(&mut dma) {
            Ok(chain) => chain,
            Err(e) => {
                self.broken(format_args!("queue {queue}: {e}"));
                None
            }
        }
    }

    /// Whether `pop` would give a chain (or find the ring broken).
    pub fn has_next(&mut self, queue: u16) -> bool {
        if !self.ready() || !self.virtio.may_dma {
            return false;
        }
        let Some((q, mut dma)) = self.virtio.queue_and_dma(queue, self.ctx) else {
            return false;
        };
        match q.has_next(&mut dma) {
            Ok(yes) => yes,
            Err(e) => {
                self.broken(format_args!("queue {queue}: {e}"));
                false
            }
        }
    }

    /// Puts back the chain that was taken last from its queue, as if it had not been taken. Several go back in reverse order.
    pub fn unpop(&mut self, chain: Chain) {
        if let Some(q) = self.virtio.queue_mut(chain.queue) {
            q.unpop(&chain);
        }
    }

    /// Gives a chain back to the driver; `written` bytes from the start of its writable part are new. The driver sees it and gets its
    /// interrupt, if it wants one, when the call of the model returns, or at [`VirtioCx::flush`]. A chain from before a reset vanishes.
    pub fn push(&mut self, chain: Chain, written: u32) {
        let queue = chain.queue;
        let Some((q, mut dma)) = self.virtio.queue_and_dma(queue, self.ctx) else {
            return;
        };
        if let Err(e) = q.push(&chain, written, &mut dma) {
            self.broken(format_args!("queue {queue}: {e}"));
        }
        self.virtio.touch(queue);
    }

    /// Gives a chain of an event back without its use by the device: the same as `push` with nothing written.
    pub fn discard(&mut self, chain: Chain) {
        self.push(chain, 0);
    }

    /// Shows the driver now what was pushed to a queue.
    pub fn flush(&mut self, queue: u16) {
        self.virtio.settle_queue(queue, self.ctx);
    }

    /// Whether the driver should notify the device of new buffers in a queue, from now on; it should after a reset. A device that takes
    /// buffers only when it has something for them (a network card's receiving half) saves the driver the notifications.
    pub fn want_kicks(&mut self, queue: u16, on: bool) {
        if let Some(q) = self.virtio.queue_mut(queue) {
            q.set_kicks(on);
            self.virtio.touch(queue);
        }
    }

    /// Whether a chain is still the device's: its queue has not been reset since.
    pub fn is_current(&self, chain: &Chain) -> bool {
        self.virtio
            .queue(chain.queue)
            .is_some_and(|q| q.at.epoch == chain.epoch)
    }

    /// Reads the readable part of a chain from a byte offset on.
    ///
    /// # Errors
    /// If the chain is shorter (nothing is read), if an address has no memory (the device needs a reset), or if it is not the device's
    /// any more.
    pub fn read(&mut self, chain: &Chain, offset: u64, out: &mut [u8]) -> Result<(), ChainError> {
        let mut done = 0;
        self.each(chain, chain.readable(), offset, out.len(), |at, len, dma| {
            let ok = out.get_mut(done..done + len).is_some_and(|b| dma.read(at, b).is_ok());
            done += len;
            ok
        })
    }

    /// The same into a new vector. `len` is bounded by the chain, not by the driver's word alone: pass what the device is ready to hold.
    ///
    /// # Errors
    /// As with [`VirtioCx::read`].
    pub fn read_vec(&mut self, chain: &Chain, offset: u64, len: usize) -> Result<Vec<u8>, ChainError> {
        if offset
            .checked_add(len as u64)
            .is_none_or(|end| end > chain.readable_len())
        {
            return Err(ChainError::Short);
        }
        let mut out = vec![0; len];
        self.read(chain, offset, &mut out)?;
        Ok(out)
    }

    /// Writes into the writable part of a chain from a byte offset on.
    ///
    /// # Errors
    /// If the chain is shorter (nothing is written), if an address has no memory (the device needs a reset), or if it is not the
    /// device's any more.
    pub fn write(&mut self, chain: &Chain, offset: u64, data: &[u8]) -> Result<(), ChainError> {
        let mut done = 0;
        self.each(chain, chain.writable(), offset, data.len(), |at, len, dma| {
            let ok = data.get(done..done + len).is_some_and(|b| dma.write(at, b).is_ok());
            done += len;
            ok
        })
    }

    fn each(
        &mut self,
        chain: &Chain,
        segments: &[Segment],
        offset: u64,
        len: usize,
        mut f: impl FnMut(u64, usize, &mut Dma<'_, '_>) -> bool,
    ) -> Result<(), ChainError> {
        if !self.is_current(chain) {
            return Err(ChainError::Stale);
        }
        let parts = slice(segments, offset, len as u64).ok_or(ChainError::Short)?;
        let mut dma = Dma {
            allowed: self.virtio.may_dma,
            ctx: self.ctx,
        };
        for (at, len) in parts {
            if !f(at, len, &mut dma) {
                let queue = chain.queue;
                self.broken(format_args!("queue {queue}: no memory for {len} bytes at {at:#x}"));
                return Err(ChainError::Memory);
            }
        }
        Ok(())
    }

    /// Lends a queue to another thread, or gives the lane of one that is lent, which then sees memory as it is mapped now. Until it is
    /// recalled the queue is not here: nothing can be taken from it or given back. `None` where the machine has to serve the queue itself.
    /// `None` also while chains of the queue are out: whoever pushes the last of them tries again. A reset takes all queues back; nobody
    /// need ask for that.
    pub fn lend(&mut self, queue: u16) -> Option<Arc<Lane>> {
        if !self.ready() || !self.virtio.may_dma || !self.queue_live(queue) || !self.ctx.may_share_ram() {
            return None;
        }
        if let Some(lane) = self.virtio.lane(queue) {
            lane.renew(self.ctx.memory_generation(), || self.ctx.ram_view());
            return Some(lane);
        }
        if self.virtio.queue(queue).is_none_or(|q| q.at.in_use > 0) {
            return None;
        }
        self.virtio.settle_queue(queue, self.ctx);
        self.ready().then(|| self.virtio.lend(queue, self.ctx.ram_view()))?
    }

    /// Takes a lent queue back, as if the chain in the thread's hands had not been taken.
    pub fn recall(&mut self, queue: u16) {
        self.virtio.recall(queue);
    }

    /// Whether a queue is lent.
    pub fn is_lent(&self, queue: u16) -> bool {
        self.virtio.lane(queue).is_some()
    }

    /// Has the driver get the interrupt that a thread found it to want.
    pub fn signal(&mut self, queue: u16) {
        if self.ready() && self.queue_live(queue) {
            self.virtio.signal(queue);
        }
    }

    /// The configuration space has changed: the driver is told.
    pub fn config_changed(&mut self) {
        self.virtio.config_changed();
    }

    /// The driver has broken the rules: the device stops until it is reset, and says so.
    pub fn broken(&mut self, why: std::fmt::Arguments<'_>) {
        self.ctx.guest_error(format_args!("{why}; the device needs a reset"));
        self.virtio.break_off();
    }
}
