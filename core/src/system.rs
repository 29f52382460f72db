//! Everything of a machine but its CPUs: the arena of devices, the address space, lines, clocks, timers, the host.
//!
//! An access finds its device, takes it out of its slot, calls it, puts it back and lets effects settle. While a device is out, an
//! access that reaches it again (its own DMA) finds the slot empty and is a bus error: re-entry is found by construction.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::any::Any;
use std::io;

use crate::clock::{Clock, ClockRate, TimerIndex, TimerQueue, VirtualTime};
use crate::cpu::CpuId;
use crate::device::{
    BusKind, CreateError, Device, DeviceId, DeviceType, LineDirection, Mmio, PlaceWish, ResetPhase, Role,
};
use crate::fault::BusError;
use crate::host::{Backend, BackendId, Completion, Host, HostCx, WatchId};
use crate::inject::Faults;
use crate::line::{LineId, NetId, Nets, Sink, Tap, Tapped};
use crate::log::{Log, LogItems};
use crate::memory::{AddressSpace, Mapping, MappingId, RamBlock, RamWindow, Target};
use crate::property::Properties;
use crate::region::{Access, Endian, Region, RegionKind, RegisterAccess, RegisterIndex};
use crate::tape::{Moment, Tape};
use crate::trace::Trace;

/// A bus that a device offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusId(u32);

/// A bus of the machine.
#[derive(Debug)]
pub struct Bus {
    /// Name, unique in the machine (`i2c.0`).
    pub name: String,
    /// What plugs in.
    pub kind: BusKind,
    /// The device that offers it.
    pub owner: DeviceId,
    /// Devices on it, with the address that each has there (I2C address, chip select).
    pub children: SmallVec<[(DeviceId, u32); 4]>,
}

/// A clock of the board: a frequency that devices listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockNode(u32);

#[derive(Debug, Default)]
struct ClockNet {
    hz: u64,
    drives_cpu: bool,
    listeners: Vec<(DeviceId, usize)>,
}

type MmioCast = fn(&mut dyn Any) -> Option<&mut (dyn Mmio + 'static)>;

/// A region of a device as it exists in a machine.
pub struct RegionState {
    /// The declaration.
    pub decl: &'static Region,
    /// Bytes, after `create` had its say.
    pub size: u64,
    /// Where it is mapped.
    pub mappings: SmallVec<[MappingId; 1]>,
    backing: Option<RamBlock>,
    index: RegisterIndex,
    cast: Option<MmioCast>,
}

/// A device's place in the arena.
pub struct Slot {
    /// The device's id.
    pub me: DeviceId,
    /// It came while the machine ran.
    pub hotplugged: bool,
    /// Type.
    pub device_type: &'static DeviceType,
    /// Id given by the user or the board, or none.
    pub id: Option<String>,
    /// Property values in force.
    pub properties: Properties,
    /// Regions, in the type's order.
    pub regions: Vec<RegionState>,
    /// Where on the board its user wants it.
    pub wish: PlaceWish,
    /// Buses that it offers.
    pub buses: SmallVec<[BusId; 1]>,
    /// Input clocks, in the type's order.
    pub clocks: SmallVec<[Option<ClockNode>; 1]>,
    outputs: Vec<(Option<NetId>, bool)>,
    /// `None` while one of its methods runs.
    device: Option<Box<dyn Device>>,
}

bitflags::bitflags! {
    /// What the guest or a device asked of the machine.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Requests: u8 {
        /// Reset of the whole system.
        const RESET = 1;
        /// Power off.
        const SHUTDOWN = 2;
    }
}

bitflags::bitflags! {
    /// Places where somebody looks in: tracing or a fault rule. Empty in a plain run, so that each place costs one test.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(crate) struct Probes: u8 {
        const MMIO = 1;
        const LINE = 2;
        const TIMER = 4;
        const COMPLETION = 8;
        /// Clocks and reset.
        const REST = 16;
        const CPU = 32;
        /// Events of device types.
        const DEVICE = 64;
    }
}

/// A store into memory that a CPU may hold decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeWrite {
    /// [`RamBlock::id`].
    pub block: u64,
    /// Byte offset in the block.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

#[derive(Default)]
struct CpuPort {
    lines: Vec<(u32, bool)>,
    code: Vec<CodeWrite>,
}

impl CpuPort {
    fn has_news(&self) -> bool {
        !self.lines.is_empty() || !self.code.is_empty()
    }
}

/// A machine without its CPUs. CPU engines execute against it; device handlers see it through [`Ctx`].
pub struct System {
    /// Virtual time.
    pub clock: Clock,
    /// What addresses mean.
    pub memory: AddressSpace,
    /// The host's side.
    pub host: Host,
    /// The log of `-d`.
    pub log: Log,
    /// Trace events; see [`System::trace_enable`].
    pub trace: Trace,
    /// What was asked of the machine.
    pub requests: Requests,
    /// Host things that the start of the machine should wait for a moment (a handshake in progress).
    pub start_holds: u32,
    /// What came from outside, if it is recorded or played.
    pub tape: Tape,
    /// Lines that somebody outside listens in on.
    pub tapped: Tapped,
    pub(crate) faults: Faults,
    pub(crate) probes: Probes,
    pub(crate) timers: TimerQueue,
    pub(crate) nets: Nets,
    slots: Vec<Option<Slot>>,
    /// For each free place, the lowest last: the id of its next device.
    free: Vec<DeviceId>,
    buses: Vec<Bus>,
    clocks: Vec<ClockNet>,
    clock_changes: Vec<ClockNode>,
    cpu_ports: SmallVec<[CpuPort; 1]>,
    /// Something that the run loop must see.
    attention: bool,
    /// Something that a CPU can take by itself: `cpu_ports` are not empty.
    news: bool,
    depth: u32,
}

/// Devices that reach each other by DMA: how long such a chain may be.
const MAX_DEPTH: u32 = 4;
/// Deliveries in one settling before the board is declared to oscillate.
const MAX_SETTLE: u32 = 10_000;

impl System {
    /// An empty board.
    pub fn new(rate: ClockRate) -> io::Result<Self> {
        Ok(Self {
            clock: Clock::new(rate),
            memory: AddressSpace::default(),
            host: Host::new()?,
            log: Log::default(),
            trace: Trace::default(),
            faults: Faults::default(),
            probes: Probes::empty(),
            requests: Requests::empty(),
            start_holds: 0,
            tape: Tape::default(),
            tapped: Tapped::default(),
            timers: TimerQueue::default(),
            nets: Nets::default(),
            slots: Vec::new(),
            free: Vec::new(),
            buses: Vec::new(),
            clocks: Vec::new(),
            clock_changes: Vec::new(),
            cpu_ports: SmallVec::new(),
            attention: false,
            news: false,
            depth: 0,
        })
    }

