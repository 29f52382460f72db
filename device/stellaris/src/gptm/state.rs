//! The register machine of the timer module. Time is told to it; it knows no queue and no lines.

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use super::regs::*;
use crate::ticker::{Ticker, count_down, ticks_to_zero};

/// One of the two halves; timer A is the whole timer in the 32-bit modes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Half {
    mode: u32,
    load: u32,
    match_value: u32,
    prescale: u32,
    prescale_match: u32,
    /// The counter as of the ticker's last advance.
    count: u32,
    /// Clock periods since the counter's last step.
    prescaled: u32,
    /// The counter at the last edge, in edge-time mode.
    captured: u32,
    ticker: Ticker,
}

/// All registers of the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    cfg: u32,
    ctl: u32,
    imr: u32,
    ris: u32,
    rtc: u32,
    half: [Half; 2],
}

/// What a half is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Idle,
    Down { once: bool },
    Rtc,
    EdgeCount,
    EdgeTime,
    Pwm,
}

impl Half {
    fn new(all_ones: u32) -> Self {
        Self {
            mode: 0,
            load: 0xffff,
            match_value: 0xffff,
            prescale: 0,
            prescale_match: 0,
            count: all_ones,
            prescaled: 0,
            captured: 0,
            ticker: Ticker::stopped(),
        }
    }

