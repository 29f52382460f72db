//! Who gets what: devices that take input, in order, and the calls by which people and programs give it.

use southbridge_core::host::{Backend, BackendId, Completion, Host, HostCx, HostEvent};
use southbridge_core::{Build, Ctx, DeviceId};
use std::sync::{Arc, Weak};
use thiserror::Error;

use crate::event::{Button, InputEvent, Kinds, Leds, Step};
use crate::keys::Key;
use crate::queue::{MOST_WAITING, TOKEN_NOW, TOKEN_QUEUED, encode};

/// How long a key is held unless somebody says otherwise, and how long until the next one.
pub const DEFAULT_HOLD_MS: u32 = 10;

/// Part of a machine with several screens: the display device that stands there, and which of its outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Id of the display device.
    pub display: String,
    /// Its output.
    pub head: u32,
}

/// Why input went nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InputError {
    /// No device takes events of a kind.
    #[error("no input device here takes '{0}' events")]
    NoHandler(&'static str),
    /// No device has that number.
    #[error("there is no mouse {0}")]
    NoMouse(i64),
    /// The device of that number is none.
    #[error("'{0}' is no mouse")]
    NotAMouse(&'static str),
}

struct Handler {
    device: DeviceId,
    port: u32,
    name: &'static str,
    kinds: Kinds,
    /// Number for people; counts from 1 and is never given again.
    number: u32,
    seat: Option<Seat>,
    alive: Weak<()>,
}

/// A device that moves the guest's pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mouse {
    /// What it is.
    pub name: &'static str,
    /// Its number.
    pub number: u32,
    /// It gets the events.
    pub current: bool,
    /// It takes positions, not movements.
    pub absolute: bool,
}

/// The input of a machine: there is one. Devices attach with [`InputFront`]; the first in order that takes a kind of event gets it.
///
/// It decides on the host's side who gets an event, and what it decides reaches the device as a completion: so a recorded run has all.
#[derive(Default)]
pub struct Input {
    /// In the order of who is asked first.
    handlers: Vec<Handler>,
    given: u32,
    buttons: u32,
    leds: Leds,
}

impl Backend for Input {
    fn on_host(&mut self, _event: HostEvent, _cx: &mut HostCx<'_>) {}
}

/// The input of a machine that has devices for it, with the context it works in.
pub fn of(host: &mut Host) -> Option<(&mut Input, HostCx<'_>)> {
    let id = host.find::<Input>()?;
    host.get(id)
}

impl Input {
    fn forget_the_dead(&mut self) {
        self.handlers.retain(|h| h.alive.strong_count() > 0);
    }

    fn find(&self, kinds: Kinds, seat: Option<&Seat>) -> Option<usize> {
        let takes = |h: &Handler| h.kinds.intersects(kinds);
        let own = seat.and_then(|seat| {
            self.handlers
                .iter()
                .position(|h| h.seat.as_ref() == Some(seat) && takes(h))
        });
        own.or_else(|| self.handlers.iter().position(|h| h.seat.is_none() && takes(h)))
    }

    /// Gives events of one moment.
    ///
    /// # Errors
    /// Nothing is sent if no device takes one of them.
    pub fn send(&mut self, seat: Option<&Seat>, events: &[InputEvent], cx: &mut HostCx<'_>) -> Result<(), InputError> {
        self.forget_the_dead();
        for event in events {
            if self.find(event.kind(), seat).is_none() {
                return Err(InputError::NoHandler(event.kind().name()));
            }
        }
        let steps: Vec<Step> = events.iter().map(|e| Step::Event(*e)).chain([Step::Sync]).collect();
        self.route(seat, &steps, cx);
        Ok(())
    }

    /// Gives steps without waits; those that no device takes are dropped. A sync goes to all that got something before it.
    pub fn route(&mut self, seat: Option<&Seat>, steps: &[Step], cx: &mut HostCx<'_>) {
        self.forget_the_dead();
        let mut parts: Vec<(usize, Vec<Step>)> = Vec::new();
        for step in steps.iter().take(MOST_WAITING) {
            match step {
                Step::Event(event) => {
                    let Some(to) = self.find(event.kind(), seat) else {
                        continue;
                    };
                    let event = Step::Event(event.normal());
                    match parts.iter_mut().find(|p| p.0 == to) {
                        Some((_, part)) => part.push(event),
                        None => parts.push((to, vec![event])),
                    }
                }
                Step::Sync => {
                    for (_, part) in &mut parts {
                        if part.last() != Some(&Step::Sync) {
                            part.push(Step::Sync);
                        }
                    }
                }
                Step::Wait { .. } => {}
            }
        }
        for (to, part) in parts {
            self.post(to, TOKEN_NOW, &part, cx);
        }
    }

