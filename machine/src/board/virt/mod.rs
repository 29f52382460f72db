//! `virt`: a RISC-V machine that no one has ever soldered, with PCI Express, made for general operating systems.
//!
//! Addresses, interrupts, options and defaults are those of QEMU 10. Differences: with `-numa` there is still one interrupt controller
//! and one timer for all harts, where QEMU has one of each for every node.

mod acpi;
mod boot;
mod firmware;
pub(crate) mod map;
#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;

use southbridge_core::machine::Pacing;
use southbridge_core::{CpuId, PropKind};
use southbridge_device_platform::flash::Flash;
use southbridge_device_riscv::aplic::Domain;

use super::{
    Board, Choices, Core, Description, End, Expansion, Irq, Memory, MemoryKind, Part, Plug, Ram, Rv64, Unassigned,
    Value, Wire,
};
use crate::boot::Boot;
use crate::build::Built;
use crate::objects::property;
use map::{DRAM, IMSIC_PAGE, SWI_SIZE};

/// Interrupt inputs of a hart, by the bits of `mip` (Privileged ISA, "Machine Interrupt Registers").
const SSIP: u32 = 1;
const MSIP: u32 = 3;
const MTIP: u32 = 7;
const SEIP: u32 = 9;
const MEIP: u32 = 11;

const MAX_HARTS: u8 = 8;

pub(super) static BOARD: Board = Board {
    name: "virt",
    summary: "RISC-V VirtIO board",
    cpu: Some(Core::Rv64(Rv64 {
        most: MAX_HARTS,
        irqs: map::SOURCES,
        messages: |choices| match Variant::of(choices).aia {
            Aia::Imsic => map::MESSAGES,
            Aia::None | Aia::Aplic => 0,
        },
    })),
    properties: &[
        property(
            "aia",
            PropKind::Enum(&["none", "aplic", "aplic-imsic"]),
            Some("none"),
            "Advanced interrupt architecture instead of a PLIC: with wires, or with messages",
        ),
        property(
            "aia-guests",
            PropKind::Uint(3),
            Some("0"),
            "Interrupt files for guests of each hart, with aia=aplic-imsic",
        ),
        property(
            "aclint",
            PropKind::Bool,
            Some("off"),
            "Timer and software interrupts as an ACLINT, with those for supervisor mode",
        ),
        property(
            "acpi",
            PropKind::OnOffAuto,
            Some("auto"),
            "ACPI tables: for firmware (auto), and for a kernel that is started without UEFI (on)",
        ),
    ],
    pacing: Pacing::Wall,
    unassigned: Unassigned::Fault,
    expansion: Expansion {
        mmio: &[map::PLATFORM_BUS],
        ram: &[map::PLATFORM_BUS],
        irqs: &[64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79],
    },
    ram: Ram::Any {
        default: 128 << 20,
        least: 1 << 20,
        most: 1 << 40,
    },
    boot: Boot::Firmware(boot::boot),
    serial_ports: 1,
    describe,
};

/// Which interrupt controllers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aia {
    None,
    Aplic,
    Imsic,
}

/// The board's own properties.
#[derive(Debug, Clone, Copy)]
struct Variant {
    aia: Aia,
    guests: u64,
    aclint: bool,
    harts: u8,
}

impl Variant {
    fn of(choices: &Choices) -> Self {
        let aia = match choices.properties.str("aia") {
            Some("aplic") => Aia::Aplic,
            Some("aplic-imsic") => Aia::Imsic,
            _ => Aia::None,
        };
        Self {
            aia,
            guests: choices.properties.uint("aia-guests"),
            aclint: choices.properties.bool("aclint"),
            harts: choices.cpus,
        }
    }

    /// Bits of the address of a supervisor's interrupt file that say whose file it is: its own, or which guest's.
    fn guest_bits(&self) -> u32 {
        map::index_bits(self.guests + 1)
    }

    /// Bytes of all interrupt files of a hart, in supervisor mode.
    fn supervisor_files(&self) -> u64 {
        IMSIC_PAGE << self.guest_bits()
    }

    fn uint(value: impl Into<u64>) -> Value {
        Value::Uint(value.into())
    }
}

/// Wires of one line of a part to the same input of every hart.
fn to_harts(d: &mut Description, harts: u8, part: &'static str, line: &'static str, input: u32) {
    let wire = |h: u8| Wire::to((part, line, h.into()), End::Cpu(CpuId(h), input));
    d.wires.extend((0..harts).map(wire));
}

