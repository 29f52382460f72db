//! Keys, buttons and pointers from outside.

use southbridge_backend_input::{self as input, Axis, Button, Input, InputEvent, Key, Seat, TouchKind};
use southbridge_core::HostCx;
use southbridge_protocol_qmp::Error;

use super::{Result, refuse};
use crate::Cx;
use crate::schema::{
    InputAxis, InputButton, InputEvent as Told, InputMoveEvent, InputMultiTouchType, InputSendEventArgs, KeyValue,
    MouseInfo, SendKeyArgs,
};

/// Works with the machine's input; `None` if no device takes any.
pub(crate) fn with<T>(cx: &mut Cx<'_>, f: impl FnOnce(&mut Input, &mut HostCx<'_>) -> T) -> Option<T> {
    let (input, mut host) = input::of(&mut cx.machine.sys.host)?;
    Some(f(input, &mut host))
}

pub(super) fn query_mice(cx: &mut Cx<'_>) -> Result<Vec<MouseInfo>> {
    let mice = with(cx, |input, _| input.mice()).unwrap_or_default();
    Ok(mice
        .into_iter()
        .map(|m| MouseInfo {
            name: m.name.into(),
            index: m.number.into(),
            current: m.current,
            absolute: m.absolute,
        })
        .collect())
}

fn key(value: &KeyValue) -> Key {
    match value {
        KeyValue::Number(n) => Key::of_number(n.data),
        KeyValue::Qcode(k) => Key::named(k.data.name()).unwrap_or(Key::UNMAPPED),
    }
}

/// Keys at a machine that stands still are lost, as on one that is switched off.
pub(super) fn send_key(cx: &mut Cx<'_>, args: SendKeyArgs) -> Result<()> {
    let keys: Vec<Key> = args.keys.iter().map(key).collect();
    hold_keys(cx, &keys, args.hold_time.unwrap_or(0))
}

pub(crate) fn hold_keys(cx: &mut Cx<'_>, keys: &[Key], hold_time: i64) -> Result<()> {
    let Ok(hold) = u32::try_from(hold_time) else {
        return refuse(format!("'hold-time' is milliseconds from 0 to {}", u32::MAX));
    };
    if cx.machine.is_running() {
        with(cx, |input, host| input.send_keys(keys, hold, host));
    }
    Ok(())
}

fn axis(axis: InputAxis) -> Axis {
    match axis {
        InputAxis::X => Axis::X,
        InputAxis::Y => Axis::Y,
    }
}

fn button(button: InputButton) -> Button {
    match button {
        InputButton::Left => Button::Left,
        InputButton::Middle => Button::Middle,
        InputButton::Right => Button::Right,
        InputButton::WheelUp => Button::WheelUp,
        InputButton::WheelDown => Button::WheelDown,
        InputButton::Side => Button::Side,
        InputButton::Extra => Button::Extra,
        InputButton::WheelLeft => Button::WheelLeft,
        InputButton::WheelRight => Button::WheelRight,
        InputButton::Touch => Button::Touch,
    }
}

fn number(value: i64, member: &str) -> Result<i32> {
    i32::try_from(value).or_else(|_| refuse(format!("'{member}' cannot be {value}; it takes a number of 32 bits")))
}

fn moved(m: &InputMoveEvent) -> Result<(Axis, i32)> {
    Ok((axis(m.axis), number(m.value, "value")?))
}

fn event(told: &Told) -> Result<InputEvent> {
    Ok(match told {
        Told::Key(k) => InputEvent::Key {
            key: key(&k.data.key),
            down: k.data.down,
        },
        Told::Btn(b) => InputEvent::Button {
            button: button(b.data.button),
            down: b.data.down,
        },
        Told::Rel(m) => {
            let (axis, value) = moved(&m.data)?;
            InputEvent::Rel { axis, value }
        }
        Told::Abs(m) => {
            let (axis, value) = moved(&m.data)?;
            InputEvent::Abs { axis, value }
        }
        Told::Mtt(t) => InputEvent::Touch {
            kind: match t.data.r#type {
                InputMultiTouchType::Begin => TouchKind::Begin,
                InputMultiTouchType::Update => TouchKind::Update,
                InputMultiTouchType::End => TouchKind::End,
                InputMultiTouchType::Cancel => TouchKind::Cancel,
                InputMultiTouchType::Data => TouchKind::Data,
            },
            slot: number(t.data.slot, "slot")?,
            tracking: number(t.data.tracking_id, "tracking-id")?,
            axis: axis(t.data.axis),
            value: number(t.data.value, "value")?,
        },
    })
}

pub(super) fn input_send_event(cx: &mut Cx<'_>, args: InputSendEventArgs) -> Result<()> {
    let seat = match args.device {
        Some(display) => {
            let Some(head) = args.head.map_or(Some(0), |h| u32::try_from(h).ok()) else {
                return refuse("'head' is an output of the display, counted from 0");
            };
            if !cx
                .machine
                .sys
                .devices()
                .any(|(_, s)| s.id.as_deref() == Some(display.as_str()))
            {
                return refuse(format!("there is no device '{display}'"));
            }
            Some(Seat { display, head })
        }
        None => None,
    };
    let events = args.events.iter().map(event).collect::<Result<Vec<_>>>()?;
    if !cx.machine.is_running() {
        return refuse("the machine does not run");
    }
    let none = || {
        Err(input::InputError::NoHandler(
            events.first().map_or("any", |e| e.kind().name()),
        ))
    };
    match with(cx, |input, host| input.send(seat.as_ref(), &events, host)) {
        None if events.is_empty() => Ok(()),
        sent => sent.unwrap_or_else(none).map_err(|e| Error::generic(e.to_string())),
    }
}
