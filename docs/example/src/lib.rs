//! `example-metronome`: a periodic timer with one interrupt, made up for the book's chapter "Writing a device".
//!
//! It is as small as a device can be that still has everything: a type table, a property that can be wrong, registers, a line, an input
//! clock, a timer, reset, save and load.

mod regs;
mod state;

use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind, Properties, Property,
    Region, Registry, ResetPhase, SavedState, role,
};
use state::State;

// ANCHOR: type
/// The type. Parsing of its properties, its help, its place in the address space and its errors all come from this table.
pub static TYPE: DeviceType = DeviceType {
    name: "example-metronome",
    summary: "Periodic timer with one interrupt",
    user_creatable: true,
    properties: &[Property {
        name: "prescale",
        kind: PropKind::Uint(16),
        default: Some("1"),
        help: "input clock periods in one tick of PERIOD, at least 1",
    }],
    regions: &[Region::mmio32("metronome", 0x20, &regs::TABLE)],
    lines: &[Line::out("irq")],
    clocks: &["clk"],
    roles: &[role!(Metronome as dyn Mmio)],
    create: Metronome::create,
    ..DeviceType::BASE
};

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&TYPE);
}
// ANCHOR_END: type

/// Layout of the saved state.
const VERSION: u32 = 1;
/// The only output, by its place in `TYPE.lines`.
const IRQ: LineId = 0;
/// The only timer, by our own numbering.
const BEAT: TimerIndex = 0;

// ANCHOR: device
/// The device: what is fixed, and what reset and save are about.
struct Metronome {
    // Fixed.
    prescale: u64,
    // Volatile.
    state: State,
}

impl Metronome {
    /// A finished device or an error.
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let prescale = p.uint("prescale");
        if prescale == 0 {
            return Err(CreateError::BadValue {
                property: "prescale",
                value: "0".into(),
                expected: "must be at least 1".into(),
            });
        }
        let state = State::new(build.clock_hz(0) / prescale);
        Ok(Box::new(Self { prescale, state }))
    }

    /// Derives every output from the state. Nobody else sets the line or the timer.
    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.interrupt());
        match self.state.deadline() {
            Some(t) => cx.set_timer(BEAT, t),
            None => cx.cancel_timer(BEAT),
        }
    }
}
// ANCHOR_END: device

// ANCHOR: mmio
impl Mmio for Metronome {
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
// ANCHOR_END: mmio

// ANCHOR: lifecycle
impl Device for Metronome {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(cx.clock_hz(0) / self.prescale),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        // Without `..`: a field that is added later must say here whether it is saved.
        let Self { prescale: _, state } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let state: State = saved.read(VERSION)?;
        if !state.valid() {
            return Err(LoadError::Impossible("CTRL"));
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
        self.state.set_hz(hz / self.prescale, cx.now());
        self.sync(cx);
    }
}
// ANCHOR_END: lifecycle