fn describe(choices: &Choices) -> Description {
    let v = Variant::of(choices);
    let mut d = Description {
        // Time follows the wall, and a guest that runs faster than this is held back: more than any engine does.
        clocks: vec![("cpu", 4_000_000_000)],
        memory: memory(choices),
        ..Description::default()
    };
    timers(&mut d, &v);
    match v.aia {
        Aia::None => plic(&mut d, &v),
        Aia::Aplic | Aia::Imsic => aia(&mut d, &v),
    }
    firmware_parts(&mut d, choices);
    for (slot, (name, irq)) in VIRTIO.iter().enumerate() {
        let at = map::VIRTIO.0 + slot as u64 * map::VIRTIO.1;
        d.parts.push(Part::new(name, "virtio-mmio", at).irqs(irq));
    }
    pcie(&mut d, choices);
    d.parts.push(Part::new("test", "riscv.sifive.test", map::TEST.0));
    d.parts.push(
        Part::new("uart0", "serial-mm", map::UART0.0)
            .irqs(&[("irq", 0, Irq::Line(map::UART0_IRQ))])
            .with(vec![("chardev", Value::Serial(0)), ("baudbase", Value::Uint(399_193))]),
    );
    d.parts
        .push(Part::new("rtc", "goldfish_rtc", map::RTC.0).irqs(&[("irq", 0, Irq::Line(map::RTC_IRQ))]));
    d.finish = Some(finish);
    d
}

