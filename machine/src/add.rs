//! Devices that the user adds, on the command line and while the machine runs: one way for both.
//!
//! A word of the user is judged here and becomes a typed error; who asked knows where the word stands and how to mark it.

use southbridge_backend_fs::Fsdevs;
use southbridge_backend_rng::RngBackend;
use southbridge_core::host::Host;
use southbridge_core::property::parse_value;
use southbridge_core::{
    BackendId, BusKind, CreateError, DeviceId, DeviceType, Machine, PropKind, PropValue, Properties, Property, Registry,
};
use thiserror::Error;

use crate::board::{BOARDS, Board};
use crate::build::Layout;
use crate::pci::{self, PciError};
use crate::place::{Place, PlaceError, PlugError, place, plug};

/// What the user wants, in words.
#[derive(Debug, Clone, Default)]
pub struct Spec<'a> {
    /// Type.
    pub driver: &'a str,
    /// Name.
    pub id: Option<&'a str>,
    /// Bus.
    pub bus: Option<&'a str>,
    /// Properties, spelled as on the command line. Later ones win.
    pub properties: Vec<(&'a str, &'a str)>,
}

/// Where a device came to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The device.
    pub device: DeviceId,
    /// Its place on the system bus, if it is there.
    pub place: Option<Place>,
}

