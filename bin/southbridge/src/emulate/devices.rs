//! `-device` and `-global`: words judged by the tables of device types, devices created and placed.

use southbridge_cli::config::{DeviceOpt, LoaderOpt};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::keyval::Entry;
use southbridge_cli::{Config, Location, OptError};
use southbridge_core::device::{BusKind, DeviceType};
use southbridge_core::property::parse_value;
use southbridge_core::{CreateError, LineDirection, LogItems, PropKind, PropValue, Properties, Property, Registry};
use southbridge_machine::board::{BOARDS, Board};
use southbridge_machine::place::{PlaceError, PlugError, place, plug};
use southbridge_machine::{Built, registry};

use super::chardevs::Chardevs;

/// Properties that every device on a system bus takes besides its own; they say where on the board it goes.
pub(crate) static COMMON: &[Property] = &[];

/// The device type, for help.
///
/// # Errors
/// When there is none of that name.
pub(crate) fn find_type(name: &str, config: &Config) -> Result<&'static DeviceType, OptError> {
    let at = config
        .devices
        .last()
        .map_or_else(|| Location::implied("-device"), DeviceOpt::at);
    type_named(&registry(), name, at)
}

fn type_named(registry: &Registry, name: &str, at: Location) -> Result<&'static DeviceType, OptError> {
    registry.get(name).ok_or_else(|| {
        let creatable = registry
            .iter()
            .filter(|t| t.user_creatable)
            .map(|t| t.name)
            .chain([LoaderOpt::DRIVER]);
        OptError::no_such("device type", name, creatable, at)
    })
}

/// Checks all `-device` words that can be checked before anything is opened.
///
/// # Errors
/// At the first that is wrong.
pub(crate) fn check(config: &Config, board: &Board) -> Result<(), OptError> {
    let registry = registry();
    for device in devices(config) {
        let t = type_named(&registry, &device.driver.value, device.driver.at.clone())?;
        check_bus(device, t, board, &registry)?;
        for entry in device.props.entries() {
            let p = property(t, &format!("device '{}'", t.name), entry)?;
            if !matches!(p.kind, PropKind::Backend(_)) {
                value(p, entry)?;
            }
        }
    }
    for loader in config.devices.iter().filter(|d| d.driver.value == LoaderOpt::DRIVER) {
        LoaderOpt::from_device(loader)?;
    }
    globals(config).map(|_| ())
}

/// Devices that are devices: the loader is one by its spelling only.
fn devices(config: &Config) -> impl Iterator<Item = &DeviceOpt> {
    config.devices.iter().filter(|d| d.driver.value != LoaderOpt::DRIVER)
}

/// Whether the board has a bus for the device, and the user may plug it in at all.
fn check_bus(device: &DeviceOpt, t: &DeviceType, board: &Board, registry: &Registry) -> Result<(), OptError> {
    if !t.user_creatable {
        let boards: Vec<_> = BOARDS
            .iter()
            .filter(|b| b.parts.iter().any(|p| p.device == t.name))
            .map(|b| b.name)
            .collect();
        let why = format!("device '{}' is part of a board and cannot be added", t.name);
        let error = OptError::new(ErrorKind::Refused { why }, device.driver.at.clone());
        return Err(error.with_help(format!("it is on {}", boards.join(", "))));
    }
    if t.bus == BusKind::System && board.cpu.is_some() {
        return match &device.bus {
            Some(bus) if !matches!(bus.value.as_str(), "main-system-bus" | "sysbus" | "/sysbus") => Err(
                OptError::no_such("bus", &bus.value, ["main-system-bus"], bus.at.clone()),
            ),
            _ => Ok(()),
        };
    }
    let has = |kind| {
        board.parts.iter().any(|p| {
            registry
                .get(p.device)
                .is_some_and(|t| t.buses.iter().any(|b| b.kind == kind))
        })
    };
    if t.bus != BusKind::System && has(t.bus) {
        return Ok(());
    }
    let why = format!(
        "device '{}' needs a {} bus, and machine '{}' has none",
        t.name,
        t.bus.name(),
        board.name
    );
    let error = OptError::new(ErrorKind::Refused { why }, device.driver.at.clone());
    let fits = sibling(t, board, registry);
    Err(match fits {
        Some(s) => error.with_help(format!("on this machine '{s}' does the same")),
        None => error.with_help(format!(
            "this machine takes devices on: {}",
            buses(board, registry).join(", ")
        )),
    })
}

