//! `sd-card` (and `sd-card-spi`, QEMU's name for the same in SPI mode): an SD memory card.
//!
//! It speaks the SPI-mode command set; a host on the SD lines proper gets no answer and a log entry. There is no block back end yet:
//! without a medium the card is as QEMU's without a drive and answers nothing. [`SdCard::insert`] gives it one. Not there: write-protect
//! groups (CMD28 to CMD30), passwords (CMD42) and CMD56, which are refused as illegal and logged.

mod medium;
mod regs;
mod state;
#[cfg(test)]
pub(crate) mod tests;

use southbridge_bus_sd::{SdCard as SdCardRole, SdResponse};
use southbridge_core::{
    Build, BusKind, Category, CreateError, Ctx, Device, DeviceType, LoadError, PropKind, Properties, Property,
    ResetPhase, SavedState, role,
};

pub use medium::{Medium, MemoryMedium};
pub(crate) use regs::{BLOCK, STATE_SHIFT, STATE_TRANSFER, Status};
use state::{Answer, State};

const VERSION: u32 = 1;

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "sd-card",
    ..BASE
};

/// The same under the name that QEMU gives to a card in SPI mode.
pub static TYPE_SPI: DeviceType = DeviceType {
    name: "sd-card-spi",
    ..BASE
};

const BASE: DeviceType = DeviceType {
    bus: BusKind::Sd,
    category: Category::Storage,
    summary: "SD memory card",
    user_creatable: true,
    properties: &[Property {
        name: "drive",
        kind: PropKind::Str,
        default: None,
        help: "what the card stores its blocks on; there is no block back end yet",
    }],
    roles: &[role!(SdCard as dyn SdCardRole)],
    create: SdCard::create,
    ..DeviceType::BASE
};

/// An SD card.
pub struct SdCard {
    medium: Option<Box<dyn Medium>>,
    state: State,
}

impl SdCard {
    fn create(p: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        if let Some(drive) = p.str("drive") {
            return Err(CreateError::BadValue {
                property: "drive",
                value: drive.to_owned(),
                expected: "no drive at all: there is no block back end yet".into(),
            });
        }
        Ok(Box::new(Self {
            medium: None,
            state: State::new(0),
        }))
    }

    /// Puts a medium in (or takes it out); the card starts anew. Only whole blocks of 512 bytes are used.
    pub fn insert(&mut self, medium: Option<Box<dyn Medium>>) {
        self.medium = medium.filter(|m| m.size() >= BLOCK);
        self.state = State::new(self.size());
    }

    fn size(&self) -> u64 {
        self.medium.as_ref().map_or(0, |m| m.size())
    }
}

impl SdCardRole for SdCard {
    fn command(&mut self, index: u8, argument: u32, spi: bool, cx: &mut Ctx<'_>) -> SdResponse {
        let Some(medium) = &mut self.medium else {
            return SdResponse::None;
        };
        if !spi {
            cx.unimplemented(format_args!("CMD{index} on the SD lines: only SPI mode is modelled"));
            return SdResponse::None;
        }
        let before = if index == 0 { 0 } else { self.state.number() };
        match self.state.command(index, argument, medium.as_mut()) {
            Answer::Status => SdResponse::Short(self.state.take_status(before)),
            Answer::Word(word) => SdResponse::Short(word),
            Answer::Illegal => {
                match index {
                    28..=30 | 42 | 56 => cx.unimplemented(format_args!("CMD{index}")),
                    _ => cx.guest_error(format_args!("CMD{index} is no command in state {before}")),
                }
                SdResponse::None
            }
        }
    }

    fn read_byte(&mut self, _: &mut Ctx<'_>) -> u8 {
        self.medium.as_mut().map_or(0, |m| self.state.next_byte(m.as_mut()))
    }

    fn write_byte(&mut self, byte: u8, _: &mut Ctx<'_>) {
        if let Some(m) = &mut self.medium {
            self.state.take_byte(byte, m.as_mut());
        }
    }

    fn data_ready(&self) -> bool {
        self.state.sending()
    }

    fn receive_ready(&self) -> bool {
        self.state.receiving()
    }

    fn inserted(&self) -> bool {
        self.medium.is_some()
    }

    fn read_only(&self) -> bool {
        self.medium.as_ref().is_some_and(|m| m.read_only())
    }
}

impl Device for SdCard {
    fn reset(&mut self, phase: ResetPhase, _: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.state = State::new(self.size());
        }
    }

    fn save(&self) -> SavedState {
        let Self { medium: _, state } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        state.check()?;
        self.state = state;
        Ok(())
    }
}
