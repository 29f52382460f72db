//! What stands on the board and is no device of ours: the processor and what is around it, memories, clocks, lines, and parts that are
//! not modelled. They are computed from the board's description.

use serde_json::json;
use southbridge_core::line::Sink;
use southbridge_core::memory::Target;
use southbridge_core::{CpuId, DeviceId, DeviceType, LineDirection, Machine, RunState};
use southbridge_machine::qom::{self, Exceptions, Thing};

use super::{Listed, Node, listed};
use crate::{Cx, World};

/// The whole address space, as QEMU calls it.
pub(super) const SYSTEM: &str = "/machine/unattached/system[0]";
/// The size of a region that covers everything.
const EVERYTHING: u64 = u64::MAX;

/// A memory region in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Region {
    /// A region of a device.
    Device(DeviceId, usize),
    /// A memory of the board or a part that is not modelled, by its name.
    Mapped(String),
    /// One that no part of the board has: first address, bytes, priority, whether it is within the processor's own space.
    Fixed(u64, u64, i32, bool),
}

/// Its properties.
pub(super) fn region(cx: &Cx<'_>, region: &Region, all: &mut Vec<Listed>) {
    let memory = &cx.machine.sys.memory;
    let (container, start, size, priority) = match region {
        Region::Device(id, n) => {
            let Some(r) = cx.machine.sys.slot(*id).and_then(|s| s.regions.get(*n)) else {
                return;
            };
            match r.mappings.first().and_then(|m| memory.mapping(*m)) {
                Some(m) => (SYSTEM.to_owned(), m.start, r.size, m.priority),
                None => (String::new(), 0, r.size, 0),
            }
        }
        Region::Mapped(name) => match memory.mappings().find(|(_, m)| m.name == *name) {
            Some((_, m)) => (SYSTEM.to_owned(), m.start, m.len, m.priority),
            None => return,
        },
        Region::Fixed(start, size, priority, inner) => {
            let core = core_path(cx).filter(|_| *inner);
            let container = core.map_or_else(String::new, |c| format!("{c}/armv7m-container[0]"));
            (container, *start, *size, *priority)
        }
    };
    all.push(listed("container", "link<memory-region>", json!(container)));
    all.push(listed("addr", "uint64", json!(start)));
    all.push(listed("size", "uint64", json!(size)));
    all.push(listed("priority", "uint32", json!(priority)));
}

/// Where the processor's surroundings are.
pub(crate) fn core_path(cx: &Cx<'_>) -> Option<String> {
    let mut places = cx.world.places(cx.machine).iter();
    let core = places.find(|(_, t)| matches!(t, Thing::Core(_)))?;
    Some(format!("/machine/{}", core.0))
}

/// Where a processor is.
pub(crate) fn cpu_path(machine: &Machine, world: &World, cpu: CpuId) -> String {
    let mut places = world.places(machine).iter();
    let found = places.find(|(_, t)| *t == Thing::Cpu(cpu));
    found.map_or_else(String::new, |(path, _)| format!("/machine/{path}"))
}

/// The things of the board directly below a path below `/machine`.
pub(super) fn below(machine: &Machine, world: &World, path: &str) -> Vec<(String, Node)> {
    let inside = |p: &str| match path {
        "" => (!p.contains('/')).then(|| p.to_owned()),
        _ => {
            let name = p.strip_prefix(path)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| name.to_owned())
        }
    };
    let places = world.places(machine).iter().enumerate();
    let found = places.filter_map(|(n, (p, thing))| Some((inside(p)?, n, thing)));
    found
        .map(|(name, n, thing)| match thing {
            Thing::Device(id) => (name, Node::Device(*id)),
            _ => (name, Node::Fixed(n)),
        })
        .collect()
}

fn lines<'a>(name: &'a str, count: u16) -> impl Iterator<Item = (String, Node)> + 'a {
    (0..count).map(move |n| (format!("{name}[{n}]"), Node::Line))
}

fn fixed(name: &str, start: u64, size: u64, priority: i32, inner: bool) -> (String, Node) {
    (
        name.to_owned(),
        Node::Memory(Region::Fixed(start, size, priority, inner)),
    )
}

