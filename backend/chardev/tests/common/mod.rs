//! A tiny device behind a chardev, and the machine around it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use rustix::fd::OwnedFd;
use southbridge_backend_chardev::{CharError, CharEvent, CharFront, Chardev, Chardevs};
use southbridge_core::clock::ClockRate;
use southbridge_core::host::BackendId;
use southbridge_core::{
    BusKind, Completion, CreateError, Ctx, Device, DeviceId, DeviceType, LoadError, PropKind, PropValue, Properties,
    Property, ResetPhase, SavedState, System,
};
use std::any::Any;
use std::time::{Duration, Instant};

/// A device that takes `room` bytes at a time until the test makes more room.
pub struct Probe {
    pub front: CharFront,
    pub received: Vec<u8>,
    pub fds: Vec<OwnedFd>,
    pub events: Vec<&'static str>,
    room: usize,
    /// Gives new credit for all that it receives.
    greedy: bool,
}

pub static PROBE: DeviceType = DeviceType {
    name: "probe",
    bus: BusKind::None,
    summary: "a device for tests of back ends",
    properties: &[Property {
        name: "chardev",
        kind: PropKind::Backend("chardev"),
        default: None,
        help: "the back end",
    }],
    create: |props, build| {
        let front = CharFront::attach(props, "chardev", 7, build)?;
        Ok(Box::new(Probe {
            front,
            received: Vec::new(),
            fds: Vec::new(),
            events: Vec::new(),
            room: 0,
            greedy: false,
        }))
    },
    ..DeviceType::BASE
};

impl Device for Probe {
    fn reset(&mut self, _phase: ResetPhase, _cx: &mut Ctx<'_>) {}

    fn save(&self) -> SavedState {
        unimplemented!("not saved in these tests")
    }

    fn load(&mut self, _state: &SavedState) -> Result<(), LoadError> {
        unimplemented!("not restored in these tests")
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        assert_eq!(done.port, 7);
        match CharEvent::from_completion(done).expect("an event of a char back end") {
            CharEvent::Data { bytes, fds } => {
                assert!(
                    bytes.len() <= self.room,
                    "{} bytes, credit was {}",
                    bytes.len(),
                    self.room
                );
                self.room -= bytes.len();
                self.received.extend(bytes);
                self.fds.extend(fds);
                if self.greedy {
                    self.room = 1 << 16;
                    self.front.set_room(self.room, cx);
                }
            }
            CharEvent::Writable => self.events.push("writable"),
            CharEvent::Opened => self.events.push("opened"),
            CharEvent::Closed => self.events.push("closed"),
            CharEvent::Break => self.events.push("break"),
        }
    }
}

/// A machine with chardevs and probes.
pub struct Bench {
    pub sys: System,
    pub chardevs: Chardevs,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            sys: System::new(ClockRate::Hz(1_000_000)).expect("a system"),
            chardevs: Chardevs::default(),
        }
    }

    pub fn try_open(&mut self, kind: &str, id: &str, options: &[(&str, &str)]) -> Result<BackendId, CharError> {
        self.chardevs
            .open(&mut self.sys.host, kind, id, options.iter().copied())
    }

    pub fn open(&mut self, kind: &str, id: &str, options: &[(&str, &str)]) -> BackendId {
        match self.try_open(kind, id, options) {
            Ok(b) => b,
            Err(e) => panic!("{kind} {options:?}: {e}"),
        }
    }

    pub fn error(&mut self, kind: &str, options: &[(&str, &str)]) -> String {
        match self.try_open(kind, "bad", options) {
            Ok(_) => panic!("{kind} {options:?} was accepted"),
            Err(e) => format!("[{}] {e}", e.option().unwrap_or("-")),
        }
    }

    pub fn try_attach(&mut self, id: &str) -> Result<DeviceId, CreateError> {
        let backend = self.chardevs.get(id).expect("a chardev of that id");
        let props = Properties::default().with("chardev", PropValue::Backend(id.into(), backend));
        self.sys.add_device(&PROBE, None, props, &[])
    }

    /// A probe that takes everything.
    pub fn attach(&mut self, id: &str) -> DeviceId {
        let d = self.attach_slow(id);
        self.probe(d, |p, cx| {
            p.greedy = true;
            p.room = 1 << 16;
            p.front.set_room(p.room, cx);
        });
        d
    }

    /// A probe without room.
    pub fn attach_slow(&mut self, id: &str) -> DeviceId {
        let d = self.try_attach(id).unwrap_or_else(|e| panic!("{id}: {e}"));
        self.pump();
        d
    }

    pub fn probe<R>(&mut self, d: DeviceId, f: impl FnOnce(&mut Probe, &mut Ctx<'_>) -> R) -> R {
        self.sys
            .with_device(d, |d, cx| {
                let any: &mut dyn Any = d;
                f(any.downcast_mut().expect("a probe"), cx)
            })
            .expect("the probe is there")
    }

    pub fn room(&mut self, d: DeviceId, bytes: usize) {
        self.probe(d, |p, cx| {
            p.room = bytes;
            p.front.set_room(bytes, cx);
        });
        self.pump();
    }

    pub fn write(&mut self, d: DeviceId, data: &[u8]) -> usize {
        self.probe(d, |p, cx| p.front.write(data, cx))
    }

    pub fn received(&mut self, d: DeviceId) -> String {
        self.probe(d, |p, _| String::from_utf8_lossy(&p.received).into_owned())
    }

    pub fn events(&mut self, d: DeviceId) -> Vec<&'static str> {
        self.probe(d, |p, _| std::mem::take(&mut p.events))
    }

    pub fn chardev<R>(&mut self, id: &str, f: impl FnOnce(&mut Chardev) -> R) -> R {
        let b = self.chardevs.get(id).expect("a chardev of that id");
        f(self.sys.host.get::<Chardev>(b).expect("it is a chardev").0)
    }

    /// Lets everything that is ready happen.
    pub fn pump(&mut self) {
        for _ in 0..3 {
            self.sys.host.wait(Some(Duration::ZERO)).expect("the reactor waits");
            self.sys.deliver_completions();
        }
    }

    /// Runs until `done`; gives up long after any sane host is through.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < end, "never: {what}");
            self.sys
                .host
                .wait(Some(Duration::from_millis(20)))
                .expect("the reactor waits");
            self.sys.deliver_completions();
        }
    }

    #[track_caller]
    pub fn until_received(&mut self, d: DeviceId, text: &str) {
        self.until(text, |b| b.received(d) == text);
    }

    #[track_caller]
    pub fn until_event(&mut self, d: DeviceId, event: &'static str) {
        self.until(event, |b| b.probe(d, |p, _| p.events.contains(&event)));
        self.events(d);
    }

    pub fn close(&mut self) {
        self.sys.host.close();
    }
}
