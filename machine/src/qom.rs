//! Where QEMU's object tree has the things of a board, and what it calls their lines and regions.
//!
//! Clients written for QEMU name devices by these paths, in the monitor and in qtest, so they are as much an interface as addresses
//! are. The tables were read off QEMU 10.0's `qom-list`. Numbers that are missing among `device[N]` belong to its joints of interrupt
//! lines, which are wires here. Boards without a table list their parts by number.

use southbridge_core::{BusKind, CpuId, DeviceId, DeviceType, Line, LineDirection, Machine};
pub use southbridge_cpu_armv7m::NMI_LINE;

use crate::build::Layout;
use std::collections::BTreeMap;

/// A thing of the board that has a place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Only a place for others.
    Container,
    /// A device.
    Device(DeviceId),
    /// What stands around processors; for a Cortex-M with its interrupts and bits of priority.
    Core(Option<Exceptions>),
    /// The interrupt controller of a Cortex-M.
    Nvic(Exceptions),
    /// Its timer.
    SysTick,
    /// A window onto single bits: the first address of what it shows.
    Bitband(u32),
    /// A processor.
    Cpu(CpuId),
    /// A part that is not modelled, by its name in the board's description.
    Unimplemented(&'static str),
    /// A clock of the board.
    Clock,
}

/// What the tree tells of a Cortex-M's exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceptions {
    /// External interrupts.
    pub irqs: u16,
    /// Implemented bits of priority.
    pub priority_bits: u8,
}

/// Where a Cortex-M board's processor and parts are, below `/machine`.
struct Table {
    board: &'static str,
    core: &'static str,
    exceptions: Exceptions,
    containers: &'static [&'static str],
    parts: &'static [(&'static str, &'static str)],
    unimplemented: &'static [(&'static str, &'static str)],
    clocks: &'static [&'static str],
}

static TABLES: &[Table] = &[
    Table {
        board: "lm3s6965evb",
        core: "soc/v7m",
        exceptions: Exceptions {
            irqs: 64,
            priority_bits: 3,
        },
        containers: &["soc"],
        parts: &[
            ("sys", "soc/sys"),
            ("adc", "unattached/device[0]"),
            ("gptm0", "soc/gptm[0]"),
            ("gptm1", "soc/gptm[1]"),
            ("gptm2", "soc/gptm[2]"),
            ("gptm3", "soc/gptm[3]"),
            ("watchdog", "soc/wdg"),
            ("gpio_a", "unattached/device[1]"),
            ("gpio_b", "unattached/device[2]"),
            ("gpio_c", "unattached/device[3]"),
            ("gpio_d", "unattached/device[4]"),
            ("gpio_e", "unattached/device[5]"),
            ("gpio_f", "unattached/device[6]"),
            ("gpio_g", "unattached/device[7]"),
            ("i2c0", "unattached/device[8]"),
            ("i2c1", "unattached/device[9]"),
            ("uart0", "soc/uart[0]"),
            ("uart1", "soc/uart[1]"),
            ("uart2", "soc/uart[2]"),
            ("ssi", "unattached/device[10]"),
            ("enet", "soc/enet"),
            ("ssi-sd", "unattached/device[11]"),
            ("sd-card", "unattached/device[12]"),
            ("oled", "oled"),
            ("gamepad", "gamepad"),
        ],
        unimplemented: &[
            ("PWM", "unattached/device[13]"),
            ("QEI-0", "unattached/device[14]"),
            ("QEI-1", "unattached/device[15]"),
            ("analogue-comparator", "unattached/device[16]"),
            ("hibernation", "unattached/device[17]"),
            ("flash-control", "unattached/device[18]"),
        ],
        clocks: &[],
    },
    Table {
        board: "mps2-an385",
        core: "armv7m",
        exceptions: Exceptions {
            irqs: 32,
            priority_bits: 8,
        },
        containers: &[],
        parts: &[
            ("uart0", "unattached/device[12]"),
            ("uart1", "unattached/device[13]"),
            ("uart2", "unattached/device[14]"),
            ("uart3", "unattached/device[15]"),
            ("uart4", "unattached/device[16]"),
            ("gpio0", "unattached/device[17]"),
            ("gpio1", "unattached/device[18]"),
            ("gpio2", "unattached/device[19]"),
            ("gpio3", "unattached/device[20]"),
            ("timer0", "timer0"),
            ("timer1", "timer1"),
            ("dualtimer", "dualtimer"),
            ("watchdog", "watchdog"),
            ("scc", "scc"),
            ("fpgaio", "fpgaio"),
            ("spi_adc", "unattached/device[21]"),
            ("spi_apb", "unattached/device[23]"),
            ("spi_lcd", "unattached/device[24]"),
            ("spi_shield0", "unattached/device[26]"),
            ("spi_shield1", "unattached/device[27]"),
            ("i2c_touch", "unattached/device[28]"),
            ("i2c_audio", "unattached/device[29]"),
            ("i2c_shield0", "unattached/device[30]"),
            ("i2c_shield1", "unattached/device[31]"),
            ("ethernet", "unattached/device[33]"),
        ],
        unimplemented: &[
            ("RESERVED 1", "unattached/device[1]"),
            ("RESERVED 2", "unattached/device[3]"),
            ("RESERVED 3", "unattached/device[4]"),
            ("CMSDK APB peripheral region", "unattached/device[6]"),
            ("CMSDK AHB peripheral region", "unattached/device[7]"),
            ("Extra peripheral region", "unattached/device[8]"),
            ("i2s", "unattached/device[32]"),
            ("RESERVED 4", "unattached/device[9]"),
            ("VGA", "unattached/device[10]"),
        ],
        clocks: &["SYSCLK"],
    },
];

