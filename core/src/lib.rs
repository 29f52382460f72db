//! The heart of Southbridge: what every device, bus, board and CPU engine stands on.
//!
//! A [`Machine`] is a value: it owns a [`System`] (devices in an arena, the address space, lines, clocks, timers, host events) and
//! the CPUs that run on it. Nothing here is global and nothing here knows a concrete device. The rules that the types below keep:
//!
//! - one owner: a device is taken out of its slot while one of its methods runs, and [`Ctx`] is its only way out;
//! - effects settle, not nest: a line level set in a handler reaches its sinks after the handler has returned;
//! - one clock: virtual nanoseconds, derived from executed instructions and idle time;
//! - host input is a queue of completions.

pub mod clock;
pub mod cpu;
pub mod device;
pub mod fault;
pub mod host;
pub mod inject;
pub mod line;
pub mod log;
pub mod machine;
pub mod memory;
pub mod notice;
pub mod property;
pub mod region;
pub mod registry;
pub mod saved;
pub mod stderr;
pub mod system;
pub mod tape;
pub mod trace;

pub use clock::{Clock, ClockRate, VirtualTime};
pub use cpu::{Cpu, CpuDebug, CpuId, Exit, WatchKind, Watchpoint};
pub use device::{
    BusDecl, BusKind, Category, CreateError, Device, DeviceId, DeviceType, InterruptWish, Line, LineDirection, Mmio,
    PlaceWish, ResetPhase, Role,
};
pub use fault::BusError;
pub use host::{Backend, BackendId, Completion, HostCx, HostEvent, Interest, Waker, WatchId};
pub use line::{LineId, NetId};
pub use log::LogItems;
pub use machine::{Attendant, Caller, Machine, MachineEvent, Outcome, RunState};
pub use memory::{AddressSpace, RamBlock, RamView, RamWindow};
pub use notice::{Notice, NoticeValue};
pub use property::{PropKind, PropValue, Properties, Property};
pub use region::{Access, Endian, Region, RegionKind, Register, RegisterAccess};
pub use registry::Registry;
pub use saved::{LoadError, SavedState};
pub use system::{Build, BusId, Ctx, Part, System};
