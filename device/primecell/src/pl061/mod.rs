//! `pl061`: Arm's PrimeCell GPIO, and `pl061_luminary`, the one in Stellaris chips with control over its pads.
//!
//! Pins have one output and one input line each: `out` is what the part drives or pulls a pin to, `in` what the board drives. A pin
//! that floats keeps its `out` level. Unlike QEMU's, the part remembers over a reset what the board drives: it is the board's.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind, Properties, Property,
    Region, ResetPhase, SavedState, role,
};

use state::{Pulls, State};

const VERSION: u32 = 1;
const IRQ: LineId = 0;
const OUT: LineId = 1;

/// Arm's part.
pub static TYPE: DeviceType = DeviceType {
    name: "pl061",
    summary: "Arm PrimeCell GPIO (PL061)",
    properties: &[
        pull_property("pullups", "0xff", "pins with a resistor to 1, a bit each"),
        pull_property("pulldowns", "0", "pins with a resistor to 0, a bit each"),
    ],
    regions: &[Region::mmio32("regs", 0x1000, &regs::TABLE)],
    create: |p, b| Pl061::create(false, p, b),
    ..BASE
};

/// The part in Stellaris chips. Its pulls are registers; the properties are resistors on the board, of which by default there are none.
pub static TYPE_LUMINARY: DeviceType = DeviceType {
    name: "pl061_luminary",
    summary: "Arm PrimeCell GPIO (PL061) as in Stellaris chips",
    properties: &[
        pull_property("pullups", "0", "pins with a resistor to 1, a bit each"),
        pull_property("pulldowns", "0", "pins with a resistor to 0, a bit each"),
    ],
    regions: &[Region::mmio32("regs", 0x1000, &regs::TABLE_LUMINARY)],
    create: |p, b| Pl061::create(true, p, b),
    ..BASE
};

const BASE: DeviceType = DeviceType {
    lines: &[Line::out("irq"), Line::outs("out", 8), Line::inputs("in", 8)],
    roles: &[role!(Pl061 as dyn Mmio)],
    ..DeviceType::BASE
};

const fn pull_property(name: &'static str, default: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Uint(8),
        default: Some(default),
        help,
    }
}

/// A PL061.
pub struct Pl061 {
    // Fixed.
    id: &'static [u8; 12],
    pulls: Pulls,
    // Volatile.
    state: State,
}

impl Pl061 {
    fn create(luminary: bool, p: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let (up, down) = (pull(p, "pullups")?, pull(p, "pulldowns")?);
        if up & down != 0 {
            return Err(CreateError::BadValue {
                property: "pulldowns",
                value: format!("{down:#x}"),
                expected: format!("pins that are not in pullups={up:#x}: none may have both"),
            });
        }
        let id = if luminary { &regs::ID_LUMINARY } else { &regs::ID_ARM };
        let pulls = Pulls {
            up,
            down,
            registers: luminary,
        };
        Ok(Box::new(Self {
            id,
            pulls,
            state: State::new(0, pulls),
        }))
    }

    fn sync(&mut self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.interrupt());
        for pin in 0..8 {
            cx.set_line(OUT + pin, self.state.out() >> pin & 1 != 0);
        }
    }
}

fn pull(p: &Properties, name: &'static str) -> Result<u8, CreateError> {
    u8::try_from(p.uint(name)).map_err(|_| CreateError::BadValue {
        property: name,
        value: p.uint(name).to_string(),
        expected: "one bit for each of 8 pins".into(),
    })
}

impl Mmio for Pl061 {
    fn read(&mut self, access: Access, _: &mut Ctx<'_>) -> u64 {
        if let Some(i) = access.offset.checked_sub(regs::PERIPH_ID4) {
            return self.id.get((i / 4) as usize).copied().unwrap_or(0).into();
        }
        self.state.read(access.offset).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        // Registers are 8 bits wide: a write that leaves out the low byte writes nothing.
        if access.lanes & 1 != 0 {
            self.state.write(access.offset, value as u32, self.pulls);
            self.sync(cx);
        }
    }
}

impl Device for Pl061 {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(self.state.pins(), self.pulls),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self { id: _, pulls: _, state } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        state.check()?;
        self.state = state;
        Ok(())
    }

    fn on_line(&mut self, pin: LineId, level: bool, cx: &mut Ctx<'_>) {
        self.state.drive(pin, level, self.pulls);
        self.sync(cx);
    }
}