/// Bit-band windows of a Cortex-M3: what they show (ARM DDI 0403, B3.1).
const BITBANDS: [u32; 2] = [0x2000_0000, 0x4000_0000];

/// Everything of the board that has a place, by its path below `/machine`, containers before what they contain.
pub fn places(layout: &Layout, machine: &Machine) -> Vec<(String, Thing)> {
    let table = TABLES.iter().find(|t| t.board == layout.board.name);
    let mut all = Vec::new();
    for path in table.map_or(&[][..], |t| t.containers) {
        all.push(((*path).to_owned(), Thing::Container));
    }
    processors(table, machine, &mut all);
    let named = |part: &str| {
        table
            .and_then(|t| t.parts.iter().find(|p| p.0 == part))
            .map(|p| p.1.to_owned())
    };
    let mut parts: Vec<_> = layout.parts.iter().collect();
    parts.sort_unstable_by_key(|(_, id)| **id);
    let on_virt = virt_paths(layout);
    for (n, (part, id)) in parts.into_iter().enumerate() {
        let path = named(part)
            .or_else(|| on_virt.get(part).cloned())
            .unwrap_or_else(|| format!("unattached/device[{n}]"));
        all.push((path, Thing::Device(*id)));
    }
    let rest = table.map_or(&[][..], |t| t.unimplemented);
    all.extend(
        rest.iter()
            .map(|(name, path)| ((*path).to_owned(), Thing::Unimplemented(name))),
    );
    let clocks = table.map_or(&[][..], |t| t.clocks);
    all.extend(clocks.iter().map(|path| ((*path).to_owned(), Thing::Clock)));
    all
}

/// The order in which QEMU makes the parts of `virt` that have numbers instead of names; the platform bus, which is none of ours, has one,
/// too.
const VIRT_ORDER: [&str; 13] = [
    "mswi",
    "mtimer",
    "sswi",
    "imsic_m",
    "imsic_s",
    "plic",
    "aplic_m",
    "aplic_s",
    "test",
    "virtio",
    "pcie",
    "platform-bus",
    "rtc",
];

