//! What a board description is made of, and the list of all boards.
//!
//! A board has facts that never change ([`Board`]) and a description of what stands where ([`Description`]), which may depend on what the
//! user chooses ([`Choices`]): how many processors, how much memory, the board's own properties. Whatever depends on the description
//! (a device tree, a table of the book) is derived from it.

pub mod choices;
pub mod cores;
mod lm3s6965evb;
mod mps2_an385;
pub mod virt;

use std::borrow::Cow;

use southbridge_core::machine::Pacing;
use southbridge_core::{CpuId, Property};

pub use choices::{Choices, FlashFile, Jit, NumaNode, can_compile};
pub use cores::{Core, CortexM, Isa, Rv64};

use crate::boot::Boot;
use crate::build::Built;

/// Every board, in the order of `-M help`.
pub static BOARDS: &[&Board] = &[&lm3s6965evb::BOARD, &mps2_an385::BOARD, &virt::BOARD, &NONE];

/// An empty machine, for tools that only ask questions.
pub static NONE: Board = Board {
    name: "none",
    summary: "empty machine",
    cpu: None,
    properties: &[],
    pacing: Pacing::PaceIdle,
    unassigned: Unassigned::Fault,
    expansion: Expansion {
        mmio: &[],
        ram: &[],
        irqs: &[],
    },
    ram: Ram::Own,
    boot: Boot::Vectors,
    serial_ports: 0,
    describe: |_| Description::default(),
};

/// A board: what is true of it whatever the user chooses.
pub struct Board {
    /// Name for `-M`.
    pub name: &'static str,
    /// One line for `-M help`.
    pub summary: &'static str,
    /// The kind of processors that it takes.
    pub cpu: Option<Core>,
    /// Its own properties for `-M NAME,…`.
    pub properties: &'static [Property],
    /// How its time goes with the wall clock unless the user says otherwise.
    pub pacing: Pacing,
    /// What the rest of the address space does.
    pub unassigned: Unassigned,
    /// Where devices that the user adds may go.
    pub expansion: Expansion,
    /// What `-m` may say.
    pub ram: Ram,
    /// How programs come in.
    pub boot: Boot,
    /// Serial ports for `-serial`.
    pub serial_ports: usize,
    /// What stands where.
    pub describe: fn(&Choices) -> Description,
}

impl Board {
    /// What stands where if the user chooses nothing.
    pub fn by_default(&self) -> Description {
        (self.describe)(&Choices::of(self))
    }
}

/// What `-m` may say about a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ram {
    /// The board has its own memory; `-m` has no say.
    Own,
    /// This many bytes and no others.
    Fixed(u64),
    /// Any number of bytes within limits.
    Any {
        /// Without `-m`.
        default: u64,
        /// Fewest.
        least: u64,
        /// Most.
        most: u64,
    },
}

impl Ram {
    /// Bytes without `-m`; 0 if that counts nothing.
    pub const fn default_size(self) -> u64 {
        match self {
            Self::Own => 0,
            Self::Fixed(n) => n,
            Self::Any { default, .. } => default,
        }
    }
}

