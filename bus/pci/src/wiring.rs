//! Plugging a function into a bus: its address there, its interrupt wire, and the slot that hears of it.

use southbridge_core::{BusId, BusKind, CreateError, DeviceId, LineDirection, NetId, System};

use crate::sriov::VirtualOf;
use crate::{PciFunction, PciSlot, PlugPlace, SlotError};

/// What a bus owner calls its four interrupt outputs.
pub const HOST_INTX: &str = "intx";

/// Slots of a bus.
pub const SLOTS: u8 = 32;

/// Slot and function as one number, as in routing ids.
pub const fn devfn(slot: u8, function: u8) -> u8 {
    slot << 3 | function & 7
}

/// Plugs a function into a bus at `devfn`: joins its INTx output to the host bridge's wire that the rules of bridges lead to (pins
/// rotate by the slot number on each bus; PCI-to-PCI Bridge 1.2, section 9.1), and tells the slot. `hot` while the machine runs.
pub fn plug(sys: &mut System, bus: BusId, device: DeviceId, devfn: u8, hot: bool) {
    let place = place_at(sys, bus);
    sys.with_role::<dyn PciFunction, _>(device, |f, _| f.about_to_plug(place));
    sys.plug(bus, device, devfn.into());
    join_intx(sys, device);
    if let Some(owner) = owner_of(sys, bus) {
        sys.with_role::<dyn PciSlot, _>(owner, |s, cx| s.plugged(devfn, hot, cx));
        sys.settle();
    }
}

/// Whether a function may come to `devfn` of a bus: what its slot says.
///
/// # Errors
/// When the slot has no such place, or takes nothing while the machine runs.
pub fn may_plug(sys: &mut System, bus: BusId, devfn: u8, hot: bool) -> Result<(), SlotError> {
    let Some(owner) = owner_of(sys, bus) else { return Ok(()) };
    match sys.with_role::<dyn PciSlot, _>(owner, |s, _| s.may_plug(devfn, hot)) {
        Some(answer) => answer,
        None if hot => Err(SlotError::NoHotPlug),
        None => Ok(()),
    }
}

/// What kind of place a bus is.
fn place_at(sys: &mut System, bus: BusId) -> PlugPlace {
    let owner = owner_of(sys, bus);
    let port = owner.and_then(|o| sys.with_role::<dyn PciFunction, _>(o, |f, _| f.pci().is_downstream_port()));
    PlugPlace {
        express_port: port == Some(true),
    }
}

fn owner_of(sys: &System, bus: BusId) -> Option<DeviceId> {
    sys.buses().find(|(id, _)| *id == bus).map(|(_, b)| b.owner)
}

/// The bus that a function is on, and its address there.
pub fn place_of(sys: &System, device: DeviceId) -> Option<(BusId, u8)> {
    sys.buses().find_map(|(id, b)| {
        let child = b.children.iter().find(|(c, _)| *c == device)?;
        Some((id, child.1 as u8))
    })
}

/// Why a physical function's virtual functions cannot be.
#[derive(Debug, thiserror::Error)]
pub enum VirtualError {
    /// One would lie beyond the end of the bus.
    #[error("the address of virtual function {0} is beyond the end of the bus")]
    Beyond(u16),
    /// The place of one is taken.
    #[error("slot {} function {} is taken, where virtual function {number} belongs", .devfn >> 3, .devfn & 7)]
    Taken {
        /// Its number.
        number: u16,
        /// Slot × 8 + function.
        devfn: u8,
    },
    /// One cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
}