    // ----- building -------------------------------------------------------------------------------------------------------------

    /// Creates a device in the arena. `clocks` binds its input clocks in the type's order; missing ones run at 0 Hz.
    pub fn add_device(
        &mut self,
        device_type: &'static DeviceType,
        id: Option<&str>,
        mut properties: Properties,
        clocks: &[ClockNode],
    ) -> Result<DeviceId, CreateError> {
        properties.apply_defaults(device_type.properties);
        self.declare_events(device_type.events);
        let me = self.free_place()?;
        let cast = Role::cast::<dyn Mmio>(device_type.roles);
        let region = |decl: &'static Region| RegionState {
            decl,
            size: decl.size,
            mappings: SmallVec::new(),
            backing: None,
            index: RegisterIndex::of(decl),
            cast: cast.filter(|_| decl.kind == RegionKind::Mmio),
        };
        let outputs = usize::from(device_type.line_count(LineDirection::Out));
        self.slots[me.index()] = Some(Slot {
            me,
            hotplugged: false,
            device_type,
            id: id.map(str::to_owned),
            properties: properties.clone(),
            regions: device_type.regions.iter().map(region).collect(),
            wish: PlaceWish::default(),
            buses: SmallVec::new(),
            clocks: (0..device_type.clocks.len()).map(|i| clocks.get(i).copied()).collect(),
            outputs: vec![(None, false); outputs],
            device: None,
        });
        for (i, node) in clocks.iter().enumerate().take(device_type.clocks.len()) {
            self.clocks[node.0 as usize].listeners.push((me, i));
        }
        for decl in device_type.buses {
            let n = self.buses.iter().filter(|b| b.name.starts_with(decl.name)).count();
            let name = format!("{}.{n}", decl.name);
            self.buses.push(Bus {
                name,
                kind: decl.kind,
                owner: me,
                children: SmallVec::new(),
            });
            let bus = BusId(self.buses.len() as u32 - 1);
            if let Some(s) = self.slot_mut(me) {
                s.buses.push(bus);
            }
        }
        match (device_type.create)(&properties, &mut Build { sys: self, me }) {
            Ok(device) => {
                if let Some(s) = self.slot_mut(me) {
                    s.device = Some(device);
                }
                Ok(me)
            }
            Err(e) => {
                self.remove_device(me);
                Err(e)
            }
        }
    }

    /// Unplugs a device: its mappings, lines, timers, buses' places and clocks go with it.
    pub fn remove_device(&mut self, id: DeviceId) {
        let place = self.slots.get_mut(id.index());
        let Some(slot) = place.and_then(|p| p.take_if(|s| s.me == id)) else {
            return;
        };
        self.free.push(id.successor());
        self.free.sort_by_key(|id| std::cmp::Reverse(id.index()));
        for m in slot.regions.iter().flat_map(|r| &r.mappings) {
            self.memory.unmap(*m);
        }
        let mut wires: Vec<NetId> = Vec::new();
        for (net, level) in slot.outputs {
            if let (Some(net), true) = (net, level) {
                self.nets.drive(net, false);
            }
            wires.extend(net);
        }
        self.nets.disconnect_device(id);
        self.timers.cancel_all(id);
        self.host.forget_device(id);
        for bus in &mut self.buses {
            bus.children.retain(|(c, _)| *c != id);
        }
        while self.buses.last().is_some_and(|b| self.slot(b.owner).is_none()) {
            self.buses.pop();
        }
        for clock in &mut self.clocks {
            clock.listeners.retain(|(d, _)| *d != id);
        }
        self.settle();
        for net in wires {
            let driven = |s: &Slot| s.outputs.iter().any(|o| o.0 == Some(net));
            if !self.slots.iter().flatten().any(driven) {
                self.nets.remove(net);
            }
        }
    }

    fn free_place(&mut self) -> Result<DeviceId, CreateError> {
        if let Some(id) = self.free.pop() {
            return Ok(id);
        }
        let id = DeviceId(self.slots.len() as u32);
        if id.index() != self.slots.len() {
            return Err(CreateError::Host("the machine has no room for more devices".into()));
        }
        self.slots.push(None);
        Ok(id)
    }

    /// Notes that a device came while the machine ran.
    pub fn mark_hotplugged(&mut self, id: DeviceId) {
        if let Some(s) = self.slot_mut(id) {
            s.hotplugged = true;
        }
    }

    /// Maps a device's region at an address.
    pub fn map_device(&mut self, device: DeviceId, region: usize, start: u64, priority: i32) -> Option<MappingId> {
        let slot = self.slot(device)?;
        let r = slot.regions.get(region)?;
        let name = match &slot.id {
            Some(id) => format!("{} ({id}) {}", slot.device_type.name, r.decl.name),
            None => format!("{} {}", slot.device_type.name, r.decl.name),
        };
        let target = match (r.decl.kind, &r.backing) {
            (RegionKind::Mmio, _) => Target::Device {
                device,
                region,
                offset: 0,
            },
            (RegionKind::Ram, Some(block)) => Target::Ram {
                block: block.clone(),
                offset: 0,
                readonly: false,
            },
            (RegionKind::Ram, None) => Target::Empty,
        };
        let mapping = self.memory.map(Mapping {
            start,
            len: r.size,
            priority,
            name,
            target,
        });
        self.slot_mut(device)?.regions.get_mut(region)?.mappings.push(mapping);
        Some(mapping)
    }

    /// A new wire.
    pub fn add_net(&mut self) -> NetId {
        self.nets.add()
    }

    /// Attaches a device's output to a wire. An output drives at most one wire; a second call moves it.
    pub fn drive_net(&mut self, device: DeviceId, output: LineId, net: NetId) {
        if let Some(o) = self
            .slot_mut(device)
            .and_then(|s| s.outputs.get_mut(usize::from(output)))
        {
            let level = o.1;
            o.0 = Some(net);
            if level {
                self.nets.drive(net, true);
            }
        }
    }

    /// The wire that an output drives.
    pub fn net_of(&self, device: DeviceId, output: LineId) -> Option<NetId> {
        self.slot(device)?.outputs.get(usize::from(output))?.0
    }

    /// Attaches a receiver to a wire.
    pub fn sink_net(&mut self, net: NetId, sink: Sink, invert: bool) {
        self.nets.connect(net, sink, invert);
    }

    /// Wires an output to a receiver: makes a wire if the output has none yet.
    pub fn wire(&mut self, device: DeviceId, output: LineId, sink: Sink) -> NetId {
        let net = self.net_of(device, output).unwrap_or_else(|| {
            let net = self.nets.add();
            self.drive_net(device, output, net);
            net
        });
        self.nets.connect(net, sink, false);
        net
    }

    /// The level of a device's output, as last set.
    pub fn output_level(&self, device: DeviceId, output: LineId) -> bool {
        self.slot(device)
            .and_then(|s| s.outputs.get(usize::from(output)))
            .is_some_and(|o| o.1)
    }

    /// Sets a device's input from outside (tests, qtest): delivered at once.
    pub fn set_input(&mut self, device: DeviceId, input: LineId, level: bool) {
        self.with_device(device, |d, cx| d.on_line(input, level, cx));
        self.settle();
    }

    /// A clock of the board.
    pub fn add_clock(&mut self, hz: u64) -> ClockNode {
        self.clocks.push(ClockNet {
            hz,
            ..ClockNet::default()
        });
        ClockNode(self.clocks.len() as u32 - 1)
    }

    /// Makes a clock the one that the CPUs run on.
    pub fn drive_cpu_clock(&mut self, node: ClockNode) {
        let c = &mut self.clocks[node.0 as usize];
        c.drives_cpu = true;
        self.clock.set_hz(c.hz);
    }

    /// Frequency of a clock in Hz.
    pub fn clock_hz(&self, node: ClockNode) -> u64 {
        self.clocks[node.0 as usize].hz
    }

    /// Changes the frequency of a clock; listeners are told when the machine settles.
    pub fn set_clock_hz(&mut self, node: ClockNode, hz: u64) {
        let c = &mut self.clocks[node.0 as usize];
        if c.hz != hz {
            c.hz = hz;
            if c.drives_cpu {
                self.clock.set_hz(hz);
                self.attention = true;
            }
            self.clock_changes.push(node);
        }
    }

    /// Plugs a device into a bus at an address of that bus.
    pub fn plug(&mut self, bus: BusId, device: DeviceId, address: u32) {
        self.buses[bus.0 as usize].children.push((device, address));
    }

    /// All buses.
    pub fn buses(&self) -> impl Iterator<Item = (BusId, &Bus)> {
        self.buses.iter().enumerate().map(|(i, b)| (BusId(i as u32), b))
    }

    /// Tells the system how many CPUs there are.
    pub fn set_cpu_count(&mut self, n: usize) {
        self.cpu_ports.resize_with(n, CpuPort::default);
    }

    // ----- looking ----------------------------------------------------------------------------------------------------------------

    /// A device's place, if it (still) exists.
    pub fn slot(&self, id: DeviceId) -> Option<&Slot> {
        self.slots.get(id.index())?.as_ref().filter(|s| s.me == id)
    }

    fn slot_mut(&mut self, id: DeviceId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index())?.as_mut().filter(|s| s.me == id)
    }

    /// All devices.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &Slot)> {
        self.slots.iter().flatten().map(|s| (s.me, s))
    }

    /// The device with an id.
    pub fn find_device(&self, id: &str) -> Option<DeviceId> {
        self.devices()
            .find(|(_, s)| s.id.as_deref() == Some(id))
            .map(|(d, _)| d)
    }

    // ----- running ------------------------------------------------------------------------------------------------------------

    /// Whether a CPU should look up between two instructions: take its lines and code writes, and if this still holds return from
    /// `run`, because of a request, an earlier deadline or a host event. That its own access moved a line costs no return.
    #[inline]
    pub fn attention(&self) -> bool {
        self.attention | self.news || self.host.reactor.attention()
    }

    /// Clears the part of `attention` that the run loop answers; it does it before each slice.
    pub(crate) fn clear_attention(&mut self) {
        self.attention = false;
    }

    /// Interrupt-line changes of a CPU since the last call, oldest first. CPUs take them before each block after `attention`.
    pub fn take_lines(&mut self, cpu: CpuId) -> Vec<(u32, bool)> {
        let port = self.cpu_ports.get_mut(usize::from(cpu.0));
        let lines = port.map(|p| std::mem::take(&mut p.lines)).unwrap_or_default();
        self.count_news();
        lines
    }

    fn count_news(&mut self) {
        self.news = self.cpu_ports.iter().any(CpuPort::has_news);
    }

    /// Whether `take_lines` or `take_code_writes` would give anything.
    #[inline]
    pub fn cpu_news(&self, cpu: CpuId) -> bool {
        self.news && self.cpu_ports.get(usize::from(cpu.0)).is_some_and(CpuPort::has_news)
    }

    /// Stores by others into memory that holds decoded code, since the last call.
    pub fn take_code_writes(&mut self, cpu: CpuId) -> Vec<CodeWrite> {
        let port = self.cpu_ports.get_mut(usize::from(cpu.0));
        let code = port.map(|p| std::mem::take(&mut p.code)).unwrap_or_default();
        self.count_news();
        code
    }

    /// A CPU (or DMA) stored into marked memory: every CPU hears of it.
    pub fn code_written(&mut self, write: CodeWrite) {
        for p in &mut self.cpu_ports {
            // A CPU that has not looked for so long drops everything it has when it does.
            if p.code.len() < 1024 {
                p.code.push(write);
            } else {
                p.code.truncate(1);
                p.code[0] = CodeWrite {
                    block: 0,
                    offset: 0,
                    len: u64::MAX,
                };
            }
        }
        self.count_news();
    }

    /// The window of RAM around an address, for a CPU's cache; `None` if something else than RAM is there.
    pub fn ram_window(&mut self, address: u64) -> Option<RamWindow> {
        let r = self.memory.find(address)?;
        match &r.target {
            Target::Ram {
                block,
                offset,
                readonly,
            } => RamWindow::new(r.start, (r.last - r.start).checked_add(1)?, *readonly, block, *offset),
            _ => None,
        }
    }

    /// Reads 1, 2, 4 or 8 bytes, little-endian, as one access.
    pub fn read(&mut self, address: u64, size: u8) -> Result<u64, BusError> {
        let r = self.memory.find(address).ok_or(BusError::Unmapped)?;
        let into = address - r.start;
        if u64::from(size) > (r.last - address).saturating_add(1) {
            return self.read_across(address, size);
        }
        match &r.target {
            Target::Device { device, region, offset } => {
                let (device, region, offset) = (*device, *region, *offset + into);
                self.mmio_read(device, region, offset, size)
            }
            Target::Ram { block, offset, .. } => {
                let mut bytes = [0; 8];
                let ok = block.read(*offset + into, &mut bytes[..usize::from(size.min(8))]);
                if ok {
                    Ok(u64::from_le_bytes(bytes))
                } else {
                    Err(BusError::Unmapped)
                }
            }
            Target::Unimplemented => {
                let mapping = r.mapping;
                self.log_unimplemented(mapping, address, size, None);
                Ok(0)
            }
            Target::Empty => Ok(0),
        }
    }

    /// Writes the low 1, 2, 4 or 8 bytes of `value`, little-endian, as one access.
    pub fn write(&mut self, address: u64, size: u8, value: u64) -> Result<(), BusError> {
        let r = self.memory.find(address).ok_or(BusError::Unmapped)?;
        let into = address - r.start;
        if u64::from(size) > (r.last - address).saturating_add(1) {
            return self.write_across(address, size, value);
        }
        match &r.target {
            Target::Device { device, region, offset } => {
                let (device, region, offset) = (*device, *region, *offset + into);
                self.mmio_write(device, region, offset, size, value)
            }
            Target::Ram {
                block,
                offset,
                readonly: false,
            } => {
                let at = *offset + into;
                let len = usize::from(size.min(8));
                if !block.write(at, &value.to_le_bytes()[..len]) {
                    return Err(BusError::Unmapped);
                }
                self.tape.wrote(address, &value.to_le_bytes()[..len]);
                if block.code_hit(at, len as u64) {
                    let block = block.id();
                    self.code_written(CodeWrite {
                        block,
                        offset: at,
                        len: len as u64,
                    });
                }
                Ok(())
            }
            Target::Ram { .. } => {
                if self.log.on(LogItems::GUEST_ERRORS) {
                    self.log.line(format_args!(
                        "write of {value:#x} ({size} bytes) to ROM at {address:#x} has no effect"
                    ));
                }
                Ok(())
            }
            Target::Unimplemented => {
                let mapping = r.mapping;
                self.log_unimplemented(mapping, address, size, Some(value));
                Ok(())
            }
            Target::Empty => Ok(()),
        }
    }

    /// An access that leaves its range is done byte by byte, as a bus would split it.
    fn read_across(&mut self, address: u64, size: u8) -> Result<u64, BusError> {
        let mut value = 0;
        for i in 0..u64::from(size) {
            let at = address.checked_add(i).ok_or(BusError::Unmapped)?;
            value |= self.read(at, 1)? << (8 * i);
        }
        Ok(value)
    }

    fn write_across(&mut self, address: u64, size: u8, value: u64) -> Result<(), BusError> {
        for i in 0..u64::from(size) {
            let at = address.checked_add(i).ok_or(BusError::Unmapped)?;
            self.write(at, 1, value >> (8 * i) & 0xff)?;
        }
        Ok(())
    }

    /// Copies out of the address space: RAM in one go, anything else byte by byte.
    pub fn read_bytes(&mut self, address: u64, out: &mut [u8]) -> Result<(), BusError> {
        let mut done = 0;
        while done < out.len() {
            let at = address.checked_add(done as u64).ok_or(BusError::Unmapped)?;
            let r = self.memory.find(at).ok_or(BusError::Unmapped)?;
            let here = ((r.last - at).saturating_add(1)).min((out.len() - done) as u64) as usize;
            match &r.target {
                Target::Ram { block, offset, .. } => {
                    if !block.read(*offset + (at - r.start), &mut out[done..done + here]) {
                        return Err(BusError::Unmapped);
                    }
                    done += here;
                }
                _ => {
                    out[done] = self.read(at, 1)? as u8;
                    done += 1;
                }
            }
        }
        Ok(())
    }

    /// Copies into the address space; ROM is left as it is.
    pub fn write_bytes(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        self.copy_in(address, data, false)
    }

    /// Copies into the address space, ROM included: what a loader does before the guest runs.
    pub fn load_bytes(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        self.copy_in(address, data, true)
    }

    fn copy_in(&mut self, address: u64, data: &[u8], into_rom: bool) -> Result<(), BusError> {
        self.tape.wrote(address, data);
        let mut done = 0;
        while done < data.len() {
            let at = address.checked_add(done as u64).ok_or(BusError::Unmapped)?;
            let r = self.memory.find(at).ok_or(BusError::Unmapped)?;
            let here = ((r.last - at).saturating_add(1)).min((data.len() - done) as u64) as usize;
            match &r.target {
                Target::Ram {
                    block,
                    offset,
                    readonly,
                } => {
                    let offset = *offset + (at - r.start);
                    let hit = block.code_hit(offset, here as u64);
                    let write = CodeWrite {
                        block: block.id(),
                        offset,
                        len: here as u64,
                    };
                    if (into_rom || !readonly) && !block.write(offset, &data[done..done + here]) {
                        return Err(BusError::Unmapped);
                    }
                    if hit {
                        self.code_written(write);
                    }
                    done += here;
                }
                _ => {
                    self.write(at, 1, data[done].into())?;
                    done += 1;
                }
            }
        }
        Ok(())
    }

    fn log_unimplemented(&mut self, mapping: MappingId, address: u64, size: u8, write: Option<u64>) {
        if !self.log.on(LogItems::UNIMP) {
            return;
        }
        let (name, start) = self
            .memory
            .mapping(mapping)
            .map(|m| (m.name.clone(), m.start))
            .unwrap_or_default();
        let offset = address - start;
        match write {
            Some(v) => self.log.line(format_args!(
                "{name}: unimplemented write of {v:#x} ({size} bytes) at offset {offset:#x}"
            )),
            None => self.log.line(format_args!(
                "{name}: unimplemented read of {size} bytes at offset {offset:#x}"
            )),
        }
    }

    // ----- device calls ------------------------------------------------------------------------------------------------------

    /// Calls a device: takes it out, hands it the context, puts it back. `None` if it is gone or already out.
    pub fn with_device<R>(&mut self, id: DeviceId, f: impl FnOnce(&mut dyn Device, &mut Ctx<'_>) -> R) -> Option<R> {
        let mut device = self.slot_mut(id)?.device.take()?;
        let r = f(&mut *device, &mut Ctx { sys: self, me: id });
        // A device that removed itself while it ran has no slot to go back to.
        if let Some(s) = self.slot_mut(id) {
            s.device = Some(device);
        }
        Some(r)
    }

    /// Calls a device in one of its roles. `None` if it is gone, already out, or has no such role.
    pub fn with_role<R: ?Sized + 'static, T>(
        &mut self,
        id: DeviceId,
        f: impl FnOnce(&mut R, &mut Ctx<'_>) -> T,
    ) -> Option<T> {
        let cast = Role::cast::<R>(self.slot(id)?.device_type.roles)?;
        self.with_device(id, |d, cx| cast(d as &mut dyn Any).map(|role| f(role, cx)))
            .flatten()
    }

    #[inline]
    fn mmio_read(&mut self, id: DeviceId, region: usize, offset: u64, size: u8) -> Result<u64, BusError> {
        if self.probes.contains(Probes::MMIO) {
            return self.probed_read(id, region, offset, size);
        }
        self.register_read(id, region, offset, size)
    }

    #[inline]
    fn mmio_write(&mut self, id: DeviceId, region: usize, offset: u64, size: u8, value: u64) -> Result<(), BusError> {
        if self.probes.contains(Probes::MMIO) {
            return self.probed_write(id, region, offset, size, value);
        }
        self.register_write(id, region, offset, size, value)
    }

    #[inline]
    pub(crate) fn register_read(
        &mut self,
        id: DeviceId,
        region: usize,
        offset: u64,
        size: u8,
    ) -> Result<u64, BusError> {
        let (plan, cast, endian) = self.plan(id, region, offset, size, false)?;
        let value = match plan {
            Plan::Once(access) => {
                let raw = self.call_mmio(id, cast, |m, cx| m.read(access, cx))?;
                fit(raw, access, offset, size)
            }
            Plan::Split { step } => {
                let mut value = 0;
                for i in (0..size).step_by(usize::from(step)) {
                    let access = piece(region, offset, i, step);
                    let part = self.call_mmio(id, cast, |m, cx| m.read(access, cx))?;
                    value |= (part & mask(step)) << (8 * i);
                }
                value
            }
            Plan::Refuse(why) => return self.refuse(id, offset, size, &why).map(|()| 0),
        };
        Ok(match endian {
            Endian::Big => swap(value, size),
            Endian::Little => value,
        })
    }

    #[inline]
    pub(crate) fn register_write(
        &mut self,
        id: DeviceId,
        region: usize,
        offset: u64,
        size: u8,
        value: u64,
    ) -> Result<(), BusError> {
        let (plan, cast, endian) = self.plan(id, region, offset, size, true)?;
        if let Plan::Refuse(why) = plan {
            return self.refuse(id, offset, size, &why);
        }
        let value = match endian {
            Endian::Big => swap(value, size),
            Endian::Little => value & mask(size),
        };
        match plan {
            Plan::Once(access) => {
                let value = value << (8 * (offset - access.offset));
                self.call_mmio(id, cast, |m, cx| m.write(access, value, cx))
            }
            Plan::Split { step } => {
                for i in (0..size).step_by(usize::from(step)) {
                    let access = piece(region, offset, i, step);
                    self.call_mmio(id, cast, |m, cx| m.write(access, value >> (8 * i) & mask(step), cx))?;
                }
                Ok(())
            }
            Plan::Refuse(_) => Ok(()),
        }
    }

    /// Decides, from declared data alone, what the device gets to see of an access.
    #[inline(always)]
    fn plan(
        &self,
        id: DeviceId,
        region: usize,
        offset: u64,
        size: u8,
        write: bool,
    ) -> Result<(Plan, Option<MmioCast>, Endian), BusError> {
        let slot = self.slot(id).ok_or(BusError::Unmapped)?;
        let state = slot.regions.get(region).ok_or(BusError::Unmapped)?;
        Ok((state.plan(region, offset, size, write), state.cast, state.decl.endian))
    }

    /// An access that the device does not get to see: logged, and an error only if the bus itself forbids it.
    #[cold]
    fn refuse(&mut self, id: DeviceId, offset: u64, size: u8, why: &Refusal) -> Result<(), BusError> {
        let name = self.slot(id).map_or("device", |s| s.device_type.name);
        match why {
            Refusal::Shape => {
                self.guest_error(
                    name,
                    format_args!("access of {size} bytes at offset {offset:#x} has no valid width or alignment"),
                );
                return Err(BusError::Size);
            }
            Refusal::NoRegister => self.guest_error(name, format_args!("no register at offset {offset:#x}")),
            Refusal::ReadOnly(register) => self.guest_error(
                name,
                format_args!("write to the read-only register {register} at offset {offset:#x}"),
            ),
            Refusal::WriteOnly(register) => self.guest_error(
                name,
                format_args!("read of the write-only register {register} at offset {offset:#x}"),
            ),
        }
        Ok(())
    }

    /// Calls the device as what answers registers; a region without that role reads as 0.
    #[inline]
    fn call_mmio<T: Default>(
        &mut self,
        id: DeviceId,
        cast: Option<MmioCast>,
        f: impl FnOnce(&mut dyn Mmio, &mut Ctx<'_>) -> T,
    ) -> Result<T, BusError> {
        let Some(cast) = cast else { return Ok(T::default()) };
        if self.depth >= MAX_DEPTH {
            return Err(BusError::Busy);
        }
        let slot = self.slot_mut(id).ok_or(BusError::Unmapped)?;
        let mut device = slot.device.take().ok_or(BusError::Busy)?;
        self.depth += 1;
        let result = cast(&mut *device as &mut dyn Any).map(|m| f(m, &mut Ctx { sys: self, me: id }));
        self.depth -= 1;
        if let Some(s) = self.slot_mut(id) {
            s.device = Some(device);
        }
        self.settle();
        result.ok_or(BusError::Target)
    }

    fn guest_error(&mut self, device: &str, text: std::fmt::Arguments<'_>) {
        if self.log.on(LogItems::GUEST_ERRORS) {
            self.log.line(format_args!("{device}: {text}"));
        }
    }

    /// Delivers line and clock changes until none wait. Nothing happens inside a device call: the outermost call settles.
    #[inline]
    pub fn settle(&mut self) {
        if self.depth == 0 && !(self.nets.settled() && self.clock_changes.is_empty()) {
            self.deliver_changes();
        }
    }

    fn deliver_changes(&mut self) {
        self.depth += 1;
        for _ in 0..MAX_SETTLE {
            if let Some((net, level)) = self.nets.pop() {
                for (sink, invert) in self.nets.sinks(net) {
                    self.deliver(sink, level != invert);
                }
            } else if let Some(node) = self.clock_changes.pop() {
                if self.probes.contains(Probes::REST) {
                    self.trace_clock(node.0, self.clocks[node.0 as usize].hz);
                }
                let c = &self.clocks[node.0 as usize];
                let hz = c.hz;
                for (device, input) in c.listeners.clone() {
                    self.with_device(device, |d, cx| d.on_clock(input, hz, cx));
                }
            } else {
                self.depth -= 1;
                return;
            }
        }
        self.depth -= 1;
        self.nets.drop_pending();
        self.guest_error(
            "board",
            format_args!("lines did not settle after {MAX_SETTLE} changes; the rest is dropped"),
        );
    }

    fn deliver(&mut self, sink: Sink, level: bool) {
        if self.tapped.tap != Tap::Off {
            self.tapped.sink(sink, level);
        }
        match sink {
            Sink::Device(id, input) => {
                self.with_device(id, |d, cx| d.on_line(input, level, cx));
            }
            Sink::Cpu(cpu, input) => {
                if let Some(p) = self.cpu_ports.get_mut(usize::from(cpu.0)) {
                    p.lines.push((input, level));
                    self.news = true;
                }
            }
        }
    }

    /// Fires every timer that is due now.
    pub(crate) fn fire_timers(&mut self) {
        let now = self.clock.now();
        while self.fire_deferred(now) {}
        while let Some((device, timer)) = self.timers.pop_due(now) {
            if self.probes.contains(Probes::TIMER) {
                self.probed_timer(device, timer);
            } else {
                self.with_device(device, |d, cx| d.on_timer(timer, cx));
            }
            self.settle();
        }
    }

    /// Lets virtual time pass without a CPU: every timer fires at its own moment.
    pub fn advance_to(&mut self, end: VirtualTime) {
        self.advance_at_most(end, u64::MAX);
    }

    /// The same, but gives up after so many timer stops: for fuzzing, where a device may be set to a period of one tick.
    pub fn advance_at_most(&mut self, end: VirtualTime, stops: u64) {
        for _ in 0..stops {
            match self.next_deadline() {
                Some(next) if next <= end => {
                    self.clock.sleep_until(next);
                    self.fire_timers();
                }
                _ => break,
            }
        }
        self.clock.sleep_until(end);
        self.fire_timers();
    }

    /// The earliest timer deadline of any device, or moment of something that a fault rule delayed.
    pub fn next_deadline(&self) -> Option<VirtualTime> {
        [self.timers.next(), self.faults.queue.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The rules of fault injection; see [`System::add_fault`].
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    fn declare_events(&mut self, table: &'static [crate::trace::Event]) {
        if !table.is_empty() {
            self.trace.declare(table);
            self.refresh_probes();
        }
    }

    #[inline]
    pub(crate) fn traces_devices(&self) -> bool {
        self.probes.contains(Probes::DEVICE)
    }

    /// Whether a CPU should report what [`crate::trace::events::cpu`] declares.
    pub fn traces_cpus(&self) -> bool {
        self.probes.contains(Probes::CPU)
    }

    /// Has the run loop look at deadlines again.
    pub(crate) fn raise_attention(&mut self) {
        self.attention = true;
    }

    /// Sets an output; its net follows when the machine settles.
    #[inline]
    pub(crate) fn drive_output(&mut self, device: DeviceId, output: LineId, level: bool) {
        let Some(o) = self
            .slot_mut(device)
            .and_then(|s| s.outputs.get_mut(usize::from(output)))
        else {
            return;
        };
        if o.1 != level {
            o.1 = level;
            let net = o.0;
            if self.tapped.tap != Tap::Off {
                self.tapped.output(device, output, level);
            }
            if let Some(net) = net {
                self.nets.drive(net, level);
            }
        }
    }

    /// Where the run is.
    pub fn moment(&self) -> Moment {
        Moment {
            executed: self.clock.executed(),
            ticks: self.clock.ticks(),
        }
    }

    /// Hands waiting completions to their devices. While the tape plays they wait for the present.
    pub fn deliver_completions(&mut self) {
        if self.tape.plays() {
            while let Some((device, completion)) = self.host.next_completion() {
                self.tape.hold(device, completion);
            }
            return;
        }
        while let Some((device, completion)) = self.tape.take_held().or_else(|| self.host.next_completion()) {
            self.tape.hear_completion(self.moment(), device, &completion);
            self.deliver_completion(device, completion);
        }
    }

    /// Hands one to its device.
    pub(crate) fn deliver_completion(&mut self, device: DeviceId, completion: Completion) {
        if self.probes.contains(Probes::COMPLETION) {
            self.probed_completion(device, completion);
        } else {
            self.with_device(device, |d, cx| d.on_completion(completion, cx));
        }
        self.settle();
    }

    /// One phase of reset over all devices, in the order of creation.
    pub fn reset_phase(&mut self, phase: ResetPhase) {
        if phase == ResetPhase::Enter {
            self.requests.remove(Requests::RESET);
        }
        let probed = self.probes.contains(Probes::REST);
        if probed && phase == ResetPhase::Enter {
            self.trace_reset(None, "");
        }
        for i in 0..self.slots.len() {
            if let Some(id) = self.slots[i].as_ref().map(|s| s.me) {
                if probed {
                    self.trace_reset(Some(id), phase.name());
                }
                self.with_device(id, |d, cx| d.reset(phase, cx));
            }
        }
        self.settle();
    }

    /// All three phases.
    pub fn reset(&mut self) {
        for phase in [ResetPhase::Enter, ResetPhase::Hold, ResetPhase::Exit] {
            self.reset_phase(phase);
        }
    }

    pub(crate) fn output_levels(&self) -> Vec<Vec<bool>> {
        self.slots
            .iter()
            .map(|s| s.iter().flat_map(|s| s.outputs.iter().map(|o| o.1)).collect())
            .collect()
    }

    pub(crate) fn restore_output_levels(&mut self, levels: &[Vec<bool>]) -> bool {
        if levels.len() != self.slots.len() {
            return false;
        }
        for (slot, levels) in self.slots.iter_mut().zip(levels) {
            let Some(slot) = slot else { continue };
            if slot.outputs.len() != levels.len() {
                return false;
            }
            for (o, l) in slot.outputs.iter_mut().zip(levels) {
                o.1 = *l;
            }
        }
        true
    }

    pub(crate) fn clock_frequencies(&self) -> Vec<u64> {
        self.clocks.iter().map(|c| c.hz).collect()
    }

    pub(crate) fn restore_clock_frequencies(&mut self, hz: &[u64]) -> bool {
        if hz.len() != self.clocks.len() || hz.iter().any(|hz| *hz > crate::clock::MAX_HZ) {
            return false;
        }
        for (c, hz) in self.clocks.iter_mut().zip(hz) {
            c.hz = *hz;
        }
        self.clock_changes.clear();
        true
    }
}

/// What the device gets to see of an access.
enum Plan {
    Once(Access),
    Split { step: u8 },
    Refuse(Refusal),
}

/// Why it gets to see nothing.
enum Refusal {
    Shape,
    NoRegister,
    ReadOnly(&'static str),
    WriteOnly(&'static str),
}

impl RegionState {
    #[inline(always)]
    fn plan(&self, region: usize, offset: u64, size: u8, write: bool) -> Plan {
        let decl = self.decl;
        if size < decl.valid.0 || size > decl.valid.1 || offset & u64::from(size - 1) != 0 {
            return Plan::Refuse(Refusal::Shape);
        }
        let native = size.clamp(decl.native.0, decl.native.1);
        let aligned = offset & !u64::from(native - 1);
        match self.index.find(decl, aligned) {
            Some(None) => return Plan::Refuse(Refusal::NoRegister),
            Some(Some(r)) if write && r.access == RegisterAccess::ReadOnly => {
                return Plan::Refuse(Refusal::ReadOnly(r.name));
            }
            Some(Some(r)) if !write && r.access == RegisterAccess::WriteOnly => {
                return Plan::Refuse(Refusal::WriteOnly(r.name));
            }
            _ => {}
        }
        if native < size {
            return Plan::Split { step: native };
        }
        Plan::Once(Access {
            region,
            offset: aligned,
            size: native,
            lanes: lanes(size) << (offset - aligned),
        })
    }
}

/// One of the accesses that a wide one is split into.
fn piece(region: usize, offset: u64, i: u8, step: u8) -> Access {
    Access {
        region,
        offset: offset + u64::from(i),
        size: step,
        lanes: lanes(step),
    }
}

fn lanes(size: u8) -> u8 {
    ((1u16 << size) - 1) as u8
}

fn mask(size: u8) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (8 * size)) - 1 }
}

/// The bytes of a native read that the bus asked for.
fn fit(raw: u64, access: Access, offset: u64, size: u8) -> u64 {
    (raw & mask(access.size)) >> (8 * (offset - access.offset)) & mask(size)
}

fn swap(value: u64, size: u8) -> u64 {
    value.swap_bytes() >> (64 - 8 * u32::from(size))
}

/// A device's only way out, while one of its methods runs.
pub struct Ctx<'a> {
    sys: &'a mut System,
    me: DeviceId,
}

impl Ctx<'_> {
    /// This device.
    pub fn me(&self) -> DeviceId {
        self.me
    }

    pub(crate) fn sys(&self) -> &System {
        self.sys
    }

    pub(crate) fn sys_mut(&mut self) -> &mut System {
        self.sys
    }

    /// Sets an output line. The change reaches its sinks when the handler has returned.
    #[inline]
    pub fn set_line(&mut self, output: LineId, level: bool) {
        if self.sys.probes.contains(Probes::LINE) {
            self.sys.probed_line(self.me, output, level);
        } else {
            self.sys.drive_output(self.me, output, level);
        }
    }

    /// Pulses an output: up and down again, as an edge for receivers that latch.
    pub fn pulse_line(&mut self, output: LineId) {
        self.set_line(output, true);
        self.set_line(output, false);
    }

    /// Now, in virtual time.
    pub fn now(&self) -> VirtualTime {
        self.sys.clock.now()
    }

    /// Arms (or moves) one of this device's timers. A deadline that has passed fires as soon as the handler has returned and the CPU
    /// is between two instructions, at least one nanosecond from now.
    pub fn set_timer(&mut self, timer: TimerIndex, deadline: VirtualTime) {
        let deadline = deadline.max(self.sys.clock.now().after_ns(1));
        let earlier = self.sys.timers.next().is_none_or(|next| deadline < next);
        self.sys.timers.set(self.me, timer, deadline);
        if self.sys.probes.contains(Probes::TIMER) {
            self.sys.trace_timer(self.me, timer, Some(deadline));
        }
        if earlier {
            self.sys.attention = true;
        }
    }

    /// Disarms one of this device's timers.
    pub fn cancel_timer(&mut self, timer: TimerIndex) {
        if self.sys.probes.contains(Probes::TIMER) {
            self.sys.trace_timer(self.me, timer, None);
        }
        self.sys.timers.cancel(self.me, timer);
    }

    /// When one of this device's timers is due.
    pub fn timer_deadline(&self, timer: TimerIndex) -> Option<VirtualTime> {
        self.sys.timers.deadline(self.me, timer)
    }

    /// Frequency of an input clock in Hz; 0 if the board left it open.
    pub fn clock_hz(&self, input: usize) -> u64 {
        let node = self
            .sys
            .slot(self.me)
            .and_then(|s| s.clocks.get(input).copied().flatten());
        node.map_or(0, |n| self.sys.clock_hz(n))
    }

    /// Changes the frequency of a clock that this device generates (it holds the node from `Build`).
    pub fn set_clock(&mut self, node: ClockNode, hz: u64) {
        self.sys.set_clock_hz(node, hz);
    }

    /// DMA out of the system's address space.
    pub fn dma_read(&mut self, address: u64, out: &mut [u8]) -> Result<(), BusError> {
        self.sys.depth += 1;
        let r = self.sys.read_bytes(address, out);
        self.sys.depth -= 1;
        r
    }

    /// DMA into the system's address space.
    pub fn dma_write(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        self.sys.depth += 1;
        let r = self.sys.write_bytes(address, data);
        self.sys.depth -= 1;
        r
    }

    /// Asks something of the host, to which `usual` is the answer unless something is in the way. A run through the past gets the
    /// answer of then, and `ask` is not called.
    pub fn ask_host(&mut self, usual: u64, ask: impl FnOnce(&mut Self) -> u64) -> u64 {
        if let Some(then) = self.sys.tape.ask(usual) {
            return then;
        }
        let answer = ask(self);
        let at = self.sys.moment();
        self.sys.tape.answered(at, usual, answer);
        answer
    }

    /// A back end as its concrete type, to submit something to it. `None` if it is gone, or while the machine runs through its past.
    pub fn backend<T: Backend>(&mut self, id: BackendId) -> Option<(&mut T, HostCx<'_>)> {
        if self.sys.tape.plays() {
            return None;
        }
        self.sys.host.get(id)
    }

    /// Has each signal of an eventfd delivered as a completion (`port`, `token`).
    pub fn watch_notifier(&mut self, fd: rustix::fd::OwnedFd, port: u32, token: u64) -> io::Result<WatchId> {
        self.sys.host.reactor.watch_notifier(fd, self.me, port, token)
    }

    /// Stops that.
    pub fn drop_notifier(&mut self, id: WatchId) {
        self.sys.host.reactor.drop_notifier(id);
    }

    /// Puts memory behind one of this device's `Ram` regions, or takes it away. All places where the region is mapped follow.
    pub fn back_region(&mut self, region: usize, block: Option<RamBlock>) {
        let Some(r) = self.sys.slot_mut(self.me).and_then(|s| s.regions.get_mut(region)) else {
            return;
        };
        r.backing = block.clone();
        let (size, mappings) = (r.size, r.mappings.clone());
        for m in mappings {
            let target = match &block {
                Some(b) if b.len() >= size => Target::Ram {
                    block: b.clone(),
                    offset: 0,
                    readonly: false,
                },
                _ => Target::Empty,
            };
            self.sys.memory.retarget(m, target);
        }
        self.sys.attention = true;
    }

    /// Devices on one of the buses that this device offers, with their addresses.
    pub fn children(&self, bus: usize) -> SmallVec<[(DeviceId, u32); 4]> {
        let id = self.sys.slot(self.me).and_then(|s| s.buses.get(bus).copied());
        id.map(|b| self.sys.buses[b.0 as usize].children.clone())
            .unwrap_or_default()
    }

    /// Calls another device in a role (a child on this device's bus). `None` if it is gone, busy, or has no such role.
    pub fn with_role<R: ?Sized + 'static, T>(
        &mut self,
        id: DeviceId,
        f: impl FnOnce(&mut R, &mut Ctx<'_>) -> T,
    ) -> Option<T> {
        if self.sys.depth >= 2 * MAX_DEPTH {
            return None;
        }
        self.sys.depth += 1;
        let r = self.sys.with_role(id, f);
        self.sys.depth -= 1;
        r
    }

    /// Asks for a reset of the whole system (a watchdog, a reset controller).
    pub fn request_reset(&mut self) {
        self.sys.requests |= Requests::RESET;
        self.sys.attention = true;
    }

    /// Asks for power-off.
    pub fn request_shutdown(&mut self) {
        self.sys.requests |= Requests::SHUTDOWN;
        self.sys.attention = true;
    }

    /// The moment that this device asked for with `Build::hold_start` has come.
    pub fn release_start(&mut self) {
        self.sys.start_holds = self.sys.start_holds.saturating_sub(1);
    }

    /// Whether anybody reads guest errors; test before building an expensive text.
    pub fn logs(&self, items: LogItems) -> bool {
        self.sys.log.on(items)
    }

    /// Logs a mistake of the guest (`-d guest_errors`).
    pub fn guest_error(&mut self, text: std::fmt::Arguments<'_>) {
        self.log_as(LogItems::GUEST_ERRORS, text);
    }

    /// Tells the user that something on the host's side of this device fails, whatever `-d` says. Callers say a thing once.
    pub fn warning(&mut self, text: std::fmt::Arguments<'_>) {
        let (name, id) = match self.sys.slot(self.me) {
            Some(s) => (s.device_type.name, s.id.clone().map(|id| format!(" '{id}'"))),
            None => ("device", None),
        };
        let id = id.unwrap_or_default();
        self.sys.log.warning(format_args!("{name}{id}: {text}"));
    }

    /// Logs the use of something that is not modelled (`-d unimp`).
    pub fn unimplemented(&mut self, text: std::fmt::Arguments<'_>) {
        self.log_as(LogItems::UNIMP, text);
    }

    fn log_as(&mut self, items: LogItems, text: std::fmt::Arguments<'_>) {
        if self.sys.log.on(items) {
            let name = self.sys.slot(self.me).map_or("device", |s| s.device_type.name);
            self.sys.log.line(format_args!("{name}: {text}"));
        }
    }
}