/// A device of the same family (the part of the name before the first dash) that the board can take.
fn sibling(t: &DeviceType, board: &Board, registry: &Registry) -> Option<&'static str> {
    let family = t.name.split('-').next()?;
    let fits = |s: &&DeviceType| s.user_creatable && s.bus == BusKind::System && board.cpu.is_some();
    let same = |s: &&DeviceType| s.name != t.name && s.name.split('-').next() == Some(family);
    registry.iter().filter(same).find(fits).map(|s| s.name)
}

fn buses(board: &Board, registry: &Registry) -> Vec<&'static str> {
    let mut kinds: Vec<_> = board
        .parts
        .iter()
        .filter_map(|p| registry.get(p.device))
        .flat_map(|t| t.buses)
        .map(|b| b.kind.name())
        .collect();
    if board.cpu.is_some() {
        kinds.push(BusKind::System.name());
    }
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        kinds.push("no bus at all");
    }
    kinds
}

fn property<'t>(t: &'t DeviceType, owner: &str, entry: &Entry) -> Result<&'t Property, OptError> {
    let found = t.properties.iter().chain(COMMON).find(|p| p.name == entry.key);
    found.ok_or_else(|| entry.unknown_key(owner, t.properties.iter().chain(COMMON).map(|p| p.name)))
}

fn value(p: &Property, entry: &Entry) -> Result<PropValue, OptError> {
    parse_value(p.kind, &entry.value).ok_or_else(|| entry.bad_value(expectation(p.kind)))
}

/// What a kind of property takes, to be read after "it takes".
fn expectation(kind: PropKind) -> String {
    match kind {
        PropKind::Bool => "on or off".into(),
        PropKind::OnOffAuto => "on, off or auto".into(),
        PropKind::Uint(64) => "a number".into(),
        PropKind::Uint(bits) => format!("a number from 0 to {}", (1u64 << bits) - 1),
        PropKind::Size => "a size in bytes, such as 64K or 4M".into(),
        PropKind::Str => "a text".into(),
        PropKind::Enum(words) => southbridge_cli::error::alternatives(words),
        PropKind::Backend(kind) => format!("the id of a {kind}"),
    }
}

/// `-global`, with values read by the type's table.
///
/// # Errors
/// When a type, property or value does not exist.
pub(crate) fn globals(config: &Config) -> Result<Vec<(String, String, PropValue)>, OptError> {
    let registry = registry();
    let mut out = Vec::new();
    for g in &config.globals {
        let t = type_named(&registry, &g.driver.value, g.driver.at.clone())?;
        let Some(p) = t.properties.iter().find(|p| p.name == g.property.value) else {
            let owner = format!("device '{}'", t.name);
            let names = t.properties.iter().map(|p| p.name);
            return Err(OptError::unknown_key(
                &owner,
                &g.property.value,
                names,
                g.property.at.clone(),
            ));
        };
        let v = parse_value(p.kind, &g.value.value).ok_or_else(|| {
            OptError::bad_value(Some(p.name), &g.value.value, expectation(p.kind), g.value.at.clone())
        })?;
        out.push((g.driver.value.clone(), g.property.value.clone(), v));
    }
    Ok(out)
}