/// What is inside such a thing besides other things of the board.
pub(super) fn inside(thing: Thing) -> Vec<(String, Node)> {
    let clocks = || ["cpuclk", "refclk"].map(|c| (c.to_owned(), Node::Clock(None)));
    match thing {
        Thing::Core(Some(_)) => {
            let mut all = vec![
                fixed("armv7m-container[0]", 0, EVERYTHING, 0, false),
                fixed("nvic-default[0]", 0xe000_0000, 0x10_0000, -1, true),
                fixed("v7m_systick[0]", 0xe000_e010, 0xe0, 1, true),
            ];
            all.extend(clocks());
            all
        }
        Thing::Nvic(exceptions) => {
            let mut all: Vec<_> = lines("unnamed-gpio-in", exceptions.irqs).collect();
            all.extend(lines("NMI", 1));
            all.extend(lines("systick-trigger", 2));
            all.push(fixed("nvic_sysregs[0]", 0xe000_e000, 0x1000, 0, true));
            all
        }
        Thing::SysTick => {
            let mut all = vec![fixed("systick[0]", 0, 0xe0, 0, false)];
            all.extend(clocks());
            all
        }
        Thing::Bitband(base) => vec![fixed("bitband[0]", u64::from(base) + 0x0200_0000, 0x0200_0000, 0, true)],
        Thing::Cpu(_) => lines("unnamed-gpio-in", 6).collect(),
        Thing::Unimplemented(name) => {
            let region = Node::Memory(Region::Mapped(name.to_owned()));
            vec![(format!("{name}[0]"), region)]
        }
        Thing::Core(None) | Thing::Container | Thing::Clock | Thing::Device(_) => Vec::new(),
    }
}

/// The type of a thing that is no device of ours.
pub(super) fn type_name(cx: &Cx<'_>, thing: Thing) -> String {
    match thing {
        Thing::Container => "container".into(),
        Thing::Core(_) => {
            let cpu = cx.machine.cpus.first();
            cpu.map_or_else(String::new, |c| c.arch().qom_home.1.into())
        }
        Thing::Nvic(_) => "armv7m_nvic".into(),
        Thing::SysTick => "armv7m_systick".into(),
        Thing::Bitband(_) => "ARM-bitband-memory".into(),
        Thing::Unimplemented(_) => "unimplemented-device".into(),
        Thing::Clock => "clock".into(),
        Thing::Device(_) => "device".into(),
        Thing::Cpu(cpu) => cpu_type_name(cx, cpu),
    }
}

fn cpu_type_name(cx: &Cx<'_>, cpu: CpuId) -> String {
    let cpu = cx.machine.cpu(cpu);
    cpu.map_or_else(String::new, |c| format!("{}-{}", c.model(), c.arch().qom_suffix))
}

/// Its properties.
pub(super) fn properties(cx: &Cx<'_>, thing: Thing, all: &mut Vec<Listed>) {
    if matches!(thing, Thing::Container | Thing::Clock | Thing::Device(_)) {
        return;
    }
    let bus = match thing {
        Thing::Cpu(_) => "",
        _ => super::SYSBUS,
    };
    all.extend(super::of_every_device(
        Some(bus.into()),
        false,
        matches!(thing, Thing::Cpu(_)),
    ));
    let core = core_path(cx).unwrap_or_default();
    match thing {
        Thing::Core(Some(e)) => {
            all.push(listed("cpu-type", "str", json!(cpu_type_name(cx, CpuId(0)))));
            numbers(e, all);
            all.push(listed("enable-bitband", "bool", json!(true)));
            all.push(listed("start-powered-off", "bool", json!(false)));
            all.push(listed("memory", "link<memory-region>", json!(SYSTEM)));
            let names = (0..e.irqs).map(|n| format!("unnamed-gpio-in[{n}]"));
            let link = |n: String| listed(&n, "link<irq>", json!(format!("{core}/nvic/{n}")));
            all.extend(names.chain(["NMI[0]".to_owned()]).map(link));
            all.push(listed("SYSRESETREQ[0]", "link<irq>", json!("")));
        }
        Thing::Nvic(e) => {
            numbers(e, all);
            all.push(listed("SYSRESETREQ[0]", "link<irq>", json!("")));
            let cpu = json!(format!("{core}/cpu/unnamed-gpio-in[0]"));
            all.push(listed("sysbus-irq[0]", "link<irq>", cpu));
        }
        Thing::SysTick => {
            let into = json!(format!("{core}/nvic/systick-trigger[0]"));
            all.push(listed("sysbus-irq[0]", "link<irq>", into));
        }
        Thing::Bitband(base) => {
            all.push(listed("base", "uint32", json!(base)));
            all.push(listed("source-memory", "link<memory-region>", json!(SYSTEM)));
        }
        Thing::Unimplemented(name) => {
            let mut mapped = cx.machine.sys.memory.mappings();
            let size = mapped.find(|(_, m)| m.name == name).map_or(0, |(_, m)| m.len);
            all.push(listed("name", "str", json!(name)));
            all.push(listed("size", "uint64", json!(size)));
        }
        Thing::Cpu(id) => cpu(cx, id, &core, all),
        Thing::Core(None) | Thing::Container | Thing::Clock | Thing::Device(_) => {}
    }
}

