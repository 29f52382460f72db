//! Memory that the guest gives back.

use serde_json::{Map, Value, json};
use southbridge_bus_virtio::{VirtioCx, VirtioDevice, with_model};
use southbridge_core::{DeviceId, Machine, Notice, NoticeValue};
use southbridge_device_virtio::balloon::Balloon;
use southbridge_protocol_qmp::{Error, ErrorClass};

use super::{Result, refuse};
use crate::schema::{BalloonArgs, BalloonInfo};
use crate::tree::Node;
use crate::{Cx, World};

/// How much memory the guest was given.
fn ram(machine: &Machine, world: &World) -> u64 {
    match world.layout.choices.ram {
        0 => machine.ram.iter().map(|(_, block)| block.len()).sum(),
        ram => ram,
    }
}

/// Works with the balloon of a device, if it has one.
fn of<T>(
    machine: &mut Machine,
    device: DeviceId,
    f: impl FnOnce(&mut Balloon, &mut VirtioCx<'_, '_>) -> T,
) -> Option<T> {
    let is = |name: &str| name.starts_with("virtio-balloon");
    machine.sys.slot(device).filter(|s| is(s.device_type.name))?;
    let answer = machine
        .sys
        .with_role::<dyn VirtioDevice, _>(device, |device, cx| with_model(device, cx, f));
    machine.sys.settle();
    answer.flatten()
}

/// The same with the machine's balloon.
fn with<T>(cx: &mut Cx<'_>, f: impl FnOnce(&mut Balloon, &mut VirtioCx<'_, '_>) -> T) -> Result<T> {
    let is = |name: &str| name.starts_with("virtio-balloon");
    let found = cx.machine.sys.devices().find(|(_, s)| is(s.device_type.name));
    let device = found.map(|(id, _)| id);
    let answer = device.and_then(|device| of(cx.machine, device, f));
    answer.ok_or_else(|| Error {
        class: ErrorClass::DeviceNotActive,
        desc: "there is no balloon device".into(),
    })
}

pub(super) fn balloon(cx: &mut Cx<'_>, args: BalloonArgs) -> Result<()> {
    let Some(value) = u64::try_from(args.value).ok().filter(|v| *v > 0) else {
        return refuse("'value' is a number of bytes, more than 0");
    };
    let all = ram(cx.machine, cx.world);
    with(cx, |balloon, cx| balloon.resize(all.saturating_sub(value), cx))
}

pub(super) fn query_balloon(cx: &mut Cx<'_>) -> Result<BalloonInfo> {
    let all = ram(cx.machine, cx.world);
    let size = with(cx, |balloon, _| balloon.size())?;
    let actual = i64::try_from(all.saturating_sub(size)).unwrap_or(i64::MAX);
    Ok(BalloonInfo { actual })
}

/// The balloon says how much is in it; the event says how much the guest has.
pub(crate) fn translate(notice: &mut Notice, machine: &Machine, world: &World) {
    if notice.event != "BALLOON_CHANGE" {
        return;
    }
    for member in &mut notice.members {
        if let ("balloon", NoticeValue::Number(size)) = member {
            let all = i64::try_from(ram(machine, world)).unwrap_or(i64::MAX);
            *member = ("actual", NoticeValue::Number(all.saturating_sub(*size).max(0)));
        }
    }
}

const STATS: &str = "guest-stats";
const INTERVAL: &str = "guest-stats-polling-interval";

/// Properties of a balloon that it is not made with, as the object tree has them.
pub(crate) const PROPERTIES: [(&str, &str); 2] = [(STATS, "guest statistics"), (INTERVAL, "int")];

/// The value of one of them; `None` if it is none of them.
pub(super) fn get(cx: &mut Cx<'_>, node: &Node, property: &str) -> Option<Value> {
    let Node::Device(device) = node else { return None };
    match property {
        STATS => of(cx.machine, *device, |balloon, _| {
            let told = balloon.stats();
            // What the guest does not say is -1, as an unsigned number.
            let stats = told
                .stats
                .iter()
                .map(|(name, v)| ((*name).to_owned(), json!(v.unwrap_or(u64::MAX))));
            json!({ "stats": stats.collect::<Map<_, _>>(), "last-update": told.last_update })
        }),
        INTERVAL => of(cx.machine, *device, |balloon, _| json!(balloon.interval())),
        _ => None,
    }
}

/// Sets one of them; `None` if it is none of them.
pub(super) fn set(cx: &mut Cx<'_>, node: &Node, property: &str, value: &Value) -> Option<Result<()>> {
    let Node::Device(device) = node else { return None };
    let seconds = value.as_i64().and_then(|n| u32::try_from(n).ok());
    match (property, seconds) {
        (INTERVAL, Some(seconds)) => of(cx.machine, *device, |balloon, cx| balloon.set_interval(seconds, cx)).map(Ok),
        (INTERVAL, None) => {
            of(cx.machine, *device, |_, _| ())?;
            Some(refuse(format!(
                "'{INTERVAL}' is a number of seconds from 0 to {}",
                u32::MAX
            )))
        }
        _ => None,
    }
}
