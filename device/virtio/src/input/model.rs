//! The model: events into one queue, lights out of the other (Virtio 1.3, section 5.8).

use serde::{Deserialize, Serialize};
use southbridge_backend_input::{
    Axis, Button, Due, HostInput, InputEvent, InputFront, InputQueue, Leds, MOST_WAITING, RawEvent, TouchKind,
};
use southbridge_bus_virtio::spec::id;
use southbridge_bus_virtio::{VirtioCx, VirtioModel};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{Completion, LoadError, SavedState};

use super::config::Answers;
use super::regs::*;

const VERSION: u32 = 1;
const EVENTS: u16 = 0;
const STATUS: u16 = 1;
const QUEUE_SIZE: u16 = 64;
/// The model's timer: keys that are let go later.
const LATER: TimerIndex = 0;
/// Bytes before the answer: select, subsel, size, reserved.
const HEADER: usize = 8;

/// Where events come from.
pub(super) enum Source {
    /// The machine's input.
    Machine { front: InputFront, wheel_axis: bool },
    /// A device of the host.
    Host(HostInput),
}

/// Volatile state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    select: u8,
    subsel: u8,
    /// The driver is ready.
    active: bool,
    /// Events of one moment, until its end comes.
    batch: Vec<(u16, u16, i32)>,
    /// So many came that the moment is lost.
    lost: bool,
    queue: InputQueue,
    leds: u8,
}

/// An input device.
pub struct Input {
    answers: Answers,
    source: Source,
    state: State,
}

impl Input {
    pub(super) fn new(answers: Answers, source: Source) -> Self {
        Self {
            answers,
            source,
            state: State::default(),
        }
    }

    /// Collects an event; the guest gets all of a moment or, where it has no buffers for them, none.
    fn send(&mut self, kind: u16, code: u16, value: i32, cx: &mut VirtioCx<'_, '_>) {
        let s = &mut self.state;
        if !s.active {
            return;
        }
        s.lost |= s.batch.len() >= MOST_WAITING;
        if !s.lost {
            s.batch.push((kind, code, value));
        }
        if (kind, code) != (EV_SYN, SYN_REPORT) {
            return;
        }
        let batch = std::mem::take(&mut s.batch);
        if !std::mem::take(&mut s.lost) {
            deliver(&batch, cx);
        }
    }

    fn do_now(&mut self, due: Due, cx: &mut VirtioCx<'_, '_>) {
        for event in due.events {
            match event {
                Some(event) => self.tell(event, cx),
                None => self.send(EV_SYN, SYN_REPORT, 0, cx),
            }
        }
        if let Some(at) = due.timer {
            cx.ctx().set_timer(LATER, at);
        }
    }

    fn tell(&mut self, event: InputEvent, cx: &mut VirtioCx<'_, '_>) {
        match event {
            InputEvent::Key { key, down } => match key.evdev() {
                Some(code) => self.send(EV_KEY, code, down.into(), cx),
                None => unmapped(key.name(), cx),
            },
            InputEvent::Button { button, down } => self.button(button, down, cx),
            InputEvent::Rel { axis, value } => {
                let code = if axis == Axis::X { REL_X } else { REL_Y };
                self.send(EV_REL, code, value, cx);
            }
            InputEvent::Abs { axis, value } => {
                let code = if axis == Axis::X { ABS_X } else { ABS_Y };
                self.send(EV_ABS, code, value, cx);
            }
            InputEvent::Touch {
                kind: TouchKind::Data,
                axis,
                value,
                ..
            } => {
                let code = if axis == Axis::X {
                    ABS_MT_POSITION_X
                } else {
                    ABS_MT_POSITION_Y
                };
                self.send(EV_ABS, code, value, cx);
            }
            InputEvent::Touch { slot, tracking, .. } => {
                self.send(EV_ABS, ABS_MT_SLOT, slot, cx);
                self.send(EV_ABS, ABS_MT_TRACKING_ID, tracking, cx);
            }
        }
    }

    fn button(&mut self, button: Button, down: bool, cx: &mut VirtioCx<'_, '_>) {
        let wheel = matches!(self.source, Source::Machine { wheel_axis: true, .. });
        let code = match button {
            // A tick is one movement of the axis; its end says nothing.
            Button::WheelUp if wheel && down => return self.send(EV_REL, REL_WHEEL, 1, cx),
            Button::WheelDown if wheel && down => return self.send(EV_REL, REL_WHEEL, -1, cx),
            Button::Left => BTN_LEFT,
            Button::Right => BTN_RIGHT,
            Button::Middle => BTN_MIDDLE,
            Button::Side => BTN_SIDE,
            Button::Extra => BTN_EXTRA,
            Button::WheelUp => BTN_GEAR_UP,
            Button::WheelDown => BTN_GEAR_DOWN,
            Button::Touch => BTN_TOUCH,
            Button::WheelLeft | Button::WheelRight => return unmapped("wheel to the side", cx),
        };
        self.send(EV_KEY, code, down.into(), cx);
    }

