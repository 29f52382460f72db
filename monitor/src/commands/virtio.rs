//! virtio devices from inside: what was agreed on, where their rings are, and what stands in them.

use southbridge_bus_virtio::inspect::{Element, QueueReport, RawDescriptor};
use southbridge_bus_virtio::names::{self, Name};
use southbridge_bus_virtio::spec::{feature, ring};
use southbridge_bus_virtio::wiring::VirtioSlot;
use southbridge_bus_virtio::{Endpoint, VirtioDevice};
use southbridge_core::system::Bus;
use southbridge_core::{DeviceId, RunState};

use super::memory::all_memory;
use super::{Result, refuse};
use crate::Cx;
use crate::schema::{
    VirtQueueStatus, VirtVhostQueueStatus, VirtioDeviceFeatures, VirtioDeviceStatus, VirtioInfo, VirtioQueueElement,
    VirtioRingAvail, VirtioRingDesc, VirtioRingUsed, VirtioStatus, XQueryVirtioQueueElementArgs,
    XQueryVirtioQueueStatusArgs, XQueryVirtioStatusArgs, XQueryVirtioVhostQueueStatusArgs,
};
use crate::tree::{self, Node};

/// Where used rings begin, where no driver has said otherwise (Virtio 1.3, section 2.7.2: a page of before version 1).
const RING_ALIGN: u32 = 4096;

/// Looks at a device's shared half; `None` if it is no virtio device.
fn look<T>(cx: &mut Cx<'_>, device: DeviceId, f: impl FnOnce(&dyn VirtioDevice) -> T) -> Option<T> {
    cx.machine.sys.with_role::<dyn VirtioDevice, _>(device, |d, _| f(d))
}

pub(super) fn x_query_virtio(cx: &mut Cx<'_>) -> Result<Vec<VirtioInfo>> {
    let devices: Vec<_> = cx.machine.sys.devices().map(|(id, _)| id).collect();
    let mut all = Vec::new();
    for device in devices {
        let Some(kind) = look(cx, device, |d| d.endpoint().device_id()) else {
            continue;
        };
        let mut path = tree::device_path(cx.machine, cx.world, device);
        if tree::has_virtio_half(cx.machine, device) {
            path = format!("{path}/{}", tree::VIRTIO_HALF);
        }
        let name = names::device(kind).to_owned();
        all.push(VirtioInfo { path, name });
    }
    match all.is_empty() {
        true => refuse("there is no virtio device"),
        false => Ok(all),
    }
}

/// The device at a path: the half that is virtio, or the whole.
fn find(cx: &mut Cx<'_>, path: &str) -> Result<DeviceId> {
    let device = match tree::resolve(cx, path) {
        Ok(Node::VirtioHalf(device) | Node::Device(device)) => Some(device),
        _ => None,
    };
    match device.filter(|d| look(cx, *d, |_| ()).is_some()) {
        Some(device) => Ok(device),
        None => refuse(format!("'{path}' is the path of no virtio device")),
    }
}

fn decode(bits: u64, table: &[Name]) -> (Vec<String>, u64) {
    let (named, unknown) = names::decode(bits, table);
    (named.into_iter().map(str::to_owned).collect(), unknown)
}

fn features(kind: u16, bits: u64) -> VirtioDeviceFeatures {
    let (transports, rest) = decode(bits, names::TRANSPORT);
    let (own, unknown) = decode(rest, names::features_of(kind));
    VirtioDeviceFeatures {
        transports,
        dev_features: Some(own),
        unknown_dev_features: (unknown != 0).then_some(unknown),
    }
}

fn statuses(bits: u8) -> VirtioDeviceStatus {
    let (statuses, unknown) = decode(bits.into(), names::STATUS);
    VirtioDeviceStatus {
        statuses,
        unknown_statuses: u8::try_from(unknown).ok().filter(|u| *u != 0),
    }
}

/// What the transport of a device on a bus of its own says: the queue that is selected, and how used rings are aligned.
fn transport(cx: &mut Cx<'_>, device: DeviceId) -> (u16, u32) {
    if let Some(queue) = look(cx, device, |d| d.selected_queue()).flatten() {
        return (queue, RING_ALIGN);
    }
    let sits = |b: &Bus| b.children.iter().any(|c| c.0 == device).then_some(b.owner);
    let owner = cx.machine.sys.buses().find_map(|(_, b)| sits(b));
    let told = owner.and_then(|owner| {
        cx.machine
            .sys
            .with_role::<dyn VirtioSlot, _>(owner, |slot, _| slot.selected_queue())
    });
    told.unwrap_or((0, RING_ALIGN))
}

