//! The table of kinds. Names and options are QEMU's; the words are ours.

use southbridge_core::{PropKind, Property};

use super::{Kind, Maker};

const fn p(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// Every kind that QEMU has on Linux.
pub static KINDS: &[Kind] = &[HUBPORT];

const HUBPORT: Kind = Kind {
    name: "hubport",
    summary: "a port of a hub inside the machine",
    options: &[
        p("hubid", PropKind::Uint(31), None, "Number of the hub"),
        p(
            "netdev",
            PropKind::Str,
            None,
            "Back end that the hub leads to by this port, in place of a NIC",
        ),
    ],
    maker: Maker::HubPort,
    several: &[],
};
