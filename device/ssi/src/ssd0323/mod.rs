//! `ssd0323`: an OLED controller with an OSRAM Pictiva panel of 128 by 64 pixels in 16 shades.
//!
//! Two lines stand beside the bus: `ssi-gpio-cs` selects (high, as QEMU has it), `dc` says whether bytes are data (high) or commands.
//! Both are the board's and survive a reset. The mirroring bits of the remap command depend on how a panel is wired, so they are
//! accepted and do nothing; software for this panel sets the one combination that shows upright. No display back end shows the
//! picture yet; [`Ssd0323::render`] gives it.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_bus_ssi::SsiTarget;
use southbridge_core::{
    BusKind, Category, Ctx, Device, DeviceType, Line, LineId, LoadError, PropKind, Property, ResetPhase, SavedState,
    role,
};

pub use regs::{HEIGHT, WIDTH};
use state::State;

const VERSION: u32 = 1;
const SELECT: LineId = 0;

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "ssd0323",
    bus: BusKind::Ssi,
    category: Category::Display,
    summary: "SSD0323 OLED controller with a 128x64 panel",
    user_creatable: true,
    properties: &[Property {
        name: "cs",
        kind: PropKind::Uint(8),
        default: Some("0"),
        help: "number of its chip select on the bus",
    }],
    lines: &[Line::input("ssi-gpio-cs"), Line::input("dc")],
    roles: &[role!(Ssd0323 as dyn SsiTarget)],
    create: |_, _| {
        Ok(Box::new(Ssd0323 {
            lines: (false, false),
            state: State::new(),
        }))
    },
    ..DeviceType::BASE
};

/// An SSD0323 with its panel.
pub struct Ssd0323 {
    /// Selected, and data.
    lines: (bool, bool),
    state: State,
}

impl Ssd0323 {
    /// What the panel shows: [`WIDTH`] x [`HEIGHT`] pixels, row by row from the top, 0 (black) to 255.
    pub fn render(&self) -> Vec<u8> {
        self.state.render()
    }
}

impl SsiTarget for Ssd0323 {
    fn transfer(&mut self, word: u32, cx: &mut Ctx<'_>) -> u32 {
        let byte = word as u8;
        if self.lines.1 {
            self.state.data(byte);
        } else if !self.state.command(byte) {
            cx.guest_error(format_args!("no command {byte:#04x}"));
        }
        0
    }

    fn select(&mut self, selected: bool, _: &mut Ctx<'_>) {
        self.lines.0 = selected;
    }

    fn is_selected(&self) -> bool {
        self.lines.0
    }
}

impl Device for Ssd0323 {
    fn reset(&mut self, phase: ResetPhase, _: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.state = State::new();
        }
    }

    fn save(&self) -> SavedState {
        let Self { lines, state } = self;
        SavedState::of(VERSION, &(lines, state))
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let (lines, state): ((bool, bool), State) = state.read(VERSION)?;
        state.check()?;
        *self = Self { lines, state };
        Ok(())
    }

    fn on_line(&mut self, input: LineId, level: bool, _: &mut Ctx<'_>) {
        match input {
            SELECT => self.lines.0 = level,
            _ => self.lines.1 = level,
        }
    }
}