type NamedIrq = (&'static str, &'static [(&'static str, u16, Irq)]);

const VIRTIO: [NamedIrq; 8] = [
    ("virtio0", &[("irq", 0, Irq::Line(map::VIRTIO_IRQ))]),
    ("virtio1", &[("irq", 0, Irq::Line(map::VIRTIO_IRQ + 1))]),
    ("virtio2", &[("irq", 0, Irq::Line(map::VIRTIO_IRQ + 2))]),
    ("virtio3", &[("irq", 0, Irq::Line(map::VIRTIO_IRQ + 3))]),
    ("virtio4", &[("irq", 0, Irq::Line(map::VIRTIO_IRQ + 4))]),
    ("virtio5", &[("irq", 0, Irq::Line(map::VIRTIO_IRQ + 5))]),
    ("virtio6", &[("irq", 0, Irq::Line(map::VIRTIO_IRQ + 6))]),
    ("virtio7", &[("irq", 0, Irq::Line(map::VIRTIO_IRQ + 7))]),
];

/// What firmware reads: its configuration, and two banks of flash.
fn firmware_parts(d: &mut Description, choices: &Choices) {
    // The data register stands before the selector, and the one for DMA behind it.
    const DATA: u64 = map::FW_CFG.0;
    d.parts
        .push(Part::new("fw_cfg", "fw_cfg_mem", DATA + 8).also(&[(1, DATA), (2, DATA + 16)]));
    for (chip, name) in ["flash0", "flash1"].into_iter().enumerate() {
        let mut properties = vec![
            ("sector-length", Value::Uint(map::FLASH_SECTOR)),
            ("num-blocks", Value::Uint(map::FLASH.1 / map::FLASH_SECTOR)),
        ];
        if let Some(file) = choices.flash.iter().find(|f| f.chip == chip as u64) {
            properties.push(("drive", Value::Text(Cow::Owned(file.path.clone()))));
            properties.push(("readonly", Value::Switch(file.readonly)));
            properties.push(("x-temporary", Value::Switch(file.temporary)));
        }
        let at = map::FLASH.0 + chip as u64 * map::FLASH.1;
        d.parts.push(Part::new(name, "cfi.pflash01", at).with(properties));
    }
}

fn pcie(d: &mut Description, choices: &Choices) {
    let high = map::pcie_high(choices.ram);
    d.parts.push(Part::aside("pcie", "gpex-pcihost").with(vec![
        ("x-ecam-base", Value::Uint(map::PCIE_ECAM.0)),
        ("x-ecam-size", Value::Uint(map::PCIE_ECAM.1)),
        ("x-pio-base", Value::Uint(map::PCIE_PIO.0)),
        ("x-pio-size", Value::Uint(map::PCIE_PIO.1)),
        ("x-below-4g-mmio-base", Value::Uint(map::PCIE_MMIO.0)),
        ("x-below-4g-mmio-size", Value::Uint(map::PCIE_MMIO.1)),
        ("x-above-4g-mmio-base", Value::Uint(high.0)),
        ("x-above-4g-mmio-size", Value::Uint(high.1)),
    ]));
    d.parts.push(Part::aside("pcie_root", "gpex-root"));
    d.plugs.push(Plug {
        bus_of: "pcie",
        part: "pcie_root",
        address: 0,
    });
    for pin in 0..4 {
        let irq = Irq::Line(map::PCIE_IRQ + pin);
        d.wires.push(Wire::to(("pcie", "intx", pin), End::Irq(irq)));
    }
}

/// Parts that know each other: the domains of interrupts. The contents of flash are memory of the machine.
fn finish(built: &mut Built) {
    let part = |name: &str| built.layout.parts.get(name).copied();
    if let (Some(machine), Some(supervisor)) = (part("aplic_m"), part("aplic_s")) {
        let sys = &mut built.machine.sys;
        sys.with_role::<dyn Domain, _>(machine, |domain, _| domain.adopt(supervisor));
    }
    for name in ["flash0", "flash1"] {
        let Some(id) = built.layout.parts.get(name).copied() else {
            continue;
        };
        let sys = &mut built.machine.sys;
        let memory = sys.with_role::<dyn Flash, _>(id, |flash, _| flash.memory());
        built.machine.ram.extend(memory.map(|m| (format!("virt.{name}"), m)));
    }
}

fn memory(choices: &Choices) -> Vec<Memory> {
    let mut memory = vec![Memory::new(
        "riscv_virt_board.mrom",
        map::MROM.0,
        map::MROM.1,
        MemoryKind::Rom,
    )];
    if choices.numa.iter().all(|n| n.memdev.is_none()) {
        let kind = choices.ram_backend.clone().map_or(MemoryKind::Ram, MemoryKind::Backed);
        memory.push(Memory::new("riscv_virt_board.ram", DRAM, choices.ram, kind));
        return memory;
    }
    let mut at = DRAM;
    for node in choices.numa.iter().filter(|n| n.memory > 0) {
        if let Some(id) = &node.memdev {
            memory.push(Memory::new(
                "riscv_virt_board.ram",
                at,
                node.memory,
                MemoryKind::Backed(id.clone()),
            ));
        }
        at += node.memory;
    }
    memory
}

/// Timer and software interrupts of all harts.
fn timers(d: &mut Description, v: &Variant) {
    let harts = || ("num-harts", Variant::uint(v.harts));
    let by_message = v.aclint && v.aia == Aia::Imsic;
    let mut mtimer = map::CLINT.0;
    if !by_message {
        d.parts
            .push(Part::new("mswi", "riscv.aclint.swi", map::CLINT.0).with(vec![harts()]));
        to_harts(d, v.harts, "mswi", "swi", MSIP);
        mtimer += SWI_SIZE;
    }
    d.parts
        .push(Part::new("mtimer", "riscv.aclint.mtimer", mtimer).with(vec![harts()]));
    to_harts(d, v.harts, "mtimer", "mtip", MTIP);
    if v.aclint && !by_message {
        let sswi = vec![harts(), ("sswi", Value::Switch(true))];
        d.parts
            .push(Part::new("sswi", "riscv.aclint.swi", map::SSWI.0).with(sswi));
        to_harts(d, v.harts, "sswi", "swi", SSIP);
    }
}

fn plic(d: &mut Description, v: &Variant) {
    let config = ["MS"; MAX_HARTS as usize];
    let config = config.get(..v.harts.into()).unwrap_or(&config).join(",");
    d.parts
        .push(Part::new("plic", "riscv.sifive.plic", map::PLIC.0).with(vec![
            ("hart-config", Value::Text(Cow::Owned(config))),
            ("num-sources", Variant::uint(map::SOURCES)),
        ]));
    to_harts(d, v.harts, "plic", "meip", MEIP);
    to_harts(d, v.harts, "plic", "seip", SEIP);
    d.interrupts = Some(("plic", "source"));
}

/// Parts with the same name for every hart, told apart by its number.
const IMSIC_M: [&str; MAX_HARTS as usize] = [
    "imsic_m0", "imsic_m1", "imsic_m2", "imsic_m3", "imsic_m4", "imsic_m5", "imsic_m6", "imsic_m7",
];
const IMSIC_S: [&str; MAX_HARTS as usize] = [
    "imsic_s0", "imsic_s1", "imsic_s2", "imsic_s3", "imsic_s4", "imsic_s5", "imsic_s6", "imsic_s7",
];

fn aia(d: &mut Description, v: &Variant) {
    let messages = v.aia == Aia::Imsic;
    for hart in 0..if messages { v.harts } else { 0 } {
        let i = usize::from(hart);
        let imsic = |name, at: u64, machine, files: u64| {
            Part::new(name, "riscv.imsic", at).with(vec![
                ("mmode", Value::Switch(machine)),
                ("hartid", Variant::uint(hart)),
                ("num-pages", Value::Uint(files)),
                ("num-irqs", Variant::uint(map::MESSAGES + 1)),
            ])
        };
        let (of_machine, of_supervisor) = (IMSIC_PAGE * u64::from(hart), v.supervisor_files() * u64::from(hart));
        d.parts.push(imsic(IMSIC_M[i], map::IMSIC_M + of_machine, true, 1));
        d.parts
            .push(imsic(IMSIC_S[i], map::IMSIC_S + of_supervisor, false, v.guests + 1));
    }
    let aplic = |name, at: u64, machine| {
        Part::new(name, "riscv.aplic", at).with(vec![
            ("num-harts", Variant::uint(v.harts)),
            ("num-irqs", Variant::uint(map::SOURCES + 1)),
            ("msimode", Value::Switch(messages)),
            ("mmode", Value::Switch(machine)),
        ])
    };
    d.parts.push(aplic("aplic_m", map::APLIC_M.0, true));
    d.parts.push(aplic("aplic_s", map::APLIC_S.0, false));
    if !messages {
        to_harts(d, v.harts, "aplic_m", "irq", MEIP);
        to_harts(d, v.harts, "aplic_s", "irq", SEIP);
    }
    d.interrupts = Some(("aplic_m", "source"));
}
