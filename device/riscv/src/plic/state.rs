//! The PLIC as pure data: registers, gateways, the choice of the most urgent source.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

/// Privilege mode of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Machine,
    Supervisor,
    User,
}

/// One that claims interrupts: a hart in a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) hart: u16,
    pub(crate) mode: Mode,
}

/// What the board chose.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) sources: usize,
    pub(crate) contexts: Vec<Context>,
    pub(crate) most_priority: u32,
    pub(crate) priority_base: u64,
    pub(crate) pending_base: u64,
    pub(crate) enable_base: u64,
    pub(crate) enable_stride: u64,
    pub(crate) context_base: u64,
    pub(crate) context_stride: u64,
}

/// A register, by its own numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Register {
    Priority(usize),
    Pending(usize),
    Enable { context: usize, word: usize },
    Threshold(usize),
    Claim(usize),
}

impl Layout {
    /// Words that hold one bit a source.
    pub(crate) fn words(&self) -> usize {
        self.sources.div_ceil(32)
    }

    pub(crate) fn decode(&self, offset: u64) -> Option<Register> {
        let block = |base: u64, len: u64| offset.checked_sub(base).filter(|at| *at < len);
        let contexts = self.contexts.len() as u64;
        if let Some(at) = block(self.priority_base, self.sources as u64 * 4) {
            return Some(Register::Priority((at / 4) as usize));
        }
        if let Some(at) = block(self.pending_base, self.words() as u64 * 4) {
            return Some(Register::Pending((at / 4) as usize));
        }
        if let Some(at) = block(self.enable_base, contexts * self.enable_stride) {
            let word = (at % self.enable_stride / 4) as usize;
            let context = (at / self.enable_stride) as usize;
            return (word < self.words()).then_some(Register::Enable { context, word });
        }
        let at = block(self.context_base, contexts * self.context_stride)?;
        let context = (at / self.context_stride) as usize;
        match at % self.context_stride {
            0 => Some(Register::Threshold(context)),
            4 => Some(Register::Claim(context)),
            _ => None,
        }
    }

    /// What a priority register takes of a value: the bits that exist, or nothing if it is too high.
    fn priority(&self, value: u32) -> Option<u32> {
        match self.most_priority.checked_add(1) {
            Some(n) if n.is_power_of_two() => Some(value % n),
            None => Some(value),
            Some(_) => (value <= self.most_priority).then_some(value),
        }
    }
}

/// All that the guest can see or influence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    priority: Vec<u32>,
    pending: Vec<u32>,
    /// Sources that some context has claimed and not completed.
    claimed: Vec<u32>,
    /// Of all contexts, `words` each.
    enable: Vec<u32>,
    threshold: Vec<u32>,
}

impl State {
    pub(crate) fn new(l: &Layout) -> Self {
        let contexts = l.contexts.len();
        Self {
            priority: vec![0; l.sources],
            pending: vec![0; l.words()],
            claimed: vec![0; l.words()],
            enable: vec![0; l.words() * contexts],
            threshold: vec![0; contexts],
        }
    }

    pub(crate) fn check(&self, l: &Layout) -> Result<(), LoadError> {
        let fresh = Self::new(l);
        let lens = |s: &Self| [&s.priority, &s.pending, &s.claimed, &s.enable, &s.threshold].map(Vec::len);
        let beyond = |words: &[u32]| {
            let used = l.sources % 32;
            used != 0 && words.last().is_some_and(|w| w >> used != 0)
        };
        let priorities = || self.priority.iter().chain(&self.threshold);
        if lens(self) != lens(&fresh)
            || beyond(&self.pending)
            || beyond(&self.claimed)
            || priorities().any(|p| l.priority(*p) != Some(*p))
        {
            return Err(LoadError::Impossible("plic registers"));
        }
        Ok(())
    }

    /// A source's wire went up.
    pub(crate) fn rise(&mut self, source: usize) {
        if !bit(&self.claimed, source) {
            set_bit(&mut self.pending, source, true);
        }
    }

    /// Every source whose wire is high asks.
    pub(crate) fn sample_all(&mut self, wires: &[u32]) {
        for ((pending, claimed), wire) in self.pending.iter_mut().zip(&self.claimed).zip(wires) {
            *pending |= wire & !claimed;
        }
    }

    /// The source that a context should serve: the highest priority above its threshold, of equals the lowest number; 0 if none.
    pub(crate) fn best(&self, l: &Layout, context: usize) -> usize {
        let words = l.words();
        let enable = self.enable.iter().skip(context * words).take(words);
        let mut best = (self.threshold.get(context).copied().unwrap_or(0), 0);
        for (i, ((pending, claimed), enable)) in self.pending.iter().zip(&self.claimed).zip(enable).enumerate() {
            let mut asking = pending & !claimed & enable;
            while asking != 0 {
                let source = i * 32 + asking.trailing_zeros() as usize;
                asking &= asking - 1;
                let priority = self.priority.get(source).copied().unwrap_or(0);
                if priority > best.0 {
                    best = (priority, source);
                }
            }
        }
        best.1
    }

    pub(crate) fn read(&mut self, l: &Layout, register: Register) -> u32 {
        let word = |words: &[u32], i: usize| words.get(i).copied().unwrap_or(0);
        match register {
            Register::Priority(i) => word(&self.priority, i),
            Register::Pending(i) => word(&self.pending, i),
            Register::Enable { context, word: w } => word(&self.enable, context * l.words() + w),
            Register::Threshold(i) => word(&self.threshold, i),
            Register::Claim(context) => {
                let source = self.best(l, context);
                if source != 0 {
                    set_bit(&mut self.pending, source, false);
                    set_bit(&mut self.claimed, source, true);
                }
                source as u32
            }
        }
    }

    /// Whether the write had an effect.
    pub(crate) fn write(&mut self, l: &Layout, register: Register, value: u32, wires: &[u32]) -> bool {
        let place = match register {
            Register::Pending(_) | Register::Priority(0) => return false,
            Register::Priority(i) => self.priority.get_mut(i),
            Register::Threshold(i) => self.threshold.get_mut(i),
            Register::Enable { context, word } => {
                if let Some(e) = self.enable.get_mut(context * l.words() + word) {
                    *e = value;
                }
                return true;
            }
            Register::Claim(_) => return self.complete(value as usize, l, wires),
        };
        match (place, l.priority(value)) {
            (Some(place), Some(priority)) => {
                *place = priority;
                true
            }
            _ => false,
        }
    }

    fn complete(&mut self, source: usize, l: &Layout, wires: &[u32]) -> bool {
        if source >= l.sources {
            return false;
        }
        if bit(&self.claimed, source) {
            set_bit(&mut self.claimed, source, false);
            if bit(wires, source) {
                set_bit(&mut self.pending, source, true);
            }
        }
        true
    }
}

fn bit(words: &[u32], i: usize) -> bool {
    words.get(i / 32).is_some_and(|w| w >> (i % 32) & 1 != 0)
}

fn set_bit(words: &mut [u32], i: usize, on: bool) {
    if let Some(w) = words.get_mut(i / 32) {
        let mask = 1 << (i % 32);
        *w = if on { *w | mask } else { *w & !mask };
    }
}
