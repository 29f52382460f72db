//! Properties that every virtio device has on PCI, as QEMU 10 names them.

use southbridge_core::{PropKind, Property};

use crate::types::{flag, property};

/// Of types that may be either: which interfaces there are.
pub const CHOICE: [Property; 2] = [
    property(
        "disable-legacy",
        PropKind::OnOffAuto,
        Some("auto"),
        "no interface of before version 1; auto: off, but on where the slot is PCI Express",
    ),
    flag("disable-modern", false, "no interface of version 1"),
];

/// `vectors` with a default; 4294967295 leaves it to the device.
pub const fn vectors(default: &'static str) -> Property {
    property(
        "vectors",
        PropKind::Uint(32),
        Some(default),
        "MSI-X vectors; 0 for none, 4294967295 for as many as the device can use",
    )
}

/// Of all.
pub const COMMON: [Property; 14] = [
    flag(
        "virtio-pci-bus-master-bug-migration",
        false,
        "accepted for QEMU's sake: a matter of its migration format",
    ),
    flag(
        "migrate-extra",
        true,
        "accepted for QEMU's sake: a matter of its migration format",
    ),
    flag("modern-pio-notify", false, "notifications by an I/O port, too"),
    flag(
        "x-disable-pcie",
        false,
        "a conventional function even in a PCI Express slot",
    ),
    flag("page-per-vq", false, "a page for the notifications of each queue"),
    flag(
        "x-ignore-backend-features",
        false,
        "accepted for QEMU's sake: back ends hide no features",
    ),
    flag("ats", false, "address translation services, in a PCI Express slot"),
    flag("x-ats-page-aligned", true, "translations are for whole pages"),
    flag(
        "x-pcie-deverr-init",
        true,
        "PCI Express: error reporting can be enabled",
    ),
    flag("x-pcie-lnkctl-init", true, "PCI Express: the link can be controlled"),
    flag("x-pcie-pm-init", true, "PCI Express: power states"),
    flag("x-pcie-pm-no-soft-reset", false, "waking from D3hot keeps the state"),
    flag("x-pcie-flr-init", true, "PCI Express: function-level reset"),
    flag("aer", false, "PCI Express: advanced error reporting"),
];
