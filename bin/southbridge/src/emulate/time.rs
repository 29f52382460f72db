//! `-icount`, `-pace`: how the guest's time runs.

use southbridge_cli::Config;
use southbridge_cli::config::{Pace, Shift};
use southbridge_core::machine::Pacing;
use southbridge_core::{ClockRate, Machine};

/// Sets clock rate and pacing. What the user does not say stays deterministic, with idle spans as long on the wall as in the guest.
pub(crate) fn apply(config: &Config, machine: &mut Machine) {
    machine.sys.rtc_base_ns = super::semihosting::epoch(config).saturating_mul(1_000_000_000);
    if let Some(icount) = &config.icount {
        if let Shift::Fixed(n) = icount.shift.value {
            machine.sys.clock.set_rate(ClockRate::Shift(n));
        }
        machine.pacing = match (icount.align, icount.sleep) {
            (true, _) => Pacing::Wall,
            (_, false) => Pacing::SkipIdle,
            _ => Pacing::PaceIdle,
        };
    }
    if let Some(pace) = &config.pace {
        machine.pacing = match pace.value {
            Pace::Idle => Pacing::PaceIdle,
            Pace::Skip => Pacing::SkipIdle,
            Pace::Wall => Pacing::Wall,
        };
    }
}
