//! `-object fault`: a rule of fault injection, from words to [`FaultRule`].

use southbridge_core::inject::{FaultAction, FaultKind, FaultRule};
use southbridge_core::trace::Glob;
use southbridge_core::{PropKind, Properties, Property, System};

use crate::objects::{ObjectError, Running, property};

pub(crate) static PROPERTIES: &[Property] = &[
    property(
        "kind",
        PropKind::Enum(&[
            "mmio-read",
            "mmio-write",
            "line",
            "timer",
            "completion",
            "message",
            "output",
        ]),
        None,
        "What to look at",
    ),
    property(
        "action",
        PropKind::Enum(&["drop", "delay", "corrupt", "fail"]),
        None,
        "What happens to it",
    ),
    property(
        "device",
        PropKind::Str,
        Some("*"),
        "Pattern of devices: an id, a type, or a name in traces",
    ),
    property(
        "name",
        PropKind::Str,
        Some("*"),
        "Pattern of registers, output lines or back ends",
    ),
    property(
        "number",
        PropKind::Uint(32),
        None,
        "Only this timer, or this connection of the device",
    ),
    property("nth", PropKind::Uint(64), Some("1"), "The first match that is struck"),
    property(
        "every",
        PropKind::Uint(64),
        Some("0"),
        "And then each so many matches; 0: no more",
    ),
    property(
        "count",
        PropKind::Uint(64),
        Some("0"),
        "Matches struck at most; 0: no limit",
    ),
    property(
        "delay",
        PropKind::Uint(64),
        None,
        "For action=delay: nanoseconds of virtual time",
    ),
    property("value", PropKind::Uint(64), None, "For action=corrupt: the new value"),
    property(
        "byte",
        PropKind::Uint(32),
        Some("0"),
        "For action=corrupt of messages: which byte",
    ),
    property(
        "xor",
        PropKind::Uint(64),
        None,
        "For action=corrupt: bits to invert in the value",
    ),
];

pub(crate) fn start(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let missing = |property| ObjectError::Missing {
        type_name: "fault",
        property,
    };
    let word = p.str("kind").ok_or_else(|| missing("kind"))?;
    let kind = FaultKind::ALL.iter().find(|(name, _)| *name == word);
    let (_, kind) = *kind.ok_or_else(|| missing("kind"))?;
    let rule = FaultRule {
        device: Glob::new(p.str("device").unwrap_or("*")),
        name: Glob::new(p.str("name").unwrap_or("*")),
        number: p.opt_uint("number").map(|n| n as u32),
        nth: p.uint("nth"),
        every: p.uint("every"),
        count: p.uint("count"),
        byte: usize::try_from(p.uint("byte")).unwrap_or(usize::MAX),
        ..FaultRule::new(id, kind, action(p)?)
    };
    let added = sys.add_fault(rule);
    added.map_err(|e| ObjectError::Host {
        property: "action",
        why: e.to_string(),
    })?;
    Ok(Running::Fault)
}

fn action(p: &Properties) -> Result<FaultAction, ObjectError> {
    let missing = |property| ObjectError::Missing {
        type_name: "fault",
        property,
    };
    Ok(match p.str("action").ok_or_else(|| missing("action"))? {
        "delay" => FaultAction::Delay(p.opt_uint("delay").ok_or_else(|| missing("delay"))?),
        "corrupt" => match (p.opt_uint("value"), p.opt_uint("xor")) {
            (Some(value), None) => FaultAction::Set(value),
            (_, Some(bits)) => FaultAction::Xor(bits),
            (None, None) => return Err(missing("xor")),
        },
        "fail" => FaultAction::Fail,
        _ => FaultAction::Drop,
    })
}
