//! Which lines an object path of the protocol means.
//!
//! Paths are those of the object tree, in whole from `/` or their last parts where only one object has them, as the monitor takes them.
//! Only devices have lines; what else stands in the tree is no device here.

use southbridge_core::{DeviceId, LineDirection, System};
use southbridge_machine::qom::{self, Thing};

/// What the board's paths below `/machine` lead to.
pub type Places = Vec<(String, Thing)>;

/// A device with lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The interrupt inputs of a Cortex-M processor, seen from outside it.
    Cpu,
    /// A device.
    Device(DeviceId),
}

/// Finds the device at a path; `None` if there is none, or the last parts of a path fit several.
pub(crate) fn find(sys: &System, places: &Places, path: &str) -> Option<Target> {
    let wanted = path.trim_matches('/');
    let whole = path.starts_with('/');
    let fits = |full: &str| match whole {
        true => full == wanted,
        false => full == wanted || full.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/')),
    };
    let board = places.iter().filter_map(|(path, thing)| {
        let target = match thing {
            Thing::Core(Some(_)) | Thing::Nvic(_) => Target::Cpu,
            Thing::Device(id) => Target::Device(*id),
            _ => return None,
        };
        fits(&format!("machine/{path}")).then_some(target)
    });
    let on_board = |id: &DeviceId| places.iter().any(|(_, t)| *t == Thing::Device(*id));
    let added = sys.devices().filter(|(id, _)| !on_board(id)).filter_map(|(id, slot)| {
        let path = format!("machine/peripheral/{}", slot.id.as_deref()?);
        fits(&path).then_some(Target::Device(id))
    });
    let mut found = board.chain(added);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// A list of lines of a device: the first among all of that direction and how many; `None` if it has no list of this name. The list
/// without a name is there as soon as the device has such lines in either direction.
pub(crate) fn lines(
    sys: &System,
    device: DeviceId,
    direction: LineDirection,
    name: Option<&str>,
) -> Option<(u16, u16)> {
    let t = sys.slot(device)?.device_type;
    let of = |way| qom::groups(t, way).into_iter().find(|g| g.0 == name);
    let other = match direction {
        LineDirection::In => LineDirection::Out,
        LineDirection::Out => LineDirection::In,
    };
    match of(direction) {
        Some((_, first, count)) => Some((first, count)),
        None => of(other).map(|_| (0, 0)),
    }
}
