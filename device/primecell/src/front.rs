//! Stands in for the chardev crate's front-end handle until that crate has it: nothing is connected.

use southbridge_core::{Build, Completion, CreateError, Ctx, Properties};

pub(crate) struct CharFront;

impl CharFront {
    pub(crate) fn attach(_: &Properties, _: &'static str, _: u32, _: &mut Build<'_>) -> Result<Self, CreateError> {
        Ok(Self)
    }
    pub(crate) fn write(&self, data: &[u8], _: &mut Ctx<'_>) -> usize {
        data.len()
    }
    pub(crate) fn set_room(&self, _: usize, _: &mut Ctx<'_>) {}
    pub(crate) fn send_break(&self, _: &mut Ctx<'_>) {}
}

#[allow(dead_code)]
pub(crate) enum CharEvent {
    Data { bytes: Vec<u8> },
    Writable,
    Opened,
    Closed,
    Break,
}

impl CharEvent {
    pub(crate) fn from_completion(_: Completion) -> Option<Self> {
        None
    }
}
