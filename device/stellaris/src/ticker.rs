//! The time base of counters: whole periods of a clock since a moment, handed out once each. It never accumulates rounding, because it
//! counts from one anchor until the clock changes.

use serde::{Deserialize, Serialize};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{Ctx, VirtualTime};

/// Counts the ticks of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Ticker {
    anchor: VirtualTime,
    hz: u64,
    seen: u64,
}

impl Ticker {
    /// Counts from `now` on; 0 Hz is a stopped clock.
    pub(crate) fn start(now: VirtualTime, hz: u64) -> Self {
        Self {
            anchor: now,
            hz,
            seen: 0,
        }
    }

    /// A ticker that stands still.
    pub(crate) fn stopped() -> Self {
        Self::default()
    }

    /// Ticks since the last call (or the start).
    pub(crate) fn advance(&mut self, now: VirtualTime) -> u64 {
        let total = now.ticks_since(self.anchor, self.hz);
        let new = total.saturating_sub(self.seen);
        self.seen = self.seen.max(total);
        new
    }

    /// When `ticks` more will have passed since the last `advance`; `None` is never.
    pub(crate) fn deadline(&self, ticks: u64) -> Option<VirtualTime> {
        let at = self.anchor.after_ticks(self.seen.saturating_add(ticks), self.hz);
        (at.0 != u64::MAX).then_some(at)
    }
}

/// Arms a timer, or disarms it; leaves it alone if it is right already, so that reading a counter does not stir the queue.
pub(crate) fn arm(cx: &mut Ctx<'_>, timer: TimerIndex, deadline: Option<VirtualTime>) {
    if cx.timer_deadline(timer) == deadline {
        return;
    }
    match deadline {
        Some(t) => cx.set_timer(timer, t),
        None => cx.cancel_timer(timer),
    }
}

/// Where a counter stands that counts down to 0 and then, one tick later, starts again at `reload`, after `ticks` more; and how often
/// it reached 0 on the way.
pub(crate) fn count_down(count: u32, reload: u32, ticks: u64) -> (u32, u64) {
    let first = ticks_to_zero(count, reload);
    let period = u64::from(reload) + 1;
    // The counter as ticks that are left until 0, in a period.
    let (left, zeros) = if ticks < first {
        (first - ticks, 0)
    } else {
        let beyond = ticks - first;
        ((period - beyond % period) % period, 1 + beyond / period)
    };
    // A counter at 0 has a whole period before it; it still reads 0 until the first tick.
    let stands = if ticks == 0 { u64::from(count) } else { left };
    (u32::try_from(stands).unwrap_or(u32::MAX), zeros)
}

/// Ticks until such a counter is (again) 0; never none.
pub(crate) fn ticks_to_zero(count: u32, reload: u32) -> u64 {
    if count == 0 {
        u64::from(reload) + 1
    } else {
        u64::from(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule, tick by tick.
    fn slowly(mut count: u32, reload: u32, ticks: u64) -> (u32, u64) {
        let mut zeros = 0;
        for _ in 0..ticks {
            count = if count == 0 { reload } else { count - 1 };
            zeros += u64::from(count == 0);
        }
        (count, zeros)
    }

    #[test]
    fn counting_in_one_step_agrees_with_counting_tick_by_tick() {
        for count in 0..6 {
            for reload in 0..5 {
                for ticks in 0..20 {
                    assert_eq!(
                        count_down(count, reload, ticks),
                        slowly(count, reload, ticks),
                        "{count} {reload} {ticks}"
                    );
                }
            }
        }
        assert_eq!(count_down(u32::MAX, u32::MAX, u64::from(u32::MAX)), (0, 1));
    }

    #[test]
    fn a_ticker_hands_out_every_tick_once() {
        let mut t = Ticker::start(VirtualTime(5), 3_000_000);
        let mut sum = 0;
        for now in (5..10_000).step_by(7) {
            sum += t.advance(VirtualTime(now));
        }
        assert_eq!(sum, VirtualTime(9_994 + 5).ticks_since(VirtualTime(5), 3_000_000));
        let due = t.deadline(1).expect("the clock runs");
        assert_eq!(t.advance(VirtualTime(due.0 - 1)), 0);
        assert_eq!(t.advance(due), 1);
        assert_eq!(Ticker::stopped().deadline(1), None);
    }
}
