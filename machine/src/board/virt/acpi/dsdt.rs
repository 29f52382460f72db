//! The namespace of `virt`: what a kernel cannot find by itself.
//!
//! There is no clock in it: firmware of UEFI's kind keeps the clock to itself and cannot take it out of here.

use super::{hart_controller, map};
use crate::acpi::Bytes;
use crate::acpi::aml::{
    Aml, and_into, arg, buffer, device, dword_field, equal, int, long_package, method, name, not, or_into, otherwise,
    package, path, returns, scope, store, text, unicode, uuid, when,
};
use crate::acpi::resource::{self, buses, interrupt, memory32, memory64, ports, registers, template};
use crate::board::virt::tree::SERIAL_CLOCK;
use crate::board::virt::{Aia, Variant};
use crate::board::{Choices, Description, Irq, Part};

/// Slots of a PCI bus, and pins of a slot.
const SLOTS: u64 = 32;
const PINS: u64 = 4;

pub(super) fn contents(d: &Description, choices: &Choices) -> Bytes {
    let v = Variant::of(choices);
    let has = |kind| d.parts.iter().any(move |p| p.device == kind);
    let parts = |kind| d.parts.iter().filter(move |p| p.device == kind);
    let mut devices: Vec<Aml> = (0..v.harts).map(|hart| processor(&v, hart)).collect();
    devices.extend(has("fw_cfg_mem").then(firmware_configuration));
    devices.push(controller(&v));
    devices.extend(parts("serial-mm").filter_map(serial));
    devices.extend((0..).zip(parts("virtio-mmio")).filter_map(|(n, part)| virtio(n, part)));
    if has("gpex-pcihost") {
        devices.extend((0..PINS).map(link));
        devices.push(pcie(choices));
    }
    Bytes::new().bytes(&scope("\\_SB", &devices))
}

fn ids(hid: &str, uid: u64) -> Aml {
    [name("_HID", &text(hid)), name("_UID", &int(uid))].concat()
}

fn coherent() -> Aml {
    name("_CCA", &int(1))
}

fn uses(descriptors: &[Bytes]) -> Aml {
    name("_CRS", &template(descriptors))
}

fn processor(v: &Variant, hart: u8) -> Aml {
    let entry = name("_MAT", &buffer(&hart_controller(v, hart).0));
    device(&format!("C{hart:03X}"), &[ids("ACPI0007", hart.into()), entry])
}

fn firmware_configuration() -> Aml {
    // Present, working and decoding, not to be shown.
    const STATUS: u64 = 0xb;
    let terms = [
        name("_HID", &text("QEMU0002")),
        name("_STA", &int(STATUS)),
        coherent(),
        uses(&[registers(map::FW_CFG.0, map::FW_CFG.1)]),
    ];
    device("FWCF", &terms)
}

fn controller(v: &Variant) -> Aml {
    let (hid, (at, len)) = match v.aia {
        Aia::None => ("RSCV0001", map::PLIC),
        Aia::Aplic | Aia::Imsic => ("RSCV0002", map::APLIC_S),
    };
    let first_interrupt = name("_GSB", &int(0));
    device("IC00", &[ids(hid, 0), first_interrupt, uses(&[registers(at, len)])])
}

fn wire(part: &Part) -> Option<u16> {
    part.irqs.iter().find_map(|(_, _, irq)| match irq {
        Irq::Line(n) => Some(*n),
        Irq::Nmi => None,
    })
}

fn serial(part: &Part) -> Option<Aml> {
    let resources = [registers(part.at?, map::UART0.1), interrupt(wire(part)?)];
    // Properties in the manner of device trees.
    let of_properties = uuid(
        0xdaff_d814,
        0x6eba,
        0x4d8c,
        [0x8a, 0x91, 0xbc, 0x9b, 0xbf, 0x4a, 0xa3, 0x01],
    );
    let clock = package(&[text("clock-frequency"), int(SERIAL_CLOCK.into())]);
    let properties = name("_DSD", &package(&[of_properties, package(&[clock])]));
    Some(device("COM0", &[ids("RSCV0003", 0), uses(&resources), properties]))
}

fn virtio(n: u64, part: &Part) -> Option<Aml> {
    let resources = [registers(part.at?, map::VIRTIO.1), interrupt(wire(part)?)];
    let terms = [ids("LNRO0005", n), coherent(), uses(&resources)];
    Some(device(&format!("VR{n:02}"), &terms))
}

