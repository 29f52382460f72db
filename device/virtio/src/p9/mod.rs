//! `virtio-9p`: folders that the host shares (Virtio 1.3, section 5.13 names the id; the layout is that of QEMU and Linux: one queue
//! whose chains are a 9P message to be read and room for its reply, and a configuration space with the mount tag).
//!
//! What is here moves messages; what they mean is the business of `southbridge-backend-fs`.

mod model;
#[cfg(test)]
mod tests;

use southbridge_core::{Category, PropKind};

use crate::types::{IOEVENTFD, ModelType, NO_BUSES, property};
use crate::virtio_types;
pub use model::P9;

virtio_types! {
    /// Shared folders.
    pub static TYPES = "virtio-9p", [pci, transitional, non_transitional, device] {
        category: Category::Storage,
        summary: "Shared folder (9P)",
        model: ModelType {
            class: 0x0002,
            legacy: true,
            vectors: |_| 2,
            create: P9::create,
        },
        vectors: "2",
        properties: [
            property("mount_tag", PropKind::Str, None, "name by which the guest mounts it, at most 31 bytes"),
            property("fsdev", PropKind::Backend("fsdev"), None, "the folder"),
        ],
        pci: [IOEVENTFD],
        buses: NO_BUSES,
    }
}
