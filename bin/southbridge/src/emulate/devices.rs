//! `-device` and `-global`: words judged by the tables of device types, devices created and placed.

use southbridge_backend_fs::Fsdevs;
use southbridge_cli::config::{DeviceOpt, LoaderOpt};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::keyval::Entry;
use southbridge_cli::location::Source;
use southbridge_cli::{Config, Location, OptError};
use southbridge_core::device::DeviceType;
use southbridge_core::host::Host;
use southbridge_core::property::parse_value;
use southbridge_core::{CreateError, LineDirection, LogItems, PropKind, PropValue, Property, Registry};
use southbridge_machine::add::{self, AddError, Spec, Surroundings};
use southbridge_machine::board::Board;
use southbridge_machine::objects::Objects;
use southbridge_machine::pci::PciError;
use southbridge_machine::place::{Place, PlaceError, PlugError};
use southbridge_machine::{Built, later, registry};

use super::blocks;
use super::chardevs::Chardevs;
use super::fsdevs;
use super::netdevs::{self, Netdevs};

/// Properties that every device on a system bus takes besides its own; they say where on the board it goes.
pub(crate) static COMMON: &[Property] = &[];

/// The device type, for help.
///
/// # Errors
/// When there is none of that name.
pub(crate) fn find_type(name: &str) -> Result<&'static DeviceType, OptError> {
    let asked = Source::implied("-device", &format!("{name},help"));
    type_named(&registry(), name, Location::new(&asked, 0..name.len()))
}

fn type_named(registry: &Registry, name: &str, at: Location) -> Result<&'static DeviceType, OptError> {
    registry.get(name).ok_or_else(|| type_error(registry, name, at))
}

fn type_error(registry: &Registry, name: &str, at: Location) -> OptError {
    if later::is_qemus(name) {
        let error = OptError::not_yet(format!("the device type '{name}'"), at);
        let same = |t: &&DeviceType| t.user_creatable && t.name.split('-').next() == name.split('-').next();
        return match registry.iter().find(same) {
            Some(t) => error.with_help(format!("'{}' is of its family", t.name)),
            None => error,
        };
    }
    let creatable = registry
        .iter()
        .filter(|t| t.user_creatable)
        .map(|t| t.name)
        .chain([LoaderOpt::DRIVER]);
    OptError::no_such("device type", name, creatable, at)
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
            if add::part_of(t, &entry.key).is_some() {
                continue;
            }
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
fn check_bus(device: &DeviceOpt, t: &'static DeviceType, board: &Board, registry: &Registry) -> Result<(), OptError> {
    let bus = device.bus.as_ref().map(|b| b.value.as_str());
    add::check_bus(t, bus, board, registry).map_err(|e| marked(device, &e))
}

fn property<'t>(t: &'t DeviceType, owner: &str, entry: &Entry) -> Result<&'t Property, OptError> {
    let found = t.properties.iter().chain(COMMON).find(|p| p.name == entry.key);
    found.ok_or_else(|| entry.unknown_key(owner, t.properties.iter().chain(COMMON).map(|p| p.name)))
}

fn value(p: &Property, entry: &Entry) -> Result<PropValue, OptError> {
    parse_value(p.kind, &entry.value).ok_or_else(|| entry.bad_value(p.kind.takes()))
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
        let v = parse_value(p.kind, &g.value.value)
            .ok_or_else(|| OptError::bad_value(Some(p.name), &g.value.value, p.kind.takes(), g.value.at.clone()))?;
        out.push((g.driver.value.clone(), g.property.value.clone(), v));
    }
    Ok(out)
}

/// Creates and places every `-device`.
///
/// # Errors
/// When one is refused or finds no place.
pub(crate) fn add(
    config: &Config,
    built: &mut Built,
    chardevs: &Chardevs,
    netdevs: &Netdevs,
    objects: &Objects,
) -> Result<(), OptError> {
    let registry = registry();
    let globals = globals(config)?;
    let around = Surroundings {
        registry: &registry,
        globals: &globals,
        chardev: &|id| chardevs.get(id),
        memdev: &|id| objects.memory(id).map(|m| m.0),
        netdev: &|id| netdevs.get(id),
    };
    netdevs::add_nics(config, built, &around)?;
    for device in devices(config) {
        for entry in device.props.entries() {
            check_backend(&registry, device, entry, chardevs, netdevs)?;
            check_fsdev(&registry, device, entry, &built.machine.sys.host)?;
            check_drive(&registry, device, entry, &built.machine.sys.host)?;
        }
        let spec = Spec {
            driver: &device.driver.value,
            id: device.id.as_ref().map(|i| i.value.as_str()),
            bus: device.bus.as_ref().map(|b| b.value.as_str()),
            properties: device
                .props
                .entries()
                .iter()
                .map(|e| (e.key.as_str(), e.value.as_str()))
                .collect(),
        };
        let added = add::add_device(&mut built.machine, &mut built.layout, &around, &spec);
        let added = added.map_err(|e| marked(device, &e))?;
        if let Some(place) = &added.place {
            tell_place(built, device, place);
        }
    }
    blocks::add_disks(config, built, &around)
}