/// Why a device was not added.
#[derive(Debug, Error)]
pub enum AddError {
    /// No type has this name.
    #[error("there is no device type '{0}'")]
    NoType(String),
    /// The type is part of boards only.
    #[error("device '{driver}' is part of a board and cannot be added")]
    OnBoard {
        /// Type.
        driver: &'static str,
        /// Boards that have it.
        boards: Vec<&'static str>,
    },
    /// There is a device of this name.
    #[error("there is a device '{0}' already")]
    DuplicateId(String),
    /// No bus has this name, of those that would do.
    #[error("there is no bus '{name}' for it; there is {}", .live.join(", "))]
    NoBus {
        /// As written.
        name: String,
        /// Buses that would do.
        live: Vec<&'static str>,
    },
    /// The board has no bus of the kind that the device needs.
    #[error("device '{driver}' needs a {kind} bus, and machine '{board}' has none")]
    NoSuchBus {
        /// Type.
        driver: &'static str,
        /// Kind of bus.
        kind: &'static str,
        /// Board.
        board: &'static str,
        /// A device that does the same on this board.
        sibling: Option<&'static str>,
        /// Kinds of buses that the board has.
        kinds: Vec<&'static str>,
    },
    /// The type has no such property.
    #[error("device '{driver}' has no property '{name}'")]
    NoProperty {
        /// Type.
        driver: &'static str,
        /// As written.
        name: String,
        /// What it has.
        valid: Vec<&'static str>,
    },
    /// The property does not take this.
    #[error("'{property}' cannot be '{value}'; it takes {expected}")]
    BadValue {
        /// The property.
        property: &'static str,
        /// As written.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// The property names a back end that is not there.
    #[error("'{property}' names no {kind}: '{id}'")]
    NoBackend {
        /// The property.
        property: &'static str,
        /// Kind of back end.
        kind: &'static str,
        /// As written.
        id: String,
    },
    /// Back ends of this kind do not exist yet.
    #[error("'{property}': there are no back ends of kind '{kind}' yet")]
    NoBackendKind {
        /// The property.
        property: &'static str,
        /// Kind of back end.
        kind: &'static str,
    },
    /// The device refused.
    #[error("device '{driver}': {error}")]
    Refused {
        /// Type.
        driver: &'static str,
        /// Why.
        error: CreateError,
    },
    /// There is no place for it on the system bus.
    #[error("{0}")]
    Misplaced(#[from] PlaceError),
    /// There is no place for it on its bus.
    #[error("{0}")]
    Unplugged(#[from] PlugError),
    /// There is no place for it on a PCI bus.
    #[error("{0}")]
    NotOnPci(#[from] PciError),
}

/// A type by its name.
///
/// # Errors
/// When there is none.
pub fn find_type(registry: &Registry, name: &str) -> Result<&'static DeviceType, AddError> {
    // `virtio-blk` is the PCI one, where there is no type of just that name.
    let short = || {
        name.starts_with("virtio-")
            .then(|| registry.get(&format!("{name}-pci")))?
    };
    registry
        .get(name)
        .or_else(short)
        .ok_or_else(|| AddError::NoType(name.to_owned()))
}

/// Whether the user may add such a device to that board, and the bus he names can be right. Before anything is opened.
///
/// # Errors
/// When not.
pub fn check_bus(
    t: &'static DeviceType,
    bus: Option<&str>,
    board: &Board,
    registry: &Registry,
) -> Result<(), AddError> {
    if !t.user_creatable {
        let has = |b: &&&Board| b.by_default().parts.iter().any(|p| p.device == t.name);
        return Err(AddError::OnBoard {
            driver: t.name,
            boards: BOARDS.iter().filter(has).map(|b| b.name).collect(),
        });
    }
    if t.bus == BusKind::System && board.cpu.is_some() {
        return match bus {
            Some(name) if !matches!(name, "main-system-bus" | "sysbus" | "/sysbus") => Err(AddError::NoBus {
                name: name.to_owned(),
                live: vec!["main-system-bus"],
            }),
            _ => Ok(()),
        };
    }
    let offers = |t: &DeviceType, kind| t.buses.iter().any(|b| b.kind == kind);
    let has = |kind| {
        board
            .by_default()
            .parts
            .iter()
            .any(|p| registry.get(p.device).is_some_and(|t| offers(t, kind)))
    };
    if t.bus != BusKind::System && has(t.bus) {
        return Ok(());
    }
    // A bus that a device offers which the user can add: whether he did shows when the device is plugged in.
    if t.bus == BusKind::VirtioSerial && (has(BusKind::Pci) || has(BusKind::Virtio)) {
        return Ok(());
    }
    Err(AddError::NoSuchBus {
        driver: t.name,
        kind: t.bus.name(),
        board: board.name,
        sibling: sibling(t, board, registry),
        kinds: kinds(board, registry),
    })
}

/// A device of the same family (the part of the name before the first dash) that the board can take.
fn sibling(t: &DeviceType, board: &Board, registry: &Registry) -> Option<&'static str> {
    let family = t.name.split('-').next()?;
    let fits = |s: &&DeviceType| s.user_creatable && s.bus == BusKind::System && board.cpu.is_some();
    let same = |s: &&DeviceType| s.name != t.name && s.name.split('-').next() == Some(family);
    registry.iter().filter(same).find(fits).map(|s| s.name)
}

/// Kinds of buses of a board.
fn kinds(board: &Board, registry: &Registry) -> Vec<&'static str> {
    let description = board.by_default();
    let parts = description.parts.iter().filter_map(|p| registry.get(p.device));
    let mut kinds: Vec<_> = parts.flat_map(|t| t.buses).map(|b| b.kind.name()).collect();
    if board.cpu.is_some() {
        kinds.push(BusKind::System.name());
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// A property of a type.
///
/// # Errors
/// When it has none of that name.
pub fn find_property(t: &'static DeviceType, name: &str) -> Result<&'static Property, AddError> {
    t.properties
        .iter()
        .find(|p| p.name == name)
        .ok_or_else(|| AddError::NoProperty {
            driver: t.name,
            name: name.to_owned(),
            valid: t.properties.iter().map(|p| p.name).collect(),
        })
}

/// A value of a property that names no back end.
///
/// # Errors
/// When the property does not take it.
pub fn parse_property(p: &'static Property, text: &str) -> Result<PropValue, AddError> {
    parse_value(p.kind, text).ok_or_else(|| AddError::BadValue {
        property: p.name,
        value: text.to_owned(),
        expected: p.kind.takes(),
    })
}

/// What a device may use besides its own words.
pub struct Surroundings<'a> {
    /// All types.
    pub registry: &'a Registry,
    /// `-global`: type, property, value.
    pub globals: &'a [(String, String, PropValue)],
    /// Character back ends by id.
    pub chardev: &'a dyn Fn(&str) -> Option<BackendId>,
    /// Memory back ends by id.
    pub memdev: &'a dyn Fn(&str) -> Option<BackendId>,
    /// Network back ends by id.
    pub netdev: &'a dyn Fn(&str) -> Option<BackendId>,
}

/// Creates a device and gives it a place.
///
/// # Errors
/// At the first thing that is wrong; nothing of the device stays.
pub fn add_device(
    machine: &mut Machine,
    layout: &mut Layout,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
) -> Result<Added, AddError> {
    add(machine, layout, around, spec, false)
}

/// The same while the machine runs: the device begins as after a reset, and the slot that it comes to tells the guest.
///
/// # Errors
/// As with [`add_device`], and when its bus takes nothing while the machine runs.
pub fn hot_plug_device(
    machine: &mut Machine,
    layout: &mut Layout,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
) -> Result<Added, AddError> {
    add(machine, layout, around, spec, true)
}

fn add(
    machine: &mut Machine,
    layout: &mut Layout,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
    hot: bool,
) -> Result<Added, AddError> {
    let t = find_type(around.registry, spec.driver)?;
    check_bus(t, spec.bus, layout.board, around.registry)?;
    if let Some(id) = spec.id.filter(|id| machine.sys.find_device(id).is_some()) {
        return Err(AddError::DuplicateId(id.to_owned()));
    }
    let mut properties = properties(t, around, &machine.sys.host, spec)?;
    let before = layout.macs.clone();
    layout.macs.address(t, &mut properties);
    let made = machine.sys.add_device(t, spec.id, properties, &[]);
    let device = made.map_err(|error| {
        layout.macs = before;
        AddError::Refused { driver: t.name, error }
    })?;
    if hot {
        machine.sys.mark_hotplugged(device);
        machine.sys.reset_device(device);
    }
    let placed = if t.bus == BusKind::System {
        place(machine, layout, device).map(Some).map_err(AddError::from)
    } else if t.bus == BusKind::Pci {
        pci::plug(machine, device, spec.bus, hot)
            .map(|_| None)
            .map_err(AddError::from)
    } else {
        plug(machine, device, spec.bus, None, hot)
            .map(|_| None)
            .map_err(AddError::from)
    };
    match placed {
        Ok(place) => Ok(Added { device, place }),
        Err(e) => {
            remove_device(machine, layout, device);
            Err(e)
        }
    }
}

fn properties(
    t: &'static DeviceType,
    around: &Surroundings<'_>,
    host: &Host,
    spec: &Spec<'_>,
) -> Result<Properties, AddError> {
    let mut properties = Properties::default();
    for (_, name, value) in around.globals.iter().filter(|g| g.0 == t.name) {
        properties.set(name, value.clone());
    }
    for (name, text) in &spec.properties {
        if let Some((p, part)) = part_of(t, name) {
            properties.add_part(p.name, part, text);
            continue;
        }
        let p = find_property(t, name)?;
        let value = match p.kind {
            PropKind::Backend(kind) => backend(around, host, p.name, kind, text)?,
            _ => parse_property(p, text)?,
        };
        properties.set(p.name, value);
    }
    Ok(properties)
}

/// The property of which `name` is a part, and which part: `list.0.word` is `0.word` of `list`.
pub fn part_of<'a>(t: &'static DeviceType, name: &'a str) -> Option<(&'static Property, &'a str)> {
    let (outer, part) = name.split_once('.')?;
    let p = t.properties.iter().find(|p| p.name == outer)?;
    matches!(p.kind, PropKind::Nested(_)).then_some((p, part))
}

fn backend(
    around: &Surroundings<'_>,
    host: &Host,
    property: &'static str,
    kind: &'static str,
    id: &str,
) -> Result<PropValue, AddError> {
    let found = match kind {
        "chardev" => (around.chardev)(id),
        "memdev" => (around.memdev)(id),
        "netdev" => (around.netdev)(id),
        "drive" => southbridge_backend_block::Blocks::find(host, id),
        "fsdev" => Fsdevs::get(host, id),
        "rng" => RngBackend::find(host, id),
        _ => return Err(AddError::NoBackendKind { property, kind }),
    };
    let id = id.to_owned();
    match found {
        Some(backend) => Ok(PropValue::Backend(id, backend)),
        None => Err(AddError::NoBackend { property, kind, id }),
    }
}

/// Unplugs a device, and all that sits on its buses: their places and interrupts are free again.
pub fn remove_device(machine: &mut Machine, layout: &mut Layout, device: DeviceId) {
    for child in children(machine, device) {
        remove_device(machine, layout, child);
    }
    for function in southbridge_bus_pci::wiring::virtual_functions(&mut machine.sys, device) {
        machine.sys.remove_device(function);
    }
    crate::ports::unplug(&mut machine.sys, device);
    let mac = machine.sys.slot(device).and_then(|s| s.properties.str("mac"));
    if let Some(mac) = mac.and_then(southbridge_backend_net::parse_mac) {
        layout.macs.free(mac);
    }
    machine.sys.remove_device(device);
    layout.used_irqs.retain(|(_, d)| *d != device);
}

/// The devices on the buses of a device.
pub fn children(machine: &Machine, device: DeviceId) -> Vec<DeviceId> {
    let theirs = machine.sys.buses().filter(|(_, b)| b.owner == device);
    theirs.flat_map(|(_, b)| b.children.iter().map(|c| c.0)).collect()
}
