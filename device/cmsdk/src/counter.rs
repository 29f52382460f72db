//! The down-counter that the CMSDK timer, dual timer and watchdog share.
//!
//! It counts from its value to 0, rests there for one tick, and goes on from its reload value: a period is reload + 1 ticks (DDI 0479,
//! "APB timer": the reload happens on the tick after zero). Nothing happens between accesses: the value is computed from the time that
//! has passed, and a timer of the machine is armed only where an expiry changes something that others can see. A guest that programs
//! a period of two ticks and leaves the interrupt pending costs nothing.

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

const NS: u128 = 1_000_000_000;

/// What happens at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Run {
    /// Does not count.
    Stopped,
    /// Stays at zero.
    Once,
    /// Goes on from the reload value.
    Repeat,
}

/// A down-counter. Every method that looks at the value wants [`Counter::advance`] to have been called for the present moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter {
    run: Run,
    reload: u32,
    /// Value at `anchor`.
    start: u32,
    anchor: VirtualTime,
    /// Ticks after `anchor` that have been accounted for.
    seen: u64,
    hz: u64,
    divisor: u32,
}

impl Counter {
    /// A stopped counter.
    pub(crate) const fn new(value: u32, reload: u32, hz: u64) -> Self {
        Self {
            run: Run::Stopped,
            reload,
            start: value,
            anchor: VirtualTime(0),
            seen: 0,
            hz,
            divisor: 1,
        }
    }