/// What stands where on a board, for one set of choices.
#[derive(Default)]
pub struct Description {
    /// Clocks: name and frequency at reset in Hz. The first one is the processors'.
    pub clocks: Vec<(&'static str, u64)>,
    /// RAM, ROM and their mirrors.
    pub memory: Vec<Memory>,
    /// Devices.
    pub parts: Vec<Part>,
    /// Wires that are not interrupts of the first processor.
    pub wires: Vec<Wire>,
    /// Devices that sit on a bus of another device.
    pub plugs: Vec<Plug>,
    /// Parts that are not modelled: name, first address, bytes. Accesses read as 0 and are logged.
    pub unimplemented: Vec<(&'static str, u64, u64)>,
    /// Who takes interrupts by their number: part and input line. Without one the first processor does.
    pub interrupts: Option<(&'static str, &'static str)>,
    /// What parts have to be told about each other besides wires and buses, when all are there.
    pub finish: Option<fn(&mut Built)>,
}

/// What an address does at which nothing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unassigned {
    /// A bus fault.
    Fault,
    /// Reads as 0, ignores writes, and is logged as unimplemented.
    Ignored,
}

/// A stretch of memory.
pub struct Memory {
    /// Name, unique on the board.
    pub name: &'static str,
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// RAM, ROM or a mirror.
    pub kind: MemoryKind,
}

impl Memory {
    /// Memory of the board's own.
    pub const fn new(name: &'static str, start: u64, len: u64, kind: MemoryKind) -> Self {
        Self { name, start, len, kind }
    }
}

/// Kind of a stretch of memory.
pub enum MemoryKind {
    /// Read and write.
    Ram,
    /// The same, and what is behind it is the memory back end of that id.
    Backed(String),
    /// Only the loader writes.
    Rom,
    /// The same memory as the named one, again.
    MirrorOf(&'static str),
}

/// A property value in a board description.
#[derive(Debug, Clone)]
pub enum Value {
    /// A number.
    Uint(u64),
    /// Text or one word of a few.
    Text(Cow<'static, str>),
    /// On or off.
    Switch(bool),
    /// The back end of the board's Nth serial port.
    Serial(usize),
    /// Three bytes of the address of the board's Nth NIC, from that one on; the first in the lowest bits.
    NicAddress(usize, usize),
}

/// A device on a board.
#[derive(Clone)]
pub struct Part {
    /// Name, unique on the board; wires refer to it.
    pub name: &'static str,
    /// Device type.
    pub device: &'static str,
    /// Address of region 0; `None` if the device has no place in the address space.
    pub at: Option<u64>,
    /// Further regions and their addresses.
    pub also: &'static [(usize, u64)],
    /// Outputs to interrupt lines of the processor: line name, index, interrupt.
    pub irqs: &'static [(&'static str, u16, Irq)],
    /// Input clocks, in the type's order, by the board's names.
    pub clocks: &'static [&'static str],
    /// Properties.
    pub properties: Cow<'static, [(&'static str, Value)]>,
}

/// An interrupt of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Irq {
    /// External interrupt by number.
    Line(u16),
    /// The non-maskable interrupt.
    Nmi,
}

impl Part {
    /// A device at an address, with nothing else to say.
    pub const fn new(name: &'static str, device: &'static str, at: u64) -> Self {
        let mut part = Self::aside(name, device);
        part.at = Some(at);
        part
    }

    /// A device without an address.
    pub const fn aside(name: &'static str, device: &'static str) -> Self {
        Self {
            name,
            device,
            at: None,
            also: &[],
            irqs: &[],
            clocks: &[],
            properties: Cow::Borrowed(&[]),
        }
    }

    /// Further regions at their addresses.
    #[must_use]
    pub fn also(mut self, regions: &'static [(usize, u64)]) -> Self {
        self.also = regions;
        self
    }

    /// Interrupts.
    #[must_use]
    pub fn irqs(mut self, irqs: &'static [(&'static str, u16, Irq)]) -> Self {
        self.irqs = irqs;
        self
    }

    /// Clocks.
    #[must_use]
    pub fn clocks(mut self, clocks: &'static [&'static str]) -> Self {
        self.clocks = clocks;
        self
    }

    /// Properties.
    #[must_use]
    pub fn with(mut self, properties: impl Into<Cow<'static, [(&'static str, Value)]>>) -> Self {
        self.properties = properties.into();
        self
    }
}

/// One end of a wire: part, line, index.
pub type Pin = (&'static str, &'static str, u16);

/// The receiving end of a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// An input of a part.
    Part(Pin),
    /// An input of a processor, by the engine's numbers.
    Cpu(CpuId, u32),
    /// An interrupt of the board.
    Irq(Irq),
}

/// A wire from an output to an input. Several wires to one input OR together.
pub struct Wire {
    /// Output.
    pub from: Pin,
    /// Input.
    pub to: End,
    /// The board inverts it.
    pub invert: bool,
}

impl Wire {
    /// A straight wire between two parts.
    pub const fn new(from: Pin, to: Pin) -> Self {
        Self::to(from, End::Part(to))
    }

    /// A straight wire.
    pub const fn to(from: Pin, to: End) -> Self {
        Self {
            from,
            to,
            invert: false,
        }
    }
}

/// A device on the first bus of another.
pub struct Plug {
    /// The part that offers the bus.
    pub bus_of: &'static str,
    /// The part that sits on it.
    pub part: &'static str,
    /// Address there (chip select, I2C address).
    pub address: u32,
}

/// Free places of a board, for devices that the user adds.
pub struct Expansion {
    /// For registers: first address, bytes.
    pub mmio: &'static [(u64, u64)],
    /// For memory: first address, bytes.
    pub ram: &'static [(u64, u64)],
    /// Interrupts, in the order in which they are given out.
    pub irqs: &'static [u16],
}

/// The processor that starts.
pub const BOOT_CPU: CpuId = CpuId(0);
