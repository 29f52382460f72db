//! Virtual time: one clock per machine, one queue of deadlines ordered by (time, sequence).
//!
//! The clock counts *ticks* of the CPU clock: one per executed instruction, plus those that pass while the CPU sleeps. Nanoseconds are
//! derived from ticks and the frequency, so that two runs agree to the instruction and a guest measures on itself what it would
//! measure on the real part. No other code reads host time.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::DeviceId;

/// A moment of virtual time, in nanoseconds since power-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct VirtualTime(pub u64);

impl VirtualTime {
    /// The moment `d` later; saturates at the end of time (584 years).
    pub fn after(self, d: Duration) -> Self {
        self.after_ns(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The moment `ns` nanoseconds later; saturates.
    pub fn after_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// The moment `ticks` periods of a clock of `hz` later, rounded up; saturates. A stopped clock (0 Hz) never gets there.
    pub fn after_ticks(self, ticks: u64, hz: u64) -> Self {
        if hz == 0 {
            return Self(u64::MAX);
        }
        match ticks.checked_mul(NS as u64) {
            Some(product) => self.after_ns(product.div_ceil(hz)),
            None => {
                let ns = (u128::from(ticks) * NS).div_ceil(u128::from(hz));
                self.after_ns(u64::try_from(ns).unwrap_or(u64::MAX))
            }
        }
    }

    /// Whole periods of a clock of `hz` that fit between `earlier` and `self`; 0 if `earlier` is later.
    pub fn ticks_since(self, earlier: Self, hz: u64) -> u64 {
        let ns = self.0.saturating_sub(earlier.0);
        scale(ns, hz, NS as u64)
    }
}

const NS: u128 = 1_000_000_000;
/// No clock of a saved state is faster, in Hz.
pub(crate) const MAX_HZ: u64 = 1_000_000_000_000;

/// `n * by / divisor`, rounded down; saturates. A 128-bit division is a call that costs more than the rest of a register access.
#[inline]
fn scale(n: u64, by: u64, divisor: u64) -> u64 {
    match n.checked_mul(by) {
        Some(product) => product / divisor,
        None => u64::try_from(u128::from(n) * u128::from(by) / u128::from(divisor)).unwrap_or(u64::MAX),
    }
}

/// How ticks become nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockRate {
    /// The CPU's clock frequency in Hz.
    Hz(u64),
    /// `-icount shift=N`: 2^N nanoseconds an instruction, whatever the board's clock says.
    Shift(u8),
}

/// The machine's clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Clock {
    rate: ClockRate,
    ticks: u64,
    executed: u64,
    anchor_ticks: u64,
    anchor_ns: u64,
}

impl Clock {
    /// A clock at time zero.
    pub fn new(rate: ClockRate) -> Self {
        Self {
            rate,
            ticks: 0,
            executed: 0,
            anchor_ticks: 0,
            anchor_ns: 0,
        }
    }

    /// Now, in virtual time.
    #[inline]
    pub fn now(&self) -> VirtualTime {
        let ticks = self.ticks - self.anchor_ticks;
        match self.rate {
            ClockRate::Shift(n) => VirtualTime(self.anchor_ns.saturating_add(ticks.saturating_mul(1 << n))),
            ClockRate::Hz(hz) => VirtualTime(self.anchor_ns.saturating_add(scale(ticks, NS as u64, hz.max(1)))),
        }
    }

    /// CPU clock ticks since power-on: executed instructions plus slept ticks.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Executed instructions since power-on.
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// The rate in force.
    pub fn rate(&self) -> ClockRate {
        self.rate
    }

    /// CPU clock in Hz; under `Shift` the equivalent.
    pub fn hz(&self) -> u64 {
        match self.rate {
            ClockRate::Hz(hz) => hz,
            ClockRate::Shift(n) => 1_000_000_000 >> n.min(29),
        }
    }

    /// The CPU has executed `n` more instructions.
    #[inline]
    pub fn consume(&mut self, n: u64) {
        self.ticks = self.ticks.saturating_add(n);
        self.executed = self.executed.saturating_add(n);
    }

    /// Whether a clock that was read from a saved state can go on: ordered, with a rate that exists, and far from the end of time.
    pub(crate) fn is_possible(&self) -> bool {
        const FAR: u64 = 1 << 62;
        let rate = match self.rate {
            ClockRate::Hz(hz) => (1..=MAX_HZ).contains(&hz),
            ClockRate::Shift(n) => n <= 10,
        };
        rate && self.executed <= self.ticks && self.anchor_ticks <= self.ticks && self.ticks < FAR && self.now().0 < FAR
    }

    /// Changes the CPU's frequency from now on. `-icount` stays as the user said.
    pub fn set_hz(&mut self, hz: u64) {
        if let ClockRate::Hz(_) = self.rate {
            self.anchor_ns = self.now().0;
            self.anchor_ticks = self.ticks;
            self.rate = ClockRate::Hz(hz.max(1));
        }
    }

