//! `virtconsole` and `virtserialport`: what the user plugs into the bus of a serial device, each with a chardev.
//!
//! The port's connection belongs to the serial device once it is plugged in: the queues are there. What is here tells what the user
//! wants, and hands on what the chardev says.

use southbridge_backend_chardev::CharFront;
use southbridge_bus_virtio::{VirtioDevice, with_model};
use southbridge_core::{
    Build, BusKind, Category, Completion, CreateError, Ctx, Device, DeviceType, LoadError, PropKind, Properties,
    Property, ResetPhase, SavedState, role,
};

use super::Serial;
use crate::types::property;

const PROPERTIES: &[Property] = &[
    property("chardev", PropKind::Backend("chardev"), None, "the host's side"),
    property(
        "nr",
        PropKind::Uint(32),
        Some("4294967295"),
        "number of the port; 4294967295 for the first free one",
    ),
    property("name", PropKind::Str, None, "name that the guest sees"),
];

const BASE: DeviceType = DeviceType {
    bus: BusKind::VirtioSerial,
    category: Category::Input,
    user_creatable: true,
    properties: PROPERTIES,
    roles: &[role!(Port as dyn SerialPort)],
    ..DeviceType::BASE
};

/// A console of the guest (`hvc`).
pub static CONSOLE: DeviceType = DeviceType {
    name: "virtconsole",
    summary: "Console on a virtio serial device",
    create: |p, b| create(true, p, b),
    ..BASE
};

/// A stream of bytes.
pub static PORT: DeviceType = DeviceType {
    name: "virtserialport",
    summary: "Port on a virtio serial device",
    create: |p, b| create(false, p, b),
    ..BASE
};

/// Both.
pub static PORTS: &[&DeviceType] = &[&CONSOLE, &PORT];

/// What the user wants of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// It is a console.
    pub console: bool,
    /// Its number, if he has said one.
    pub nr: Option<u32>,
    /// Its name.
    pub name: Option<String>,
}

/// The role of devices that are ports.
pub trait SerialPort {
    /// What the user wants, and, the first time, the connection to the host.
    fn come(&mut self) -> (Wish, CharFront);
}

/// A port before it is plugged in, and its ear for the host afterwards.
pub struct Port {
    wish: Wish,
    front: CharFront,
}

fn create(console: bool, p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let nr = u32::try_from(p.uint("nr")).ok().filter(|nr| *nr != u32::MAX);
    if nr == Some(0) && !console {
        return Err(CreateError::BadValue {
            property: "nr",
            value: "0".into(),
            expected: "a number from 1 on: port 0 is for a virtconsole".into(),
        });
    }
    Ok(Box::new(Port {
        front: CharFront::attach(p, "chardev", 0, build)?,
        wish: Wish {
            console,
            nr,
            name: p.str("name").map(str::to_owned),
        },
    }))
}

impl SerialPort for Port {
    fn come(&mut self) -> (Wish, CharFront) {
        (self.wish.clone(), std::mem::replace(&mut self.front, CharFront::none()))
    }
}

/// All of its state is the serial device's.
impl Device for Port {
    fn reset(&mut self, _phase: ResetPhase, _cx: &mut Ctx<'_>) {}

    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        state.read(1)
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        let me = cx.me();
        let Some((parent, _)) = cx.parent_of(me) else { return };
        cx.with_role::<dyn VirtioDevice, _>(parent, |device, cx| {
            with_model::<Serial, _>(device, cx, |serial, cx| serial.hear_host(me, done, cx))
        });
    }
}