fn link_name(n: u64) -> String {
    format!("L00{n:X}")
}

/// One of the wires that the pins of all slots are joined to. It cannot be moved to another interrupt.
fn link(n: u64) -> Aml {
    let wire = template(&[interrupt(map::PCIE_IRQ + n as u16)]);
    let terms = [
        ids("PNP0C0F", n),
        name("_PRS", &wire),
        name("_CRS", &wire),
        method("_SRS", 1, &[]),
    ];
    device(&link_name(n), &terms)
}

/// Which wire the pins of each slot are on: the usual rotation.
fn routes() -> Aml {
    let route = |slot: u64, pin: u64| {
        let wire = path(&link_name((slot + pin) % PINS));
        package(&[int(slot << 16 | 0xffff), int(pin), wire, int(0)])
    };
    let all = (0..SLOTS).flat_map(|slot| (0..PINS).map(move |pin| route(slot, pin)));
    long_package(&all.collect::<Vec<_>>())
}

fn pcie(choices: &Choices) -> Aml {
    let (ecam, ecam_len) = map::PCIE_ECAM;
    let windows = [
        buses((ecam_len >> 20) as u16),
        memory32(map::PCIE_MMIO),
        ports(map::PCIE_PIO),
        memory64(map::pcie_high(choices.ram)),
    ];
    let terms = [
        name("_HID", &text("PNP0A08")),
        name("_CID", &text("PNP0A03")),
        name("_SEG", &int(0)),
        name("_BBN", &int(0)),
        name("_UID", &int(0)),
        name("_STR", &unicode("PCIe 0 Device")),
        coherent(),
        name("_PRT", &routes()),
        method("_CBA", 0, &[returns(&int(ecam))]),
        uses(&windows),
        capabilities(),
        functions(),
        // Nothing else may be put over the configuration space.
        device(
            "RES0",
            &[
                name("_HID", &text("PNP0C02")),
                uses(&[resource::memory64(map::PCIE_ECAM)]),
            ],
        ),
    ];
    device("PCI0", &terms)
}

/// `_OSC`: the kernel may have native hotplug (of both kinds), PME, error reporting and the structure of capabilities (PCI Firmware
/// Specification 3.3, 4.5.1).
fn capabilities() -> Aml {
    const ALL: u64 = 0x1f;
    const UNKNOWN_UUID: u64 = 1 << 2;
    const UNKNOWN_REVISION: u64 = 1 << 3;
    const MASKED: u64 = 1 << 4;
    let (status, support, control) = (path("CDW1"), path("CDW2"), path("CDW3"));
    let bridge = uuid(
        0x33db_4d5b,
        0x1ff7,
        0x401c,
        [0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66],
    );
    let negotiate = [
        dword_field(&arg(3), 4, "CDW2"),
        dword_field(&arg(3), 8, "CDW3"),
        store(&support, &path("SUPP")),
        store(&control, &path("CTRL")),
        and_into(&path("CTRL"), &int(ALL)),
        when(
            &not(&equal(&arg(1), &int(1))),
            &[or_into(&status, &int(UNKNOWN_REVISION))],
        ),
        when(&not(&equal(&control, &path("CTRL"))), &[or_into(&status, &int(MASKED))]),
        store(&path("CTRL"), &control),
        returns(&arg(3)),
    ];
    let terms = [
        dword_field(&arg(3), 0, "CDW1"),
        when(&equal(&arg(0), &bridge), &negotiate),
        otherwise(&[or_into(&status, &int(UNKNOWN_UUID)), returns(&arg(3))]),
    ];
    let words = [name("SUPP", &int(0)), name("CTRL", &int(0))].concat();
    [words, method("_OSC", 4, &terms)].concat()
}

/// `_DSM`: of the functions for PCI Express there is none but the one that says so (PCI Firmware Specification 3.3, 4.6).
fn functions() -> Aml {
    let express = uuid(
        0xe5c9_37d0,
        0x3553,
        0x4d7a,
        [0x91, 0x17, 0xea, 0x4d, 0x19, 0xc3, 0x43, 0x4d],
    );
    let asked = when(&equal(&arg(2), &int(0)), &[returns(&buffer(&[1]))]);
    let terms = [when(&equal(&arg(0), &express), &[asked]), returns(&buffer(&[0]))];
    method("_DSM", 4, &terms)
}