    /// Sets the meaning of a tick from now on.
    pub fn set_rate(&mut self, rate: ClockRate) {
        self.anchor_ns = self.now().0;
        self.anchor_ticks = self.ticks;
        self.rate = rate;
    }

    /// Ticks until the clock shows `deadline` or later; 0 if it does already.
    pub fn ticks_until(&self, deadline: VirtualTime) -> u64 {
        let Some(ns) = deadline.0.checked_sub(self.anchor_ns) else {
            return 0;
        };
        let ticks = match self.rate {
            ClockRate::Shift(n) => ns.div_ceil(1 << n),
            ClockRate::Hz(hz) => match ns.checked_mul(hz) {
                Some(product) => product.div_ceil(NS as u64),
                None => u64::try_from((u128::from(ns) * u128::from(hz)).div_ceil(NS)).unwrap_or(u64::MAX),
            },
        };
        ticks.saturating_sub(self.ticks - self.anchor_ticks)
    }

    /// Sleeps until `deadline`: ticks pass, no instruction is executed.
    pub fn sleep_until(&mut self, deadline: VirtualTime) {
        self.ticks = self.ticks.saturating_add(self.ticks_until(deadline));
        self.reanchor();
    }

    /// Sleeps for `ticks`.
    pub fn sleep_ticks(&mut self, ticks: u64) {
        self.ticks = self.ticks.saturating_add(ticks);
        self.reanchor();
    }

    /// Moves the anchor forward by whole seconds, so that products stay far from overflow without losing a fraction of a tick.
    fn reanchor(&mut self) {
        if let ClockRate::Hz(hz) = self.rate {
            let seconds = (self.ticks - self.anchor_ticks) / hz.max(1);
            self.anchor_ticks += seconds * hz.max(1);
            self.anchor_ns = self.anchor_ns.saturating_add(seconds.saturating_mul(1_000_000_000));
        }
    }
}

/// A counter of the board that counts at a fixed rate and that CPUs and devices read alike (RISC-V's `mtime`). Software may set it;
/// what is kept is how far it is from virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timebase {
    /// Counts a second.
    pub hz: u64,
    /// What the counter is ahead of virtual time, in counts, wrapping.
    pub offset: u64,
}

impl Timebase {
    /// A counter that shows 0 at time zero.
    pub const fn new(hz: u64) -> Self {
        Self { hz, offset: 0 }
    }

    /// What it shows at a moment.
    #[inline]
    pub fn at(&self, now: VirtualTime) -> u64 {
        scale(now.0, self.hz, NS as u64).wrapping_add(self.offset)
    }

    /// Lets it show `value` from now on.
    pub fn set(&mut self, now: VirtualTime, value: u64) {
        self.offset = value.wrapping_sub(scale(now.0, self.hz, NS as u64));
    }