    fn valid(&self) -> bool {
        self.load <= 0xffff && self.match_value <= 0xffff && self.prescale <= 0xff && self.prescaled <= 0xff
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            cfg: 0,
            ctl: 0,
            imr: 0,
            ris: 0,
            rtc: 1,
            half: [Half::new(u32::MAX), Half::new(0xffff)],
        }
    }

    /// Whether a loaded state is one that the device can have.
    pub(super) fn valid(&self) -> bool {
        self.cfg <= 7 && self.half.iter().all(Half::valid)
    }

    pub(super) fn interrupt_a(&self) -> bool {
        self.ris & self.imr & INT_A != 0
    }

    pub(super) fn interrupt_b(&self) -> bool {
        self.ris & self.imr & INT_B != 0
    }

    fn job(&self, n: usize) -> Job {
        let mode = self.half[n].mode;
        if self.ctl & (CTL_ENABLE << (8 * n)) == 0 {
            return Job::Idle;
        }
        match (self.cfg, n) {
            // Modes that the sheet reserves here run as the periodic timer, as in QEMU.
            (CFG_32_BIT, 0) => Job::Down {
                once: mode & MR_ONE_SHOT != 0,
            },
            (CFG_RTC, 0) => Job::Rtc,
            (CFG_16_BIT.., _) => Self::job_16_bit(mode),
            _ => Job::Idle,
        }
    }

    fn job_16_bit(mode: u32) -> Job {
        match mode & MR_MODE {
            MR_PERIODIC if mode & MR_PWM != 0 => Job::Pwm,
            MR_ONE_SHOT => Job::Down { once: true },
            MR_PERIODIC => Job::Down { once: false },
            MR_CAPTURE if mode & MR_EDGE_TIME != 0 => Job::EdgeTime,
            MR_CAPTURE => Job::EdgeCount,
            _ => Job::Idle,
        }
    }

    /// Where the counter starts: 32 bits of both halves, or the half's own 16.
    fn reload(&self, n: usize) -> u32 {
        if self.cfg < CFG_16_BIT && n == 0 {
            self.half[1].load << 16 | self.half[0].load
        } else {
            self.half[n].load
        }
    }

    fn match_value(&self, n: usize) -> u32 {
        if self.cfg < CFG_16_BIT && n == 0 {
            self.half[1].match_value << 16 | self.half[0].match_value
        } else {
            self.half[n].match_value
        }
    }

    /// Clock periods for one step of the counter: the prescaler works for 16-bit one-shot and periodic timers only.
    fn divisor(&self, n: usize, job: Job) -> u64 {
        match job {
            Job::Down { .. } if self.cfg >= CFG_16_BIT => u64::from(self.half[n].prescale) + 1,
            _ => 1,
        }
    }

    // ----- time -----------------------------------------------------------------------------------------------------------------

    /// Lets the counters come up to `now`. Whether a time-out with its trigger enabled happened on the way.
    pub(super) fn advance(&mut self, now: VirtualTime) -> bool {
        let a = self.advance_half(0, now);
        let b = self.advance_half(1, now);
        a || b
    }

    fn advance_half(&mut self, n: usize, now: VirtualTime) -> bool {
        let job = self.job(n);
        let divisor = self.divisor(n, job);
        let half = &mut self.half[n];
        let ticks = half.ticker.advance(now).saturating_add(half.prescaled.into());
        half.prescaled = u32::try_from(ticks % divisor).unwrap_or(0);
        let steps = ticks / divisor;
        match job {
            Job::Down { once } => return self.step_down(n, steps, once),
            Job::EdgeTime | Job::Pwm => self.half[n].count = count_down(self.half[n].count, self.reload(n), steps).0,
            Job::Rtc => self.step_rtc(steps),
            Job::Idle | Job::EdgeCount => {}
        }
        false
    }

    fn step_down(&mut self, n: usize, steps: u64, once: bool) -> bool {
        let (count, time_outs) = count_down(self.half[n].count, self.reload(n), steps);
        self.half[n].count = count;
        if time_outs == 0 {
            return false;
        }
        self.ris |= INT_TIME_OUT << (8 * n);
        if once {
            self.half[n].count = 0;
            self.stop(n);
        }
        self.ctl & (CTL_TRIGGER << (8 * n)) != 0
    }

    fn step_rtc(&mut self, seconds: u64) {
        let to_match = self.seconds_to_match();
        if seconds < to_match {
            self.rtc = self.rtc.wrapping_add(seconds as u32);
        } else {
            self.ris |= INT_RTC;
            let period = u64::from(self.match_value(0)) + 1;
            self.rtc = ((seconds - to_match) % period) as u32;
        }
    }

    /// Seconds until the clock leaves its match value for 0.
    fn seconds_to_match(&self) -> u64 {
        u64::from(self.match_value(0).saturating_sub(self.rtc)) + 1
    }

    fn start(&mut self, n: usize, now: VirtualTime, hz: u64) {
        let job = self.job(n);
        let count = self.reload(n);
        let half = &mut self.half[n];
        half.prescaled = 0;
        if job != Job::Rtc {
            half.count = count;
        }
        half.ticker = match job {
            Job::Idle | Job::EdgeCount => Ticker::stopped(),
            // A 32.768 kHz crystal at the CCP pin, divided down to seconds.
            Job::Rtc => Ticker::start(now, 1),
            Job::Down { .. } | Job::EdgeTime | Job::Pwm => Ticker::start(now, hz),
        };
    }

    fn stop(&mut self, n: usize) {
        self.ctl &= !(CTL_ENABLE << (8 * n));
        self.half[n].ticker = Ticker::stopped();
        self.half[n].prescaled = 0;
    }

    /// The clock goes on at `hz`. The caller has advanced to `now`.
    pub(super) fn set_clock(&mut self, now: VirtualTime, hz: u64) {
        for n in 0..2 {
            if matches!(self.job(n), Job::Down { .. } | Job::EdgeTime | Job::Pwm) {
                self.half[n].ticker = Ticker::start(now, hz);
            }
        }
    }

    /// When something happens by itself that shows outside; not what only repeats what is pending already.
    pub(super) fn deadline(&self, n: usize) -> Option<VirtualTime> {
        let half = &self.half[n];
        let job = self.job(n);
        let steps = match job {
            Job::Down { once } => {
                let news =
                    once || self.ris & (INT_TIME_OUT << (8 * n)) == 0 || self.ctl & (CTL_TRIGGER << (8 * n)) != 0;
                news.then(|| ticks_to_zero(half.count, self.reload(n)))
            }
            Job::Rtc => (self.ris & INT_RTC == 0).then(|| self.seconds_to_match()),
            Job::Pwm => self.pwm_change(n),
            Job::Idle | Job::EdgeCount | Job::EdgeTime => None,
        };
        let ticks = steps?.saturating_mul(self.divisor(n, job));
        half.ticker.deadline(ticks.saturating_sub(half.prescaled.into()))
    }

    // ----- pins -----------------------------------------------------------------------------------------------------------------

    /// Level of the PWM output of a half; low if it is not a PWM.
    pub(super) fn pwm(&self, n: usize) -> bool {
        let inverted = self.ctl & (CTL_PWM_INVERT << (8 * n)) != 0;
        self.job(n) == Job::Pwm && (self.half[n].count > self.match_value(n)) != inverted
    }

    /// Steps until the PWM output changes.
    fn pwm_change(&self, n: usize) -> Option<u64> {
        let (count, match_value) = (self.half[n].count, self.match_value(n));
        if count > match_value {
            Some(u64::from(count - match_value))
        } else {
            (self.reload(n) > match_value).then_some(u64::from(count) + 1)
        }
    }

    /// An edge at the capture pin of a half. The caller has advanced to now.
    pub(super) fn edge(&mut self, n: usize, rising: bool) {
        let wanted = match self.ctl >> (CTL_EVENT_SHIFT + 8 * n as u32) & 3 {
            0 => rising,
            1 => !rising,
            3 => true,
            _ => false,
        };
        match self.job(n) {
            Job::EdgeTime if wanted => {
                self.half[n].captured = self.half[n].count;
                self.ris |= INT_CAPTURE_EVENT << (8 * n);
            }
            Job::EdgeCount if wanted => {
                self.half[n].count = self.half[n].count.checked_sub(1).unwrap_or(self.reload(n));
                if self.half[n].count == self.match_value(n) {
                    self.ris |= INT_CAPTURE_MATCH << (8 * n);
                    self.half[n].count = self.reload(n);
                    self.stop(n);
                }
            }
            _ => {}
        }
    }

    // ----- registers ------------------------------------------------------------------------------------------------------------

    /// A register as of the last advance.
    pub(super) fn read(&self, offset: u64) -> u32 {
        match offset {
            CFG => self.cfg,
            TAMR => self.half[0].mode,
            TBMR => self.half[1].mode,
            CTL => self.ctl,
            IMR => self.imr,
            RIS => self.ris,
            MIS => self.ris & self.imr,
            TAILR => self.reload(0),
            TBILR => self.half[1].load,
            TAMATCHR => self.match_value(0),
            TBMATCHR => self.half[1].match_value,
            TAPR => self.half[0].prescale,
            TBPR => self.half[1].prescale,
            TAPMR => self.half[0].prescale_match,
            TBPMR => self.half[1].prescale_match,
            TAR => self.counter(0),
            TBR if self.cfg < CFG_16_BIT => self.counter(0) >> 16,
            TBR => self.counter(1),
            _ => 0,
        }
    }

    fn counter(&self, n: usize) -> u32 {
        match self.cfg {
            CFG_RTC => self.rtc,
            CFG_16_BIT.. if Self::job_16_bit(self.half[n].mode) == Job::EdgeTime => self.half[n].captured,
            _ => self.half[n].count,
        }
    }

    /// A write. The caller has advanced to `now`; `hz` is the clock's frequency.
    pub(super) fn write(&mut self, offset: u64, value: u32, now: VirtualTime, hz: u64) {
        match offset {
            CFG => self.set_cfg(value & 7),
            TAMR => self.half[0].mode = value & MR_WRITABLE,
            TBMR => self.half[1].mode = value & MR_WRITABLE,
            CTL => self.set_ctl(value & CTL_WRITABLE, now, hz),
            IMR => self.imr = value & (INT_A | INT_B),
            ICR => self.ris &= !value,
            TAILR => self.set_load(0, value),
            TBILR => self.set_load(1, value),
            TAMATCHR => {
                self.half[0].match_value = value & 0xffff;
                if self.cfg < CFG_16_BIT {
                    self.half[1].match_value = value >> 16;
                }
            }
            TBMATCHR => self.half[1].match_value = value & 0xffff,
            TAPR => self.half[0].prescale = value & 0xff,
            TBPR => self.half[1].prescale = value & 0xff,
            TAPMR => self.half[0].prescale_match = value & 0xff,
            TBPMR => self.half[1].prescale_match = value & 0xff,
            _ => {}
        }
    }

    fn set_cfg(&mut self, cfg: u32) {
        if cfg == CFG_RTC && self.cfg != CFG_RTC {
            self.rtc = 1;
        }
        self.cfg = cfg;
    }

    /// A running timer goes on from its new start value at once.
    fn set_load(&mut self, n: usize, value: u32) {
        self.half[n].load = value & 0xffff;
        if n == 0 && self.cfg < CFG_16_BIT {
            self.half[1].load = value >> 16;
        }
        if matches!(self.job(n), Job::Down { .. }) {
            self.half[n].count = self.reload(n);
            self.half[n].prescaled = 0;
        }
    }

    fn set_ctl(&mut self, ctl: u32, now: VirtualTime, hz: u64) {
        let changed = self.ctl ^ ctl;
        self.ctl = ctl;
        for n in 0..2 {
            let enable = CTL_ENABLE << (8 * n);
            if changed & enable != 0 && ctl & enable != 0 {
                self.start(n, now, hz);
            } else if changed & enable != 0 {
                self.stop(n);
            }
        }
    }
}
