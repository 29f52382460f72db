//! The events: what happened at a keyboard, a pointer or a touch screen, apart from any device that shows it to a guest.

use serde::{Deserialize, Serialize};

use crate::keys::Key;

/// Least value of an absolute position.
pub const ABS_MIN: i32 = 0;
/// Largest value of an absolute position: the right or lower edge.
pub const ABS_MAX: i32 = 0x7fff;
/// Lowest number of a touch and its slot.
pub const SLOT_MIN: i32 = 0;
/// Highest number of a touch and its slot.
pub const SLOT_MAX: i32 = 10;

bitflags::bitflags! {
    /// Kinds of events; also which of them a device takes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Kinds: u8 {
        /// Keys.
        const KEY = 1;
        /// Buttons and wheels of a pointer.
        const BUTTON = 2;
        /// Movements.
        const REL = 4;
        /// Positions.
        const ABS = 8;
        /// Touches, several at a time.
        const TOUCH = 16;
    }
}

impl Kinds {
    /// The word of the protocol for a single kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::KEY => "key",
            Self::BUTTON => "btn",
            Self::REL => "rel",
            Self::ABS => "abs",
            Self::TOUCH => "mtt",
            _ => "several",
        }
    }
}

/// A button of a pointer; one tick of a wheel is one, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Button {
    /// Left.
    Left,
    /// Middle, or the wheel pressed.
    Middle,
    /// Right.
    Right,
    /// Wheel away from the user.
    WheelUp,
    /// Wheel to the user.
    WheelDown,
    /// First extra one.
    Side,
    /// Second extra one.
    Extra,
    /// Wheel to the left.
    WheelLeft,
    /// Wheel to the right.
    WheelRight,
    /// Something touches the screen or pad.
    Touch,
}

/// An axis of a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Axis {
    /// To the right.
    X,
    /// Downward.
    Y,
}

/// What a touch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TouchKind {
    /// It begins.
    Begin,
    /// It goes on; data follow.
    Update,
    /// It ends.
    End,
    /// It ends and was not meant.
    Cancel,
    /// Its position on one axis.
    Data,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputEvent {
    /// A key.
    Key {
        /// Which.
        key: Key,
        /// Pressed or let go.
        down: bool,
    },
    /// A button.
    Button {
        /// Which.
        button: Button,
        /// Pressed or let go.
        down: bool,
    },
    /// A movement.
    Rel {
        /// Along which axis.
        axis: Axis,
        /// How far, in the pointer's own steps.
        value: i32,
    },
    /// A position.
    Abs {
        /// On which axis.
        axis: Axis,
        /// Where, from [`ABS_MIN`] to [`ABS_MAX`].
        value: i32,
    },
    /// A touch.
    Touch {
        /// What it does.
        kind: TouchKind,
        /// Its slot, from [`SLOT_MIN`] to [`SLOT_MAX`].
        slot: i32,
        /// Its number while it lasts; -1 when it is over.
        tracking: i32,
        /// Axis of the position.
        axis: Axis,
        /// The position.
        value: i32,
    },
}

impl InputEvent {
    /// Its kind.
    pub const fn kind(self) -> Kinds {
        match self {
            Self::Key { .. } => Kinds::KEY,
            Self::Button { .. } => Kinds::BUTTON,
            Self::Rel { .. } => Kinds::REL,
            Self::Abs { .. } => Kinds::ABS,
            Self::Touch { .. } => Kinds::TOUCH,
        }
    }

    pub(crate) fn normal(self) -> Self {
        match self {
            Self::Key { key, down } => Self::Key {
                key: key.normal(),
                down,
            },
            other => other,
        }
    }
}

/// A step of what a device is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// This happened.
    Event(InputEvent),
    /// All that happened at one moment has been told.
    Sync,
    /// The next step comes this much later, in virtual time.
    Wait {
        /// Milliseconds.
        ms: u32,
    },
}

bitflags::bitflags! {
    /// Lights of a keyboard.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Leds: u8 {
        /// Scroll Lock.
        const SCROLL = 1;
        /// Num Lock.
        const NUM = 2;
        /// Caps Lock.
        const CAPS = 4;
    }
}