/// What `create` may do beyond reading properties.
pub struct Build<'a> {
    sys: &'a mut System,
    me: DeviceId,
}

impl Build<'_> {
    /// The id that the device will have.
    pub fn me(&self) -> DeviceId {
        self.me
    }

    /// Chooses another size for a region than the declared one.
    pub fn region_size(&mut self, region: usize, bytes: u64) {
        if let Some(r) = self.sys.slot_mut(self.me).and_then(|s| s.regions.get_mut(region)) {
            r.size = bytes;
        }
    }

    /// Says where the device's properties want it on the board.
    pub fn place_wish(&mut self, wish: PlaceWish) {
        if let Some(s) = self.sys.slot_mut(self.me) {
            s.wish = wish;
        }
    }

    /// A back end as its concrete type, to attach to it. `None` if it is gone or of another kind.
    pub fn backend<T: Backend>(&mut self, id: BackendId) -> Option<(&mut T, HostCx<'_>)> {
        self.sys.host.get(id)
    }

    /// Frequency of an input clock in Hz; 0 if open.
    pub fn clock_hz(&self, input: usize) -> u64 {
        let node = self
            .sys
            .slot(self.me)
            .and_then(|s| s.clocks.get(input).copied().flatten());
        node.map_or(0, |n| self.sys.clock_hz(n))
    }

    /// The node of an input clock, for a device that also drives it (a system controller).
    pub fn clock_node(&self, input: usize) -> Option<ClockNode> {
        self.sys.slot(self.me)?.clocks.get(input).copied().flatten()
    }

    /// Asks the machine to wait a moment at its start for something that the host is about to do; `Ctx::release_start` ends it.
    pub fn hold_start(&mut self) {
        self.sys.start_holds += 1;
    }
}
