//! An input device of the host (`/dev/input/eventN`), which a guest gets for itself.

use evdev::raw_stream::RawDevice;
use rustix::fd::AsFd;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use southbridge_core::host::{Backend, BackendId, Completion, HostCx, HostEvent, Interest, Waker, WatchId};
use southbridge_core::{Build, Ctx, DeviceId};
use std::io;
use std::sync::{Arc, Weak};

/// An event as the kernel has it (`struct input_event` without its time).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEvent {
    /// `EV_…`.
    pub kind: u16,
    /// Which key, axis, light.
    pub code: u16,
    /// Its value.
    pub value: i32,
}

/// Range of an absolute axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsRange {
    /// The axis (`ABS_…`).
    pub axis: u16,
    /// Least, largest, noise, dead zone, units per millimetre.
    pub info: [i32; 5],
}

/// What the host says of its device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Its name.
    pub name: String,
    /// Bus, vendor, product, version.
    pub ids: [u16; 4],
    /// Codes that it has, by kind of event.
    pub codes: Vec<(u16, Vec<u16>)>,
    /// Its absolute axes.
    pub axes: Vec<AbsRange>,
}

/// Most events in one completion.
const BATCH: usize = 256;
const EVENT_BYTES: usize = 8;

struct HostDevice {
    /// `None` when it is gone, or its user.
    raw: Option<(RawDevice, WatchId)>,
    device: DeviceId,
    port: u32,
    alive: Weak<()>,
}

impl Backend for HostDevice {
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>) {
        match event {
            HostEvent::Ready { readable: true, .. } => {}
            HostEvent::Woken if self.alive.strong_count() == 0 => return self.close(cx),
            _ => return,
        }
        let Some((raw, _)) = &mut self.raw else { return };
        match fetch(raw) {
            Ok(events) => {
                for part in events.chunks(BATCH) {
                    let mut done = Completion::plain(self.port, 0, part.len() as i64);
                    done.data = pack(part);
                    cx.post(self.device, done);
                }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // It was pulled out: nothing comes any more.
            Err(_) => self.close(cx),
        }
    }

    fn close(&mut self, cx: &mut HostCx<'_>) {
        if let Some((raw, watch)) = self.raw.take() {
            cx.unwatch(watch, &raw);
        }
    }
}

fn fetch(raw: &mut RawDevice) -> io::Result<Vec<RawEvent>> {
    let told = |e: evdev::InputEvent| RawEvent {
        kind: e.event_type().0,
        code: e.code(),
        value: e.value(),
    };
    Ok(raw.fetch_events()?.map(told).collect())
}

fn pack(events: &[RawEvent]) -> Vec<u8> {
    let mut data = Vec::with_capacity(events.len() * EVENT_BYTES);
    for e in events {
        data.extend(e.kind.to_le_bytes());
        data.extend(e.code.to_le_bytes());
        data.extend(e.value.to_le_bytes());
    }
    data
}

/// What a device keeps that passes an input device of the host on.
pub struct HostInput {
    backend: BackendId,
    waker: Waker,
    alive: Option<Arc<()>>,
}

impl Drop for HostInput {
    fn drop(&mut self) {
        self.alive = None;
        // So that the host has its device back.
        self.waker.wake();
    }
}

impl HostInput {
    /// Opens a device of the host and takes it away from all others there. Its events come as completions with that `port`, for
    /// [`HostInput::events`].
    ///
    /// # Errors
    /// When it cannot be opened, is none, or somebody else has it.
    pub fn open(build: &mut Build<'_>, path: &str, port: u32) -> io::Result<(Self, HostFacts)> {
        let mut raw = RawDevice::open(path)?;
        raw.grab()?;
        let flags = fcntl_getfl(&raw)?;
        fcntl_setfl(&raw, flags | OFlags::NONBLOCK)?;
        let facts = facts(&raw)?;
        let (device, alive) = (build.me(), Arc::new(()));
        let mut waker = None;
        let backend = build.add_backend(|cx| {
            waker = Some(cx.waker());
            let watch = cx.watch(raw.as_fd(), Interest::READ, 0)?;
            Ok::<_, io::Error>(Box::new(HostDevice {
                raw: Some((raw, watch)),
                device,
                port,
                alive: Arc::downgrade(&alive),
            }) as Box<dyn Backend>)
        })?;
        let waker = waker.ok_or(io::ErrorKind::Other)?;
        let alive = Some(alive);
        Ok((Self { backend, waker, alive }, facts))
    }

