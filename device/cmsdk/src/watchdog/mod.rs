//! `cmsdk-apb-watchdog` (DDI 0479, "APB watchdog") and its relative in Stellaris parts, `luminary-watchdog`.
//!
//! The first time the counter runs out it interrupts, the second time it resets the machine, if it may.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use regs::Variant;
use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, Properties, Region, ResetPhase,
    SavedState, role,
};
use state::State;

/// The watchdog of the System Design Kit.
pub static TYPE: DeviceType = DeviceType {
    name: "cmsdk-apb-watchdog",
    summary: "Arm CMSDK APB watchdog",
    regions: &[Region::mmio32("cmsdk-apb-watchdog", 0x1000, &regs::TABLE)],
    lines: &[Line::out("WDOGINT")],
    clocks: &["WDOGCLK"],
    roles: &[role!(Watchdog as dyn Mmio)],
    create: |_, build| create(Variant::Cmsdk, build),
    ..DeviceType::BASE
};

/// The watchdog of Stellaris microcontrollers.
pub static LUMINARY: DeviceType = DeviceType {
    name: "luminary-watchdog",
    summary: "Stellaris watchdog timer",
    regions: &[Region::mmio32("luminary-watchdog", 0x1000, &regs::LUMINARY_TABLE)],
    lines: &[Line::out("WDOGINT")],
    clocks: &["WDOGCLK"],
    roles: &[role!(Watchdog as dyn Mmio)],
    create: |_: &Properties, build| create(Variant::Luminary, build),
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
const WDOGINT: LineId = 0;
const EXPIRY: TimerIndex = 0;

/// The device.
struct Watchdog {
    variant: Variant,
    state: State,
}

fn create(variant: Variant, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let state = State::new(build.clock_hz(0));
    Ok(Box::new(Watchdog { variant, state }))
}

impl Watchdog {
    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(WDOGINT, self.state.interrupt());
        if self.state.reset_out() {
            cx.request_reset();
        }
        crate::arm(cx, EXPIRY, self.state.deadline());
    }
}

impl Mmio for Watchdog {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        self.state.advance(cx.now());
        if access.offset == regs::TEST {
            cx.unimplemented(format_args!("WDTTEST: the watchdog does not stall with the CPU"));
        }
        let value = self.state.read(access.offset, self.variant);
        self.sync(cx);
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.state.advance(cx.now());
        if self.state.refuses(access.offset) {
            cx.guest_error(format_args!("write at offset {:#x} while locked", access.offset));
        } else if access.offset == regs::TEST {
            cx.unimplemented(format_args!("WDTTEST: the watchdog does not stall with the CPU"));
        }
        self.state.write(access.offset, value as u32, self.variant, cx.now());
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
        if !state.valid(self.variant) {
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
