//! `virtio-balloon`: memory that the guest gives back to the host (Virtio 1.3, section 5.5).
//!
//! Pages in the balloon and pages that the guest reports as free are really given back: the host has their room again until the guest
//! writes to them. So are those that it calls free when a machine is about to move (see `hints`), so that they are not in the stream.

mod hints;
mod model;
mod regs;
#[cfg(test)]
mod tests;

use southbridge_core::{Category, PropKind, Property};

use crate::types::{IOEVENTFD, ModelType, NO_BUSES, flag, property};
use crate::virtio_types;
pub use model::{Balloon, GuestStats};

const PROPERTIES: [Property; 6] = [
    flag(
        "deflate-on-oom",
        false,
        "a guest that runs out of memory takes some back by itself",
    ),
    flag(
        "free-page-hint",
        false,
        "the guest is asked which pages are free when the machine migrates",
    ),
    flag(
        "page-poison",
        true,
        "the guest may say which pattern its free pages have",
    ),
    flag(
        "free-page-reporting",
        false,
        "the guest reports pages that are free for now",
    ),
    flag(
        "qemu-4-0-config-size",
        false,
        "a configuration space of full length in any case",
    ),
    property(
        "iothread",
        PropKind::Str,
        None,
        "must be given with free-page-hint, as with QEMU; the machine's thread does the work",
    ),
];

virtio_types! {
    /// Memory balloons.
    pub static TYPES = "virtio-balloon", [pci, transitional, non_transitional, device] {
        category: Category::Misc,
        summary: "Memory balloon",
        model: ModelType {
            class: 0x00ff,
            legacy: true,
            vectors: |_| 2,
            create: Balloon::create,
        },
        vectors: "4294967295",
        properties: [
            PROPERTIES[0], PROPERTIES[1], PROPERTIES[2], PROPERTIES[3], PROPERTIES[4], PROPERTIES[5],
        ],
        pci: [IOEVENTFD],
        buses: NO_BUSES,
    }
}
