//! Saved states as somebody hostile would write them: well-formed, but with values that no device has.
//!
//! Bytes flipped at random are mostly refused as damaged CBOR and never reach a device's own checks. Here the structure is kept and
//! its leaves change.

use ciborium::Value;
use southbridge_core::SavedState;

use crate::Noise;

/// The state with one alteration for every 8 bytes of `edits`: four bytes say where, one what, three with which value.
///
/// A state that is not CBOR comes back as it is.
pub fn damage(state: &SavedState, edits: &[u8]) -> SavedState {
    let Ok(mut value) = ciborium::from_reader::<Value, _>(state.cbor.as_slice()) else {
        return state.clone();
    };
    for [p0, p1, p2, p3, what, v0, v1, v2] in edits.as_chunks::<8>().0 {
        let path = u32::from_le_bytes([*p0, *p1, *p2, *p3]);
        let new = u32::from_le_bytes([*v0, *v1, *v2, 0]);
        descend(&mut value, &mut Noise::new(path.into()), *what, new);
    }
    let mut cbor = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = ciborium::into_writer(&value, &mut cbor);
    SavedState { cbor, ..*state }
}

/// Every child of a structure is as likely as the next, however much it holds.
fn descend(value: &mut Value, path: &mut Noise, what: u8, new: u32) {
    let turn = path.next_u64();
    match value {
        // A state within a state (a device's within a machine's).
        Value::Array(bytes) if bytes.len() > 8 && bytes.iter().all(|b| byte(b).is_some()) && turn & 7 != 0 => {
            inner(bytes, path, what, new);
        }
        Value::Array(items) if !items.is_empty() && turn & 0xf != 0 => {
            let n = items.len() as u64;
            descend(&mut items[((turn >> 8) % n) as usize], path, what, new);
        }
        Value::Array(items) => resize(items, what, new),
        Value::Map(fields) if !fields.is_empty() && turn & 0x3f != 0 => {
            let n = fields.len() as u64;
            descend(&mut fields[((turn >> 8) % n) as usize].1, path, what, new);
        }
        leaf => *leaf = altered(leaf, what, new),
    }
}

fn byte(value: &Value) -> Option<u8> {
    u8::try_from(u128::try_from(value.as_integer()?).ok()?).ok()
}

fn inner(bytes: &mut Vec<Value>, path: &mut Noise, what: u8, new: u32) {
    let raw: Vec<u8> = bytes.iter().filter_map(byte).collect();
    match ciborium::from_reader::<Value, _>(raw.as_slice()) {
        Ok(mut value @ (Value::Map(_) | Value::Array(_))) => {
            descend(&mut value, path, what, new);
            let mut cbor = Vec::new();
            let _ = ciborium::into_writer(&value, &mut cbor);
            *bytes = cbor.into_iter().map(Value::from).collect();
        }
        _ if path.next_u64() & 7 == 0 => resize(bytes, what, new),
        _ => {
            let at = path.next_u64() as usize % bytes.len();
            bytes[at] = altered(&bytes[at], what, new);
        }
    }
}

fn resize(items: &mut Vec<Value>, what: u8, new: u32) {
    let first = items.first().cloned().unwrap_or(Value::from(new));
    match what % 4 {
        0 => items.clear(),
        1 => drop(items.pop()),
        2 => items.push(first),
        _ => items.resize((new & 0xfff) as usize, first),
    }
}

/// What a leaf may become. Numbers stay numbers: other types are refused by every reader.
fn altered(old: &Value, what: u8, new: u32) -> Value {
    match (old, what) {
        (Value::Bool(b), 0..=247) => Value::from(!b),
        (Value::Integer(n), 0..=63) => {
            let n = i128::from(*n);
            let step = i128::from(new & 0xff) - 128;
            let n = if what & 1 != 0 { n + step } else { n ^ 1 << (new % 64) };
            number(n)
        }
        (Value::Integer(_) | Value::Null, 64..=159) => {
            let edge = 1i128 << (new % 65);
            number(edge - i128::from(new >> 8 & 1))
        }
        (Value::Integer(_) | Value::Null, 160..=247) => number(new.into()),
        (Value::Text(t), 0..=127) => Value::Text(t.chars().rev().collect()),
        (Value::Null, _) => Value::from(u64::from(new)),
        (_, 248..=251) => Value::Null,
        (_, 252..) => Value::Array(vec![Value::from(new); 2]),
        (other, _) => other.clone(),
    }
}

fn number(n: i128) -> Value {
    let n = n.clamp(i64::MIN.into(), u64::MAX.into());
    match (u64::try_from(n), i64::try_from(n)) {
        (Ok(n), _) => Value::from(n),
        (_, Ok(n)) => Value::from(n),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq, Clone)]
    struct Inner {
        level: u8,
        on: bool,
    }

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq, Clone)]
    struct Outer {
        parts: Vec<(u32, SavedState)>,
        list: Vec<u16>,
        option: Option<u64>,
    }

    fn sample() -> (Outer, SavedState) {
        let inner = SavedState::of(3, &Inner { level: 9, on: true });
        let outer = Outer {
            parts: vec![(7, inner)],
            list: vec![1, 2, 3],
            option: None,
        };
        let saved = SavedState::of(1, &outer);
        (outer, saved)
    }

    #[test]
    fn no_edits_change_nothing() {
        let (outer, saved) = sample();
        assert_eq!(damage(&saved, &[]).read::<Outer>(1), Ok(outer));
    }

    #[test]
    fn every_field_is_reached_in_a_form_that_can_be_read() {
        let (outer, saved) = sample();
        let mut noise = Noise::new(5);
        let mut seen = [false; 6];
        for _ in 0..2000 {
            let Ok(now) = damage(&saved, &noise.bytes(8)).read::<Outer>(1) else {
                continue;
            };
            let inner = now.parts.first().and_then(|p| p.1.read::<Inner>(3).ok());
            for (seen, hit) in seen.iter_mut().zip([
                now.list.len() == 3 && now.list != outer.list,
                now.list.len() != 3,
                now.option.is_some(),
                now.parts.first().is_some_and(|p| p.0 != 7),
                inner.as_ref().is_some_and(|i| i.level != 9),
                inner.as_ref().is_some_and(|i| !i.on),
            ]) {
                *seen |= hit;
            }
        }
        assert_eq!(seen, [true; 6]);
    }
}
