//! `stellaris-adc`: the analog-to-digital converter of the LM3S6965, with its four sample sequencers and all their triggers.
//!
//! Nothing is connected to the analog inputs: they read half of the scale with a little deterministic noise, and the temperature sensor
//! reads 25 °C. Triggered conversions take no time; only sequencers that always sample are paced.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, Category, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, Properties, Region,
    ResetPhase, SavedState, role,
};

use state::State;

const STATE_VERSION: u32 = 1;
const TIMER: TimerIndex = 0;

/// The device.
pub struct StellarisAdc {
    state: State,
}

impl StellarisAdc {
    fn create(_: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self { state: State::new() }))
    }

    fn sync(&self, cx: &mut Ctx<'_>) {
        for n in 0..regs::SEQUENCERS as u16 {
            cx.set_line(n, self.state.interrupt(n));
        }
        match self.state.round_ns() {
            None => cx.cancel_timer(TIMER),
            // A round that is under way goes on.
            Some(ns) if cx.timer_deadline(TIMER).is_none() => cx.set_timer(TIMER, cx.now().after_ns(ns)),
            Some(_) => {}
        }
    }
}

impl Device for StellarisAdc {
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
        let state: State = state.read(STATE_VERSION)?;
        if !state.valid() {
            return Err(LoadError::Impossible(
                "a FIFO position beyond the FIFO, or too long an average",
            ));
        }
        self.state = state;
        Ok(())
    }

    fn on_timer(&mut self, _: TimerIndex, cx: &mut Ctx<'_>) {
        self.state.trigger(regs::EM_ALWAYS);
        self.sync(cx);
    }

    /// Inputs are declared in the order of EMUX, which counts them from 1. They trigger with their rising edge.
    fn on_line(&mut self, input: LineId, level: bool, cx: &mut Ctx<'_>) {
        if level {
            self.state.trigger(u32::from(input) + 1);
            self.sync(cx);
        }
    }
}

impl Mmio for StellarisAdc {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        let value = self.state.read(access.offset);
        self.sync(cx);
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.state.write(access.offset, value as u32);
        self.sync(cx);
    }
}

/// `stellaris-adc`.
pub static TYPE: DeviceType = DeviceType {
    name: "stellaris-adc",
    category: Category::Misc,
    summary: "Analog-to-digital converter of the LM3S6965",
    regions: &[Region::mmio32("registers", 0x1000, regs::REGISTERS)],
    lines: &[
        Line::outs("irq", regs::SEQUENCERS as u16),
        Line::inputs("comparator", 3),
        Line::input("external"),
        Line::input("timer"),
        Line::inputs("pwm", 3),
    ],
    roles: &[role!(StellarisAdc as dyn Mmio)],
    create: StellarisAdc::create,
    ..DeviceType::BASE
};
