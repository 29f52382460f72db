//! `-blockdev` and `-drive`: what is behind disks, as words with places.
//!
//! Which drivers there are and what each takes stands in one table of the back ends' own crate; the machine layer judges by that.
//! Contents of flash chips (`-drive if=pflash`) are [`super::boot`]'s.

use crate::command::HelpTopic;
use crate::error::OptError;
use crate::keyval::Props;
use crate::location::{Located, Location};

use super::{Config, Info, boot, id};

/// A block node (`-blockdev`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockNode {
    /// Its name.
    pub name: Located<String>,
    /// All keys as given.
    pub props: Props,
}

/// A drive (`-drive`) other than the contents of a flash chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveOpt {
    /// Its name, if it was given one.
    pub id: Option<Located<String>>,
    /// What it is connected to; the board's usual one if nothing is said.
    pub interface: Option<Located<String>>,
    /// All keys as given.
    pub props: Props,
}

/// Words of `if=`, the first three of which are served here.
const INTERFACES: [&str; 9] = ["none", "virtio", "pflash", "ide", "scsi", "floppy", "mtd", "sd", "xen"];

/// `-drive`.
pub(super) fn drive(props: &Props, config: &mut Config) -> Result<(), OptError> {
    let interface = props.text("if");
    match interface.as_ref().map(|i| i.value.as_str()) {
        Some("pflash") => return boot::drive(props, config),
        None | Some("none" | "virtio") => {}
        Some(word) => {
            let at = interface.as_ref().map_or_else(|| props.at(), |i| i.at.clone());
            if !INTERFACES.contains(&word) {
                return Err(OptError::bad_value(Some("if"), word, "none, virtio or pflash", at));
            }
            return Err(later(&format!("-drive if={word}"), at));
        }
    }
    let id = id(props, "drive", config.drives.iter().filter_map(|d| d.id.as_ref()))?;
    config.drives.push(DriveOpt {
        id,
        interface,
        props: props.clone(),
    });
    Ok(())
}

/// `-snapshot`: what is written to a drive goes to a temporary file, unless the drive itself says whether it does.
pub(super) fn snapshot(at: &Location, config: &mut Config) {
    for drive in &mut config.drives {
        if drive.props.get("snapshot").is_none() {
            drive.props.push("snapshot", "on", at);
        }
    }
    for flash in &mut config.flash {
        flash.temporary.get_or_insert(true);
    }
}

fn later(what: &str, at: Location) -> OptError {
    OptError::not_yet(what, at).with_help("if=virtio makes a disk on PCI, if=none leaves it to a -device")
}

/// `-blockdev`.
pub(super) fn blockdev(props: Props, config: &mut Config) -> Result<(), OptError> {
    if props.help_at().is_some() {
        let name = props
            .text("driver")
            .map(|d| d.value)
            .filter(|d| d != "help" && d != "?");
        config.show(Info::Help(
            name.map_or(HelpTopic::BlockDrivers, HelpTopic::BlockDriverProperties),
        ));
        return Ok(());
    }
    props.required("-blockdev", "driver")?;
    let name = props.required("-blockdev", "node-name")?;
    if let Some(first) = config.block_nodes.iter().find(|n| n.name.value == name.value) {
        let at = first.name.at.clone();
        return Err(OptError::duplicate_id("block node", &name.value, name.at, at));
    }
    config.block_nodes.push(BlockNode { name, props });
    Ok(())
}

/// The file of a node and whether it can only be read, for contents of flash chips: through nodes above it that show it as it is.
pub(super) fn file_of(config: &Config, name: &Located<String>) -> Result<(Located<String>, bool), OptError> {
    let mut name = name.clone();
    let mut read_only = false;
    // Nodes that stand on each other in a circle are no nodes, which the machine layer says when it makes them.
    for _ in 0..=config.block_nodes.len() {
        let known = config.block_nodes.iter().map(|n| n.name.value.as_str());
        let node = config.block_nodes.iter().find(|n| n.name.value == name.value);
        let node = node.ok_or_else(|| OptError::no_such("block node", &name.value, known, name.at.clone()))?;
        read_only |= node.props.switch("read-only")?.is_some_and(|r| r.value);
        let driver = node.props.required("-blockdev", "driver")?;
        match driver.value.as_str() {
            "file" => return Ok((node.props.required("-blockdev file", "filename")?, read_only)),
            "raw" => match node.props.text("file") {
                Some(below) => name = below,
                None => return Ok((node.props.required("-blockdev raw", "file.filename")?, read_only)),
            },
            other => {
                let what = format!("contents of a flash chip from the block driver '{other}'");
                return Err(OptError::not_yet(what, driver.at).with_help("a file, or raw over a file, works"));
            }
        }
    }
    let known = config.block_nodes.iter().map(|n| n.name.value.as_str());
    Err(OptError::no_such(
        "file below the block node",
        &name.value,
        known,
        name.at,
    ))
}