pub(super) fn x_query_virtio_status(cx: &mut Cx<'_>, args: XQueryVirtioStatusArgs) -> Result<VirtioStatus> {
    let device = find(cx, &args.path)?;
    let (queue_sel, _) = transport(cx, device);
    let property = |name| cx.machine.sys.slot(device).is_some_and(|s| s.properties.bool(name));
    let (use_started, legacy_check) = (property("use-started"), property("x-disable-legacy-check"));
    let vm_running = cx.machine.run_state() == RunState::Running;
    let told = look(cx, device, |d| {
        let e = d.endpoint();
        let kind = e.device_id();
        VirtioStatus {
            name: names::device(kind).to_owned(),
            device_id: kind,
            vhost_started: false,
            device_endian: "little".into(),
            guest_features: features(kind, e.driver_features()),
            host_features: features(kind, e.offered()),
            backend_features: features(kind, 0),
            num_vqs: e.queue_count().into(),
            status: statuses(e.status()),
            isr: e.isr(),
            queue_sel,
            vm_running,
            broken: e.is_broken(),
            disabled: false,
            use_started,
            started: e.is_started(),
            start_on_kick: starts_on_kick(e),
            disable_legacy_check: legacy_check,
            bus_name: String::new(),
            use_guest_notifier_mask: true,
            vhost_dev: None,
        }
    });
    told.map_or_else(|| refuse("the device is at work"), Ok)
}

fn starts_on_kick(e: &Endpoint) -> bool {
    let chosen = e.driver_features();
    chosen != 0 && chosen & feature::VERSION_1 == 0 && !e.is_started()
}

/// A device's kind and one of its queues.
fn queue(cx: &mut Cx<'_>, path: &str, queue: u16) -> Result<(DeviceId, &'static str, QueueReport)> {
    let device = find(cx, path)?;
    let told = look(cx, device, |d| {
        let e = d.endpoint();
        (names::device(e.device_id()), e.queue_report(queue))
    });
    match told {
        Some((name, Some(report))) => Ok((device, name, report)),
        _ => refuse(format!("the device has no queue {queue}")),
    }
}

pub(super) fn x_query_virtio_queue_status(
    cx: &mut Cx<'_>,
    args: XQueryVirtioQueueStatusArgs,
) -> Result<VirtQueueStatus> {
    let (device, name, q) = queue(cx, &args.path, args.queue)?;
    let (_, vring_align) = transport(cx, device);
    Ok(VirtQueueStatus {
        name: name.to_owned(),
        queue_index: args.queue,
        inuse: q.in_use.into(),
        vring_num: q.size.into(),
        vring_num_default: q.max.into(),
        vring_align,
        vring_desc: q.desc,
        vring_avail: q.driver,
        vring_used: q.device,
        last_avail_idx: Some(q.avail),
        shadow_avail_idx: Some(q.seen),
        used_idx: q.used,
        signalled_used: q.signalled.unwrap_or(0),
        signalled_used_valid: q.signalled.is_some(),
    })
}

pub(super) fn x_query_virtio_vhost_queue_status(
    cx: &mut Cx<'_>,
    args: XQueryVirtioVhostQueueStatusArgs,
) -> Result<VirtVhostQueueStatus> {
    find(cx, &args.path)?;
    refuse("the device has no vhost half: it is served here")
}

pub(super) fn x_query_virtio_queue_element(
    cx: &mut Cx<'_>,
    args: XQueryVirtioQueueElementArgs,
) -> Result<VirtioQueueElement> {
    let (_, name, q) = queue(cx, &args.path, args.queue)?;
    let element = q.element(args.index, &mut |at, out| all_memory(cx, at, out));
    let Element {
        head,
        avail_flags,
        avail_index,
        used_flags,
        used_index,
        chain,
    } = element.or_else(refuse)?;
    Ok(VirtioQueueElement {
        name: name.to_owned(),
        index: head.into(),
        descs: chain.iter().rev().map(descriptor).collect(),
        avail: VirtioRingAvail {
            flags: avail_flags,
            idx: avail_index,
            ring: head,
        },
        used: VirtioRingUsed {
            flags: used_flags,
            idx: used_index,
        },
    })
}

fn descriptor(d: &RawDescriptor) -> VirtioRingDesc {
    const FLAGS: [(u16, &str); 5] = [
        (ring::USED, "used"),
        (ring::AVAIL, "avail"),
        (ring::INDIRECT, "indirect"),
        (ring::WRITE, "write"),
        (ring::NEXT, "next"),
    ];
    let set = FLAGS.iter().filter(|(bit, _)| d.flags & bit != 0);
    VirtioRingDesc {
        addr: d.addr,
        len: d.len,
        flags: set.map(|(_, name)| (*name).to_owned()).collect(),
    }
}