/// Makes the virtual functions of a physical one, if it has any, and puts them on `bus`; to be called before the physical one is
/// plugged in at `devfn`. They are hidden until software switches them on.
///
/// # Errors
/// When one has no place or cannot be made; none is there then.
pub fn add_virtual_functions(
    sys: &mut System,
    bus: BusId,
    physical: DeviceId,
    devfn: u8,
) -> Result<Vec<DeviceId>, VirtualError> {
    let asked = sys.with_role::<dyn PciFunction, _>(physical, |f, _| {
        let places: Vec<_> = (0..f.pci().virtual_total())
            .map(|n| f.pci().virtual_devfn(devfn, n))
            .collect();
        Some((f.virtual_type()?, places))
    });
    let Some(((device_type, properties), places)) = asked.flatten() else {
        return Ok(Vec::new());
    };
    let mut made = Vec::new();
    for (number, place) in (0..).zip(places) {
        let one = add_virtual(sys, bus, place, number, |sys| {
            sys.add_device(device_type, None, properties.clone(), &[])
        });
        match one {
            Ok(device) => {
                let of = VirtualOf { physical, number };
                sys.with_role::<dyn PciFunction, _>(device, |f, _| f.pci_mut().set_virtual_of(of));
                sys.reset_device(device);
                made.push(device);
            }
            Err(e) => {
                for device in made {
                    sys.remove_device(device);
                }
                return Err(e);
            }
        }
    }
    Ok(made)
}

fn add_virtual(
    sys: &mut System,
    bus: BusId,
    place: Option<u8>,
    number: u16,
    make: impl FnOnce(&mut System) -> Result<DeviceId, CreateError>,
) -> Result<DeviceId, VirtualError> {
    let devfn = place.ok_or(VirtualError::Beyond(number))?;
    let found = sys.buses().find(|(id, _)| *id == bus);
    let taken = found.is_some_and(|(_, b)| b.children.iter().any(|c| c.1 == u32::from(devfn)));
    if taken {
        return Err(VirtualError::Taken { number, devfn });
    }
    let device = make(sys)?;
    sys.plug(bus, device, devfn.into());
    Ok(device)
}

/// The virtual functions of a function.
pub fn virtual_functions(sys: &mut System, physical: DeviceId) -> Vec<DeviceId> {
    let Some((bus, _)) = place_of(sys, physical) else {
        return Vec::new();
    };
    let found = sys.buses().find(|(id, _)| *id == bus);
    let mates: Vec<DeviceId> = found.map_or_else(Vec::new, |(_, b)| b.children.iter().map(|c| c.0).collect());
    let is_his = |d: &DeviceId| {
        let of = sys.with_role::<dyn PciFunction, _>(*d, |f, _| f.pci().virtual_of());
        of.flatten().is_some_and(|of| of.physical == physical)
    };
    mates.into_iter().filter(is_his).collect()
}

fn join_intx(sys: &mut System, device: DeviceId) {
    let answer = sys.with_role::<dyn PciFunction, _>(device, |f, _| (f.pci().intx_line(), f.pci().interrupt_pin()));
    let Some((Some(line), pin @ 1..=4)) = answer else {
        return;
    };
    if let Some(net) = host_net(sys, device, pin - 1) {
        sys.drive_net(device, line, net);
    }
}

/// The wire of the host bridge for pin `pin` (0 to 3) of a function.
fn host_net(sys: &mut System, mut device: DeviceId, mut pin: u8) -> Option<NetId> {
    loop {
        let (bus, at) = place_of(sys, device)?;
        pin = (pin + (at >> 3)) % 4;
        device = owner_of(sys, bus)?;
        let t = sys.slot(device)?.device_type;
        if t.bus != BusKind::Pci {
            let output = t.line(LineDirection::Out, HOST_INTX, pin.into())?;
            return Some(sys.net_of(device, output).unwrap_or_else(|| {
                let net = sys.add_net();
                sys.drive_net(device, output, net);
                net
            }));
        }
        // The bus below an expander is a root bus of its own: its wires are the host's, unrotated.
        let expander = sys.with_role::<dyn PciFunction, _>(device, |f, _| f.pci().is_expander());
        if expander == Some(true) {
            let (_, at) = place_of(sys, device)?;
            pin = (pin + 4 - (at >> 3) % 4) % 4;
        }
    }
}
