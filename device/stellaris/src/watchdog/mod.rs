//! `luminary-watchdog`: the watchdog timer of the LM3S6965. The first time-out interrupts, the second resets the system.
//!
//! A relative of Arm's CMSDK watchdog with other identification, without its integration test registers, with a stall bit (which has no
//! effect: time stands still while a debugger halts the CPU) and an interrupt that cannot be disabled again.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, Category, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, Properties, Region,
    ResetPhase, SavedState, role,
};

use crate::ticker::arm;
use state::State;

const STATE_VERSION: u32 = 1;
const IRQ: LineId = 0;
const RESET: LineId = 1;
const TIMER: TimerIndex = 0;

/// The device.
pub struct LuminaryWatchdog {
    state: State,
}

impl LuminaryWatchdog {
    fn create(_: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self { state: State::new() }))
    }

    fn advance(&mut self, cx: &mut Ctx<'_>) {
        // System control notes the cause; the reset itself comes after this handler.
        if self.state.advance(cx.now()) && cx.watchdog_expired() {
            cx.pulse_line(RESET);
        }
    }

    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.interrupt());
        arm(cx, TIMER, self.state.deadline());
    }
}

impl Device for LuminaryWatchdog {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(STATE_VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.state = state.read(STATE_VERSION)?;
        Ok(())
    }

    fn on_timer(&mut self, _: TimerIndex, cx: &mut Ctx<'_>) {
        self.advance(cx);
        self.sync(cx);
    }

    fn on_clock(&mut self, _: usize, hz: u64, cx: &mut Ctx<'_>) {
        self.advance(cx);
        self.state.set_clock(cx.now(), hz);
        self.sync(cx);
    }
}

impl Mmio for LuminaryWatchdog {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        self.advance(cx);
        self.sync(cx);
        self.state.read(access.offset).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.advance(cx);
        if self.state.locked() && access.offset != regs::LOCK {
            cx.guest_error(format_args!("write at {:#x} while locked has no effect", access.offset));
        }
        let hz = cx.clock_hz(0);
        self.state.write(access.offset, value as u32, cx.now(), hz);
        self.sync(cx);
    }
}

/// `luminary-watchdog`.
pub static TYPE: DeviceType = DeviceType {
    name: "luminary-watchdog",
    category: Category::Misc,
    summary: "Watchdog timer of the LM3S6965",
    regions: &[Region::mmio32("registers", 0x1000, regs::REGISTERS)],
    lines: &[Line::out("irq"), Line::out("reset")],
    clocks: &["WDOGCLK"],
    roles: &[role!(LuminaryWatchdog as dyn Mmio)],
    create: LuminaryWatchdog::create,
    ..DeviceType::BASE
};
