//! A byte ring that grows by doubling, up to a bound, out of a budget shared by all connections.

use std::io::{IoSlice, IoSliceMut};

/// What all rings of an engine may hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    short: bool,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            short: false,
        }
    }

    /// Whether somebody went without since this was last asked.
    pub(crate) fn was_short(&mut self) -> bool {
        std::mem::take(&mut self.short)
    }
}

const SMALLEST: usize = 16 << 10;

/// Bytes in order, with room behind them that may be written ahead of time (out-of-order data). Capacity is a power of two or 0.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    bytes: Vec<u8>,
    head: usize,
    len: usize,
}

impl Ring {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn free(&self) -> usize {
        self.bytes.len() - self.len
    }

    fn mask(&self) -> usize {
        self.bytes.len().wrapping_sub(1)
    }

    /// Makes room for `size` bytes in all if `limit` and the budget allow; `false` if not.
    pub(crate) fn reserve(&mut self, size: usize, limit: usize, budget: &mut Budget) -> bool {
        if size <= self.bytes.len() {
            return true;
        }
        let wanted = size
            .max(SMALLEST.min(limit))
            .checked_next_power_of_two()
            .unwrap_or(usize::MAX);
        let more = wanted.saturating_sub(self.bytes.len());
        if wanted > limit {
            return false;
        }
        if more > budget.left {
            budget.short = true;
            return false;
        }
        budget.left -= more;
        let mut bytes = vec![0; wanted];
        // Everything is carried over, also what was written behind `len`.
        let (start, tail) = self.bytes.split_at(self.head.min(self.bytes.len()));
        bytes[..tail.len()].copy_from_slice(tail);
        bytes[tail.len()..tail.len() + start.len()].copy_from_slice(start);
        self.bytes = bytes;
        self.head = 0;
        true
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self, budget: &mut Budget) {
        budget.left += self.bytes.len();
        *self = Self::default();
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn trim(&mut self, budget: &mut Budget) {
        if self.len == 0 {
            self.release(budget);
        }
    }

    fn spans(&self, offset: usize, len: usize) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let start = self.head.wrapping_add(offset) & self.mask();
        let first = len.min(self.bytes.len() - start);
        (start..start + first, 0..len - first)
    }

    /// `len` bytes from `offset` on, in two pieces. Cut to what is there.
    pub(crate) fn slices(&self, offset: usize, len: usize) -> (&[u8], &[u8]) {
        let len = len.min(self.len.saturating_sub(offset));
        if len == 0 {
            return (&[], &[]);
        }
        let (a, b) = self.spans(offset, len);
        (&self.bytes[a], &self.bytes[b])
    }

    pub(crate) fn io_slices(&self) -> [IoSlice<'_>; 2] {
        let (a, b) = self.slices(0, self.len);
        [IoSlice::new(a), IoSlice::new(b)]
    }

    /// The room behind the bytes, in two pieces, at most `most` bytes.
    pub(crate) fn io_room(&mut self, most: usize) -> [IoSliceMut<'_>; 2] {
        let len = self.free().min(most);
        if len == 0 {
            return [IoSliceMut::new(&mut []), IoSliceMut::new(&mut [])];
        }
        let (a, b) = self.spans(self.len, len);
        let (low, high) = self.bytes.split_at_mut(a.start);
        [IoSliceMut::new(&mut high[..a.len()]), IoSliceMut::new(&mut low[b])]
    }

    /// Writes at an offset from the head without changing the length. Cut to the capacity; returns how much was written.
    pub(crate) fn write_at(&mut self, offset: usize, data: &[u8]) -> usize {
        let len = data.len().min(self.bytes.len().saturating_sub(offset));
        if len == 0 {
            return 0;
        }
        let (a, b) = self.spans(offset, len);
        let (first, second) = data[..len].split_at(a.len());
        self.bytes[a].copy_from_slice(first);
        self.bytes[b].copy_from_slice(second);
        len
    }

    /// Bytes written behind the end now belong to it.
    pub(crate) fn extend(&mut self, len: usize) {
        self.len += len.min(self.free());
    }

    pub(crate) fn push(&mut self, data: &[u8]) -> usize {
        let len = self.write_at(self.len, &data[..data.len().min(self.free())]);
        self.len += len;
        len
    }

    pub(crate) fn consume(&mut self, len: usize) {
        let len = len.min(self.len);
        self.head = self.head.wrapping_add(len) & self.mask();
        self.len -= len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn content(ring: &Ring) -> Vec<u8> {
        let (a, b) = ring.slices(0, ring.len());
        [a, b].concat()
    }

    proptest! {
        /// Against a plain queue, growing on the way.
        #[test]
        fn is_a_queue(steps in proptest::collection::vec((any::<bool>(), 0_usize..20_000), 0..60)) {
            let mut ring = Ring::default();
            let mut budget = Budget::new(1 << 17);
            let mut model = VecDeque::new();
            let mut next = 0_u8;
            for (push, size) in steps {
                if push {
                    let data: Vec<u8> = (0..size).map(|_| { next = next.wrapping_add(1); next }).collect();
                    ring.reserve(ring.len() + size, 1 << 16, &mut budget);
                    let taken = ring.push(&data);
                    model.extend(&data[..taken]);
                } else {
                    ring.consume(size);
                    model.drain(..size.min(model.len()));
                }
                prop_assert_eq!(content(&ring), model.iter().copied().collect::<Vec<_>>());
                prop_assert!(ring.capacity() <= 1 << 16);
            }
            ring.release(&mut budget);
            prop_assert_eq!(budget.left, 1 << 17);
        }
    }

    #[test]
    fn what_was_written_ahead_survives_growing() {
        let (mut ring, mut budget) = (Ring::default(), Budget::new(1 << 20));
        assert!(ring.reserve(16 << 10, 1 << 20, &mut budget));
        ring.push(&[1; 10_000]);
        ring.consume(9_000);
        assert_eq!(ring.write_at(2_000, &[7; 10_000]), 10_000);
        assert!(ring.reserve(40 << 10, 1 << 20, &mut budget));
        ring.push(&[2; 1_000]);
        ring.extend(10_000);
        let all = content(&ring);
        assert_eq!(all.len(), 12_000);
        assert!(all[..1_000].iter().all(|b| *b == 1) && all[2_000..].iter().all(|b| *b == 7));
    }

    #[test]
    fn a_bound_holds() {
        let (mut ring, mut budget) = (Ring::default(), Budget::new(20 << 10));
        assert!(
            !ring.reserve(17 << 10, 1 << 20, &mut budget),
            "32 KiB are more than the budget"
        );
        assert!(ring.reserve(1, 1 << 20, &mut budget));
        assert_eq!(ring.push(&[0; 20_000]), 16 << 10);
        assert_eq!(ring.push(&[0; 1]), 0);
    }
}
