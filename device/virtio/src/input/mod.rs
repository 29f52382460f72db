//! `virtio-keyboard`, `virtio-mouse`, `virtio-tablet`, `virtio-multitouch` and `virtio-input-host`: keyboards and pointers
//! (Virtio 1.3, section 5.8).
//!
//! Four of them show the guest the machine's own stream of input (`southbridge_backend_input`); the fifth passes a device of the host
//! on, as it is. One model does both: it differs in where events come from and in what the configuration space says.

mod config;
mod model;
mod regs;
#[cfg(test)]
mod tests;

use southbridge_backend_input::{HostInput, InputFront, Kinds, Seat};
use southbridge_bus_virtio::VirtioModel;
use southbridge_core::{Build, Category, CreateError, PropKind, Properties, Property};

use crate::types::{ModelType, NO_BUSES, flag, property};
use crate::virtio_types;
use config::Hid;
pub use model::Input;
use model::Source;

const SERIAL: Property = property("serial", PropKind::Str, None, "serial number that the guest sees");
const DISPLAY: Property = property(
    "display",
    PropKind::Str,
    None,
    "id of the display device at whose seat it is; none for all seats",
);
const HEAD: Property = property("head", PropKind::Uint(32), Some("0"), "output of that display device");
const WHEEL: Property = flag("wheel-axis", true, "the wheel is an axis, not two buttons");

fn create(hid: Hid, kinds: Kinds, p: &Properties, build: &mut Build<'_>) -> Box<dyn VirtioModel> {
    let seat = p.str("display").map(|display| Seat {
        display: display.to_owned(),
        head: p.uint("head") as u32,
    });
    let wheel_axis = p.bool("wheel-axis");
    let front = InputFront::attach(build, 0, config::name(hid), kinds, seat);
    let answers = config::of_hid(hid, wheel_axis, p.str("serial"));
    Box::new(Input::new(answers, Source::Machine { front, wheel_axis }))
}

fn create_host(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError> {
    let path = p.str("evdev").ok_or(CreateError::Missing {
        property: "evdev",
        expected: "FILE".into(),
    })?;
    let opened = HostInput::open(build, path, 0);
    let (host, facts) = opened.map_err(|e| CreateError::BadValue {
        property: "evdev",
        value: path.to_owned(),
        expected: format!("an input device of the host that nobody else has, such as /dev/input/event0 ({e})"),
    })?;
    let answers = config::of_host(&facts, p.str("serial"));
    Ok(Box::new(Input::new(answers, Source::Host(host))))
}

virtio_types! {
    /// Keyboards.
    pub static KEYBOARD = "virtio-keyboard", [pci, device] {
        category: Category::Input,
        summary: "Keyboard",
        model: ModelType {
            class: 0x0900,
            legacy: false,
            vectors: |_| 2,
            create: |p, b| Ok(create(Hid::Keyboard, Kinds::KEY, p, b)),
        },
        vectors: "2",
        properties: [SERIAL, DISPLAY, HEAD],
        pci: [],
        buses: NO_BUSES,
    }
}

virtio_types! {
    /// Mice.
    pub static MOUSE = "virtio-mouse", [pci, device] {
        category: Category::Input,
        summary: "Mouse",
        model: ModelType {
            class: 0x0902,
            legacy: false,
            vectors: |_| 2,
            create: |p, b| Ok(create(Hid::Mouse, Kinds::BUTTON | Kinds::REL, p, b)),
        },
        vectors: "2",
        properties: [SERIAL, DISPLAY, HEAD, WHEEL],
        pci: [],
        buses: NO_BUSES,
    }
}

virtio_types! {
    /// Tablets: pointers that say where they are.
    pub static TABLET = "virtio-tablet", [pci, device] {
        category: Category::Input,
        summary: "Tablet",
        model: ModelType {
            class: 0x0980,
            legacy: false,
            vectors: |_| 2,
            create: |p, b| Ok(create(Hid::Tablet, Kinds::BUTTON | Kinds::ABS, p, b)),
        },
        vectors: "2",
        properties: [SERIAL, DISPLAY, HEAD, WHEEL],
        pci: [],
        buses: NO_BUSES,
    }
}

virtio_types! {
    /// Touch screens for several fingers.
    pub static MULTITOUCH = "virtio-multitouch", [pci, device] {
        category: Category::Input,
        summary: "Touch screen",
        model: ModelType {
            class: 0x0980,
            legacy: false,
            vectors: |_| 2,
            create: |p, b| Ok(create(Hid::Multitouch, Kinds::BUTTON | Kinds::TOUCH, p, b)),
        },
        vectors: "2",
        properties: [SERIAL, DISPLAY, HEAD],
        pci: [],
        buses: NO_BUSES,
    }
}

virtio_types! {
    /// Devices of the host.
    pub static HOST = "virtio-input-host", [pci, device] {
        category: Category::Input,
        summary: "Input device of the host",
        model: ModelType {
            class: 0x0980,
            legacy: false,
            vectors: |_| 2,
            create: create_host,
        },
        vectors: "2",
        properties: [
            SERIAL,
            property("evdev", PropKind::Str, None, "the host's device, such as /dev/input/event0"),
        ],
        pci: [],
        buses: NO_BUSES,
    }
}