    /// The first moment at which it shows `value` or more, by unsigned comparison; `now` if it does already, the end of time if that
    /// is further away than time reaches.
    pub fn reaches(&self, value: u64, now: VirtualTime) -> VirtualTime {
        let Some(left) = value.checked_sub(self.at(now)).filter(|left| *left > 0) else {
            return now;
        };
        // From where it stands: the distance from zero would wrap for a counter that was set back and a value near the end.
        let counts = u128::from(scale(now.0, self.hz, NS as u64)) + u128::from(left);
        let ns = (counts * NS).div_ceil(u128::from(self.hz.max(1)));
        VirtualTime(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

impl Default for Timebase {
    /// 10 MHz, the usual rate of RISC-V boards.
    fn default() -> Self {
        Self::new(10_000_000)
    }
}

/// A timer of a device, by the device's own numbering.
pub type TimerIndex = u16;

/// All armed timers of a machine.
#[derive(Debug, Default)]
pub struct TimerQueue {
    queue: BTreeMap<(VirtualTime, u64), (DeviceId, TimerIndex)>,
    armed: BTreeMap<(DeviceId, TimerIndex), (VirtualTime, u64)>,
    sequence: u64,
}

impl TimerQueue {
    /// Arms (or moves) a timer.
    pub fn set(&mut self, device: DeviceId, timer: TimerIndex, deadline: VirtualTime) {
        self.cancel(device, timer);
        let key = (deadline, self.sequence);
        self.sequence += 1;
        self.queue.insert(key, (device, timer));
        self.armed.insert((device, timer), key);
    }

    /// Disarms a timer; nothing happens if it was not armed.
    pub fn cancel(&mut self, device: DeviceId, timer: TimerIndex) {
        if let Some(key) = self.armed.remove(&(device, timer)) {
            self.queue.remove(&key);
        }
    }

    /// Disarms all timers of a device.
    pub fn cancel_all(&mut self, device: DeviceId) {
        let range = (device, TimerIndex::MIN)..=(device, TimerIndex::MAX);
        let timers: Vec<_> = self.armed.range(range).map(|(k, _)| k.1).collect();
        for timer in timers {
            self.cancel(device, timer);
        }
    }

    /// When a timer is due, if it is armed.
    pub fn deadline(&self, device: DeviceId, timer: TimerIndex) -> Option<VirtualTime> {
        self.armed.get(&(device, timer)).map(|k| k.0)
    }

    /// The earliest deadline. The end of time, to which deadlines saturate, never comes.
    pub fn next(&self) -> Option<VirtualTime> {
        self.queue
            .first_key_value()
            .map(|(k, _)| k.0)
            .filter(|t| *t < VirtualTime(u64::MAX))
    }

    /// Takes the first timer that is due at `now`.
    pub fn pop_due(&mut self, now: VirtualTime) -> Option<(DeviceId, TimerIndex)> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now || entry.key().0 == VirtualTime(u64::MAX) {
            return None;
        }
        let target = entry.remove();
        self.armed.remove(&target);
        Some(target)
    }

    /// All armed timers in the order in which they would fire, for save.
    pub fn list(&self) -> Vec<(VirtualTime, DeviceId, TimerIndex)> {
        self.queue.iter().map(|(k, v)| (k.0, v.0, v.1)).collect()
    }

    /// Forgets all timers, for load.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.armed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_nanoseconds_agree_at_an_awkward_frequency() {
        let mut c = Clock::new(ClockRate::Hz(12_000_007));
        for deadline in [1, 83, 84, 1_000_003, 999_999_999_999] {
            let t = VirtualTime(deadline);
            let n = c.ticks_until(t);
            if n > 0 {
                c.consume(n - 1);
                assert!(c.now() < t, "one tick early is before the deadline");
                c.consume(1);
            }
            assert!(c.now() >= t);
            assert_eq!(c.ticks_until(t), 0);
        }
    }

    #[test]
    fn sleeping_far_does_not_lose_ticks() {
        let mut c = Clock::new(ClockRate::Hz(25_000_000));
        c.sleep_until(VirtualTime(u64::MAX / 2));
        let before = c.now();
        c.consume(25);
        assert_eq!(c.now().0 - before.0, 1000);
    }

    #[test]
    fn a_frequency_change_keeps_time_monotonic() {
        let mut c = Clock::new(ClockRate::Hz(1_000_000));
        c.consume(1000);
        assert_eq!(c.now(), VirtualTime(1_000_000));
        c.set_hz(50_000_000);
        assert_eq!(c.now(), VirtualTime(1_000_000));
        c.consume(50);
        assert_eq!(c.now(), VirtualTime(1_001_000));
    }

    #[test]
    fn a_saved_clock_is_checked() {
        let good = Clock::new(ClockRate::Hz(12_000_000));
        assert!(good.is_possible());
        let bad = |change: fn(&mut Clock)| {
            let mut c = good.clone();
            change(&mut c);
            c.is_possible()
        };
        assert!(!bad(|c| c.anchor_ticks = 1), "anchored later than now");
        assert!(!bad(|c| c.rate = ClockRate::Hz(0)));
        assert!(!bad(|c| c.rate = ClockRate::Shift(64)));
        assert!(!bad(|c| c.ticks = u64::MAX));
        assert!(!bad(|c| c.anchor_ns = u64::MAX));
    }

    #[test]
    fn the_end_of_time_never_comes() {
        let mut q = TimerQueue::default();
        q.set(DeviceId::from_index(0), 0, VirtualTime(u64::MAX));
        assert_eq!(q.next(), None);
        assert_eq!(q.pop_due(VirtualTime(u64::MAX)), None);
        let mut c = Clock::new(ClockRate::Hz(2_000_000_000));
        c.sleep_until(VirtualTime(u64::MAX));
        c.consume(5);
        assert!(c.now() > VirtualTime(u64::MAX / 4));
    }

    #[test]
    fn a_timebase_says_when_it_reaches_a_value() {
        let mut t = Timebase::new(10_000_000);
        let now = VirtualTime(12_345);
        assert_eq!(t.at(now), 123);
        assert_eq!(t.reaches(124, now), VirtualTime(12_400));
        assert_eq!(t.at(VirtualTime(12_399)), 123);
        assert_eq!(t.reaches(5, now), now);
        assert_eq!(t.reaches(u64::MAX, now), VirtualTime(u64::MAX));
        t.set(now, 1000);
        assert_eq!(t.at(now), 1000);
        assert_eq!(t.at(t.reaches(1001, now)), 1001);
        // A counter set back, as by a reset, reaches a value near its end no earlier for that.
        t.set(now, 0);
        assert_eq!(t.reaches(u64::MAX, now), VirtualTime(u64::MAX));
        assert_eq!(t.at(t.reaches(1, now)), 1);
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_they_were_set() {
        let mut q = TimerQueue::default();
        let d = DeviceId::from_index(0);
        q.set(d, 2, VirtualTime(5));
        q.set(d, 1, VirtualTime(5));
        q.set(d, 2, VirtualTime(5)); // moved behind
        assert_eq!(q.pop_due(VirtualTime(4)), None);
        assert_eq!(q.pop_due(VirtualTime(5)), Some((d, 1)));
        assert_eq!(q.pop_due(VirtualTime(5)), Some((d, 2)));
        assert_eq!(q.next(), None);
    }
}
