//! Makes a machine out of a board description, in the order in which the description reads.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, DerefMut};

use southbridge_backend_net::show_mac;
use southbridge_core::cpu::SemihostingHost;
use southbridge_core::line::Sink;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::system::ClockNode;
use southbridge_core::{
    BackendId, CreateError, DeviceId, DeviceType, LineDirection, LineId, Machine, PropValue, Properties, RamBlock,
    Registry,
};
use southbridge_cpu_armv7m as armv7m;
use thiserror::Error;

use crate::board::{
    Board, Choices, Description, End, Irq, Memory, MemoryKind, Part, Pin, Plug, Unassigned, Value, Wire,
};
use crate::nic::{self, Macs, NicWish};

/// What the user may say about a board besides its name.
#[derive(Default)]
pub struct Options {
    /// Back ends of the serial ports, by port; missing ones are open.
    pub serial: Vec<Option<BackendId>>,
    /// `-global`: type, property, value. Later ones win.
    pub globals: Vec<(String, String, PropValue)>,
    /// Overrides what the board does with unassigned addresses.
    pub unassigned: Option<Unassigned>,
    /// What the board's description depends on; without it the board is what it is by default.
    pub choices: Option<Choices>,
    /// Memory back ends by id.
    pub memory: BTreeMap<String, RamBlock>,
    /// NICs that the user asks for without saying where: the board's own fulfil these first.
    pub nics: Vec<NicWish>,
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
    /// The processor does not exist as the user wants it.
    #[error("{0}")]
    Cpu(String),
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
    /// What the user chose about it.
    pub choices: Choices,
    /// What stands where on it.
    pub description: Description,
    /// Parts by their names on the board.
    pub parts: BTreeMap<&'static str, DeviceId>,
    /// Who takes interrupts by their number, if not the first processor: device and its first input for them.
    pub interrupts: Option<(DeviceId, LineId)>,
    /// Interrupts that something drives, and what.
    pub used_irqs: Vec<(u16, DeviceId)>,
    /// Addresses of NICs.
    pub macs: Macs,
    /// For each of [`Options::nics`]: its address, and whether a NIC of the board is it.
    pub nics: Vec<([u8; 6], bool)>,
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
    let choices = options.choices.clone().unwrap_or_else(|| Choices::of(board));
    let description = (board.describe)(&choices);
    let mut built = Built {
        machine,
        layout: Layout {
            board,
            choices,
            description: Description::default(),
            parts: BTreeMap::new(),
            interrupts: None,
            used_irqs: Vec::new(),
            macs: Macs::default(),
            nics: Vec::new(),
            program_end: None,
        },
    };
    built.machine.pacing = board.pacing;
    let clocks = add_clocks(&mut built, &description);
    add_cpus(&mut built, &description)?;
    add_memory(&mut built, &description, options)?;
    let mut nics = own_nics(&mut built.layout, &description, registry, options);
    for part in &description.parts {
        add_part(&mut built, part, registry, &clocks, options, &mut nics)?;
    }
    if let Some((part, line)) = description.interrupts {
        built.layout.interrupts = Some(built.pin((part, line, 0), LineDirection::In)?);
    }
    for part in &description.parts {
        connect_irqs(&mut built, part)?;
    }
    for wire in &description.wires {
        connect(&mut built, wire)?;
    }
    for plug in &description.plugs {
        plug_in(&mut built, plug)?;
    }
    let unassigned = options.unassigned.unwrap_or(board.unassigned);
    add_unimplemented(&mut built, &description, unassigned);
    let finish = description.finish;
    built.layout.description = description;
    if let Some(finish) = finish {
        finish(&mut built);
    }
    Ok(built)
}

type Clocks = BTreeMap<&'static str, ClockNode>;

fn add_clocks(built: &mut Built, description: &Description) -> Clocks {
    let sys = &mut built.machine.sys;
    let clocks: Clocks = description
        .clocks
        .iter()
        .map(|(name, hz)| (*name, sys.add_clock(*hz)))
        .collect();
    if let Some((first, _)) = description.clocks.first() {
        sys.drive_cpu_clock(clocks[first]);
    }
    clocks
}

fn add_cpus(built: &mut Built, description: &Description) -> Result<(), BuildError> {
    let Some(core) = &built.layout.board.cpu else {
        return Ok(());
    };
    let hz = description.clocks.first().map(|c| c.1);
    for number in 0..built.layout.choices.cpus {
        let cpu = core.make(number, hz, &built.layout.choices).map_err(BuildError::Cpu)?;
        built.machine.add_cpu(cpu);
    }
    Ok(())
}