    /// Brings the counter up to `now`; how often it reached zero since the last call.
    pub(crate) fn advance(&mut self, now: VirtualTime) -> u64 {
        if self.run == Run::Stopped {
            return 0;
        }
        let ns = u128::from(now.0.saturating_sub(self.anchor.0));
        let ticks = ns * u128::from(self.hz) / (NS * u128::from(self.divisor.max(1)));
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX).max(self.seen);
        let before = self.expiries(self.seen);
        self.seen = ticks;
        self.expiries(ticks).saturating_sub(before)
    }

    /// The value now.
    pub(crate) fn value(&self) -> u32 {
        let start = u64::from(self.start);
        if self.run == Run::Stopped || self.seen <= start {
            return (start - self.seen.min(start)) as u32;
        }
        match (self.period(), (self.seen - start).checked_rem(self.period())) {
            (_, None | Some(0)) => 0,
            (period, Some(over)) => (period - over) as u32,
        }
    }

    /// The value that it goes on from.
    pub(crate) fn reload(&self) -> u32 {
        self.reload
    }

    /// Changes the value that it goes on from; the present value stays.
    pub(crate) fn set_reload(&mut self, reload: u32) {
        if reload != self.reload {
            self.rebase();
            self.reload = reload;
        }
    }

    /// Sets the value; its first tick ends a whole period from now.
    pub(crate) fn set_value(&mut self, value: u32, now: VirtualTime) {
        self.start = value;
        self.anchor = now;
        self.seen = 0;
    }

    /// Starts, stops or changes what happens at zero. A counter that runs keeps its phase.
    pub(crate) fn set_run(&mut self, run: Run, now: VirtualTime) {
        match self.run {
            same if same == run => return,
            Run::Stopped => self.set_value(self.start, now),
            _ => self.rebase(),
        }
        self.run = run;
    }

    /// Another clock: `hz / divisor` ticks a second. The value stays.
    pub(crate) fn set_rate(&mut self, hz: u64, divisor: u32, now: VirtualTime) {
        self.set_value(self.value(), now);
        self.hz = hz;
        self.divisor = divisor;
    }

    /// One tick from elsewhere than the clock (an external pin); whether the counter reached zero. For counters that are stopped.
    pub(crate) fn tick(&mut self, run: Run) -> bool {
        match (self.start, run) {
            (0, Run::Repeat) => {
                self.start = self.reload;
                false
            }
            (0, _) => false,
            (n, _) => {
                self.start = n - 1;
                self.start == 0
            }
        }
    }

    /// When it reaches zero next, if ever.
    pub(crate) fn next_expiry(&self) -> Option<VirtualTime> {
        let start = u64::from(self.start);
        if self.run == Run::Stopped || self.hz == 0 {
            return None;
        }
        let tick = if self.seen < start {
            start
        } else {
            let k = (self.seen - start).checked_div(self.period())?.saturating_add(1);
            start.saturating_add(k.saturating_mul(self.period()))
        };
        self.time_of(tick)
    }

    /// Ticks from one zero to the next; 0 if there is no next.
    fn period(&self) -> u64 {
        if self.run == Run::Repeat && self.reload > 0 {
            u64::from(self.reload) + 1
        } else {
            0
        }
    }

    /// How often zero is reached in the first `ticks` ticks.
    fn expiries(&self, ticks: u64) -> u64 {
        let start = u64::from(self.start);
        match ticks.checked_sub(start) {
            None => 0,
            Some(after) => u64::from(start > 0) + after.checked_div(self.period()).unwrap_or(0),
        }
    }

    fn time_of(&self, tick: u64) -> Option<VirtualTime> {
        let ns = u128::from(tick) * NS * u128::from(self.divisor.max(1));
        let ns = ns.div_ceil(u128::from(self.hz.max(1)));
        let end = self.anchor.0.checked_add(u64::try_from(ns).ok()?)?;
        Some(VirtualTime(end))
    }

    /// Moves the anchor to the last tick, so that what follows may change without changing what was.
    fn rebase(&mut self) {
        if self.run != Run::Stopped && self.seen > 0 {
            self.start = self.value();
            self.anchor = self.time_of(self.seen).unwrap_or(VirtualTime(u64::MAX));
            self.seen = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> VirtualTime {
        VirtualTime(ns)
    }

    #[test]
    fn rests_at_zero_for_one_tick_and_reloads() {
        let mut c = Counter::new(2, 3, 1_000_000_000);
        c.set_run(Run::Repeat, at(0));
        let seen: Vec<_> = (1..=10)
            .map(|t| {
                let n = c.advance(at(t));
                (c.value(), n)
            })
            .collect();
        assert_eq!(
            seen,
            [
                (1, 0),
                (0, 1),
                (3, 0),
                (2, 0),
                (1, 0),
                (0, 1),
                (3, 0),
                (2, 0),
                (1, 0),
                (0, 1)
            ]
        );
    }

    #[test]
    fn many_expiries_at_once_are_counted_and_the_next_is_right() {
        let mut c = Counter::new(10, 9, 1_000_000_000);
        c.set_run(Run::Repeat, at(0));
        assert_eq!(c.advance(at(1_000_000)), 1 + 999_990 / 10);
        assert_eq!(c.next_expiry(), Some(at(1_000_010)));
    }

    #[test]
    fn once_stays_at_zero() {
        let mut c = Counter::new(5, 7, 1_000_000_000);
        c.set_run(Run::Once, at(100));
        assert_eq!(c.next_expiry(), Some(at(105)));
        assert_eq!(c.advance(at(200)), 1);
        assert_eq!((c.value(), c.next_expiry()), (0, None));
    }

    #[test]
    fn a_value_of_zero_is_no_expiry_and_reloads() {
        let mut c = Counter::new(0, 4, 1_000_000_000);
        c.set_run(Run::Repeat, at(0));
        assert_eq!((c.advance(at(1)), c.value()), (0, 4));
        assert_eq!(c.next_expiry(), Some(at(5)));
    }

    #[test]
    fn a_slow_odd_clock_does_not_drift() {
        let mut c = Counter::new(9, 9, 7);
        c.set_run(Run::Repeat, at(0));
        c.set_rate(7, 3, at(0));
        let mut n = 0;
        while n < 1000 {
            let t = c.next_expiry().expect("a repeating counter");
            assert_eq!(c.advance(at(t.0 - 1)), 0);
            assert_eq!(c.advance(t), 1);
            n += 1;
        }
        // 999 periods of 10 ticks after the first 9 ticks, at 7/3 Hz.
        let t = c.next_expiry().map(|t| t.0);
        assert_eq!(t, Some(((9 + 1000 * 10) * 3 * 1_000_000_000u64).div_ceil(7)));
    }
}
