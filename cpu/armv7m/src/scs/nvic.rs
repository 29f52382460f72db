//! Pending, enabled and active state with priorities of all exceptions (ARM ARM B1.5, B3.4).
//!
//! System exceptions and external interrupts share one number space (exception number; external interrupt n is 16 + n).
//! It does not decide about masking registers: that is `exception.rs`.

use serde::{Deserialize, Serialize};

/// Exception numbers (ARM ARM table B1-4).
#[allow(missing_docs)]
pub mod number {
    pub const RESET: u16 = 1;
    pub const NMI: u16 = 2;
    pub const HARD_FAULT: u16 = 3;
    pub const MEM_MANAGE: u16 = 4;
    pub const BUS_FAULT: u16 = 5;
    pub const USAGE_FAULT: u16 = 6;
    pub const SVCALL: u16 = 11;
    pub const DEBUG_MONITOR: u16 = 12;
    pub const PENDSV: u16 = 14;
    pub const SYSTICK: u16 = 15;
    pub const EXTERNAL: u16 = 16;
}
use number::*;

/// One bit per exception number, 0 to 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set([u64; 4]);

impl Set {
    /// Whether `n` is a member.
    pub fn has(&self, n: u16) -> bool {
        self.0[usize::from(n >> 6) & 3] >> (n & 63) & 1 != 0
    }
    /// Adds or removes `n`.
    pub fn put(&mut self, n: u16, on: bool) {
        let bit = 1u64 << (n & 63);
        let word = &mut self.0[usize::from(n >> 6) & 3];
        *word = if on { *word | bit } else { *word & !bit };
    }
    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }
    /// Members of both.
    pub fn and(&self, other: &Set) -> Set {
        Set([0, 1, 2, 3].map(|i| self.0[i] & other.0[i]))
    }
    /// Calls `f` for each member in rising order.
    #[inline(always)]
    pub fn each(&self, mut f: impl FnMut(u16)) {
        for (w, mut rest) in (0u16..).zip(self.0) {
            while rest != 0 {
                f(w * 64 + rest.trailing_zeros() as u16);
                rest &= rest - 1;
            }
        }
    }
    /// Number of members.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }
}

/// State of the interrupt controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nvic {
    /// May be taken when pending.
    pub enabled: Set,
    /// Wait to be taken.
    pub pending: Set,
    /// Being handled, or preempted.
    pub active: Set,
    /// Level of the external input lines.
    pub level: Set,
    /// Priority bytes, by exception number.
    priority: [[u8; 32]; 8],
    /// AIRCR.PRIGROUP.
    pub prigroup: u8,
}

/// Priority of an exception that is not there: below all others.
pub const IDLE: i16 = 256;

impl Default for Nvic {
    fn default() -> Self {
        let mut enabled = Set::default();
        for n in [NMI, HARD_FAULT, SVCALL, DEBUG_MONITOR, PENDSV, SYSTICK] {
            enabled.put(n, true);
        }
        Nvic {
            enabled,
            pending: Set::default(),
            active: Set::default(),
            level: Set::default(),
            priority: [[0; 32]; 8],
            prigroup: 0,
        }
    }
}

impl Nvic {
    /// The priority byte of exception `n` as written.
    pub fn priority_byte(&self, n: u16) -> u8 {
        self.priority[usize::from(n >> 5) & 7][usize::from(n & 31)]
    }
    /// Sets the priority byte of exception `n` (already masked to the implemented bits).
    pub fn set_priority_byte(&mut self, n: u16, v: u8) {
        self.priority[usize::from(n >> 5) & 7][usize::from(n & 31)] = v;
    }
    /// Priority of `n` with its subpriority: -3 to 255.
    pub fn priority(&self, n: u16) -> i16 {
        match n {
            RESET => -3,
            NMI => -2,
            HARD_FAULT => -1,
            _ => self.priority_byte(n).into(),
        }
    }
    /// The part of a priority that decides about preemption (B1.5.4).
    pub fn group(&self, priority: i16) -> i16 {
        if priority < 0 {
            priority
        } else {
            priority & !((2i16 << (self.prigroup & 7)) - 1)
        }
    }
    /// The pending and enabled exception to take first, with its group priority.
    pub fn best(&self) -> Option<(u16, i16)> {
        let ready = self.pending.and(&self.enabled);
        if ready.is_empty() {
            return None;
        }
        let mut first = (i16::MAX, 0);
        ready.each(|n| first = first.min((self.priority(n), n)));
        Some((first.1, self.group(first.0)))
    }
    /// Group priority of the most urgent active exception; [`IDLE`] without one.
    pub fn active_priority(&self) -> i16 {
        let mut first = IDLE;
        self.active.each(|n| first = first.min(self.priority(n)));
        self.group(first)
    }
    /// An input line changes. A rising edge makes its interrupt pending (B3.4.1).
    pub fn line(&mut self, n: u16, level: bool) {
        if level && !self.level.has(n) {
            self.pending.put(n, true);
        }
        self.level.put(n, level);
    }
    /// The handler of `n` begins.
    pub fn enter(&mut self, n: u16) {
        self.pending.put(n, false);
        self.active.put(n, true);
    }
    /// The handler of `n` ends. A line that is still high makes it pending again.
    pub fn leave(&mut self, n: u16) {
        self.active.put(n, false);
        if self.level.has(n) {
            self.pending.put(n, true);
        }
    }
    /// 32 bits of `set` for the external interrupts from `32 * word` (NVIC_ISER and its family).
    pub fn external_word(set: &Set, word: u32, irqs: u16) -> u32 {
        external(word, irqs)
            .filter(|(_, n)| set.has(*n))
            .map(|(bit, _)| 1 << bit)
            .sum()
    }
    /// NVIC_ISER (`on`) and NVIC_ICER.
    pub fn write_enable(&mut self, word: u32, value: u32, irqs: u16, on: bool) {
        for (_, n) in external(word, irqs).filter(|(bit, _)| value >> bit & 1 != 0) {
            self.enabled.put(n, on);
        }
    }
    /// NVIC_ISPR (`on`) and NVIC_ICPR. Clearing does not outlast a line that is high and not being handled.
    pub fn write_pending(&mut self, word: u32, value: u32, irqs: u16, on: bool) {
        for (_, n) in external(word, irqs).filter(|(bit, _)| value >> bit & 1 != 0) {
            self.pending.put(n, on || (self.level.has(n) && !self.active.has(n)));
        }
    }
}

fn external(word: u32, irqs: u16) -> impl Iterator<Item = (u32, u16)> {
    (0..32u32).filter_map(move |bit| {
        let irq = word.checked_mul(32)?.checked_add(bit)?;
        (irq < irqs.min(240).into()).then_some((bit, EXTERNAL + irq as u16))
    })
}
