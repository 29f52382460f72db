//! `-fsdev` and `-virtfs`: folders that the host shares, as words with places.
//!
//! Which drivers there are and what each takes stands in one table of the back ends' own crate; the machine layer judges by that.

use crate::command::HelpTopic;
use crate::error::OptError;
use crate::keyval::Props;
use crate::location::Located;

use super::{Config, DeviceOpt, Info, id};

/// A shared folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsdevOpt {
    /// Its name.
    pub id: Located<String>,
    /// The driver's name as given.
    pub driver: Located<String>,
    /// All keys as given, except these two.
    pub props: Props,
}

/// The device that `-virtfs` makes.
const DEVICE: &str = "virtio-9p-pci";

/// Help on the drivers, or on one of them.
fn help(props: &Props, config: &mut Config) -> bool {
    if props.help_at().is_none() {
        return false;
    }
    let name = props.text("fsdriver").map(|d| d.value);
    let name = name.filter(|d| d != "help" && d != "?");
    config.show(Info::Help(name.map_or(HelpTopic::Fsdevs, HelpTopic::FsdevProperties)));
    true
}

/// `-fsdev`.
pub(super) fn fsdev(props: Props, config: &mut Config) -> Result<(), OptError> {
    if help(&props, config) {
        return Ok(());
    }
    let id = id(&props, "fsdev", config.fsdevs.iter().map(|f| &f.id))?
        .ok_or_else(|| OptError::missing("-fsdev", "'id'", props.at()).with_help("add id=NAME"))?;
    let driver = props.required("-fsdev", "fsdriver")?;
    let props = props.without(&["id", "fsdriver"]);
    config.fsdevs.push(FsdevOpt { id, driver, props });
    Ok(())
}

/// `-virtfs`: a folder and the device for it. The folder has the device's name, or, as with QEMU, that by which the guest mounts it.
pub(super) fn virtfs(props: Props, config: &mut Config) -> Result<(), OptError> {
    if help(&props, config) {
        return Ok(());
    }
    let driver = props.required("-virtfs", "fsdriver")?;
    let tag = props.required("-virtfs", "mount_tag")?;
    let own = id(&props, "fsdev", config.fsdevs.iter().map(|f| &f.id))?;
    let name = own.unwrap_or_else(|| tag.clone());
    if let Some(first) = config.fsdevs.iter().find(|f| f.id.value == name.value) {
        let first = first.id.at.clone();
        return Err(OptError::duplicate_id("fsdev", &name.value, name.at, first));
    }
    let folder = props.without(&["fsdriver", "id", "mount_tag"]);
    let mut device = Props::at_source(props.source());
    device.push("mount_tag", &tag.value, &tag.at);
    device.push("fsdev", &name.value, &name.at);
    config.devices.push(DeviceOpt {
        driver: Located::new(DEVICE.to_owned(), driver.at.clone()),
        id: None,
        bus: None,
        props: device,
    });
    config.fsdevs.push(FsdevOpt {
        id: name,
        driver,
        props: folder,
    });
    Ok(())
}
