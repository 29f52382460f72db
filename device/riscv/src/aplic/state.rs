//! An interrupt domain of the APLIC as pure data.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

use super::regs::{self, MsiAddresses, Source};

/// What the board chose.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// With source 0, which does not exist.
    pub(crate) irqs: usize,
    pub(crate) harts: usize,
    pub(crate) priority_mask: u32,
    /// Delivers messages instead of lines.
    pub(crate) msi: bool,
    pub(crate) machine: bool,
}

/// Delivery control of a hart (section 4.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Idc {
    pub(crate) delivery: bool,
    pub(crate) force: bool,
    pub(crate) threshold: u32,
}

/// A message to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) hart: u32,
    pub(crate) guest: u32,
    pub(crate) identity: u32,
}

/// All that the guest can see or influence, but for the wires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) enabled: bool,
    pub(crate) sourcecfg: Vec<u32>,
    sources: Vec<u8>,
    target: Vec<u32>,
    pub(crate) genmsi: u32,
    /// Of the machine level, and what it says for the supervisor level. A supervisor's domain has in the latter what its parent said.
    pub(crate) mmsi: MsiAddresses,
    pub(crate) smsi: MsiAddresses,
    idc: Vec<Idc>,
}

impl State {
    pub(crate) fn new(l: &Layout) -> Self {
        Self {
            enabled: false,
            sourcecfg: vec![0; l.irqs],
            sources: vec![0; l.irqs],
            target: vec![u32::from(!l.msi); l.irqs],
            genmsi: 0,
            mmsi: MsiAddresses::default(),
            smsi: MsiAddresses::default(),
            idc: vec![Idc::default(); l.harts],
        }
    }

    pub(crate) fn check(&self, l: &Layout) -> Result<(), LoadError> {
        let lens = [self.sourcecfg.len(), self.sources.len(), self.target.len()] == [l.irqs; 3];
        let sources = self.sources.iter().all(|s| Source::from_bits(*s).is_some());
        let idc = self.idc.len() == l.harts && self.idc.iter().all(|i| i.threshold & !l.priority_mask == 0);
        let configured = |(cfg, state): (&u32, &u8)| {
            self.mode_of(*cfg).is_some() || state & (Source::PENDING | Source::ENABLED).bits() == 0
        };
        let addresses = [self.mmsi, self.smsi].iter().all(|m| m.high & !regs::CFG_VALID == 0);
        if !(lens && sources && idc && addresses && self.sourcecfg.iter().zip(&self.sources).all(configured)) {
            return Err(LoadError::Impossible("aplic registers"));
        }
        Ok(())
    }

    /// Keeps the wires over a reset: they are the board's.
    pub(crate) fn reset(&mut self, l: &Layout) {
        let wires: Vec<u8> = self.sources.iter().map(|s| s & Source::INPUT.bits()).collect();
        *self = Self {
            sources: wires,
            ..Self::new(l)
        };
    }

    // ----- sources -------------------------------------------------------------------------------------------------------------

    /// The mode of a source that is active in this domain.
    fn mode_of(&self, sourcecfg: u32) -> Option<u32> {
        let mode = sourcecfg & regs::SOURCECFG_MODE;
        (sourcecfg & regs::SOURCECFG_D == 0 && mode != regs::MODE_INACTIVE).then_some(mode)
    }

    fn mode(&self, irq: usize) -> Option<u32> {
        if irq == 0 {
            return None;
        }
        self.mode_of(*self.sourcecfg.get(irq)?)
    }

    pub(crate) fn has(&self, irq: usize, what: Source) -> bool {
        self.sources.get(irq).is_some_and(|s| s & what.bits() == what.bits())
    }

    fn set(&mut self, irq: usize, what: Source, on: bool) {
        if let Some(s) = self.sources.get_mut(irq) {
            *s = if on { *s | what.bits() } else { *s & !what.bits() };
        }
    }

    /// The input as the mode sees it (section 4.5.2, "rectified input value").
    pub(crate) fn rectified(&self, irq: usize) -> bool {
        let input = self.has(irq, Source::INPUT);
        match self.mode(irq) {
            Some(regs::MODE_EDGE_FALL | regs::MODE_LEVEL_LOW) => !input,
            Some(regs::MODE_EDGE_RISE | regs::MODE_LEVEL_HIGH) => input,
            _ => false,
        }
    }

    fn is_level(mode: u32) -> bool {
        matches!(mode, regs::MODE_LEVEL_HIGH | regs::MODE_LEVEL_LOW)
    }

    /// A source's wire changed. (Section 4.7: a level's pending bit is set as it rises and cleared as it falls.)
    pub(crate) fn input(&mut self, irq: usize, level: bool) {
        let before = self.rectified(irq);
        self.set(irq, Source::INPUT, level);
        let after = self.rectified(irq);
        let Some(mode) = self.mode(irq) else { return };
        if after && !before {
            self.set(irq, Source::PENDING, true);
        } else if before && !after && Self::is_level(mode) {
            self.set(irq, Source::PENDING, false);
        }
    }

