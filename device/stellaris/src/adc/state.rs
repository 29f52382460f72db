//! The register machine of the converter.

use serde::{Deserialize, Serialize};

use super::regs::*;

/// One sample sequencer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sequencer {
    mux: u32,
    ctl: u32,
    fifo: [u16; 8],
    head: usize,
    tail: usize,
    len: usize,
}

impl Sequencer {
    const EMPTY: Self = Self {
        mux: 0,
        ctl: 0,
        fifo: [0; 8],
        head: 0,
        tail: 0,
        len: 0,
    };

    fn valid(&self, depth: usize) -> bool {
        self.head < depth && self.tail < depth && self.len <= depth && (self.tail + self.len) % depth == self.head
    }

    /// Whether there was room.
    fn push(&mut self, value: u16, depth: usize) -> bool {
        if self.len >= depth {
            return false;
        }
        self.fifo[self.head] = value;
        self.head = (self.head + 1) % depth;
        self.len += 1;
        true
    }

    fn pop(&mut self, depth: usize) -> Option<u16> {
        self.len = self.len.checked_sub(1)?;
        let value = self.fifo[self.tail];
        self.tail = (self.tail + 1) % depth;
        Some(value)
    }

    fn status(&self, depth: usize) -> u32 {
        let flags = match self.len {
            0 => FIFO_EMPTY,
            n if n >= depth => FIFO_FULL,
            _ => 0,
        };
        flags | (self.head as u32) << 4 | self.tail as u32
    }

    /// What the steps do, in their order, up to the one that ends the sequence.
    fn steps(&self, depth: usize) -> impl Iterator<Item = Step> + use<> {
        let (mux, ctl) = (self.mux, self.ctl);
        let mut ended = false;
        (0..depth).map_while(move |i| {
            let step = Step {
                input: mux >> (4 * i) & 3,
                control: ctl >> (4 * i) & 0xf,
                continued: i > 0,
            };
            let was = std::mem::replace(&mut ended, step.control & STEP_END != 0);
            (!was).then_some(step)
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Step {
    input: u32,
    control: u32,
    continued: bool,
}

/// All registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    actss: u32,
    ris: u32,
    im: u32,
    ostat: u32,
    emux: u32,
    ustat: u32,
    sspri: u32,
    sac: u32,
    loopback: bool,
    /// Samples so far, as the loopback mode shows them.
    samples: u32,
    noise: u32,
    sequencer: [Sequencer; SEQUENCERS],
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            actss: 0,
            ris: 0,
            im: 0,
            ostat: 0,
            emux: 0,
            ustat: 0,
            sspri: SSPRI_RESET,
            sac: 0,
            loopback: false,
            samples: 0,
            noise: 0,
            sequencer: [Sequencer::EMPTY; SEQUENCERS],
        }
    }

    /// Whether a loaded state is one that the device can have.
    pub(super) fn valid(&self) -> bool {
        self.sac <= SAC_MAX && self.sequencer.iter().zip(DEPTH).all(|(s, depth)| s.valid(depth))
    }

    /// Level of a sequencer's interrupt.
    pub(super) fn interrupt(&self, n: u16) -> bool {
        self.ris & self.im & 1 << n != 0
    }

    // ----- sampling -------------------------------------------------------------------------------------------------------------

    /// Something happened that EMUX can choose: every active sequencer that chose it runs, by priority.
    pub(super) fn trigger(&mut self, event: u32) {
        self.run(event, self.actss);
    }

    fn run(&mut self, event: u32, which: u32) {
        let mut order = [0, 1, 2, 3];
        order.sort_by_key(|n| self.sspri >> (4 * n) & 3);
        for n in order {
            if which & self.actss & 1 << n != 0 && self.event(n) == event {
                self.run_sequence(n);
            }
        }
    }

    fn event(&self, n: usize) -> u32 {
        self.emux >> (4 * n) & 0xf
    }

    fn run_sequence(&mut self, n: usize) {
        for step in self.sequencer[n].steps(DEPTH[n]) {
            let value = self.sample(step);
            if !self.sequencer[n].push(value, DEPTH[n]) {
                self.ostat |= 1 << n;
            }
            if step.control & STEP_INTERRUPT != 0 {
                self.ris |= 1 << n;
            }
        }
    }

    fn sample(&mut self, step: Step) -> u16 {
        self.samples = self.samples.wrapping_add(1);
        if self.loopback {
            return self.loopback_pattern(step);
        }
        let level = if step.control & STEP_TEMPERATURE != 0 {
            ROOM_TEMPERATURE
        } else {
            // All inputs are open, and their differences nil, which is half of the scale as well.
            IDLE_INPUT
        };
        let count = 1 << self.sac.min(SAC_MAX);
        let sum: u32 = (0..count).map(|_| self.noise()).sum();
        (level + sum / count) as u16
    }

    /// The lowest bits flicker, since there are guests that take them as a source of randomness; the same after each reset.
    fn noise(&mut self) -> u32 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.noise >> 29
    }

