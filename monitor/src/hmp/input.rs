//! Keys and pointers.

use serde_json::json;
use southbridge_backend_input::{Axis, Button, InputEvent, Step, parse_keys};

use super::{Call, Refusal, failed};
use crate::commands::input::{hold_keys, with};

type Done = Result<(), Refusal>;

pub(super) fn sendkey(call: &mut Call<'_, '_>) -> Done {
    let text = call.args.word(0);
    let hold = call.args.number(1).unwrap_or(0);
    match parse_keys(&text) {
        Ok(keys) => Ok(hold_keys(call.cx, &keys, hold.try_into().unwrap_or(i64::MAX))?),
        Err(word) => failed(format!("'{word}' is no key")),
    }
}

/// A number of C: decimal, or hexadecimal after `0x`, with a sign.
fn number(text: &str) -> Option<i32> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
    let n: i64 = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    i32::try_from(if negative { n.checked_neg()? } else { n }).ok()
}

/// At a machine that stands still nothing happens.
fn route(call: &mut Call<'_, '_>, steps: &[Step]) {
    if call.cx.machine.is_running() {
        with(call.cx, |input, host| input.route(None, steps, host));
    }
}

pub(super) fn mouse_move(call: &mut Call<'_, '_>) -> Done {
    let mut distance = [0; 3];
    for (i, d) in distance.iter_mut().enumerate() {
        if let Some(text) = call.args.text(i) {
            *d = number(text).map_or_else(|| failed(format!("'{text}' is no number")), Ok)?;
        }
    }
    let [dx, dy, dz] = distance;
    let moved = |axis, value| Step::Event(InputEvent::Rel { axis, value });
    let mut steps = vec![moved(Axis::X, dx), moved(Axis::Y, dy)];
    if dz != 0 {
        let button = if dz > 0 { Button::WheelUp } else { Button::WheelDown };
        let tick = |down| Step::Event(InputEvent::Button { button, down });
        steps.extend([tick(true), Step::Sync, tick(false)]);
    }
    steps.push(Step::Sync);
    route(call, &steps);
    Ok(())
}

pub(super) fn mouse_button(call: &mut Call<'_, '_>) -> Done {
    let state = call.args.number(0).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    if call.cx.machine.is_running() {
        with(call.cx, |input, host| input.set_buttons(state, host));
    }
    Ok(())
}

pub(super) fn mouse_set(call: &mut Call<'_, '_>) -> Done {
    let index = call.args.number(0).and_then(|n| i64::try_from(n).ok()).unwrap_or(-1);
    match with(call.cx, |input, _| input.choose_mouse(index)) {
        Some(chosen) => chosen.or_else(failed),
        None => failed(format!("there is no mouse {index}")),
    }
}

pub(super) fn mice(call: &mut Call<'_, '_>) -> Done {
    let mice = call.qmp("query-mice", json!({}))?;
    let mice = mice.as_array().cloned().unwrap_or_default();
    if mice.is_empty() {
        call.say(format_args!("No mouse devices connected"));
    }
    for m in mice {
        let mark = if m["current"] == true { '*' } else { ' ' };
        let absolute = if m["absolute"] == true { " (absolute)" } else { "" };
        let name = m["name"].as_str().unwrap_or_default();
        call.say(format_args!("{mark} Mouse #{}: {name}{absolute}", m["index"]));
    }
    Ok(())
}
