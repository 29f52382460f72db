//! The input of a machine: keys, buttons, movements and touches from monitors and screens, on their way to the guest.
//!
//! [`Input`] knows which devices take what, and decides who gets an event. The device hears of it by a completion, the one door into a
//! machine, and keeps an [`InputQueue`] for keys that are let go later, in virtual time. What an event looks like to the guest
//! (scan codes, HID reports, evdev codes) is the device's business, not done here.

mod event;
mod host;
mod hub;
mod keys;
mod queue;

pub use event::{ABS_MAX, ABS_MIN, Axis, Button, InputEvent, Kinds, Leds, SLOT_MAX, SLOT_MIN, Step, TouchKind};
pub use host::{AbsRange, HostFacts, HostInput, RawEvent};
pub use hub::{DEFAULT_HOLD_MS, Input, InputError, InputFront, Mouse, Seat, of};
pub use keys::{KEYS, Key, KeyFacts, parse_keys};
pub use queue::{Due, InputQueue, MOST_WAITING};