/// Where the parts of `virt` are, whose number depends on what the user chose.
fn virt_paths(layout: &Layout) -> BTreeMap<&'static str, String> {
    let mut paths = BTreeMap::new();
    if layout.board.name != "virt" {
        return paths;
    }
    let mut n = 0;
    let mut number = || {
        n += 1;
        format!("unattached/device[{}]", n - 1)
    };
    for kind in VIRT_ORDER {
        match kind {
            "platform-bus" => drop(number()),
            "rtc" => {
                // The serial port stands before the clock.
                for part in ["uart0", "rtc"] {
                    paths.insert(part, number());
                }
            }
            _ => {
                let of_kind = |part: &str| part.trim_end_matches(|c: char| c.is_ascii_digit()) == kind;
                for part in layout.parts.keys().filter(|p| of_kind(p)) {
                    paths.insert(*part, number());
                }
            }
        }
    }
    if let Some(bridge) = paths.get("pcie").cloned() {
        paths.insert("pcie_root", format!("{bridge}/gpex_root"));
    }
    for (part, path) in [
        ("fw_cfg", "fw_cfg"),
        ("flash0", "virt.flash0"),
        ("flash1", "virt.flash1"),
    ] {
        paths.insert(part, path.to_owned());
    }
    paths
}

fn processors(table: Option<&Table>, machine: &Machine, all: &mut Vec<(String, Thing)>) {
    let Some(arch) = machine.cpus.first().map(|c| c.arch()) else {
        return;
    };
    let core = table.map_or(arch.qom_home.0, |t| t.core);
    let exceptions = table.map(|t| t.exceptions);
    all.push((core.to_owned(), Thing::Core(exceptions)));
    if let Some(exceptions) = exceptions {
        all.push((format!("{core}/nvic"), Thing::Nvic(exceptions)));
        all.push((format!("{core}/systick-reg-ns"), Thing::SysTick));
        let windows = BITBANDS.iter().enumerate();
        all.extend(windows.map(|(n, base)| (format!("{core}/bitband[{n}]"), Thing::Bitband(*base))));
    }
    for n in (0..).take(machine.cpus.len()) {
        let name = match arch.qom_name.strip_suffix("[]") {
            Some(stem) => format!("{core}/{stem}[{n}]"),
            None => format!("{core}/{}", arch.qom_name),
        };
        all.push((name, Thing::Cpu(CpuId(n))));
    }
}

/// The list of lines without a name.
pub const UNNAMED: Option<&str> = None;
/// The list of a memory-mapped device's interrupts.
pub const SYSBUS_IRQ: &str = "sysbus-irq";

/// The list in which QEMU has lines of this name; `None` is the one without a name.
pub fn group(t: &DeviceType, line: &Line) -> Option<&'static str> {
    match (line.direction, line.name) {
        (LineDirection::Out, "out" | "trigger" | "button") => UNNAMED,
        (LineDirection::In, "in" | "dc" | "timer" | "source") => UNNAMED,
        // The interrupt controllers of RISC-V drive processors, which are no devices on a bus.
        (LineDirection::Out, _) if matches!(t.name, "riscv.aclint.swi" | "riscv.aclint.mtimer") => UNNAMED,
        (LineDirection::Out, _) if matches!(t.name, "riscv.sifive.plic" | "riscv.aplic") => UNNAMED,
        (LineDirection::Out, "pwm" | "remap" | "led" | "reset" | "PORTOUT") => Some(line.name),
        (LineDirection::Out, _) if t.bus == BusKind::System => Some(SYSBUS_IRQ),
        _ => Some(line.name),
    }
}