fn add_memory(built: &mut Built, description: &Description, options: &Options) -> Result<(), BuildError> {
    let mut blocks: BTreeMap<&str, (RamBlock, bool)> = BTreeMap::new();
    for Memory { name, start, len, kind } in &description.memory {
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
            MemoryKind::Backed(id) => {
                let block = options.memory.get(id).filter(|b| b.len() >= *len).cloned();
                let block = block
                    .ok_or_else(|| BuildError::Description(format!("no memory back end '{id}' of {len} bytes")))?;
                built.machine.ram.push((id.clone(), block.clone()));
                (block, false)
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

/// Address and back end of a NIC.
type Nic = ([u8; 6], Option<(String, BackendId)>);

/// The board's NICs, in the order of its parts.
struct Nics {
    all: Vec<Nic>,
    next: usize,
}

fn own_nics(layout: &mut Layout, description: &Description, registry: &Registry, options: &Options) -> Nics {
    let types = description.parts.iter().filter_map(|p| registry.get(p.device));
    let types: Vec<_> = types.filter(|t| nic::is_nic(t)).collect();
    let given = nic::addresses(&mut layout.macs, &options.nics);
    layout.nics = given.into_iter().map(|mac| (mac, false)).collect();
    let mut all = Vec::new();
    for wish in nic::fulfil(&options.nics, &types) {
        let Some(i) = wish else {
            all.push((layout.macs.take(None), None));
            continue;
        };
        layout.nics[i].1 = true;
        all.push((layout.nics[i].0, options.nics[i].netdev.clone()));
    }
    Nics { all, next: 0 }
}

fn add_part(
    built: &mut Built,
    part: &Part,
    registry: &Registry,
    clocks: &Clocks,
    options: &Options,
    nics: &mut Nics,
) -> Result<(), BuildError> {
    let device_type = registry
        .get(part.device)
        .ok_or_else(|| BuildError::Description(format!("{} is of unknown type {}", part.name, part.device)))?;
    let inputs: Vec<_> = part
        .clocks
        .iter()
        .filter_map(|name| clocks.get(name).copied())
        .collect();
    let properties = part_properties(part, device_type, options, nics);
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
    for (region, at) in part.also {
        built.machine.sys.map_device(id, *region, *at, 0);
    }
    Ok(())
}

fn connect_irqs(built: &mut Built, part: &Part) -> Result<(), BuildError> {
    for (line, index, irq) in part.irqs {
        let (id, output) = built.pin((part.name, line, *index), LineDirection::Out)?;
        let sink = built.irq_sink(*irq).ok_or_else(|| no_irq(*irq))?;
        built.machine.sys.wire(id, output, sink);
        if let Irq::Line(n) = irq {
            built.layout.used_irqs.push((*n, id));
        }
    }
    Ok(())
}

fn no_irq(irq: Irq) -> BuildError {
    BuildError::Description(format!("nobody takes interrupt {irq:?}"))
}

fn part_properties(part: &Part, device_type: &DeviceType, options: &Options, nics: &mut Nics) -> Properties {
    let mut properties = Properties::default();
    if nic::is_nic(device_type)
        && let Some((mac, netdev)) = nics.all.get(nics.next)
    {
        nics.next += 1;
        properties.set("mac", PropValue::Str(show_mac(*mac)));
        if let Some((id, backend)) = netdev {
            properties.set("netdev", PropValue::Backend(id.clone(), *backend));
        }
    }
    for (driver, name, value) in &options.globals {
        if driver == device_type.name {
            properties.set(name, value.clone());
        }
    }
    for (name, value) in part.properties.iter() {
        let value = match value {
            Value::Uint(n) => PropValue::Uint(*n),
            Value::Text(t) => PropValue::Str(t.clone().into_owned()),
            Value::Switch(b) => PropValue::Bool(*b),
            Value::Serial(port) => match options.serial.get(*port).copied().flatten() {
                Some(backend) => PropValue::Backend(format!("serial{port}"), backend),
                None => continue,
            },
            Value::NicAddress(nic, from) => {
                let mac = nics.all.get(*nic).map_or([0; 6], |n| n.0);
                let bytes = mac.iter().skip(*from).take(3).rev();
                PropValue::Uint(bytes.fold(0, |word, b| word << 8 | u64::from(*b)))
            }
        };
        properties.set(name, value);
    }
    properties
}

fn connect(built: &mut Built, wire: &Wire) -> Result<(), BuildError> {
    let (from, output) = built.pin(wire.from, LineDirection::Out)?;
    let sink = match wire.to {
        End::Part(pin) => {
            let (to, input) = built.pin(pin, LineDirection::In)?;
            Sink::Device(to, input)
        }
        End::Cpu(cpu, input) => Sink::Cpu(cpu, input),
        End::Irq(irq) => built.irq_sink(irq).ok_or_else(|| no_irq(irq))?,
    };
    let sys = &mut built.machine.sys;
    let net = sys.net_of(from, output).unwrap_or_else(|| {
        let net = sys.add_net();
        sys.drive_net(from, output, net);
        net
    });
    sys.sink_net(net, sink, wire.invert);
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

fn add_unimplemented(built: &mut Built, description: &Description, unassigned: Unassigned) {
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
    for (name, start, len) in &description.unimplemented {
        map(name, *start, *len, -1000);
    }
    if unassigned == Unassigned::Ignored {
        map("unassigned", 0, 1 << 32, -2000);
    }
}

impl Layout {
    /// The receiver for an interrupt of the board; `None` if there is none.
    pub fn irq_sink(&self, irq: Irq) -> Option<Sink> {
        match (self.interrupts, irq) {
            (Some((controller, first)), Irq::Line(n)) => Some(Sink::Device(controller, first.checked_add(n)?)),
            (Some(_), Irq::Nmi) => None,
            (None, irq) => self.board.cpu.as_ref()?.irq_sink(irq),
        }
    }
}

impl Built {
    /// Lets the guest call the host.
    pub fn enable_semihosting(&mut self, host: Box<dyn SemihostingHost>) {
        self.machine.semihosting = Some(host);
        for cpu in &mut self.machine.cpus {
            let cpu = &mut **cpu as &mut dyn Any;
            if let Some(cpu) = cpu.downcast_mut::<armv7m::CortexM>() {
                cpu.set_semihosting(true);
            } else if let Some(cpu) = cpu.downcast_mut::<southbridge_cpu_rv64::Rv64>() {
                cpu.set_semihosting(true);
            }
        }
    }

    /// First and last-plus-one address of the RAM in which the loaded program's initial stack lies.
    pub fn stack_memory(&self) -> Option<(u64, u64)> {
        let vectors = self.machine.images.iter().find(|i| i.address == 0)?;
        let sp = u64::from(u32::from_le_bytes(vectors.data.get(..4)?.try_into().ok()?));
        let ram = self
            .layout
            .description
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
