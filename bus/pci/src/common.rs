//! The properties that every PCI device has, as QEMU 10 names them, and what they do.

use southbridge_core::{Build, CreateError, PropKind, Properties, Property, RamBlock, Region};

use crate::function::Pci;

const fn property(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// The properties of every PCI device; see [`crate::pci_properties!`].
pub const PROPERTIES: [Property; 13] = [
    property(
        "addr",
        PropKind::Str,
        None,
        "slot and, after a point, function, in hexadecimal: 3 or 03.0; a free slot if not given",
    ),
    property("romfile", PropKind::Str, None, "file with the expansion ROM"),
    property(
        "romsize",
        PropKind::Uint(32),
        Some("4294967295"),
        "bytes of the expansion ROM, a power of two; by the file if not given",
    ),
    property(
        "rombar",
        PropKind::Enum(&["-1", "0", "1", "auto", "off", "on"]),
        Some("-1"),
        "0 or off hides the expansion ROM",
    ),
    property(
        "multifunction",
        PropKind::Bool,
        Some("off"),
        "the device has other functions",
    ),
    property(
        "x-pcie-lnksta-dllla",
        PropKind::Bool,
        Some("on"),
        "link status tells that the data link layer is up",
    ),
    property(
        "x-pcie-extcap-init",
        PropKind::Bool,
        Some("on"),
        "extended configuration space begins empty",
    ),
    property("failover_pair_id", PropKind::Str, None, "accepted if empty"),
    property(
        "acpi-index",
        PropKind::Uint(32),
        Some("0"),
        "number by which ACPI names the device; 0 for none",
    ),
    property(
        "x-pcie-err-unc-mask",
        PropKind::Bool,
        Some("on"),
        "uncorrectable internal errors are masked at power-on",
    ),
    property(
        "x-pcie-ari-nextfn-1",
        PropKind::Bool,
        Some("off"),
        "the chain of ARI functions goes on with 1 instead of ending",
    ),
    property(
        "x-max-bounce-buffer-size",
        PropKind::Size,
        Some("4096"),
        "accepted; DMA here needs no bounce buffers",
    ),
    property("x-pcie-ext-tag", PropKind::Bool, Some("on"), "8-bit tags"),
];

/// `pci_properties![one, two]`: a device's own properties followed by those of every PCI device, as a `&'static [Property]`.
#[macro_export]
macro_rules! pci_properties {
    ($($own:expr),* $(,)?) => {{
        const OWN: &[::southbridge_core::Property] = &[$($own),*];
        const ALL: [::southbridge_core::Property; OWN.len() + $crate::common::PROPERTIES.len()] =
            $crate::common::join::<{ OWN.len() + $crate::common::PROPERTIES.len() }>(OWN);
        &ALL
    }};
}

/// The work of [`crate::pci_properties!`].
pub const fn join<const N: usize>(own: &[Property]) -> [Property; N] {
    let mut all = [PROPERTIES[0]; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < own.len() {
            own[i]
        } else {
            PROPERTIES[i - own.len()]
        };
        i += 1;
    }
    all
}

static ROM_REGION: Region = Region::ram("rom", 0);
/// A ROM file is read whole into memory of the host: larger ones are mistakes.
const MAX_ROM: u64 = 256 << 20;

/// Does what the common properties say, to a function that is complete otherwise.
///
/// # Errors
/// When the ROM file cannot be used.
pub fn apply(pci: &mut Pci, p: &Properties, build: &mut Build<'_>) -> Result<(), CreateError> {
    if p.bool("multifunction") {
        pci.set_multifunction();
    }
    if let Some(pair) = p.str("failover_pair_id").filter(|s| !s.is_empty()) {
        return Err(CreateError::BadValue {
            property: "failover_pair_id",
            value: pair.to_owned(),
            expected: "nothing yet: there is no failover of network devices".into(),
        });
    }
    let hidden = matches!(p.str("rombar"), Some("0" | "off"));
    match p.str("romfile").filter(|f| !f.is_empty()) {
        Some(file) if !hidden => add_rom(pci, file, p.uint("romsize"), build),
        _ => Ok(()),
    }
}

fn add_rom(pci: &mut Pci, file: &str, romsize: u64, build: &mut Build<'_>) -> Result<(), CreateError> {
    let host = |e: String| CreateError::Host(format!("romfile '{file}': {e}"));
    let len = std::fs::metadata(file).map_err(|e| host(e.to_string()))?.len();
    if len == 0 || len > MAX_ROM {
        return Err(host(format!("it has {len} bytes; a ROM has 1 byte to 256 MiB")));
    }
    let unset = u64::from(u32::MAX);
    let size = if romsize == unset {
        len.next_power_of_two().max(2048)
    } else {
        romsize
    };
    if !size.is_power_of_two() || !(2048..=MAX_ROM).contains(&size) {
        return Err(CreateError::BadValue {
            property: "romsize",
            value: size.to_string(),
            expected: "a power of two from 2048 to 268435456".into(),
        });
    }
    if size < len {
        return Err(host(format!("it has {len} bytes, which romsize={size} does not hold")));
    }
    let data = std::fs::read(file).map_err(|e| host(e.to_string()))?;
    let block = RamBlock::new("pci rom", size).map_err(|e| host(e.to_string()))?;
    if data.len() as u64 > size || !block.write(0, &data) {
        return Err(host("it changed while it was read".into()));
    }
    let region = build.add_rom(&ROM_REGION, block);
    pci.add_rom(region, size);
    Ok(())
}
