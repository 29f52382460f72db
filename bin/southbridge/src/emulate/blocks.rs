//! `-blockdev` and `-drive`: nodes opened, drives given their names, and disks made of those that are to be one.

use southbridge_backend_block as block;
use southbridge_backend_block::{BlockError, Blocks, Drive, Pairs};
use southbridge_cli::config::{BlockNode, DriveOpt};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::keyval::{Entry, Props};
use southbridge_cli::{Config, Location, OptError};
use southbridge_core::host::Host;
use southbridge_core::{BackendId, BusKind, Machine};
use southbridge_machine::add::{self, Spec, Surroundings};
use southbridge_machine::{Board, Built, registry};

/// The device type behind `if=virtio`.
const DISK: &str = "virtio-blk-pci";

/// Opens everything that `-blockdev` and `-drive` name.
///
/// # Errors
/// When a word is wrong or the host refuses.
pub(crate) fn open(config: &Config, board: &Board, machine: &mut Machine) -> Result<(), OptError> {
    let host = &mut machine.sys.host;
    if config.incoming.is_some() {
        // Until the machine is here its images are those of the process that it comes from. To need no lock cannot fail.
        let _ = Blocks::of(host, |b, _| b.set_here(false));
    }
    for node in &config.block_nodes {
        let added = Blocks::of(host, |b, host| b.add(host, &pairs(&node.props)));
        added.map_err(|e| refused_node(node, &e))?;
    }
    for (drive, id, _) in drives(config, board) {
        let added =
            Drive::parse(&id, &pairs(&drive.props)).and_then(|d| Blocks::of(host, |b, host| b.add_drive(host, &d)));
        added.map_err(|e| refused(&drive.props, drive.props.at(), &e))?;
    }
    Ok(())
}

/// Every drive with its name, and whether it is to be a disk on PCI. Those without a name are counted, as in QEMU.
fn drives<'c>(config: &'c Config, board: &Board) -> impl Iterator<Item = (&'c DriveOpt, String, bool)> {
    let usual = usual_interface(board);
    let mut counts = [0; 2];
    config.drives.iter().map(move |drive| {
        let word = drive.interface.as_ref().map_or(usual, |i| i.value.as_str());
        let is_disk = word == "virtio";
        let number = counts[usize::from(is_disk)];
        counts[usize::from(is_disk)] += 1;
        let counted = || format!("{}{number}", if is_disk { "virtio" } else { "none" });
        let id = drive.id.as_ref().map_or_else(counted, |id| id.value.clone());
        (drive, id, is_disk)
    })
}

/// What a drive is connected to where nobody says: a disk of its own where there is PCI to put it.
fn usual_interface(board: &Board) -> &'static str {
    let registry = registry();
    let description = board.by_default();
    let types = description.parts.iter().filter_map(|p| registry.get(p.device));
    let has_pci = types.flat_map(|t| t.buses).any(|b| b.kind == BusKind::Pci);
    if has_pci { "virtio" } else { "none" }
}

/// Makes a disk of every drive that is to be one.
///
/// # Errors
/// When the board has no place for it, or the image is in use.
pub(crate) fn add_disks(config: &Config, built: &mut Built, around: &Surroundings<'_>) -> Result<(), OptError> {
    let board = built.layout.board;
    for (drive, id, _) in drives(config, board).filter(|(_, _, is_disk)| *is_disk) {
        let spec = Spec {
            driver: DISK,
            properties: vec![("drive", &id)],
            ..Spec::default()
        };
        let added = add::add_device(&mut built.machine, &mut built.layout, around, &spec);
        added.map_err(|e| OptError::new(ErrorKind::Refused { why: e.to_string() }, drive.props.at()))?;
    }
    Ok(())
}

/// The back end that a device's property names.
///
/// # Errors
/// When there is none of that name.
pub(crate) fn find(host: &Host, entry: &Entry) -> Result<BackendId, OptError> {
    let names = || Blocks::peek(host).into_iter().flat_map(Blocks::names);
    Blocks::find(host, &entry.value).ok_or_else(|| {
        let error = entry.no_such("block node or drive", names());
        match names().next() {
            Some(_) => error,
            None => error.with_help("make it with -blockdev DRIVER,node-name=NAME or -drive if=none,id=NAME"),
        }
    })
}

/// The error that no driver has this name.
pub(crate) fn no_driver(error: &BlockError, name: &str, at: Location) -> OptError {
    match error {
        BlockError::DriverMissing { .. } => {
            OptError::not_yet(format!("the block driver '{name}'"), at).with_help(format!("there is {}", here()))
        }
        _ => {
            let names = block::DRIVERS.iter().filter(|d| d.is_here()).map(|d| d.name);
            OptError::no_such("block driver", name, names, at)
        }
    }
}

fn here() -> String {
    let names = block::DRIVERS.iter().filter(|d| d.is_here()).map(|d| d.name);
    names.collect::<Vec<_>>().join(", ")
}

fn pairs(props: &Props) -> Pairs {
    let entries = props.entries().iter();
    entries.map(|e| (e.key.clone(), e.value.clone())).collect()
}

fn refused_node(node: &BlockNode, error: &BlockError) -> OptError {
    refused(&node.props, node.name.at.clone(), error)
}

/// The error at the word that caused it.
fn refused(props: &Props, at: Location, error: &BlockError) -> OptError {
    let word = |name: &str| props.get(name);
    // A drive says some things in other words than its node.
    let entry = error.option().and_then(|name| match name {
        "driver" => word("driver").or(word("format")).or(word("file.driver")),
        "file.filename" => word(name).or(word("file")),
        name => word(name),
    });
    let refuse = |at| OptError::new(ErrorKind::Refused { why: error.to_string() }, at);
    match (error, entry) {
        (BlockError::UnknownDriver { .. } | BlockError::DriverMissing { .. }, Some(e)) => {
            no_driver(error, &e.value, e.value_at.clone())
        }
        (BlockError::UnknownOption { driver, .. }, Some(e)) => {
            let own = block::find(driver).map(block::Driver::all_options);
            let names: Vec<_> = own.into_iter().flatten().map(|p| p.name).collect();
            e.unknown_key(&format!("block driver '{driver}'"), names)
        }
        (BlockError::BadValue { expected, .. }, Some(e)) => e.bad_value(expected.clone()),
        (BlockError::Missing { driver, option }, _) => {
            OptError::missing(&format!("block driver '{driver}'"), format!("'{option}'"), at)
                .with_help(format!("add {option}=VALUE"))
        }
        (_, Some(e)) if error.is_about_the_name() => refuse(e.key_at.clone()),
        (_, Some(e)) => refuse(e.value_at.clone()),
        (_, None) => refuse(at),
    }
}
