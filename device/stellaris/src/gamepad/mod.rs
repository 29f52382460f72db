//! `stellaris-gamepad`: the five push buttons of the EK-LM3S6965 board (its user manual, section "User Push Buttons"): up, down, left,
//! right and select. Each pulls its pin to ground.
//!
//! No registers, one output each: high is released. The host's side is not there yet; an input back end will call
//! [`StellarisGamepad::press`]. QEMU's device of this name is active high and inverted by the board, so pins see the same.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use southbridge_core::{
    Build, Category, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Properties, ResetPhase, SavedState,
};

const STATE_VERSION: u32 = 1;

/// A button of the board; its number is that of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Button {
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Select; the Ctrl key of a keyboard in QEMU.
    Select,
}

const BUTTONS: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct State {
    pressed: [bool; BUTTONS],
}

/// The device.
pub struct StellarisGamepad {
    state: State,
}

impl StellarisGamepad {
    fn create(_: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self {
            state: State::default(),
        }))
    }

    /// A finger comes or goes.
    pub fn press(&mut self, button: Button, down: bool, cx: &mut Ctx<'_>) {
        self.state.pressed[button as usize] = down;
        self.sync(cx);
    }

    fn sync(&self, cx: &mut Ctx<'_>) {
        for (line, pressed) in (0 as LineId..).zip(self.state.pressed) {
            cx.set_line(line, !pressed);
        }
    }
}

impl Device for StellarisGamepad {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::default(),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(STATE_VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.state = state.read(STATE_VERSION)?;
        Ok(())
    }
}

/// `stellaris-gamepad`.
pub static TYPE: DeviceType = DeviceType {
    name: "stellaris-gamepad",
    category: Category::Input,
    summary: "Push buttons of the EK-LM3S6965 board",
    lines: &[Line::outs("button", BUTTONS as u16)],
    create: StellarisGamepad::create,
    ..DeviceType::BASE
};
