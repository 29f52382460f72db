//! The device model: what every front end is, and the table from which all that users see of it is derived.

use serde::{Deserialize, Serialize};
use std::any::{Any, TypeId};

use crate::clock::TimerIndex;
use crate::host::Completion;
use crate::line::LineId;
use crate::machine::Moving;
use crate::property::{Properties, Property};
use crate::region::{Access, Region};
use crate::saved::{LoadError, SavedState};
use crate::system::{Build, Ctx};

/// A device of a machine: a place in the arena, and how often the place was given away before. A device that is unplugged leaves its
/// place to the next one, but never its id: what still refers to it finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId(pub(crate) u32);

/// Bits of the place; the rest counts its tenants.
const PLACE_BITS: u32 = 16;

impl DeviceId {
    /// The device at an index of the arena; for tests and saved states.
    pub const fn from_index(i: u32) -> Self {
        Self(i)
    }

    /// The index in the arena.
    pub const fn index(self) -> usize {
        (self.0 & ((1 << PLACE_BITS) - 1)) as usize
    }

    /// The id of the next device at the same place.
    pub(crate) const fn successor(self) -> Self {
        Self(self.0.wrapping_add(1 << PLACE_BITS))
    }
}

/// Reset goes over the whole tree in three steps; a device may touch others (lines, children) only in the last two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetPhase {
    /// Internal state to its reset values.
    Enter,
    /// Outputs to what they are while reset is held.
    Hold,
    /// Reset is released.
    Exit,
}

impl ResetPhase {
    /// Its name in traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Hold => "hold",
            Self::Exit => "exit",
        }
    }
}

/// A device front end. Owned by the machine, never locked, never shared; [`Ctx`] is the only way out.
///
/// What a device *is* on a bus (registers, SSI target, …) are separate traits that it has or has not; see [`Role`].
pub trait Device: Any + Send {
    /// One phase of reset.
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>);

    /// The whole guest-visible state.
    fn save(&self) -> SavedState;

    /// Takes a saved state back. The input is hostile; on error the device is unchanged. No line changes, no timers: the machine
    /// restores those itself.
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError>;

    /// The whole machine has been loaded, memory included: time to go on with what was under way, and to tell back ends what they
    /// cannot know, such as the room in a FIFO.
    fn after_load(&mut self, _cx: &mut Ctx<'_>) {}

    /// Why this device cannot be saved right now, if so (its state lives in another process, say).
    fn migration_blocker(&self) -> Option<String> {
        None
    }

    /// The machine is about to move elsewhere, and the guest still runs.
    fn on_moving(&mut self, _step: &Moving, _cx: &mut Ctx<'_>) {}

    /// An input line changed. Only devices that declare inputs are called.
    fn on_line(&mut self, _input: LineId, _level: bool, _cx: &mut Ctx<'_>) {}

    /// A timer that this device armed is due.
    fn on_timer(&mut self, _timer: TimerIndex, _cx: &mut Ctx<'_>) {}

    /// Something that the host did for (or to) this device.
    fn on_completion(&mut self, _done: Completion, _cx: &mut Ctx<'_>) {}

    /// An input clock of this device changed its frequency.
    fn on_clock(&mut self, _input: usize, _hz: u64, _cx: &mut Ctx<'_>) {}
}

/// The role of devices with memory-mapped registers.
pub trait Mmio {
    /// A read of a register that the type declares. The result's low `access.size` bytes count.
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64;
    /// A write of the low `access.size` bytes of `value`.
    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>);
}

/// How to see a concrete device as a role. Made by [`crate::role!`].
pub struct Cast<R: ?Sized + 'static>(pub fn(&mut dyn Any) -> Option<&mut R>);

/// A role that a device type has: a trait of a bus, with the way to get from the device to it.
#[derive(Clone, Copy)]
pub struct Role {
    id: fn() -> TypeId,
    cast: &'static (dyn Any + Send + Sync),
}

impl Role {
    /// The role `R`; use [`crate::role!`].
    pub const fn new<R: ?Sized + 'static>(cast: &'static Cast<R>) -> Self {
        Self {
            id: TypeId::of::<R>,
            cast,
        }
    }

    /// Whether it is the role `R`.
    pub fn is<R: ?Sized + 'static>(&self) -> bool {
        (self.id)() == TypeId::of::<R>()
    }

    pub(crate) fn cast<R: ?Sized + 'static>(roles: &[Self]) -> Option<fn(&mut dyn Any) -> Option<&mut R>> {
        let role = roles.iter().find(|r| (r.id)() == TypeId::of::<R>())?;
        role.cast.downcast_ref::<Cast<R>>().map(|c| c.0)
    }
}

/// `role!(Pl011 as dyn Mmio)`: the entry for [`DeviceType::roles`].
#[macro_export]
macro_rules! role {
    ($device:ty as $role:ty) => {
        $crate::Role::new::<$role>(&$crate::device::Cast(|any: &mut dyn ::std::any::Any| {
            any.downcast_mut::<$device>().map(|d| d as &mut $role)
        }))
    };
}

/// Direction of a line, seen from the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineDirection {
    /// The device drives it.
    Out,
    /// The device is told of it.
    In,
}

/// A group of lines of a device type. Outputs and inputs are numbered apart, each in the order of declaration.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Name, unique in the type and direction.
    pub name: &'static str,
    /// Direction.
    pub direction: LineDirection,
    /// How many.
    pub count: u16,
}

impl Line {
    /// One output.
    pub const fn out(name: &'static str) -> Self {
        Self {
            name,
            direction: LineDirection::Out,
            count: 1,
        }
    }