    /// The events of a completion.
    pub fn events(done: &Completion) -> Vec<RawEvent> {
        let (events, _) = done.data.as_chunks::<EVENT_BYTES>();
        events
            .iter()
            .take(BATCH)
            .map(|[a, b, c, d, v @ ..]| RawEvent {
                kind: u16::from_le_bytes([*a, *b]),
                code: u16::from_le_bytes([*c, *d]),
                value: i32::from_le_bytes(*v),
            })
            .collect()
    }

    /// Sends an event of the guest to the device: a light.
    pub fn write(&self, event: RawEvent, cx: &mut Ctx<'_>) {
        if let Some((device, _)) = cx.backend::<HostDevice>(self.backend)
            && let Some((raw, _)) = &mut device.raw
        {
            let event = evdev::InputEvent::new(event.kind, event.code, event.value);
            // A device that is gone shows no lights.
            let _ = raw.send_events(&[event]);
        }
    }
}

fn facts(raw: &RawDevice) -> io::Result<HostFacts> {
    use evdev::EventType as T;
    let id = raw.input_id();
    let lists: [(T, Vec<u16>); 6] = [
        (
            T::KEY,
            raw.supported_keys()
                .into_iter()
                .flat_map(|s| s.iter())
                .map(|k| k.0)
                .collect(),
        ),
        (
            T::RELATIVE,
            raw.supported_relative_axes()
                .into_iter()
                .flat_map(|s| s.iter())
                .map(|k| k.0)
                .collect(),
        ),
        (
            T::ABSOLUTE,
            raw.supported_absolute_axes()
                .into_iter()
                .flat_map(|s| s.iter())
                .map(|k| k.0)
                .collect(),
        ),
        (
            T::MISC,
            raw.misc_properties()
                .into_iter()
                .flat_map(|s| s.iter())
                .map(|k| k.0)
                .collect(),
        ),
        (
            T::SWITCH,
            raw.supported_switches()
                .into_iter()
                .flat_map(|s| s.iter())
                .map(|k| k.0)
                .collect(),
        ),
        (
            T::LED,
            raw.supported_leds()
                .into_iter()
                .flat_map(|s| s.iter())
                .map(|k| k.0)
                .collect(),
        ),
    ];
    let codes = lists
        .into_iter()
        .filter(|l| !l.1.is_empty())
        .map(|(t, c)| (t.0, c))
        .collect();
    let mut axes = Vec::new();
    if raw.supported_absolute_axes().is_some() {
        for (axis, info) in raw.get_absinfo()? {
            let info = [
                info.minimum(),
                info.maximum(),
                info.fuzz(),
                info.flat(),
                info.resolution(),
            ];
            axes.push(AbsRange { axis: axis.0, info });
        }
    }
    Ok(HostFacts {
        name: raw.name().unwrap_or_default().to_owned(),
        ids: [id.bus_type().0, id.vendor(), id.product(), id.version()],
        codes,
        axes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_through_a_completion() {
        let events = [
            RawEvent {
                kind: 1,
                code: 30,
                value: 1,
            },
            RawEvent {
                kind: 2,
                code: 0,
                value: -7,
            },
            RawEvent {
                kind: 0,
                code: 0,
                value: 0,
            },
        ];
        let mut done = Completion::plain(0, 0, 3);
        done.data = pack(&events);
        assert_eq!(HostInput::events(&done), events);
        done.data.truncate(13);
        assert_eq!(HostInput::events(&done).len(), 1, "half an event is none");
    }
}
