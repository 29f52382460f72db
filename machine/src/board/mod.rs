//! What a board description is made of, and the list of all boards.

mod lm3s6965evb;
mod mps2_an385;

use southbridge_core::CpuId;

/// Every board, in the order of `-M help`.
pub static BOARDS: &[&Board] = &[&lm3s6965evb::BOARD, &mps2_an385::BOARD, &NONE];

/// An empty machine, for tools that only ask questions.
pub static NONE: Board = Board {
    name: "none",
    summary: "empty machine",
    cpu: None,
    clocks: &[],
    memory: &[],
    parts: &[],
    wires: &[],
    plugs: &[],
    unimplemented: &[],
    unassigned: Unassigned::Fault,
    expansion: Expansion {
        mmio: &[],
        ram: &[],
        irqs: &[],
    },
    ram_size: 0,
    image_limit: 0,
    serial_ports: 0,
};

/// A board.
pub struct Board {
    /// Name for `-M`.
    pub name: &'static str,
    /// One line for `-M help`.
    pub summary: &'static str,
    /// The processor.
    pub cpu: Option<Core>,
    /// Clocks: name and frequency at reset in Hz. The first one is the processor's.
    pub clocks: &'static [(&'static str, u64)],
    /// RAM, ROM and their mirrors.
    pub memory: &'static [Memory],
    /// Devices.
    pub parts: &'static [Part],
    /// Wires that are not interrupts of the processor.
    pub wires: &'static [Wire],
    /// Devices that sit on a bus of another device.
    pub plugs: &'static [Plug],
    /// Parts that are not modelled: name, first address, bytes. Accesses read as 0 and are logged.
    pub unimplemented: &'static [(&'static str, u64, u64)],
    /// What the rest of the address space does.
    pub unassigned: Unassigned,
    /// Where devices that the user adds may go.
    pub expansion: Expansion,
    /// What `-m` must say if it is given, in bytes; 0 if the board takes no `-m`.
    pub ram_size: u64,
    /// Bytes from address 0 that a raw or HEX image may fill.
    pub image_limit: u64,
    /// Serial ports for `-serial`.
    pub serial_ports: usize,
}

/// A Cortex-M processor on a board.
pub struct Core {
    /// Model for `-cpu`.
    pub model: &'static str,
    /// External interrupt lines.
    pub irqs: u16,
    /// Implemented bits of priority.
    pub priority_bits: u8,
    /// Frequency of the SysTick reference clock in Hz, if it has one.
    pub systick_reference: Option<u64>,
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

/// Kind of a stretch of memory.
pub enum MemoryKind {
    /// Read and write.
    Ram,
    /// Only the loader writes.
    Rom,
    /// The same memory as the named one, again.
    MirrorOf(&'static str),
}

/// A property value in a board description.
pub enum Value {
    /// A number.
    Uint(u64),
    /// Text or one word of a few.
    Text(&'static str),
    /// On or off.
    Switch(bool),
    /// The back end of the board's Nth serial port.
    Serial(usize),
}

/// A device on a board.
pub struct Part {
    /// Name, unique on the board; wires refer to it.
    pub name: &'static str,
    /// Device type.
    pub device: &'static str,
    /// Address of region 0; `None` if the device has no place in the address space.
    pub at: Option<u64>,
    /// Outputs to interrupt lines of the processor: line name, index, interrupt.
    pub irqs: &'static [(&'static str, u16, Irq)],
    /// Input clocks, in the type's order, by the board's names.
    pub clocks: &'static [&'static str],
    /// Properties.
    pub properties: &'static [(&'static str, Value)],
}

/// An interrupt input of the processor.
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
        Self {
            name,
            device,
            at: Some(at),
            irqs: &[],
            clocks: &[],
            properties: &[],
        }
    }

    /// A device without an address.
    pub const fn aside(name: &'static str, device: &'static str) -> Self {
        Self {
            name,
            device,
            at: None,
            irqs: &[],
            clocks: &[],
            properties: &[],
        }
    }

    /// Interrupts.
    #[must_use]
    pub const fn irqs(mut self, irqs: &'static [(&'static str, u16, Irq)]) -> Self {
        self.irqs = irqs;
        self
    }

    /// Clocks.
    #[must_use]
    pub const fn clocks(mut self, clocks: &'static [&'static str]) -> Self {
        self.clocks = clocks;
        self
    }

    /// Properties.
    #[must_use]
    pub const fn with(mut self, properties: &'static [(&'static str, Value)]) -> Self {
        self.properties = properties;
        self
    }
}

/// One end of a wire: part, line, index.
pub type Pin = (&'static str, &'static str, u16);

/// A wire from an output to an input. Several wires to one input OR together.
pub struct Wire {
    /// Output.
    pub from: Pin,
    /// Input.
    pub to: Pin,
    /// The board inverts it.
    pub invert: bool,
}

impl Wire {
    /// A straight wire.
    pub const fn new(from: Pin, to: Pin) -> Self {
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

/// The processor that interrupts go to.
pub const BOOT_CPU: CpuId = CpuId(0);