/// A list of lines: its name, the first of its lines among all of that direction, and how many.
pub type Group = (Option<&'static str>, u16, u16);

/// The lists of lines of a type in one direction, in its order.
pub fn groups(t: &DeviceType, direction: LineDirection) -> Vec<Group> {
    let mut all: Vec<Group> = Vec::new();
    let mut next = 0;
    for line in t.lines.iter().filter(|l| l.direction == direction) {
        let name = group(t, line);
        match all.last_mut().filter(|g| g.0 == name) {
            Some(last) => last.2 += line.count,
            None => all.push((name, next, line.count)),
        }
        next += line.count;
    }
    all
}

/// What QEMU calls a region.
pub fn region(t: &DeviceType, name: &'static str) -> &'static str {
    match (t.name, name) {
        ("gpex-pcihost", "ecam") => return "pcie-ecam",
        ("gpex-pcihost", "mmio32") => return "pcie-mmio",
        ("gpex-pcihost", "mmio64") => return "pcie-mmio-high",
        ("gpex-pcihost", "pio") => return "gpex_ioport_window",
        ("fw_cfg_mem", "data") => return "fwcfg.data",
        ("fw_cfg_mem", "control") => return "fwcfg.ctl",
        ("fw_cfg_mem", "dma") => return "fwcfg.dma",
        _ => {}
    }
    if !matches!(name, "regs" | "registers") {
        return name;
    }
    match t.name {
        "pl011" | "pl011_luminary" => "pl011",
        "pl061" | "pl061_luminary" => "pl061",
        "stellaris-sys" => "ssys",
        "stellaris-gptm" => "gptm",
        "stellaris-adc" => "adc",
        "stellaris-i2c" => "i2c",
        "serial-mm" => "serial",
        "luminary-watchdog" => "cmsdk-apb-watchdog",
        own => own,
    }
}

#[cfg(test)]
mod tests {
    use super::{TABLES, Thing, groups, places};
    use crate::board::BOARDS;
    use crate::build::{Options, build};
    use southbridge_core::{ClockRate, LineDirection, Machine};
    use std::collections::BTreeSet;

    #[test]
    fn every_part_has_one_place() {
        for board in BOARDS.iter().filter(|b| TABLES.iter().any(|t| t.board == b.name)) {
            let machine = Machine::empty(ClockRate::Hz(1)).unwrap();
            let built = build(machine, board, &crate::registry(), &Options::default()).unwrap();
            let all = places(&built.layout, &built.machine);
            let paths: BTreeSet<_> = all.iter().map(|(path, _)| path).collect();
            assert_eq!(paths.len(), all.len(), "{}", board.name);
            let table = TABLES.iter().find(|t| t.board == board.name).unwrap();
            for part in built.layout.parts.keys() {
                assert!(
                    table.parts.iter().any(|(name, _)| name == part),
                    "{part} of {}",
                    board.name
                );
            }
            for (_, thing) in &all {
                if let Thing::Unimplemented(name) = thing {
                    let mut mapped = built.machine.sys.memory.mappings();
                    assert!(mapped.any(|(_, m)| m.name == *name), "{name} of {}", board.name);
                }
            }
        }
    }

    #[test]
    fn parts_of_virt_have_the_numbers_of_qemu() {
        let board = *BOARDS.iter().find(|b| b.name == "virt").unwrap();
        let machine = Machine::empty(ClockRate::Hz(1)).unwrap();
        let built = build(machine, board, &crate::registry(), &Options::default()).unwrap();
        let all = places(&built.layout, &built.machine);
        let at = |part: &str| {
            let id = built.layout.parts[part];
            all.iter().find(|(_, t)| *t == Thing::Device(id)).map(|p| p.0.as_str())
        };
        for (part, path) in [
            ("mswi", "unattached/device[0]"),
            ("mtimer", "unattached/device[1]"),
            ("plic", "unattached/device[2]"),
            ("test", "unattached/device[3]"),
            ("pcie", "unattached/device[12]"),
            ("pcie_root", "unattached/device[12]/gpex_root"),
            ("uart0", "unattached/device[14]"),
            ("rtc", "unattached/device[15]"),
            ("flash1", "virt.flash1"),
            ("fw_cfg", "fw_cfg"),
        ] {
            assert_eq!(at(part), Some(path), "{part}");
        }
        let paths: BTreeSet<_> = all.iter().map(|(path, _)| path).collect();
        assert_eq!(paths.len(), all.len());
    }

    #[test]
    fn lists_of_lines_are_those_of_qemu() {
        let registry = crate::registry();
        let of = |name: &str, way| groups(registry.get(name).unwrap(), way);
        assert_eq!(
            of("pl061", LineDirection::Out),
            [(Some("sysbus-irq"), 0, 1), (None, 1, 8)]
        );
        assert_eq!(of("pl061", LineDirection::In), [(None, 0, 8)]);
        assert_eq!(of("cmsdk-apb-uart", LineDirection::Out), [(Some("sysbus-irq"), 0, 5)]);
        assert_eq!(
            of("ssd0323", LineDirection::In),
            [(Some("ssi-gpio-cs"), 0, 1), (None, 1, 1)]
        );
    }
}
