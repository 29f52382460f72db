//! The engine under a debugger: stops, watched data, and the registers of the private peripheral bus.

use southbridge_core::System;
use southbridge_core::cpu::{CpuDebug, Watchpoint};

use crate::bus::Bus;
use crate::core::Core;
use crate::cpu::CortexM;
use crate::engine::Engine;
use crate::scs::mpu::Span;

/// Watched data, and what was touched of it.
#[derive(Default)]
pub(crate) struct Watch {
    points: Vec<Watchpoint>,
    hit: Option<(Watchpoint, u64)>,
}

impl Watch {
    /// Whether any data is watched.
    pub(crate) fn is_watching(&self) -> bool {
        !self.points.is_empty()
    }

    /// Whether the run has to stop for one.
    #[inline]
    pub(crate) fn has_hit(&self) -> bool {
        self.hit.is_some()
    }

    /// The part of `span` around `addr` in which nothing is watched; `None` if `addr` itself is.
    pub(crate) fn clear_around(&self, addr: u32, span: Span) -> Option<Span> {
        let (addr, mut first, mut last) = (u64::from(addr), u64::from(span.first), u64::from(span.last));
        for w in &self.points {
            if w.last < addr {
                first = first.max(w.last + 1);
            } else if w.first > addr {
                last = last.min(w.first - 1);
            } else {
                return None;
            }
        }
        // Both stay between the ends of a span of 32 bits.
        Some(Span {
            first: first as u32,
            last: last as u32,
        })
    }

    fn touched(&mut self, addr: u32, n: u8, write: bool) -> bool {
        let (first, last) = (u64::from(addr), u64::from(addr) + u64::from(n) - 1);
        let mut points = self.points.iter();
        let hit = points.find(|w| w.kind.is_for(write) && w.first <= last && first <= w.last);
        match hit {
            Some(w) if self.hit.is_none() => self.hit = Some((*w, first.max(w.first))),
            _ => return false,
        }
        true
    }
}

impl<B: Bus> Core<B> {
    /// An access of `n` bytes was done; `also` is where it really went, for a bit-band alias. The run stops after the instruction.
    #[inline]
    pub(crate) fn watch(&mut self, addr: u32, n: u8, write: bool, also: Option<u32>) {
        if self.watch.points.is_empty() {
            return;
        }
        let hit = self.watch.touched(addr, n, write) || also.is_some_and(|at| self.watch.touched(at, n, write));
        self.look_up |= hit;
    }
}

impl<B: Bus> Engine<B> {
    /// Sets all breakpoints and watchpoints anew.
    pub fn set_stops(&mut self, breakpoints: impl Iterator<Item = u32>, watchpoints: &[Watchpoint]) {
        let breakpoints: crate::block::Stops = breakpoints.map(|at| at & !1).collect();
        if breakpoints != self.breakpoints {
            self.breakpoints = breakpoints;
            self.cache.clear();
        }
        if watchpoints != self.core.watch.points {
            self.core.watch.points = watchpoints.to_vec();
            self.core.flush_tlb();
        }
        self.core.watch.hit = None;
    }
}

/// The bit-band aliases and the private peripheral bus (ARM ARM B3.1).
const PRIVATE: &[(u64, u64)] = &[
    (0x2200_0000, 0x23ff_ffff),
    (0x4200_0000, 0x43ff_ffff),
    (0xe000_0000, 0xe00f_ffff),
];

impl CpuDebug for CortexM {
    fn set_stops(&mut self, breakpoints: &[u64], watchpoints: &[Watchpoint]) {
        let breakpoints = breakpoints.iter().filter_map(|at| u32::try_from(*at).ok());
        self.engine().set_stops(breakpoints, watchpoints);
    }

    fn has_watch_hit(&mut self) -> bool {
        self.engine().core.watch.has_hit()
    }

    fn take_watch_hit(&mut self) -> Option<(Watchpoint, u64)> {
        self.engine().core.watch.hit.take()
    }

    fn private(&self) -> &'static [(u64, u64)] {
        if self.engine.config().bitband {
            PRIVATE
        } else {
            &PRIVATE[2..]
        }
    }

    fn read_private(&mut self, address: u64, size: u8, sys: &mut System) -> Option<u64> {
        let address = u32::try_from(address).ok()?;
        self.engine().read_private(sys, address, size).map(u64::from)
    }

    fn write_private(&mut self, address: u64, size: u8, value: u64, sys: &mut System) -> bool {
        let Ok(address) = u32::try_from(address) else {
            return false;
        };
        self.engine().write_private(sys, address, size, value as u32)
    }
}

impl<B: Bus> Engine<B> {
    fn read_private(&mut self, bus: &mut B, addr: u32, n: u8) -> Option<u32> {
        self.begin(bus);
        let value = self.core.read(bus, addr, n, true).ok();
        self.core.watch.hit = None;
        value
    }

    fn write_private(&mut self, bus: &mut B, addr: u32, n: u8, value: u32) -> bool {
        self.begin(bus);
        let done = self.core.write(bus, addr, n, value, true).is_ok();
        self.core.watch.hit = None;
        done
    }
}
