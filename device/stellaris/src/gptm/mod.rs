//! `stellaris-gptm`: the general-purpose timer module of the LM3S6965, two 16-bit timers or one of 32 bits.
//!
//! All modes of the data sheet: one-shot and periodic (with prescaler), real-time clock, edge count, edge time, PWM, and the trigger for
//! the ADC. Not here: stalling while a debugger halts the CPU (time stands still then anyway).

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
const IRQ_A: LineId = 0;
const IRQ_B: LineId = 1;
const TRIGGER: LineId = 2;
const PWM: LineId = 3;

/// The device.
pub struct StellarisGptm {
    state: State,
}

impl StellarisGptm {
    fn create(_: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self { state: State::new() }))
    }

    /// Comes up to now, so that registers read and edges find the counters where they are.
    fn advance(&mut self, cx: &mut Ctx<'_>) {
        if self.state.advance(cx.now()) {
            cx.pulse_line(TRIGGER);
        }
    }

    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ_A, self.state.interrupt_a());
        cx.set_line(IRQ_B, self.state.interrupt_b());
        for n in 0..2u16 {
            cx.set_line(PWM + n, self.state.pwm(n.into()));
            arm(cx, n, self.state.deadline(n.into()));
        }
    }
}

impl Device for StellarisGptm {
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
            return Err(LoadError::Impossible("a timer register is wider than it is"));
        }
        self.state = state;
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

    fn on_line(&mut self, input: LineId, level: bool, cx: &mut Ctx<'_>) {
        self.advance(cx);
        self.state.edge(usize::from(input & 1), level);
        self.sync(cx);
    }
}

impl Mmio for StellarisGptm {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        self.advance(cx);
        self.sync(cx);
        self.state.read(access.offset).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.advance(cx);
        let hz = cx.clock_hz(0);
        self.state.write(access.offset, value as u32, cx.now(), hz);
        self.sync(cx);
    }
}

/// `stellaris-gptm`.
pub static TYPE: DeviceType = DeviceType {
    name: "stellaris-gptm",
    category: Category::Misc,
    summary: "General-purpose timer module of the LM3S6965",
    regions: &[Region::mmio32("registers", 0x1000, regs::REGISTERS)],
    lines: &[
        Line::out("irq"),
        Line::out("irq-b"),
        Line::out("trigger"),
        Line::outs("pwm", 2),
        Line::inputs("ccp", 2),
    ],
    clocks: &["clk"],
    roles: &[role!(StellarisGptm as dyn Mmio)],
    create: StellarisGptm::create,
    ..DeviceType::BASE
};
