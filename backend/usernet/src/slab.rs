//! A table whose handles are never used twice.

/// How often a slot may be used: handles as bits leave the highest one to whoever keeps them beside other numbers.
const GENERATIONS: u32 = 1 << 31;

/// Names an entry of a [`Slab`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Handle {
    slot: u32,
    generation: u32,
}

impl Handle {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            slot: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// `None`: 2^32 entries.
    pub(crate) fn insert(&mut self, value: T) -> Option<Handle> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).ok()?;
                self.slots.push((0, None));
                slot
            }
        };
        let entry = self.slots.get_mut(slot as usize)?;
        entry.1 = Some(value);
        self.len += 1;
        Some(Handle {
            slot,
            generation: entry.0,
        })
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&T> {
        match self.slots.get(handle.slot as usize) {
            Some((generation, value)) if *generation == handle.generation => value.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        match self.slots.get_mut(handle.slot as usize) {
            Some((generation, value)) if *generation == handle.generation => value.as_mut(),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Option<T> {
        let (generation, value) = self.slots.get_mut(handle.slot as usize)?;
        if *generation != handle.generation {
            return None;
        }
        let value = value.take()?;
        self.len -= 1;
        // A slot whose generations are used up is left alone for ever.
        *generation += 1;
        if *generation < GENERATIONS {
            self.free.push(handle.slot);
        }
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, (generation, value))| {
            let handle = Handle {
                slot: slot as u32,
                generation: *generation,
            };
            value.as_ref().map(|v| (handle, v))
        })
    }

    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.iter().map(|(h, _)| h).collect()
    }
}