    /// Presses keys one after another and lets them go in the other order, each step `hold_ms` after the one before
    /// ([`DEFAULT_HOLD_MS`] if 0). What was sent before in this way is finished first.
    pub fn send_keys(&mut self, keys: &[Key], hold_ms: u32, cx: &mut HostCx<'_>) {
        self.forget_the_dead();
        let Some(to) = self.find(Kinds::KEY, None) else { return };
        let ms = if hold_ms == 0 { DEFAULT_HOLD_MS } else { hold_ms };
        let step = |key: &Key, down| {
            let key = key.normal();
            [
                Step::Event(InputEvent::Key { key, down }),
                Step::Sync,
                Step::Wait { ms },
            ]
        };
        let down = keys.iter().map(|k| step(k, true));
        let up = keys.iter().rev().map(|k| step(k, false));
        let steps: Vec<Step> = down.chain(up).flatten().collect();
        self.post(to, TOKEN_QUEUED, &steps, cx);
    }

    fn post(&self, to: usize, token: u64, steps: &[Step], cx: &mut HostCx<'_>) {
        let Some(h) = self.handlers.get(to) else { return };
        let completion = Completion {
            port: h.port,
            token,
            result: 0,
            data: encode(steps),
            fds: Vec::new(),
        };
        cx.post(h.device, completion);
    }

    /// Presses and lets go buttons, so that those of `state` are pressed: bit 0 left, bit 1 right, bit 2 middle.
    pub fn set_buttons(&mut self, state: u32, cx: &mut HostCx<'_>) {
        let changed = self.buttons ^ state;
        let all = [(1, Button::Left), (4, Button::Middle), (2, Button::Right)];
        let events = all
            .into_iter()
            .filter(|(bit, _)| changed & bit != 0)
            .map(|(bit, button)| {
                Step::Event(InputEvent::Button {
                    button,
                    down: state & bit != 0,
                })
            });
        let steps: Vec<Step> = events.chain([Step::Sync]).collect();
        self.buttons = state;
        self.route(None, &steps, cx);
    }

    /// Devices that move the pointer, the one asked last first.
    pub fn mice(&mut self) -> Vec<Mouse> {
        self.forget_the_dead();
        let is = |h: &&Handler| h.kinds.intersects(Kinds::REL | Kinds::ABS);
        let mice = self.handlers.iter().filter(is).enumerate();
        let mut mice: Vec<Mouse> = mice
            .map(|(i, h)| Mouse {
                name: h.name,
                number: h.number,
                current: i == 0,
                absolute: h.kinds.contains(Kinds::ABS),
            })
            .collect();
        mice.reverse();
        mice
    }

    /// Lets a mouse get the events from now on.
    ///
    /// # Errors
    /// There is none with that number.
    pub fn choose_mouse(&mut self, number: i64) -> Result<(), InputError> {
        self.forget_the_dead();
        let found = self.handlers.iter().position(|h| i64::from(h.number) == number);
        let i = found.ok_or(InputError::NoMouse(number))?;
        if !self.handlers[i].kinds.intersects(Kinds::REL | Kinds::ABS) {
            return Err(InputError::NotAMouse(self.handlers[i].name));
        }
        self.handlers[..=i].rotate_right(1);
        Ok(())
    }

    /// What the guest shows on its keyboards.
    pub fn leds(&self) -> Leds {
        self.leds
    }

    fn place(&self, front: &InputFront) -> Option<usize> {
        self.handlers.iter().position(|h| h.number == front.number)
    }
}

/// What a device keeps that takes input. Dropping it takes the device out.
#[derive(Debug)]
pub struct InputFront {
    backend: BackendId,
    number: u32,
    _alive: Arc<()>,
}

impl InputFront {
    /// Attaches the device to the machine's input, behind all others. Completions come with that `port`, for
    /// [`InputQueue::arrived`](crate::InputQueue::arrived).
    pub fn attach(build: &mut Build<'_>, port: u32, name: &'static str, kinds: Kinds, seat: Option<Seat>) -> Self {
        let (device, backend) = (build.me(), build.only_backend::<Input>());
        let alive = Arc::new(());
        let mut number = 0;
        if let Some((input, _)) = build.backend::<Input>(backend) {
            input.given = input.given.saturating_add(1);
            number = input.given;
            input.handlers.push(Handler {
                device,
                port,
                name,
                kinds,
                number,
                seat,
                alive: Arc::downgrade(&alive),
            });
        }
        Self {
            backend,
            number,
            _alive: alive,
        }
    }

    /// The guest uses the device: it is asked before all others from now on.
    pub fn activate(&self, cx: &mut Ctx<'_>) {
        if let Some((input, _)) = cx.backend::<Input>(self.backend)
            && let Some(i) = input.place(self)
        {
            input.handlers[..=i].rotate_right(1);
        }
    }

    /// The guest no longer uses it: it is asked last.
    pub fn deactivate(&self, cx: &mut Ctx<'_>) {
        if let Some((input, _)) = cx.backend::<Input>(self.backend)
            && let Some(i) = input.place(self)
        {
            input.handlers[i..].rotate_left(1);
        }
    }

    /// Shows lights.
    pub fn set_leds(&self, leds: Leds, cx: &mut Ctx<'_>) {
        if let Some((input, _)) = cx.backend::<Input>(self.backend) {
            input.leds = leds;
        }
    }
}