/// Creates and places every `-device`.
///
/// # Errors
/// When one is refused or finds no place.
pub(crate) fn add(config: &Config, built: &mut Built, chardevs: &Chardevs) -> Result<(), OptError> {
    let registry = registry();
    let globals = globals(config)?;
    for device in devices(config) {
        let t = type_named(&registry, &device.driver.value, device.driver.at.clone())?;
        let mut properties = Properties::default();
        for (driver, name, value) in &globals {
            if driver == t.name {
                properties.set(name, value.clone());
            }
        }
        for entry in device.props.entries() {
            let p = property(t, &format!("device '{}'", t.name), entry)?;
            let v = match p.kind {
                PropKind::Backend("chardev") => PropValue::Backend(entry.value.clone(), chardevs.find(entry)?),
                PropKind::Backend(kind) => {
                    return Err(OptError::not_yet(
                        format!("a back end of kind '{kind}'"),
                        entry.value_at.clone(),
                    ));
                }
                _ => value(p, entry)?,
            };
            properties.set(p.name, v);
        }
        let id = device.id.as_ref().map(|i| i.value.as_str());
        let made = built
            .machine
            .sys
            .add_device(t, id, properties, &[])
            .map_err(|e| refused(device, t, &e))?;
        if t.bus == BusKind::System {
            place_on_board(built, device, t, made)?;
        } else {
            plug_in(built, device, made)?;
        }
    }
    Ok(())
}

fn refused(device: &DeviceOpt, t: &DeviceType, error: &CreateError) -> OptError {
    match error {
        CreateError::Missing { property, expected } => {
            OptError::missing(&format!("device '{}'", t.name), format!("'{property}'"), device.at())
                .with_help(format!("add {property}={expected}"))
        }
        CreateError::BadValue {
            property,
            value,
            expected,
        } => {
            let at = device
                .props
                .get(property)
                .map_or_else(|| device.at(), |e| e.value_at.clone());
            OptError::bad_value(Some(property), value, expected.clone(), at)
        }
        CreateError::Host(why) => OptError::new(ErrorKind::Refused { why: why.clone() }, device.at()),
    }
}

fn plug_in(built: &mut Built, device: &DeviceOpt, made: southbridge_core::DeviceId) -> Result<(), OptError> {
    let bus = device.bus.as_ref().map(|b| b.value.as_str());
    match plug(built, made, bus, None) {
        Ok(_) => Ok(()),
        Err(PlugError::NoBus { name, live, .. }) => {
            let at = device.bus.as_ref().map_or_else(|| device.at(), |b| b.at.clone());
            Err(OptError::no_such("bus", &name, live, at))
        }
        Err(taken) => {
            let at = device
                .bus
                .as_ref()
                .map_or_else(|| device.driver.at.clone(), |b| b.at.clone());
            Err(OptError::new(ErrorKind::Refused { why: taken.to_string() }, at))
        }
    }
}

fn place_on_board(
    built: &mut Built,
    device: &DeviceOpt,
    t: &'static DeviceType,
    made: southbridge_core::DeviceId,
) -> Result<(), OptError> {
    let found = place(built, made).map_err(|e| misplaced(device, &e))?;
    let name = device.id.as_ref().map_or(t.name, |i| &i.value);
    let mut text = format!("{name}:");
    for (region, at, size) in &found.regions {
        text += &format!(" {region} at {at:#010x} ({size:#x} bytes),");
    }
    match found.irq {
        Some(irq) => text += &format!(" interrupt {irq}"),
        None => text += " no interrupt",
    }
    if built.machine.sys.log.on(LogItems::GUEST_ERRORS | LogItems::UNIMP) {
        built.machine.sys.log.line(format_args!("{text}"));
    }
    if found.irq.is_none() && t.line_count(LineDirection::Out) > 0 {
        eprintln!("warning: {name} has no interrupt and works without");
    }
    Ok(())
}

fn misplaced(device: &DeviceOpt, error: &PlaceError) -> OptError {
    // Whatever the device calls the property, its value is the word to mark.
    let about = |e: &&Entry| match error {
        PlaceError::Irq { irq, .. } => e.value == irq.to_string() || e.value.ends_with(&format!("[{irq}]")),
        PlaceError::Occupied { address, .. } | PlaceError::Misplaced { address, .. } => {
            southbridge_cli::keyval::value::parse_u64(&e.value) == Some(*address)
        }
        PlaceError::NoWindow { .. } | PlaceError::NoBus => false,
    };
    let at = device
        .props
        .entries()
        .iter()
        .find(about)
        .map_or_else(|| device.at(), |e| e.value_at.clone());
    OptError::new(ErrorKind::Refused { why: error.to_string() }, at)
}