    /// The guest switches a light on or off, or says something to a device of the host.
    fn status(&mut self, event: RawEvent, cx: &mut VirtioCx<'_, '_>) {
        let front = match &self.source {
            Source::Host(host) => return host.write(event, cx.ctx()),
            Source::Machine { front, .. } => front,
        };
        let led = match (event.kind, event.code) {
            (EV_LED, LED_NUML) => Leds::NUM,
            (EV_LED, LED_CAPSL) => Leds::CAPS,
            (EV_LED, LED_SCROLLL) => Leds::SCROLL,
            (EV_LED, _) => Leds::empty(),
            (kind, _) => return cx.ctx().unimplemented(format_args!("status events of type {kind}")),
        };
        let mut leds = Leds::from_bits_truncate(self.state.leds);
        leds.set(led, event.value != 0);
        self.state.leds = leds.bits();
        front.set_leds(leds, cx.ctx());
    }

    fn set_active(&mut self, active: bool, cx: &mut VirtioCx<'_, '_>) {
        self.state.active = active;
        match &self.source {
            Source::Machine { front, .. } if active => front.activate(cx.ctx()),
            Source::Machine { front, .. } => front.deactivate(cx.ctx()),
            Source::Host(_) => {}
        }
    }
}

fn unmapped(what: &str, cx: &mut VirtioCx<'_, '_>) {
    cx.ctx().unimplemented(format_args!("no event code for '{what}'"));
}

fn deliver(batch: &[(u16, u16, i32)], cx: &mut VirtioCx<'_, '_>) {
    let mut chains = Vec::new();
    for _ in batch {
        match cx.pop(EVENTS) {
            Some(chain) => chains.push(chain),
            None => {
                while let Some(chain) = chains.pop() {
                    cx.unpop(chain);
                }
                return;
            }
        }
    }
    for (chain, (kind, code, value)) in chains.into_iter().zip(batch) {
        let mut event = [0; EVENT_LEN];
        event[..2].copy_from_slice(&kind.to_le_bytes());
        event[2..4].copy_from_slice(&code.to_le_bytes());
        event[4..].copy_from_slice(&value.to_le_bytes());
        let fits = EVENT_LEN.min(usize::try_from(chain.writable_len()).unwrap_or(EVENT_LEN));
        let written = cx.write(&chain, 0, &event[..fits]).map_or(0, |()| fits as u32);
        cx.push(chain, written);
    }
}

impl VirtioModel for Input {
    fn device_id(&self) -> u16 {
        id::INPUT
    }

    fn features(&self) -> u64 {
        0
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; 2]
    }

    /// A selection that there is nothing for reads as zero throughout.
    fn config(&self) -> Vec<u8> {
        let mut config = vec![0; HEADER + self.answers.longest()];
        let (select, subsel) = (self.state.select, self.state.subsel);
        if let Some(answer) = self.answers.get(select, subsel) {
            config[..3].copy_from_slice(&[select, subsel, answer.len() as u8]);
            config[HEADER..HEADER + answer.len()].copy_from_slice(answer);
        }
        config
    }

    fn write_config(&mut self, offset: usize, data: &[u8], _cx: &mut VirtioCx<'_, '_>) {
        for (at, byte) in (offset..).zip(data) {
            match at {
                0 => self.state.select = *byte,
                1 => self.state.subsel = *byte,
                _ => {}
            }
        }
    }

    fn driver_ok(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.set_active(true, cx);
    }

    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>) {
        if self.state.active {
            self.set_active(false, cx);
        }
        cx.ctx().cancel_timer(LATER);
        self.state = State::default();
    }

    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        if queue != STATUS {
            return;
        }
        while let Some(chain) = cx.pop(STATUS) {
            let mut event = [0; EVENT_LEN];
            let len = EVENT_LEN.min(usize::try_from(chain.readable_len()).unwrap_or(EVENT_LEN));
            if cx.read(&chain, 0, &mut event[..len]).is_ok() {
                let [a, b, c, d, value @ ..] = event;
                let told = RawEvent {
                    kind: u16::from_le_bytes([a, b]),
                    code: u16::from_le_bytes([c, d]),
                    value: i32::from_le_bytes(value),
                };
                self.status(told, cx);
            }
            cx.push(chain, 0);
        }
    }

    fn on_timer(&mut self, _timer: TimerIndex, cx: &mut VirtioCx<'_, '_>) {
        let now = cx.ctx().now();
        let due = self.state.queue.due(now);
        self.do_now(due, cx);
    }

    fn on_completion(&mut self, done: Completion, cx: &mut VirtioCx<'_, '_>) {
        match self.source {
            Source::Machine { .. } => {
                let now = cx.ctx().now();
                let due = self.state.queue.arrived(&done, now);
                self.do_now(due, cx);
            }
            Source::Host(_) => {
                for e in HostInput::events(&done) {
                    self.send(e.kind, e.code, e.value, cx);
                }
            }
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        state.queue.check()?;
        if state.batch.len() > MOST_WAITING {
            return Err(LoadError::Impossible("more events of one moment than can be"));
        }
        self.state = state;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.set_active(self.state.active, cx);
        if let Source::Machine { front, .. } = &self.source {
            front.set_leds(Leds::from_bits_truncate(self.state.leds), cx.ctx());
        }
    }

    fn migration_blocker(&self) -> Option<String> {
        matches!(self.source, Source::Host(_)).then(|| "it is an input device of this host".to_owned())
    }
}
