//! RAM for threads other than the machine's.

use super::{AddressSpace, RamWindow, Target};

/// The RAM of an address space as it was at one moment, for another thread to work with while the machine goes on. Its accesses are as racy
/// as those of a device's DMA. What the guest maps elsewhere afterwards is not seen: [`RamView::generation`] tells whether it has.
#[derive(Debug)]
pub struct RamView {
    /// By address, apart from each other.
    windows: Vec<RamWindow>,
    generation: u64,
}

impl RamView {
    pub(crate) fn of(space: &AddressSpace) -> Self {
        let windows = space.flat().iter().filter_map(|range| {
            let Target::Ram {
                block,
                offset,
                readonly,
            } = &range.target
            else {
                return None;
            };
            let len = (range.last - range.start).checked_add(1)?;
            RamWindow::new(range.start, len, *readonly, block, *offset)
        });
        Self {
            windows: windows.collect(),
            generation: space.generation(),
        }
    }

    /// Of the address space when it was taken; see [`AddressSpace::generation`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Copies out. `false` (and nothing is read) if not all of it is RAM. Two bytes at an even address are one access.
    #[must_use]
    pub fn read(&self, at: u64, out: &mut [u8]) -> bool {
        if let (Ok(pair), Some((window, into))) = (<&mut [u8; 2]>::try_from(&mut *out), self.find(at))
            && let Some(value) = window.read_u16(into)
        {
            *pair = value.to_le_bytes();
            return true;
        }
        let mut done = 0;
        self.each(at, out.len(), |_, _, _| true)
            && self.each(at, out.len(), |window, into, len| {
                let piece = out.get_mut(done..done + len);
                done += len;
                piece.is_some_and(|p| window.block().read(window.block_offset() + into, p))
            })
    }

    /// Copies in. `false` (and nothing is written) if not all of it is RAM that can be written, or if a processor holds decoded code from
    /// there: such writes are the machine's to do. Two bytes at an even address are one access.
    #[must_use]
    pub fn write(&self, at: u64, data: &[u8]) -> bool {
        let may = |w: &RamWindow, into: u64, len: usize| {
            !w.readonly && !w.block().code_hit(w.block_offset() + into, len as u64)
        };
        if !self.each(at, data.len(), may) {
            return false;
        }
        if let (Ok(pair), Some((window, into))) = (<[u8; 2]>::try_from(data), self.find(at))
            && window.write_u16(into, u16::from_le_bytes(pair)).is_some()
        {
            return true;
        }
        let mut done = 0;
        self.each(at, data.len(), |window, into, len| {
            let piece = data.get(done..done + len);
            done += len;
            piece.is_some_and(|p| window.block().write(window.block_offset() + into, p))
        })
    }

    /// The window of an address, and where in it that is.
    fn find(&self, at: u64) -> Option<(&RamWindow, u64)> {
        let behind = self.windows.partition_point(|w| w.start <= at);
        let window = self.windows.get(behind.checked_sub(1)?)?;
        let into = at - window.start;
        (into < window.len).then_some((window, into))
    }

    /// Calls `f` with the pieces of a stretch in order, until it is not content: the window, where in it, bytes. `false` then, and where
    /// there is no RAM.
    fn each(&self, mut at: u64, mut left: usize, mut f: impl FnMut(&RamWindow, u64, usize) -> bool) -> bool {
        while left > 0 {
            let Some((window, into)) = self.find(at) else {
                return false;
            };
            let here = usize::try_from(window.len - into).unwrap_or(usize::MAX).min(left);
            if !f(window, into, here) {
                return false;
            }
            left -= here;
            at = at.wrapping_add(here as u64);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RamBlock;
    use crate::memory::Mapping;

    fn ram(space: &mut AddressSpace, start: u64, readonly: bool) -> RamBlock {
        let block = RamBlock::new("ram", 0x1000).unwrap();
        space.map(Mapping {
            start,
            len: 0x1000,
            priority: 0,
            name: "ram".into(),
            target: Target::Ram {
                block: block.clone(),
                offset: 0,
                readonly,
            },
        });
        block
    }

    #[test]
    fn it_reaches_ram_alone_and_all_or_nothing() {
        let mut space = AddressSpace::default();
        let (a, b) = (ram(&mut space, 0x1000, false), ram(&mut space, 0x2000, false));
        ram(&mut space, 0x3000, true);
        let view = RamView::of(&space);
        assert!(view.write(0x1ffe, &[1, 2, 3, 4]));
        assert_eq!(
            (a.copy(0xffe, 2).unwrap(), b.copy(0, 2).unwrap()),
            (vec![1, 2], vec![3, 4])
        );
        let mut out = [0; 4];
        assert!(view.read(0x1ffe, &mut out));
        assert_eq!(out, [1, 2, 3, 4]);
        // Across an edge, two bytes too.
        let mut pair = [0; 2];
        assert!(view.read(0x1fff, &mut pair) && pair == [2, 3]);
        assert!(view.write(0x1fff, &[8, 9]) && a.copy(0xfff, 1).unwrap() == [8]);
        assert!(!view.write(0x2ffe, &[7; 4]), "the rest is ROM");
        assert_eq!(b.copy(0xffe, 2).unwrap(), [0, 0]);
        assert!(!view.read(0xffe, &mut out) && !view.read(u64::MAX, &mut out));
        assert!(view.read(0x3ffe, &mut pair) && !view.read(0x3fff, &mut pair));
    }

    #[test]
    fn where_code_is_the_machine_writes() {
        let mut space = AddressSpace::default();
        let block = ram(&mut space, 0, false);
        let view = RamView::of(&space);
        block.mark_code(0x100);
        assert!(!view.write(0xf0, &[1; 0x20]) && !view.write(0x100, &[1; 2]));
        assert_eq!(block.copy(0xf0, 0x20).unwrap(), [0; 0x20]);
        block.clear_code(0x100);
        assert!(view.write(0xf0, &[1; 0x20]));
    }

    #[test]
    fn what_is_mapped_later_shows_in_the_generation() {
        let mut space = AddressSpace::default();
        ram(&mut space, 0, false);
        let view = RamView::of(&space);
        assert_eq!(view.generation(), space.generation());
        ram(&mut space, 0x1000, false);
        assert_ne!(view.generation(), space.generation());
    }
}