/// Exceptions of the processor itself count among the interrupts.
fn numbers(e: Exceptions, all: &mut Vec<Listed>) {
    all.push(listed("num-irq", "uint32", json!(e.irqs + 16)));
    all.push(listed("num-prio-bits", "uint8", json!(e.priority_bits)));
}

fn cpu(cx: &Cx<'_>, id: CpuId, core: &str, all: &mut Vec<Listed>) {
    if cx.machine.cpu(id).is_some_and(|c| c.arch().qom_home.1 == "armv7m") {
        let container = json!(format!("{core}/armv7m-container[0]"));
        all.push(listed("memory", "link<memory-region>", container));
        all.push(listed("core-count", "int32", json!(1)));
        all.push(listed("mp-affinity", "uint64", json!(0)));
        all.push(listed("node-id", "int32", json!(-1)));
    }
    all.push(listed("start-powered-off", "bool", json!(false)));
    let running = cx.machine.run_state() == RunState::Running && !cx.machine.is_asleep(id);
    all.push(listed("halted", "bool", json!(!running)));
}

/// The memories of the board.
pub(super) fn memories(machine: &Machine, world: &World) -> Vec<(String, Node)> {
    let mapped = machine.sys.memory.mappings().map(|(_, m)| m);
    let own = mapped.filter(|m| matches!(m.target, Target::Ram { .. }));
    let is_device = |name: &str| {
        let devices = machine.sys.devices();
        devices
            .flat_map(|(_, s)| s.regions.iter().flat_map(|r| r.mappings.iter()))
            .filter_map(|m| machine.sys.memory.mapping(*m))
            .any(|m| m.name == name)
    };
    let mut all: Vec<(String, Node)> = own
        .filter(|m| !is_device(&m.name))
        .map(|m| (format!("{}[0]", m.name), Node::Memory(Region::Mapped(m.name.clone()))))
        .collect();
    all.dedup_by(|a, b| a.0 == b.0);
    let inner = world
        .places(machine)
        .iter()
        .any(|(_, t)| matches!(t, Thing::Core(Some(_))));
    all.push(fixed("system[0]", 0, EVERYTHING, if inner { -1 } else { 0 }, inner));
    all.push(fixed("io[0]", 0, 0x1_0000, 0, false));
    all
}

/// The inputs of a device, as objects.
pub(super) fn inputs(machine: &Machine, id: DeviceId) -> Vec<(String, Node)> {
    let Some(slot) = machine.sys.slot(id) else {
        return Vec::new();
    };
    let groups = qom::groups(slot.device_type, LineDirection::In).into_iter();
    let names = groups.flat_map(|(name, _, count)| {
        let name = name.unwrap_or("unnamed-gpio-in");
        (0..count).map(move |n| format!("{name}[{n}]"))
    });
    names.map(|n| (n, Node::Line)).collect()
}

/// The names of a type's outputs.
pub(super) fn outputs(t: &DeviceType) -> impl Iterator<Item = String> + use<> {
    let groups = qom::groups(t, LineDirection::Out).into_iter();
    groups.flat_map(|(name, _, count)| {
        let name = name.unwrap_or("unnamed-gpio-out");
        (0..count).map(move |n| format!("{name}[{n}]"))
    })
}

/// Where an output leads: the path of an input, or nothing.
pub(super) fn leads_to(cx: &Cx<'_>, device: DeviceId, output: u16) -> String {
    let sys = &cx.machine.sys;
    let sinks = sys.net_of(device, output).map(|net| sys.net_sinks(net));
    let path = sinks.unwrap_or_default().into_iter().find_map(|sink| match sink {
        Sink::Device(to, line) => {
            let name = inputs(cx.machine, to).into_iter().nth(line.into())?.0;
            Some(format!("{}/{name}", super::device_path(cx.machine, cx.world, to)))
        }
        Sink::Cpu(_, line) => {
            let places = cx.world.places(cx.machine);
            let nvic = places.iter().find(|(_, t)| matches!(t, Thing::Nvic(_)))?;
            let name = match line {
                qom::NMI_LINE => "NMI[0]".to_owned(),
                _ => format!("unnamed-gpio-in[{line}]"),
            };
            Some(format!("/machine/{}/{name}", nvic.0))
        }
    });
    path.unwrap_or_default()
}
