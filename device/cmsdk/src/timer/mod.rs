//! `cmsdk-apb-timer`: the 32-bit down-counter of the Cortex-M System Design Kit (DDI 0479, "APB timer").
//!
//! Beyond what QEMU has, the EXTIN pin works: as enable and as clock.

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
    name: "cmsdk-apb-timer",
    summary: "Arm CMSDK APB timer",
    regions: &[Region::mmio32("cmsdk-apb-timer", 0x1000, &regs::TABLE)],
    lines: &[Line::out("TIMERINT"), Line::input("EXTIN")],
    clocks: &["pclk"],
    roles: &[role!(Timer as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
const TIMERINT: LineId = 0;
const EXPIRY: TimerIndex = 0;

/// The device.
struct Timer {
    state: State,
}

fn create(_: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let state = State::new(build.clock_hz(0));
    Ok(Box::new(Timer { state }))
}

impl Timer {
    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(TIMERINT, self.state.interrupt());
        crate::arm(cx, EXPIRY, self.state.deadline());
    }
}

impl Mmio for Timer {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        self.state.advance(cx.now());
        let value = self.state.read(access.offset);
        self.sync(cx);
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.state.advance(cx.now());
        self.state.write(access.offset, value as u32, cx.now());
        self.sync(cx);
    }
}

impl Device for Timer {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state.reset(cx.clock_hz(0)),
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
            return Err(LoadError::Impossible("CTRL"));
        }
        self.state = state;
        Ok(())
    }

    fn on_line(&mut self, _: LineId, level: bool, cx: &mut Ctx<'_>) {
        self.state.advance(cx.now());
        self.state.set_extin(level, cx.now());
        self.sync(cx);
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
