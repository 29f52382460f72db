//! `goldfish_rtc`: the real-time clock of the Goldfish platform: nanoseconds since 1970 in two words, and one alarm.
//!
//! It runs on virtual time from the date that the machine was given (`-rtc base=`), so that a run that is repeated reads the same. The
//! date is the one thing that a reset does not change.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind, Properties, Property,
    Region, Register, ResetPhase, SavedState, VirtualTime, role,
};

const VERSION: u32 = 1;
const IRQ: LineId = 0;
const ALARM: TimerIndex = 0;

// Android's platform documentation, GOLDFISH-VIRTUAL-HARDWARE.TXT, section VII; the last four as Linux's driver has them.
const TIME_LOW: u64 = 0x00;
const TIME_HIGH: u64 = 0x04;
const ALARM_LOW: u64 = 0x08;
const ALARM_HIGH: u64 = 0x0c;
const IRQ_ENABLED: u64 = 0x10;
const CLEAR_ALARM: u64 = 0x14;
const ALARM_STATUS: u64 = 0x18;
const CLEAR_INTERRUPT: u64 = 0x1c;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "goldfish_rtc",
    summary: "Goldfish real-time clock",
    properties: &[Property {
        name: "big-endian",
        kind: PropKind::Bool,
        default: Some("off"),
        help: "byte order of the registers",
    }],
    regions: &[Region {
        valid: (4, 4),
        ..Region::mmio32(
            "regs",
            0x24,
            &[
                Register::rw(TIME_LOW, "TIME_LOW"),
                Register::rw(TIME_HIGH, "TIME_HIGH"),
                Register::rw(ALARM_LOW, "ALARM_LOW"),
                Register::rw(ALARM_HIGH, "ALARM_HIGH"),
                Register::rw(IRQ_ENABLED, "IRQ_ENABLED"),
                Register::wo(CLEAR_ALARM, "CLEAR_ALARM"),
                Register::ro(ALARM_STATUS, "ALARM_STATUS"),
                Register::wo(CLEAR_INTERRUPT, "CLEAR_INTERRUPT"),
            ],
        )
    }],
    lines: &[Line::out("irq")],
    roles: &[role!(GoldfishRtc as dyn Mmio)],
    create: GoldfishRtc::create,
    ..DeviceType::BASE
};

/// A Goldfish real-time clock.
pub struct GoldfishRtc {
    // Fixed.
    big_endian: bool,
    // Volatile.
    /// What the clock is ahead of virtual time, in nanoseconds, wrapping; `None` until power-on, when the date is asked for.
    offset: Option<u64>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct State {
    /// The high word at the last read of the low one.
    time_high: u32,
    alarm: u64,
    armed: bool,
    enabled: bool,
    pending: bool,
}

impl GoldfishRtc {
    fn create(p: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self {
            big_endian: p.bool("big-endian"),
            offset: None,
            state: State::default(),
        }))
    }

    fn time(&self, cx: &Ctx<'_>) -> u64 {
        cx.now().0.wrapping_add(self.offset.unwrap_or(0))
    }

    /// The line and the timer follow from the state. An alarm whose time has come by then rings at once.
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        let time = self.time(cx);
        if self.state.armed && self.state.alarm <= time {
            self.state.armed = false;
            self.state.pending = true;
        }
        if self.state.armed {
            let wait = self.state.alarm - time;
            cx.set_timer(ALARM, VirtualTime(cx.now().0.saturating_add(wait)));
        } else {
            cx.cancel_timer(ALARM);
        }
        cx.set_line(IRQ, self.state.enabled && self.state.pending);
    }

    fn set_time(&mut self, change: impl FnOnce(u64) -> u64, cx: &Ctx<'_>) {
        let now = self.time(cx);
        let offset = self.offset.unwrap_or(0);
        self.offset = Some(offset.wrapping_add(change(now).wrapping_sub(now)));
    }

    fn order(&self, value: u32) -> u32 {
        if self.big_endian { value.swap_bytes() } else { value }
    }
}

fn with_low(value: u64, low: u32) -> u64 {
    value & !0xffff_ffff | u64::from(low)
}

fn with_high(value: u64, high: u32) -> u64 {
    value & 0xffff_ffff | u64::from(high) << 32
}

impl Mmio for GoldfishRtc {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        let value = match access.offset {
            TIME_LOW => {
                let time = self.time(cx);
                self.state.time_high = (time >> 32) as u32;
                time as u32
            }
            TIME_HIGH => self.state.time_high,
            ALARM_LOW => self.state.alarm as u32,
            ALARM_HIGH => (self.state.alarm >> 32) as u32,
            IRQ_ENABLED => self.state.enabled.into(),
            ALARM_STATUS => self.state.armed.into(),
            _ => 0,
        };
        self.order(value).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let value = self.order(value as u32);
        let s = &mut self.state;
        match access.offset {
            TIME_LOW => self.set_time(|t| with_low(t, value), cx),
            TIME_HIGH => self.set_time(|t| with_high(t, value), cx),
            ALARM_LOW => {
                s.alarm = with_low(s.alarm, value);
                s.armed = true;
            }
            ALARM_HIGH => s.alarm = with_high(s.alarm, value),
            IRQ_ENABLED => s.enabled = value & 1 != 0,
            CLEAR_ALARM => s.armed = false,
            CLEAR_INTERRUPT => s.pending = false,
            _ => {}
        }
        self.sync(cx);
    }
}

impl Device for GoldfishRtc {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::default(),
            ResetPhase::Hold => {
                if self.offset.is_none() {
                    self.offset = Some(cx.rtc_base_ns());
                }
                self.sync(cx);
            }
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            big_endian: _,
            offset,
            state,
        } = self;
        SavedState::of(VERSION, &(offset, state))
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        (self.offset, self.state) = state.read(VERSION)?;
        Ok(())
    }

    fn on_timer(&mut self, _timer: TimerIndex, cx: &mut Ctx<'_>) {
        self.sync(cx);
    }
}