    /// Several outputs.
    pub const fn outs(name: &'static str, count: u16) -> Self {
        Self {
            name,
            direction: LineDirection::Out,
            count,
        }
    }

    /// One input.
    pub const fn input(name: &'static str) -> Self {
        Self {
            name,
            direction: LineDirection::In,
            count: 1,
        }
    }

    /// Several inputs.
    pub const fn inputs(name: &'static str, count: u16) -> Self {
        Self {
            name,
            direction: LineDirection::In,
            count,
        }
    }
}

/// A kind of bus that a device plugs into or offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BusKind {
    /// Memory-mapped parts of a board (`System` in `-device help`).
    System,
    /// I2C.
    I2c,
    /// Synchronous serial (SSI, SPI).
    Ssi,
    /// SD card slot.
    Sd,
    /// PCI and PCI Express.
    Pci,
    /// The bus of a virtio transport that is a device of its own.
    Virtio,
    /// Ports of a virtio serial device.
    VirtioSerial,
    /// Needs no bus.
    None,
}

impl BusKind {
    /// Name as `-device help` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::I2c => "i2c-bus",
            Self::Ssi => "SSI",
            Self::Sd => "sd-bus",
            Self::Pci => "PCI",
            Self::Virtio => "virtio-bus",
            Self::VirtioSerial => "virtio-serial-bus",
            Self::None => "none",
        }
    }
}

/// A bus that a device type offers to children.
#[derive(Debug, Clone, Copy)]
pub struct BusDecl {
    /// Name in paths (`ssi`, `i2c`).
    pub name: &'static str,
    /// What plugs in.
    pub kind: BusKind,
}

/// Section of `-device help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Controllers and bridges.
    Bridge,
    /// USB.
    Usb,
    /// Storage.
    Storage,
    /// Network.
    Network,
    /// Input.
    Input,
    /// Display.
    Display,
    /// Sound.
    Sound,
    /// All else.
    Misc,
}

impl Category {
    /// Heading as `-device help` prints it.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Bridge => "Controller/Bridge/Hub devices",
            Self::Usb => "USB devices",
            Self::Storage => "Storage devices",
            Self::Network => "Network devices",
            Self::Input => "Input devices",
            Self::Display => "Display devices",
            Self::Sound => "Sound devices",
            Self::Misc => "Misc devices",
        }
    }
}

/// The interrupt input that a device on a system bus is to be wired to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InterruptWish {
    /// A free one of the board's choice.
    #[default]
    Auto,
    /// None: the device works without.
    Off,
    /// This input of the board's interrupt controller.
    Input(u16),
}

/// Where on a board the user wants a device of the system bus, in whatever properties the device has for it. What is open is the
/// board's choice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceWish {
    /// First address of each region, in the type's order.
    pub addresses: Vec<Option<u64>>,
    /// Interrupt.
    pub interrupt: InterruptWish,
}

/// Why a device was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// A property that must be given was not.
    #[error("needs '{property}={expected}'")]
    Missing {
        /// The property.
        property: &'static str,
        /// What it wants, for people.
        expected: String,
    },
    /// A property has a value that this device cannot have.
    #[error("'{property}' cannot be '{value}'; it takes {expected}")]
    BadValue {
        /// The property.
        property: &'static str,
        /// The value as understood.
        value: String,
        /// What would be right, to be read after "it takes".
        expected: String,
    },
    /// The host did not give what the device needs.
    #[error("{0}")]
    Host(String),
}

/// How a device is made from its property values.
pub type CreateFn = fn(&Properties, &mut Build<'_>) -> Result<Box<dyn Device>, CreateError>;

/// A device type: one static per type; all that users see of it derives from here.
pub struct DeviceType {
    /// Name on the command line.
    pub name: &'static str,
    /// The bus it plugs into.
    pub bus: BusKind,
    /// Section of `-device help`.
    pub category: Category,
    /// One line for people.
    pub summary: &'static str,
    /// Whether `-device` may create it; else it is part of boards only.
    pub user_creatable: bool,
    /// Its properties.
    pub properties: &'static [Property],
    /// Its windows into the address space of its bus.
    pub regions: &'static [Region],
    /// Its lines.
    pub lines: &'static [Line],
    /// Its input clocks, by name.
    pub clocks: &'static [&'static str],
    /// Buses that it offers.
    pub buses: &'static [BusDecl],
    /// What it is on buses.
    pub roles: &'static [Role],
    /// Its own trace events ([`crate::trace_events!`]), beyond those that every device has.
    pub events: &'static [crate::trace::Event],
    /// Makes a finished device or an error; never a half-built one.
    pub create: CreateFn,
}

impl DeviceType {
    /// Neutral values, for struct update syntax in type tables: `DeviceType { name: …, create, ..DeviceType::BASE }`.
    pub const BASE: Self = Self {
        name: "",
        bus: BusKind::System,
        category: Category::Misc,
        summary: "",
        user_creatable: false,
        properties: &[],
        regions: &[],
        lines: &[],
        clocks: &[],
        buses: &[],
        roles: &[],
        events: &[],
        create: |_, _| Err(CreateError::Host(String::new())),
    };

    /// Number of lines in a direction.
    pub fn line_count(&self, direction: LineDirection) -> u16 {
        self.lines
            .iter()
            .filter(|l| l.direction == direction)
            .map(|l| l.count)
            .sum()
    }

    /// The number of the `index`th line of a group.
    pub fn line(&self, direction: LineDirection, name: &str, index: u16) -> Option<LineId> {
        let mut first = 0;
        for l in self.lines.iter().filter(|l| l.direction == direction) {
            if l.name == name {
                return (index < l.count).then_some(first + index);
            }
            first += l.count;
        }
        None
    }
}
