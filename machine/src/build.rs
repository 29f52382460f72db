//! Makes a machine out of a board description, in the order in which the description reads.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, DerefMut};

use southbridge_core::cpu::SemihostingHost;
use southbridge_core::line::Sink;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::system::ClockNode;
use southbridge_core::{
    BackendId, CreateError, DeviceId, DeviceType, LineDirection, Machine, PropValue, Properties, RamBlock, Registry,
};
use southbridge_cpu_armv7m as armv7m;
use thiserror::Error;

use crate::board::{BOOT_CPU, Board, Core, Irq, Memory, MemoryKind, Part, Pin, Plug, Unassigned, Value, Wire};

/// What the user may say about a board besides its name.
#[derive(Default)]
pub struct Options {
    /// Back ends of the serial ports, by port; missing ones are open.
    pub serial: Vec<Option<BackendId>>,
    /// `-global`: type, property, value. Later ones win.
    pub globals: Vec<(String, String, PropValue)>,
    /// Overrides what the board does with unassigned addresses.
    pub unassigned: Option<Unassigned>,
}

/// Why a board could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A device of the board was refused, because of what the user said about it.
    #[error("{part} ({device}): {error}")]
    Device {
        /// Name on the board.
        part: &'static str,
        /// Type.
        device: &'static str,
        /// Why.
        error: CreateError,
    },
    /// The host has no memory or descriptors left.
    #[error("no memory for {what}: {error}")]
    Memory {
        /// Which memory.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The description names something that does not exist. A test over all boards keeps this from users.
    #[error("board description: {0}")]
    Description(String),
}

/// A machine with the names of its parts.
pub struct Built {
    /// The machine.
    pub machine: Machine,
    /// What stands where.
    pub layout: Layout,
}

impl Deref for Built {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        &self.layout
    }
}

impl DerefMut for Built {
    fn deref_mut(&mut self) -> &mut Layout {
        &mut self.layout
    }
}

/// What stands where on a machine's board.
pub struct Layout {
    /// The board it was made from.
    pub board: &'static Board,
    /// Parts by their names on the board.
    pub parts: BTreeMap<&'static str, DeviceId>,
    /// Interrupts that something drives, and what.
    pub used_irqs: Vec<(u16, DeviceId)>,
    /// First address behind the program and its zeroed data, if its file says so.
    pub program_end: Option<u64>,
}

/// Builds `board` into `machine`, which may hold back ends already.
///
/// # Errors
/// When the host lacks memory or a device refuses what the user said.
pub fn build(
    machine: Machine,
    board: &'static Board,
    registry: &Registry,
    options: &Options,
) -> Result<Built, BuildError> {
    let mut built = Built {
        machine,
        layout: Layout {
            board,
            parts: BTreeMap::new(),
            used_irqs: Vec::new(),
            program_end: None,
        },
    };
    let clocks = add_clocks(&mut built);
    add_cpu(&mut built);
    add_memory(&mut built)?;
    for part in board.parts {
        add_part(&mut built, part, registry, &clocks, options)?;
    }
    for wire in board.wires {
        connect(&mut built, wire)?;
    }
    for plug in board.plugs {
        plug_in(&mut built, plug)?;
    }
    add_unimplemented(&mut built, options.unassigned.unwrap_or(board.unassigned));
    Ok(built)
}

type Clocks = BTreeMap<&'static str, ClockNode>;

fn add_clocks(built: &mut Built) -> Clocks {
    let sys = &mut built.machine.sys;
    let clocks: Clocks = built
        .layout
        .board
        .clocks
        .iter()
        .map(|(name, hz)| (*name, sys.add_clock(*hz)))
        .collect();
    if let Some((first, _)) = built.layout.board.clocks.first() {
        sys.drive_cpu_clock(clocks[first]);
    }
    clocks
}

fn add_cpu(built: &mut Built) {
    let Some(Core {
        irqs,
        priority_bits,
        systick_reference,
        ..
    }) = built.layout.board.cpu
    else {
        return;
    };
    let mut config = armv7m::Config::new(&armv7m::CORTEX_M3, irqs);
    config.priority_bits = priority_bits;
    config.ref_hz = systick_reference;
    config.cpu_hz = built.layout.board.clocks.first().map_or(config.cpu_hz, |c| c.1);
    built.machine.set_cpu(Box::new(armv7m::CortexM::new(config)));
}

fn add_memory(built: &mut Built) -> Result<(), BuildError> {
    let mut blocks: BTreeMap<&str, (RamBlock, bool)> = BTreeMap::new();
    for Memory { name, start, len, kind } in built.layout.board.memory {
        let (block, readonly) = match kind {
            MemoryKind::MirrorOf(of) => blocks
                .get(of)
                .cloned()
                .ok_or_else(|| BuildError::Description(format!("{name} mirrors unknown {of}")))?,
            MemoryKind::Ram | MemoryKind::Rom => {
                let block = built
                    .machine
                    .add_ram(name, *len)
                    .map_err(|error| BuildError::Memory { what: name, error })?;
                (block, matches!(kind, MemoryKind::Rom))
            }
        };
        blocks.insert(name, (block.clone(), readonly));
        let target = Target::Ram {
            block,
            offset: 0,
            readonly,
        };
        built.machine.sys.memory.map(Mapping {
            start: *start,
            len: *len,
            priority: 0,
            name: (*name).into(),
            target,
        });
    }
    Ok(())
}

