//! Everything of a machine but its CPUs: the arena of devices, the address space, lines, clocks, timers, the host.
//!
//! An access finds its device, takes it out of its slot, calls it, puts it back and lets effects settle. While a device is out, an
//! access that reaches it again (its own DMA) finds the slot empty and is a bus error: re-entry is found by construction.

mod access;
mod board;
mod context;
mod dispatch;
mod effects;
mod watchdog;

pub use context::{Build, Ctx};
pub use watchdog::WatchdogPolicy;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::any::Any;
use std::io;

use crate::clock::{Clock, ClockRate, Timebase, TimerIndex, TimerQueue, VirtualTime};
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
use crate::notice::{Notice, NoticeValue, Notices};
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
    readonly: bool,
    index: RegisterIndex,
    cast: Option<MmioCast>,
}

/// A part of a region, and where it is visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where in the region it starts.
    pub offset: u64,
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
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
        /// Stop the processors, for somebody to look.
        const PAUSE = 4;
        /// The guest says that it has crashed.
        const PANIC = 8;
        /// With `SHUTDOWN`: the guest calls it a failure.
        const FAILURE = 16;
        /// Stop the processors until somebody has made room on the host's disk, or the like.
        const IO_ERROR = 32;
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
    /// Something that it may sleep for has come.
    wake: bool,
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
    /// The counter that CPUs and timers of a RISC-V board share.
    pub timebase: Timebase,
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
    /// What the program should answer its caller when the guest switches off; 0 is success.
    pub exit_code: u16,
    /// What a real-time clock of the board shows at the start of virtual time: nanoseconds since 1970, UTC (`-rtc base=`).
    pub rtc_base_ns: u64,
    /// What happens when a watchdog of the guest expires.
    pub watchdog: WatchdogPolicy,
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
    /// Something that the running CPU can take by itself: its `cpu_ports` are not empty.
    news: bool,
    /// The CPU whose turn it is.
    running: CpuId,
    /// Something has come for another CPU than that.
    passed_on: bool,
    depth: u32,
    /// Devices that their slots let go.
    unplugs: Vec<DeviceId>,
    /// What devices have said.
    notices: Notices,
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
            timebase: Timebase::default(),
            memory: AddressSpace::default(),
            host: Host::new()?,
            log: Log::default(),
            trace: Trace::default(),
            faults: Faults::default(),
            probes: Probes::empty(),
            requests: Requests::empty(),
            exit_code: 0,
            rtc_base_ns: 0,
            watchdog: WatchdogPolicy::default(),
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
            running: CpuId(0),
            passed_on: false,
            depth: 0,
            unplugs: Vec::new(),
            notices: Notices::default(),
        })
    }

    /// Devices that their slots let go since the last call: the caller takes them out of the machine.
    pub fn take_unplugs(&mut self) -> Vec<DeviceId> {
        std::mem::take(&mut self.unplugs)
    }

    /// Whether there are any.
    pub fn has_unplugs(&self) -> bool {
        !self.unplugs.is_empty()
    }

    /// What devices have said and should be told now: of what one says again and again, a notice each second and the last.
    pub(crate) fn due_notices(&mut self) -> Vec<Notice> {
        self.notices.due()
    }

    /// What devices have said since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notices.take()
    }

    /// A device's place, if it (still) exists.
    pub fn slot(&self, id: DeviceId) -> Option<&Slot> {
        self.slots.get(id.index())?.as_ref().filter(|s| s.me == id)
    }

    /// The device in the place of another machine's: it has the same number, and may have come there after others.
    pub(crate) fn in_place_of(&self, id: DeviceId) -> Option<DeviceId> {
        self.slots.get(id.index())?.as_ref().map(|s| s.me)
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

    /// Whether a CPU should look up between two instructions: take its lines and code writes, and if this still holds return from
    /// `run`, because of a request, an earlier deadline, a host event or news for another CPU. That its own access moved a line of its
    /// own costs no return.
    #[inline]
    pub fn attention(&self) -> bool {
        self.attention | self.news || self.host.reactor.attention()
    }

    /// The part of `attention` that other threads set.
    pub fn attention_flag(&self) -> crate::host::AttentionFlag {
        self.host.reactor.attention_flag()
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
        let port = self.cpu_ports.get(usize::from(self.running.0));
        self.news = port.is_some_and(CpuPort::has_news);
    }

    /// The CPU whose turn it is: the one that makes the access in progress.
    pub fn running_cpu(&self) -> CpuId {
        self.running
    }

    /// Gives the turn to a CPU.
    pub(crate) fn set_running(&mut self, cpu: CpuId) {
        self.running = cpu;
        self.count_news();
    }

    /// Whether something has come for another CPU than the running one since the last call.
    pub(crate) fn take_passed_on(&mut self) -> bool {
        std::mem::take(&mut self.passed_on)
    }

    /// Has a CPU run again although it sleeps: it finds out by itself whether it has a reason to. For whoever changes what a sleeping
    /// CPU waits for and goes past its lines.
    pub fn wake_cpu(&mut self, cpu: CpuId) {
        if let Some(p) = self.cpu_ports.get_mut(usize::from(cpu.0)) {
            p.wake = true;
        }
        if cpu != self.running {
            self.passed_on = true;
            self.attention = true;
        }
    }

    /// The same for all CPUs. The turn stays where it is.
    pub(crate) fn wake_cpus(&mut self) {
        for p in &mut self.cpu_ports {
            p.wake = true;
        }
    }

    /// Whether a CPU has a reason to look whether it shall go on sleeping. Once.
    pub(crate) fn take_wake(&mut self, cpu: CpuId) -> bool {
        let port = self.cpu_ports.get_mut(usize::from(cpu.0));
        port.is_some_and(|p| std::mem::take(&mut p.wake))
    }

    /// Whether `take_lines` or `take_code_writes` would give anything.
    #[inline]
    pub fn cpu_news(&self, cpu: CpuId) -> bool {
        (self.news || cpu != self.running) && self.cpu_ports.get(usize::from(cpu.0)).is_some_and(CpuPort::has_news)
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
}
