//! `cmsdk-ahb-gpio`: sixteen pins of the Cortex-M System Design Kit (DDI 0479, "AHB GPIO").
//!
//! QEMU has a hole where this is. Alternate functions are kept but lead nowhere: the board has nothing there.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, Properties, Region, ResetPhase,
    SavedState, role,
};
use state::State;

/// The type. `PORTOUT` is a pin's level if it is an output, else low.
pub static TYPE: DeviceType = DeviceType {
    name: "cmsdk-ahb-gpio",
    summary: "Arm CMSDK AHB GPIO",
    regions: &[Region::mmio32("cmsdk-ahb-gpio", 0x1000, &regs::TABLE)],
    lines: &[
        Line::out("COMBINT"),
        Line::outs("GPIOINT", regs::PINS),
        Line::outs("PORTOUT", regs::PINS),
        Line::inputs("PORTIN", regs::PINS),
    ],
    roles: &[role!(Gpio as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
const COMBINT: LineId = 0;
const GPIOINT: LineId = 1;
const PORTOUT: LineId = GPIOINT + regs::PINS;

/// The device.
struct Gpio {
    state: State,
}

fn create(_: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    Ok(Box::new(Gpio { state: State::new(0) }))
}

impl Gpio {
    fn sync(&self, cx: &mut Ctx<'_>) {
        let (interrupts, driven) = (self.state.interrupts(), self.state.driven());
        cx.set_line(COMBINT, interrupts != 0);
        for pin in 0..regs::PINS {
            cx.set_line(GPIOINT + pin, interrupts >> pin & 1 != 0);
            cx.set_line(PORTOUT + pin, driven >> pin & 1 != 0);
        }
    }
}

impl Mmio for Gpio {
    fn read(&mut self, access: Access, _: &mut Ctx<'_>) -> u64 {
        self.state.read(access.offset).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let low = if access.lanes & 1 != 0 { 0x00ff } else { 0 };
        let high = if access.lanes & 2 != 0 { 0xff00 } else { 0 };
        self.state.write(access.offset, value as u16, low | high);
        self.sync(cx);
    }
}

impl Device for Gpio {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state.reset(),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.state)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        // Every value of every field is one that the device can have.
        self.state = saved.read(VERSION)?;
        Ok(())
    }

    fn on_line(&mut self, pin: LineId, level: bool, cx: &mut Ctx<'_>) {
        self.state.set_input(pin, level);
        self.sync(cx);
    }
}