fn add_part(
    built: &mut Built,
    part: &'static Part,
    registry: &Registry,
    clocks: &Clocks,
    options: &Options,
) -> Result<(), BuildError> {
    let device_type = registry
        .get(part.device)
        .ok_or_else(|| BuildError::Description(format!("{} is of unknown type {}", part.name, part.device)))?;
    let inputs: Vec<_> = part
        .clocks
        .iter()
        .filter_map(|name| clocks.get(name).copied())
        .collect();
    let properties = part_properties(part, device_type, options);
    let id = built
        .machine
        .sys
        .add_device(device_type, None, properties, &inputs)
        .map_err(|error| BuildError::Device {
            part: part.name,
            device: part.device,
            error,
        })?;
    built.layout.parts.insert(part.name, id);
    if let Some(at) = part.at {
        built.machine.sys.map_device(id, 0, at, 0);
    }
    for (line, index, irq) in part.irqs {
        let output = device_type
            .line(LineDirection::Out, line, *index)
            .ok_or_else(|| BuildError::Description(format!("{} has no output {line}[{index}]", part.name)))?;
        let sink = irq_sink(*irq);
        built.machine.sys.wire(id, output, sink);
        if let Irq::Line(n) = irq {
            built.layout.used_irqs.push((*n, id));
        }
    }
    Ok(())
}

fn part_properties(part: &Part, device_type: &DeviceType, options: &Options) -> Properties {
    let mut properties = Properties::default();
    for (driver, name, value) in &options.globals {
        if driver == device_type.name {
            properties.set(name, value.clone());
        }
    }
    for (name, value) in part.properties {
        let value = match value {
            Value::Uint(n) => PropValue::Uint(*n),
            Value::Text(t) => PropValue::Str((*t).into()),
            Value::Switch(b) => PropValue::Bool(*b),
            Value::Serial(port) => match options.serial.get(*port).copied().flatten() {
                Some(backend) => PropValue::Backend(format!("serial{port}"), backend),
                None => continue,
            },
        };
        properties.set(name, value);
    }
    properties
}

fn connect(built: &mut Built, wire: &Wire) -> Result<(), BuildError> {
    let (from, output) = built.pin(wire.from, LineDirection::Out)?;
    let (to, input) = built.pin(wire.to, LineDirection::In)?;
    let sys = &mut built.machine.sys;
    let net = sys.net_of(from, output).unwrap_or_else(|| {
        let net = sys.add_net();
        sys.drive_net(from, output, net);
        net
    });
    sys.sink_net(net, Sink::Device(to, input), wire.invert);
    Ok(())
}

fn plug_in(built: &mut Built, plug: &Plug) -> Result<(), BuildError> {
    let missing = |what: &str| BuildError::Description(format!("plug: no {what}"));
    let owner = *built
        .layout
        .parts
        .get(plug.bus_of)
        .ok_or_else(|| missing(plug.bus_of))?;
    let child = *built.layout.parts.get(plug.part).ok_or_else(|| missing(plug.part))?;
    let bus = built
        .machine
        .sys
        .slot(owner)
        .and_then(|s| s.buses.first().copied())
        .ok_or_else(|| missing("bus"))?;
    built.machine.sys.plug(bus, child, plug.address);
    Ok(())
}

fn add_unimplemented(built: &mut Built, unassigned: Unassigned) {
    let memory = &mut built.machine.sys.memory;
    let mut map = |name: &str, start, len, priority| {
        memory.map(Mapping {
            start,
            len,
            priority,
            name: name.into(),
            target: Target::Unimplemented,
        });
    };
    for (name, start, len) in built.layout.board.unimplemented {
        map(name, *start, *len, -1000);
    }
    if unassigned == Unassigned::Ignored {
        map("unassigned", 0, 1 << 32, -2000);
    }
}

/// The receiver for an interrupt.
pub fn irq_sink(irq: Irq) -> Sink {
    Sink::Cpu(
        BOOT_CPU,
        match irq {
            Irq::Line(n) => n.into(),
            Irq::Nmi => armv7m::NMI_LINE,
        },
    )
}

impl Built {
    /// Lets the guest call the host.
    pub fn enable_semihosting(&mut self, host: Box<dyn SemihostingHost>) {
        self.machine.semihosting = Some(host);
        let cpu = self.machine.cpus.first_mut().map(|c| &mut **c as &mut dyn Any);
        if let Some(cpu) = cpu.and_then(|c| c.downcast_mut::<armv7m::CortexM>()) {
            cpu.set_semihosting(true);
        }
    }

    /// First and last-plus-one address of the RAM in which the loaded program's initial stack lies.
    pub fn stack_memory(&self) -> Option<(u64, u64)> {
        let vectors = self.machine.images.iter().find(|i| i.address == 0)?;
        let sp = u64::from(u32::from_le_bytes(vectors.data.get(..4)?.try_into().ok()?));
        let ram = self
            .layout
            .board
            .memory
            .iter()
            .find(|m| sp > m.start && sp <= m.start + m.len)?;
        Some((ram.start, ram.start + ram.len))
    }

    fn pin(&self, (part, line, index): Pin, direction: LineDirection) -> Result<(DeviceId, u16), BuildError> {
        let missing = || BuildError::Description(format!("no line {part}.{line}[{index}]"));
        let id = *self.parts.get(part).ok_or_else(missing)?;
        let device_type = self.machine.sys.slot(id).ok_or_else(missing)?.device_type;
        Ok((id, device_type.line(direction, line, index).ok_or_else(missing)?))
    }
}