    /// A write of SOURCECFG. `children` says how many domains there are to delegate to.
    pub(crate) fn configure(&mut self, irq: usize, value: u32, children: u32) {
        let kept = match value & regs::SOURCECFG_D {
            0 => match value & regs::SOURCECFG_MODE {
                mode @ (regs::MODE_DETACHED | regs::MODE_EDGE_RISE..=regs::MODE_LEVEL_LOW) => mode,
                _ => regs::MODE_INACTIVE,
            },
            _ if value & regs::SOURCECFG_CHILD < children => value & (regs::SOURCECFG_D | regs::SOURCECFG_CHILD),
            _ => 0,
        };
        let Some(cfg) = self.sourcecfg.get_mut(irq) else { return };
        *cfg = kept;
        match self.mode(irq) {
            None => self.set(irq, Source::PENDING | Source::ENABLED, false),
            Some(mode) if self.rectified(irq) || Self::is_level(mode) => {
                let on = self.rectified(irq);
                self.set(irq, Source::PENDING, on);
            }
            Some(_) => {}
        }
    }

    /// A write that sets or clears a pending bit (section 4.7).
    pub(crate) fn set_pending(&mut self, l: &Layout, irq: usize, on: bool) {
        let Some(mode) = self.mode(irq) else { return };
        // A level's pending bit is the wire itself where no message carries it away.
        if !Self::is_level(mode) || l.msi && (!on || self.rectified(irq)) {
            self.set(irq, Source::PENDING, on);
        }
    }

    pub(crate) fn set_enabled(&mut self, irq: usize, on: bool) {
        if self.mode(irq).is_some() {
            self.set(irq, Source::ENABLED, on);
        }
    }

    /// One bit for each of 32 sources.
    pub(crate) fn word(&self, word: usize, bit: impl Fn(&Self, usize) -> bool) -> u32 {
        let first = word * 32;
        (0..32)
            .filter(|i| first + i < self.sources.len() && bit(self, first + i))
            .fold(0, |w, i| w | 1 << i)
    }

    pub(crate) fn target(&self, irq: usize) -> u32 {
        self.target.get(irq).copied().unwrap_or(0)
    }

    pub(crate) fn set_target(&mut self, l: &Layout, irq: usize, value: u32) {
        let value = match l.msi {
            true => value & !(1 << 11),
            // Priority 0 means 1 (section 4.5.16.1).
            false => value & !(regs::TARGET_IPRIO | 0x3_ff00) | (value & l.priority_mask).max(1),
        };
        if let Some(t) = self.target.get_mut(irq) {
            *t = value;
        }
    }

    // ----- delivery ------------------------------------------------------------------------------------------------------------

    /// Takes what is to be sent as messages: it is pending no more.
    pub(crate) fn take_messages(&mut self, l: &Layout) -> Vec<Message> {
        if !l.msi || !self.enabled {
            return Vec::new();
        }
        let both = Source::PENDING | Source::ENABLED;
        let ready: Vec<usize> = (1..l.irqs).filter(|irq| self.has(*irq, both)).collect();
        ready
            .into_iter()
            .map(|irq| {
                self.set(irq, Source::PENDING, false);
                let target = self.target(irq);
                let guest = target >> regs::TARGET_GUEST_SHIFT & regs::TARGET_GUEST;
                Message {
                    hart: target >> regs::TARGET_HART_SHIFT,
                    guest: if l.machine { 0 } else { guest },
                    identity: target & regs::TARGET_EIID,
                }
            })
            .collect()
    }

    pub(crate) fn idc(&mut self, hart: usize) -> Option<&mut Idc> {
        self.idc.get_mut(hart)
    }

    /// TOPI of a hart: the most urgent source and its priority; 0 if none is above the threshold.
    pub(crate) fn top(&self, l: &Layout, hart: usize) -> u32 {
        let threshold = self.idc.get(hart).map_or(0, |i| i.threshold);
        let both = Source::PENDING | Source::ENABLED;
        let best = (1..l.irqs)
            .filter(|irq| self.has(*irq, both))
            .map(|irq| (self.target(irq), irq))
            .filter(|(target, _)| (target >> regs::TARGET_HART_SHIFT) as usize == hart)
            .map(|(target, irq)| (target & l.priority_mask, irq as u32))
            .filter(|(priority, _)| threshold == 0 || *priority < threshold)
            .min();
        best.map_or(0, |(priority, irq)| irq << 16 | priority)
    }

    /// A read of CLAIMI.
    pub(crate) fn claim(&mut self, l: &Layout, hart: usize) -> u32 {
        let top = self.top(l, hart);
        let irq = (top >> 16) as usize;
        if top == 0 {
            if let Some(i) = self.idc(hart) {
                i.force = false;
            }
        } else if !self.mode(irq).is_some_and(Self::is_level) {
            // A level stays pending for as long as it is high.
            self.set(irq, Source::PENDING, false);
        }
        top
    }

    /// The interrupt line of a hart.
    pub(crate) fn line(&self, l: &Layout, hart: usize) -> bool {
        let idc = self.idc.get(hart).copied().unwrap_or_default();
        !l.msi && self.enabled && idc.delivery && (idc.force || self.top(l, hart) != 0)
    }
}
