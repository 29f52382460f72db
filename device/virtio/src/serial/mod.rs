//! `virtio-serial`: consoles and streams of bytes between guest and host (Virtio 1.3, section 5.3), with its ports `virtconsole` and
//! `virtserialport`.
//!
//! Not there: the size of a console's screen (`VIRTIO_CONSOLE_F_SIZE`), which QEMU 10 does not tell either.

mod model;
mod port;
mod regs;
#[cfg(test)]
mod tests;

use southbridge_core::{BusDecl, BusKind, Category, PropKind, Property};

use crate::types::{IOEVENTFD, ModelType, flag, property};
use crate::virtio_types;
pub use model::Serial;
pub use port::{CONSOLE, PORT, PORTS, Port, SerialPort, Wish};

const MAX_PORTS: Property = property(
    "max_ports",
    PropKind::Uint(32),
    Some("31"),
    "how many ports there may be",
);
const EMERGENCY: Property = flag("emergency-write", true, "a register that takes a character at any time");
const CLASS: Property = property(
    "class",
    PropKind::Uint(32),
    Some("0"),
    "accepted for QEMU's sake: PCI class code; it is always that of a communication controller",
);

virtio_types! {
    /// Serial devices.
    pub static TYPES = "virtio-serial", [pci, transitional, non_transitional, device] {
        category: Category::Input,
        summary: "Serial ports and consoles",
        model: ModelType {
            class: 0x0780,
            legacy: true,
            vectors: |queues| queues / 2,
            create: Serial::create,
        },
        vectors: "2",
        properties: [MAX_PORTS, EMERGENCY],
        pci: [IOEVENTFD, CLASS],
        buses: &[BusDecl {
            name: "virtio-serial-bus",
            kind: BusKind::VirtioSerial,
        }],
    }
}