/// A back end that is not there is told with those that are.
fn check_backend(
    registry: &Registry,
    device: &DeviceOpt,
    entry: &Entry,
    chardevs: &Chardevs,
    netdevs: &Netdevs,
) -> Result<(), OptError> {
    let t = registry.get(&device.driver.value);
    let p = t.and_then(|t| t.properties.iter().find(|p| p.name == entry.key));
    match p.map(|p| p.kind) {
        Some(PropKind::Backend("chardev")) => chardevs.find(entry).map(|_| ()),
        Some(PropKind::Backend("netdev")) => netdevs.find(&entry.located()).map(|_| ()),
        _ => Ok(()),
    }
}

/// The same for disks.
fn check_drive(registry: &Registry, device: &DeviceOpt, entry: &Entry, host: &Host) -> Result<(), OptError> {
    let t = registry.get(&device.driver.value);
    let p = t.and_then(|t| t.properties.iter().find(|p| p.name == entry.key));
    match p.map(|p| p.kind) {
        Some(PropKind::Backend("drive")) => blocks::find(host, entry).map(|_| ()),
        _ => Ok(()),
    }
}

/// The same for shared folders, which the host knows.
fn check_fsdev(registry: &Registry, device: &DeviceOpt, entry: &Entry, host: &Host) -> Result<(), OptError> {
    let t = registry.get(&device.driver.value);
    let p = t.and_then(|t| t.properties.iter().find(|p| p.name == entry.key));
    let wants = p.is_some_and(|p| p.kind == PropKind::Backend("fsdev"));
    if wants && Fsdevs::get(host, &entry.value).is_none() {
        return Err(fsdevs::no_fsdev(&entry.value, host, entry.value_at.clone()));
    }
    Ok(())
}

/// The error at the word that caused it.
fn marked(device: &DeviceOpt, error: &AddError) -> OptError {
    let why = || ErrorKind::Refused { why: error.to_string() };
    let word = |name: &str| device.props.get(name);
    let bus = || device.bus.as_ref().map(|b| b.at.clone());
    match error {
        AddError::NoType(name) => type_error(&registry(), name, device.driver.at.clone()),
        AddError::OnBoard { boards, .. } => {
            let error = OptError::new(why(), device.driver.at.clone());
            match boards.as_slice() {
                [] => error.with_help("no board here has one"),
                boards => error.with_help(format!("it is on {}", boards.join(", "))),
            }
        }
        AddError::NoSuchBus { sibling, kinds, .. } => {
            let error = OptError::new(why(), device.driver.at.clone());
            match sibling {
                Some(s) => error.with_help(format!("on this machine '{s}' does the same")),
                None if kinds.is_empty() => error.with_help("this machine takes devices on: no bus at all"),
                None => error.with_help(format!("this machine takes devices on: {}", kinds.join(", "))),
            }
        }
        AddError::NoBus { name, live } => OptError::no_such("bus", name, live, bus().unwrap_or_else(|| device.at())),
        AddError::NoProperty { name, valid, .. } => match word(name) {
            Some(e) => e.unknown_key(&format!("device '{}'", device.driver.value), valid),
            None => OptError::new(why(), device.at()),
        },
        AddError::BadValue { property, expected, .. } => match word(property) {
            Some(e) => e.bad_value(expected),
            None => OptError::new(why(), device.at()),
        },
        AddError::NoBackendKind { property, kind } => {
            let at = word(property).map_or_else(|| device.at(), |e| e.value_at.clone());
            OptError::not_yet(format!("a back end of kind '{kind}'"), at)
        }
        AddError::NoBackend { property, .. } => OptError::new(
            why(),
            word(property).map_or_else(|| device.at(), |e| e.value_at.clone()),
        ),
        AddError::DuplicateId(_) => {
            OptError::new(why(), device.id.as_ref().map_or_else(|| device.at(), |i| i.at.clone()))
        }
        AddError::Refused { error, .. } => refused(device, error),
        AddError::Misplaced(e) => misplaced(device, e),
        AddError::Unplugged(PlugError::NoBus { name, live, .. }) if !name.is_empty() => {
            OptError::no_such("bus", name, live, bus().unwrap_or_else(|| device.at()))
        }
        AddError::NotOnPci(PciError::NoBus { name, live }) => {
            OptError::no_such("bus", name, live, bus().unwrap_or_else(|| device.at()))
        }
        AddError::NotOnPci(e) => {
            let addr = word("addr").map(|e| e.value_at.clone());
            let at = addr.or_else(bus).unwrap_or_else(|| device.driver.at.clone());
            OptError::new(ErrorKind::Refused { why: e.to_string() }, at)
        }
        AddError::Unplugged(taken) => {
            let at = bus().unwrap_or_else(|| device.driver.at.clone());
            OptError::new(ErrorKind::Refused { why: taken.to_string() }, at)
        }
    }
}

fn refused(device: &DeviceOpt, error: &CreateError) -> OptError {
    match error {
        CreateError::Missing { property, expected } => OptError::missing(
            &format!("device '{}'", device.driver.value),
            format!("'{property}'"),
            device.at(),
        )
        .with_help(format!("add {property}={expected}")),
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

/// Says where a device came to stand, and warns where it has no interrupt although it wants one.
fn tell_place(built: &mut Built, device: &DeviceOpt, found: &Place) {
    let name = device.id.as_ref().map_or(&device.driver.value, |i| &i.value);
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
    let wants = |t: &DeviceType| t.line_count(LineDirection::Out) > 0;
    if found.irq.is_none() && registry().get(&device.driver.value).is_some_and(wants) {
        crate::say::tell(&format!("warning: {name} has no interrupt and works without"));
    }
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
