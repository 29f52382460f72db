//! Virtual functions (SR-IOV 1.1): what a physical function's registers say of them, and the rules for writing those registers.
//!
//! Virtual functions are devices of their own, made with the physical function ([`crate::wiring::add_virtual_functions`]) and hidden
//! from the bus until software sets VF Enable: nothing is created or destroyed while the machine runs, so that saved states have one
//! shape. Where their BARs are is the physical function's to say. All of them have to fit the bus that the physical function is on.

use crate::bar::BarKind;
use crate::caps::Sriov;
use crate::caps::sriov::*;
use crate::config::ConfigSpace;
use southbridge_core::DeviceId;

/// Physical function's half: the capability and the virtual functions' BARs. Fixed.
#[derive(Debug, Clone)]
pub(crate) struct Physical {
    at: u16,
    total: u16,
    offset: u16,
    stride: u16,
    bars: [Option<(BarKind, u64)>; 6],
}

/// What virtual functions answer to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Virtuals {
    /// How many are there: 0 to that number.
    pub enabled: u16,
    /// Base of each BAR of the first one if memory is enabled, and the distance to the next one's.
    pub bars: [Option<(u64, u64)>; 6],
}

impl Virtuals {
    /// First address of BAR `bar` of virtual function `n`.
    pub fn bar_address(&self, n: u16, bar: usize) -> Option<u64> {
        let (base, step) = self.bars.get(bar).copied().flatten()?;
        let there = n < self.enabled;
        base.checked_add(step.checked_mul(n.into())?).filter(|_| there)
    }
}

/// Which function owns a virtual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualOf {
    /// The physical function.
    pub physical: DeviceId,
    /// Its number, from 0 on.
    pub number: u16,
}

/// Registers that are frozen while virtual functions exist.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    control: u16,
    count: u16,
    page_size: u32,
}

impl Physical {
    pub(crate) const fn new(at: u16, cap: &Sriov) -> Self {
        Self {
            at,
            total: cap.total,
            offset: cap.offset,
            stride: cap.stride,
            bars: [None; 6],
        }
    }

    /// How many virtual functions there can be.
    pub(crate) const fn total(&self) -> u16 {
        self.total
    }

    /// Slot and function of virtual function `n`; `None` where it would be on another bus.
    pub(crate) fn devfn(&self, physical: u8, n: u16) -> Option<u8> {
        let distance = u32::from(self.offset) + u32::from(n) * u32::from(self.stride);
        u8::try_from(u32::from(physical) + distance).ok()
    }

    /// Declares BAR `n` of the virtual functions.
    pub(crate) fn add_bar(&mut self, config: &mut ConfigSpace, n: usize, kind: BarKind, size: u64) {
        if kind.is_io() || n >= 6 || (kind.is_64() && n == 5) {
            return;
        }
        let size = size.checked_next_power_of_two().unwrap_or(1 << 63).max(1 << 12);
        self.bars[n] = Some((kind, size));
        let at = self.bar_at(n);
        config.declare(at, 4, kind.type_bits(), !(size - 1) as u32, 0);
        if kind.is_64() {
            config.declare(at + 4, 4, 0, (!(size - 1) >> 32) as u32, 0);
        }
    }

    const fn bar_at(&self, n: usize) -> u16 {
        self.at + BARS + 4 * n as u16
    }

    fn page(&self, config: &ConfigSpace) -> u64 {
        match config.u32(self.at + PAGE_SIZE) {
            0 => 1 << 12,
            bits => 1 << (12 + bits.trailing_zeros()),
        }
    }

    pub(crate) fn before(&self, config: &ConfigSpace) -> Before {
        Before {
            control: config.u16(self.at + CONTROL),
            count: config.u16(self.at + COUNT),
            page_size: config.u32(self.at + PAGE_SIZE),
        }
    }

    /// After a write: the number of functions and the page size do not change while they exist, more than there are cannot be
    /// switched on, page sizes are one bit, and BARs are aligned to pages.
    pub(crate) fn written(&self, config: &mut ConfigSpace, before: Before) {
        if before.control & ENABLE != 0 {
            config.set_u16(self.at + COUNT, before.count);
            config.set_u32(self.at + PAGE_SIZE, before.page_size);
        } else if config.u16(self.at + COUNT) > self.total {
            config.set_bits16(self.at + CONTROL, ENABLE, false);
        }
        if !config.u32(self.at + PAGE_SIZE).is_power_of_two() {
            config.set_u32(self.at + PAGE_SIZE, before.page_size);
        }
        for (n, (kind, size)) in self.each_bar() {
            let mask = !(size.max(self.page(config)) - 1);
            let at = self.bar_at(n);
            config.set_u32(at, config.u32(at) & mask as u32 | kind.type_bits());
            if kind.is_64() {
                config.set_u32(at + 4, config.u32(at + 4) & (mask >> 32) as u32);
            }
        }
    }

    fn each_bar(&self) -> impl Iterator<Item = (usize, (BarKind, u64))> {
        self.bars.iter().enumerate().filter_map(|(n, b)| Some((n, (*b)?)))
    }

    /// What virtual functions answer to. The count is checked again: it may come from a saved state.
    pub(crate) fn now(&self, config: &ConfigSpace) -> Virtuals {
        let control = config.u16(self.at + CONTROL);
        if control & ENABLE == 0 {
            return Virtuals::default();
        }
        let mut v = Virtuals {
            enabled: config.u16(self.at + COUNT).min(self.total),
            bars: [None; 6],
        };
        for (n, (kind, size)) in self.each_bar().filter(|_| control & MEMORY != 0) {
            let at = self.bar_at(n);
            let high = if kind.is_64() {
                u64::from(config.u32(at + 4)) << 32
            } else {
                0
            };
            let step = size.max(self.page(config));
            let base = (high | u64::from(config.u32(at))) & !(step - 1);
            // What runs over the end of the address space or begins at 0 is not set up.
            let end = base.checked_add(step.saturating_mul(v.enabled.into()));
            v.bars[n] = end.filter(|_| base != 0).map(|_| (base, step));
        }
        v
    }
}
