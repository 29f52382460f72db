//! The interrupt files of a hart (RISC-V AIA, chapter "Incoming MSI Controller"). What writes messages to them is a device.

use serde::{Deserialize, Serialize};

/// `eidelivery`: interrupts come from the platform's controller instead of the file.
const FROM_LINE: u64 = 0x4000_0000;

/// First selectors of the registers that `*ireg` reaches.
pub(crate) mod select {
    pub(crate) const EIDELIVERY: u64 = 0x70;
    pub(crate) const EITHRESHOLD: u64 = 0x72;
    pub(crate) const EIP: u64 = 0x80;
    pub(crate) const EIE: u64 = 0xc0;
    pub(crate) const LAST: u64 = 0xff;
}

/// One interrupt file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct File {
    delivery: u64,
    threshold: u64,
    pending: [u64; 32],
    enabled: [u64; 32],
    /// The last identity.
    ids: u32,
}

impl File {
    pub(crate) fn new(ids: u32) -> Self {
        Self {
            delivery: 0,
            threshold: 0,
            pending: [0; 32],
            enabled: [0; 32],
            ids: ids.clamp(63, 2047),
        }
    }

    /// Makes what a saved state says harmless; `ids` is the hart's.
    pub(crate) fn sanitize(&mut self, ids: u32) {
        *self = Self {
            ids: ids.clamp(63, 2047),
            threshold: self.threshold & 0x7ff,
            ..self.clone()
        };
        for i in 0..32 {
            let mask = self.mask(i);
            self.pending[i] &= mask;
            self.enabled[i] &= mask;
        }
    }

    /// A message arrives.
    pub(crate) fn message(&mut self, id: u32) {
        if (1..=self.ids).contains(&id)
            && let Some(word) = self.pending.get_mut(id as usize / 64)
        {
            *word |= 1 << (id % 64);
        }
    }

    /// The pending and enabled interrupt with the highest priority below the threshold, 0 if none.
    pub(crate) fn top(&self) -> u32 {
        let words = self.pending.iter().zip(&self.enabled).enumerate();
        for (i, (p, e)) in words {
            if p & e != 0 {
                let id = i as u32 * 64 + (p & e).trailing_zeros();
                let masked = self.threshold != 0 && u64::from(id) >= self.threshold;
                return if masked { 0 } else { id };
            }
        }
        0
    }

    /// The top interrupt as `*topei` shows it: identity and priority, which are the same.
    pub(crate) fn topei(&self) -> u64 {
        let id = u64::from(self.top());
        id << 16 | id
    }

    /// A write to `*topei`: the top interrupt is no longer pending.
    pub(crate) fn claim(&mut self) {
        let id = self.top();
        if let Some(word) = self.pending.get_mut(id as usize / 64) {
            *word &= !(1 << (id % 64));
        }
    }

    /// Whether the hart's external interrupt is pending, given the line of the platform's controller.
    pub(crate) fn signals(&self, line: bool) -> bool {
        match self.delivery {
            1 => self.top() != 0,
            FROM_LINE => line,
            _ => false,
        }
    }

    /// Which identities word `i` of an array has.
    fn mask(&self, i: usize) -> u64 {
        if i as u32 * 64 > self.ids {
            return 0;
        }
        // Identity 0 does not exist.
        if i == 0 { !1 } else { u64::MAX }
    }

    /// Reads a register by its selector; `None` for one that RV64 has not.
    pub(crate) fn read(&self, selector: u64) -> Option<u64> {
        match selector {
            select::EIDELIVERY => Some(self.delivery),
            select::EITHRESHOLD => Some(self.threshold),
            0x71 | 0x73..=0x7f => Some(0),
            select::EIP..=select::LAST if selector & 1 == 0 => {
                let i = (selector as usize & 0x3f) / 2;
                let array = if selector < select::EIE {
                    &self.pending
                } else {
                    &self.enabled
                };
                Some(array[i & 31] & self.mask(i))
            }
            _ => None,
        }
    }

    /// Writes one; `false` for one that RV64 has not.
    pub(crate) fn write(&mut self, selector: u64, v: u64) -> bool {
        match selector {
            select::EIDELIVERY => {
                if matches!(v, 0 | 1 | FROM_LINE) {
                    self.delivery = v;
                }
            }
            select::EITHRESHOLD => self.threshold = if v <= u64::from(self.ids) { v } else { v & 0x3f },
            0x71 | 0x73..=0x7f => {}
            select::EIP..=select::LAST if selector & 1 == 0 => {
                let i = (selector as usize & 0x3f) / 2;
                let mask = self.mask(i);
                let array = if selector < select::EIE {
                    &mut self.pending
                } else {
                    &mut self.enabled
                };
                array[i & 31] = v & mask;
            }
            _ => return false,
        }
        true
    }
}
