//! `ssi-sd`: the socket that puts an SD card on an SSI bus.
//!
//! Selected while its line `ssi-gpio-cs` is low, as cards are. The line is the board's and survives a reset. A slot without a medium
//! answers every command with "illegal", as QEMU's does.

mod state;
#[cfg(test)]
mod tests;

use southbridge_bus_sd::{SdCard, SdResponse};
use southbridge_bus_ssi::SsiTarget;
use southbridge_core::{
    BusDecl, BusKind, Category, Ctx, Device, DeviceId, DeviceType, Line, LineId, LoadError, PropKind, Property,
    ResetPhase, SavedState, role,
};

use state::{Card, State};

const VERSION: u32 = 1;
const SD_BUS: usize = 0;

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "ssi-sd",
    bus: BusKind::Ssi,
    category: Category::Storage,
    summary: "SD card slot on an SSI bus",
    properties: &[Property {
        name: "cs",
        kind: PropKind::Uint(8),
        default: Some("0"),
        help: "number of its chip select on the bus",
    }],
    lines: &[Line::input("ssi-gpio-cs")],
    buses: &[BusDecl {
        name: "sd-bus",
        kind: BusKind::Sd,
    }],
    roles: &[role!(SsiSd as dyn SsiTarget)],
    create: |_, _| {
        Ok(Box::new(SsiSd {
            line: false,
            state: State::new(),
        }))
    },
    ..DeviceType::BASE
};

/// An SSI to SD adapter.
pub struct SsiSd {
    /// Level of the chip-select line.
    line: bool,
    state: State,
}

/// The card in the slot, while a byte is transferred.
struct Slot<'a, 'c> {
    card: Option<DeviceId>,
    cx: &'a mut Ctx<'c>,
}

impl Slot<'_, '_> {
    fn call<T>(&mut self, none: T, f: impl FnOnce(&mut (dyn SdCard + 'static), &mut Ctx<'_>) -> T) -> T {
        self.card
            .and_then(|id| self.cx.with_role::<dyn SdCard, _>(id, f))
            .unwrap_or(none)
    }
}

impl Card for Slot<'_, '_> {
    fn command(&mut self, index: u8, argument: u32) -> SdResponse {
        self.call(SdResponse::None, |c, cx| c.command(index, argument, true, cx))
    }
    fn read_byte(&mut self) -> u8 {
        self.call(0, |c, cx| c.read_byte(cx))
    }
    fn write_byte(&mut self, byte: u8) {
        self.call((), |c, cx| c.write_byte(byte, cx));
    }
    fn data_ready(&mut self) -> bool {
        self.call(false, |c, _| c.data_ready())
    }
    fn receive_ready(&mut self) -> bool {
        self.call(false, |c, _| c.receive_ready())
    }
}

impl SsiTarget for SsiSd {
    fn transfer(&mut self, word: u32, cx: &mut Ctx<'_>) -> u32 {
        let card = cx.children(SD_BUS).first().map(|(id, _)| *id);
        self.state.transfer(word as u8, &mut Slot { card, cx }).into()
    }

    fn select(&mut self, selected: bool, _: &mut Ctx<'_>) {
        self.line = !selected;
    }

    fn is_selected(&self) -> bool {
        !self.line
    }
}

impl Device for SsiSd {
    fn reset(&mut self, phase: ResetPhase, _: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.state = State::new();
        }
    }

    fn save(&self) -> SavedState {
        let Self { line, state } = self;
        SavedState::of(VERSION, &(line, state))
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let (line, state): (bool, State) = state.read(VERSION)?;
        state.check()?;
        *self = Self { line, state };
        Ok(())
    }

    fn on_line(&mut self, _: LineId, level: bool, _: &mut Ctx<'_>) {
        self.line = level;
    }
}