    /// Register ADCTMLB: count, continuation, differential, temperature, input.
    fn loopback_pattern(&self, step: Step) -> u16 {
        let bit = |flag: u32, at: u32| u32::from(step.control & flag != 0) << at;
        let pattern = (self.samples & 0xf) << 6
            | u32::from(step.continued) << 5
            | bit(STEP_DIFFERENTIAL, 4)
            | bit(STEP_TEMPERATURE, 3)
            | step.input;
        pattern as u16
    }

    /// How long a round of all sequencers that always sample takes, in nanoseconds. `None` if none does, or another round would show
    /// nothing that the guest cannot see already.
    pub(super) fn round_ns(&self) -> Option<u64> {
        let mut steps = 0;
        let mut news = false;
        for (n, s) in self.sequencer.iter().enumerate() {
            if self.actss & 1 << n != 0 && self.event(n) == EM_ALWAYS {
                steps += s.steps(DEPTH[n]).count() as u64;
                let interrupts = s.steps(DEPTH[n]).any(|step| step.control & STEP_INTERRUPT != 0);
                news |= self.ostat & 1 << n == 0 || s.len < DEPTH[n] || interrupts && self.ris & 1 << n == 0;
            }
        }
        news.then_some((steps << self.sac.min(SAC_MAX)) * SAMPLE_NS)
    }

    // ----- registers --------------------------------------------------------------------------------------------------------------

    /// The sequencer that an offset is in, and the offset in it.
    fn sequencer_of(offset: u64) -> Option<(usize, u64)> {
        let at = offset.checked_sub(SEQUENCER)?;
        let n = usize::try_from(at / SEQUENCER_STRIDE)
            .ok()
            .filter(|n| *n < SEQUENCERS)?;
        Some((n, at % SEQUENCER_STRIDE))
    }

    pub(super) fn read(&mut self, offset: u64) -> u32 {
        if let Some((n, register)) = Self::sequencer_of(offset) {
            return self.read_sequencer(n, register);
        }
        match offset {
            ACTSS => self.actss,
            RIS => self.ris,
            IM => self.im,
            ISC => self.ris & self.im,
            OSTAT => self.ostat,
            EMUX => self.emux,
            USTAT => self.ustat,
            SSPRI => self.sspri,
            SAC => self.sac,
            TMLB => self.loopback.into(),
            _ => 0,
        }
    }

    fn read_sequencer(&mut self, n: usize, register: u64) -> u32 {
        let s = &mut self.sequencer[n];
        match register {
            SSMUX => s.mux,
            SSCTL => s.ctl,
            SSFSTAT => s.status(DEPTH[n]),
            SSFIFO => s.pop(DEPTH[n]).map_or_else(
                || {
                    self.ustat |= 1 << n;
                    0
                },
                u32::from,
            ),
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32) {
        if let Some((n, register)) = Self::sequencer_of(offset) {
            // Each step has a nibble, and each sequencer as many steps as results.
            let nibbles = u32::MAX >> (32 - 4 * DEPTH[n]);
            match register {
                SSMUX => self.sequencer[n].mux = value & 0x3333_3333 & nibbles,
                SSCTL => self.sequencer[n].ctl = value & nibbles,
                _ => {}
            }
            return;
        }
        match offset {
            ACTSS => self.actss = value & 0xf,
            IM => self.im = value & 0xf,
            ISC => self.ris &= !value,
            OSTAT => self.ostat &= !value,
            EMUX => self.emux = value & 0xffff,
            USTAT => self.ustat &= !value,
            SSPRI => self.sspri = value & SSPRI_MASK,
            PSSI => self.run(EM_PROCESSOR, value),
            SAC => self.sac = (value & 7).min(SAC_MAX),
            TMLB => self.loopback = value & 1 != 0,
            _ => {}
        }
    }
}
