//! `vhost-vsock`: sockets between guest and host (Virtio 1.3, section 5.10).
//!
//! The names are those under which QEMU has the device; there the host's kernel does the work, and here this program: nothing of the
//! host's kernel is needed, and the host's side are Unix sockets (`uds`, see `southbridge_backend_vsock`). Streams alone: packets with
//! borders (`SOCK_SEQPACKET`) are not here.

mod model;
mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::{Category, PropKind};

use crate::types::{ModelType, NO_BUSES, property};
use crate::virtio_types;
pub use model::Vsock;

virtio_types! {
    /// Socket devices.
    pub static TYPES = "vhost-vsock", [pci, non_transitional, device] {
        category: Category::Misc,
        summary: "Sockets between guest and host",
        model: ModelType {
            class: 0x0780,
            legacy: false,
            vectors: |_| 3,
            create: Vsock::create,
        },
        vectors: "3",
        properties: [
            property("guest-cid", PropKind::Uint(64), Some("0"), "the guest's number, from 3 on"),
            property(
                "uds",
                PropKind::Str,
                None,
                "path of the host's side: PATH takes CONNECT lines, PATH_N is port N of the host",
            ),
            property("seqpacket", PropKind::OnOffAuto, Some("auto"), "packets with borders; they are not here"),
            property("vhostfd", PropKind::Str, None, "the host's kernel does nothing here; not to be given"),
        ],
        pci: [],
        buses: NO_BUSES,
    }
}
