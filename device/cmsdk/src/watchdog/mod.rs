//! `cmsdk-apb-watchdog`: the watchdog of the Cortex-M System Design Kit (DDI 0479, "APB watchdog"), a close relative of the SP805.
//!
//! The first time the counter runs out it interrupts, the second time it resets the machine, if it may.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, Properties, Region, ResetPhase,
    SavedState, role,
};
use state::State;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "cmsdk-apb-watchdog",
    summary: "Arm CMSDK APB watchdog",
    regions: &[Region::mmio32("cmsdk-apb-watchdog", 0x1000, &regs::TABLE)],
    lines: &[Line::out("WDOGINT")],
    clocks: &["WDOGCLK"],
    roles: &[role!(Watchdog as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
const WDOGINT: LineId = 0;
const EXPIRY: TimerIndex = 0;

/// The device.
struct Watchdog {
    state: State,
}

fn create(_: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let state = State::new(build.clock_hz(0));
    Ok(Box::new(Watchdog { state }))
}

impl Watchdog {
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        cx.set_line(WDOGINT, self.state.interrupt());
        if self.state.reset_rises() {
            cx.watchdog_expired();
        }
        crate::arm(cx, EXPIRY, self.state.deadline());
    }
}

impl Mmio for Watchdog {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        self.state.advance(cx.now());
        let value = self.state.read(access.offset);
        self.sync(cx);
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.state.advance(cx.now());
        if self.state.refuses(access.offset) {
            cx.guest_error(format_args!("write at offset {:#x} while locked", access.offset));
        }
        self.state.write(access.offset, value as u32, cx.now());
        self.sync(cx);
    }
}

impl Device for Watchdog {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(cx.clock_hz(0)),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.state)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let state: State = saved.read(VERSION)?;
        if !state.valid() {
            return Err(LoadError::Impossible("WDOGCONTROL, WDOGITCR or WDOGITOP"));
        }
        self.state = state;
        Ok(())
    }

    fn on_timer(&mut self, _: TimerIndex, cx: &mut Ctx<'_>) {
        self.state.advance(cx.now());
        self.sync(cx);
    }

    fn on_clock(&mut self, _: usize, hz: u64, cx: &mut Ctx<'_>) {
        self.state.advance(cx.now());
        self.state.set_hz(hz, cx.now());
        self.sync(cx);
    }
}
