//! `cmsdk-apb-dualtimer`: two down-counters with prescalers (DDI 0479, "APB dual-input timers"), a close relative of the SP804.
//!
//! Where QEMU differs: a write to TIMERxLOAD there makes a running periodic timer a one-shot; here ONESHOT alone decides that.

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
    name: "cmsdk-apb-dualtimer",
    summary: "Arm CMSDK APB dual timer",
    regions: &[Region::mmio32("cmsdk-apb-dualtimer", 0x1000, &regs::TABLE)],
    lines: &[Line::out("TIMINTC"), Line::out("TIMINT1"), Line::out("TIMINT2")],
    clocks: &["TIMCLK"],
    roles: &[role!(DualTimer as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
const TIMINTC: LineId = 0;
const TIMINT1: LineId = 1;
const TIMINT2: LineId = 2;
const EXPIRY: TimerIndex = 0;

/// The device.
struct DualTimer {
    state: State,
}

fn create(_: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let state = State::new(build.clock_hz(0));
    Ok(Box::new(DualTimer { state }))
}

impl DualTimer {
    fn sync(&self, cx: &mut Ctx<'_>) {
        let [one, two] = self.state.interrupts();
        cx.set_line(TIMINTC, one || two);
        cx.set_line(TIMINT1, one);
        cx.set_line(TIMINT2, two);
        crate::arm(cx, EXPIRY, self.state.deadline());
    }
}

impl Mmio for DualTimer {
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

impl Device for DualTimer {
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
            return Err(LoadError::Impossible("TIMERxCONTROL or TIMERITOP"));
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
